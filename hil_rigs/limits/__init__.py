"""The estimator's power limits used in full: whether a cell leaves its window, and what is left unused."""
