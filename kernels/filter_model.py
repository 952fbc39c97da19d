"""The constants and the rest-voltage reading that the SoC filter and its twin share."""

import numpy as np
from numpy.typing import ArrayLike

from kernels import checks
from kernels.checks import Floats

SOC_SIGMA_FRAC_MAX = 0.3
"""Nothing is known: about the standard deviation of a uniform SoC."""
SOC_SIGMA_FRAC_MIN = 0.002
"""No cell's SoC is known better than this: capacity, temperature and the curve itself are not."""
RESISTANCE_ERROR_FRAC = 0.3
"""Error of the modelled voltage drop: R0 and RC move with temperature, age and SoC."""
VOLTAGE_CORRELATION_S = 60.0
"""A cell voltage's error keeps its value about this long; samples within it count as one."""
CURRENT_CORRELATION_S = 3600.0
"""A current sensor's offset keeps its value about this long."""


class SocModel:
    """The checked parameters of one rack; arrays are contiguous float64 copies."""

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
        self.ocv_v = checks.curve("ocv_v", ocv_v)
        self.resistance_ohm = checks.positive_cells("resistance_ohm", resistance_ohm)
        n = self.resistance_ohm.size
        self.rc_resistance_ohm = checks.positive_cells("rc_resistance_ohm", rc_resistance_ohm, n)
        self.rc_tau_s = checks.positive("rc_tau_s", rc_tau_s)
        self.capacity_ah = checks.positive_cells("capacity_ah", capacity_ah, n)
        self.voltage_sigma_v = checks.positive("voltage_sigma_v", voltage_sigma_v)
        self.current_sigma_a = checks.not_negative("current_sigma_a", current_sigma_a)
        self.cells_n = n

    def at_rest(self, voltage_v: Floats, sigma_frac_max: float) -> tuple[Floats, Floats]:
        """SoC and its sigma from rest voltages: half the SoC range whose voltage lies within one sigma, so that it is
        wide on a plateau. NaN gives 0.5 with `sigma_frac_max`."""
        checks.same_shape("voltage_v", voltage_v, self.cells_n)
        if not SOC_SIGMA_FRAC_MIN <= sigma_frac_max <= SOC_SIGMA_FRAC_MAX:
            expected = f"{SOC_SIGMA_FRAC_MIN} to {SOC_SIGMA_FRAC_MAX}"
            raise ValueError(f"sigma_frac_max: got {sigma_frac_max}, expected {expected}")
        absent = np.isnan(voltage_v)
        soc_frac = np.where(absent, 0.5, (self._lowest(voltage_v) + self._highest(voltage_v)) / 2)
        width = self._highest(voltage_v + self.voltage_sigma_v) - self._lowest(voltage_v - self.voltage_sigma_v)
        return soc_frac, np.where(absent, sigma_frac_max, np.clip(width / 2, SOC_SIGMA_FRAC_MIN, sigma_frac_max))

    def checked_state(self, soc_frac: ArrayLike, sigma_frac: ArrayLike) -> tuple[Floats, Floats]:
        """A given SoC and sigma, held within their bounds; ValueError unless both are finite for every cell."""
        soc = checks.finite_cells("soc_frac", soc_frac, self.cells_n)
        sigma = checks.finite_cells("sigma_frac", sigma_frac, self.cells_n)
        return np.clip(soc, 0, 1), np.clip(sigma, SOC_SIGMA_FRAC_MIN, SOC_SIGMA_FRAC_MAX)

    def _lowest(self, voltage_v: Floats) -> Floats:
        """The lowest SoC at which the curve reaches the voltage."""
        return self._inverse(voltage_v, np.searchsorted(self.ocv_v, voltage_v, side="left"))

    def _highest(self, voltage_v: Floats) -> Floats:
        """The highest SoC at which the curve does not exceed the voltage."""
        return self._inverse(voltage_v, np.searchsorted(self.ocv_v, voltage_v, side="right"))

    def _inverse(self, voltage_v: Floats, above: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]") -> Floats:
        last = self.ocv_v.size - 1
        j = np.clip(above - 1, 0, last - 1)
        rise = self.ocv_v[j + 1] - self.ocv_v[j]
        part = np.divide(voltage_v - self.ocv_v[j], rise, out=(above > last).astype(np.float64), where=rise > 0)
        return np.asarray(np.clip((j + part) / last, 0, 1))
