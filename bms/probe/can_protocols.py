"""The known protocols of CAN buses: how each is recognised, and what a site file says to use it."""

import math
from collections.abc import Callable

import numpy as np

from bms.probe.answers import Answer
from bms.probe.heard import Heard
from drivers.cell_monitors.foxbms.layout import DBC_PATH as FOXBMS_DBC
from drivers.cell_monitors.foxbms.layout import IDS, Source
from drivers.cell_monitors.native.layout import (
    CELLS_PER_MODULE_MAX,
    MODULES_MAX,
    native_layout,
)
from drivers.cell_monitors.native.snapshot import RackDecoder
from drivers.current_sensors.ivt_s import FIRST_ID, RESULTS, IvtDecoder
from drivers.dbc import build_plan, load_dbc
from drivers.insulation.iso165c import Iso165cDecoder
from drivers.low_voltage import PROFILES
from drivers.low_voltage.codec import BatteryDecoder
from kernels.canbits import FrameDecoder

Protocol = Callable[[Heard, str], Answer | None]
KEEP_ALIVE = 0x305
LOW_VOLTAGE_IDS = range(0x351, 0x383)
FOXBMS_REQUEST, FOXBMS_STATE, FOXBMS_VALUES = 0x210, 0x220, 0x233
FOXBMS_CELLS: dict[int, Source] = {0x250: "master", 0x270: "front-end"}
FOXBMS_TEMPERATURES = {0x250: 0x260, 0x270: 0x280}
ISO165C_INFO = 0x37
CELL = "lfp-280ah"
FULL_CELL_V = 3.55
"""Charge voltage by cells in series that makers of low-voltage LFP batteries ask for: 3.5 to 3.65 V."""
OURS_FRAC = 0.5
"""Share of the frames with our ids whose checksum is right: of another protocol's it is 1 in 256."""


def native(heard: Heard, can: str) -> Answer | None:
    """Our own rack monitor: frames whose CRC and counter are right, and how many cells they carry."""
    layout = native_layout(MODULES_MAX, CELLS_PER_MODULE_MAX)
    decoder = RackDecoder(layout)
    accepted = decoder.feed(heard.batch())
    if accepted == 0 or accepted < OURS_FRAC * (accepted + decoder.health.rejected):
        return None
    for plan in (layout.measured, layout.commands, layout.outputs):
        heard.claim(plan.frames.frame_id.tolist())
    reading = decoder.reading()
    there = np.isfinite(reading.voltage_v).reshape(MODULES_MAX, CELLS_PER_MODULE_MAX)
    modules, cells = int(there.any(axis=1).sum()), int(there.any(axis=0).sum())
    says = (
        f"native rack monitor: {modules} modules of {cells} cells",
        f"rack {reading.rack_voltage_v:.1f} V, {reading.current_a:.1f} A; {reading.health.rejected} bad frames",
    )
    details = {"protocol": "native", "modules": modules, "cells_per_module": cells}
    return Answer(says, _rack(can, modules, cells) if modules else "", details)


def foxbms(heard: Heard, can: str) -> Answer | None:
    """A foxBMS 2 master, or the front end that feeds one."""
    cells_id = next((can_id for can_id in FOXBMS_CELLS if heard.has(can_id)), None)
    if cells_id is None or not heard.has(FOXBMS_STATE, FOXBMS_VALUES):
        return None
    source = FOXBMS_CELLS[cells_id]
    names = ["CellVoltages", "CellTemperatures", "State", "PackLimits", "PackValues", "PackCharge"]
    plan = build_plan(load_dbc(FOXBMS_DBC), names, ids=IDS[source])
    heard.claim([FOXBMS_REQUEST, *plan.frames.frame_id.tolist(), *range(0x219, 0x222), *range(0x230, 0x246)])
    cells = 4 * (max(heard.frames[cells_id].first_bytes) + 1)
    sensors_id = FOXBMS_TEMPERATURES[cells_id]
    sensors = 6 * (max(heard.frames[sensors_id].first_bytes) + 1) if sensors_id in heard.frames else 0
    decoder = FrameDecoder(plan.frames)
    decoder.feed(heard.batch().data, 0)
    voltage_v = decoder.values[plan.signal_index["PackValues", "BatteryVoltage"]]
    modules, each = _modules(cells)
    says = (
        f"foxBMS 2, cells from the {source}: up to {cells} cells and {sensors} temperature sensors, {voltage_v:.1f} V",
        f"a sweep takes {cells / 40:g} s, too slow for protection: see docs/site-file.md",
        "modules and sensors are a guess: count them",
    )
    more = (
        f"\n    monitor: foxbms\n    foxbms: {{cells_from: {source}, sensors_per_module: {max(sensors // modules, 1)}}}"
    )
    details = {"protocol": "foxbms", "source": source, "cells": cells, "sensors": sensors}
    return Answer(says, _rack(can, modules, each) + more, details)


