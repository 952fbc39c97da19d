"""Applications: what the battery is used for. Each sees a view of the site and may only narrow a power window."""
