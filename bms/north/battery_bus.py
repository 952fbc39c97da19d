"""Us as the battery of a third-party inverter: the site's word on a CAN bus, in the low-voltage protocol."""

import asyncio
import math
from collections.abc import Iterator

from bms.north.battery_word import SiteNow, battery_word
from bms.protect.levels import Condition
from bms.site import BatteryBus, Site
from drivers.battery import BatterySays
from drivers.clock import NEVER_NS, now_ns
from drivers.frames import FrameBatch
from drivers.links.can import CanLink, CanOpener
from drivers.low_voltage.codec import SILENCE_S, BatteryDecoder, BatteryEncoder
from drivers.readings import LinkHealth

PERIOD_NS = 1_000_000_000
LOOK_S = 0.05
REOPEN_S = 10.0
"""A bus on which nothing was heard for so long is opened again."""

WORD_EXPIRY_NS = 1_000_000_000
"""An older word is not sent: an inverter that hears nothing stops by itself after 3 s."""


class BatteryBusSender:
    """Sends the newest `say` once a second, and at once when less is allowed or an alarm changes. Hears the inverter's
    keep-alive: `silent_s` is how long there was none."""

    def __init__(self, site: Site, bus: BatteryBus, capacity_ah: float, opener: CanOpener) -> None:
        """`capacity_ah`: of all racks as they were new."""
        profile = bus.profile
        self._site, self._name, self._capacity_ah = site, bus.name, capacity_ah
        self._encoder, self._decoder = BatteryEncoder(profile), BatteryDecoder(profile)
        self._link = CanLink(bus.can.config, self._on_batch, opener, silence_s=REOPEN_S)
        self._word: BatterySays | None = None
        self._said_ns = self._due_ns = NEVER_NS
        self._sent: BatterySays | None = None
        self._started_ns = NEVER_NS

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus."""
        return self._link.health

    @property
    def silent_s(self) -> float:
        """Time since the last keep-alive, or since the start; NaN before that."""
        if self._started_ns == NEVER_NS:
            return math.nan
        return (now_ns() - max(self._decoder.keep_alive_at_ns, self._started_ns)) / 1e9

    def tell(self, now: SiteNow) -> None:
        """What a control tick knows: the site's word from now on, for a second."""
        self.say(battery_word(self._site, self._capacity_ah, self._name, now))

    def say(self, says: BatterySays) -> None:
        """Likewise, in the protocol's terms."""
        self._word, self._said_ns = says, now_ns()
        if self._sent is None or _urgent(says, self._sent):
            self._send()

    async def run(self) -> None:
        """Keep the bus open and send until cancelled."""
        self._started_ns = now_ns()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._send_for_ever())

    async def _send_for_ever(self) -> None:
        while True:
            if now_ns() >= self._due_ns:
                self._send()
            await asyncio.sleep(LOOK_S)

    def _send(self) -> None:
        now = now_ns()
        if self._word is None or now - self._said_ns > WORD_EXPIRY_NS:
            return
        if self._link.send(self._encoder.encode(self._word)):
            self._sent, self._due_ns = self._word, now + PERIOD_NS

    def _on_batch(self, batch: FrameBatch) -> None:
        self._decoder.feed(batch)


def open_battery_bus(site: Site, capacity_ah: float, opener: CanOpener) -> BatteryBusSender | None:
    """The site's, if it has one."""
    bus = site.battery_bus
    return None if bus is None else BatteryBusSender(site, bus, capacity_ah, opener)


def bus_conditions(sender: BatteryBusSender | None) -> Iterator[Condition]:
    """What is wrong with the third-party inverter, if there is one."""
    if sender is not None and sender.silent_s > SILENCE_S:
        yield Condition("battery_bus_silent", sender.silent_s, SILENCE_S, "keep-alive, age in s")


def _urgent(says: BatterySays, sent: BatterySays) -> bool:
    return (
        says.charge_current_a_max < sent.charge_current_a_max
        or says.discharge_current_a_max < sent.discharge_current_a_max
        or says.alarms != sent.alarms
    )
