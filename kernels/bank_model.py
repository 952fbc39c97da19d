"""The constants, tuning and checked tables that the bank of filters and its twin share."""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from kernels.cell_tables import SOC_GRID, CellTables, minutes_pair

Floats = NDArray[np.float64]

SOC, BIAS, ERROR, OCV_ERROR, RESISTANCE, HYSTERESIS, CAPACITY, FIRST_RC = range(8)
"""Places in a hypothesis' state: SoC; current bias (A); model error that fades with time (V); error of the OCV curve,
which fades as the SoC moves on (V); ln of the resistance factor; hysteresis; ln of the capacity factor; then one
current (A) per RC pair."""
PAIRS_MAX = 4
HYPOTHESES_MAX = 64
FIRST_STEP_V = 0.1
"""Open-circuit voltage between two hypotheses at the start, at most about."""

SOC_MIN, SOC_MAX = -0.04, 1.04
LOG_FACTOR_MAX = 1.0
AXIS_S = 600.0
STEEP_V = 1.0
"""Slope, V per unit of SoC, from which on the error of the curve's place is also one that fades with charge moved:
a slow run through a knee takes an hour, and all of its samples are wrong together."""
UNTOLD_SIGMA_FRAC = 0.5
"""Relative sigma of resistances that nothing tells. Half of it is then what each SoC has of its own, which one factor
for all does not cover; of a smaller sigma that part is the share of the variance that is left."""
COUNT_S = 4.0
"""Samples that follow each other faster count the less."""
LOAD_PER_H = 0.03
"""Current, by capacity, that is neither load nor rest."""
SLOW_TAU_S = 1000.0
"""Tables whose slowest pair is faster do not know of the relaxation that goes on for hours in a real cell: the current
behind that pair stands for it, too, and is not known to have gone with a short rest."""
WORSE_MAX = 6.0
"""Outside the measured temperatures the tables' errors grow by this factor at most."""
AXIS_WORSE_SHARE = 0.65
"""Outside the measured temperatures the curves' place in SoC is wrong by so much less than their volts."""
OCV_MOVED_V_PER_K = 0.0015
"""The OCV's own errors grow by no more than this, so that a knee stays one: three times what entropy moves it (0.1 to
0.5 mV per kelvin, Forgez et al., J. Power Sources 195 (2010) 2961)."""
COLDER_SIGMA_PER_K = 0.0006
"""Of the SoC below the measured temperatures: curves that have moved there are wrong in all samples alike."""
EXTRAPOLATED_COLD_K, EXTRAPOLATED_WARM_K = 5.0, 5.0
"""Resistances go on by their own slope over 1/T this far beyond the tables, and stay there."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a chemistry's cells have in common beside their tables; frozen per chemistry, never per file.

    Rates "per h" are by the capacity in Ah: 0.006 = 6 mA for 1 Ah."""

    voltage_noise_v: float = 0.2
    """White error of a voltage over 1 s: far above the sensor's, so that many samples do not pretend to know."""
    voltage_noise_v_min: float = 0.003
    voltage_first_v: float = 0.01
    """The same of the first sample, which has not been counted before."""
    model_error_v: float = 0.0015
    """Coloured (Ornstein-Uhlenbeck) error of the modelled voltage that fades with time, beside the tables' own."""
    model_share: float = 0.25
    """Of the tables' `model_sigma_v`, how much is such an error."""
    model_error_s: float = 2.1e03
    ocv_error_v: float = 0.0012
    """Error of the OCV and hysteresis tables, on top of the sigma in the tables; it fades with charge moved."""
    ocv_error_soc: float = 0.1
    warm_share: float = 0.25
    """A kelvin above the measured temperatures counts as so much of one below: there resistances are small and change
    little."""
    error_per_k: float = 0.3
    """Growth of both errors, as a share per kelvin outside the measured temperatures."""
    resistance_per_k: float = 0.02
    """Growth of the resistance's sigma likewise."""
    drop_per_k: float = 0.008
    """Share of the drop per kelvin outside: how resistances go over SoC changes with temperature, and one factor for
    all of them does not cover that; the error fades with charge moved, as the curve's."""
    ohmic_error_frac: float = 0.16
    """White error as a share of the voltage drop."""
    axis_sigma: float = 0.010
    """The tables' curves may lie this far beside the true ones in SoC, so that a steep one says no more than that;
    samples within AXIS_S of each other share the error. Where the SoC at the surface is known apart from the mean one,
    the curves of the resistances count likewise, by what the present currents make of them."""
    bias_sigma_per_h: float = 0.0097
    bias_walk_per_h: float = 1e-7
    """A sqrt(s) of capacity."""
    rest_sigma_per_h: float = 0.0015
    """Current that may flow at what looks like a rest: 0.15 A for 100 Ah."""
    charge_walk: float = 8.4e-06
    """SoC per sqrt(s)."""
    gain_sigma_frac: float = 0.007
    resistance_sigma: float = 0.052
    resistance_walk: float = 0.00025
    capacity_sigma: float = 0.025
    """What a cell file says is believed no better than that: cells age, and differ."""
    capacity_walk: float = 1e-6
    hysteresis_end: float = 0.7
    """A cell that is full was charged, one that is empty was discharged: the hysteresis to start with at both ends."""
    hysteresis_lean: float = 0.5
    """Hysteresis to start with under load, towards its direction: what flows has mostly been flowing for long."""
    hysteresis_sigma: float = 0.7
    hysteresis_walk: float = 0.062
    rc_sigma_per_h: float = 0.32
    rc_walk_a: float = 1e-4
    tail: float = 9
    """Degrees of freedom of Student's t that stands for a sample's error: the fewer, the less an outlier counts."""
    noise_weight: float = 0.03
    """Share of ln(noise) that counts against a hypothesis under load: 1 = as if the assumed noise were the true one,
    0 = not. The first sample counts in full; at rest samples repeat each other, and time alone is no evidence."""
    prune: float = 14.0
    """A hypothesis whose log weight is this far below the best is dropped."""
    spacing: float = 0.047
    """Of the hypotheses over SoC."""
    single_sigma: float = 0.05
    """A start that is known this well needs one hypothesis only."""
    merge_s: float = 30.0
    soc_frac_max: float = SOC_MAX
    """A cell cannot hold more than full. On a plateau nothing says that it is; on a steep curve the millivolts by which
    a cell that was charged rests above the curve would be taken for SoC."""
    rested_s_min: float = 10.0
    rested_s_max: float = 36000.0
    """Where no current flows at the first sample, none has been flowing for a while: any decade within this is as
    likely as any other. Both 0 = nothing is assumed; on a steep curve the cell shows soon how far it is relaxed."""

    def array(self) -> Floats:
        """All numbers in the order of the fields."""
        return np.array([getattr(self, field.name) for field in fields(self)], dtype=np.float64)


