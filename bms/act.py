"""Carries a decision to the devices: the converter first, so that power is zero before a contactor moves."""

from collections.abc import Sequence

from bms.decision import Decision
from bms.devices import Inverter, RackMonitor
from bms.protect.outputs import RackOutputs
from drivers.commands import BleedCommand, InverterCommand, OutputsCommand, RackCommand

INVERTER_EXPIRY_NS = 500_000_000
"""A set-point that is not renewed for this long is no longer refreshed; the converter's reversion follows."""

CONTACTOR_EXPIRY_NS = 1_000_000_000
BLEED_EXPIRY_NS = 1_500_000_000
OUTPUTS_EXPIRY_NS = 1_500_000_000


class Actuators:
    """Sends what changed at once and everything else once a control tick. `sent` is what went out last."""

    def __init__(self, inverter: Inverter, racks: Sequence[RackMonitor]) -> None:
        self._inverter = inverter
        self._racks = racks
        self.sent: Decision | None = None
        self._command: InverterCommand | None = None
        self._outputs: tuple[RackOutputs, ...] = ()

    def apply(self, decision: Decision, now_ns: int, *, refresh: bool, heard: bool) -> None:
        """`heard`: the converter spoke. Before, nothing is known that it should do: it may be making the grid."""
        sent = self.sent
        if heard and (refresh or sent is None or _told(decision) != _told(sent)):
            self._command = InverterCommand(
                decision.power_w,
                decision.run,
                now_ns + INVERTER_EXPIRY_NS,
                set_point=not decision.by_lane,
                reactive_var=decision.reactive_var,
            )
            self._inverter.command(self._command)
        changed = sent is None or decision.hold != sent.hold
        for index, rack in enumerate(self._racks):
            wanted = decision.contactors[index]
            if wanted is not None and (refresh or sent is None or changed or wanted != sent.contactors[index]):
                expires_ns = now_ns + CONTACTOR_EXPIRY_NS
                rack.command(RackCommand(wanted.main_closed, wanted.precharge_closed, expires_ns, decision.hold))
            bleed = decision.bleed[index]
            if refresh and bleed is not None:
                rack.bleed(BleedCommand(bleed, now_ns + BLEED_EXPIRY_NS))
        self.sent = decision

    def repeat(self) -> None:
        """The converter's newest command once more: somebody else's set-point may have overtaken it."""
        if self._command is not None:
            self._inverter.command(self._command)

    def drive(self, outputs: tuple[RackOutputs, ...], now_ns: int, *, refresh: bool) -> None:
        """The racks' outputs beside the contactors."""
        if refresh or outputs != self._outputs:
            for rack, wanted in zip(self._racks, outputs, strict=True):
                rack.outputs(OutputsCommand(*wanted, expires_ns=now_ns + OUTPUTS_EXPIRY_NS))
        self._outputs = outputs


def _told(decision: Decision) -> tuple[float | None, bool, float | None]:
    """What a converter's driver must hear at once when it changes; what the lane writes is none of its business."""
    return None if decision.by_lane else decision.power_w, decision.run, decision.reactive_var
