"""A mapping file: which signals of a DBC file are a rack's cells, temperatures, current, voltages and contactors."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.cell_monitors.dbc.mapping import Command, DbcMapping, Feedback, Values
from drivers.config.config_yaml import load_strict
from drivers.config.settings import Broken, Loc, Settings, about, beside_the_file
from drivers.dbc import SignalKey, build_plan, load_dbc
from drivers.links.can_library import DbcError

SIGNAL = {"pattern": r"^\w+\.[\w]+$", "shape": "MESSAGE.SIGNAL"}
RANGED = r"^\w+\.\w+$|^[\w.]*\{\d{1,3}\.\.\d{1,3}\}[\w.]*$"
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
FACTORS = {"V": 1.0, "mV": 1e-3, "A": 1.0, "mA": 1e-3, "degC": 1.0}
SignalName = Annotated[str, Field(pattern=RANGED)]


def expanded(text: str) -> list[str]:
    """The names that an entry stands for: `V{01..03}` is V01, V02, V03; numbers are as wide as the first one."""
    found = RANGE.search(text)
    if found is None:
        return [text]
    first, last = found.groups()
    numbers = range(int(first), int(last) + 1)
    return [RANGE.sub(str(number).zfill(len(first)), text, count=1) for number in numbers]


class MappedVoltages(Settings):
    """One signal a cell, in the order of the cells."""

    signals: Annotated[
        tuple[SignalName, ...],
        Field(strict=False),
        about("", "MESSAGE.SIGNAL each, or with a range as in Cells.V{01..16}", min_length=1, max_length=512),
    ]
    unit: Annotated[Literal["V", "mV"], about("", "what the DBC's physical values are in", "SI")] = "V"
    invalid_raw: Annotated[
        int | None, about("", "raw value that means not available", "NotAvailable in the DBC", ge=0, lt=2**32)
    ] = None

    @property
    def names(self) -> list[str]:
        return [name for entry in self.signals for name in expanded(entry)]


class MappedTemperatures(MappedVoltages):
    """Sensors, spread evenly over the cells."""

    unit: Annotated[Literal["degC"], about("", "what the DBC's physical values are in", "SI")] = "degC"  # type: ignore[assignment]


class MappedVoltage(Settings):
    """A voltage of the rack."""

    signal: Annotated[str, about("", "MESSAGE.SIGNAL", **SIGNAL)]
    unit: Annotated[Literal["V", "mV"], about("", "what the DBC's physical value is in", "SI")] = "V"
    invalid_raw: Annotated[
        int | None, about("", "raw value that means not available", "NotAvailable in the DBC", ge=0, lt=2**32)
    ] = None


class MappedCurrent(Settings):
    """The rack's current."""

    signal: Annotated[str, about("", "MESSAGE.SIGNAL", **SIGNAL)]
    unit: Annotated[Literal["A", "mA"], about("", "what the DBC's physical value is in", "SI")] = "A"
    positive: Annotated[Literal["discharge", "charge"], about("", "which direction is positive on the wire")]
    invalid_raw: Annotated[
        int | None, about("", "raw value that means not available", "NotAvailable in the DBC", ge=0, lt=2**32)
    ] = None


class MappedFeedback(Settings):
    """The auxiliary contact of a contactor."""

    signal: Annotated[str, about("", "MESSAGE.SIGNAL", **SIGNAL)]
    closed: Annotated[float, about("", "value that means closed", "usual")] = 1.0


class MappedConstant(Settings):
    """A signal of the command that is always the same."""

    signal: Annotated[str, about("", "its name in the command's message", pattern=r"^\w+$", shape="a signal's name")]
    value: Annotated[float, about("", "its value")]


class MappedCommand(Settings):
    """The message that commands the contactors."""

    message: Annotated[str, about("", "its name", pattern=r"^\w+$", shape="a message's name")]
    main: Annotated[
        str, about("", "signal that is 1 to close the main contactor", pattern=r"^\w+$", shape="a signal's name")
    ]
    precharge: Annotated[
        str | None,
        about("", "signal that is 1 to precharge", "the monitor does it", pattern=r"^\w+$", shape="a signal's name"),
    ] = None
    period_s: Annotated[float, about("s", "it is sent this often", "usual", gt=0, le=10)] = 0.1
    constants: Annotated[
        tuple[MappedConstant, ...],
        Field(strict=False),
        about("", "its other signals, 0 unless they stand here", max_length=64),
    ] = ()


