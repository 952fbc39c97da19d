"""What the island machine sees, made from the image: the one place that knows both."""

from math import isnan

from bms.battery import STOPPED, WORKING
from bms.image import Image
from bms.island import IslandInputs
from bms.protect.limits import PowerLimits
from bms.site_island import Island
from drivers.readings import SwitchgearReading

DEAD_FRAC = 0.1
"""Below this share of nominal a bus is dead."""

LIVE_FRAC_MIN, LIVE_FRAC_MAX = 0.88, 1.12
"""Inside it the site is alive."""


def island_inputs(
    settings: Island, image: Image, limits: PowerLimits, *, forming: bool, racks_online: bool, soc_frac: float
) -> IslandInputs:
    """`limits`: of the tick before; their discharge power is what the battery can give."""
    said, inverter = image.switchgear, image.inverter
    heard = said is not None and image.at_ns - said.at_ns <= settings.intertie_age_s_max * 1e9
    site_frac = said.site_voltage_v / settings.voltage_v_nominal if said is not None else 0.0
    return IslandInputs(
        heard=heard,
        closed=said is not None and said.intertie_closed,
        sync_ok=said is not None and said.sync_ok,
        agree=said is not None and _agree(settings, said),
        grid_good=said is not None and _good(settings, said),
        grid_bad=said is not None and _bad(settings, said),
        live=LIVE_FRAC_MIN <= site_frac <= LIVE_FRAC_MAX,
        dead=site_frac < DEAD_FRAC,
        blocks_closed=0 if said is None else said.blocks_closed,
        forming=forming and inverter is not None and inverter.state in WORKING,
        stopped=inverter is not None and inverter.state in STOPPED,
        racks_online=racks_online,
        power_w=0.0 if inverter is None or isnan(inverter.ac_power_w) else inverter.ac_power_w,
        capability_w=limits.discharge_power_w,
        soc_frac=soc_frac,
    )


def _good(settings: Island, said: SwitchgearReading) -> bool:
    voltage_frac = said.grid_voltage_v / settings.voltage_v_nominal
    off_hz = abs(said.grid_frequency_hz - settings.frequency_hz_nominal)
    inside = settings.return_voltage_frac_min <= voltage_frac <= settings.return_voltage_frac_max
    return inside and off_hz <= settings.return_frequency_off_hz_max


def _bad(settings: Island, said: SwitchgearReading) -> bool:
    """Also what it does not say."""
    voltage_frac = said.grid_voltage_v / settings.voltage_v_nominal
    off_hz = abs(said.grid_frequency_hz - settings.frequency_hz_nominal)
    inside = settings.leave_voltage_frac_min <= voltage_frac <= settings.leave_voltage_frac_max
    return not (inside and off_hz <= settings.leave_frequency_off_hz_max)


def _agree(settings: Island, said: SwitchgearReading) -> bool:
    """By the measured values; a switchgear that says no angle judges that alone."""
    apart_frac = abs(said.site_voltage_v - said.grid_voltage_v) / settings.voltage_v_nominal
    slip_hz = abs(said.site_frequency_hz - said.grid_frequency_hz)
    in_phase = isnan(said.phase_deg) or abs(said.phase_deg) <= settings.sync_phase_deg_max
    return apart_frac <= settings.sync_voltage_off_frac_max and slip_hz <= settings.sync_slip_hz_max and in_phase
