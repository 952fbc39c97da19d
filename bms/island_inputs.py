"""What the island machine sees, made from the image: the one place that knows both."""

from math import isnan

from bms.battery import STOPPED, WORKING
from bms.image import Image
from bms.island import IslandInputs
from bms.protect.limits import PowerLimits
from bms.site.island import Island
from bms.switchgear import is_heard, site_is_live
from drivers.readings import SwitchgearReading

DEAD_FRAC = 0.1
"""Below this share of nominal a bus is dead."""


def island_inputs(
    settings: Island,
    image: Image,
    limits: PowerLimits,
    *,
    forming: bool,
    inverter_heard: bool,
    racks_online: bool,
    soc_frac: float,
) -> IslandInputs:
    """`forming`: as the protection sees it, also of a converter that says nothing (`inverter_heard`); what that one
    gives the racks say. `limits`: of the tick before; their discharge power is what the battery can give."""
    said = image.switchgear
    inverter = image.inverter if inverter_heard else None
    site_frac = said.site_voltage_v / settings.voltage_v_nominal if said is not None else 0.0
    return IslandInputs(
        heard=is_heard(settings, image),
        closed=said is not None and said.intertie_closed,
        sync_ok=said is not None and said.sync_ok,
        agree=said is not None and _agree(settings, said),
        grid_good=said is not None and _good(settings, said),
        grid_bad=said is not None and _bad(settings, said),
        live=site_is_live(settings, image),
        dead=site_frac < DEAD_FRAC,
        blocks_closed=0 if said is None else said.blocks_closed,
        forming=forming and (inverter is None or inverter.state in WORKING),
        stopped=image.inverter is not None and image.inverter.state in STOPPED,
        racks_online=racks_online,
        power_w=_known(_racks_power_w(image) if inverter is None else inverter.ac_power_w),
        capability_w=limits.discharge_power_w,
        soc_frac=soc_frac,
    )


def _racks_power_w(image: Image) -> float:
    """At the DC link, of those that say it."""
    return sum([_known(rack.rack_voltage_v * rack.current_a) for rack in image.racks])


def _known(power_w: float) -> float:
    return 0.0 if isnan(power_w) else power_w


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
