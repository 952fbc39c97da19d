"""Estimates that dispatch and balancing need: SoC of every cell, and load power from two meters' readings."""
