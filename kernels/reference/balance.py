"""The choice of cells to bleed as array expressions: what kernels.balance must equal."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.balance_model import BleedLimits
from kernels.checks import Floats, positive
from kernels.workers import positive_count


def choose_bleed(
    soc_frac: Floats,
    voltage_v: Floats,
    temperature_degc: Floats,
    bleeding: NDArray[np.uint8],
    on_above_frac: float,
    off_above_frac: float,
    voltage_v_min: float,
    temperature_degc_max: float,
    cells_max: int,
) -> NDArray[np.uint8]:
    """See kernels.balance.choose_bleed."""
    n = soc_frac.size
    if not voltage_v.size == temperature_degc.size == bleeding.size == n:
        raise ValueError(f"soc_frac, voltage_v, temperature_degc, bleeding: expected {n} values each")
    if cells_max < 0:
        raise ValueError(f"cells_max: got {cells_max}, expected 0 or more")
    lowest = np.fmin.reduce(soc_frac, initial=np.inf)
    above = np.where(bleeding != 0, off_above_frac, on_above_frac)
    candidate = (soc_frac > lowest + above) & (voltage_v > voltage_v_min) & (temperature_degc < temperature_degc_max)
    highest_first = np.argsort(-soc_frac, kind="stable")
    chosen = np.zeros(n, np.uint8)
    chosen[highest_first[candidate[highest_first]][:cells_max]] = 1
    return chosen


class StringBalancer:
    """See kernels.balance.StringBalancer."""

    def __init__(self, limits: BleedLimits, strings: int, cells_per_string: int, cells_per_module: int) -> None:
        self.limits = limits
        self._shape = positive_count("strings", strings), positive_count("cells_per_string", cells_per_string)
        self._cells_per_module = positive_count("cells_per_module", cells_per_module)
        self.chosen = np.zeros(self._shape, np.uint8)
        self.duty_frac = np.zeros(self._shape, np.float32)

    def choose(
        self,
        soc_frac: NDArray[np.float32],
        soc_sigma_frac: NDArray[np.float32],
        voltage_v: Floats,
        temperature_degc: Floats,
        bleeding: NDArray[np.uint8],
        dt_s: float,
    ) -> NDArray[np.uint8]:
        positive("dt_s", dt_s)
        given: dict[str, NDArray[Any]] = {
            "soc_frac": soc_frac,
            "soc_sigma_frac": soc_sigma_frac,
            "voltage_v": voltage_v,
            "temperature_degc": temperature_degc,
            "bleeding": bleeding,
        }
        for name, values in given.items():
            if values.shape != self._shape:
                rows, columns = values.shape
                raise ValueError(f"{name}: got {rows} x {columns} values, expected {self._shape[0]} x {self._shape[1]}")
        may = self._may(soc_frac, soc_sigma_frac, voltage_v, temperature_degc, bleeding != 0, dt_s)
        for string, soc in enumerate(soc_frac):
            for first in range(0, len(soc), self._cells_per_module):
                module = slice(first, first + self._cells_per_module)
                _keep_highest(may[string, module], soc[module], self.limits.module_cells_max)
            _keep_highest(may[string], soc, self.limits.string_cells_max)
        self.chosen = may.astype(np.uint8)
        return self.chosen

    def _may(
        self,
        soc_frac: NDArray[np.float32],
        sigma_frac: NDArray[np.float32],
        voltage_v: Floats,
        temperature_degc: Floats,
        on: NDArray[np.bool_],
        dt_s: float,
    ) -> NDArray[np.bool_]:
        limits = self.limits
        above = np.where(on, np.float32(limits.off_above_frac), np.float32(limits.on_above_frac))
        lowest = np.fmin.reduce(soc_frac, axis=1, initial=np.inf, keepdims=True)
        return (
            (soc_frac > lowest + above)
            & (sigma_frac < np.float32(limits.sigma_frac_max))
            & (voltage_v.astype(np.float32) > np.float32(limits.voltage_v_min))
            & (temperature_degc.astype(np.float32) < np.float32(limits.temperature_degc_max))
            & self._rested(on, np.float32(np.exp(-dt_s / limits.duty_s)))
        )

    def _rested(self, on: NDArray[np.bool_], kept: np.float32) -> NDArray[np.bool_]:
        if self.limits.duty_max == 1.0:
            return np.ones(self._shape, bool)
        now = on.astype(np.float32)
        self.duty_frac = now + kept * (self.duty_frac - now)
        return self.duty_frac <= np.where(on, np.float32(self.limits.duty_max), np.float32(self.limits.duty_restart))


def _keep_highest(may: NDArray[np.bool_], soc_frac: NDArray[np.float32], keep: int) -> None:
    """Clears all but the highest `keep`, the first ones of equals."""
    highest_first = np.argsort(-soc_frac, kind="stable")
    may[highest_first[may[highest_first]][keep:]] = False
