"""The compiled CAN codec equals its twin and cantools on frames and signals that nobody chose."""

import struct
from typing import Any

import cantools.database
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import canbits
from kernels.canbits import FramePlan
from kernels.reference import canbits as twin

COUNTS = ("accepted", "crc_errors", "counter_errors", "length_errors", "lost", "unknown")


@st.composite
def signals(draw: st.DrawFn) -> dict[str, Any]:
    """One signal somewhere in an 8-byte frame, in DBC terms."""
    bits = draw(st.integers(1, 64))
    first = draw(st.integers(0, 64 - bits))
    big_endian = draw(st.booleans())
    return {
        "start": first // 8 * 8 + 7 - first % 8 if big_endian else first,
        "bits": bits,
        "big_endian": int(big_endian),
        "signed": int(draw(st.booleans())),
        "scale": draw(st.sampled_from([1.0, 0.001, 0.25, -0.5, 12.5])),
        "offset": draw(st.sampled_from([0.0, -40.0, 1000.0])),
        "invalid_raw": draw(st.sampled_from([-1, 0, 1, min(2**bits - 1, 2**63 - 1)])),
    }


@st.composite
def plans(draw: st.DrawFn) -> FramePlan:
    count = draw(st.integers(1, 4))
    ids = st.one_of(st.integers(0, 3), st.integers(0x8000_0000, 0x8000_0003))
    chosen = draw(st.lists(signals(), max_size=6))
    return FramePlan(
        frame_id=draw(st.lists(ids, min_size=count, max_size=count, unique=True)),
        length=[8] * count,
        counter_start=draw(st.lists(st.sampled_from([-1, 0, 13, 52]), min_size=count, max_size=count)),
        crc=draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)),
        signal_frame=np.array([draw(st.integers(0, count - 1)) for _ in chosen], np.int64),
        **{
            name: np.array([signal[name] for signal in chosen], np.float64 if name in ("scale", "offset") else np.int64)
            for name in ("start", "bits", "big_endian", "signed", "scale", "offset", "invalid_raw")
        },
    )


@st.composite
def paged_plans(draw: st.DrawFn) -> FramePlan:
    """One multiplexed message, which may be shorter than its length."""
    bits = draw(st.integers(1, 3))
    first = draw(st.integers(0, 24 - bits))
    big_endian = draw(st.booleans())
    pages = draw(st.lists(st.integers(0, 2**bits - 1), unique=True, max_size=4))
    count, chosen = 1 + len(pages), draw(st.lists(signals(), max_size=6))
    length_min = draw(st.sampled_from([3, 5, 8]))
    return FramePlan(
        frame_id=[1] * count,
        length=[8] * count,
        counter_start=[-1] * count,
        crc=[0] * count,
        signal_frame=np.array([draw(st.integers(0, count - 1)) for _ in chosen], np.int64),
        **{
            name: np.array([signal[name] for signal in chosen], np.float64 if name in ("scale", "offset") else np.int64)
            for name in ("start", "bits", "big_endian", "signed", "scale", "offset", "invalid_raw")
        },
        length_min=[length_min] * count,
        mux_start=[first // 8 * 8 + 7 - first % 8 if big_endian else first] + [0] * len(pages),
        mux_bits=[bits] + [0] * len(pages),
        mux_big_endian=[int(big_endian)] + [0] * len(pages),
        page_of=[-1] + [0] * len(pages),
        page=[0, *pages],
    )


@st.composite
def received(draw: st.DrawFn) -> bytes:
    """A frame with any content; its CRC byte is right half of the time."""
    frame_id = draw(st.one_of(st.integers(0, 3), st.integers(0x8000_0000, 0x8000_0003)))
    data = draw(st.binary(min_size=7, max_size=7))
    covered = bytes([frame_id & 0xFF, frame_id >> 8 & 0xFF]) + data
    crc = draw(st.one_of(st.integers(0, 255), st.just(twin.crc8_j1850(covered))))
    return struct.pack("<IB3x7sB", frame_id, draw(st.sampled_from([8, 8, 8, 7, 5, 2])), data, crc)


@given(
    st.one_of(plans(), paged_plans()),
    st.lists(st.tuples(st.lists(received(), max_size=5), st.integers(0, 1_500_000_000)), max_size=5),
)
def test_decoder_equals_its_twin(plan: FramePlan, batches: list[tuple[list[bytes], int]]) -> None:
    compiled, reference, at_ns = canbits.FrameDecoder(plan), twin.FrameDecoder(plan), 0
    for frames, later_ns in batches:
        at_ns += later_ns
        assert compiled.feed(b"".join(frames), at_ns) == reference.feed(b"".join(frames), at_ns)
    np.testing.assert_array_equal(compiled.values, reference.values)
    np.testing.assert_array_equal(compiled.at_ns, reference.at_ns)
    assert [getattr(compiled, name) for name in COUNTS] == [getattr(reference, name) for name in COUNTS]


def encoded(encoder: Any, frames: Any, values: Any) -> bytes | str:
    try:
        return bytes(encoder.encode(frames, values))
    except ValueError as error:
        return str(error)


@given(st.one_of(plans(), paged_plans()), st.data())
def test_encoder_equals_its_twin(plan: FramePlan, data: st.DataObject) -> None:
    n, some = plan.signal_frame.size, st.lists(st.integers(0, plan.frame_id.size - 1), max_size=4)
    ends = st.one_of(st.none(), st.tuples(st.just([-50.0] * n), st.lists(st.floats(-50, 50), min_size=n, max_size=n)))
    bounds = data.draw(ends)
    compiled, reference = canbits.FrameEncoder(plan, bounds), twin.FrameEncoder(plan, bounds)
    value = st.one_of(st.integers(-300, 300).map(lambda steps: steps / 4), st.just(float("nan")), st.floats())
    for _ in range(3):
        frames = np.array(data.draw(some), np.int64)
        values = np.array(data.draw(st.lists(value, min_size=n, max_size=n)), np.float64)
        assert encoded(compiled, frames, values) == encoded(reference, frames, values)


@given(st.binary(max_size=64))
def test_crc_equals_its_twin(data: bytes) -> None:
    assert canbits.crc8_j1850(data) == twin.crc8_j1850(data)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF_FFFF), st.integers(0, 8)), max_size=40))
