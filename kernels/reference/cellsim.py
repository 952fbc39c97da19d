"""The simulator's cells as array expressions: what kernels.cellsim must equal."""

from copy import copy, deepcopy

import numpy as np
from numpy.typing import ArrayLike

from kernels import checks
from kernels.cell_model import (
    HYSTERESIS_RATE,
    OCV_V_MAX,
    REFERENCE_DEGC,
    RESISTANCE_FACTOR_MAX,
    RESISTANCE_FACTOR_MIN,
    RESISTANCE_PER_K,
    ZERO_DEGC_K,
    CellModel,
)
from kernels.checks import Floats


class CellPack:
    """See kernels.cellsim.CellPack."""

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
        *,
        resistance_factor: ArrayLike | None = None,
        entropic_v_per_k: ArrayLike | None = None,
        conduction_w_per_k: float = 0.0,
        module_cells: int | None = None,
    ) -> None:
        self.model = CellModel(
            ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, soc_frac, hysteresis_v,
            heat_capacity_j_per_k, cooling_w_per_k, temperature_degc, resistance_factor, entropic_v_per_k,
            conduction_w_per_k, module_cells,
        )  # fmt: skip
        self._soc = self.model.soc_frac.copy()
        self._degc = self.model.temperature_degc.copy()
        self._rc_v = np.zeros((self.model.cells_n, 3))
        self._hysteresis = np.zeros(self.model.cells_n)
        self._bleed_a = np.zeros(self.model.cells_n)
        self._current_a = 0.0

    def copy(self) -> "CellPack":
        other = copy(self)
        for name in ("_soc", "_degc", "_rc_v", "_hysteresis", "_bleed_a"):
            setattr(other, name, getattr(self, name).copy())
        other.model = deepcopy(self.model)
        return other

    @property
    def voltage_v(self) -> Floats:
        return _read_only(self._voltage_v(self._current_a))

    @property
    def soc_frac(self) -> Floats:
        return _read_only(self._soc)

    @property
    def temperature_degc(self) -> Floats:
        return _read_only(self._degc)

    @property
    def emf_v(self) -> float:
        return float(self._voltage_v(0.0).sum())

    @property
    def resistance_ohm(self) -> float:
        return float(self._resistance_ohm().sum())

    def step(self, current_a: float, bleed_a: Floats | None, ambient_degc: float, dt_s: float) -> None:
        bleed_a = np.zeros(self.model.cells_n) if bleed_a is None else bleed_a
        checks.same_shape("bleed_a", bleed_a, self.model.cells_n)
        checks.step(current_a, dt_s)
        if not np.isfinite(ambient_degc):
            raise ValueError(f"ambient_degc: got {ambient_degc}, expected a finite value")
        if not (np.isfinite(bleed_a) & (bleed_a >= 0)).all():
            raise ValueError("bleed_a: expected finite values of at least 0")
        self._current_a, self._bleed_a = current_a, bleed_a.copy()
        factor, entropic_v_per_k = self._factor(), self._along(self.model.entropic_v_per_k)
        self._move_charge(current_a + bleed_a, factor, dt_s)
        lost_v = factor * self.model.resistance_ohm * (current_a + bleed_a) + self._rc_v.sum(axis=1)
        entropic_v = entropic_v_per_k * (self._degc + ZERO_DEGC_K)
        self._move_heat((current_a + bleed_a) * (lost_v - entropic_v), ambient_degc, dt_s)

    def set_soc(self, cell: int, soc_frac: float) -> None:
        self.model.check_cell(cell, "soc_frac", soc_frac)
        self._soc[cell] = soc_frac

    def heat(self, cell: int, temperature_degc: float) -> None:
        self.model.check_cell(cell, "temperature_degc", temperature_degc)
        self._degc[cell] = temperature_degc

    def age(self, cell: int, capacity_factor: float, resistance_factor: float) -> None:
        self.model.check_ageing(cell, capacity_factor, resistance_factor)
        self.model.capacity_ah[cell] *= capacity_factor
        self.model.resistance_ohm[cell] *= resistance_factor
        self.model.rc_resistance_ohm[cell] *= resistance_factor

    def age_each(self, capacity_factor: ArrayLike, resistance_factor: ArrayLike) -> None:
        capacity, resistance = self.model.ageing_of_each(capacity_factor, resistance_factor)
        self.model.capacity_ah *= capacity
        self.model.resistance_ohm *= resistance
        self.model.rc_resistance_ohm *= resistance[:, None]

    def _move_charge(self, current_a: Floats, factor: Floats, dt_s: float) -> None:
        moved = current_a * dt_s / (3600 * self.model.capacity_ah)
        decay = np.exp(-dt_s / self.model.rc_tau_s)
        self._soc -= moved
        self._hysteresis = (self._hysteresis - HYSTERESIS_RATE * moved) / (1 + HYSTERESIS_RATE * np.abs(moved))
        self._rc_v = decay * self._rc_v + (1 - decay) * self.model.rc_resistance_ohm * (factor * current_a)[:, None]

    def _move_heat(self, heat_w: Floats, ambient_degc: float, dt_s: float) -> None:
        heating = dt_s / self.model.heat_capacity_j_per_k
        cooling = heating * self.model.cooling_w_per_k
        self._degc += (heating * heat_w + cooling * (ambient_degc - self._degc)) / (1 + cooling)
        share = -0.5 * np.expm1(-2 * heating * self.model.conduction_w_per_k)
        flow_k = share * self.model.joined * np.diff(self._degc, append=0.0)
        self._degc += np.diff(flow_k, prepend=0.0)

    def _voltage_v(self, current_a: float) -> Floats:
        emf_v = self._ocv_v() + self.model.hysteresis_v * self._hysteresis - self._rc_v.sum(axis=1)
        return np.asarray(emf_v - self._resistance_ohm() * (current_a + self._bleed_a))

    def _ocv_v(self) -> Floats:
        model = self.model
        inside_v = np.interp(self._soc, np.linspace(0, 1, model.ocv_v.size), model.ocv_v)
        outside_v = np.minimum(self._soc, 0) * model.below_v + np.maximum(self._soc - 1, 0) * model.above_v
        entropic_v = self._along(model.entropic_v_per_k) * (self._degc - REFERENCE_DEGC)
        return np.asarray(np.clip(inside_v + outside_v, 0, OCV_V_MAX) + entropic_v)

    def _along(self, curve: Floats) -> Floats:
        return np.interp(self._soc, np.linspace(0, 1, curve.size), curve)

    def _factor(self) -> Floats:
        by_degc = 1 + RESISTANCE_PER_K * (REFERENCE_DEGC - self._degc)
        by_degc = np.clip(by_degc, RESISTANCE_FACTOR_MIN, RESISTANCE_FACTOR_MAX)
        return np.asarray(self._along(self.model.resistance_factor) * by_degc)

    def _resistance_ohm(self) -> Floats:
        return self._factor() * self.model.resistance_ohm


def _read_only(values: Floats) -> Floats:
    view = values.view()
    view.flags.writeable = False
    return view
