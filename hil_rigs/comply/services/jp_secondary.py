"""Japan's secondary reserves 1 (LFC signal) and 2 (EDC signal), at 50 and 60 Hz.

EPRX, outline of the balancing market (eprx.or.jp/outline/outline.html) and requirements of its products: full within 5
minutes of the command, for a block of 30 minutes; LFC commands come every few seconds; delivery is assessed to 10 % of
what is sold. It has no rule for how energy comes back."""

from hil_rigs.comply.frequency_judge import joined
from hil_rigs.comply.service import Judged, Order, Service
from hil_rigs.comply.signal_judge import Commanded, judge_commanded
from hil_rigs.comply.signal_wire import judge_on_wire

COMMANDED = Commanded("jp-secondary", full_s=300.0, hold_s=1800.0, back_s=3.0 * 3600.0, update_s=5.0)


def judge(order: Order) -> Judged:
    """The short form has the wire at 50 Hz only."""
    wires = [judge_on_wire(order, COMMANDED, nominal_hz) for nominal_hz in ((50.0,) if order.short else (50.0, 60.0))]
    return joined(*wires, *(judge_commanded(order, COMMANDED, nominal_hz) for nominal_hz in (50.0, 60.0)))


SERVICE = Service(
    "jp-secondary", "Japan's secondary reserve: full within 5 minutes of a command, 30 minutes", ("frequency",), judge
)
