"""What a record keeps of the readings themselves, so that `hil replay` can give them to a controller once more.

Everything but the cells is kept in every tick. Each cell's voltage and temperature is kept once in CELLS_PERIOD_S, and
in every tick the cells' mean, the extremes and where they are: between two times cells move together with the mean.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from struct import pack, unpack
from typing import Any, NamedTuple

import numpy as np

from bms.image import Image
from bms.summary import RackSummary, Summary, mean_of
from drivers.battery import BatterySays
from drivers.readings import NEVER_NS, Floats, InverterState, MeterReading, RackReading, SwitchgearReading

CELLS_PERIOD_S = 1.0
VOLTAGE_STEP_V, TEMPERATURE_STEP_K = 1e-4, 1e-2
VOLTAGE_OFFSET_V = 3.0
"""int16 in steps of 0.1 mV then reach from -0.2767 V to 6.2767 V."""
ABSENT = -32768
NEVER_AGE_S = 1e9
"""What is older was never heard (NEVER_NS)."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a device. `type` is an Arrow type by name; null = not said."""

    name: str
    type: str
    unit: str


def _fields(text: str) -> tuple[Field, ...]:
    """Fields from lines of names, type and unit ("-" = none)."""
    parts = [line.split() for line in text.strip().splitlines()]
    return tuple(Field(name, kind, "" if unit == "-" else unit) for *names, kind, unit in parts for name in names)


INVERTER = _fields("""
    at_ns int64 ns
    state string -
    ac_power_w dc_power_w float64 W
    dc_voltage_v float64 V
    dc_current_a float64 A
    frequency_hz float64 Hz
    grid_connected remote_control bool -
    alarm_bits int64 -
    grid_forming bool -
    charge_power_w_max discharge_power_w_max float64 W
    sent_at_ns int64 ns
    sent_power_w float64 W
""")
"""InverterReading, then the nameplate and the newest set-point that the converter acknowledged (null = none)."""

METER = _fields("""
    at_ns int64 ns
    power_w float64 W
    frequency_hz float64 Hz
    voltage_v float64 V
""")

SWITCHGEAR = _fields("""
    at_ns int64 ns
    intertie_closed sync_ok bool -
    grid_voltage_v float64 V
    grid_frequency_hz float64 Hz
    site_voltage_v float64 V
    site_frequency_hz float64 Hz
    phase_deg float64 deg
    blocks_closed int64 -
""")
"""SwitchgearReading in its order; nothing of a site without."""

RACK = _fields("""
    voltage_age_ms temperature_age_ms current_age_ms io_age_ms safety_age_ms insulation_age_ms int64 ms
    voltage_v_mean voltage_v_min voltage_v_max float32 V
    lowest_cell highest_cell int32 -
    temperature_degc_min temperature_degc_max float32 °C
    coldest_cell hottest_cell int32 -
    current_a float32 A
    rack_voltage_v link_voltage_v float32 V
    main_closed precharge_closed bool -
    command_age_s float32 s
    frames_accepted crc_errors counter_errors length_errors frames_lost frames_unknown int64 -
    watchdog_tripped bool -
    current_redundant_a float32 A
    own_fault int32 -
    interlock_closed emergency_stop_released smoke_detected gas_detected fire_panel_alarm bool -
    door_closed fuse_intact cooling_running cooling_failed fire_output_on bool -
    aux_supply_v float32 V
    coolant_temperature_degc precharge_temperature_degc float32 °C
    insulation_kohm float32 kOhm
    insulation_state alarms int32 -
    temperature_redundant_degc float32 °C
    aux_on_battery bool -
    aux_charge_frac float32 -
""")
"""Ages are null for what was never heard; cells count from 0, and a mean is of the cells that have a value."""

BATTERY = _fields("""
    battery_limits_age_ms int64 ms
    battery_charge_voltage_v_max float64 V
    battery_charge_current_a_max battery_discharge_current_a_max float64 A
    battery_discharge_voltage_v_min float64 V
    battery_soc_age_ms int64 ms
    battery_soc_frac battery_soh_frac float64 -
    battery_measured_age_ms int64 ms
    battery_voltage_v float64 V
    battery_current_a float64 A
    battery_temperature_degc float64 °C
    battery_alarms_age_ms int64 ms
    battery_alarms battery_warnings int64 -
    battery_requests_age_ms int64 ms
    battery_charge_allowed battery_discharge_allowed battery_charge_requested bool -
    battery_full_charge_requested bool -
    battery_cells_age_ms int64 ms
    battery_cell_voltage_v_min battery_cell_voltage_v_max float64 V
    battery_cell_temperature_degc_min battery_cell_temperature_degc_max float64 °C
    battery_capacity_ah float64 Ah
""")
"""The rest of a rack that is a battery with a management of its own: BatterySays in its order, without the name, and
with ages in the place of times. Other racks have none of it."""

