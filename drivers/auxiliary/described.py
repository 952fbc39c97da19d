"""The driver of an auxiliary device that a profile describes as data: inputs that it says, outputs that it is told."""

from collections.abc import Callable
from typing import Any

from drivers.clock import now_ns
from drivers.commands import OutputsCommand
from drivers.links.modbus import ModbusLink
from drivers.polled import PolledDevice
from drivers.profiles import Profile
from drivers.profiles.codec import encode, flag_raw
from drivers.profiles.reader import POLLED, RoleReader, RoleValues
from drivers.profiles.registers import Register
from drivers.profiles.roles import OUTPUTS, ROLES, SAFETY, Role
from drivers.safety import NOT_HEARD, CoolingRequest, SafetyInputs

REFRESH_NS = 1_000_000_000
"""What does not change is written again this often: the device may have lost it."""

FIELDS: dict[Role, str] = {
    **{role: role.replace("-", "_") for role in SAFETY if not ROLES[role].units},
    "supply-on-battery": "aux_on_battery",
    "coolant-temperature": "coolant_temperature_degc",
    "precharge-temperature": "precharge_temperature_degc",
    "supply-voltage": "aux_supply_v",
    "supply-charge": "aux_charge_frac",
}
"""Which field of SafetyInputs each role is."""


def fields_of(profile: Profile) -> frozenset[str]:
    """The fields of SafetyInputs that a device of this profile says."""
    return frozenset(field for role, field in FIELDS.items() if profile.find(role) is not None)


class DescribedAuxiliary(PolledDevice):
    """Polls a device for ever and keeps its outputs at the newest command that has not expired; `on_reading` gets one
    SafetyInputs a poll, absent in what the device does not say; a poll that failed gives none. ValueError for the
    profile of something else.

    A cooling that can only be let run or not runs unless it is told off: its own control does the rest.
    """

    def __init__(
        self,
        link: ModbusLink,
        profile: Profile,
        on_reading: Callable[[SafetyInputs], None],
        poll_period_s: float = 0.2,
    ) -> None:
        profile.must_be("auxiliary")
        super().__init__("auxiliary device", link, poll_period_s)
        self._reader = RoleReader(profile, POLLED["auxiliary"])
        self._on_reading = on_reading
        self._order = profile.word_order
        self._outputs = _outputs(profile)
        self._command: OutputsCommand | None = None
        self._written: dict[int, int] = {}
        self._refresh_due_ns = 0

    def command(self, command: OutputsCommand) -> None:
        """Written after the next poll. What is no output of this device is left out."""
        self._command = command

    async def _begin(self) -> None:
        self._written = {}

    async def _round(self) -> None:
        at_ns = now_ns()
        said = await self._reader.read(self._link)
        self._on_reading(NOT_HEARD._replace(at_ns=at_ns, **self._fields(said)))
        await self._write_due()

    def _fields(self, said: RoleValues) -> dict[str, Any]:
        return {
            field: said.number(role) if ROLES[role].units else said.says(role)
            for role, field in FIELDS.items()
            if role in self._reader
        }

    async def _write_due(self) -> None:
        """Each register of outputs as a whole; bits that no output has are written 0."""
        command = self._command
        if command is None or now_ns() >= command.expires_ns:
            return
        refresh = now_ns() >= self._refresh_due_ns
        for address, registers in self._outputs.items():
            raw = sum(flag_raw(register, _wanted(register.role, command)) for register in registers)
            if refresh or self._written.get(address) != raw:
                await self._write(registers[0], raw, command.expires_ns)
                self._written[address] = raw
        if refresh:
            self._refresh_due_ns = now_ns() + REFRESH_NS

    async def _write(self, register: Register, raw: int, expires_ns: int) -> None:
        assert register.write is not None, "the profile was checked"
        words = encode(register, raw, self._order)
        await self._link.write_registers(register.address, words, expires_ns, function=register.write)


def _outputs(profile: Profile) -> dict[int, list[Register]]:
    """The outputs in each register, by its address."""
    found: dict[int, list[Register]] = {}
    for role in OUTPUTS:
        register = profile.find(role)
        if register is not None:
            found.setdefault(register.address, []).append(register)
    return found


def _wanted(role: Role, command: OutputsCommand) -> bool:
    return command.fire_alarm if role == "fire-output" else command.cooling is not CoolingRequest.OFF
