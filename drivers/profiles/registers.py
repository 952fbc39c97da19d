"""One register of a described device: where it is, what its bits mean, and the check that it makes sense."""

from collections.abc import Iterator
from math import isclose
from typing import Annotated, Literal

from drivers.config.settings import Broken, Settings, about
from drivers.profiles.maps import AlarmMap, RawValues, StateMap, raw_values
from drivers.profiles.roles import FLAGS, IN_SI, NEGATIVE, OUTPUTS, ROLES, SET_POINTS, Positive, Role, Unit

ADDRESSES = 0x10000
SIZES = {"bit": 1, "u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2}
"""Registers (or coils, or discrete inputs) that a value of each type takes."""
READ_BITS, WRITE_BITS = (1, 2), (5, 15)
"""Modbus functions of coils and discrete inputs."""
TABLES: dict[int, Literal["holding", "input", "coils", "discrete"]] = {
    1: "coils",
    2: "discrete",
    3: "holding",
    4: "input",
}
RegisterType = Literal["bit", "u16", "s16", "u32", "s32", "f32"]
WordOrder = Literal["big", "little"]
RANGES = {
    "bit": (0, 1),
    "u16": (0, 0xFFFF),
    "s16": (-0x8000, 0x7FFF),
    "u32": (0, 0xFFFFFFFF),
    "s32": (-0x80000000, 0x7FFFFFFF),
}


class Register(Settings):
    """One value of a device, in one or two registers."""

    name: Annotated[
        str, about("", "its name in sequences and messages", pattern=r"^[a-z][a-z0-9-]{0,47}$", shape="a short name")
    ]
    role: Annotated[Role, about("", "what it is for")]
    address: Annotated[int, about("", "address on the wire, from 0; a manual's 40001 is mostly 0", ge=0, le=65_535)]
    function: Annotated[
        Literal[1, 2, 3, 4, 0],
        about(
            "",
            "Modbus function that reads it: 3 holding, 4 input, 1 coil, 2 discrete input, 0 = it cannot be read",
            "most",
        ),
    ] = 3
    write: Annotated[
        Literal[5, 6, 15, 16] | None,
        about("", "Modbus function that writes it: 6 one register, 16 a block, 5 one coil, 15 several", "read-only"),
    ] = None
    type: Annotated[RegisterType, about("", "type on the wire")] = "u16"
    word_order: Annotated[
        WordOrder | None, about("", "which half of two registers comes first: big = the high one", "the profile's")
    ] = None
    scale: Annotated[float, about("", "value in `unit` = raw value * scale", "none", gt=0, le=1e9)] = 1.0
    unit: Annotated[Unit | None, about("", "unit after scaling", "of states and commands: none")] = None
    positive: Annotated[
        Positive | None, about("", "direction of positive values, for power and current", "of all others: none")
    ] = None
    absent: Annotated[
        int | None,
        about("", "raw value (or its bits, of a signed type) that means none", "every value counts"),
    ] = None
    mask: Annotated[int | None, about("", "bits that count, before all else", "all", ge=1, le=0xFFFFFFFF)] = None
    at_least: Annotated[float | None, about("", "in `unit`: below it the answer is rejected", "no bound")] = None
    at_most: Annotated[float | None, about("", "in `unit`: above it the answer is rejected", "no bound")] = None
    states: Annotated[StateMap | None, about("", "which raw values mean which state")] = None
    alarms: Annotated[AlarmMap | None, about("", "which bits mean which alarm", "all are its maker's")] = None
    true_at: Annotated[RawValues, raw_values("raw values that mean yes; without false_at all others mean no")] = ()
    false_at: Annotated[RawValues, raw_values("raw values that mean no; without true_at all others mean yes")] = ()

    @property
    def size(self) -> int:
        """Registers it takes."""
        return SIZES[self.type]

    @property
    def end(self) -> int:
        """Address behind it."""
        return self.address + self.size

    @property
    def factor(self) -> float:
        """From raw to SI."""
        return self.scale * (1.0 if self.unit is None else IN_SI[self.unit])

    def si(self, raw: float) -> float:
        """Raw value in SI units, correctly rounded where the factor is one part of a whole number: 5998 of 0.01 is
        59.98."""
        parts = round(1.0 / self.factor)
        return raw / parts if parts > 1 and isclose(parts * self.factor, 1.0, rel_tol=1e-12) else raw * self.factor

    @property
    def sign(self) -> float:
        """Of its values against ours: discharge, import and injected are positive."""
        return -1.0 if self.positive in NEGATIVE else 1.0

    @property
    def absent_raw(self) -> int | None:
        """`absent` as a value of the type: manuals say 0x8000 for -32768."""
        lowest, highest = RANGES.get(self.type, (0, 0))
        if self.absent is not None and self.absent > highest and lowest < 0:
            return self.absent - (1 << 16 * self.size)
        return self.absent

    @property
    def readable(self) -> bool:
        return self.function != 0

    @property
    def table(self) -> Literal["holding", "input", "coils", "discrete"]:
        """Which of Modbus's tables it stands in."""
        if self.function == 0:
            return "coils" if self.write in WRITE_BITS else "holding"
        return TABLES[self.function]

    def holds(self, raw: int) -> bool:
        """Whether its type can carry this raw value."""
        least, most = RANGES.get(self.type, (-(2**24), 2**24))
        return least <= raw <= most

    def broken_relations(self) -> Iterator[Broken]:
        yield from self._broken_place()
        yield from self._broken_write()
        yield from self._broken_meaning()
        yield from self._broken_raw()
        if self.at_least is not None and self.at_most is not None:
            yield from self.below("at_least", "at_most")

    def _broken_place(self) -> Iterator[Broken]:
        if self.end > ADDRESSES:
            yield Broken(
                ("address",), self.address, f"no room for {self.size} registers", "at most 65534", (("type",),)
            )
        if self.write is not None and self.function in (2, 4):
            yield Broken(("write",), self.write, "inputs cannot be written", "function 3, 1 or 0", (("function",),))
        yield from self._broken_bit()
        if self.write == 6 and self.size > 1:
            yield Broken(("write",), 6, f"writes one register, {self.type} has two", "16", (("type",),))
        written = ROLES[self.role].written
        if written and self.write is None:
            yield Broken(("write",), None, f"missing for role {self.role}", "6, 16, 5 or 15", (("role",),))
        if not written and not self.readable:
            yield Broken(("function",), 0, f"role {self.role} must be readable", "3, 4, 1 or 2", (("role",),))

    def _broken_bit(self) -> Iterator[Broken]:
        """Coils and discrete inputs are bits, and nothing else is."""
        for name, value, functions in (("function", self.function, READ_BITS), ("write", self.write, WRITE_BITS)):
            if value and (value in functions) != (self.type == "bit"):
                wrong = f"{name} {value} is of {'bits' if value in functions else 'registers'}"
                expected = "bit" if value in functions else "u16, s16, u32, s32 or f32"
                yield Broken(("type",), self.type, wrong, expected, ((name,),))

    def _broken_write(self) -> Iterator[Broken]:
        if self.write is not None and self.mask is not None and self.role not in OUTPUTS:
            yield Broken(("mask",), self.mask, "a write would change the other bits", "nothing", (("write",),))
        if self.role not in SET_POINTS:
            return
        wrong = f"0 {ROLES[self.role].units[0]} could not be told"
        if self.absent == 0:
            yield Broken(("absent",), 0, wrong, "another value, or nothing", (("role",),))
        if self.at_least is not None and self.at_least > 0:
            yield Broken(("at_least",), self.at_least, wrong, "at most 0", (("role",),))
        if self.at_most is not None and self.at_most < 0:
            yield Broken(("at_most",), self.at_most, wrong, "at least 0", (("role",),))

    def _broken_meaning(self) -> Iterator[Broken]:
        kind, about_role = ROLES[self.role], (("role",),)
        if kind.units and self.unit not in kind.units:
            yield Broken(
                ("unit",), self.unit, f"does not fit role {self.role}", f"one of {', '.join(kind.units)}", about_role
            )
        if not kind.units and self.unit is not None:
            yield Broken(("unit",), self.unit, f"role {self.role} has no unit", "none", about_role)
        if not kind.units and self.scale != 1.0:
            yield Broken(("scale",), self.scale, f"role {self.role} has no scale", "none", about_role)
        if not kind.units and self.type == "f32":
            yield Broken(("type",), self.type, f"role {self.role} is whole", "u16, s16, u32 or s32", about_role)
        if self.type == "bit" and (kind.units or self.role in ("state", "alarms")):
            yield Broken(("type",), self.type, f"role {self.role} is no bit", "a register's type", about_role)
        if self.type == "bit" and self.mask is not None:
            yield Broken(("mask",), self.mask, "a bit has no parts", "nothing", (("type",),))
        if kind.signed and self.positive is None:
            yield Broken(
                ("positive",), None, f"missing for role {self.role}", "the direction of positive values", about_role
            )
        if not kind.signed and self.positive is not None:
            yield Broken(("positive",), self.positive, f"role {self.role} has no direction", "none", about_role)
        for name, roles in (("states", ("state",)), ("alarms", ("alarms",)), ("true_at", FLAGS), ("false_at", FLAGS)):
            if getattr(self, name) and self.role not in roles:
                yield Broken(
                    (name,), "a value", f"does not belong to role {self.role}", f"role {' or '.join(roles)}", about_role
                )
        if self.role == "state" and self.states is None:
            yield Broken(("states",), None, "missing for role state", "which raw values mean which state", about_role)
        if self.role in FLAGS and not (self.true_at or self.false_at):
            expected, others = "raw values that mean yes, or false_at", (("false_at",), *about_role)
            yield Broken(("true_at",), None, f"missing for role {self.role}", expected, others)
        yield from self._broken_flag()

    def _broken_flag(self) -> Iterator[Broken]:
        """A raw value has one meaning; what is written has a value for yes and one for no."""
        for i, raw in enumerate(self.false_at):
            if raw in self.true_at:
                yield Broken(("false_at", i), raw, "also means yes", "a value of one meaning", (("true_at",),))
        for name in ("true_at", "false_at"):
            if self.role in OUTPUTS and not getattr(self, name):
                wrong = f"missing for role {self.role}"
                yield Broken((name,), None, wrong, "the raw value to write", (("role",),))
        for name in ("true_at", "false_at"):
            for i, raw in enumerate(getattr(self, name)):
                if self.mask is not None and raw & ~self.mask:
                    yield Broken((name, i), raw, "has bits outside the mask", "bits of the mask only", (("mask",),))

    def _broken_raw(self) -> Iterator[Broken]:
        named: list[tuple[tuple[str | int, ...], int]] = [
            ((name, i), raw) for name in ("true_at", "false_at") for i, raw in enumerate(getattr(self, name))
        ]
        if self.absent_raw is not None:
            named.append((("absent",), self.absent_raw))
        if self.states is not None:
            fields = type(self.states).model_fields
            named += [(("states", name, i), raw) for name in fields for i, raw in enumerate(getattr(self.states, name))]
        for loc, raw in named:
            if not self.holds(raw):
                yield Broken(loc, raw, f"does not fit {self.type}", f"a value of {self.type}", (("type",),))
        if self.type == "f32" and (self.mask is not None or self.absent is not None):
            name = "mask" if self.mask is not None else "absent"
            yield Broken((name,), getattr(self, name), "f32 has none; NaN means absent", "nothing", (("type",),))
        if self.alarms is not None:
            for name in type(self.alarms).model_fields:
                for i, bit in enumerate(getattr(self.alarms, name)):
                    if not 0 <= bit < 16 * self.size:
                        yield Broken(
                            ("alarms", name, i), bit, f"{self.type} has no such bit", f"0 to {16 * self.size - 1}"
                        )
