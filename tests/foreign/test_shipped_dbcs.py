"""cantools reads every shipped DBC as our compiled plan does: random frames of every message, every page."""

import random
import struct
from pathlib import Path
from typing import Any

import cantools.database
import numpy as np
import pytest

from drivers.dbc import build_plan, load_dbc
from kernels.canbits import FrameDecoder

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