def low_voltage_battery(heard: Heard, can: str) -> Answer | None:
    """A low-voltage battery of another maker."""
    if not heard.has(0x351, 0x356):
        return None
    variant = _variant(heard)
    heard.claim([KEEP_ALIVE, *LOW_VOLTAGE_IDS])
    decoder = BatteryDecoder(PROFILES[variant])
    decoder.feed(heard.batch())
    battery = decoder.says()
    negative = math.isnan(battery.discharge_current_a_max)
    says = (
        f"low-voltage battery {battery.name or 'without a name'}, variant {variant}"
        + (", discharge limit negative" if negative else ""),
        f"{battery.voltage_v:.2f} V, SoC {100 * battery.soc_frac:.0f} %; "
        f"may be charged with {battery.charge_current_a_max:g} A up to {battery.charge_voltage_v_max:g} V",
        "cells in series are a guess by the charge voltage; in the site's limits, as it speaks once a second: "
        "cell_data_age_s_max, temperature_age_s_max and current_age_s_max above 1",
    )
    modules, each = _modules(max(round(battery.charge_voltage_v_max / FULL_CELL_V), 1))
    limit = ", discharge_limit: negative" if negative else ""
    more = f"\n    monitor: low-voltage\n    low_voltage: {{variant: {variant}{limit}}}\n    safety_inputs: []"
    details = {
        "protocol": "low-voltage",
        "variant": variant,
        "name": battery.name,
        "discharge_limit_negative": negative,
    }
    return Answer(says, _rack(can, modules, each) + more, details)


def low_voltage_inverter(heard: Heard, can: str) -> Answer | None:
    """An inverter that waits for a battery."""
    if not heard.has(KEEP_ALIVE) or heard.has(0x351):
        return None
    heard.claim(range(0x300, 0x310))
    says = (
        "an inverter that looks for a low-voltage battery (keep-alive 0x305); choose the variant that it is set to",
    )
    fragment = f"battery_bus:\n  variant: pylontech\n  can: {can}"
    return Answer(says, fragment, {"protocol": "low-voltage inverter"})


def ivt_s(heard: Heard, can: str) -> Answer | None:
    """An Isabellenhütte IVT-S with the ids that it has when it comes."""
    decoder = IvtDecoder("discharge")
    if decoder.feed(heard.batch()) == 0:
        return None
    heard.claim(range(FIRST_ID, FIRST_ID + len(RESULTS)))
    current_a = decoder.reading().current_a
    says = (f"Isabellenhütte IVT-S current sensor: {current_a:.3f} A on a wire that is positive in discharge",)
    return Answer(says, details={"protocol": "ivt-s", "current_a": None if math.isnan(current_a) else current_a})


def iso165c(heard: Heard, can: str) -> Answer | None:
    """A Bender iso165C."""
    if not heard.has(ISO165C_INFO) or heard.frames[ISO165C_INFO].lengths != {6}:
        return None
    heard.claim([0x22, 0x23, ISO165C_INFO])
    decoder = Iso165cDecoder()
    decoder.feed(heard.batch())
    reading = decoder.reading()
    state = reading.state.name.lower() if reading.state is not None else "unknown"
    says = (f"Bender iso165C insulation monitor: {reading.insulation_kohm:.0f} kOhm, {state}",)
    kohm = None if math.isnan(reading.insulation_kohm) else reading.insulation_kohm
    return Answer(says, details={"protocol": "iso165c", "insulation_kohm": kohm, "state": state})


PROTOCOLS: tuple[Protocol, ...] = (native, foxbms, low_voltage_battery, low_voltage_inverter, ivt_s, iso165c)


def _rack(can: str, modules: int, cells: int) -> str:
    """A rack as the site file lists it; what a bus cannot tell is a guess to look at."""
    return "\n".join(
        [
            "racks:",
            "  - name: rack-1",
            f"    modules: {modules}",
            f"    cells_per_module: {cells}",
            f"    cell: {CELL}  # which cells they are, no bus says",
            f"    can: {can}",
            "    contactor_break_current_a: 20  # of the contactors' data sheet",
        ]
    )


def _modules(cells: int) -> tuple[int, int]:
    """A split of the cells that a site file takes: the fewest modules."""
    fits = [each for each in range(1, CELLS_PER_MODULE_MAX + 1) if cells % each == 0 and cells // each <= MODULES_MAX]
    each = max(fits, default=CELLS_PER_MODULE_MAX)
    return max(cells // each, 1), each


def _variant(heard: Heard) -> str:
    """By the message that the alarms are in, and by the name."""
    name = heard.frames[0x35E].last if heard.has(0x35E) else b""
    if heard.has(0x359):
        return "pylontech"
    if name.startswith(b"BYD"):
        return "byd"
    return "sma" if name.startswith(b"SMA") else "victron"
