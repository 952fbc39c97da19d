"""Power fades out towards the end of a SoC band: an edge would be a step."""

TAPER_FRAC = 0.01


def taper(room_frac: float) -> float:
    """Share of the power that is left so far (SoC) before the end of a band; 0 beyond it."""
    return min(max(room_frac / TAPER_FRAC, 0.0), 1.0)