CELLS = ("cell_voltage_v", "cell_temperature_degc", "cell_bleeding")
"""One entry a cell; null in the ticks in which they were not kept."""

STATES = tuple(InverterState)
Numbers = Sequence[float]
"""The fields of one device as numbers: NaN for null, a state by its place in STATES."""


class Readings(NamedTuple):
    """One tick's, in the order of the fields above. Cells are packed as `packed_cells` says."""

    inverter: Numbers
    meter: Numbers
    pv: Numbers
    racks: tuple[Numbers, ...]
    cells: tuple[tuple[str, str, str] | None, ...]
    switchgear: Numbers = ()


def reading_lines(readings: Readings) -> list[dict[str, Any]]:
    """The same in pieces that a pipe takes whole, for JSON."""
    devices = (*readings.inverter, *readings.meter, *readings.pv, *readings.switchgear)
    lines: list[dict[str, Any]] = [{"devices": _packed(devices)}]
    for index, (rack, cells) in enumerate(zip(readings.racks, readings.cells, strict=True)):
        lines.append({"rack": index, "values": _packed(rack)})
        if cells is not None:
            lines += [{"rack": index, "cells": kind, "packed": text} for kind, text in enumerate(cells)]
    return lines


class ReadingLines:
    """Puts the pieces together again: `take` each, then `end` at the row that they belong to."""

    def __init__(self) -> None:
        self._devices: Numbers = ()
        self._racks: dict[int, Numbers] = {}
        self._cells: dict[int, dict[int, str]] = {}

    def take(self, line: dict[str, Any]) -> None:
        if "devices" in line:
            self._devices = _numbers(line["devices"])
        elif "cells" in line:
            self._cells.setdefault(line["rack"], {})[line["cells"]] = line["packed"]
        else:
            self._racks[line["rack"]] = _numbers(line["values"])

    def end(self) -> Readings | None:
        """None when a piece is missing."""
        devices, racks, cells = self._devices, self._racks, self._cells
        self._devices, self._racks, self._cells = (), {}, {}
        if not devices or sorted(racks) != list(range(len(racks))):
            return None
        kept = [cells.get(index, {}) for index in range(len(racks))]
        whole = tuple((each[0], each[1], each[2]) if len(each) == len(CELLS) else None for each in kept)
        first, second, third = (len(INVERTER) + count * len(METER) for count in range(3))
        values = tuple(racks[index] for index in range(len(racks)))
        inverter, meter, pv = devices[:first], devices[first:second], devices[second:third]
        return Readings(inverter, meter, pv, values, whole, devices[third:])


def _packed(numbers: Numbers) -> str:
    """Little-endian doubles in base64: a tenth of the time that decimal digits take."""
    return b64encode(pack(f"<{len(numbers)}d", *numbers)).decode()


def _numbers(packed: str) -> Numbers:
    data = b64decode(packed)
    return unpack(f"<{len(data) // 8}d", data)


class ReadingsTaker:
    """Takes what is to be kept of each tick's image. Cells are kept once in CELLS_PERIOD_S, and as soon as one gets its
    first value or loses it."""

    def __init__(self, racks: int) -> None:
        self._kept_ns = [NEVER_NS] * racks
        self._known = [-1] * racks

    def take(self, image: Image, summary: Summary, start_ns: int) -> Readings:
        """Times count from `start_ns`."""
        racks = zip(image.racks, summary.racks, strict=True)
        return Readings(
            _inverter(image, start_ns),
            _meter(image.meter, start_ns),
            _meter(image.pv, start_ns),
            tuple(_rack(rack, rack_summary, image.at_ns) for rack, rack_summary in racks),
            tuple(
                self._cells(index, rack, rack_summary.complete, image.at_ns)
                for index, (rack, rack_summary) in enumerate(zip(image.racks, summary.racks, strict=True))
            ),
            () if image.switchgear is None else _switchgear(image.switchgear, start_ns),
        )

    def _cells(self, index: int, rack: RackReading, complete: bool, at_ns: int) -> tuple[str, str, str] | None:
        known = 2 * len(rack.voltage_v) if complete else _known(rack.voltage_v) + _known(rack.temperature_degc)
        due = at_ns - self._kept_ns[index] >= round(CELLS_PERIOD_S * 1e9)
        if not due and known == self._known[index]:
            return None
        self._kept_ns[index], self._known[index] = at_ns, known
        return packed_cells(rack)


