"""Random campaigns against invariants that always hold: what is drawn, what is judged, how a violation is shrunk."""
