"""The constants, the checked parameters and the layout that the kernel of cells in series and its twin share."""

from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from kernels import checks
from kernels.cell_tables import GRID_FIRST, GRID_LAST, GRID_POINTS, CellTables
from kernels.checks import Floats
from kernels.workers import positive_count

Floats32 = NDArray[np.float32]

LANES = 16
ROWS = ("deviation", "remainder", "resistance", "inverse", "ss", "sr", "si", "rr", "ri", "ii", "cs", "cr", "ci")
"""A cell's state, float32: its deviations from the string's mean cell in SoC (with the part that a float32 cannot
hold), in resistance (share) and in inverse capacity (mean / own - 1); their covariances, s, r, i; and c, with the
lasting error of its voltage."""
GROUP_ROWS = 4
"""In memory the first ones of all a string's cells come before the others ..."""
KEPT_ROWS = len(ROWS) + 2
"""... and two more follow that are made of these: the curve's slope as the belief sees it, and its bend."""

MEAN = np.dtype(
    [
        ("soc_frac", np.float64),
        ("soc_sigma_frac", np.float64),
        ("drop_v", np.float64),
        ("charge_ah", np.float64),
        ("capacity_ah", np.float64),
        ("temperature_degc", np.float64),
    ]
)
"""A string's mean cell at the end of a step: SoC and its sigma; the voltage that current and relaxation take off
its open-circuit voltage (positive on discharge, without hysteresis); the charge that left it in the step; its capacity
and its temperature."""

BIN_K = 2.5
"""Curves are made for temperatures this far apart; the nearest one is used."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known of a string's cells before anything is measured, as standard deviations around the mean cell."""

    soc_frac: float = 0.02
    resistance_frac: float = 0.06
    capacity_frac: float = 0.02
    voltage_v: float = 0.002
    """Lasting error of one cell's voltage against the others': sensor offset, and a curve of its own."""
    noise_v: float = 0.001
    """Error that lasts about a minute: quantisation, temperature, neighbours."""
    ohmic_frac: float = 0.04
    """Error of the drop after its factor is known, as a share: a cell's relaxation is not its resistance."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The C code's constants; variances where not said otherwise."""

    grid_first: float
    grid_per_frac: float
    grid_end: float
    noise_v2: float
    ohmic_error2: float
    offset_v2: float
    soc_min2: float = 0.001**2
    """No deviation is known better: the curve is not, nor is the temperature of each cell."""
    resistance_min2: float = 0.005**2
    inverse_min2: float = 0.002**2
    soc_max2: float = 0.3**2
    resistance_max2: float = 0.3**2
    inverse_max2: float = 0.2**2
    soc_walk_per_s: float = 0.005**2 / (30 * 86400)
    """Cells lose charge at differing rates: half a per cent in a month."""
    resistance_walk_per_s: float = 0.02**2 / 86400
    """Temperature and SoC move a cell's resistance against the others' within a day."""
    inverse_walk_per_s: float = 0.005**2 / (100 * 86400)
    """Ageing parts capacities by half a per cent in a hundred days."""
    offset_s: float = 30 * 86400.0
    """The lasting error keeps its value about this long."""
    noise_s: float = 60.0
    model_s: float = 3600.0
    """Errors of drop and curve last as long as a load does."""
    place_share: float = 0.25
    """That of where the mean cell lies on the curve so much of it: until it is known better, or has moved on."""
    moved_frac_max: float = 0.001
    elapsed_s_max: float = 60.0
    bled_frac_max: float = 1e-5
    centre_frac_max: float = 1e-4
    """What may be pending before it is carried into the cells."""
    seen_frac_max: float = 0.001
    seen_sigma_max: float = 0.1
    """How far the mean cell's SoC may move, and its sigma as a share, before the curve's slope is looked at anew."""
    absent_v: float = 10.0
    """No cell's voltage is this far from what is expected: taken for absent."""
    outlier_v: float = 0.1
    """A cell further off than this does not speak for the string's common error."""
    gate: float = 3.0
    """Beyond this many sigmas a reading counts the less the further it is off."""
    bleed_s: float = 0.0
    """Conductance of a bleed resistor, siemens."""

    def array(self) -> Floats32:
        """All numbers in the order of the fields."""
        return np.array(astuple(self), dtype=np.float32)


