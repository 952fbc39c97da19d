"""The last word: recomputes from the raw image whether a decision may go out, sharing no code with the limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bms.decision import Contactors, Decision
from bms.image import Image
from drivers.readings import Floats, InverterState, RackReading, Times

STOP_AFTER_S = 4.0
"""A hard limit crossed for so long while the battery is still wanted connected stops the converter: longer than
protection and its bounded wait for opening need."""

OPEN_AFTER_S = 3.0
"""From its stop on protection opens the contactors in order, which takes its bounded wait of 2 s where the converter
does not say that it stands; what is still wanted closed after so long opens anyway."""

FLOWING_FRAC = 0.02
"""Share of a rack's maximum current from which it counts as charging or discharging."""


VOLTAGE_FRAC = 0.02
"""A battery's word about its voltage is a second old: so far beyond its limits it is not charged or discharged."""

BLOCKED = frozenset(
    {
        InverterState.OFF,
        InverterState.SLEEPING,
        InverterState.STANDBY,
        InverterState.SHUTTING_DOWN,
        InverterState.FAULT,
    }
)
"""States in which a converter makes no grid, whatever its mode."""


@dataclass(frozen=True, slots=True)
class HardLimits:
    """Maximum-level limits, as plain numbers. Currents of a rack, and of all connected racks together (pack)."""

    cell_voltage_v_min: float
    cell_voltage_v_max: float
    charge_temperature_degc_min: float
    charge_temperature_degc_max: float
    discharge_temperature_degc_min: float
    discharge_temperature_degc_max: float
    charge_current_a_max: float
    discharge_current_a_max: float
    pack_charge_current_a_max: float
    pack_discharge_current_a_max: float
    cell_data_age_s_max: float
    temperature_age_s_max: float
    current_age_s_max: float
    cell_voltage_v_min_possible: float = float("-inf")
    cell_voltage_v_max_possible: float = float("inf")
    temperature_degc_min_possible: float = float("-inf")
    """Beyond these a value is no cell's: it ends no island."""
    site_voltage_v_min: float = float("inf")
    """Of a site that the switchgear has parted from its grid: from here on somebody serves it."""
    inverter_age_s_max: float = float("inf")
    switchgear_age_s_max: float = 0.0


class _Extremes(NamedTuple):
    """Of a rack's cells; NaN where one cell has no value."""

    voltage_v_min: float
    voltage_v_max: float
    degc_min: float
    degc_max: float


class _Rack(NamedTuple):
    """One that is, or may be, connected."""

    number: int
    reading: RackReading
    cells: _Extremes


