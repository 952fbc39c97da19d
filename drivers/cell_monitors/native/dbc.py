"""Turns messages of a DBC file into a compiled frame plan, so that no DBC object is touched while frames flow.

Conventions read from the DBC: a signal named `Counter` (4 bits) counts frames, one named `Crc` (8 bits, last byte) is
CRC-8/SAE-J1850; neither is a value. A raw value whose description (VAL_) is `NotAvailable` decodes to NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cantools
import numpy as np
from cantools.database.can import Database, Message, Signal

from drivers.frames import EXTENDED_ID_FLAG
from drivers.readings import Times
from kernels.canbits import FramePlan

COUNTER_NAME = "Counter"
CRC_NAME = "Crc"
NOT_AVAILABLE_NAME = "NotAvailable"

SignalKey = tuple[str, str]
"""(message name, signal name)."""


@dataclass(frozen=True, slots=True)
class DbcPlan:
    """A frame plan with the names of its entries: (message, signal) -> signal index, message -> frame index."""

    frames: FramePlan
    signal_index: Mapping[SignalKey, int]
    frame_index: Mapping[str, int]


@lru_cache(maxsize=8)
def load_dbc(path: Path) -> Database:
    """Parse a DBC file once a process; OSError or cantools' error (naming the line) when it cannot be read."""
    database = cantools.database.load_file(path, database_format="dbc")
    if not isinstance(database, Database):
        raise ValueError(f"{path}: not a CAN database")
    return database


def build_plan(database: Database, messages: Sequence[str], first_signals: Sequence[SignalKey] = ()) -> DbcPlan:
    """Plan of these messages in this order. `first_signals` take the first signal indices in the order given, the
    messages' remaining signals follow in DBC order. ValueError for a signal or convention that does not fit."""
    chosen = [_message(database, name) for name in messages]
    signals = {(message.name, signal.name): signal for message in chosen for signal in _values(message)}
    missing = [key for key in first_signals if key not in signals]
    if missing:
        raise ValueError(f"no value signal {missing[0][0]}.{missing[0][1]} in the messages of this plan")
    keys = list(dict.fromkeys([*first_signals, *signals]))
    frame_index = {message.name: i for i, message in enumerate(chosen)}
    return DbcPlan(
        frames=_frame_plan(chosen, [frame_index[message] for message, _ in keys], [signals[key] for key in keys]),
        signal_index={key: i for i, key in enumerate(keys)},
        frame_index=frame_index,
    )


def _message(database: Database, name: str) -> Message:
    try:
        return database.get_message_by_name(name)
    except KeyError:
        raise ValueError(f"no message {name} in the DBC") from None


def _values(message: Message) -> list[Signal]:
    return [signal for signal in message.signals if signal.name not in (COUNTER_NAME, CRC_NAME)]


def _frame_plan(messages: list[Message], signal_frames: list[int], signals: list[Signal]) -> FramePlan:
    def integers(values: Sequence[int]) -> Times:
        return np.array(values, dtype=np.int64)

    return FramePlan(
        frame_id=integers([_wire_id(message) for message in messages]),
        length=integers([message.length for message in messages]),
        counter_start=integers([_counter_start(message) for message in messages]),
        crc=integers([_crc(message) for message in messages]),
        signal_frame=integers(signal_frames),
        start=integers([signal.start for signal in signals]),
        bits=integers([signal.length for signal in signals]),
        big_endian=integers([signal.byte_order == "big_endian" for signal in signals]),
        signed=integers([signal.is_signed for signal in signals]),
        scale=np.array([signal.scale for signal in signals], dtype=np.float64),
        offset=np.array([signal.offset for signal in signals], dtype=np.float64),
        invalid_raw=integers([_invalid_raw(signal) for signal in signals]),
    )


def _wire_id(message: Message) -> int:
    return message.frame_id | (EXTENDED_ID_FLAG if message.is_extended_frame else 0)


def _find(message: Message, name: str) -> Signal | None:
    return next((signal for signal in message.signals if signal.name == name), None)


def _counter_start(message: Message) -> int:
    """Lowest bit of the counter in Intel numbering, -1 without one."""
    counter = _find(message, COUNTER_NAME)
    if counter is None:
        return -1
    start: int = counter.start - (3 if counter.byte_order == "big_endian" else 0)
    if counter.length != 4 or start // 8 != (start + 3) // 8 or start // 8 != counter.start // 8:
        raise ValueError(f"{message.name}.{COUNTER_NAME}: must be 4 bits inside one byte")
    return start


def _crc(message: Message) -> int:
    """1 when the last byte is the CRC, 0 without one."""
    crc = _find(message, CRC_NAME)
    if crc is None:
        return 0
    first_bit = 8 * (message.length - 1)
    if crc.length != 8 or crc.start != first_bit + (7 if crc.byte_order == "big_endian" else 0):
        raise ValueError(f"{message.name}.{CRC_NAME}: must be the last byte")
    return 1


def _invalid_raw(signal: Signal) -> int:
    """Unsigned bit pattern of the raw value named NotAvailable, -1 without one."""
    choices: Mapping[int, object] = signal.choices or {}
    mask = (1 << signal.length) - 1
    return next((raw & mask for raw, text in choices.items() if str(text) == NOT_AVAILABLE_NAME), -1)
