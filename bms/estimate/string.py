"""The estimator of a series string's mean cell: gathers samples to whole seconds and feeds the bank of filters."""

import math

from bms.estimate.capacity_doubt import DOUBTED_SIGMA_FRAC, LOOK_S, RESISTANCE_FACTOR_MAX, has_aged, is_doubtful
from bms.estimate.lost import LostWatch
from bms.estimate.rest import RestWatch
from bms.estimate.spread import SIGMA_FRAC_MAX, spread_anew
from kernels.bank import SocBank
from kernels.bank_model import Floats, Tuning
from kernels.cell_tables import CellTables

WINDOW_S = 1.0
"""Samples are gathered this long: their mean has less noise, and the filters' cost does not depend on the rate."""
STEP_S_MAX = 120.0
"""A longer time between two samples is a gap: what flowed in it is not known."""
GAP_CURRENT_PER_H = 0.5
"""Standard deviation of the current, by capacity, over a gap between samples with current."""
REST_PER_H = 0.02
"""Below this current on both sides a gap is taken for a rest, whose current is as small."""
UNKNOWN_SIGMA_FRAC = 0.3
STRIPPED_SIGMA_FRAC = 0.01
WATCHDOGS_S = 5.0
"""After a controller's death converter and contactors stop the current within this time."""
UNWATCHED_SIGMA_PER_S = 0.002 / 3600.0
"""Growth of sigma while no controller watches: self-discharge, supply of the monitors, somebody's work by hand."""
UNWATCHED_SIGMA_MAX = 0.1
"""Beyond this the hypotheses are spread anew around the SoC that was."""
MOVED_V = 0.02
"""A cell that rests on both sides of a gap is no further from what is expected of it, or something flowed meanwhile."""
STUCK_DROP_V = 0.02
"""A voltage that stays the same to the last bit while the ohmic drop moves by this is not measured any more."""


