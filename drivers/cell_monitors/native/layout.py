"""Which frames and signals a native rack of a given size has, and where each value sits: shared by the driver and the
simulated rack, held honest by hand-typed golden frames and by cantools in the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from drivers.dbc import DbcPlan, SignalKey, build_plan, load_dbc
from drivers.readings import Flags, Floats

DBC_PATH = Path(__file__).with_name("rack_monitor.dbc")
MODULES_MAX = 32
CELLS_PER_MODULE_MAX = 16
CELLS_PER_FRAME = 4
CELLS_PER_SENSOR = 4
RACK_COMMAND_PERIOD_NS = 100_000_000
RACK_WATCHDOG_NS = 4_000_000_000
BLEED_COMMAND_PERIOD_NS = 500_000_000
BLEED_TIMEOUT_NS = 2_000_000_000
OUTPUTS_COMMAND_PERIOD_NS = 500_000_000
OUTPUTS_TIMEOUT_NS = 4_000_000_000

SCALARS: tuple[SignalKey, ...] = (
    ("RackCurrent", "Current"),
    ("RackState", "RackVoltage"),
    ("RackState", "LinkVoltage"),
    ("RackState", "MainClosed"),
    ("RackState", "PrechargeClosed"),
    ("RackState", "WatchdogTripped"),
    ("RackState", "CommandAge"),
    ("RackState", "OwnFault"),
    ("RackCurrent", "CurrentRedundant"),
)
SAFETY_FLAGS = (
    "InterlockClosed",
    "EmergencyStopReleased",
    "SmokeDetected",
    "GasDetected",
    "FirePanelAlarm",
    "DoorClosed",
    "FuseIntact",
    "CoolingRunning",
    "CoolingFailed",
    "FireOutputOn",
)
"""Signals of RackSafety in the order of `SafetyInputs`."""

SAFETY_SIGNALS: tuple[SignalKey, ...] = (
    *(("RackSafety", name) for name in SAFETY_FLAGS),
    ("RackSafety", "AuxSupplyVoltage"),
    ("RackSafety", "CoolantTemperature"),
    ("RackSafety", "PrechargeTemperature"),
    ("RackInsulation", "InsulationResistance"),
    ("RackInsulation", "InsulationState"),
    ("RackInsulation", "Alarms"),
    ("RackInsulation", "TemperatureRedundant"),
)


@dataclass(frozen=True, slots=True)
class NativeLayout:
    """Plans of one rack; its last module may have fewer cells than the others, and then fewer frames and sensors.
    Frame order of `measured`: voltage frames module by module, status frames, RackCurrent,
    RackState, RackSafety, RackInsulation. Signal order: cell voltages (`cells`), temperatures module by module
    (`sensors`), bleed read-backs (`modules`), current, rack voltage, link voltage, main closed, precharge closed,
    watchdog tripped, command age, own fault, redundant current, those of SAFETY_SIGNALS, then the unused places of
    partly filled frames.
    `commands`: bleed masks (`modules`), main close, precharge close, hold; frames in the same order: one a module, then
    RackCommand. `outputs`: fire alarm, cooling, insulation monitor off; one frame, RackOutputs."""

    modules: int
    cells_per_module: int
    cells: int
    measured: DbcPlan
    commands: DbcPlan
    outputs: DbcPlan

    @property
    def scalars(self) -> slice:
        """Those of SCALARS."""
        start = self.cells + self.sensors + self.modules
        return slice(start, start + len(SCALARS))

    @property
    def safety(self) -> slice:
        """Those of SAFETY_SIGNALS."""
        return slice(self.scalars.stop, self.scalars.stop + len(SAFETY_SIGNALS))

    @property
    def frames_per_module(self) -> int:
        return -(-self.cells_per_module // CELLS_PER_FRAME)

    @property
    def sensors_per_module(self) -> int:
        return -(-self.cells_per_module // CELLS_PER_SENSOR)

    @property
    def sensors(self) -> int:
        return (self.modules - 1) * self.sensors_per_module + -(-self.last_cells // CELLS_PER_SENSOR)

    @property
    def voltage_frames(self) -> int:
        return (self.modules - 1) * self.frames_per_module + -(-self.last_cells // CELLS_PER_FRAME)

    @property
    def last_cells(self) -> int:
        """Of the last module."""
        return self.cells - (self.modules - 1) * self.cells_per_module

    def masks(self, flags: Flags) -> Floats:
        """One number a module, a bit for each of its cells, from one flag a cell."""
        if 1 not in flags.tobytes():
            return np.zeros(self.modules)
        padded = np.zeros(self.modules * self.cells_per_module)
        padded[: self.cells] = flags
        return padded.reshape(self.modules, -1) @ (1 << np.arange(self.cells_per_module)).astype(np.float64)

    def flags(self, masks: Floats) -> Flags:
        """The reverse of `masks`."""
        bits = np.unpackbits(masks.astype("<u2").view(np.uint8), bitorder="little").reshape(self.modules, -1)
        return bits[:, : self.cells_per_module].ravel()[: self.cells]


@lru_cache(maxsize=8)
def native_layout(modules: int, cells_per_module: int, last_module_cells: int | None = None) -> NativeLayout:
    """Layout for `modules` 1..32 of `cells_per_module` 1..16 cells, the last perhaps of fewer; ValueError outside."""
    if not 1 <= modules <= MODULES_MAX:
        raise ValueError(f"modules is {modules}, must be 1..{MODULES_MAX}")
    if not 1 <= cells_per_module <= CELLS_PER_MODULE_MAX:
        raise ValueError(f"cells_per_module is {cells_per_module}, must be 1..{CELLS_PER_MODULE_MAX}")
    last = cells_per_module if last_module_cells is None else last_module_cells
    if not 1 <= last <= cells_per_module:
        raise ValueError(f"last_module_cells is {last}, must be 1..{cells_per_module}")
    each = [cells_per_module] * (modules - 1) + [last]
    return NativeLayout(modules, cells_per_module, sum(each), _measured(each), _commands(modules), _outputs())


def _measured(each: Sequence[int]) -> DbcPlan:
    """`each`: cells of every module."""
    modules = range(len(each))
    messages = [f"Module{m:02d}Voltage{k}" for m in modules for k in range(-(-each[m] // CELLS_PER_FRAME))]
    messages += [f"Module{m:02d}Status" for m in modules]
    messages += ["RackCurrent", "RackState", "RackSafety", "RackInsulation"]
    signals: list[SignalKey] = [
        (f"Module{m:02d}Voltage{cell // CELLS_PER_FRAME}", f"Cell{cell:02d}Voltage")
        for m in modules
        for cell in range(each[m])
    ]
    signals += [
        (f"Module{m:02d}Status", f"Temperature{sensor}")
        for m in modules
        for sensor in range(-(-each[m] // CELLS_PER_SENSOR))
    ]
    signals += [(f"Module{m:02d}Status", "Bleeding") for m in modules]
    signals += [*SCALARS, *SAFETY_SIGNALS]
    return build_plan(load_dbc(DBC_PATH), messages, signals)


def _commands(modules: int) -> DbcPlan:
    messages = [f"Module{m:02d}Bleed" for m in range(modules)]
    return build_plan(load_dbc(DBC_PATH), [*messages, "RackCommand"])


def _outputs() -> DbcPlan:
    names = ("FireAlarm", "Cooling", "InsulationMonitorOff")
    return build_plan(load_dbc(DBC_PATH), ["RackOutputs"], [("RackOutputs", name) for name in names])
