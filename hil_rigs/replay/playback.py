"""The images of a record, tick by tick, as the controller saw them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from bms.image import Image
from bms.record import RecordError
from bms.record.readings import BATTERY, CELLS, INVERTER, METER, RACK, SWITCHGEAR
from bms.site import Site
from drivers.battery import BatteryAlarm, BatterySays
from drivers.readings import (
    NEVER_NS,
    Floats,
    InverterRating,
    InverterReading,
    InverterState,
    MeterReading,
    MonitorHealth,
    RackOwnFault,
    RackReading,
    SentPower,
    SwitchgearReading,
)
from drivers.safety import InsulationState, MonitorAlarm, SafetyInputs

Row = dict[str, Any]
COLUMNS = ("inverter", "meter", "pv", "racks", "cells")
_NAMES = [field.name for field in RACK]
HEALTH = _NAMES[_NAMES.index("frames_accepted") : _NAMES.index("watchdog_tripped")]
SAFETY = _NAMES[_NAMES.index("interlock_closed") : _NAMES.index("insulation_kohm")]


class Playback:
    """`image` gives the image of a tick, and `row` is then the recorded row that it was made of; None after the last.
    The rows' times count from the first tick, whose `at_ns` it is given. RecordError for rows without readings, or that
    are not of `site`."""

    def __init__(self, batches: Iterable[Any], site: Site, name: str) -> None:
        self._rows = _rows(batches)
        self._site, self._name = site, name
        self._half_ns = round(site.controller.protect_period_s * 1e9) // 2
        self._start_ns: int | None = None
        self._next = next(self._rows, None)
        if self._next is None:
            raise RecordError(f"{name}: holds no rows")
        self._check(self._next)
        self._cells = [_Cells(rack.cells) for rack in site.racks]
        self._commanded_w: float | None = None
        self._newest: Image | None = None
        self.row: Row | None = None

    @property
    def ended(self) -> bool:
        """All rows were played."""
        return self._next is None

    def image(self, at_ns: int) -> Image:
        """The newest row that is due; the same again, older, where the record has a gap."""
        if self._start_ns is None:
            self._start_ns = at_ns
        while self._next is not None and self._at_ns(self._next) <= at_ns + self._half_ns:
            if self.row is not None:
                self._commanded_w = self.row["sent_power_w"]
            self.row, self._next = self._next, next(self._rows, None)
            self._check(self.row)
            for cells, kept in zip(self._cells, self.row["cells"], strict=True):
                cells.keep(kept)
        assert self.row is not None, "the first row is due at once"
        return self._image(self.row, at_ns)

    def _at_ns(self, row: Row) -> int:
        assert self._start_ns is not None
        return self._start_ns + int(row["time_s"] * 1e9)

    def _image(self, row: Row, at_ns: int) -> Image:
        start_ns, row_ns = self._start_ns or 0, self._at_ns(row)
        inverter = row["inverter"]
        nameplate = inverter["charge_power_w_max"], inverter["discharge_power_w_max"]
        sent_ns = inverter["sent_at_ns"]
        return Image(
            at_ns,
            tuple(
                _rack(said, cells, row_ns, by_itself=rack.monitor == "low-voltage")
                for said, cells, rack in zip(row["racks"], self._cells, self._site.racks, strict=True)
            ),
            _inverter(inverter, start_ns),
            None if all(map(math.isnan, nameplate)) else InverterRating(*nameplate),
            _meter(row["meter"], start_ns),
            SentPower(start_ns + sent_ns, inverter["sent_power_w"]) if sent_ns is not None else None,
            self._commanded_w,
            _meter(row["pv"], start_ns),
            _switchgear(row.get("switchgear"), start_ns),
        )

    def _check(self, row: Row) -> None:
        if any(row.get(name) is None for name in COLUMNS):
            raise RecordError(f"{self._name}: at {row['time_s']:.2f} s there are no readings to replay")
        if self._site.intertie is not None and row.get("switchgear") is None:
            raise RecordError(f"{self._name}: does not hold what the site's intertie says, no replay")
        racks, cells = self._site.racks, row["cells"]
        if len(cells) != len(racks):
            raise RecordError(f"{self._name}: holds {len(cells)} racks, the site has {len(racks)}")
        for rack, kept in zip(racks, cells, strict=True):
            if rack.monitor == "low-voltage" and BATTERY[0].name not in row["racks"][0]:
                raise RecordError(f"{self._name}: does not hold what the battery {rack.name} says, no replay")
            if kept is not None and len(kept[CELLS[0]]) != rack.cells:
                raise RecordError(f"{self._name}: holds {len(kept[CELLS[0]])} cells of {rack.name}, not {rack.cells}")


class _Cells:
    """One rack's cells between the times at which each was kept."""

    def __init__(self, cells: int) -> None:
        self.voltage_v: Floats = np.full(cells, math.nan)
        self.temperature_degc: Floats = np.full(cells, math.nan)
        self.bleeding = np.zeros(cells, np.uint8)
        self._mean_v = math.nan

    def keep(self, kept: Mapping[str, Any] | None) -> None:
        if kept is None:
            return
        voltage_v, temperature_degc, bleeding = (kept[name] for name in CELLS)
        self.voltage_v, self.temperature_degc = np.array(voltage_v), np.array(temperature_degc)
        self.bleeding = np.array(bleeding, np.uint8)
        there = self.voltage_v[~np.isnan(self.voltage_v)]
        self._mean_v = float(there.mean()) if len(there) else math.nan

    def now(self, rack: Mapping[str, Any]) -> tuple[Floats, Floats]:
        """Voltages moved with the mean, temperatures as they were; the extremes where and what they are."""
        moved_v = rack["voltage_v_mean"] - self._mean_v
        voltage_v = self.voltage_v + (0.0 if math.isnan(moved_v) else moved_v)
        temperature_degc = self.temperature_degc.copy()
        for values, low, high, lowest, highest in (
            (voltage_v, "voltage_v_min", "voltage_v_max", "lowest_cell", "highest_cell"),
            (temperature_degc, "temperature_degc_min", "temperature_degc_max", "coldest_cell", "hottest_cell"),
        ):
            if not math.isnan(rack[low]):
                np.clip(values, rack[low], rack[high], out=values)
                values[rack[lowest]], values[rack[highest]] = rack[low], rack[high]
        return voltage_v, temperature_degc


