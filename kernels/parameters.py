"""A cell's parameter file becomes the tables that estimator and plant need."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

OCV_POINTS = 201
"""The curve lies on a uniform SoC grid 0..1 of this many points: one each 0.5 %."""

NUMBERS = ("capacity_ah", "resistance_ohm", "rc_resistance_ohm", "rc_tau_s", "heat_capacity_j_per_k")
TEXTS = ("name", "chemistry", "source")
KEYS = (*TEXTS, *NUMBERS, "hysteresis_v", "ocv")


@dataclass(frozen=True, slots=True)
class CellParameters:
    """One cell type at 25 degC. `ocv_v` is float64[201] on a uniform SoC grid 0..1, read-only; `rc_*` is the one RC
    pair that the estimator uses; `hysteresis_v` is half the gap between charge and discharge curve."""

    name: str
    chemistry: str
    source: str
    capacity_ah: float
    resistance_ohm: float
    rc_resistance_ohm: float
    rc_tau_s: float
    hysteresis_v: float
    heat_capacity_j_per_k: float
    ocv_v: NDArray[np.float64]


def load_cell(name_or_path: str | Path) -> CellParameters:
    """The cell of a YAML file: a path, or the name of a shipped one (`lfp-280ah`).

    Raises ValueError with one line, `FILE: what is wrong, what was expected`."""
    path = _found(name_or_path)
    content = _content(path)
    _check_keys(path, content)
    fields: dict[str, Any] = {key: _text(path, key, content[key]) for key in TEXTS}
    fields |= {key: _number(path, key, content[key], above_zero=True) for key in NUMBERS}
    fields["hysteresis_v"] = _number(path, "hysteresis_v", content["hysteresis_v"], above_zero=False)
    return CellParameters(**fields, ocv_v=_curve(path, content["ocv"]))


def shipped_cells() -> list[str]:
    """The names of the cells that come with the package, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def _folder() -> Path:
    return Path(str(files("kernels"))) / "cells"


def _found(name_or_path: str | Path) -> Path:
    shipped = _folder() / f"{name_or_path}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        raise ValueError(f"{name_or_path}: no such cell file; shipped cells: {', '.join(shipped_cells())}")
    return path


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: got {type(content).__name__}, expected a mapping with the keys {', '.join(KEYS)}")
    return content


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    missing = [key for key in KEYS if key not in content]
    unknown = [str(key) for key in content if key not in KEYS]
    if missing:
        raise ValueError(f"{path}: missing {', '.join(missing)}")
    if unknown:
        raise ValueError(f"{path}: unknown {', '.join(unknown)}; expected {', '.join(KEYS)}")


def _text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{path}: {key}: got {value!r}, expected a text")
    return value.strip()


def _number(path: Path, key: str, value: object, *, above_zero: bool) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    if not np.isfinite(number) or number < 0 or (above_zero and number == 0):
        expected = "a number above 0" if above_zero else "a number of at least 0"
        raise ValueError(f"{path}: {key}: got {value!r}, expected {expected}")
    return number


def _curve(path: Path, points: object) -> NDArray[np.float64]:
    """The file's `ocv` points [soc, volts], linear between them, on the uniform grid."""
    try:
        table = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"{path}: ocv: expected a list of at least two [soc, volts] pairs of numbers")
    soc_frac, voltage_v = table.T
    if soc_frac[0] != 0 or soc_frac[-1] != 1 or (np.diff(soc_frac) <= 0).any() or (np.diff(voltage_v) < 0).any():
        raise ValueError(f"{path}: ocv: expected soc rising from 0 to 1 and volts that never fall")
    ocv_v: NDArray[np.float64] = np.interp(np.linspace(0, 1, OCV_POINTS), soc_frac, voltage_v)
    ocv_v.flags.writeable = False
    return ocv_v