class Guard:
    """Narrows decisions, never widens them. `stopped` stays once it had to stop the battery itself."""

    def __init__(self, limits: HardLimits) -> None:
        self._limits = limits
        self._crossed_s = self._stopped_s = 0.0
        self._passed: tuple[Contactors | None, ...] = ()
        self.stopped = ""

    def reset(self) -> None:
        """Somebody judged the battery after a stop; a limit that is still crossed stops it again."""
        self._crossed_s = self._stopped_s = 0.0
        self.stopped = ""

    def step(self, image: Image, wish: Decision, dt_s: float) -> Decision:
        """The decision that may be sent, narrowed where the raw image demands it."""
        decision = self._step(image, wish, dt_s)
        self._passed = decision.contactors
        return decision

    def _step(self, image: Image, wish: Decision, dt_s: float) -> Decision:
        forming = _forming(image) or self._serves_unheard(image)
        racks = [] if forming else [_Rack(number, rack, _extremes(rack)) for number, rack in _connected(image, wish)]
        reason = self._crossed_forming(image, wish) if forming else self._crossed(racks, image.at_ns)
        active = wish.run or any(wanted is not None and wanted.main_closed for wanted in wish.contactors)
        self._crossed_s = self._crossed_s + dt_s if reason and active else 0.0
        if self.stopped:
            self._stopped_s += dt_s
        elif self._crossed_s > STOP_AFTER_S:
            self.stopped = reason
        if self.stopped:
            contactors = _opened(wish) if self._stopped_s > OPEN_AFTER_S else _no_more_than(self._passed, wish)
            return wish._replace(
                power_w=0.0, run=False, contactors=contactors, clipped_by="guard", clip_reason=self.stopped
            )
        return wish if forming else self._narrow(image, racks, wish, reason)

    def window_w(self, image: Image, wish: Decision) -> tuple[float, float]:
        """Lowest and highest power (discharge positive) that would pass now, for who moves it until the next step."""
        if self.stopped:
            return 0.0, 0.0
        racks = [_Rack(number, rack, _extremes(rack)) for number, rack in _connected(image, wish)]
        return self._window(image, racks, wish, self._crossed(racks, image.at_ns))

    def _narrow(self, image: Image, racks: Sequence[_Rack], wish: Decision, reason: str) -> Decision:
        low_w, high_w = self._window(image, racks, wish, reason)
        power_w = wish.power_w
        if low_w <= power_w <= high_w:
            return wish
        narrowed_w = min(max(power_w, low_w), high_w) if power_w == power_w else 0.0
        return wish._replace(power_w=narrowed_w, clipped_by="guard", clip_reason=reason or "power window")

    def _window(self, image: Image, racks: Sequence[_Rack], wish: Decision, reason: str) -> tuple[float, float]:
        if reason or not wish.run or image.rating is None or not image.rating.known:
            return 0.0, 0.0
        low_w, high_w = -image.rating.charge_power_w_max, image.rating.discharge_power_w_max
        for rack in racks:
            may_charge, may_discharge = self._may(rack)
            low_w = low_w if may_charge else 0.0
            high_w = high_w if may_discharge else 0.0
        return low_w, high_w

    def _may(self, rack: _Rack) -> tuple[bool, bool]:
        """Charge and discharge, by the cells or by the word of a battery that has a management of its own."""
        battery = rack.reading.battery
        if battery is None:
            return self._may_charge(rack.cells), self._may_discharge(rack.cells)
        voltage_v, bottom_v = rack.reading.rack_voltage_v, battery.discharge_voltage_v_min
        may_charge = battery.charge_current_a_max > 0.0 and battery.charge_allowed is not False
        may_discharge = battery.discharge_current_a_max > 0.0 and battery.discharge_allowed is not False
        return (
            may_charge and voltage_v <= (1.0 + VOLTAGE_FRAC) * battery.charge_voltage_v_max,
            may_discharge and not voltage_v < (1.0 - VOLTAGE_FRAC) * bottom_v,
        )

    def _may_charge(self, cells: _Extremes) -> bool:
        limits = self._limits
        return (
            cells.voltage_v_max < limits.cell_voltage_v_max
            and cells.degc_max <= limits.charge_temperature_degc_max
            and cells.degc_min >= limits.charge_temperature_degc_min
        )

    def _may_discharge(self, cells: _Extremes) -> bool:
        limits = self._limits
        return (
            cells.voltage_v_min > limits.cell_voltage_v_min
            and cells.degc_max <= limits.discharge_temperature_degc_max
            and cells.degc_min >= limits.discharge_temperature_degc_min
        )

    def _crossed(self, racks: Sequence[_Rack], now_ns: int) -> str:
        """The first hard limit that is crossed by a rack that is, or may be, connected; empty when none."""
        total_a = 0.0
        for rack in racks:
            reason = self._rack_crossed(rack.reading, now_ns) or self._flow_crossed(rack)
            if reason:
                return f"rack {rack.number}: {reason}"
            total_a += rack.reading.current_a
        limits = self._limits
        if not -limits.pack_charge_current_a_max <= total_a <= limits.pack_discharge_current_a_max:
            return "current of all racks above maximum"
        return ""

    def _serves_unheard(self, image: Image) -> bool:
        """The converter says nothing; its last word was not that it stands, and the switchgear says by a fresh one that
        the site has voltage without the grid."""
        said, inverter, limits = image.switchgear, image.inverter, self._limits
        if said is None or said.intertie_closed or image.at_ns - said.at_ns > limits.switchgear_age_s_max * 1e9:
            return False
        heard = inverter is not None and image.at_ns - inverter.at_ns <= limits.inverter_age_s_max * 1e9
        stood = inverter is not None and inverter.state in BLOCKED
        return not heard and not stood and said.site_voltage_v >= limits.site_voltage_v_min

    def _crossed_forming(self, image: Image, wish: Decision) -> str:
        """As `_crossed`, but only what is measured and beyond: what is absent or old ends no island, and 0 W would be a
        blackout."""
        total_a = 0.0
        for number, rack in _connected(image, wish):
            fresh = image.at_ns - rack.current_at_ns <= self._limits.current_age_s_max * 1e9
            current_a = rack.current_a if fresh else float("nan")
            reason = self._rack_crossed_forming(rack, current_a)
            if reason:
                return f"rack {number}: {reason}"
            total_a += current_a
        limits = self._limits
        if total_a > limits.pack_discharge_current_a_max or total_a < -limits.pack_charge_current_a_max:
            return "current of all racks above maximum"
        return ""

    def _rack_crossed_forming(self, rack: RackReading, current_a: float) -> str:
        """Comparisons with NaN are false."""
        limits, degc, volt = self._limits, rack.temperature_degc, rack.voltage_v
        shown = degc >= limits.temperature_degc_min_possible
        if current_a > limits.discharge_current_a_max or current_a < -limits.charge_current_a_max:
            return "current above maximum"
        if (degc > limits.discharge_temperature_degc_max).any():
            return "temperature above maximum"
        if current_a < -FLOWING_FRAC * limits.charge_current_a_max and (
            ((volt >= limits.cell_voltage_v_max) & (volt <= limits.cell_voltage_v_max_possible)).any()
            or (degc > limits.charge_temperature_degc_max).any()
            or ((degc < limits.charge_temperature_degc_min) & shown).any()
        ):
            return "charged beyond a cell's limits"
        if current_a > FLOWING_FRAC * limits.discharge_current_a_max and (
            ((volt <= limits.cell_voltage_v_min) & (volt >= limits.cell_voltage_v_min_possible)).any()
            or ((degc < limits.discharge_temperature_degc_min) & shown).any()
        ):
            return "discharged beyond a cell's limits"
        return ""

    def _rack_crossed(self, rack: RackReading, now_ns: int) -> str:
        limits, battery = self._limits, rack.battery
        if battery is not None:
            if now_ns - min(battery.limits_at_ns, battery.soc_at_ns) > limits.cell_data_age_s_max * 1e9:
                return "battery's limits too old"
        elif now_ns - _lowest(rack.voltage_at_ns) > limits.cell_data_age_s_max * 1e9:
            return "cell data too old"
        elif now_ns - _lowest(rack.temperature_at_ns) > limits.temperature_age_s_max * 1e9:
            return "temperatures too old"
        if now_ns - rack.current_at_ns > limits.current_age_s_max * 1e9:
            return "current too old"
        if not -limits.charge_current_a_max <= rack.current_a <= limits.discharge_current_a_max:
            return "current above maximum"
        return ""

    def _flow_crossed(self, rack: _Rack) -> str:
        """Too hot for anything, or a current in a direction that the cells forbid."""
        limits, current_a = self._limits, rack.reading.current_a
        battery = rack.reading.battery
        degc_max = rack.cells.degc_max if battery is None else battery.temperature_degc
        if not degc_max <= limits.discharge_temperature_degc_max:
            return "temperature above maximum"
        may_charge, may_discharge = self._may(rack)
        if current_a < -FLOWING_FRAC * limits.charge_current_a_max and not may_charge:
            return "charged beyond a cell's limits"
        if current_a > FLOWING_FRAC * limits.discharge_current_a_max and not may_discharge:
            return "discharged beyond a cell's limits"
        return ""


