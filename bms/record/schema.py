"""What one row of a record file says: every column with its type, unit and meaning, and the same as a type, TickRow."""

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from bms.record.readings import Readings

SCHEMA_VERSION = 1
"""Counts up whenever a column changes its name, type or meaning; new columns at the end do not count."""
PARQUET, MDF = ".parquet", ".mf4"
ENDINGS = (PARQUET, MDF)


class RecordError(Exception):
    """A record file that cannot be written or read; the text is one line that names the file and the cause."""


@dataclass(frozen=True, slots=True)
class Column:
    """`type` is an Arrow type by name. Absent is NaN in float64 and null in string, never in int64."""

    name: str
    type: str
    unit: str
    meaning: str


COLUMNS = (
    Column("time_s", "float64", "s", "time of the tick since the controller started"),
    Column("mode", "string", "", "operating mode of the site"),
    Column("requested_power_w", "float64", "W", "what dispatch asked of the battery, discharge positive"),
    Column("sent_power_w", "float64", "W", "what was sent to the converters, discharge positive"),
    Column("clipped_by", "string", "", "who narrowed the request to what was sent; null = nobody"),
    Column("clip_reason", "string", "", "why it was narrowed; null = it was not"),
    Column("grid_power_w", "float64", "W", "grid meter, import positive"),
    Column("battery_power_w", "float64", "W", "converters' AC power as they report it, discharge positive"),
    Column("load_power_w", "float64", "W", "consumption behind the grid meter: grid + battery"),
    Column("soc_min_frac", "float64", "1", "lowest estimated state of charge of all cells"),
    Column("soc_mean_frac", "float64", "1", "mean estimated state of charge of all cells"),
    Column("soc_max_frac", "float64", "1", "highest estimated state of charge of all cells"),
    Column("soc_sigma_max_frac", "float64", "1", "largest standard deviation of a cell's estimate"),
    Column("cell_voltage_v_min", "float64", "V", "lowest measured cell voltage"),
    Column("cell_voltage_v_max", "float64", "V", "highest measured cell voltage"),
    Column("cell_temperature_degc_min", "float64", "°C", "lowest measured cell temperature"),
    Column("cell_temperature_degc_max", "float64", "°C", "highest measured cell temperature"),
    Column("charge_power_w_limit", "float64", "W", "charge power allowed, magnitude"),
    Column("discharge_power_w_limit", "float64", "W", "discharge power allowed, magnitude"),
    Column("limit_reason_charge", "string", "", "what set the charge limit; null = the rating"),
    Column("limit_reason_discharge", "string", "", "what set the discharge limit; null = the rating"),
    Column("faults", "string", "", "ids of the active faults, sorted, joined by commas; empty = none"),
    Column("rack_states", "string", "", "state of each rack in the order of the site file, joined by commas"),
    Column("rack_current_a_max_abs", "float64", "A", "largest rack current, magnitude"),
    Column("tick_ms", "float64", "ms", "computing time of the tick; NaN in virtual time"),
    Column("overruns", "int64", "1", "ticks since start that began late because one took too long"),
    Column("frames", "int64", "1", "CAN frames of the racks since start, rejected ones too"),
    Column("frames_lost", "int64", "1", "CAN frames rejected, or missed by their counters, since start"),
    Column("transactions", "int64", "1", "Modbus transactions answered since start"),
    Column("transactions_lost", "int64", "1", "Modbus transactions unanswered or failed since start"),
    Column("asked_by", "string", "", "applications whose power it is, joined by +; null = none asked"),
    Column("unmet", "string", "", "who misses how much of its bounds and who holds it, joined by ;; null = nobody"),
    Column("converter_run", "int64", "1", "1 = the converter was told to run, 0 = to stop"),
    Column("contactors", "string", "", "told to each rack: main, precharge, both, open, or - = nothing; with commas"),
    Column("wanted", "int64", "1", "1 = the site is to work, 0 = it was told to stop in order"),
    Column("smoothing_way", "string", "", "who smooths: ticks, fast-lane, converter, refused; null = nobody"),
    Column("lane_age_ms", "float64", "ms", "a tenth of the fast lane's set-points came later after their reading"),
    Column("lane_jitter_ms", "float64", "ms", "a tenth of the fast lane's readings was further off its period"),
    Column("load_range_w_5s", "float64", "W", "largest range of the load within 5 s over the last 20 s"),
    Column("grid_range_w_5s", "float64", "W", "the same of the grid; NaN while others than smoothing use the battery"),
    Column("strip", "string", "", "which racks are out for their strip, and which waits why; null = none"),
    Column("told", "string", "", "inputs that hold and who told them, as power_w=5:modbus, with commas; null = none"),
)


class TickRow(NamedTuple):
    """One tick, field by field the columns above."""

    time_s: float
    mode: str
    requested_power_w: float
    sent_power_w: float
    clipped_by: str | None
    clip_reason: str | None
    grid_power_w: float
    battery_power_w: float
    load_power_w: float
    soc_min_frac: float
    soc_mean_frac: float
    soc_max_frac: float
    soc_sigma_max_frac: float
    cell_voltage_v_min: float
    cell_voltage_v_max: float
    cell_temperature_degc_min: float
    cell_temperature_degc_max: float
    charge_power_w_limit: float
    discharge_power_w_limit: float
    limit_reason_charge: str | None
    limit_reason_discharge: str | None
    faults: str
    rack_states: str
    rack_current_a_max_abs: float
    tick_ms: float
    overruns: int
    frames: int
    frames_lost: int
    transactions: int
    transactions_lost: int
    asked_by: str | None
    unmet: str | None
    converter_run: int
    contactors: str
    wanted: int
    smoothing_way: str | None = None
    lane_age_ms: float = float("nan")
    lane_jitter_ms: float = float("nan")
    load_range_w_5s: float = float("nan")
    grid_range_w_5s: float = float("nan")
    strip: str | None = None
    told: str | None = None


class Recorder(Protocol):
    """Where ticks go. `add` never blocks and never raises for a full or broken sink: the row is dropped and counted,
    and `fault` says in one line what is wrong (None = nothing). `readings` are what the row rests on; one that does not
    keep them need not be given any."""

    keeps_readings: bool

    def add(self, row: TickRow, readings: Readings | None = None) -> None: ...

    @property
    def dropped(self) -> int: ...

    @property
    def fault(self) -> str | None: ...


def record_path(path: str | Path) -> Path:
    """`path` if its ending is one that record files have; RecordError otherwise."""
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise RecordError(f"{path}: a record file ends in {' or '.join(ENDINGS)} (got {path.suffix or 'no ending'!r})")
    return path


def new_record_path(path: str | Path) -> Path:
    """As `record_path`, and a place where a file can be written: asked before a run, so that no run is in vain."""
    path = record_path(path)
    require_writable(path)
    return path


def require_writable(path: Path) -> None:
    """RecordError unless the file could be written now; leaves no trace."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def versioned(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a record file: the schema's version and the caller's own (site, scenario, seed, …), sorted."""
    return {"schema_version": str(SCHEMA_VERSION), **dict(sorted(metadata.items()))}
