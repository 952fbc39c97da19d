"""What the switchgear between site and grid says, as far as several must judge it alike."""

from bms.image import Image
from bms.site.island import Island

LIVE_FRAC_MIN, LIVE_FRAC_MAX = 0.88, 1.12
"""Inside it, of nominal, the site is alive."""


def is_heard(settings: Island, image: Image) -> bool:
    """Its words are fresh."""
    said = image.switchgear
    return said is not None and image.at_ns - said.at_ns <= settings.intertie_age_s_max * 1e9


def site_is_live(settings: Island, image: Image) -> bool:
    """By its last word, however old."""
    said = image.switchgear
    return said is not None and LIVE_FRAC_MIN <= said.site_voltage_v / settings.voltage_v_nominal <= LIVE_FRAC_MAX


def is_alone_and_live(settings: Island, image: Image) -> bool:
    """By its fresh word the site has voltage, and not from the grid."""
    said = image.switchgear
    return said is not None and not said.intertie_closed and is_heard(settings, image) and site_is_live(settings, image)
