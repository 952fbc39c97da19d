"""Turns messages of a DBC file into a compiled frame plan, so that no DBC object is touched while frames flow.

Conventions read from the DBC: a signal named `Counter` (4 bits) counts frames, one named `Crc` (8 bits, last byte) is
CRC-8/SAE-J1850; neither is a value, nor is a multiplexer. A raw value whose description (VAL_) is `NotAvailable`
decodes to NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drivers.frames import EXTENDED_ID_FLAG
from drivers.links.can_library import Database, Message, Signal, cantools
from drivers.readings import Times
from kernels.canbits import FramePlan

COUNTER_NAME = "Counter"
CRC_NAME = "Crc"
NOT_AVAILABLE_NAME = "NotAvailable"
FRAME_LENGTH_MAX = 8

SignalKey = tuple[str, str]
"""(message name, signal name)."""

PageKey = tuple[str, int]
"""(message name, value of its multiplexer)."""


@dataclass(frozen=True, slots=True)
class DbcPlan:
    """A frame plan with the names of its entries: (message, signal) -> signal index, message -> frame index (of a
    multiplexed one: its base), (message, multiplexer's value) -> frame index of that page."""

    frames: FramePlan
    signal_index: Mapping[SignalKey, int]
    frame_index: Mapping[str, int]
    page_index: Mapping[PageKey, int] = field(default_factory=dict)


@lru_cache(maxsize=16)
def load_dbc(path: Path) -> Database:
    """Parse a DBC file once a process; OSError or cantools' error (naming the line) when it cannot be read."""
    database = cantools.database.load_file(path, database_format="dbc")
    if not isinstance(database, Database):
        raise ValueError(f"{path}: not a CAN database")
    return database


def build_plan(
    database: Database,
    messages: Sequence[str],
    first_signals: Sequence[SignalKey] = (),
    *,
    others: bool = True,
    conventions: bool = True,
    shortest: Mapping[str, int] | None = None,
    ids: Mapping[str, int] | None = None,
    invalid: Mapping[SignalKey, int] | None = None,
) -> DbcPlan:
    """Plan of these messages in this order, each followed by its pages where it is multiplexed. `first_signals` take
    the first signal indices in the order given; the messages' remaining signals follow in DBC order unless `others` is
    False. `conventions` False: no name means anything (counter, CRC). `shortest`: least length in bytes of messages
    that may be shorter than the DBC says; `ids`: other ids, as on the wire, than the DBC's; `invalid`: bit
    patterns that mean "not available". ValueError for a message, signal or convention that does not fit."""
    chosen = [_message(database, name) for name in messages]
    rows = [row for message in chosen for row in _rows(message)]
    signals = {(message.name, signal.name): signal for message in chosen for signal in _values(message, conventions)}
    missing = [key for key in first_signals if key not in signals]
    if missing:
        raise ValueError(f"no value signal {missing[0][0]}.{missing[0][1]} in the messages of this plan")
    keys = list(dict.fromkeys([*first_signals, *(signals if others else ())]))
    frame_index = {row.message.name: i for i, row in enumerate(rows) if row.page is None}
    page_index = {(row.message.name, row.page): i for i, row in enumerate(rows) if row.page is not None}
    frames = [_frame_of(key, signals[key], frame_index, page_index) for key in keys]
    patterns = [(invalid or {}).get(key, _invalid_raw(signals[key])) for key in keys]
    columns = _signal_columns([signals[key] for key in keys], frames, patterns)
    return DbcPlan(
        frames=FramePlan(**_frame_columns(rows, frame_index, conventions, shortest or {}, ids or {}), **columns),
        signal_index={key: i for i, key in enumerate(keys)},
        frame_index=frame_index,
        page_index=page_index,
    )


class _Row(NamedTuple):
    """One frame of the plan: a message, or (`page`) one value of its multiplexer."""

    message: Message
    page: int | None


def _message(database: Database, name: str) -> Message:
    try:
        message = database.get_message_by_name(name)
    except KeyError:
        raise ValueError(f"no message {name} in the DBC") from None
    if message.length > FRAME_LENGTH_MAX:
        raise ValueError(f"{name}: {message.length} bytes, at most {FRAME_LENGTH_MAX} are a classic CAN frame")
    if sum(signal.is_multiplexer for signal in message.signals) > 1:
        raise ValueError(f"{name}: has more than one multiplexer")
    return message


def _rows(message: Message) -> list[_Row]:
    pages = {value for signal in message.signals for value in signal.multiplexer_ids or ()}
    return [_Row(message, None), *(_Row(message, page) for page in sorted(pages))]


def _values(message: Message, conventions: bool) -> list[Signal]:
    meant = (COUNTER_NAME, CRC_NAME) if conventions else ()
    return [signal for signal in message.signals if signal.name not in meant and not signal.is_multiplexer]


def _frame_of(key: SignalKey, signal: Signal, frame_index: Mapping[str, int], page_index: Mapping[PageKey, int]) -> int:
    message = key[0]
    if signal.is_float:
        raise ValueError(f"{message}.{signal.name}: floating-point signals are not supported")
    pages = signal.multiplexer_ids
    if not pages:
        return frame_index[message]
    if len(pages) > 1:
        raise ValueError(f"{message}.{signal.name}: stands in {len(pages)} pages, at most one is supported")
    return page_index[message, pages[0]]


def _frame_columns(
    rows: Sequence[_Row],
    frame_index: Mapping[str, int],
    conventions: bool,
    shortest: Mapping[str, int],
    ids: Mapping[str, int],
) -> dict[str, Times]:
    """Those of the frames, by the names that FramePlan gives them."""
    messages = [row.message for row in rows]
    muxes = [_multiplexer(row.message) if row.page is None else None for row in rows]
    return {
        "frame_id": _integers([ids.get(message.name, _wire_id(message)) for message in messages]),
        "length": _integers([message.length for message in messages]),
        "counter_start": _integers([_counter_start(message) if conventions else -1 for message in messages]),
        "crc": _integers([_crc(message) if conventions else 0 for message in messages]),
        "length_min": _integers([shortest.get(message.name, message.length) for message in messages]),
        "mux_start": _integers([mux.start if mux else 0 for mux in muxes]),
        "mux_bits": _integers([mux.length if mux else 0 for mux in muxes]),
        "mux_big_endian": _integers([mux is not None and mux.byte_order == "big_endian" for mux in muxes]),
        "page_of": _integers([-1 if row.page is None else frame_index[row.message.name] for row in rows]),
        "page": _integers([row.page or 0 for row in rows]),
    }


def _signal_columns(signals: Sequence[Signal], frames: Sequence[int], invalid: Sequence[int]) -> dict[str, Any]:
    """Those of the signals."""
    return {
        "signal_frame": _integers(frames),
        "start": _integers([signal.start for signal in signals]),
        "bits": _integers([signal.length for signal in signals]),
        "big_endian": _integers([signal.byte_order == "big_endian" for signal in signals]),
        "signed": _integers([signal.is_signed for signal in signals]),
        "scale": np.array([signal.scale for signal in signals], dtype=np.float64),
        "offset": np.array([signal.offset for signal in signals], dtype=np.float64),
        "invalid_raw": _integers(invalid),
    }


def _integers(values: Sequence[int]) -> Times:
    return np.array(values, dtype=np.int64)


def _multiplexer(message: Message) -> Signal | None:
    return next((signal for signal in message.signals if signal.is_multiplexer), None)


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
