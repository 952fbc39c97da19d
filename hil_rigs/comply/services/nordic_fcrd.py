"""The Nordic frequency containment reserve for disturbances, up and down.

ENTSO-E, Technical Requirements for Frequency Containment Reserve Provision in the Nordic Synchronous Area (2023):
linear from 0.1 to 0.5 Hz off 50 Hz; on a ramp of 0.24 Hz/s from 0.1 to 1 Hz off, 7.5 s after its start, at least 86 %
of the steady response and an energy of 3.2 s of it; 20 minutes where storage is limited (Fingrid, in force since August
2022, too), and a fifth of what is sold to bring the energy back while the frequency is within 0.1 Hz."""

from collections.abc import Callable

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
DURATION = Duration(hold_s=1200.0, back_s=2.5 * 3600.0, baseline_frac=0.2)
RAMP_HZ_PER_S, RAMP_FROM_HZ, RAMP_TO_HZ = 0.24, 0.1, 1.0
AT_S, POWER_FRAC, ENERGY_S = 7.5, 0.86, 3.2


def ramps(course: Course) -> Callable[[Driven], list[Row]]:
    """The test's ramp on each side, and what judges it."""
    starts_s = []
    for side in (1, -1):
        course.to(side * RAMP_FROM_HZ, 1.0)
        starts_s.append((course.now_s, side))
        over_s = (RAMP_TO_HZ - RAMP_FROM_HZ) / RAMP_HZ_PER_S
        course.to(side * RAMP_TO_HZ, AT_S - over_s + 0.5, over_s)

    def rows(driven: Driven) -> list[Row]:
        found = [_ramp(driven, start_s, side) for start_s, side in starts_s]
        power_frac, energy_s = min(power for power, _ in found), min(energy for _, energy in found)
        return [
            Row("power 7.5 s into a ramp of 0.24 Hz/s", f">= {POWER_FRAC:.0%} of full power", f"{power_frac:.1%}",
                power_frac >= POWER_FRAC),
            Row("energy 7.5 s into a ramp of 0.24 Hz/s", f">= {ENERGY_S:g} s of full power", f"{energy_s:.2f} s",
                energy_s >= ENERGY_S),
        ]  # fmt: skip

    return rows


def _ramp(driven: Driven, start_s: float, side: int) -> tuple[float, float]:
    """Share of full power 7.5 s after the start, and the energy until then in seconds of full power."""
    along = (driven.time_s >= start_s) & (driven.time_s < start_s + AT_S)
    given_frac = side * driven.power_w[along] / POWER_W
    return float(given_frac[-1]), float(np.sum(given_frac)) * STEP_S


def judge(order: Order) -> Judged:
    return joined(judge_on_wire(order, STANDARD, ramps), judge_over_hours(order, STANDARD, DURATION))


SERVICE = Service(
    "nordic-fcrd", "Nordic reserve for disturbances, up and down: 86 % within 7.5 s, 20 minutes", ("frequency",), judge
)
