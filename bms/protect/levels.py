"""Quantities with limits in three levels: what is compared with what, in which direction, when."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bms.protect.faults import LEVELLED, Level
from bms.site import Limits
from bms.summary import RackSummary

CHARGING_FRAC = 0.02
"""Share of a rack's maximum current from which it counts as charging or discharging."""

LEVELS = (Level.OPERATING, Level.RECOMMENDED, Level.MAXIMUM)


class Condition(NamedTuple):
    """The cause of `fault_id` is there now; `value`, `limit` and `where` explain it."""

    fault_id: str
    value: float
    limit: float
    where: str


class Read(NamedTuple):
    """A quantity now: its value and where it is; `flows` says whether current flows in the limit's direction."""

    value: float
    where: str
    flows: bool = True


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity and its three limits, the innermost first. `sign` is 1 for limits above, -1 below; once tripped, a
    level lasts until the value is `hysteresis` inside it. The maximum level of `only_flowing` needs current."""

    ids: tuple[str, str, str]
    sign: int
    limits: tuple[float, float, float]
    hysteresis: float
    only_flowing: bool

    def near(self, value: float) -> bool:
        """A level is crossed, or may have been and is not left yet. Never for a NaN."""
        return self.sign * (value - self.limits[0]) > -self.hysteresis

    def conditions(self, read: Read, active: Callable[[str], bool]) -> Iterator[Condition]:
        """The levels that are crossed, or were and are not left yet. Nothing for a NaN."""
        value, where, flows = read
        if not self.near(value):
            return
        for fault_id, limit, level in zip(self.ids, self.limits, LEVELS, strict=True):
            beyond = self.sign * (value - limit)
            crossed = beyond > 0.0 or (beyond > -self.hysteresis and active(fault_id))
            if crossed and (flows or level is not Level.MAXIMUM or not self.only_flowing):
                yield Condition(fault_id, value, limit, where)


class RackLevels:
    """All levelled quantities of one rack."""

    def __init__(self, limits: Limits) -> None:
        charging_a = CHARGING_FRAC * limits.rack_current_a("charge", "maximum")
        discharging_a = CHARGING_FRAC * limits.rack_current_a("discharge", "maximum")
        readers: dict[str, Callable[[RackSummary], Read]] = {
            "cell_voltage_high": lambda r: Read(r.voltage_v_max, cell(r.highest_cell)),
            "cell_voltage_low": lambda r: Read(r.voltage_v_min, cell(r.lowest_cell)),
            "charge_temperature_high": lambda r: _hottest(r, r.current_a < -charging_a),
            "charge_temperature_low": lambda r: _coldest(r, r.current_a < -charging_a),
            "discharge_temperature_high": lambda r: _hottest(r, r.current_a > discharging_a),
            "discharge_temperature_low": lambda r: _coldest(r, r.current_a > discharging_a),
            "charge_current_high": lambda r: Read(-r.current_a, "charge current"),
            "discharge_current_high": lambda r: Read(r.current_a, "discharge current"),
        }
        quantities = [(_quantity(name, limits), read) for name, read in readers.items()]
        self._quantities = [(each.sign, each.limits[0], -each.hysteresis, each, read) for each, read in quantities]

    def conditions(self, rack: RackSummary, active: Callable[[str], bool]) -> list[Condition]:
        """`active` says whether a fault has tripped."""
        found: list[Condition] = []
        hot_degc, cold_degc, current_a = rack.temperature_degc_max, rack.temperature_degc_min, rack.current_a
        values = (
            rack.voltage_v_max, rack.voltage_v_min, hot_degc, cold_degc, hot_degc, cold_degc, -current_a, current_a,
        )  # fmt: skip
        for (sign, limit, near, quantity, read), value in zip(self._quantities, values, strict=True):
            if sign * (value - limit) > near:  # as `Quantity.near`
                found += quantity.conditions(read(rack), active)
        return found


class PackLevels:
    """Those of all racks together."""

    def __init__(self, limits: Limits, racks: int) -> None:
        self._charge = _quantity("pack_charge_current_high", limits, racks)
        self._discharge = _quantity("pack_discharge_current_high", limits, racks)

    def conditions(self, racks: Iterable[RackSummary], active: Callable[[str], bool]) -> list[Condition]:
        """Racks without a current do not count: their own faults say so."""
        total_a = sum([rack.current_a for rack in racks if rack.current_a == rack.current_a])
        if not (self._charge.near(-total_a) or self._discharge.near(total_a)):
            return []
        charge = self._charge.conditions(Read(-total_a, "sum of the racks"), active)
        return [*charge, *self._discharge.conditions(Read(total_a, "sum of the racks"), active)]


def cell(index: int) -> str:
    return f"cell {index + 1}"


def _hottest(rack: RackSummary, flows: bool) -> Read:
    return Read(rack.temperature_degc_max, cell(rack.hottest_cell), flows)


def _coldest(rack: RackSummary, flows: bool) -> Read:
    return Read(rack.temperature_degc_min, cell(rack.coldest_cell), flows)


def _quantity(name: str, limits: Limits, racks: int = 1) -> Quantity:
    about = LEVELLED[name]
    found = tuple(_limit(name, level, limits, racks) for level in LEVELS)
    return Quantity(
        ids=about.ids,
        sign=-1 if name.endswith("low") else 1,
        limits=(found[0], found[1], found[2]),
        hysteresis=about.hysteresis,
        only_flowing=about.only_flowing,
    )


def _limit(name: str, level: Level, limits: Limits, racks: int) -> float:
    side = "min" if name.endswith("low") else "max"
    use = "discharge" if "discharge" in name else "charge"
    if name.startswith("pack"):
        return limits.pack_current_a(use, level, racks)
    if "current" in name:
        return limits.rack_current_a(use, level)
    quantity = "cell_voltage_v" if "voltage" in name else f"{use}_temperature_degc"
    return float(getattr(limits, f"{quantity}_{side}" + ("" if level is Level.MAXIMUM else f"_{level}")))