TUNINGS = {
    "lfp": Tuning(),
    "nca": Tuning(
        voltage_noise_v=0.17,
        model_error_v=0.0073,
        model_share=1.6,
        model_error_s=50,
        ocv_error_v=0.0018,
        ocv_error_soc=0.1,
        ohmic_error_frac=0.021,
        axis_sigma=0.007,
        bias_sigma_per_h=0.008,
        charge_walk=5.9e-06,
        resistance_sigma=0.024,
        resistance_walk=0.00046,
        hysteresis_lean=0.0,
        hysteresis_sigma=0.62,
        hysteresis_walk=0.042,
        rc_sigma_per_h=0.3,
        rested_s_min=0.0,
        rested_s_max=0.0,
        tail=2.4,
        noise_weight=0.015,
        gain_sigma_frac=0.003,
        spacing=0.035,
        soc_frac_max=1.0,
    ),
}
TUNINGS["nmc"] = TUNINGS["lmo"] = TUNINGS["nca"]
TUNINGS["zinc"] = replace(TUNINGS["lfp"], charge_walk=5e-6)


def tuning_of(chemistry: str) -> Tuning:
    """The frozen tuning; ValueError for a chemistry that has none."""
    if chemistry not in TUNINGS:
        raise ValueError(f"chemistry: got {chemistry!r}, expected one of {', '.join(sorted(TUNINGS))}")
    return TUNINGS[chemistry]


def rested_share(tau_s: Floats, tuning: Tuning) -> Floats:
    """What is left of the currents behind the pairs after the rest that a start without load is taken to follow: root
    of the mean square over its possible lengths."""
    if tuning.rested_s_min == 0.0 or tau_s.max(initial=0.0) < SLOW_TAU_S:
        return np.ones(len(tau_s))
    rested_s = np.geomspace(tuning.rested_s_min, tuning.rested_s_max, 500)
    return np.ascontiguousarray(np.sqrt(np.exp(-2 * np.outer(1 / tau_s, rested_s)).mean(axis=1)))


