"""What every kernel demands of the arrays that it is given: float64, one value a cell, finite where it must be."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def cells(name: str, values: ArrayLike, n: int | None = None) -> Floats:
    """A contiguous float64 copy of one value a cell; ValueError unless it has one dimension (and n entries)."""
    column = np.array(values, dtype=np.float64)
    if column.ndim != 1 or column.size == 0 or (n is not None and column.size != n):
        expected = "one value a cell" if n is None else f"{n} values"
        raise ValueError(f"{name}: got shape {column.shape}, expected {expected}")
    return column


def positive_cells(name: str, values: ArrayLike, n: int | None = None) -> Floats:
    """As `cells`, and every value finite and above 0."""
    column = cells(name, values, n)
    wrong = np.flatnonzero(~(np.isfinite(column) & (column > 0)))
    if wrong.size:
        raise ValueError(f"{name}[{wrong[0]}]: got {column[wrong[0]]}, expected a finite value above 0")
    return column


def finite_cells(name: str, values: ArrayLike, n: int | None = None) -> Floats:
    """As `cells`, and every value finite."""
    column = cells(name, values, n)
    wrong = np.flatnonzero(~np.isfinite(column))
    if wrong.size:
        raise ValueError(f"{name}[{wrong[0]}]: got {column[wrong[0]]}, expected a finite value")
    return column


def positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: got {value}, expected a finite value above 0")
    return float(value)


def not_negative(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: got {value}, expected a finite value of at least 0")
    return float(value)


def curve(name: str, values: ArrayLike) -> Floats:
    """An open-circuit voltage curve on a uniform SoC grid: at least 2 finite points that never fall."""
    column = finite_cells(name, values)
    if column.size < 2:
        raise ValueError(f"{name}: got {column.size} point, expected at least 2")
    wrong = np.flatnonzero(np.diff(column) < 0)
    if wrong.size:
        raise ValueError(f"{name}[{wrong[0] + 1}]: got {column[wrong[0] + 1]} V, expected no fall of the curve")
    return column


def same_shape(name: str, values: Floats, n: int) -> None:
    """A per-cell argument of a step: refused as it is, never converted, so that the hot path cannot copy unseen."""
    if values.dtype != np.float64 or values.shape != (n,):
        raise ValueError(f"{name}: got {values.dtype} of shape {values.shape}, expected {n} values of float64")


def step(current_a: float, dt_s: float) -> None:
    if not np.isfinite(current_a):
        raise ValueError(f"current_a: got {current_a}, expected a finite value")
    positive("dt_s", dt_s)
