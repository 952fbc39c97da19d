"""The driver of every converter on Modbus: one task polls, one writes, both over one link that reconnects."""

import asyncio
from collections.abc import Awaitable, Callable
from math import isfinite

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.device import InverterDevice
from drivers.inverters.writer import STOPPED_STATES, Writer
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Every, Pace
from drivers.readings import InverterRating, InverterReading, InverterState, LinkHealth, SentPower
from drivers.session import Sessions

READ_BACK_PERIOD_S = 0.5

STOPPING_POLL_PERIOD_S = 0.02
"""After STOP: contactors wait for the converter's own word that it has stopped, and some for its current."""
STOPPING_POLL_NS_MAX = 3_000_000_000
"""A converter that goes on is not polled so fast for ever."""
STOPPED_POLL_NS = 200_000_000
"""Its measurements may follow its state a little later."""

IMPOSSIBLE_FRAC = 2.0
"""No converter delivers twice its rating for as long as a measurement takes."""

BLOCKED_STATES = STOPPED_STATES - {InverterState.SHUTTING_DOWN}
"""States without power."""


OpenDevice = Callable[[ModbusLink], Awaitable[InverterDevice]]
"""Finds out on a new connection what the device is. UnusableDevice when it is not what the driver needs."""


class ModbusInverter:
    """Polls a converter and keeps it at the newest command, as long as that lasts.

    `on_reading` gets one InverterReading a poll; a poll that failed gives none. After a STOP polls come every 20 ms
    until the converter says that it has stopped, for 3 s at most. `run` works for ever, through every loss of the
    device; what is wrong meanwhile says `fault`.
    """

    def __init__(
        self,
        link: ModbusLink,
        open_device: OpenDevice,
        on_reading: Callable[[InverterReading], None],
        poll_period_s: float,
    ) -> None:
        self._name = f"inverter {link.name}"
        self._link = link
        self._open_device = open_device
        self._sessions = Sessions(self._name, self._link, self._session)
        self._on_reading = on_reading
        self._poll_period_s = poll_period_s
        self._writer = Writer(self._link)
        self._device: InverterDevice | None = None
        self._watches_stop = False

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def rating(self) -> InverterRating | None:
        """Nameplate; None until the device was read once, NaN where it does not say."""
        return None if self._device is None else self._device.rating

    @property
    def silence(self) -> str | None:
        """Why nothing takes the device to 0 W when nobody speaks to it any more; None = it goes there by itself, or was
        not read yet."""
        return None if self._device is None else self._device.silence

    @property
    def takes_reactive(self) -> bool | None:
        """Whether it can be told a reactive power; None = it was not read yet."""
        return None if self._device is None else self._device.takes_reactive

    @property
    def applied_power_w(self) -> float:
        """Set-point in effect as the device confirmed it, W, discharge positive.

        That is the last write it acknowledged, and every 0.5 s what it says itself when read back; once the two
        differ, only what it says counts until they agree again. NaN before the first, and while it says that it
        follows no set-point. Without a connection the last one stands.
        """
        return self._writer.power_w.value

    @property
    def applied_reactive_var(self) -> float:
        """Reactive set-point in effect as the device confirmed it, likewise, injected positive; NaN while it does what
        it does of its own."""
        return self._writer.reactive_var.value

    @property
    def sent(self) -> SentPower | None:
        """The newest set-point that the device acknowledged, None before the first."""
        return self._writer.sent

    @property
    def set_point_free(self) -> bool:
        """Somebody else may write set-points, over a connection of their own, while commands are without one."""
        return self._link.health.connected and self._writer.set_point_free

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the device, one line; None while there is one."""
        return self._sessions.fault

    def command(self, command: InverterCommand) -> None:
        """Takes effect at once and replaces the one before; sent again even if it is the same.

        Refreshed until it expires, then nothing is written. A device that takes no reactive power is told none.
        ValueError when a power is not finite.
        """
        for power in (command.power_w, command.reactive_var):
            if power is not None and not isfinite(power):
                raise ValueError(f"set-point must be finite, got {power}")
        self._writer.command(command)

    def reset_alarms(self, expires_ns: int) -> None:
        """Ask the device, once, to forget a fault whose cause is gone, while commands last; nothing where it offers no
        such thing. It stays stopped or running as it is told."""
        self._writer.reset_alarms(expires_ns)

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        self._device = await self._open_device(self._link)
        self._writer.see(self._writer.seen_state, forming=self._device.opened_forming)
        self._sessions.opened()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_for_ever(), name=f"{self._name} poll")
            tasks.create_task(self._watch_stops_for_ever(), name=f"{self._name} watch stops")
            tasks.create_task(self._writer.write_for_ever(self._current_device), name=f"{self._name} write")

    def _current_device(self) -> InverterDevice:
        assert self._device is not None, "only sessions ask, and those begin with a device"
        return self._device

    async def _poll_for_ever(self) -> None:
        pace, read_back_time = Pace(self._poll_period_s), Every(READ_BACK_PERIOD_S)
        while True:
            await self._unless_link_error(self._poll_and_read_back(read_back_time))
            await pace.next()

    async def _poll_and_read_back(self, read_back_time: Every) -> None:
        if not self._watches_stop:
            await self._poll()
        if read_back_time.due():
            await self._read_back()

    async def _watch_stops_for_ever(self) -> None:
        while True:
            await self._writer.stop_taken.wait()
            self._writer.stop_taken.clear()
            self._watches_stop = True
            try:
                await self._watch_stop()
            finally:
                self._watches_stop = False

    async def _watch_stop(self) -> None:
        pace, end_ns = Pace(STOPPING_POLL_PERIOD_S), now_ns() + STOPPING_POLL_NS_MAX
        while now_ns() < end_ns:
            await self._unless_link_error(self._poll())
            if self._writer.seen_state in BLOCKED_STATES:
                end_ns = min(end_ns, now_ns() + STOPPED_POLL_NS)
            await pace.next()

    async def _unless_link_error(self, transactions: Awaitable[None]) -> None:
        """The link counts it, and the reading gets old, which is what the controller acts on. LinkDown passes."""
        try:
            await transactions
        except LinkDown:
            raise
        except LinkError:
            pass

    async def _poll(self) -> None:
        reading = await self._current_device().poll(self._link, now_ns())
        self._require_possible(reading)
        self._writer.see(reading.state, forming=reading.grid_forming)
        self._on_reading(reading)

    def _require_possible(self, reading: InverterReading) -> None:
        """BadAnswer for a power that the converter cannot have: garbage from a device or a gateway that is not well."""
        rating = self._current_device().rating
        if rating.known:
            power_w_max = IMPOSSIBLE_FRAC * max(rating.charge_power_w_max, rating.discharge_power_w_max)
            if abs(reading.ac_power_w) > power_w_max:
                self._link.reject(f"power {reading.ac_power_w:g} W, rated {rating}")

    async def _read_back(self) -> None:
        writes = self._writer.writes
        said = await self._current_device().read_back(self._link)
        if writes == self._writer.writes:
            self._writer.confirm(said)
