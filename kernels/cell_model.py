"""The constants and the checked parameters that the simulator's cells and their twin share."""

import numpy as np
from numpy.typing import ArrayLike

from kernels import checks
from kernels.checks import Floats

EXTRAPOLATION_V = 10.0
"""Least slope of the OCV outside SoC 0..1, V per unit of SoC: 1 % of overcharge adds at least 100 mV."""
OCV_V_MAX = 6.0
"""The extrapolated OCV stays within 0 and this."""
HYSTERESIS_RATE = 30.0
"""A half swing of the hysteresis takes about 1/30 of the capacity."""
REFERENCE_DEGC = 25.0
ZERO_DEGC_K = 273.15
RESISTANCE_PER_K = 0.01
"""Resistances fall by this share of their 25 degC value a kelvin, within the two factors below."""
RESISTANCE_FACTOR_MIN = 0.5
RESISTANCE_FACTOR_MAX = 3.0


class CellModel:
    """The checked parameters of a pack of n cells; arrays are contiguous float64 copies."""

    def __init__(
        self,
        ocv_v: ArrayLike,
        resistance_ohm: ArrayLike,
        rc_resistance_ohm: ArrayLike,
        rc_tau_s: ArrayLike,
        capacity_ah: ArrayLike,
        soc_frac: ArrayLike,
        hysteresis_v: float,
        heat_capacity_j_per_k: float,
        cooling_w_per_k: float,
        temperature_degc: ArrayLike,
        resistance_factor: ArrayLike | None = None,
        entropic_v_per_k: ArrayLike | None = None,
        conduction_w_per_k: float = 0.0,
        module_cells: int | None = None,
    ) -> None:
        self.ocv_v = checks.curve("ocv_v", ocv_v)
        self.resistance_ohm = checks.positive_cells("resistance_ohm", resistance_ohm)
        n = self.cells_n = self.resistance_ohm.size
        self.rc_resistance_ohm = rc = np.array(rc_resistance_ohm, dtype=np.float64)
        if rc.shape != (n, 3) or not (np.isfinite(rc) & (rc >= 0)).all():
            raise ValueError(f"rc_resistance_ohm: got shape {rc.shape}, expected ({n}, 3), all finite and at least 0")
        self.rc_tau_s = checks.positive_cells("rc_tau_s", rc_tau_s, 3)
        self.capacity_ah = checks.positive_cells("capacity_ah", capacity_ah, n)
        self.soc_frac = checks.finite_cells("soc_frac", soc_frac, n)
        self.hysteresis_v = checks.not_negative("hysteresis_v", hysteresis_v)
        self.heat_capacity_j_per_k = checks.positive("heat_capacity_j_per_k", heat_capacity_j_per_k)
        self.cooling_w_per_k = checks.not_negative("cooling_w_per_k", cooling_w_per_k)
        self.temperature_degc = checks.finite_cells("temperature_degc", temperature_degc, n)
        points = self.ocv_v.size
        factor = np.ones(points) if resistance_factor is None else resistance_factor
        self.resistance_factor = checks.positive_cells("resistance_factor", factor, points)
        entropic = np.zeros(points) if entropic_v_per_k is None else entropic_v_per_k
        self.entropic_v_per_k = checks.finite_cells("entropic_v_per_k", entropic, points)
        self.conduction_w_per_k = checks.not_negative("conduction_w_per_k", conduction_w_per_k)
        self.module_cells = n if module_cells is None else module_cells
        if self.module_cells < 1:
            raise ValueError(f"module_cells: got {module_cells}, expected at least 1")
        last = points - 1
        self.below_v = max(EXTRAPOLATION_V, float(self.ocv_v[1] - self.ocv_v[0]) * last)
        self.above_v = max(EXTRAPOLATION_V, float(self.ocv_v[-1] - self.ocv_v[-2]) * last)

    @property
    def joined(self) -> Floats:
        """1 where the next cell is in the same module, 0 where it is not, or there is none."""
        following = np.arange(1, self.cells_n + 1)
        return np.asarray((following % self.module_cells != 0) & (following < self.cells_n), np.float64)

    def check_cell(self, cell: int, name: str, value: float) -> None:
        """Raises ValueError unless the cell exists and the value is finite."""
        if not 0 <= cell < self.cells_n:
            raise ValueError(f"cell: got {cell}, expected 0 to {self.cells_n - 1}")
        if not np.isfinite(value):
            raise ValueError(f"{name}: got {value}, expected a finite value")

    def check_ageing(self, cell: int, capacity_factor: float, resistance_factor: float) -> None:
        """Raises ValueError unless the cell exists and both factors are finite and above 0."""
        for name, factor in (("capacity_factor", capacity_factor), ("resistance_factor", resistance_factor)):
            self.check_cell(cell, name, factor)
            if not factor > 0:
                raise ValueError(f"{name}: got {factor}, expected a value above 0")

    def ageing_of_each(self, capacity_factor: ArrayLike, resistance_factor: ArrayLike) -> tuple[Floats, Floats]:
        """The factors as arrays [n]. Raises ValueError unless all are finite and above 0."""
        capacity = checks.positive_cells("capacity_factor", capacity_factor, self.cells_n)
        return capacity, checks.positive_cells("resistance_factor", resistance_factor, self.cells_n)
