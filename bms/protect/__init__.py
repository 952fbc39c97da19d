"""Protection: which faults are active, what they forbid, and how much power remains allowed."""