class SeriesModel:
    """Checked parameters of equal strings; `curves_v` is float32[bins, 221] from `bin_degc` on, each BIN_K:
    open-circuit voltage on SOC_GRID."""

    def __init__(self, cell: CellTables, strings: int, cells_per_string: int, spread: Spread, bleed_ohm: float) -> None:
        self.strings = positive_count("strings", strings)
        self.cells = positive_count("cells_per_string", cells_per_string)
        self.groups = -(-self.cells // LANES)
        for field in fields(spread):
            checks.positive(f"spread.{field.name}", getattr(spread, field.name))
        self.spread = spread
        self.bin_degc = float(cell.temperature_degc[0])
        self.curves_v = _curves(cell)
        self.rule = Rule(
            grid_first=GRID_FIRST,
            grid_per_frac=(GRID_POINTS - 1) / (GRID_LAST - GRID_FIRST),
            grid_end=GRID_POINTS - 1 - 0.001,
            noise_v2=spread.noise_v**2,
            ohmic_error2=spread.ohmic_frac**2,
            offset_v2=spread.voltage_v**2,
            bleed_s=1.0 / checks.positive("bleed_ohm", bleed_ohm),
        )

    def start(self) -> Floats32:
        """State before anything is measured, float32[13]: equal cells, each with the spread's variances."""
        rule, spread = self.rule, self.spread
        state = np.zeros(len(ROWS), np.float32)
        state[ROWS.index("ss")] = max(spread.soc_frac**2, rule.soc_min2)
        state[ROWS.index("rr")] = max(spread.resistance_frac**2, rule.resistance_min2)
        state[ROWS.index("ii")] = max(spread.capacity_frac**2, rule.inverse_min2)
        return state

    def checked_state(self, state: Floats32) -> Floats32:
        """A saved state; ValueError unless it is finite, has this shape and no variance below its least one."""
        expected = (self.strings, len(ROWS), self.cells)
        if state.dtype != np.float32 or state.shape != expected:
            raise ValueError(f"state: got {state.dtype} of shape {state.shape}, expected float32 of {expected}")
        rule = self.rule
        for name, least in (("ss", rule.soc_min2), ("rr", rule.resistance_min2), ("ii", rule.inverse_min2)):
            if not (state[:, ROWS.index(name)] >= np.float32(least)).all():
                raise ValueError(f"state: expected {name} of at least {least:g}")
        if not np.isfinite(state).all():
            raise ValueError("state: expected finite values")
        return state


def check_means(mean: NDArray[np.void]) -> None:
    """ValueError naming string and field unless all are finite, no sigma is negative and every capacity is above 0."""
    for name in MEAN.names or ():
        for string in np.flatnonzero(~np.isfinite(mean[name])):
            raise ValueError(f"mean[{string}].{name}: got {mean[name][string]}, expected a finite value")
    for string in np.flatnonzero(mean["soc_sigma_frac"] < 0):
        raise ValueError(f"mean[{string}].soc_sigma_frac: got {mean['soc_sigma_frac'][string]}, expected 0 or more")
    for string in np.flatnonzero(mean["capacity_ah"] <= 0):
        raise ValueError(f"mean[{string}].capacity_ah: got {mean['capacity_ah'][string]}, expected above 0")


def aligned_zeros(floats: int) -> Floats32:
    """Zeroed float32 that begin on a cache line."""
    room = np.zeros(floats + LANES, np.float32)
    skipped = -room.ctypes.data % 64 // 4
    return room[skipped : skipped + floats]


def _curves(cell: CellTables) -> Floats32:
    first, last = cell.temperature_degc[0], cell.temperature_degc[-1]
    degc: Floats = first + BIN_K * np.arange(int((last - first) / BIN_K + 0.5) + 1)
    columns = [np.interp(degc, cell.temperature_degc, column) for column in cell.ocv_v.T]
    return np.stack(columns, axis=1).astype(np.float32)
