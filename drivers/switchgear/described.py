"""The driver of a switchgear that a profile describes as data. SunSpec has no model of one."""

from collections.abc import Callable

from drivers.clock import now_ns
from drivers.commands import SwitchgearCommand
from drivers.links.modbus import ModbusLink
from drivers.polled import PolledDevice
from drivers.profiles import Profile
from drivers.profiles.codec import encode
from drivers.profiles.reader import POLLED, RoleReader
from drivers.profiles.registers import Register
from drivers.readings import SwitchgearReading

REFRESH_NS = 1_000_000_000
"""What does not change is written again this often: the device may have lost it."""


class DescribedSwitchgear(PolledDevice):
    """Polls a switchgear for ever and keeps it at the newest command that has not expired; `on_reading` gets one
    SwitchgearReading a poll, a poll that failed gives none. A changed command goes out after the next poll. ValueError
    for the profile of something else."""

    def __init__(
        self,
        link: ModbusLink,
        profile: Profile,
        on_reading: Callable[[SwitchgearReading], None],
        poll_period_s: float = 0.05,
    ) -> None:
        profile.must_be("switchgear")
        super().__init__("switchgear", link, poll_period_s)
        self._profile = profile
        self._reader = RoleReader(profile, POLLED["switchgear"])
        self._on_reading = on_reading
        self._command: SwitchgearCommand | None = None
        self._written: tuple[bool, bool, int] | None = None
        self._refresh_due_ns = 0

    def command(self, command: SwitchgearCommand) -> None:
        self._command = command

    async def _begin(self) -> None:
        self._written = None

    async def _round(self) -> None:
        await self._poll()
        await self._write_due()

    async def _poll(self) -> None:
        at_ns = now_ns()
        said = await self._reader.read(self._link)
        self._on_reading(
            SwitchgearReading(
                at_ns=at_ns,
                intertie_closed=said.flag("intertie-closed", default=False),
                sync_ok=said.flag("sync-ok", default=False),
                grid_voltage_v=said.number("grid-voltage"),
                grid_frequency_hz=said.number("grid-frequency"),
                site_voltage_v=said.number("site-voltage"),
                site_frequency_hz=said.number("site-frequency"),
                phase_deg=said.number("phase-angle"),
                blocks_closed=said.bits("blocks-closed"),
            )
        )

    async def _write_due(self) -> None:
        """Opening goes first and closing last, so that nothing is closed onto what was to be opened before."""
        command = self._command
        if command is None or now_ns() >= command.expires_ns:
            return
        wanted = command.close, command.synchronise, command.blocks
        if wanted == self._written and now_ns() < self._refresh_due_ns:
            return
        intertie = self._profile.start if command.close else self._profile.stop
        steps = [(self._profile.named(step.to), step.raw) for step in intertie]
        others = self._others(command)
        for register, raw in [*others, *steps] if command.close else [*steps, *others]:
            await self._write(register, raw, command.expires_ns)
        self._written, self._refresh_due_ns = wanted, now_ns() + REFRESH_NS

    def _others(self, command: SwitchgearCommand) -> list[tuple[Register, int]]:
        values = {"sync-command": int(command.synchronise), "blocks-command": command.blocks}
        return [(register, values[register.role]) for register in self._profile.registers if register.role in values]

    async def _write(self, register: Register, raw: int, expires_ns: int) -> None:
        assert register.write is not None, "the profile was checked"
        words = encode(register, raw, self._profile.word_order)
        await self._link.write_registers(register.address, words, expires_ns, function=register.write)
