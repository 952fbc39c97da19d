"""Japan's primary reserve, at 50 and 60 Hz.

EPRX, requirements of the balancing market's products: full within 10 s of a fall by 0.2 Hz (0.3 Hz in Hokkaido), which
then lasts; droop of 5 % of rated power or less (8 % of it at 0.2 Hz off 50 Hz, 6.7 % off 60 Hz), deadband of 0.01 Hz or
less; blocks of 30 minutes. Delivery is
assessed to 10 % of what is sold. It has no rule for how energy comes back."""

from hil_rigs.comply.frequency_judge import Duration, Standard, joined, judge_on_wire, judge_over_hours, sold
from hil_rigs.comply.service import Judged, Order, Service

RATED_W = 500e3
"""Of the rig's converter."""
FALL_HZ, DROOP_FRAC = 0.2, 0.05
DURATION = Duration(hold_s=1800.0, back_s=3.0 * 3600.0)


def standard(nominal_hz: int) -> Standard:
    power_w = RATED_W * FALL_HZ / (DROOP_FRAC * nominal_hz)
    return Standard(
        sold=sold("jp-primary", power_w, nominal_hz=float(nominal_hz)),
        nominal_hz=nominal_hz,
        line=((0.01, 0.0), (FALL_HZ, power_w)),
        step_hz=FALL_HZ,
        full_s=10.0,
        tolerance_frac=0.1,
    )


def judge(order: Order) -> Judged:
    east, west = standard(50), standard(60)
    return joined(judge_on_wire(order, east), judge_on_wire(order, west), judge_over_hours(order, east, DURATION))


SERVICE = Service(
    "jp-primary", "Japan's primary reserve at 50 and 60 Hz: droop of 5 %, full within 10 s", ("frequency",), judge
)
