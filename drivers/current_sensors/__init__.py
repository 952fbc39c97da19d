"""Current sensors of their own on a rack's bus, beside the one that the cell monitor has."""
