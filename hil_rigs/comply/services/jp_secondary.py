"""Japan's secondary reserves 1 (LFC signal) and 2 (EDC signal), at 50 and 60 Hz.

EPRX, requirements of the balancing market's products: full within 5 minutes of the command, for 30 minutes or
longer; LFC commands come every few seconds; delivery is assessed to 10 % of what is sold. It has no rule for how
energy comes back."""

from hil_rigs.comply.frequency_judge import joined
from hil_rigs.comply.service import Judged, Order, Service
from hil_rigs.comply.signal_judge import Commanded, judge_commanded

COMMANDED = Commanded("jp-secondary", full_s=300.0, hold_s=1800.0, back_s=3.0 * 3600.0, update_s=5.0)


def judge(order: Order) -> Judged:
    return joined(*(judge_commanded(order, COMMANDED, nominal_hz) for nominal_hz in (50.0, 60.0)))


SERVICE = Service(
    "jp-secondary", "Japan's secondary reserve: full within 5 minutes of a command, 30 minutes", ("frequency",), judge
)