class MappingFile(Settings):
    """One kind of rack in the terms of its DBC file."""

    dbc: Annotated[str, about("", "the DBC file", min_length=1, max_length=500), AfterValidator(beside_the_file)]
    checked: Annotated[
        bool, about("", "signals named Counter (4 bits) and Crc (CRC-8/SAE-J1850) are checked", "usual")
    ] = False
    voltages: Annotated[MappedVoltages, about("", "the cells' voltages")]
    temperatures: Annotated[MappedTemperatures, about("", "the cells' temperatures")]
    current: Annotated[MappedCurrent, about("", "the rack's current")]
    rack_voltage: Annotated[MappedVoltage, about("", "the rack's voltage before its contactors")]
    link_voltage: Annotated[MappedVoltage, about("", "the voltage behind them")]
    main_closed: Annotated[
        MappedFeedback | None, about("", "feedback of the main contactor", "it hangs on a contactor_block")
    ] = None
    precharge_closed: Annotated[MappedFeedback | None, about("", "feedback of the precharge contactor")] = None
    command: Annotated[
        MappedCommand | None, about("", "the message that commands the contactors", "they hang on a contactor_block")
    ] = None

    @property
    def mapping(self) -> DbcMapping:
        """The same as the driver takes it."""
        command = self.command
        return DbcMapping(
            path=Path(self.dbc),
            voltages=_values(self.voltages.names, self.voltages.unit, self.voltages.invalid_raw),
            temperatures=_values(self.temperatures.names, self.temperatures.unit, self.temperatures.invalid_raw),
            current=_values([self.current.signal], self.current.unit, self.current.invalid_raw,
                            -1.0 if self.current.positive == "charge" else 1.0),
            rack_voltage=_values([self.rack_voltage.signal], self.rack_voltage.unit, self.rack_voltage.invalid_raw),
            link_voltage=_values([self.link_voltage.signal], self.link_voltage.unit, self.link_voltage.invalid_raw),
            main_closed=Feedback(_key(self.main_closed.signal), self.main_closed.closed) if self.main_closed else None,
            precharge_closed=Feedback(_key(self.precharge_closed.signal), self.precharge_closed.closed)
            if self.precharge_closed else None,
            command=None if command is None else Command(
                command.message, command.main, command.precharge, command.period_s,
                {each.signal: each.value for each in command.constants},
            ),
            checked=self.checked,
        )  # fmt: skip

    def broken_relations(self) -> Iterator[Broken]:
        try:
            load_dbc(Path(self.dbc))
        except (OSError, ValueError, DbcError) as error:
            yield Broken(("dbc",), self.dbc, f"cannot be read: {_one_line(error)}", "a DBC file")
            return
        if (self.command is None) != (self.main_closed is None):
            missing, there = ("command", "main_closed") if self.command is None else ("main_closed", "command")
            yield Broken((missing,), None, f"missing beside {there}", "both or none", ((there,),))
        wrong = [*self._wrong_signals(), *self._wrong_command()]
        yield from wrong
        if not wrong:
            yield from self._refused()

    def _wrong_signals(self) -> Iterator[Broken]:
        seen: dict[str, Loc] = {}
        for loc, entry in self._entries():
            if not expanded(entry):
                yield Broken(loc, entry, "a range that ends before it begins", "as in Cells.V{01..16}")
            for name in expanded(entry):
                problem = self._problem(name)
                if problem:
                    yield Broken(loc, entry, problem, "a signal of the DBC file", (("dbc",),))
                    break
                if name in seen:
                    yield Broken(
                        loc, entry, f"{name} stands in {'.'.join(map(str, seen[name]))} too", "each signal once"
                    )
                    break
                seen[name] = loc

    def _entries(self) -> Iterator[tuple[Loc, str]]:
        for group in ("voltages", "temperatures"):
            for i, entry in enumerate(getattr(self, group).signals):
                yield (group, "signals", i), entry
        for single in ("current", "rack_voltage", "link_voltage", "main_closed", "precharge_closed"):
            if getattr(self, single) is not None:
                yield (single, "signal"), getattr(self, single).signal

    def _problem(self, name: str) -> str:
        message, signal = _key(name)
        return _refusal(lambda: build_plan(
            load_dbc(Path(self.dbc)), [message], [(message, signal)], others=False, conventions=self.checked
        ))  # fmt: skip

    def _wrong_command(self) -> Iterator[Broken]:
        if self.command is None:
            return
        command, found = self.command, self._command_signals(self.command)
        if found is None:
            yield Broken(
                ("command", "message"), command.message, "no such message", "a message of the DBC file", (("dbc",),)
            )
            return
        named: list[tuple[Loc, str]] = [(("command", "main"), command.main)]
        named += [(("command", "precharge"), command.precharge)] if command.precharge else []
        named += [(("command", "constants", i, "signal"), each.signal) for i, each in enumerate(command.constants)]
        for loc, name in named:
            if name not in found:
                yield Broken(
                    loc, name, f"no such signal in {command.message}", "one of " + ", ".join(found), (("dbc",),)
                )

    def _command_signals(self, command: MappedCommand) -> list[str] | None:
        try:
            return [signal.name for signal in load_dbc(Path(self.dbc)).get_message_by_name(command.message).signals]
        except KeyError:
            return None

    def _refused(self) -> Iterator[Broken]:
        """What only the plans as a whole can tell."""
        for loc, make in ((("dbc",), self.mapping.measured), (("command",), self.mapping.try_command)):
            if problem := _refusal(make):
                yield Broken(loc, str(loc[0]), problem, "a mapping that fits its DBC file")


def load_mapping(path: str | Path) -> MappingFile:
    """The mapping in a file; ConfigErrors with every mistake, one a line."""
    return load_strict(path, MappingFile)


def _values(names: list[str], unit: str, invalid_raw: int | None, sign: float = 1.0) -> Values:
    return Values(tuple(_key(name) for name in names), sign * FACTORS[unit], invalid_raw)


def _key(name: str) -> SignalKey:
    message, _, signal = name.partition(".")
    return message, signal


def _refusal(make: Callable[[], object]) -> str:
    try:
        make()
    except ValueError as error:
        return _one_line(error)
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
