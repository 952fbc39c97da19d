"""NumPy and Python twins of the compiled kernels: same names, same contracts, easier to read."""
