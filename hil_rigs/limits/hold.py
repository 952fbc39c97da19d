"""Holds each limit on the plant, and finds the most that the plant could have held from the same state."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hil_rigs.limits.course import HORIZONS_S, Moment
from hil_rigs.plant.limit_bench import Extremes, current_of, largest, run_hold
from kernels.cellsim import CellPack

TOP_V = 1.5
"""A charge at its bound of current lies below this many times the window's highest voltage."""


@dataclass(frozen=True, slots=True)
class Held:
    """One limit and what became of it. `true_w` is the largest power that the plant can hold from the same state;
    `free`: the string's bound of current decides there, not its cells. `beyond_v`, `beyond_soc_frac`: how far the
    worst cell went beyond the bound that the limit moves towards, with current or power held, negative = room."""

    kind: str
    degc: float
    upwards: bool
    stop_frac: float
    charge: bool
    horizon_s: float
    limit_w: float
    true_w: float
    free: bool
    beyond_v: float
    beyond_soc_frac: float

    @property
    def pessimism(self) -> float:
        return 1.0 - self.limit_w / self.true_w if self.true_w > 0.0 else 0.0


def held_limits(moment: Moment) -> Iterator[Held]:
    """Every horizon in both directions."""
    for charge, limit in zip((False, True), moment.limits, strict=True):
        for k, horizon_s in enumerate(HORIZONS_S):
            hold = Hold(moment, charge, horizon_s)
            seen = (hold.at_current(float(limit.current_a[k])), hold.at_power(float(limit.power_w[k])))
            true_w, free = hold.most_w()
            yield Held(
                moment.kind.name,
                moment.degc,
                moment.upwards,
                moment.stop_frac,
                charge,
                horizon_s,
                float(limit.power_w[k]),
                true_w,
                free,
                max(hold.beyond_v(each) for each in seen),
                max(hold.beyond_soc_frac(each) for each in seen),
            )


@dataclass(frozen=True, slots=True)
class Hold:
    """One direction for one time from one moment; currents and powers are magnitudes."""

    moment: Moment
    charge: bool
    horizon_s: float

    def at_current(self, current_a: float) -> Extremes:
        return self._run(lambda pack: self._sign * current_a)

    def at_power(self, power_w: float) -> Extremes:
        return self._run(lambda pack: current_of(pack, self._sign * power_w))

    def most_w(self) -> tuple[float, bool]:
        """The largest power that no cell and no bound of current forbids, and whether the latter alone decides."""
        window, cells = self.moment.kind.window, len(self.moment.pack.voltage_v)
        most_a = window.charge_current_a_max if self.charge else window.discharge_current_a_max
        top_w = most_a * cells * TOP_V * window.voltage_v_max
        free_w = largest(lambda power_w: self.at_power(power_w).current_a_max <= most_a, top_w)
        true_w = largest(lambda power_w: self._stays(self.at_power(power_w)), free_w)
        return true_w, true_w == free_w

    def beyond_v(self, seen: Extremes) -> float:
        window = self.moment.kind.window
        return seen.voltage_v_max - window.voltage_v_max if self.charge else window.voltage_v_min - seen.voltage_v_min

    def beyond_soc_frac(self, seen: Extremes) -> float:
        window = self.moment.kind.window
        return seen.soc_frac_max - window.soc_frac_max if self.charge else window.soc_frac_min - seen.soc_frac_min

    @property
    def _sign(self) -> float:
        return -1.0 if self.charge else 1.0

    def _stays(self, seen: Extremes) -> bool:
        return self.beyond_v(seen) <= 0.0 and self.beyond_soc_frac(seen) <= 0.0

    def _run(self, current_of_pack: Callable[[CellPack], float]) -> Extremes:
        return run_hold(self.moment.pack.copy(), current_of_pack, self.moment.degc, self.horizon_s)
