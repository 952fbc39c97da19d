"""Great Britain's Dynamic Moderation.

NESO, Dynamic Moderation, service specification: nothing within 0.015 Hz, 5 % at 0.1 Hz, 100 % at 0.2 Hz, straight
between; full within 1 s, of which at most 0.5 s until it starts; 30 minutes. A fifth
of the energy of a full delivery comes back in each half hour, by a baseline that moves 5 % a minute."""

from hil_rigs.comply.frequency_judge import Duration, Standard, joined, judge_on_wire, judge_over_hours, sold
from hil_rigs.comply.service import Judged, Order, Service

POWER_W = 200e3
STANDARD = Standard(
    sold=sold("uk-dm", POWER_W),
    nominal_hz=50,
    line=((0.015, 0.0), (0.1, 0.05 * POWER_W), (0.2, POWER_W)),
    step_hz=0.2,
    start_s=0.5,
    full_s=1.0,
)
DURATION = Duration(hold_s=1800.0, back_s=2.75 * 3600.0, baseline_frac=0.2, ramp_frac_per_min=0.05)


def judge(order: Order) -> Judged:
    return joined(judge_on_wire(order, STANDARD), judge_over_hours(order, STANDARD, DURATION))


SERVICE = Service("uk-dm", "Great Britain's Dynamic Moderation: full within 1 s, 30 minutes", ("frequency",), judge)
