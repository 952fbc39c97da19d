"""A cell's parameter file becomes the values and tables that estimator and plant need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import cell_file
from kernels.cell_file import shipped_cells
from kernels.cell_tables import GRID_POINTS, LINEAR_A, CellTables, extended, frozen_tables, read_tables

__all__ = ["OCV_POINTS", "CellParameters", "load_cell", "load_tables", "shipped_cells", "tables_of"]

OCV_POINTS = 201
"""The curve lies on a uniform SoC grid 0..1 of this many points: one each 0.5 %."""

NUMBERS = ("resistance_ohm", "rc_resistance_ohm", "rc_tau_s", "heat_capacity_j_per_k")
KEYS = (*cell_file.COMMON_KEYS, *NUMBERS, "hysteresis_v", "ocv")

HEAT_J_PER_K_AH = 20.0
"""Usual heat capacity of a cell by its Ah, for files that do not say."""
ACTIVATION_K = {"lfp": 3500.0, "nmc": 3500.0, "nca": 3500.0, "lmo": 3000.0, "zinc": 2000.0}
"""Ohmic and charge-transfer resistance ~ exp(E (1/T - 1/T0)): usual E where only one temperature is known."""


@dataclass(frozen=True, slots=True)
class CellParameters:
    """One cell type at 25 degC. `ocv_v` is float64[201] on a uniform SoC grid 0..1, read-only; `rc_*` is the one RC
    pair of simple models; `hysteresis_v` is half the gap between charge and discharge curve."""

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

    @property
    def energy_wh(self) -> float:
        """From full to empty without losses: capacity times the mean of the curve."""
        return self.capacity_ah * float(self.ocv_v.mean())


def load_cell(name_or_path: str | Path) -> CellParameters:
    """The cell of a YAML file: a path, or the name of a shipped one (`lfp-280ah`); of a file with tables its values at
    25 degC and half charge.

    Raises ValueError with one line, `FILE: what is wrong, what was expected`."""
    path = cell_file.found(name_or_path)
    content = cell_file.content(path)
    return _at_25_degc(path, content) if _has_tables(content) else _read_cell(path, content)


def load_tables(name_or_path: str | Path) -> CellTables:
    """The tables of a cell file, or what follows from the values of a simple one; errors as of `load_cell`."""
    path = cell_file.found(name_or_path)
    content = cell_file.content(path)
    return read_tables(path, content) if _has_tables(content) else tables_of(_read_cell(path, content))


def tables_of(cell: CellParameters) -> CellTables:
    """A cell known at 25 degC only: resistances by the usual activation energy, hysteresis the same everywhere."""
    degc = np.array([-20.0, 0.0, 25.0, 45.0])
    arrhenius = np.exp(ACTIVATION_K.get(cell.chemistry, 3000.0) * (1 / (degc + 273.15) - 1 / 298.15))
    full = np.ones(GRID_POINTS)
    ocv_v = extended(np.linspace(0, 1, len(cell.ocv_v)), cell.ocv_v)
    return frozen_tables(
        name=cell.name,
        chemistry=cell.chemistry,
        source=cell.source,
        capacity_ah=cell.capacity_ah,
        capacity_sigma_frac=0.025,
        temperature_degc=degc,
        temperature_measured_degc=(20.0, 30.0),
        ocv_v=np.tile(ocv_v, (4, 1)),
        ocv_sigma_v=np.full((4, GRID_POINTS), 0.01),
        model_sigma_v=np.full((4, GRID_POINTS), 0.005),
        resistance_ohm=np.outer(cell.resistance_ohm * arrhenius, full),
        resistance_sigma_frac=np.full(4, 0.2),
        rc_tau_s=np.array([cell.rc_tau_s]),
        rc_resistance_ohm=np.outer(cell.rc_resistance_ohm * arrhenius, full)[None],
        hysteresis_v=np.full((4, GRID_POINTS), cell.hysteresis_v),
        hysteresis_rate=np.full(4, 30.0),
        saturation_current_a=np.full(4, LINEAR_A),
        coulombic_efficiency=np.full(4, 1.0),
        self_discharge_per_h=np.zeros(4),
    )


def _has_tables(content: Mapping[str, Any]) -> bool:
    return "temperature_degc" in content


def _read_cell(path: Path, content: Mapping[str, Any]) -> CellParameters:
    cell_file.check_keys(path, content, KEYS)
    fields: dict[str, Any] = {key: cell_file.text(path, key, content[key]) for key in cell_file.TEXTS}
    for key in ("capacity_ah", *NUMBERS):
        fields[key] = cell_file.number(path, key, content[key], above_zero=True)
    fields["hysteresis_v"] = cell_file.number(path, "hysteresis_v", content["hysteresis_v"], above_zero=False)
    return CellParameters(**fields, ocv_v=_curve(path, content["ocv"]))


def _at_25_degc(path: Path, content: Mapping[str, Any]) -> CellParameters:
    """The pair nearest to half a minute stands for all: the tables' own estimator uses every one."""
    tables = read_tables(path, content)
    degc = tables.temperature_degc
    half = GRID_POINTS // 2

    def at_25(rows: NDArray[np.float64]) -> float:
        return float(np.interp(25.0, degc, rows[:, half]))

    pair = int(np.abs(np.log(tables.rc_tau_s / 30.0)).argmin()) if len(tables.rc_tau_s) else None
    heat = content.get("heat_capacity_j_per_k", HEAT_J_PER_K_AH * tables.capacity_ah)
    ocv_v = np.array([np.interp(25.0, degc, column) for column in tables.ocv_v.T])[10:-10]
    ocv_v.flags.writeable = False
    return CellParameters(
        name=tables.name,
        chemistry=tables.chemistry,
        source=tables.source,
        capacity_ah=tables.capacity_ah,
        resistance_ohm=at_25(tables.resistance_ohm),
        rc_resistance_ohm=1e-9 if pair is None else at_25(tables.rc_resistance_ohm[pair]),
        rc_tau_s=30.0 if pair is None else float(tables.rc_tau_s[pair]),
        hysteresis_v=at_25(tables.hysteresis_v),
        heat_capacity_j_per_k=cell_file.number(path, "heat_capacity_j_per_k", heat, above_zero=True),
        ocv_v=ocv_v,
    )


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