def test_bits_on_the_wire_equal_their_twin(frames: list[tuple[int, int]]) -> None:
    batch = b"".join(struct.pack("<IB3x8x", *frame) for frame in frames)
    assert canbits.frames_bits(batch) == twin.frames_bits(batch)


def dbc_of(signal: dict[str, Any]) -> str:
    order, sign = 0 if signal["big_endian"] else 1, "-" if signal["signed"] else "+"
    place = f"{signal['start']}|{signal['bits']}@{order}{sign}"
    return (
        f'VERSION ""\n\nBU_: A\n\nBO_ 1 Frame: 8 A\n'
        f' SG_ Value : {place} ({signal["scale"]},{signal["offset"]}) [0|0] "" A\n'
    )


def cantools_value(signal: dict[str, Any], data: bytes) -> float:
    database: Any = cantools.database.load_string(dbc_of(signal), "dbc")
    return float(database.decode_message(1, data)["Value"])


@settings(max_examples=150, deadline=None)
@given(signals(), st.binary(min_size=8, max_size=8))
def test_decoded_signal_equals_cantools(signal: dict[str, Any], data: bytes) -> None:
    columns = {name: [entry] for name, entry in (signal | {"invalid_raw": -1}).items()}
    plan = FramePlan(frame_id=[1], length=[8], counter_start=[-1], crc=[0], signal_frame=[0], **columns)
    decoder = canbits.FrameDecoder(plan)
    decoder.feed(struct.pack("<IB3x8s", 1, 8, data), 0)
    assert decoder.values[0] == pytest.approx(cantools_value(signal, data), rel=1e-12, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(signals(), st.integers(0, 2**64 - 1))
def test_encoded_signal_equals_cantools(signal: dict[str, Any], pattern: int) -> None:
    exact_bits = min(signal["bits"], 50)  # a double holds these exactly, whatever the offset
    raw = pattern % 2**exact_bits - (2 ** (exact_bits - 1) if signal["signed"] else 0)
    value = raw * signal["scale"] + signal["offset"]
    columns = {name: [entry] for name, entry in (signal | {"invalid_raw": -1}).items()}
    plan = FramePlan(frame_id=[1], length=[8], counter_start=[-1], crc=[0], signal_frame=[0], **columns)
    frame = canbits.FrameEncoder(plan).encode(np.array([0]), np.array([value]))
    assert cantools_value(signal, frame[8:]) == pytest.approx(value, rel=1e-12, abs=1e-9)
