"""A Modbus device described as data: its registers, how it is started and stopped, and what it does in silence."""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from drivers.config.settings import Broken, Loc, about
from drivers.config.shipped import Shipped
from drivers.profiles.parts import FixedRating, Listens, Reverts, Silence, Step
from drivers.profiles.registers import Register, WordOrder
from drivers.profiles.roles import DIRECTIONS, LOOP, RATING, REACTIVE_DIRECTIONS, ROLES, SAFETY, Role
from drivers.readings import InverterRating

KINDS = {
    "inverter": "an inverter",
    "meter": "a meter",
    "switchgear": "a switchgear",
    "auxiliary": "an auxiliary device",
    "contactors": "a contactor block",
}


class Profile(Shipped):
    """A described device."""

    kind: Annotated[Literal["inverter", "meter", "switchgear", "auxiliary", "contactors"], about("", "what it is")]
    source: Annotated[str, about("", "where its registers are documented", min_length=1, max_length=500)]
    word_order: Annotated[
        WordOrder, about("", "which half of two registers comes first: big = the high one", "most")
    ] = "big"
    read_count_max: Annotated[int, about("", "most registers in one read", "Modbus", ge=2, le=125)] = 125
    read_gap_max: Annotated[
        int,
        about(
            "", "unused registers that a read may pass over to take two values at once", "strict devices", ge=0, le=124
        ),
    ] = 0
    registers: Annotated[
        tuple[Register, ...], Field(strict=False), about("", "its registers", min_length=1, max_length=200)
    ]
    limits: Annotated[FixedRating | None, about("", "its nameplate", "read from its registers")] = None
    silence: Annotated[
        Silence | None, about("", "what an inverter or contactor block does when nobody speaks to it any more")
    ] = None
    start: Annotated[
        tuple[Step, ...],
        Field(strict=False),
        about(
            "",
            "writes that start an inverter, close a switchgear's intertie or set a block's watchdog going, in order",
            max_length=16,
        ),
    ] = ()
    stop: Annotated[
        tuple[Step, ...],
        Field(strict=False),
        about("", "writes that stop an inverter or open a switchgear's intertie, in order", max_length=16),
    ] = ()
    reset: Annotated[
        tuple[Step, ...],
        Field(strict=False),
        about(
            "",
            "writes that make an inverter forget a fault whose cause is gone, or stop a block's watchdog, in order",
            "none",
            max_length=16,
        ),
    ] = ()
    hold: Annotated[
        tuple[Step, ...],
        Field(strict=False),
        about(
            "",
            "writes that stop a block's watchdog, in order, so that its contactors stay as they are on an island",
            "an island has no such block",
            max_length=16,
        ),
    ] = ()
    set_point_when: Annotated[
        Literal["always", "running"], about("", "running: it ignores set-points before it runs", "most")
    ] = "always"

    def find(self, role: Role) -> Register | None:
        """The register with that role, if there is one."""
        return next((register for register in self.registers if register.role == role), None)

    def named(self, name: str) -> Register:
        """The register of that name; StopIteration if there is none."""
        return next(register for register in self.registers if register.name == name)

    def must_be(self, kind: str) -> None:
        """ValueError for the profile of something else."""
        if self.kind != kind:
            raise ValueError(f"profile {self.name} describes {KINDS[self.kind]}, expected {KINDS[kind]}")

    @property
    def fixed_rating(self) -> InverterRating | None:
        """Nameplate as the profile says it."""
        return None if self.limits is None else self.limits.rating

    @property
    def has_loop(self) -> bool:
        """It can smooth the grid's power by itself."""
        return self.find("loop-enable") is not None

    @property
    def reverts(self) -> bool:
        """It goes to 0 W by itself when nobody speaks to it any more."""
        return isinstance(self.silence, Reverts | Listens)

    def drops_after_s(self, told_s: float) -> float:
        """After how long a silence a block opens its contactors, told that time if it takes one."""
        return self.silence.time_s if isinstance(self.silence, Listens) else told_s

    @property
    def reversion_s_min(self) -> int:
        """The shortest time between the last command and 0 W, in whole seconds from 1; 1 where there is none."""
        silence = self.silence
        if isinstance(silence, Listens):
            return max(ceil(silence.time_s), 1)
        return max(ceil(silence.time_s_min), 1) if isinstance(silence, Reverts) else 1

    def wrong_reversion(self, reversion_s: float) -> Broken | None:
        """What is wrong with that much time between the last command and 0 W; None = nothing."""
        silence = self.silence
        if isinstance(silence, Listens) and reversion_s < silence.time_s:
            wrong = f"it goes to 0 W after {silence.time_s:g} s, not earlier"
            return Broken(("reversion_s",), reversion_s, wrong, f"at least {silence.time_s:g}")
        if isinstance(silence, Reverts) and not silence.time_s_min <= reversion_s <= silence.time_s_max:
            wrong = "not among the times that its timer takes"
            return Broken(("reversion_s",), reversion_s, wrong, f"{silence.time_s_min:g} to {silence.time_s_max:g}")
        return None

    def broken_relations(self) -> Iterator[Broken]:
        yield from self._broken_names()
        yield from self._broken_roles()
        yield from self._broken_loop()
        yield from self._broken_overlaps()
        if self.kind == "inverter":
            yield from self._broken_sequences()
            yield from self._broken_silence()
            yield from self._broken_rating()
            yield from self._none_of("hold")
        elif self.kind == "switchgear":
            yield from self._broken_sequences()
            yield from self._none_of("limits", "silence", "reset", "hold")
        elif self.kind == "contactors":
            yield from self._broken_sequences()
            yield from self._broken_silence()
            yield from self._none_of("limits", "stop")
        else:
            yield from self._none_of("limits", "silence", "start", "stop", "reset", "hold")
        if self.kind == "auxiliary" and not any(self.find(role) is not None for role in SAFETY):
            expected = f"one of {', '.join(SAFETY)}"
            yield Broken(("registers",), "none", "it says nothing", expected, self._each("role"))

    def _each(self, *names: str) -> tuple[Loc, ...]:
        """Where these fields of all registers are: what a relation about the registers depends on."""
        return tuple(("registers", i, name) for i in range(len(self.registers)) for name in names)

    def _broken_names(self) -> Iterator[Broken]:
        first: dict[str, int] = {}
        roles: dict[str, int] = {}
        for i, register in enumerate(self.registers):
            if (twin := first.setdefault(register.name, i)) != i:
                others = (("registers", twin, "name"),)
                yield Broken(
                    ("registers", i, "name"), register.name, f"same name as registers.{twin}", "one of its own", others
                )
            if (twin := roles.setdefault(register.role, i)) != i and not ROLES[register.role].many:
                others = (("registers", twin, "role"),)
                yield Broken(
                    ("registers", i, "role"), register.role, f"same role as registers.{twin}", "one of its own", others
                )

    def _broken_roles(self) -> Iterator[Broken]:
        for i, register in enumerate(self.registers):
            if not getattr(ROLES[register.role], self.kind):
                fitting = ", ".join(role for role, kind in ROLES.items() if getattr(kind, self.kind))
                wrong = f"not a role of {KINDS[self.kind]}"
                yield Broken(("registers", i, "role"), register.role, wrong, f"one of {fitting}", (("kind",),))
            reactive = ROLES[register.role].reactive
            directions = REACTIVE_DIRECTIONS if reactive else DIRECTIONS[self.kind]
            if register.positive is not None and register.positive not in directions:
                of = "reactive power" if reactive else KINDS[self.kind]
                expected, others = " or ".join(directions), (("kind",), ("registers", i, "role"))
                yield Broken(("registers", i, "positive"), register.positive, f"no direction of {of}", expected, others)
        for role, kind in ROLES.items():
            if kind.required and getattr(kind, self.kind) and self.find(role) is None:
                yield Broken(
                    ("registers",), "none", f"no register has role {role}", f"one with role {role}", (("kind",),)
                )

    def _broken_loop(self) -> Iterator[Broken]:
        """Told and read back as a whole, and ended by the same silence as a set-point."""
        for role in LOOP if any(self.find(role) is not None for role in LOOP) else ():
            found = self.find(role)
            if found is None:
                wrong, expected = f"no register has role {role}", "all of a loop's roles, or none"
                yield Broken(("registers",), "none", wrong, expected, self._each("role"))
            elif not found.readable:
                place: Loc = ("registers", self.registers.index(found), "function")
                yield Broken(place, 0, f"role {role} is read back", "3", self._each("role"))

    def _broken_overlaps(self) -> Iterator[Broken]:
        """Two values of the same registers must be of one type: then they are parts of it, told apart by masks."""
        for table in ("holding", "input", "coils", "discrete"):
            inside = [(i, register) for i, register in enumerate(self.registers) if register.table == table]
            inside.sort(key=lambda each: each[1].address)
            for (a, first), (b, second) in pairwise(inside):
                same = (first.address, first.type) == (second.address, second.type)
                if second.address < first.end and not (same and first.mask is not None and second.mask is not None):
                    wrong, others = f"overlaps {first.name} (registers.{a})", (("registers", a, "address"),)
                    yield Broken(("registers", b, "address"), second.address, wrong, f"at least {first.end}", others)

    def _broken_sequences(self) -> Iterator[Broken]:
        commands = [register.name for register in self.registers if register.role == "command"]
        for word in ("start", "stop", "reset", "hold"):
            steps: tuple[Step, ...] = getattr(self, word)
            if not steps and word not in ("reset", "hold") and self.kind != "contactors":
                wrong = f"missing for {KINDS[self.kind]}"
                yield Broken((word,), None, wrong, f"the writes that {word} it", (("kind",),))
            for i, step in enumerate(steps):
                if step.to not in commands:
                    expected = f"one of {', '.join(commands)}" if commands else "a register with role command"
                    yield Broken((word, i, "to"), step.to, "no such command", expected, self._each("role", "name"))
                elif not self.named(step.to).holds(step.raw):
                    kind = self.named(step.to).type
                    yield Broken(
                        (word, i, "raw"), step.raw, f"does not fit {kind}", f"a value of {kind}", self._each("role")
                    )

    def _broken_silence(self) -> Iterator[Broken]:
        needed: dict[str, Role] = {"timer": "reversion-time", "heartbeat": "heartbeat"}
        kind = None if self.silence is None else self.silence.kind
        block = self.kind == "contactors"
        if kind is None:
            expected = "kind timer or heartbeat" if block else "kind timer, heartbeat or keeps-on"
            yield Broken(("silence",), None, f"missing for {KINDS[self.kind]}", expected, (("kind",),))
        if kind == "keeps-on" and block:
            wrong = "contactors that stay closed when the gateway is dead"
            yield Broken(("silence", "kind"), kind, wrong, "timer or heartbeat", (("kind",),))
        for word, role in needed.items():
            found = self.find(role)
            if kind == word and found is None:
                yield Broken(
                    ("silence", "kind"),
                    kind,
                    f"no register has role {role}",
                    f"one with role {role}",
                    self._each("role"),
                )
            if kind not in (word, None) and found is not None:
                place = ("registers", self.registers.index(found), "role")
                yield Broken(
                    place, role, f"silence is of kind {kind}", f"silence of kind {word}", (("silence", "kind"),)
                )

    def _broken_rating(self) -> Iterator[Broken]:
        needed = [self.find("charge-power-max") is not None, self.find("discharge-power-max") is not None]
        if self.limits is None and not all(needed):
            expected = "both limits, or registers with roles charge-power-max and discharge-power-max"
            yield Broken(
                ("limits",),
                None,
                "missing, and no register says it",
                expected,
                (("kind",), *self._each("role")),
            )
        if self.limits is not None and any(self.find(role) is not None for role in RATING):
            yield Broken(("limits",), "limits", "registers say it as well", "one of both", self._each("role"))

    def _none_of(self, *words: str) -> Iterator[Broken]:
        for word in words:
            if getattr(self, word):
                yield Broken((word,), word, f"{KINDS[self.kind]} has none", "nothing", (("kind",),))
