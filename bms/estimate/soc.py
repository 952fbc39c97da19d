"""State of charge of every cell of a rack: the string's mean cell by a bank of filters, each cell by its difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from bms.estimate.packing import of_type, packed, shares, unpacked
from bms.estimate.series_resistance import SeriesResistance
from bms.estimate.string import STRIPPED_SIGMA_FRAC, StringEstimator
from bms.summary import RackSummary, mean_of
from drivers.readings import Floats, RackReading
from kernels.cell_tables import SOC_GRID, CellTables
from kernels.series import SeriesCells
from kernels.series_model import MEAN, ROWS, Spread

COMPARE_S = 1.0
"""Cells are compared with the mean cell this often, by their mean voltages since."""

END_FRAC = 0.125
"""Share of the cells that make the fullest and the emptiest group: one cell alone may be a bad sensor."""

CHOOSE_S = 600.0
"""The groups are chosen anew this often."""


_SPREAD_ROWS = [ROWS.index(name) for name in ("ss", "si", "ii")]
_OF_SOC_ROWS = [ROWS.index(name) for name in ("deviation", "remainder", "sr", "si", "cs")]


class CellGroup:
    """The cells at one end of a string, seen as one."""

    def __init__(self, cell: CellTables, members: NDArray[np.intp]) -> None:
        self.estimator = StringEstimator(cell)
        self.members = members

    def choose(self, members: NDArray[np.intp], difference_frac: Floats) -> None:
        """Other cells from now on, whose SoC lies where the estimated differences say."""
        moved = float(difference_frac[members].mean() - difference_frac[self.members].mean())
        self.estimator.shift(moved)
        self.members = members


class CellState(TypedDict):
    """Of a string, as the limit solver takes it: arrays have one value a cell, but for the pairs' currents; the other
    values the string shares."""

    resistance_factor: Floats
    resistance_sigma_frac: Floats
    series_factor: Floats
    series_sigma_frac: Floats
    capacity_ah: Floats
    capacity_sigma_frac: Floats
    rc_current_a: Floats
    hysteresis: float
    voltage_v: Floats
    current_a: float


class SocSpread(NamedTuple):
    """Over a rack's cells; NaN until known."""

    frac_min: float
    frac_mean: float
    frac_max: float
    sigma_frac_max: float


