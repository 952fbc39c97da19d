"""Which signals of a DBC file are a rack's values, and which message is its command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivers.dbc import DbcPlan, SignalKey, build_plan, load_dbc
from drivers.readings import Floats
from kernels.canbits import FrameEncoder


@dataclass(frozen=True, slots=True)
class Values:
    """Some signals: each one's value times `factor` is in SI units; `invalid_raw` is the bit pattern that means "not
    available" (None = the DBC says, by a value named NotAvailable, or nothing does)."""

    signals: tuple[SignalKey, ...]
    factor: float = 1.0
    invalid_raw: int | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """A contactor's auxiliary contact: closed while the signal has this value."""

    signal: SignalKey
    closed: float = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """The message that is sent: `main` and `precharge` are the signals that are 1 to close (None = there is none),
    `others` the constant values of any other of its signals, which are 0 otherwise."""

    message: str
    main: str
    precharge: str | None = None
    period_s: float = 0.1
    others: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DbcMapping:
    """A rack in terms of a DBC file. One voltage signal a cell, in the order of the cells; temperature signals are
    spread evenly over the cells. `command` and `main_closed` are None where the contactors hang elsewhere. A
    `current` with a negative factor is positive in charge on the wire. `checked`: signals named Counter and Crc are a
    counter and a CRC-8/SAE-J1850 (see drivers.dbc)."""

    path: Path
    voltages: Values
    temperatures: Values
    current: Values
    rack_voltage: Values
    link_voltage: Values
    main_closed: Feedback | None
    precharge_closed: Feedback | None
    command: Command | None
    checked: bool = False

    @property
    def keys(self) -> list[SignalKey]:
        """All measured signals: voltages, temperatures, current, rack voltage, link voltage and, where there are
        such, main closed and precharge closed."""
        scalars = [*self.current.signals, *self.rack_voltage.signals, *self.link_voltage.signals]
        contacts = [contact for contact in (self.main_closed, self.precharge_closed) if contact is not None]
        return [*self.voltages.signals, *self.temperatures.signals, *scalars, *(each.signal for each in contacts)]

    def measured(self) -> DbcPlan:
        """Plan of the measured messages, its first signals those of `keys`. ValueError for what does not fit."""
        groups = (self.voltages, self.temperatures, self.current, self.rack_voltage, self.link_voltage)
        invalid = {key: group.invalid_raw for group in groups if group.invalid_raw is not None for key in group.signals}
        messages = list(dict.fromkeys(message for message, _ in self.keys))
        return build_plan(
            load_dbc(self.path), messages, self.keys, others=False, conventions=self.checked, invalid=invalid
        )

    def commands(self, command: Command) -> DbcPlan:
        """Plan of its message. ValueError for what does not fit."""
        names = [command.main, *([command.precharge] if command.precharge else []), *command.others]
        keys = [(command.message, name) for name in names]
        return build_plan(load_dbc(self.path), [command.message], keys, conventions=self.checked)

    def try_command(self) -> None:
        """ValueError if the command cannot be written, whether or not its contactors shall close."""
        command = self.command
        if command is None:
            return
        plan = self.commands(command)
        for closed in (0.0, 1.0):
            values: Floats = np.zeros(len(plan.signal_index))
            for name, value in command.others.items():
                values[plan.signal_index[command.message, name]] = value
            for name in (command.main, command.precharge or command.main):
                values[plan.signal_index[command.message, name]] = closed
            FrameEncoder(plan.frames).encode(np.array([plan.frame_index[command.message]], np.int64), values)
