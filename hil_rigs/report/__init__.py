"""What came out of a run: figures and pages."""
