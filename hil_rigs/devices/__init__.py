"""Simulated devices that answer on the wire as the real ones do, strictly."""
