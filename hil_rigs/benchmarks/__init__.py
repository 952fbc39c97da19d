"""How fast the hot paths are, beside a peer that does the same work in the same run."""