def _rows(batches: Iterable[Any]) -> Iterator[Row]:
    for batch in batches:
        yield from batch.to_pylist()


def _inverter(said: Mapping[str, Any], start_ns: int) -> InverterReading | None:
    if said["at_ns"] is None:
        return None
    values = {field.name: said[field.name] for field in INVERTER[:11]}
    return InverterReading(**values | {"at_ns": start_ns + values["at_ns"], "state": InverterState(values["state"])})


def _meter(said: Mapping[str, Any], start_ns: int) -> MeterReading | None:
    if said["at_ns"] is None:
        return None
    values = {field.name: said[field.name] for field in METER}
    return MeterReading(**values | {"at_ns": start_ns + values["at_ns"]})


def _switchgear(said: Mapping[str, Any] | None, start_ns: int) -> SwitchgearReading | None:
    if said is None or said["at_ns"] is None:
        return None
    values = {field.name: said[field.name] for field in SWITCHGEAR}
    return SwitchgearReading(**values | {"at_ns": start_ns + values["at_ns"]})


def _rack(said: Mapping[str, Any], cells: _Cells, row_ns: int, *, by_itself: bool) -> RackReading:
    at_ns = {name: _time_ns(said[f"{name}_age_ms"], row_ns) for name in AGES}
    # A battery with a management of its own says extremes, and no cells that they are of.
    voltage_v, temperature_degc = (cells.voltage_v, cells.temperature_degc) if by_itself else cells.now(said)
    return RackReading(
        voltage_v=voltage_v,
        voltage_at_ns=np.full(len(voltage_v), at_ns["voltage"]),
        temperature_degc=temperature_degc,
        temperature_at_ns=np.full(len(voltage_v), at_ns["temperature"]),
        bleeding=cells.bleeding,
        current_a=said["current_a"],
        current_at_ns=at_ns["current"],
        rack_voltage_v=said["rack_voltage_v"],
        link_voltage_v=said["link_voltage_v"],
        main_closed=said["main_closed"],
        precharge_closed=said["precharge_closed"],
        command_age_s=said["command_age_s"],
        io_at_ns=at_ns["io"],
        health=MonitorHealth(*(said[name] for name in HEALTH)),
        watchdog_tripped=said["watchdog_tripped"],
        safety=_safety(said, at_ns),
        current_redundant_a=said["current_redundant_a"],
        own_fault=RackOwnFault(said["own_fault"]),
        battery=_battery(said, row_ns) if by_itself else None,
    )


def _battery(said: Mapping[str, Any], row_ns: int) -> BatterySays:
    values: dict[str, Any] = {}
    for field in BATTERY:
        name, value = field.name.removeprefix("battery_"), said[field.name]
        if name.endswith("_age_ms"):
            values[name.replace("_age_ms", "_at_ns")] = _time_ns(value, row_ns)
        elif name in ("alarms", "warnings"):
            values[name] = None if value is None else BatteryAlarm(value)
        else:
            values[name] = value
    return BatterySays(**values)


AGES = ("voltage", "temperature", "current", "io", "safety", "insulation")


def _safety(said: Mapping[str, Any], at_ns: Mapping[str, int]) -> SafetyInputs:
    state, alarms = said["insulation_state"], said["alarms"]
    return SafetyInputs(
        at_ns=at_ns["safety"],
        insulation_at_ns=at_ns["insulation"],
        insulation_kohm=said["insulation_kohm"],
        insulation_state=None if state is None else InsulationState(state),
        alarms=None if alarms is None else MonitorAlarm(alarms),
        temperature_redundant_degc=said["temperature_redundant_degc"],
        aux_on_battery=said["aux_on_battery"],
        aux_charge_frac=said["aux_charge_frac"],
        **{name: said[name] for name in SAFETY},
    )


def _time_ns(age_ms: int | None, row_ns: int) -> int:
    return NEVER_NS if age_ms is None else row_ns - age_ms * 1_000_000
