"""One rack of a site file: its cells, their monitor, its contactors and what else is on its bus."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from bms.site.devices import CHOICE, NAME, CanBus, ContactorBlock
from bms.site.low_voltage import LowVoltage
from bms.site.mapping import load_mapping
from bms.site.monitors import CurrentSensor, FoxBms, InsulationMonitor
from bms.site.safety import NATIVE, SafetyInput
from drivers.cell_monitors.foxbms.layout import SENSORS_MAX, STATE_PERIOD_S, foxbms_layout
from drivers.config.config_yaml import ConfigErrors
from drivers.config.settings import RELATION, Broken, Settings, about, beside_the_file, name_or_beside, taken
from drivers.low_voltage.codec import KEEP_ALIVE_PERIOD_S
from kernels.parameters import load_cell


def existing_cell(name: str, info: ValidationInfo) -> str:
    """Validator: the parameter file of a cell, found and read when a settings file is loaded."""
    name = name_or_beside(name, info)
    if info.context is None:
        return name
    try:
        load_cell(name)
    except (ValueError, OSError) as error:
        expected = "name or path of a cell's parameter file"
        raise PydanticCustomError(RELATION, "{wrong}", {"wrong": str(error), "expected": expected}) from None
    return name


def existing_mapping(path: str | None, info: ValidationInfo) -> str | None:
    """Validator: a mapping file, read with its DBC file when a settings file is loaded; its mistakes are in it."""
    if path is None or info.context is None:
        return path
    path = beside_the_file(path, info)
    try:
        load_mapping(path)
    except ConfigErrors as error:
        lines = str(error).splitlines()
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        expected = "a mapping file without mistakes"
        raise PydanticCustomError(RELATION, "{wrong}", {"wrong": lines[0] + more, "expected": expected}) from None
    return path


class Rack(Settings):
    """Cells in series behind one pair of contactors, with their monitor on a CAN bus of their own."""

    name: Annotated[str, about("", "name in faults, records and pages", **NAME)]
    modules: Annotated[int, about("", "cell-monitor modules in series", ge=1, le=32)]
    cells_per_module: Annotated[int, about("", "cells in series in each module", ge=1, le=16)]
    last_module_cells: Annotated[
        int | None, about("", "cells in series in the last module, where it has fewer", "as the others", ge=1, le=16)
    ] = None
    cell: Annotated[
        str,
        about("", "name or path of the cell's parameter file", min_length=1, max_length=500),
        AfterValidator(existing_cell),
    ]
    monitor: Annotated[
        Literal["native", "foxbms", "dbc", "low-voltage"], about("", "driver of the cell monitor", "ours")
    ] = "native"
    low_voltage: Annotated[
        LowVoltage | None,
        about("", "which maker's battery with a management of its own (`monitor: low-voltage`)"),
    ] = None
    mapping: Annotated[
        str | None,
        about("", "mapping file of a monitor that has a DBC file (`monitor: dbc`)", min_length=1, max_length=500),
        AfterValidator(existing_mapping),
    ] = None
    foxbms: Annotated[FoxBms, about("", "how a foxBMS 2 sends its cells")] = FoxBms()
    can: Annotated[CanBus, about("", "bus of the cell monitor")]
    current_sensor: Annotated[CurrentSensor | None, about("", "second current sensor on the same bus")] = None
    insulation_monitor: Annotated[
        InsulationMonitor | None,
        about("", "insulation monitor on the same bus, in the place of the cell monitor's own"),
    ] = None
    contactor_break_current_a: Annotated[
        float, about("A", "contactors open below this current, or after a bounded wait", gt=0, le=10_000)
    ]
    contactor_current_a_max: Annotated[
        float | None,
        about("A", "most that its contactors can break: above it the fuse is waited for", "no limit", gt=0, le=100_000),
    ] = None
    fuse_trip_s: Annotated[
        float, about("s", "its fuse melts within this time at that current; then they open anyway", CHOICE, ge=0, le=60)
    ] = 5.0
    contactors: Annotated[
        Literal["gateway", "rack"],
        about("", "who moves its contactors: the gateway's commands, or the rack's own BMS on request", CHOICE),
    ] = "gateway"
    contactor_block: Annotated[
        ContactorBlock | None,
        about("", "Modbus I/O block on which its contactors hang, in the place of the cell monitor's own outputs"),
    ] = None
    connect_s_max: Annotated[
        float,
        about("s", "a rack that moves its contactors itself connects within this time", CHOICE, gt=0, le=60),
    ] = 10.0
    disconnect_s_max: Annotated[
        float,
        about("s", "a rack that moves its contactors itself disconnects within this time", CHOICE, gt=0, le=3),
    ] = 1.0
    safety_inputs: Annotated[
        tuple[SafetyInput, ...],
        Field(strict=False),
        about("", "inputs beside the cells that are wired; the others are not judged", "all", max_length=14),
    ] = NATIVE

    def broken_relations(self) -> Iterator[Broken]:
        yield from self._broken_last_module()
        yield from self._broken_mapping()
        yield from self._broken_low_voltage()
        sensors = self.modules * self.foxbms.sensors_per_module
        if self.monitor == "foxbms" and sensors > SENSORS_MAX:
            wrong, expected = f"{sensors} temperature sensors in the rack", f"at most {SENSORS_MAX} together"
            yield Broken(("foxbms", "sensors_per_module"), self.foxbms.sensors_per_module, wrong, expected,
                         (("modules",),))  # fmt: skip
        first: dict[str, int] = {}
        for i, name in enumerate(self.safety_inputs):
            if (twin := first.setdefault(name, i)) != i:
                wrong = f"same input as safety_inputs.{twin}"
                yield taken(("safety_inputs", i), name, wrong, ("safety_inputs", twin))

    def _broken_last_module(self) -> Iterator[Broken]:
        last = self.last_module_cells
        if last is not None and last > self.cells_per_module:
            wrong, others = "more than the others have", (("cells_per_module",),)
            yield Broken(("last_module_cells",), last, wrong, f"at most {self.cells_per_module}", others)
        if last is not None and self.monitor == "foxbms":
            wrong = "not for a foxbms monitor, whose modules are all alike"
            yield Broken(("last_module_cells",), last, wrong, "nothing", (("monitor",),))

    def _broken_low_voltage(self) -> Iterator[Broken]:
        if (self.monitor == "low-voltage") != (self.low_voltage is not None):
            missing = self.low_voltage is None
            wrong = "missing for this monitor" if missing else f"not for a {self.monitor} monitor"
            expected = "the variant of its maker" if missing else "nothing, or monitor: low-voltage"
            yield Broken(("low_voltage",), None if missing else "a mapping", wrong, expected, (("monitor",),))
        if self.monitor == "low-voltage" and self.safety_inputs:
            wrong, others = "such a battery has none", (("monitor",),)
            yield Broken(("safety_inputs",), f"{len(self.safety_inputs)} inputs", wrong, "an empty list", others)

    def _broken_mapping(self) -> Iterator[Broken]:
        if (self.monitor == "dbc") != (self.mapping is not None):
            wrong = "missing for this monitor" if self.mapping is None else f"not for a {self.monitor} monitor"
            expected = "a mapping file" if self.mapping is None else "nothing, or monitor: dbc"
            yield Broken(("mapping",), self.mapping, wrong, expected, (("monitor",),))
        elif self.mapping is not None and (mapped := len(load_mapping(self.mapping).voltages.names)) != self.cells:
            wrong, expected = f"maps {mapped} cells, the rack has {self.cells}", f"{self.cells} voltages"
            yield Broken(("mapping",), self.mapping, wrong, expected, (("modules",), ("cells_per_module",)))
        elif self.mapping is not None and load_mapping(self.mapping).command is None and self.contactor_block is None:
            wrong = "commands no contactors, and they hang on no block"
            yield Broken(("mapping",), self.mapping, wrong, "a command, or contactor_block", (("contactor_block",),))

    @property
    def cells(self) -> int:
        """Cells in series."""
        last = self.cells_per_module if self.last_module_cells is None else self.last_module_cells
        return (self.modules - 1) * self.cells_per_module + last


def word_periods(rack: Rack) -> dict[str, float]:
    """How often a slow monitor says what these limits of age are about; nothing for one that is fast enough."""
    if rack.monitor == "low-voltage":
        names = ("cell_data_age_s_max", "temperature_age_s_max", "current_age_s_max")
        return dict.fromkeys(names, KEEP_ALIVE_PERIOD_S)
    if rack.monitor != "foxbms":
        return {}
    layout = foxbms_layout(rack.cells, rack.modules * rack.foxbms.sensors_per_module, rack.foxbms.cells_from)
    return {
        "cell_data_age_s_max": layout.sweep_s,
        "temperature_age_s_max": layout.temperature_sweep_s,
        "current_age_s_max": STATE_PERIOD_S,
    }
