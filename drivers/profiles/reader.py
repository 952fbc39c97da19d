"""Reads a described device: the merged blocks of a set of roles, decoded into values by role."""

import math
from collections.abc import Iterable

from drivers.links.modbus import ModbusLink
from drivers.profiles.codec import (
    Block,
    OutOfBounds,
    Registers,
    alarms_of,
    flag_of,
    raw_of,
    read_plan,
    state_of,
    taken,
    value_of,
)
from drivers.profiles.profile import Profile
from drivers.profiles.roles import FEEDBACK, LOOP, RATING, SAFETY, SET_POINTS, Role
from drivers.readings import InverterState

POLLED: dict[str, tuple[Role, ...]] = {
    "inverter": (
        "ac-power",
        "reactive-power",
        "ac-voltage",
        "dc-power",
        "dc-voltage",
        "dc-current",
        "frequency",
        "state",
        "alarms",
        "grid-connected",
        "remote-control",
    ),
    "meter": ("ac-power", "frequency", "voltage"),
    "switchgear": (
        "intertie-closed",
        "sync-ok",
        "grid-voltage",
        "grid-frequency",
        "site-voltage",
        "site-frequency",
        "phase-angle",
        "blocks-closed",
    ),
    "auxiliary": SAFETY,
    "contactors": FEEDBACK,
}
"""What every poll reads, by the kind of device."""


def read_plans(profile: Profile) -> dict[str, tuple[Block, ...]]:
    """The reads of each occasion, by its name."""
    plans = {"each poll": RoleReader(profile, POLLED[profile.kind]).plan}
    if profile.kind == "inverter":
        plans["each connection"] = RoleReader(profile, RATING).plan
        plans["read back"] = RoleReader(profile, SET_POINTS).plan
        if profile.has_loop:
            plans["own loop"] = RoleReader(profile, LOOP).plan
    return plans


class RoleReader:
    """Reads those of `roles` that the device has, always in the same few messages."""

    def __init__(self, profile: Profile, roles: Iterable[Role]) -> None:
        found = [profile.find(role) for role in roles]
        self.word_order = profile.word_order
        self.fields = {register.role: register for register in found if register is not None and register.readable}
        self.plan = read_plan(self.fields.values(), profile.read_gap_max, profile.read_count_max)

    async def read(self, link: ModbusLink) -> "RoleValues":
        """All of them anew. Link errors pass."""
        registers: dict[tuple[int, int], int] = {}
        reads = {1: link.read_coils, 2: link.read_discrete, 3: link.read_holding, 4: link.read_input}
        for block in self.plan:
            read = reads[block.function]
            registers |= taken(block, await read(block.address, block.count))
        return RoleValues(self, registers, link)

    def __contains__(self, role: Role) -> bool:
        return role in self.fields


class RoleValues:
    """What one reading said, by role; what the device does not have is NaN, unknown or the `default`."""

    def __init__(self, reader: RoleReader, registers: Registers, link: ModbusLink) -> None:
        self._fields, self._order = reader.fields, reader.word_order
        self._registers, self._link = registers, link

    def number(self, role: Role) -> float:
        """SI value, positive in discharge (of a meter: in import; reactive: injected); NaN = it does not say. BadAnswer
        out of bounds."""
        register = self._fields.get(role)
        if register is None:
            return math.nan
        try:
            return register.sign * value_of(register, self._registers, self._order)
        except OutOfBounds as error:
            self._link.reject(str(error))

    def raw(self, role: Role) -> float | None:
        """As it stands in the register; None where there is none, or absent."""
        register = self._fields.get(role)
        return None if register is None else raw_of(register, self._registers, self._order)

    def bits(self, role: Role) -> int:
        """A whole number; 0 where it has no such register, BadAnswer where it does not say."""
        if role not in self._fields:
            return 0
        value = self.number(role)
        if math.isnan(value):
            self._link.reject(f"{self._fields[role].name} is absent")
        return int(value)

    def state(self) -> InverterState:
        return state_of(self._fields["state"], self._registers, self._order)

    def flag(self, role: Role, default: bool) -> bool:
        """`default` where it has no such register; what is neither yes nor no is not yes."""
        return default if role not in self._fields else self.says(role) is True

    def says(self, role: Role) -> bool | None:
        """Yes or no; None where it does not say."""
        register = self._fields.get(role)
        return None if register is None else flag_of(register, self._registers, self._order)

    def alarms(self) -> int:
        register = self._fields.get("alarms")
        return 0 if register is None else alarms_of(register, self._registers, self._order)