class RackSoc:
    """SoC of one rack's cells. Without a first complete reading `known` is False and all values are NaN.

    On a plateau the mean voltage says little, while the fullest or the emptiest cells may already stand where the
    curve is steep. These have estimators of their own, and the one that is surest counts most.

    `soc_frac`, `sigma_frac`: each cell's; `difference_sigma_frac`: of a cell's SoC against the mean cell's, which may
    be well known while the mean is not. `usable_frac`: what can be discharged until the first cell is empty, as a
    share of what can flow until the first is full or empty; `energy_wh`: the same before losses. `fullness_frac`: 1
    less the charge that a cell still takes, as a share of the mean cell's capacity: it orders cells the same way
    wherever in the cycle they are, which SoC does not where capacities differ; `fullness_sigma_frac` is how well it is
    known of a cell against the others.
    `soh_frac_min`: the weakest cell's capacity by that of the cell file."""

    def __init__(self, cell: CellTables, cells: int, current_age_s_max: float) -> None:
        self._cell = cell
        self._cells = SeriesCells(cell, 1, cells)
        self._mean = StringEstimator(cell)
        self._series = SeriesResistance(cells, cell.capacity_ah)
        self._ends: list[CellGroup] = []
        self._row = np.zeros(1, MEAN)
        self._current_age_s_max = current_age_s_max
        self._voltage_v_sum = np.zeros(cells)
        self._current_a_sum = 0.0
        self._shown_v: Floats = np.full(cells, math.nan)
        self._shown_a = math.nan
        self._difference_frac = np.zeros(cells)
        self._ocv_v = cell.ocv_v[len(cell.temperature_degc) // 2]
        self._energy_v = _energy_v(cell)
        self._curvature_v = self._chosen_s = 0.0
        self._temperature_degc = math.nan
        self._begin_window()
        self.known = False
        self.soc_frac: Floats = np.full(cells, math.nan)
        self.sigma_frac: Floats = self.soc_frac
        self.difference_sigma_frac: Floats = np.full(cells, Spread().soc_frac)
        self.fullness_frac: Floats = self.soc_frac
        self.fullness_sigma_frac: Floats = np.full(cells, math.inf)
        self.usable_frac = self.energy_wh = math.nan
        self.soh_frac_min = math.nan
        self._spread_of: tuple[Floats, Floats] | None = None
        self._spread = SocSpread(math.nan, math.nan, math.nan, math.nan)

    @property
    def spread(self) -> SocSpread:
        """Extremes of `soc_frac` and `sigma_frac`, which are new arrays whenever they change: once a second."""
        soc_frac, sigma_frac = self.soc_frac, self.sigma_frac
        if self._spread_of is None or self._spread_of[0] is not soc_frac or self._spread_of[1] is not sigma_frac:
            self._spread_of = soc_frac, sigma_frac
            mean_frac, sigma_max = mean_of(soc_frac), float(sigma_frac.max())
            self._spread = SocSpread(float(soc_frac.min()), mean_frac, float(soc_frac.max()), sigma_max)
        return self._spread

    def cell_state(self, shared_sigmas: float = 1.0) -> CellState:
        """What the newest comparison knows of the cells beside their SoC. The error of the resistances that all cells
        share is `shared_sigmas` of it."""
        factor, factor_sigma = (row[0].astype(np.float64) for row in self._cells.resistance_factor)
        capacity, capacity_sigma = (row[0].astype(np.float64) for row in self._cells.capacity_factor)
        mean = self._mean
        return CellState(
            resistance_factor=mean.resistance_factor * factor,
            resistance_sigma_frac=np.hypot(shared_sigmas * mean.resistance_sigma_frac, factor_sigma / factor),
            series_factor=mean.resistance_factor * self._series.factor,
            series_sigma_frac=np.full(len(factor), self._series.sigma_frac),
            capacity_ah=mean.capacity_ah * capacity,
            capacity_sigma_frac=np.hypot(mean.capacity_ah_sigma / mean.capacity_ah, capacity_sigma / capacity),
            rc_current_a=mean.rc_current_a(),
            hysteresis=mean.hysteresis,
            voltage_v=self._shown_v,
            current_a=self._shown_a - mean.current_bias_a,
        )

    def step(self, reading: RackReading, summary: RackSummary, dt_s: float) -> None:
        """Advance by `dt_s` since the previous step, 0 in the first, after `restore` too. Over a gap in the current
        nothing is integrated; sigma grows."""
        if not self.known:
            if not summary.complete:
                return
            self.known, dt_s = True, 0.0
            self._ends = [CellGroup(self._cell, members) for members in self._ordered(reading.voltage_v)]
        elif dt_s <= 0.0:
            return
        fresh = summary.current_age_s <= self._current_age_s_max
        current_a = reading.current_a if fresh else math.nan
        measured_degc = _mean(reading.temperature_degc)
        if math.isfinite(measured_degc):
            self._temperature_degc = measured_degc
        temperature_degc = self._temperature_degc
        # Connected, a site may draw a little for hours; only an open rack's current is none, whatever its sensor reads.
        may_flow = reading.main_closed is not False
        volts = _mean(reading.voltage_v) - self._curvature_v
        self._mean.step(volts, current_a, temperature_degc, dt_s, may_flow=may_flow)
        for end in self._ends:
            volts = _mean(reading.voltage_v[end.members])
            end.estimator.step(volts, current_a, temperature_degc, dt_s, may_flow=may_flow)
        self._share_doubts()
        if not fresh:
            self._series.interrupt()
            self.sigma_frac = np.hypot(self.difference_sigma_frac, self._mean.soc_sigma_frac)
            return
        self._voltage_v_sum += reading.voltage_v
        self._current_a_sum += current_a
        self._samples += 1
        self._window_s += dt_s
        self._charge_ah += current_a * dt_s / 3600.0
        if self._window_s >= COMPARE_S or dt_s == 0.0:
            self._compare(reading, temperature_degc)

    def _share_doubts(self) -> None:
        """All cells are of one file: what contradicts it at one end of the string does so for all."""
        estimators = (self._mean, *[end.estimator for end in self._ends])
        if True in [each.capacity_doubted for each in estimators]:
            for each in estimators:
                each.doubt_capacity()

    def save(self) -> dict[str, Any] | None:
        """What `restore` needs, as JSON takes it; None while the SoC is unknown."""
        if not self.known:
            return None
        return {
            "soc_frac": packed(self.soc_frac, "<f4"),
            "difference_sigma_frac": packed(self.difference_sigma_frac, "<f4"),
            "cells": packed(self._cells.save(), "<f4"),
            "mean": packed(self._mean.save(), "<f4"),
            "capacity_doubted": self._mean.capacity_doubted,
            "ends": [
                {
                    "members": packed(end.members, "<u2"),
                    "state": packed(end.estimator.save(), "<f4"),
                    "capacity_doubted": end.estimator.capacity_doubted,
                }
                for end in self._ends
            ],
        }

    def restore(self, saved: dict[str, Any], age_s: float) -> None:
        """Go on from what was saved `age_s` ago (infinite = nobody knows when). ValueError names what cannot be, and
        nothing has changed then."""
        count = len(self.soc_frac)
        soc_frac, difference_sigma_frac = (shares(saved, name, count) for name in ("soc_frac", "difference_sigma_frac"))
        mean = self._restored(saved, "mean", age_s)
        ends = [self._restored_end(each, age_s) for each in of_type(saved, "ends", list)]
        self._cells.restore(unpacked(saved, "cells", "<f4", count).reshape(1, -1, count).astype(np.float32))
        self._mean, self._ends = mean, ends
        self.soc_frac, self._difference_frac = soc_frac, soc_frac - soc_frac.mean()
        self.difference_sigma_frac = difference_sigma_frac
        self.sigma_frac = np.hypot(difference_sigma_frac, self._surest()[1])
        self._reckon_usable()
        self.known = True

    def stripped(self) -> None:
        """Every cell was discharged to its very end (the strip of a zinc rack): all are at 0. What is known of their
        resistances and capacities against each other stays."""
        if not self.known:
            return
        state = self._cells.save()
        state[0, _OF_SOC_ROWS] = 0.0
        state[0, _SPREAD_ROWS[0]] = STRIPPED_SIGMA_FRAC**2
        self._cells.restore(state)
        for estimator in (self._mean, *(end.estimator for end in self._ends)):
            estimator.stripped()
        self._difference_frac = np.zeros(len(self.soc_frac))
        self.soc_frac = np.zeros(len(self.soc_frac))
        self.difference_sigma_frac = np.full(len(self.soc_frac), STRIPPED_SIGMA_FRAC)
        self.sigma_frac = np.hypot(self.difference_sigma_frac, self._mean.soc_sigma_frac)
        self._begin_window()
        self._reckon_usable()

    def _restored_end(self, saved: Any, age_s: float) -> CellGroup:
        members = unpacked(of_type(saved, "", dict), "members", "<u2", 1).ravel().astype(np.intp)
        if len(members) == 0 or members.max() >= len(self.soc_frac):
            raise ValueError("members are not cells of the rack")
        end = CellGroup(self._cell, members)
        end.estimator = self._restored(saved, "state", age_s)
        return end

    def _restored(self, saved: dict[str, Any], name: str, age_s: float) -> StringEstimator:
        """Without a word of doubts, as in files of earlier versions, there was none."""
        estimator = StringEstimator(self._cell)
        state = unpacked(saved, name, "<f4", estimator.save().shape[1])
        doubted = of_type({"capacity_doubted": False, **saved}, "capacity_doubted", bool)
        estimator.restore(state, age_s, capacity_doubted=doubted)
        return estimator

    def _fullness_sigma(self, factor: Floats) -> Floats:
        """Errors of SoC and capacity that hang together, as those of cells that were compared when full, cancel."""
        ss, si, ii = self._cells.save()[0, _SPREAD_ROWS].astype(np.float64)
        by_inverse = (1.0 - self.soc_frac) * factor * factor
        variance = factor * factor * ss + 2.0 * factor * by_inverse * si + by_inverse**2 * ii
        sigma_frac: Floats = np.sqrt(np.maximum(variance, 0.0))
        return sigma_frac

    def _begin_window(self) -> None:
        self._voltage_v_sum[:] = 0.0
        self._current_a_sum = 0.0
        self._samples = 0
        self._window_s = self._charge_ah = 0.0

    def _ordered(self, by: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The cells at the low and at the high end."""
        count, order = max(1, round(END_FRAC * len(by))), np.argsort(by)
        return order[:count], order[-count:]

    def _compare(self, reading: RackReading, temperature_degc: float) -> None:
        """Each cell with the mean cell over the window that ends here."""
        row, elapsed_s = self._row, max(self._window_s, COMPARE_S)
        soc_frac, sigma_frac = self._surest()
        row["soc_frac"], row["soc_sigma_frac"], row["drop_v"] = soc_frac, sigma_frac, self._mean.drop_v
        row["charge_ah"], row["capacity_ah"] = self._charge_ah, self._mean.capacity_ah
        row["temperature_degc"] = temperature_degc
        self._shown_v, self._shown_a = self._voltage_v_sum / self._samples, self._current_a_sum / self._samples
        ocv_v = float(np.interp(self._mean.soc_frac, SOC_GRID, self._ocv_v))
        self._series.take(ocv_v - self._shown_v, self._mean.drop_v, self._shown_a, elapsed_s)
        self._cells.step(self._shown_v[None], row, elapsed_s, reading.bleeding[None])
        self._mean.shift(float(self._cells.shift_frac[0]))
        self._curvature_v = float(self._cells.curvature_v[0])
        self.soc_frac = self._cells.soc_frac[0].astype(np.float64)
        self.sigma_frac = self._cells.soc_sigma_frac[0].astype(np.float64)
        self.difference_sigma_frac = np.sqrt(np.maximum(self.sigma_frac**2 - sigma_frac**2, 0.0))
        self._difference_frac = self.soc_frac - self.soc_frac.mean()
        self._reckon_usable()
        self._chosen_s += elapsed_s
        if self._chosen_s > CHOOSE_S:
            self._chosen_s = 0.0
            for end, members in zip(self._ends, self._ordered(self.soc_frac), strict=True):
                end.choose(members, self._difference_frac)
        self._begin_window()

    def _surest(self) -> tuple[float, float]:
        """SoC and sigma of the mean cell by all three estimators, weighted by 1/sigma^4: their errors are not
        independent, so that together they are no surer than the best."""
        said = [(self._mean.soc_frac, self._mean.soc_sigma_frac)]
        for end in self._ends:
            away, away_sigma = self._difference_frac[end.members], self.difference_sigma_frac[end.members]
            sigma = math.hypot(end.estimator.soc_sigma_frac, float(away_sigma.mean()))
            said.append((end.estimator.soc_frac - float(away.mean()), sigma))
        soc_frac, sigma_frac = np.array(said).T
        weight = sigma_frac**-4.0
        weight /= weight.sum()
        return float(np.clip(weight @ soc_frac, 0.0, 1.0)), float(weight @ sigma_frac)

    def _reckon_usable(self) -> None:
        """The emptiest and the fullest cell bind, each by its own capacity."""
        factor = self._cells.capacity_factor[0][0].astype(np.float64)
        self.fullness_frac = 1.0 - (1.0 - self.soc_frac) * factor
        self.fullness_sigma_frac = self._fullness_sigma(factor)
        self.soh_frac_min = self._mean.capacity_ah * float(factor.min()) / self._cell.capacity_ah
        to_empty_ah = self._mean.capacity_ah * float((self.soc_frac * factor).min())
        to_full_ah = self._mean.capacity_ah * float(1.0 - self.fullness_frac.max())
        self.usable_frac = to_empty_ah / (to_empty_ah + to_full_ah)
        mean_frac = float(self.soc_frac.mean())
        low_v, high_v = np.interp(
            [mean_frac - to_empty_ah / self._mean.capacity_ah, mean_frac], SOC_GRID, self._energy_v
        )
        self.energy_wh = len(self.soc_frac) * self._mean.capacity_ah * float(high_v - low_v)


def _mean(values: Floats) -> float:
    """Of the cells that have one; NaN without any."""
    mean = mean_of(values)
    if math.isfinite(mean):
        return mean
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else math.nan


def _energy_v(cell: CellTables) -> Floats:
    """The open-circuit curve's integral over SoC, at the middle temperature of the tables."""
    ocv_v = cell.ocv_v[len(cell.temperature_degc) // 2]
    steps_v = 0.5 * (ocv_v[1:] + ocv_v[:-1]) * np.diff(SOC_GRID)
    return np.concatenate([[0.0], np.cumsum(steps_v)])


@dataclass(frozen=True, slots=True)
class SocSummary:
    """SoC over all racks' cells, and per rack; NaN until known. `frac_usable`: what the cells that bind leave, the
    mean of the racks online, or of all while none is; `energy_wh`: what these hold until their first cell is empty."""

    frac_min: float
    frac_mean: float
    frac_max: float
    frac_usable: float
    energy_wh: float
    sigma_frac_max: float
    rack_frac_min: tuple[float, ...]
    rack_frac_max: tuple[float, ...]


def summarise_soc(racks: Sequence[RackSoc], online: Sequence[bool]) -> SocSummary:
    working = [rack for rack, works in zip(racks, online, strict=True) if works] or racks
    spreads = [rack.spread for rack in racks]
    lowest, highest = tuple(each.frac_min for each in spreads), tuple(each.frac_max for each in spreads)
    return SocSummary(
        frac_min=min(lowest),
        frac_mean=mean_of(np.array([each.frac_mean for each in spreads])),
        frac_max=max(highest),
        frac_usable=mean_of(np.array([rack.usable_frac for rack in working])),
        energy_wh=sum([rack.energy_wh for rack in working]),
        sigma_frac_max=max([each.sigma_frac_max for each in spreads]),
        rack_frac_min=lowest,
        rack_frac_max=highest,
    )
