"""Reads a cell's YAML file and says in one line what is wrong with it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

TEXTS = ("name", "chemistry", "source")
COMMON_KEYS = (*TEXTS, "capacity_ah")
"""What every cell file has."""


def shipped_cells() -> list[str]:
    """The names of the cells that come with the package, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def found(name_or_path: str | Path) -> Path:
    shipped = _folder() / f"{name_or_path}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        raise ValueError(f"{name_or_path}: no such cell file; shipped cells: {', '.join(shipped_cells())}")
    return path


def content(path: Path) -> Mapping[str, Any]:
    """Only to be read: files of the same text share it."""
    try:
        content = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: got {type(content).__name__}, expected a mapping that describes a cell")
    return content


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """Every rack's estimator, limits and plant read the same few files."""
    return yaml.safe_load(text)


def check_keys(path: Path, content: Mapping[str, Any], keys: Sequence[str], optional: Sequence[str] = ()) -> None:
    """ValueError unless the file has every one of `keys`, and beside them only `optional` ones."""
    missing = [key for key in keys if key not in content]
    unknown = [str(key) for key in content if key not in (*keys, *optional)]
    if missing:
        raise ValueError(f"{path}: missing {', '.join(missing)}")
    if unknown:
        raise ValueError(f"{path}: unknown {', '.join(unknown)}; expected {', '.join((*keys, *optional))}")


def text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{path}: {key}: got {value!r}, expected a text")
    return value.strip()


def number(path: Path, key: str, value: object, *, above_zero: bool) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    if not np.isfinite(number) or number < 0 or (above_zero and number == 0):
        expected = "a number above 0" if above_zero else "a number of at least 0"
        raise ValueError(f"{path}: {key}: got {value!r}, expected {expected}")
    return number


def _folder() -> Path:
    return Path(str(files("kernels"))) / "cells"
