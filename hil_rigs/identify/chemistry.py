"""What is usual for a chemistry, for everything that the measurements do not say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chemistry:
    """`full_v`, `empty_v` are where a charged and a discharged cell end; `ocv` are generic (soc, volts) points.
    `hysteresis_v` is the usual half gap between charge and discharge. `activation_k` of R0, first and other pairs.
    `shares_weight` says how much the usual division of resistances counts, as a share of what the runs say: more where
    the curve is flat, and a drop of hours looks like a part of it. `surface_lag_h`: how far the SoC of the resistances
    may lie behind the mean one at 25 degC, beside not at all. `resistance_ohm_ah` is R0 and all pairs together at
    25 degC, times the capacity."""

    name: str
    full_v: float
    empty_v: float
    hysteresis_v: float
    tau_s: tuple[tuple[float, ...], ...]
    saturation_per_h: tuple[float, ...]
    activation_k: tuple[float, float, float]
    shares_weight: float
    surface_lag_h: tuple[float, ...]
    resistance_ohm_ah: float
    ocv: tuple[tuple[float, float], ...]

    def ocv_v(self, soc_frac: Floats) -> Floats:
        """The generic curve at these SoC."""
        soc, volts = np.array(self.ocv).T
        return np.asarray(np.interp(soc_frac, soc, volts))


_LAYERED = (
    (0.0, 2.9), (0.02, 3.1), (0.05, 3.3), (0.1, 3.43), (0.2, 3.54), (0.3, 3.60), (0.4, 3.64), (0.5, 3.70),
    (0.6, 3.80), (0.7, 3.90), (0.8, 4.00), (0.9, 4.08), (1.0, 4.19),
)  # fmt: skip
_LFP = (
    (0.0, 2.55), (0.02, 2.9), (0.05, 3.09), (0.1, 3.203), (0.2, 3.249), (0.3, 3.277), (0.4, 3.288), (0.5, 3.291),
    (0.6, 3.299), (0.7, 3.325), (0.8, 3.331), (0.9, 3.3335), (0.97, 3.343), (1.0, 3.43),
)  # fmt: skip
_LMO = (
    (0.0, 3.0), (0.02, 3.3), (0.05, 3.5), (0.1, 3.62), (0.2, 3.72), (0.3, 3.78), (0.4, 3.82), (0.5, 3.86),
    (0.6, 3.91), (0.7, 3.96), (0.8, 4.02), (0.9, 4.08), (1.0, 4.18),
)  # fmt: skip
_ZINC = ((0.0, 1.60), (0.05, 1.74), (0.1, 1.77), (0.5, 1.80), (0.9, 1.82), (1.0, 1.84))

_LFP_PAIRS = ((20.0, 200.0, 2000.0, 12000.0),)
_PAIRS = ((3.0, 30.0, 300.0, 3000.0), (8.0, 80.0, 800.0, 8000.0))
_LINEAR = (0.0,)
_LAGS_H = (0.02, 0.03, 0.04, 0.05, 0.06)

# Resistances: LFP 0.08 (A123 26650), 0.126 (the shipped 280 Ah), 0.14 Ohm Ah (an 18650 of 2 Ah); layered oxides 0.17
# (INR18650), 0.19 (NCR18650PF, E2 pouch), 0.3 (LG M50); LMO 0.15 (Nissan Leaf); zinc as shipped.
CHEMISTRIES = {
    "lfp": Chemistry("lfp", 3.60, 2.00, 0.010, _LFP_PAIRS, _LINEAR, (2000.0, 3500.0, 3500.0), 1e-2, (), 0.12, _LFP),
    "nmc": Chemistry(
        "nmc", 4.20, 2.50, 0.002, _PAIRS, (0.0, 0.3, 1.0, 3.0), (2000.0, 5000.0, 3500.0), 1e-3, _LAGS_H, 0.19, _LAYERED
    ),
    "nca": Chemistry(
        "nca", 4.20, 2.50, 0.002, _PAIRS, (0.0, 0.3, 1.0, 3.0), (2000.0, 5000.0, 3500.0), 1e-3, _LAGS_H, 0.19, _LAYERED
    ),
    "lmo": Chemistry(
        "lmo", 4.20, 3.00, 0.002, _PAIRS, (0.0, 0.3, 1.0, 3.0), (2000.0, 5000.0, 3500.0), 1e-3, _LAGS_H, 0.15, _LMO
    ),
    "zinc": Chemistry("zinc", 1.95, 1.00, 0.005, _LFP_PAIRS, _LINEAR, (1500.0, 2000.0, 2000.0), 1e-3, (), 0.24, _ZINC),
}
