"""Set-points of one converter over a connection of their own, for a loop that is faster than the driver's."""

import asyncio
from collections.abc import Callable

from drivers.clock import now_ns
from drivers.inverters.device import InverterDevice
from drivers.inverters.driver import OpenDevice
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.readings import LinkHealth, SentPower
from drivers.session import Sessions


class SetPointWriter:
    """Writes set-points and nothing else: who starts, stops and polls the converter is its driver, which must not write
    set-points meanwhile.

    `put` replaces what was not sent yet. `on_done` hears of every write that ended: what was sent, None when it was
    not acknowledged. Until then `busy` is True: the device may still take it.
    """

    def __init__(self, link: ModbusLink, open_device: OpenDevice, on_done: Callable[[SentPower | None], None]) -> None:
        self.busy = False
        self._link = link
        self._open_device = open_device
        self._on_done = on_done
        self._sessions = Sessions(f"set-points {link.name}", link, self._session)
        self._wanted: tuple[float, int] | None = None
        self._wake = asyncio.Event()

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the device, one line; None while there is one."""
        return self._sessions.fault

    def put(self, power_w: float, expires_ns: int) -> None:
        """Discharge positive; not sent after `expires_ns` (loop clock)."""
        self._wanted = power_w, expires_ns
        self._wake.set()

    def withdraw(self) -> None:
        """Nothing is sent any more but what is under way."""
        self._wanted = None

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        device = await self._open_device(self._link)
        self._wanted = None
        self._sessions.opened()
        while True:
            self._wake.clear()
            wanted, self._wanted = self._wanted, None
            if wanted is not None and now_ns() < wanted[1]:
                await self._write(device, *wanted)
            elif self._wanted is None:
                await self._wake.wait()

    async def _write(self, device: InverterDevice, power_w: float, expires_ns: int) -> None:
        set_point, sent = device.set_point(power_w), None
        self.busy = True
        try:
            for write in set_point.writes:
                sent_ns = await self._link.write_registers(
                    write.address, write.registers, expires_ns, function=write.function
                )
                sent = SentPower(sent_ns, set_point.power_w)
        except LinkDown:
            sent = None
            raise
        except LinkError:
            sent = None
        finally:
            self.busy = False
            self._on_done(sent)