def _opened(wish: Decision) -> tuple[Contactors | None, ...]:
    return tuple(Contactors(False, False) for _ in wish.contactors)


def _no_more_than(passed: tuple[Contactors | None, ...], wish: Decision) -> tuple[Contactors | None, ...]:
    """What is wanted closed, less what was not commanded closed before."""
    before = passed or _opened(wish)
    return tuple(
        wanted if wanted is None else Contactors(
            wanted.main_closed and held is not None and held.main_closed,
            wanted.precharge_closed and held is not None and held.precharge_closed,
        )
        for wanted, held in zip(wish.contactors, before, strict=True)
    )  # fmt: skip


def _forming(image: Image) -> bool:
    """The converter makes the grid, by its own last word."""
    inverter = image.inverter
    return inverter is not None and inverter.grid_forming and inverter.state not in BLOCKED


def _connected(image: Image, wish: Decision) -> Iterator[tuple[int, RackReading]]:
    """Racks with their numbers, but for those that say they are open, or say nothing and are not to be closed. A
    battery that moves its contactors by itself may always be connected."""
    for number, (rack, wanted) in enumerate(zip(image.racks, wish.contactors, strict=True), 1):
        commanded = wanted is not None and wanted.main_closed
        if rack.main_closed or (rack.main_closed is None and (commanded or rack.battery is not None)):
            yield number, rack


def _extremes(rack: RackReading) -> _Extremes:
    voltage_v, degc = rack.voltage_v, rack.temperature_degc
    return _Extremes(_lowest(voltage_v), _highest(voltage_v), _lowest(degc), _highest(degc))


def _lowest(values: Floats | Times) -> float:
    """values.min(), NaN if one is NaN, at a third of its cost."""
    return values.item(values.argmin())


def _highest(values: Floats) -> float:
    """values.max(), likewise."""
    return values.item(values.argmax())
