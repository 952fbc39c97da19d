"""The converter's own smoothing loop: when it may work, with which parameters, and what happens when it will not.

The tick writes the set-point in any case. As long as the loop is on, or nobody knows that it is off, that is only what
the loop does not do: bring the SoC back, keep the cap, answer for others. Once the converter shows that the loop is
off, it is the whole wish again: two loops never do the same thing at once.
"""

from bms.devices import open_own_loop
from bms.lane_law import LaneOrder
from bms.protect.levels import Condition
from bms.protect.safety_inputs import said
from bms.site import Site
from bms.site.converter_loop import ConverterLoop as ConverterLoopSettings
from drivers.clock import NEVER_NS
from drivers.inverters.own_loop import OFF, LoopParameters

TOLD_NS = 1_000_000_000
"""What it was told is written for so long without a tick; then the converter's reversion ends it."""
RAISE_FRAC = 0.1
"""A limit that fell is pushed at once, one that rose when it rose by more than this share."""
BELOW_FRAC = 0.01
"""It is pushed a little lower than it is: one that falls slowly is not pushed in every tick."""
START_S = 10.0


class ConverterLoop:
    """`step` once a tick."""

    def __init__(self, site: Site, settings: ConverterLoopSettings) -> None:
        self._settings = settings
        self.device = open_own_loop(site.inverter, settings.verify_s)
        self._told = OFF
        self._shown = False
        self._why = ""
        self._unconfirmed_since_ns: int | None = None
        self._rests_until_ns = NEVER_NS
        self._started_ns: int | None = None

    @property
    def works(self) -> bool:
        """The converter has shown that it is on as it was told; a change has its time to be shown."""
        return self._told.enabled and self._shown

    def step(self, order: LaneOrder | None, at_ns: int) -> bool:
        """Give it this tick's order, None = off at once. Whether it is on, or may be."""
        self._started_ns = at_ns if self._started_ns is None else self._started_ns
        if order is None or at_ns < self._rests_until_ns:
            self._told = OFF
        else:
            self._told = self._parameters(order)
        self.device.tell(self._told, at_ns + TOLD_NS)
        self._judge(at_ns)
        return self._told.enabled or self.device.confirmed != OFF

    def conditions(self, at_ns: int) -> list[Condition]:
        """What keeps it from working, as a fault's cause."""
        started = self._started_ns is not None and at_ns - self._started_ns > START_S * 1e9
        resting = at_ns < self._rests_until_ns
        why = self._why if resting else (self.device.fault or "")
        return [said("converter_loop_mismatch", why)] if why and (started or resting) else []

    def _judge(self, at_ns: int) -> None:
        """Without confirmation for too long it is told to be off."""
        if not self._told.enabled or self.device.confirmed == self._told:
            self._shown, self._unconfirmed_since_ns = self._told.enabled, None
            return
        since_ns = at_ns if self._unconfirmed_since_ns is None else self._unconfirmed_since_ns
        self._unconfirmed_since_ns = since_ns
        if at_ns - since_ns > self._settings.confirm_s_max * 1e9:
            self._why = self.device.fault or self.device.mismatch or "it does not say what it was told"
            self._rests_until_ns = at_ns + round(self._settings.rest_s * 1e9)
            self._unconfirmed_since_ns, self._told, self._shown = None, OFF, False
            self.device.tell(OFF, at_ns + TOLD_NS)

    def _parameters(self, order: LaneOrder) -> LoopParameters:
        held, before = order.holding.held, self._told
        return LoopParameters(
            enabled=held.gain > 0.0,
            filter_time_s=held.filter_time_s,
            ramp_w_per_s=held.ramp_w_per_s,
            gain=held.gain,
            charge_power_w_max=_limit_w(-max(order.power_w_min, order.holding.power_w_min), before.charge_power_w_max),
            discharge_power_w_max=_limit_w(
                min(order.power_w_max, order.holding.power_w_max), before.discharge_power_w_max
            ),
        )


def _limit_w(limit_w: float, told_w: float) -> float:
    """The one told already as long as that is not above the limit, and not far below it."""
    limit_w = max(limit_w, 0.0)
    return told_w if limit_w / (1.0 + RAISE_FRAC) <= told_w <= limit_w else (1.0 - BELOW_FRAC) * limit_w
