"""What a converter and a meter say of themselves and the grid, and what contradicts it."""

import math
from collections.abc import Iterator

from bms.image import Image
from bms.protect.inverter_faults import INVERTER_ALARMS
from bms.protect.levels import Condition
from bms.protect.safety_inputs import said
from bms.site import GridMeterDevice, Limits
from bms.site.island import Island
from bms.summary import Summary
from bms.switchgear import is_alone_and_live
from drivers.readings import InverterReading, InverterState, MeterReading

STOPPED = (InverterState.OFF, InverterState.SLEEPING, InverterState.STANDBY, InverterState.FAULT)
"""States of a converter whose power stage is blocked."""

NOT_FORMING = (*STOPPED, InverterState.SHUTTING_DOWN)

STOPPED_FRAC = 0.02
"""Share of the rating that a stopped converter's measurement may show."""

LINK_FRAC = 0.03
"""Share by which the converter's DC voltage and the racks' link voltage may differ: they are not read at the same
moment, and a step of power moves them by 2 %."""

DISOBEDIENCE_FRAC = 0.1
"""Share of the rating by which measured and commanded power may differ for a while."""

RUNAWAY_S = 1.0
"""A converter that takes set-points has followed 0 W long before, also over a slow link."""


def forms_grid(inverter: InverterReading | None) -> bool:
    """It makes the grid now, as far as its last word goes: a lost link ends no island."""
    return inverter is not None and inverter.grid_forming and inverter.state not in NOT_FORMING


def serves_unheard(image: Image, inverter_age_s: float, island: Island | None, limits: Limits) -> bool:
    """The converter says nothing, and the switchgear that the site is alive without the grid: the converter takes its
    mode from the switch and is what makes that voltage. Not if its last word was that it stands."""
    heard = inverter_age_s <= limits.inverter_age_s_max
    if heard or island is None or (image.inverter is not None and image.inverter.state in NOT_FORMING):
        return False
    return is_alone_and_live(island, image)


def inverter_checks(image: Image, summary: Summary, limits: Limits) -> Iterator[Condition]:
    """Nothing while the converter never spoke; what it does not say is not judged."""
    inverter = image.inverter
    if inverter is None:
        return
    yield from _alarms(inverter)
    if not inverter.remote_control:
        yield said("inverter_local_control", "not in remote control")
    yield from _power_while_stopped(image, inverter)
    yield from _link_voltage(image, inverter, summary, limits)


def _alarms(inverter: InverterReading) -> Iterator[Condition]:
    if inverter.alarm_bits:
        for bit, kind in enumerate(INVERTER_ALARMS):
            if inverter.alarm_bits >> bit & 1:
                yield said(kind.id, f"alarm bit {bit}")


def _power_while_stopped(image: Image, inverter: InverterReading) -> Iterator[Condition]:
    if image.rating is None or not image.rating.known or inverter.state not in STOPPED:
        return
    allowed_w = STOPPED_FRAC * max(image.rating.charge_power_w_max, image.rating.discharge_power_w_max)
    if abs(inverter.ac_power_w) > allowed_w:
        where = f"says {inverter.state}, W"
        yield Condition("inverter_power_while_stopped", inverter.ac_power_w, allowed_w, where)


def _link_voltage(image: Image, inverter: InverterReading, summary: Summary, limits: Limits) -> Iterator[Condition]:
    """Against the first rack on the link that is heard."""
    if math.isnan(inverter.dc_voltage_v):
        return
    for rack, heard in zip(image.racks, summary.racks, strict=True):
        fresh = heard.io_age_s <= limits.cell_data_age_s_max
        if fresh and rack.main_closed and not math.isnan(rack.link_voltage_v):
            off_v, allowed_v = inverter.dc_voltage_v - rack.link_voltage_v, LINK_FRAC * rack.link_voltage_v
            if abs(off_v) > allowed_v:
                yield Condition("inverter_dc_voltage_mismatch", off_v, allowed_v, "off by V")
            return


class Runaway:
    """A converter in remote control that works on although it is told 0 W: only its stop can end that."""

    def __init__(self) -> None:
        self._told_zero_s = 0.0

    def conditions(self, image: Image, dt_s: float) -> Iterator[Condition]:
        """The load decides the power of one that makes a grid."""
        told_zero = image.commanded_power_w == 0.0 and not forms_grid(image.inverter)
        self._told_zero_s = self._told_zero_s + dt_s if told_zero else 0.0
        inverter, rating = image.inverter, image.rating
        if inverter is None or rating is None or not rating.known or self._told_zero_s < RUNAWAY_S:
            return
        allowed_w = DISOBEDIENCE_FRAC * max(rating.charge_power_w_max, rating.discharge_power_w_max)
        if inverter.remote_control and inverter.state not in STOPPED and abs(inverter.ac_power_w) > allowed_w:
            yield Condition("inverter_runs_away", inverter.ac_power_w, allowed_w, "told 0 W, W")


class GridRange:
    """Frequency and voltage at the meter against their ranges. NaN = the meter does not say: not judged."""

    def __init__(self, meter: GridMeterDevice) -> None:
        self._meter = meter

    def conditions(self, reading: MeterReading) -> Iterator[Condition]:
        meter, frequency_hz, voltage_v = self._meter, reading.frequency_hz, reading.voltage_v
        nominal_hz = meter.frequency_hz_nominal or (50 if frequency_hz < 55.0 else 60)
        off_hz = frequency_hz - nominal_hz
        if abs(off_hz) > meter.frequency_hz_off_max:
            fault_id = "grid_frequency_high" if off_hz > 0 else "grid_frequency_low"
            yield Condition(
                fault_id, frequency_hz, nominal_hz + math.copysign(meter.frequency_hz_off_max, off_hz), "Hz"
            )
        if meter.voltage_v_nominal is None:
            return
        off_v, allowed_v = voltage_v - meter.voltage_v_nominal, meter.voltage_off_frac_max * meter.voltage_v_nominal
        if abs(off_v) > allowed_v:
            fault_id = "grid_voltage_high" if off_v > 0 else "grid_voltage_low"
            yield Condition(fault_id, voltage_v, meter.voltage_v_nominal + math.copysign(allowed_v, off_v), "V")
