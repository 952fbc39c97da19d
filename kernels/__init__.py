"""Compiled numerics over plain arrays; each has a NumPy twin in kernels.reference."""