def packed_cells(rack: RackReading) -> tuple[str, str, str]:
    """Voltages in VOLTAGE_STEP_V and temperatures in TEMPERATURE_STEP_K as little-endian int16 (ABSENT = none), the
    former less 3 V, and the bleed switches as bits, the first cell's highest; base64."""
    voltage = _steps(rack.voltage_v - VOLTAGE_OFFSET_V, VOLTAGE_STEP_V)
    temperature = _steps(rack.temperature_degc, TEMPERATURE_STEP_K)
    bits = np.packbits(rack.bleeding.astype(np.bool_))
    first, second, third = (b64encode(values.tobytes()).decode() for values in (voltage, temperature, bits))
    return first, second, third


def _steps(values: Any, step: float) -> Any:
    scaled = np.clip(np.rint(values / step), ABSENT + 1, 32767)
    return np.where(np.isnan(scaled), ABSENT, scaled).astype("<i2")


def _known(values: Floats) -> int:
    return int(np.count_nonzero(~np.isnan(values)))


def _mean(values: Floats) -> float:
    """Of the values that there are."""
    mean = mean_of(values)
    if not isnan(mean):
        return mean
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else nan


def _inverter(image: Image, start_ns: int) -> Numbers:
    said, rating, sent = image.inverter, image.rating, image.sent
    reading: Numbers = (nan,) * 11
    if said is not None:
        reading = (
            said.at_ns - start_ns, STATES.index(said.state), said.ac_power_w, said.dc_power_w, said.dc_voltage_v,
            said.dc_current_a, said.frequency_hz, said.grid_connected, said.remote_control, said.alarm_bits,
            said.grid_forming,
        )  # fmt: skip
    nameplate = (rating.charge_power_w_max, rating.discharge_power_w_max) if rating is not None else (nan, nan)
    return *reading, *nameplate, *((sent.at_ns - start_ns, sent.power_w) if sent is not None else (nan, nan))


def _meter(said: MeterReading | None, start_ns: int) -> Numbers:
    if said is None:
        return (nan,) * len(METER)
    return said.at_ns - start_ns, said.power_w, said.frequency_hz, said.voltage_v


def _switchgear(said: SwitchgearReading, start_ns: int) -> Numbers:
    return (
        said.at_ns - start_ns, said.intertie_closed, said.sync_ok, said.grid_voltage_v, said.grid_frequency_hz,
        said.site_voltage_v, said.site_frequency_hz, said.phase_deg, said.blocks_closed,
    )  # fmt: skip


def _rack(rack: RackReading, summary: RackSummary, at_ns: int) -> Numbers:
    inputs = rack.safety
    values = (
        rack.main_closed, rack.precharge_closed, rack.command_age_s, *rack.health, rack.watchdog_tripped,
        rack.current_redundant_a, rack.own_fault, *inputs[1:14], inputs.insulation_kohm, inputs.insulation_state,
        inputs.alarms, inputs.temperature_redundant_degc, inputs.aux_on_battery, inputs.aux_charge_frac,
    )  # fmt: skip
    says = () if rack.battery is None else _battery(rack.battery, at_ns)
    return (
        _age_ms(summary.voltage_age_s), _age_ms(summary.temperature_age_s), _age_ms(summary.current_age_s),
        _age_ms(summary.io_age_s), _age_ms(summary.safety_age_s), _age_ms(summary.insulation_age_s),
        _mean(rack.voltage_v), summary.voltage_v_min, summary.voltage_v_max, summary.lowest_cell, summary.highest_cell,
        summary.temperature_degc_min, summary.temperature_degc_max, summary.coldest_cell, summary.hottest_cell,
        rack.current_a, rack.rack_voltage_v, rack.link_voltage_v,
        *[nan if value is None else value for value in values], *says,
    )  # fmt: skip


def _battery(says: BatterySays, at_ns: int) -> Iterator[float]:
    value: Any
    for name, value in zip(BatterySays._fields[:-1], says, strict=False):
        if name.endswith("at_ns"):
            yield _age_ms((at_ns - value) / 1e9)
        else:
            yield nan if value is None else value


def _age_ms(age_s: float) -> float:
    return nan if age_s > NEVER_AGE_S else age_s * 1e3