class BankModel:
    """A cell's tables as the kernels walk through them; arrays are contiguous float64."""

    def __init__(self, cell: CellTables, tuning: Tuning | None = None) -> None:
        self.cell = cell
        self.tuning = tuning or tuning_of(cell.chemistry)
        if len(cell.rc_tau_s) > PAIRS_MAX:
            raise ValueError(f"rc: got {len(cell.rc_tau_s)} pairs, expected at most {PAIRS_MAX}")
        self.pairs = len(cell.rc_tau_s)
        self.hysteresis_pair = cell.hysteresis_pair
        self.lag_pair = minutes_pair(cell.rc_tau_s) if cell.surface_lag_h > 0 else None
        self.states = FIRST_RC + self.pairs
        self.inverse_k = np.ascontiguousarray(1.0 / (cell.temperature_degc + 273.15))
        self.log_resistance = np.ascontiguousarray(
            np.log(np.maximum(np.concatenate([cell.resistance_ohm[None], cell.rc_resistance_ohm]), 1e-9))
        )
        self.resistance_sigma = float(np.hypot(self.tuning.resistance_sigma, cell.resistance_sigma_frac.mean()))
        self.capacity_sigma = max(self.tuning.capacity_sigma, cell.capacity_sigma_frac)
        self.rested_share = rested_share(cell.rc_tau_s, self.tuning)
        self.log_saturation = np.ascontiguousarray(np.log(cell.saturation_current_a))

    def checked_state(self, state: Floats) -> Floats:
        """A saved state, [hypotheses, 1 + states + states^2]: ln of the weight, state, covariance by rows. ValueError
        unless it has this shape, is finite, lies in the SoC's range and has no negative variance."""
        width = 1 + self.states + self.states**2
        if state.ndim != 2 or state.shape[1] != width or not 1 <= len(state) <= HYPOTHESES_MAX:
            expected = f"1 to {HYPOTHESES_MAX} rows of {width}"
            raise ValueError(f"state: got {' x '.join(map(str, state.shape))} values, expected {expected}")
        if not np.isfinite(state).all():
            raise ValueError("state: expected finite values")
        soc_frac, variances = state[:, 1 + SOC], state[:, 1 + self.states :: self.states + 1]
        if not ((soc_frac >= SOC_MIN) & (soc_frac <= SOC_MAX)).all():
            raise ValueError(f"state: expected SoC from {SOC_MIN} to {SOC_MAX}")
        if not (variances >= 0.0).all():
            raise ValueError("state: expected variances of at least 0")
        return np.ascontiguousarray(state, float)

    def start(self, soc_frac: float | None, sigma_frac: float) -> tuple[Floats, Floats, Floats]:
        """SoC, weight and own sigma of each hypothesis; an unknown SoC is spread over the whole range."""
        tuning = self.tuning
        if soc_frac is not None and sigma_frac <= tuning.single_sigma:
            return np.array([soc_frac]), np.ones(1), np.array([sigma_frac])
        places = self._places()
        widths = np.gradient(places)
        weights = np.ones(len(places)) if soc_frac is None else np.exp(-0.5 * ((places - soc_frac) / sigma_frac) ** 2)
        weights = np.maximum(weights, 1e-6 * weights.max()) * widths
        return places, weights / weights.sum(), 0.7 * widths

    def _places(self) -> Floats:
        """From empty to full, where a battery is most often switched on: `spacing` apart, less where the curve is so
        steep that a straight line would not do over that width."""
        soc = np.linspace(0.0, 1.0, 2001)
        ocv_v = np.interp(soc, SOC_GRID, self.cell.ocv_v[len(self.cell.ocv_v) // 2])
        steps = np.hypot(np.diff(soc) / self.tuning.spacing, np.diff(ocv_v) / FIRST_STEP_V)
        passed = np.concatenate([[0.0], np.cumsum(steps)])
        count = min(math.ceil(passed[-1]) + 1, HYPOTHESES_MAX)
        return np.interp(np.linspace(0.0, passed[-1], count), passed, soc)
