"""What Great Britain's three dynamic services have in common."""

from collections.abc import Sequence

from hil_rigs.comply.frequency_judge import Duration, Standard, joined, judge_on_wire, judge_over_hours, sold
from hil_rigs.comply.service import Judged, Order, Service

POWER_W = 200e3
BACK_S = 2.75 * 3600.0
BACK_FRAC_A_HALF_HOUR = 0.2
"""Of the energy of a full delivery."""
RAMP_FRAC_PER_MIN = 0.05


def dynamic_service(
    product: str, says: str, *, line: Sequence[tuple[float, float]], start_s: float, full_s: float, hold_s: float
) -> Service:
    """`line` are points (Hz off nominal, share of what is sold) of the response, the last in full."""
    standard = Standard(
        sold=sold(product, POWER_W),
        nominal_hz=50,
        line=tuple((off_hz, share * POWER_W) for off_hz, share in line),
        step_hz=line[-1][0],
        start_s=start_s,
        full_s=full_s,
    )
    duration = Duration(hold_s, BACK_S, BACK_FRAC_A_HALF_HOUR * hold_s / 1800.0, RAMP_FRAC_PER_MIN)

    def judge(order: Order) -> Judged:
        return joined(judge_on_wire(order, standard), judge_over_hours(order, standard, duration))

    return Service(product, says, ("frequency",), judge)
