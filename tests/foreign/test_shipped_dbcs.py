"""cantools reads every shipped DBC as our compiled plan does: random frames of every message, every page; and what we
write comes back, to us and to cantools."""

import random
import struct
from pathlib import Path
from typing import Any

import cantools.database
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.dbc import build_plan, load_dbc
from kernels.canbits import FrameDecoder, FrameEncoder

FOLDER = Path(__file__).parents[2] / "drivers"
SHIPPED = sorted(FOLDER.rglob("*.dbc"))
ROUNDS = 20


def test_there_are_shipped_dbcs() -> None:
    names = {path.name for path in SHIPPED}
    assert {"rack_monitor.dbc", "foxbms.dbc", "low_voltage.dbc", "ivt_s.dbc", "iso165c.dbc"} <= names


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_random_frames_read_the_same(path: Path) -> None:
    rng = random.Random(7)
    database: Any = cantools.database.load_file(path)
    names = [message.name for message in database.messages]
    plan = build_plan(load_dbc(path), names, conventions=False)
    decoder, compared = FrameDecoder(plan.frames), 0
    for _ in range(ROUNDS):
        for message in database.messages:
            data = random_frame(rng, message)
            can_id = message.frame_id | (0x8000_0000 if message.is_extended_frame else 0)
            assert decoder.feed(struct.pack("<IB3x8s", can_id, len(data), data), 1) == 1
            compared += compare(message, message.decode(data, decode_choices=False), decoder, plan.signal_index)
    assert compared > ROUNDS * len(names) / 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_we_write_comes_back(path: Path, seed: int) -> None:
    rng, database = np.random.default_rng(seed), load_dbc(path)
    plan = build_plan(database, [message.name for message in database.messages])
    frames = plan.frames
    bits, signed = np.minimum(frames.bits, 50), frames.signed == 1
    raw = np.floor(rng.random(bits.size) * 2.0**bits) - np.where(signed, 2.0 ** (bits - 1), 0.0)
    raw = np.where((frames.invalid_raw >= 0) & (raw == frames.invalid_raw), frames.invalid_raw ^ 1, raw)
    values = raw * frames.scale + frames.offset
    pages = np.flatnonzero(frames.mux_bits == 0)
    wire, decoder = FrameEncoder(frames).encode(pages, values), FrameDecoder(frames)
    assert decoder.feed(wire, 1) == pages.size
    np.testing.assert_allclose(decoder.values, values, rtol=1e-12, atol=1e-9)
    for can_id, length, data in struct.iter_unpack("<IB3x8s", wire):
        theirs = database.decode_message(can_id & 0x1FFF_FFFF, data[:length], decode_choices=False)
        name = database.get_message_by_frame_id(can_id & 0x1FFF_FFFF).name
        for signal, value in theirs.items():
            if (name, signal) in plan.signal_index:
                assert value == pytest.approx(values[plan.signal_index[name, signal]], rel=1e-12, abs=1e-9)


def random_frame(rng: random.Random, message: Any) -> bytes:
    """Any bytes, with a page that exists where there are pages."""
    data = rng.randbytes(message.length)
    mux = next((signal for signal in message.signals if signal.is_multiplexer), None)
    if mux is None:
        return data
    pages = sorted({page for signal in message.signals for page in signal.multiplexer_ids or ()})
    first = mux.start // 8
    assert mux.length == 8
    return data[:first] + bytes([rng.choice(pages)]) + data[first + 1 :]


def compare(message: Any, theirs: dict[str, Any], decoder: FrameDecoder, index: Any) -> int:
    """How many signals were compared."""
    count = 0
    for signal in message.signals:
        if signal.is_multiplexer or signal.name not in theirs:
            continue
        ours = decoder.values[index[message.name, signal.name]]
        if not np.isnan(ours):
            assert ours == pytest.approx(theirs[signal.name], rel=1e-12, abs=1e-9), (message.name, signal.name)
            count += 1
        else:
            raw = round((theirs[signal.name] - signal.offset) / signal.scale)
            assert str((signal.choices or {})[raw]) == "NotAvailable"
    return count
