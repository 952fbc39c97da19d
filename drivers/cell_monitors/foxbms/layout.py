"""Which foxBMS 2 frames and signals a rack of a given size has; shared by the driver and the simulated foxBMS."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from drivers.dbc import DbcPlan, SignalKey, build_plan, load_dbc

DBC_PATH = Path(__file__).with_name("foxbms.dbc")
CELLS_PER_PAGE, SENSORS_PER_PAGE = 4, 6
CELLS_MAX, SENSORS_MAX = 512, 258
VOLTAGE_PAGE_S, TEMPERATURE_PAGE_S = 0.1, 0.2
"""A page goes out this often (CANTX_CELL_VOLTAGES_PERIOD_ms, CANTX_CELL_TEMPERATURES_PERIOD_ms)."""
STATE_PERIOD_S = 0.1
REQUEST_PERIOD_NS = 100_000_000

Source = Literal["front-end", "master"]
"""Who sends the cells: a CAN front end (0x270, 0x280) or the foxBMS 2 master itself (0x250, 0x260)."""

IDS: dict[Source, dict[str, int]] = {
    "front-end": {},
    "master": {"CellVoltages": 0x250, "CellTemperatures": 0x260},
}

SCALARS: tuple[SignalKey, ...] = (
    ("PackValues", "Current"),
    ("PackValues", "BatteryVoltage"),
    ("PackValues", "BusVoltage"),
    ("State", "BmsState"),
    ("State", "ConnectedStrings"),
    ("State", "InsulationMonitoring"),
    ("State", "MainFuseBlown"),
    ("State", "InterlockOpen"),
    ("State", "InsulationResistance"),
    ("PackLimits", "ChargeCurrentMax"),
    ("PackLimits", "DischargeCurrentMax"),
    ("PackLimits", "VoltageMax"),
    ("PackLimits", "VoltageMin"),
    ("PackCharge", "SocMin"),
    ("PackCharge", "SocMax"),
    ("PackCharge", "Soh"),
)


@dataclass(frozen=True, slots=True)
class FoxBmsLayout:
    """Plans of one rack. Signal order of `measured`: voltages (`cells`), their flags, temperatures (`sensors`), their
    flags, then those of SCALARS. A flag of 1 says that the value is valid, whatever foxBMS calls it."""

    cells: int
    sensors: int
    measured: DbcPlan
    request: DbcPlan

    @property
    def scalars(self) -> slice:
        start = 2 * (self.cells + self.sensors)
        return slice(start, start + len(SCALARS))

    @property
    def voltage_pages(self) -> int:
        return -(-self.cells // CELLS_PER_PAGE)

    @property
    def temperature_pages(self) -> int:
        return -(-self.sensors // SENSORS_PER_PAGE)

    @property
    def sweep_s(self) -> float:
        """How old the oldest cell voltage is at best before it is renewed."""
        return self.voltage_pages * VOLTAGE_PAGE_S

    @property
    def temperature_sweep_s(self) -> float:
        """Likewise of the temperatures."""
        return self.temperature_pages * TEMPERATURE_PAGE_S


@lru_cache(maxsize=8)
def foxbms_layout(cells: int, sensors: int, source: Source) -> FoxBmsLayout:
    """Layout for 1 to 512 cells and 1 to 258 temperature sensors; ValueError outside."""
    if not 1 <= cells <= CELLS_MAX:
        raise ValueError(f"cells is {cells}, must be 1..{CELLS_MAX}")
    if not 1 <= sensors <= SENSORS_MAX:
        raise ValueError(f"temperature sensors are {sensors}, must be 1..{SENSORS_MAX}")
    signals: list[SignalKey] = [
        *(("CellVoltages", f"Voltage{cell:03d}") for cell in range(cells)),
        *(("CellVoltages", f"Valid{cell:03d}") for cell in range(cells)),
        *(("CellTemperatures", f"Temperature{sensor:03d}") for sensor in range(sensors)),
        *(("CellTemperatures", f"Valid{sensor:03d}") for sensor in range(sensors)),
        *SCALARS,
    ]
    messages = ["CellVoltages", "CellTemperatures", "State", "PackLimits", "PackValues", "PackCharge"]
    database = load_dbc(DBC_PATH)
    measured = build_plan(database, messages, signals, others=False, ids=IDS[source])
    return FoxBmsLayout(cells, sensors, measured, build_plan(database, ["StateRequest"]))
