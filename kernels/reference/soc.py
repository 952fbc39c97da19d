"""The SoC filter as array expressions: what kernels.soc must equal."""

import numpy as np
from numpy.typing import ArrayLike

from kernels import checks
from kernels.checks import Floats
from kernels.filter_model import (
    CURRENT_CORRELATION_S,
    RESISTANCE_ERROR_FRAC,
    SOC_SIGMA_FRAC_MAX,
    SOC_SIGMA_FRAC_MIN,
    VOLTAGE_CORRELATION_S,
    SocModel,
)


class SocFilter:
    """See kernels.soc.SocFilter."""

    def __init__(
        self,
        ocv_v: ArrayLike,
        resistance_ohm: ArrayLike,
        rc_resistance_ohm: ArrayLike,
        rc_tau_s: float,
        capacity_ah: ArrayLike,
        voltage_sigma_v: float,
        current_sigma_a: float,
    ) -> None:
        self.model = SocModel(
            ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, voltage_sigma_v, current_sigma_a
        )
        n = self.model.cells_n
        self.set_state(np.full(n, 0.5), np.full(n, SOC_SIGMA_FRAC_MAX))

    @property
    def soc_frac(self) -> Floats:
        return _read_only(self._soc)

    @property
    def soc_sigma_frac(self) -> Floats:
        return _read_only(np.sqrt(self._p_soc))

    @property
    def rc_voltage_v(self) -> Floats:
        return _read_only(self._rc_v)

    def reset(self, voltage_v: Floats, sigma_frac_max: float = SOC_SIGMA_FRAC_MAX) -> None:
        self._set(*self.model.at_rest(voltage_v, sigma_frac_max))

    def set_state(self, soc_frac: ArrayLike, sigma_frac: ArrayLike) -> None:
        self._set(*self.model.checked_state(soc_frac, sigma_frac))

    def _set(self, soc_frac: Floats, sigma_frac: Floats) -> None:
        self._soc = soc_frac.copy()
        self._rc_v = np.zeros_like(soc_frac)
        self._p_soc = sigma_frac**2
        self._p_cross = np.zeros_like(soc_frac)
        self._p_rc = (self.model.rc_resistance_ohm * self.model.current_sigma_a) ** 2

    def step(self, voltage_v: Floats, current_a: float, dt_s: float) -> None:
        checks.same_shape("voltage_v", voltage_v, self.model.cells_n)
        checks.step(current_a, dt_s)
        sigma = np.sqrt(self._p_soc)
        self._predict(current_a, dt_s)
        self._update(voltage_v, current_a, dt_s, sigma)

    def _predict(self, current_a: float, dt_s: float) -> None:
        model = self.model
        decay = np.exp(-dt_s / model.rc_tau_s)
        drift = model.current_sigma_a * np.sqrt(2 * CURRENT_CORRELATION_S * dt_s) / (3600 * model.capacity_ah)
        self._soc = np.clip(self._soc - current_a * dt_s / (3600 * model.capacity_ah), 0, 1)
        self._rc_v = decay * self._rc_v + (1 - decay) * model.rc_resistance_ohm * current_a
        self._p_soc = np.minimum(self._p_soc + drift**2, SOC_SIGMA_FRAC_MAX**2)
        self._p_cross = decay * self._p_cross
        rc_variance = (model.rc_resistance_ohm * model.current_sigma_a) ** 2
        self._p_rc = decay**2 * self._p_rc + (1 - decay**2) * rc_variance

    def _update(self, voltage_v: Floats, current_a: float, dt_s: float, sigma: Floats) -> None:
        model = self.model
        ohmic_v = model.resistance_ohm * current_a
        ocv_v, slope, bend_v = self._curve_seen(sigma)
        model_v = RESISTANCE_ERROR_FRAC * (np.abs(ohmic_v) + np.abs(self._rc_v))
        error_v2 = model.voltage_sigma_v**2 + model_v**2 + bend_v**2
        seen_v2 = slope**2 * self._p_soc
        used = np.isfinite(voltage_v) & (seen_v2 > error_v2)
        gate = np.divide(seen_v2, seen_v2 - error_v2, out=np.full_like(seen_v2, np.inf), where=used)
        p_h = slope * self._p_soc - self._p_cross
        p_r = slope * self._p_cross - self._p_rc
        spread_v2 = slope * p_h - p_r + error_v2 * max(1.0, VOLTAGE_CORRELATION_S / dt_s) * gate
        innovation_v = np.where(used, voltage_v, 0) - np.where(used, ocv_v - ohmic_v - self._rc_v, 0)
        self._soc = np.clip(self._soc + p_h / spread_v2 * innovation_v, 0, 1)
        self._rc_v = self._rc_v + p_r / spread_v2 * innovation_v
        self._p_soc = np.maximum(self._p_soc - p_h**2 / spread_v2, SOC_SIGMA_FRAC_MIN**2)
        self._p_cross = self._p_cross - p_h * p_r / spread_v2
        self._p_rc = self._p_rc - p_r**2 / spread_v2

    def _curve_seen(self, sigma: Floats) -> tuple[Floats, Floats, Floats]:
        """OCV, the chord's slope over one sigma to both sides, and how far the curve bends away from that chord."""
        low, high = np.maximum(self._soc - sigma, 0), np.minimum(self._soc + sigma, 1)
        ocv_v, low_v, high_v = self._ocv_v(self._soc), self._ocv_v(low), self._ocv_v(high)
        slope = (high_v - low_v) / (high - low)
        return ocv_v, slope, low_v + (self._soc - low) * slope - ocv_v

    def _ocv_v(self, soc_frac: Floats) -> Floats:
        """The curve, linear between its points."""
        curve_v = self.model.ocv_v
        last = curve_v.size - 1
        j = np.minimum((soc_frac * last).astype(np.intp), last - 1)
        return np.asarray(curve_v[j] + (soc_frac * last - j) * (curve_v[j + 1] - curve_v[j]))


def _read_only(values: Floats) -> Floats:
    view = values.view()
    view.flags.writeable = False
    return view