class StringEstimator:
    """SoC, SoH and current bias of the mean cell of a string, or of one cell. Current is positive on discharge.

    Means of voltage and current are those of their samples' middle: the filters step from middle to middle. The state
    is the filters' newest less the charge since, so that it is never late.

    `capacity_doubted`: what was measured says that the cell file's capacity is not this cell's, or that the cell has
    aged, so that it is taken from the measurements alone."""

    def __init__(self, cell: CellTables, tuning: Tuning | None = None) -> None:
        self._bank = SocBank(cell, tuning)
        self._cell = cell
        self._capacity_sigma = self._bank.model.capacity_sigma
        self.capacity_doubted = False
        self._resistance_ohm = float(cell.resistance_ohm[len(cell.temperature_degc) // 2, 110])
        self._restart()

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        """Forget everything and begin with this knowledge; None = SoC unknown. ValueError outside 0..1."""
        if soc_frac is None:
            self._bank.start(None, UNKNOWN_SIGMA_FRAC)
        else:
            self._bank.start(soc_frac, UNKNOWN_SIGMA_FRAC if soc_sigma_frac is None else soc_sigma_frac)
        self.capacity_doubted = False
        self._restart()

    def save(self) -> Floats:
        """What `restore` needs; the charge of an unfinished window (1 s) is not in it."""
        return self._bank.save()

    def restore(self, saved: Floats, age_s: float, *, capacity_doubted: bool = False) -> None:
        """Go on from what was saved `age_s` ago, less sure by what may have flowed since (infinite = nobody knows
        when). ValueError for what cannot be a saved state, and nothing has changed then."""
        self._bank.restore(saved)
        self.capacity_doubted = capacity_doubted
        self._restart()
        watched_s = min(age_s, WATCHDOGS_S)
        sigma_frac = GAP_CURRENT_PER_H / 3600 * watched_s + UNWATCHED_SIGMA_PER_S * (age_s - watched_s)
        if sigma_frac > UNWATCHED_SIGMA_MAX:
            self.start(self.soc_frac, min(math.hypot(self.soc_sigma_frac, sigma_frac), UNKNOWN_SIGMA_FRAC))
        else:
            self._bank.gap(age_s, sigma_frac * self._cell.capacity_ah, 0.0)

    def stripped(self) -> None:
        """The string was discharged to its very end (the strip of a zinc battery): SoC is 0 beyond doubt."""
        self.start(0.0, STRIPPED_SIGMA_FRAC)

    def _restart(self) -> None:
        self._gap_s = self._gap_a = self._rested_s = 0.0
        self._scattered = False
        self._late_s = self._late_ah = 0.0
        self._last_a = math.nan
        self._looked_s = 0.0
        self._unchanged_v = self._unchanged_a = math.nan
        self._frozen = False
        self._rest = RestWatch(self._cell.capacity_ah)
        self._lost_watch = LostWatch(self._cell)
        self._new_window()

    def _new_window(self) -> None:
        self._window_s = self._charge_ah = 0.0
        self._volts = self._amps = self._seen_s = 0.0
        self._samples = self._seen = 0

    def step(
        self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float, *, may_flow: bool | None = None
    ) -> None:
        """One sample, `dt_s` after the one before (0 = the first). NaN voltage or current = absent; a step longer than
        STEP_S_MAX is a gap: nothing is integrated over it, and sigma grows. `may_flow`: a small current may be a draw
        that lasts, and is counted; None = nobody says, so that what a rest after a load reads is taken for an offset.
        """
        if may_flow:
            self._rest.interrupt()
        if not math.isfinite(current_a) or (dt_s > 0 and math.isnan(self._last_a)):
            self._lost(dt_s, current_a)
            return
        if dt_s > STEP_S_MAX:
            self._flush(temperature_degc)
            self._rest.interrupt()
            self._lost_watch.interrupt()
            self._gap(dt_s, current_a)
        elif dt_s > 0:
            self._window_s += dt_s
            self._charge_ah += 0.5 * (self._last_a + current_a) * dt_s / 3600
        self._last_a = current_a
        self._take(voltage_v, current_a)
        if self._window_s >= WINDOW_S or dt_s == 0 or dt_s > STEP_S_MAX:
            self._flush(temperature_degc)

    def doubt(self, charge_sigma_ah: float) -> None:
        """Up to the newest sample so much more or less may have flowed (standard deviation) than its current said."""
        self._bank.gap(0.0, charge_sigma_ah, 0.0)

    @property
    def soc_frac(self) -> float:
        since_ah = self._late_ah + self._charge_ah
        return min(max(self._bank.soc_frac - since_ah / self._bank.capacity_ah, 0.0), 1.0)

    @property
    def soc_sigma_frac(self) -> float:
        """Also over a gap that has not ended yet."""
        lost_frac = self._gap_a * self._gap_s / 3600 / self._cell.capacity_ah
        return min(math.hypot(self._bank.soc_sigma_frac, lost_frac), SIGMA_FRAC_MAX)

    @property
    def voltage_predicted_v(self) -> float:
        """What the model expected of the newest window's voltage before it was taken; NaN before the first."""
        return self._bank.voltage_predicted_v

    @property
    def current_bias_a(self) -> float:
        return self._bank.current_bias_a

    @property
    def capacity_ah(self) -> float:
        return self._bank.capacity_ah

    @property
    def capacity_ah_sigma(self) -> float:
        return self._bank.capacity_ah_sigma

    @property
    def soh_frac(self) -> float:
        """Capacity by that of the cell file."""
        return self._bank.capacity_ah / self._cell.capacity_ah

    @property
    def drop_v(self) -> float:
        """What current and relaxation took off the open-circuit voltage in the newest window."""
        return self._bank.drop_v

    @property
    def resistance_factor(self) -> float:
        """Resistance by that of the cell file."""
        return self._bank.resistance_factor

    @property
    def resistance_sigma_frac(self) -> float:
        return self._bank.resistance_factor_sigma

    @property
    def hysteresis(self) -> float:
        """From -1 (charged) to 1 (discharged)."""
        return self._bank.hysteresis

    def rc_current_a(self) -> Floats:
        """Current behind each RC pair, A: how far the cell is relaxed."""
        return self._bank.rc_current_a()

    def shift(self, soc_frac: float) -> None:
        """Move the estimate by so much SoC: what somebody else knows of it (bleeding)."""
        self._bank.shift(soc_frac)

    def doubt_capacity(self) -> None:
        """Take back what the cell file said of the capacity, if that is not done yet."""
        if not self.capacity_doubted and self._capacity_sigma < DOUBTED_SIGMA_FRAC:
            self._bank.widen_capacity(DOUBTED_SIGMA_FRAC)
        self.capacity_doubted = True

    def _take(self, voltage_v: float, current_a: float) -> None:
        self._samples += 1
        if math.isfinite(voltage_v) and not self._stuck(voltage_v, current_a):
            self._seen += 1
            self._volts += voltage_v
            self._amps += current_a
            self._seen_s += self._window_s

    def _stuck(self, voltage_v: float, current_a: float) -> bool:
        if voltage_v != self._unchanged_v:
            self._unchanged_v, self._unchanged_a, self._frozen = voltage_v, current_a, False
        elif abs(current_a - self._unchanged_a) * self._resistance_ohm > STUCK_DROP_V:
            self._frozen = True
        return self._frozen

    def _flush(self, temperature_degc: float) -> None:
        """Give the window to the filters: its charge, and the means of voltage and current where both were seen."""
        if self._samples == 0:
            return
        volts = self._volts / self._seen if self._seen else math.nan
        amps = self._amps / self._seen if self._seen else self._last_a
        late_s = self._window_s - self._seen_s / self._seen if self._seen else 0.0
        late_ah = amps * late_s / 3600
        self._watch_rest()
        if self._scattered and self._seen:
            self._spread(volts, amps, temperature_degc)
        charge_ah, step_s = self._charge_ah + self._late_ah - late_ah, self._window_s + self._late_s - late_s
        self._bank.step(volts, amps, charge_ah, temperature_degc, step_s)
        self._late_s, self._late_ah = late_s, late_ah
        self._look_at_capacity(step_s, temperature_degc)
        away_v = volts - self._bank.voltage_predicted_v
        if self._rested_s and self._seen:
            self._look_at_rest(away_v, volts, amps, temperature_degc)
        if self._lost_watch.take(away_v, self._bank.drop_v, self._bank.soc_frac, temperature_degc, step_s):
            self._begin_anew()
        self._new_window()

    def _spread(self, volts: float, amps: float, temperature_degc: float) -> None:
        spread_anew(self._bank, volts, amps, temperature_degc)
        self._late_s = self._late_ah = 0.0
        self._scattered = False

    def _look_at_rest(self, away_v: float, volts: float, amps: float, temperature_degc: float) -> None:
        """What the voltage says, by `away_v` from the expected one, of a gap that was taken for a rest."""
        low_degc, high_degc = self._cell.temperature_measured_degc
        if abs(away_v) > MOVED_V and low_degc <= temperature_degc <= high_degc:
            self._bank.gap(0.0, GAP_CURRENT_PER_H * self._cell.capacity_ah * self._rested_s / 3600, 0.0)
            self._spread(volts, amps, temperature_degc)
        self._rested_s = 0.0

    def _begin_anew(self) -> None:
        """Nothing that the filters hold is worth keeping, the cell file's capacity included."""
        self._bank.start(None, UNKNOWN_SIGMA_FRAC)
        self.capacity_doubted = False
        self.doubt_capacity()

    def _look_at_capacity(self, step_s: float, temperature_degc: float) -> None:
        self._looked_s += step_s
        if self.capacity_doubted or self._looked_s < LOOK_S:
            return
        self._looked_s = 0.0
        factor = self._bank.capacity_ah / self._cell.capacity_ah
        sigma = self._bank.capacity_ah_sigma / self._bank.capacity_ah
        fits = 1.0 / RESISTANCE_FACTOR_MAX < self._bank.resistance_factor < RESISTANCE_FACTOR_MAX
        low_degc, high_degc = self._cell.temperature_measured_degc
        known = low_degc <= temperature_degc <= high_degc
        bank = self._bank
        aged = known and has_aged(bank.resistance_factor, bank.resistance_factor_sigma, bank.soc_sigma_frac)
        if aged or (fits and is_doubtful(math.log(factor), sigma, self._capacity_sigma)):
            self.doubt_capacity()

    def _watch_rest(self) -> None:
        """What the sensor reads while nothing flows is its offset."""
        if self._window_s == 0.0:
            return
        offset_a = self._rest.take(self._charge_ah * 3600 / self._window_s, self._window_s)
        if offset_a is not None:
            self._bank.rest(offset_a)

    def _lost(self, dt_s: float, current_a: float) -> None:
        """The current is absent, or comes back after it was: the time between counts as one gap."""
        self._gap_a = GAP_CURRENT_PER_H * self._cell.capacity_ah
        self._gap_s += dt_s
        self._rest.interrupt()
        self._lost_watch.interrupt()
        if math.isfinite(current_a):
            self._bank.gap(self._gap_s, self._gap_a * self._gap_s / 3600, self._gap_a)
            self._scatter(self._gap_a * self._gap_s / 3600)
            self._gap_s = 0.0
        self._last_a = current_a

    def _gap(self, dt_s: float, current_a: float) -> None:
        ah = self._cell.capacity_ah
        resting = max(abs(self._last_a), abs(current_a)) < REST_PER_H * ah
        sigma_a = (0.1 * REST_PER_H if resting else GAP_CURRENT_PER_H) * ah
        self._bank.gap(dt_s, sigma_a * dt_s / 3600, sigma_a)
        self._rested_s = dt_s if resting else 0.0
        self._scatter(sigma_a * dt_s / 3600)

    def _scatter(self, charge_sigma_ah: float) -> None:
        """So much may have flowed: where that is far, the next voltage finds hypotheses spread around the SoC."""
        far_ah = self._bank.model.tuning.single_sigma * self._cell.capacity_ah
        self._scattered = self._scattered or charge_sigma_ah > far_ah
