"""Writes a replay as Parquet, whole or not at all."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bms.estimate.replay import Replay

COLUMNS = {
    "soc": "soc_frac",
    "soc_sigma": "soc_sigma_frac",
    "voltage_predicted_v": "voltage_predicted_v",
    "current_bias_a": "current_bias_a",
    "capacity_ah": "capacity_ah",
    "capacity_ah_sigma": "capacity_ah_sigma",
    "soh_frac": "soh_frac",
}
"""The file's columns and the estimator's figures behind them; `time_s` and `voltage_v` are the log's own."""


class ReplayFileError(ValueError):
    """A file that cannot be written; the message is one line."""


def check_writable(out: Path, log: Path) -> None:
    """ReplayFileError when `out` cannot become a Parquet file, or is the log itself."""
    if out.suffix.lower() != ".parquet":
        raise ReplayFileError(f"{out}: expected a file that ends with .parquet")
    if out.is_dir():
        raise ReplayFileError(f"{out}: is a folder")
    if not out.parent.is_dir():
        raise ReplayFileError(f"{out}: no folder {out.parent}")
    if out.exists() and log.exists() and out.samefile(log):
        raise ReplayFileError(f"{out}: is the log itself")


def write_replay(done: Replay, out: Path) -> None:
    """Rows as in the log: time_s, soc, soc_sigma, voltage_v (as measured), voltage_predicted_v, current_bias_a
    (positive on discharge), capacity_ah, capacity_ah_sigma, soh_frac. ReplayFileError when it cannot be written."""
    said = {column: done.figures[name] for column, name in COLUMNS.items()}
    first = {"time_s": done.log.time_s, "soc": said.pop("soc"), "soc_sigma": said.pop("soc_sigma")}
    table = pa.table({**first, "voltage_v": done.log.voltage_v, **said})
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(out)
    except OSError as error:
        raise ReplayFileError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
