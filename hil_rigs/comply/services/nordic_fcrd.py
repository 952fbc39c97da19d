"""The Nordic frequency containment reserve for disturbances, up and down.

ENTSO-E, Technical Requirements for Frequency Containment Reserve Provision in the Nordic Synchronous Area (2023):
linear from 0.1 to 0.5 Hz off 50 Hz, at rest no more than 5 % under it (20 % over it; here 5 % both ways). On a ramp of
0.24 Hz/s from 0.1 to 1 Hz off (table 4, ramp 5), 7.5 s after its start, at least 86 % of the steady response and an
energy of 3.2 s of it, and never less power afterwards (requirements 2 and 3). On a ramp of 0.14 Hz/s to 0.55 Hz off
and, 4.9 s after its start, one of 0.09 Hz/s back (ramps 1 and 2): from 4.4 s after the start on no more energy above
half of the steady response than 2.5 s of it (requirement 4). Where storage is limited (3.5): 20 minutes; then, while
the frequency is within 0.1 Hz, a fifth of what is sold, moved over 5 minutes, which brings the energy back within 2
hours."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from hil_rigs.comply.frequency_judge import STEP_S, Duration, Standard, joined, judge_on_wire, judge_over_hours, sold
from hil_rigs.comply.grid_course import Course, Driven
from hil_rigs.comply.service import Judged, Order, Row, Service

POWER_W = 200e3
STANDARD = Standard(
    sold=sold("nordic-fcrd", POWER_W),
    nominal_hz=50,
    line=((0.1, 0.0), (0.5, POWER_W)),
    step_hz=0.5,
    full_s=7.5,
    full_frac=0.86,
    tolerance_frac=0.05,
)
DURATION = Duration(hold_s=1200.0, back_s=2.0 * 3600.0, baseline_frac=0.2, ramp_frac_per_min=0.04)
RAMP_HZ_PER_S, FROM_HZ, RAMP_TO_HZ = 0.24, 0.1, 1.0
AT_S, POWER_FRAC, ENERGY_S = 7.5, 0.86, 3.2
AFTER_S = 2.0
"""So long after that the power is watched."""
SWING_HZ_PER_S, SWING_TO_HZ, BACK_FROM_S, BACK_HZ_PER_S = 0.14, 0.55, 4.9, 0.09
TURN_S, OVER_FRAC, OVER_S = 4.4, 0.5, 2.5


def judge(order: Order) -> Judged:
    """The short form has one side of the swing."""
    sides = (1,) if order.short else (1, -1)
    return joined(judge_on_wire(order, STANDARD, partial(ramps, sides)), judge_over_hours(order, STANDARD, DURATION))


def ramps(swing_sides: Sequence[int], course: Course) -> Callable[[Driven], list[Row]]:
    """The test's ramp on each side, its swing there and back, and what judges them."""
    starts_s = [(_to_full(course, side), side) for side in (1, -1)]
    swings_s = [(_there_and_back(course, side), side) for side in swing_sides]

    def rows(driven: Driven) -> list[Row]:
        found = [_ramp(driven, start_s, side) for start_s, side in starts_s]
        power_frac, energy_s, least_frac = (min(each) for each in zip(*found, strict=True))
        over_s = max(_over_s(driven, start_s, side) for start_s, side in swings_s)
        return [
            Row("power 7.5 s into a ramp of 0.24 Hz/s", f">= {POWER_FRAC:.0%} of full power", f"{power_frac:.1%}",
                power_frac >= POWER_FRAC),
            Row("energy 7.5 s into a ramp of 0.24 Hz/s", f">= {ENERGY_S:g} s of full power", f"{energy_s:.2f} s",
                energy_s >= ENERGY_S),
            Row("power after these 7.5 s, by that at their end", ">= 99.9%", f"{least_frac:.1%}", least_frac >= 0.999),
            Row("energy above half of full power after a swing has turned", f"<= {OVER_S:g} s of full power",
                f"{over_s:.2f} s", over_s <= OVER_S),
        ]  # fmt: skip

    return rows


def _to_full(course: Course, side: int) -> float:
    """When the ramp starts."""
    course.to(side * FROM_HZ, 1.0)
    start_s, over_s = course.now_s, (RAMP_TO_HZ - FROM_HZ) / RAMP_HZ_PER_S
    course.to(side * RAMP_TO_HZ, AT_S - over_s + AFTER_S, over_s)
    return start_s


def _there_and_back(course: Course, side: int) -> float:
    """When the swing starts."""
    course.to(side * FROM_HZ, 1.0)
    start_s, off_hz = course.now_s, SWING_TO_HZ - FROM_HZ
    course.to(side * SWING_TO_HZ, BACK_FROM_S - off_hz / SWING_HZ_PER_S, off_hz / SWING_HZ_PER_S)
    course.to(side * FROM_HZ, 0.5, off_hz / BACK_HZ_PER_S)
    return start_s


def _ramp(driven: Driven, start_s: float, side: int) -> tuple[float, float, float]:
    """Share of full power 7.5 s after the start, the energy until then in seconds of full power, and the least power
    afterwards by the first of these."""
    given_frac = side * driven.power_w / POWER_W
    along = (driven.time_s >= start_s) & (driven.time_s < start_s + AT_S)
    after = (driven.time_s >= start_s + AT_S) & (driven.time_s < start_s + AT_S + AFTER_S)
    at_frac = float(given_frac[along][-1])
    return at_frac, float(np.sum(given_frac[along])) * STEP_S, float(given_frac[after].min()) / at_frac


def _over_s(driven: Driven, start_s: float, side: int) -> float:
    """Most energy above half of full power (or what was given at the turn, if less) from the turn on, in seconds of
    full power; at the swing's end the power is below that, so that it can only fall."""
    given_frac = side * driven.power_w / POWER_W
    end_s = start_s + BACK_FROM_S + (SWING_TO_HZ - FROM_HZ) / BACK_HZ_PER_S
    after = given_frac[(driven.time_s >= start_s + TURN_S) & (driven.time_s < end_s)]
    return float(np.cumsum(after - min(float(after[0]), OVER_FRAC)).max()) * STEP_S


SERVICE = Service(
    "nordic-fcrd", "Nordic reserve for disturbances, up and down: 86 % within 7.5 s, 20 minutes", ("frequency",), judge
)
