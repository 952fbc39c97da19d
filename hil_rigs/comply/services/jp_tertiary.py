"""Japan's tertiary reserves 1 and 2, at 50 and 60 Hz.

EPRX, outline of the balancing market (eprx.or.jp/outline/outline.html, "product explanation", of tertiary 2 as of 14
March 2025) and requirements of its products: full within 15 (1) or 60 minutes (2; 45 until then, with blocks of 3
hours) of the command, for a block of 30 minutes (of tertiary 1 since April 2026); EDC commands come every few minutes;
delivery is assessed to 10 % of what is sold. It has no rule for how energy comes back."""

from hil_rigs.comply.frequency_judge import joined
from hil_rigs.comply.service import Judged, Order, Service
from hil_rigs.comply.signal_judge import Commanded, judge_commanded
from hil_rigs.comply.signal_wire import judge_on_wire

FIRST = Commanded("jp-tertiary-1", full_s=900.0, hold_s=1800.0, back_s=3.0 * 3600.0, update_s=60.0)
SECOND = Commanded("jp-tertiary-2", full_s=3600.0, hold_s=1800.0, back_s=3.0 * 3600.0, update_s=300.0)


def judge(order: Order) -> Judged:
    """The short form has the wire of the first only."""
    sold = ((FIRST, 50.0), (SECOND, 60.0))
    wires = [judge_on_wire(order, *each) for each in (sold[:1] if order.short else sold)]
    return joined(*wires, *(judge_commanded(order, *each) for each in sold))


SERVICE = Service(
    "jp-tertiary", "Japan's tertiary reserves: full within 15 or 60 minutes of a command", ("frequency",), judge
)
