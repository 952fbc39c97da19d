"""The driver of an I/O block that a profile describes and on which the contactors of a rack hang."""

import math
from typing import NamedTuple

from drivers.clock import NEVER_NS, now_ns
from drivers.commands import RackCommand
from drivers.links.modbus import DeviceException, ModbusLink
from drivers.polled import PolledDevice
from drivers.profiles import Profile
from drivers.profiles.codec import encode, flag_raw, nearest_raw
from drivers.profiles.parts import Listens
from drivers.profiles.reader import POLLED, RoleReader
from drivers.profiles.registers import Register
from drivers.profiles.roles import Role

DEVICE_FAILURE = 4
"""Modbus exception of a block whose watchdog has ended, until it is told to forget that."""
REFRESH_S_MAX, REFRESHES = 0.4, 4
"""The outputs are written at least so often, and so often within the watchdog's time."""
ARM_S = 1.0
"""What sets the watchdog going is not written later than this after it was wanted."""


class ContactorReading(NamedTuple):
    """Newest word of a block. `main_closed`, `precharge_closed`: the auxiliary contacts; None = not heard, or neither
    yes nor no. `command_age_s`: since the block confirmed a command; NaN = never. `watchdog_tripped`: it has
    opened by itself, and was not told to open since."""

    at_ns: int
    main_closed: bool | None
    precharge_closed: bool | None
    command_age_s: float
    watchdog_tripped: bool


class DescribedContactors(PolledDevice):
    """Polls the auxiliary contacts for ever and keeps main and precharge at the newest command that has not expired; a
    changed command goes out after the next poll, an opening before a closing. The writes feed the block's watchdog,
    which opens everything `drops_s` after the last one, except while commands say `hold`: the profile's sequence of
    that name, where it has one, then stops it once the outputs are written.

    A block that may have opened by itself is told nothing but to open until that is what is commanded: it must not
    close again behind the back of whoever precharges. ValueError for the profile of something else.
    """

    def __init__(self, link: ModbusLink, profile: Profile, drops_s: float, poll_period_s: float = 0.05) -> None:
        profile.must_be("contactors")
        super().__init__("contactor block", link, poll_period_s)
        self._profile, self._order = profile, profile.word_order
        self._reader = RoleReader(profile, POLLED["contactors"])
        self._outputs = _outputs(profile)
        self._drops_s = profile.drops_after_s(drops_s)
        self._refresh_ns = round(min(REFRESH_S_MAX, self._drops_s / REFRESHES) * 1e9)
        self._command: RackCommand | None = None
        self._written: dict[int, int] = {}
        self._armed = self._held = self._must_open = self._tripped = False
        self._refresh_due_ns = self._beat_due_ns = self._count = 0
        self._at_ns = self._confirmed_ns = NEVER_NS
        self._main_closed: bool | None = None
        self._precharge_closed: bool | None = None

    def command(self, command: RackCommand) -> None:
        self._command = command

    def reading(self) -> ContactorReading:
        """What is known now."""
        confirmed = self._confirmed_ns != NEVER_NS
        age_s = (now_ns() - self._confirmed_ns) / 1e9 if confirmed else math.nan
        return ContactorReading(self._at_ns, self._main_closed, self._precharge_closed, age_s, self._tripped)

    async def _begin(self) -> None:
        self._armed = False

    async def _round(self) -> None:
        try:
            if not self._armed:
                await self._arm()
            await self._poll()
            await self._write_due()
            await self._hold_due()
        except DeviceException as refused:
            if refused.code == DEVICE_FAILURE and self._armed:
                self._armed = self._held = False
                self._tripped = self._must_open = True
            raise

    async def _arm(self) -> None:
        """Stop the watchdog or make it forget that it ended, set its time, set it going."""
        silent_s = (now_ns() - self._confirmed_ns) / 1e9
        if self._confirmed_ns != NEVER_NS and silent_s > self._drops_s / 2 and not self._held:
            self._must_open = True
        expires_ns = now_ns() + round(ARM_S * 1e9)
        await self._run("reset", expires_ns)
        time = self._profile.find("reversion-time")
        if time is not None:
            await self._write(time, nearest_raw(time, self._drops_s), expires_ns)
        await self._run("start", expires_ns)
        self._written, self._armed, self._held = {}, True, False

    async def _run(self, sequence: str, expires_ns: int) -> None:
        for step in getattr(self._profile, sequence):
            await self._write(self._profile.named(step.to), step.raw, expires_ns)

    async def _poll(self) -> None:
        at_ns = now_ns()
        said = await self._reader.read(self._link)
        self._main_closed, self._precharge_closed = said.says("main-closed"), said.says("precharge-closed")
        self._at_ns = at_ns

    async def _write_due(self) -> None:
        command = self._command
        if command is None or now_ns() >= command.expires_ns:
            return
        wanted = {address: self._raw(registers, command) for address, registers in self._outputs.items()}
        if wanted != self._written or now_ns() >= self._refresh_due_ns:
            await self._write_outputs(wanted, command.expires_ns)
        await self._beat(command.expires_ns)
        if not (command.main_closed or command.precharge_closed):
            self._must_open = self._tripped = False

    async def _hold_due(self) -> None:
        """Stop the watchdog while commands say hold, and set it going again once they do not."""
        command = self._command
        if command is None or now_ns() >= command.expires_ns or not self._profile.hold or command.hold == self._held:
            return
        if command.hold:
            await self._run("hold", command.expires_ns)
            self._held = True
        else:
            await self._arm()

    def _raw(self, registers: list[Register], command: RackCommand) -> int:
        """Of one register of outputs; bits that no output has are 0."""
        closed = {"main-output": command.main_closed, "precharge-output": command.precharge_closed}
        return sum(flag_raw(register, closed[register.role] and not self._must_open) for register in registers)

    async def _write_outputs(self, wanted: dict[int, int], expires_ns: int) -> None:
        opening = {address: self._opens(address, raw) for address, raw in wanted.items()}
        for address in sorted(wanted, key=lambda each: not opening[each]):
            await self._write(self._outputs[address][0], wanted[address], expires_ns)
        self._written, self._confirmed_ns = wanted, now_ns()
        self._refresh_due_ns = self._confirmed_ns + self._refresh_ns

    def _opens(self, address: int, raw: int) -> bool:
        return raw == sum(flag_raw(register, False) for register in self._outputs[address])

    async def _beat(self, expires_ns: int) -> None:
        """The heartbeat of a block that listens for one."""
        silence, register = self._profile.silence, self._profile.find("heartbeat")
        if register is None or not isinstance(silence, Listens) or now_ns() < self._beat_due_ns:
            return
        self._count = (self._count + 1) % (silence.counts_to + 1)
        await self._write(register, self._count, expires_ns)
        self._beat_due_ns = now_ns() + round(silence.period_s * 1e9)

    async def _write(self, register: Register, raw: float, expires_ns: int) -> None:
        assert register.write is not None, "the profile was checked"
        words = encode(register, raw, self._order)
        await self._link.write_registers(register.address, words, expires_ns, function=register.write)


def _outputs(profile: Profile) -> dict[int, list[Register]]:
    """The outputs in each register or coil, by its address."""
    found: dict[int, list[Register]] = {}
    roles: tuple[Role, ...] = ("main-output", "precharge-output")
    for role in roles:
        register = profile.find(role)
        if register is not None:
            found.setdefault(register.address, []).append(register)
    return found
