"""The CAN codec: what it takes, what it refuses, and that nothing of a refused frame is used."""

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import canbits
from kernels.canbits import NEVER_NS, FrameDecoder, FrameEncoder, FramePlan
from kernels.reference import canbits as twin

MS = 1_000_000
ALL = np.arange(2)

CODECS = pytest.mark.parametrize("codec", [canbits, twin], ids=["compiled", "twin"])


def plan_of(**changed: Any) -> FramePlan:
    """Frame 0: id 0x123 with counter and CRC, a u13 in mV and an s12; frame 1: an extended id, plain."""
    columns: dict[str, Any] = {
        "frame_id": [0x123, 0x98FF_1234],
        "length": [8, 3],
        "counter_start": [52, -1],
        "crc": [1, 0],
        "signal_frame": [0, 0, 1],
        "start": [0, 13, 7],
        "bits": [13, 12, 16],
        "big_endian": [0, 0, 1],
        "signed": [0, 1, 0],
        "scale": [0.001, 0.5, 1.0],
        "offset": [0.0, 0.0, -40.0],
        "invalid_raw": [0x1FFF, -1, -1],
    }
    return FramePlan(**(columns | changed))


def paged(**changed: Any) -> FramePlan:
    """Frame 0: id 0x270, a multiplexer in byte 0 and a u8 in byte 7 of every page; frames 1 and 2: its pages 0 and 5
    with a big-endian u16 each in bytes 1 and 2."""
    columns: dict[str, Any] = {
        "frame_id": [0x270, 0x270, 0x270],
        "length": [8, 8, 8],
        "counter_start": [-1, -1, -1],
        "crc": [0, 0, 0],
        "signal_frame": [0, 1, 2],
        "start": [63, 15, 15],
        "bits": [8, 16, 16],
        "big_endian": [1, 1, 1],
        "signed": [0, 0, 0],
        "scale": [1.0, 1.0, 1.0],
        "offset": [0.0, 0.0, 0.0],
        "invalid_raw": [-1, -1, -1],
        "mux_start": [7, 0, 0],
        "mux_bits": [8, 0, 0],
        "mux_big_endian": [1, 0, 0],
        "page_of": [-1, 0, 0],
        "page": [0, 0, 5],
    }
    return FramePlan(**(columns | changed))


def wire(frame_id: int, data: str) -> bytes:
    payload = bytes.fromhex(data)
    return struct.pack("<IB3x8s", frame_id, len(payload), payload)


def rows(frames: bytes) -> list[bytes]:
    return [frames[at : at + 16] for at in range(0, len(frames), 16)]


def counted(codec: Any, count: int) -> list[bytes]:
    """Frame 0 with the counters 0, 1, 2, …, each with 3.25 V and -7.5."""
    encoder = codec.FrameEncoder(plan_of())
    return [encoder.encode(np.array([0]), np.array([3.25, -7.5, 0.0])) for _ in range(count)]


@CODECS
@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"123456789", 0x4B), (b"\x00\x00\x00\x00", 0x59), (b"\xf2\x01\x83", 0x37), (b"\x0f\xaa\x00\x55", 0x79)],
)
def test_crc_equals_the_published_sae_j1850_values(codec: Any, data: bytes, crc: int) -> None:
    assert codec.crc8_j1850(data) == crc


@CODECS
def test_encoder_writes_these_bytes(codec: Any) -> None:
    first, second = counted(codec, 2)
    # 3250 = 0x0CB2 in bits 0..12, -15 = 0xFF1 in bits 13..24, the counter in bits 52..55.
    assert first[:15] == bytes.fromhex("23010000 08000000 b22cfe01000000")
    assert second[:15] == bytes.fromhex("23010000 08000000 b22cfe01000010")
    assert first[15] == codec.crc8_j1850(bytes.fromhex("2301 b22cfe01000000"))


@CODECS
def test_decoder_reads_big_endian_extended_frame(codec: Any) -> None:
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(struct.pack("<IB3x8s", 0x98FF_1234, 3, b"\x01\x02\x00"), 5) == 1
    assert decoder.values[2] == 0x0102 - 40
    assert decoder.at_ns.tolist() == [NEVER_NS, 5]


@CODECS
def test_nothing_is_known_before_the_first_frame(codec: Any) -> None:
    decoder = codec.FrameDecoder(plan_of())
    assert np.isnan(decoder.values).all()
    assert decoder.at_ns.tolist() == [-(2**62), -(2**62)]
    assert decoder.feed(b"", 0) == 0


@CODECS
def test_batch_is_taken_in_order_and_the_last_value_stays(codec: Any) -> None:
    encoder = codec.FrameEncoder(plan_of())
    batch = b"".join(encoder.encode(np.array([0]), np.array([v, 0.0, 0.0])) for v in (3.1, 3.2, 3.3))
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(batch, 7) == 3
    assert decoder.values[0] == pytest.approx(3.3, abs=1e-12)
    assert (decoder.accepted, decoder.lost, decoder.counter_errors) == (3, 0, 0)


@CODECS
def test_not_available_pattern_reads_as_nan(codec: Any) -> None:
    decoder = codec.FrameDecoder(plan_of())
    decoder.feed(counted(codec, 1)[0], 1)
    encoder = codec.FrameEncoder(plan_of())
    encoder.encode(np.array([0]), np.array([3.0, 0.0, 0.0]))
    decoder.feed(encoder.encode(np.array([0]), np.array([np.nan, 4.0, 0.0])), 2)
    assert np.isnan(decoder.values[0])
    assert decoder.values[1] == 4.0


@CODECS
@pytest.mark.parametrize("bit", [0, 30, 52, 60, 63])
def test_any_flipped_bit_refuses_the_whole_frame(codec: Any, bit: int) -> None:
    frame = bytearray(counted(codec, 1)[0])
    frame[8 + bit // 8] ^= 1 << bit % 8
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(bytes(frame), 1) == 0
    assert decoder.crc_errors == 1
    assert np.isnan(decoder.values).all()
    assert decoder.at_ns[0] == NEVER_NS


@CODECS
def test_frame_of_another_id_is_refused_by_the_crc(codec: Any) -> None:
    decoder = codec.FrameDecoder(plan_of(frame_id=[0x124, 0x98FF_1234]))
    frame = counted(codec, 1)[0]
    assert decoder.feed(struct.pack("<I", 0x124) + frame[4:], 1) == 0
    assert decoder.crc_errors == 1


@CODECS
@pytest.mark.parametrize("length", [0, 7, 9, 255])
def test_wrong_length_refuses_the_frame(codec: Any, length: int) -> None:
    frame = bytearray(counted(codec, 1)[0])
    frame[4] = length
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(bytes(frame), 1) == 0
    assert (decoder.length_errors, decoder.crc_errors) == (1, 0)


@CODECS
def test_a_page_is_taken_with_what_all_pages_carry(codec: Any) -> None:
    decoder = codec.FrameDecoder(paged())
    assert decoder.feed(wire(0x270, "05 0CE4 00000000 09"), 1) == 1
    np.testing.assert_array_equal(decoder.values, [9.0, np.nan, 0x0CE4])
    assert decoder.at_ns.tolist() == [1, NEVER_NS, 1]
    assert decoder.feed(wire(0x270, "00 0102 00000000 07"), 2) == 1
    np.testing.assert_array_equal(decoder.values, [7.0, 0x0102, 0x0CE4])
    assert decoder.at_ns.tolist() == [2, 2, 1]


@CODECS
@pytest.mark.parametrize("page", ["01", "04", "06", "ff"])
def test_a_page_that_is_not_in_the_plan_is_unknown(codec: Any, page: str) -> None:
    decoder = codec.FrameDecoder(paged())
    assert decoder.feed(wire(0x270, f"{page} 0102 00000000 07"), 1) == 0
    assert (decoder.unknown, decoder.accepted) == (1, 0)
    assert np.isnan(decoder.values).all()


@CODECS
def test_a_page_is_written_with_its_number(codec: Any) -> None:
    encoder = codec.FrameEncoder(paged())
    assert encoder.encode(np.array([2, 1]), np.array([9.0, 258.0, 3300.0])) == (
        wire(0x270, "05 0ce4 00000000 09") + wire(0x270, "00 0102 00000000 09")
    )
    with pytest.raises(ValueError, match=r"frames\[0\]: got 0, the base of pages, expected one of its pages"):
        encoder.encode(np.array([0]), np.zeros(3))


@CODECS
def test_what_a_shorter_frame_does_not_reach_is_absent(codec: Any) -> None:
    plan = plan_of(
        length_min=[8, 2], signal_frame=[1, 1, 1], start=[0, 8, 16], bits=[8, 8, 8], big_endian=[0, 0, 0],
        signed=[0, 0, 0], invalid_raw=[-1, -1, -1], offset=[0.0, 0.0, 0.0],
    )  # fmt: skip
    decoder = codec.FrameDecoder(plan)
    assert decoder.feed(wire(0x98FF_1234, "01 02 03"), 1) == 1
    assert decoder.feed(wire(0x98FF_1234, "04 05"), 2) == 1
    np.testing.assert_array_equal(decoder.values, [0.004, 2.5, np.nan])
    assert decoder.feed(wire(0x98FF_1234, "06"), 3) == 0
    assert decoder.feed(wire(0x98FF_1234, "01 02 03 04"), 3) == 0
    assert decoder.length_errors == 2


@CODECS
@pytest.mark.parametrize("frame_id", [0x122, 0x7FF, 0x8000_0123, 0x4000_0123, 0x2000_0123, 0x18FF_1234, 0xFFFF_FFFF])
def test_unknown_remote_and_error_frames_are_counted_and_ignored(codec: Any, frame_id: int) -> None:
    decoder = codec.FrameDecoder(plan_of())
    frame = counted(codec, 1)[0]
    assert decoder.feed(struct.pack("<I", frame_id) + frame[4:], 1) == 0
    assert decoder.unknown == 1


@CODECS
def test_first_frame_is_taken_with_any_counter(codec: Any) -> None:
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(counted(codec, 8)[7], 1) == 1
    assert decoder.lost == 0


@CODECS
@pytest.mark.parametrize(
    ("received", "lost"), [([0, 1, 2], 0), ([0, 3], 2), ([15, 16], 0), ([14, 17], 2), ([1, 16], 14)]
)
def test_gaps_of_the_counter_are_taken_and_counted(codec: Any, received: list[int], lost: int) -> None:
    frames = counted(codec, 18)
    decoder = codec.FrameDecoder(plan_of())
    assert decoder.feed(b"".join(frames[i] for i in received), 1) == len(received)
    assert decoder.lost == lost


@CODECS
def test_frozen_sender_is_never_taken_again(codec: Any) -> None:
    frame = counted(codec, 1)[0]
    decoder = codec.FrameDecoder(plan_of())
    accepted = [decoder.feed(frame, at_ms * MS) for at_ms in range(0, 5000, 50)]
    assert sum(accepted) == 1
    assert decoder.counter_errors == 99
    assert decoder.at_ns[0] == 0


@CODECS
@pytest.mark.parametrize(("silence_ns", "accepted"), [(1000 * MS, 0), (1000 * MS + 1, 1)])
def test_after_a_second_of_silence_any_counter_is_taken(codec: Any, silence_ns: int, accepted: int) -> None:
    frames = counted(codec, 17)
    decoder = codec.FrameDecoder(plan_of())
    decoder.feed(frames[0], 10)
    assert decoder.feed(frames[16], 10 + silence_ns) == accepted
    assert decoder.lost == 0


@CODECS
@pytest.mark.parametrize("size", [1, 15, 17])
def test_torn_batch_is_a_programming_error(codec: Any, size: int) -> None:
    with pytest.raises(ValueError, match=f"got {size} bytes, expected a multiple of 16"):
        codec.FrameDecoder(plan_of()).feed(bytes(size), 1)


@CODECS
@pytest.mark.parametrize(
    ("values", "signal"),
    [
        ([8.191, 0.0, 0.0], 0),  # would read as "not available"
        ([8.192, 0.0, 0.0], 0),
        ([-0.001, 0.0, 0.0], 0),
        ([np.inf, 0.0, 0.0], 0),
        ([3.0, 1024.0, 0.0], 1),
        ([3.0, -1024.5, 0.0], 1),
        ([3.0, np.nan, 0.0], 1),
        ([3.0, 0.0, -41.0], 2),
        ([3.0, 0.0, 65496.0], 2),
    ],
)
def test_value_that_does_not_fit_is_refused_and_moves_no_counter(codec: Any, values: list[float], signal: int) -> None:
    encoder = codec.FrameEncoder(plan_of())
    with pytest.raises(ValueError, match=rf"^values\[{signal}\].*does not fit signal {signal}$"):
        encoder.encode(ALL, np.array(values))
    assert encoder.encode(np.array([0]), np.array([3.25, -7.5, 0.0])) == counted(codec, 1)[0]


@CODECS
@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([9.0, -2000.0, -41.0], [8.0, -7.5, -40.0]),
        ([-1.0, 2000.0, np.inf], [0.0, 1000.0, 100.0]),
        ([np.nan, 1.0, 2.0],) * 2,
    ],
)
def test_value_beyond_its_bounds_ends_there(codec: Any, values: list[float], written: list[float]) -> None:
    encoder = codec.FrameEncoder(plan_of(), ([0.0, -7.5, -40.0], [8.0, 1000.0, 100.0]))
    decoder = codec.FrameDecoder(plan_of())
    decoder.feed(encoder.encode(ALL, np.array(values)), 1)
    np.testing.assert_allclose(decoder.values, written, rtol=0, atol=1e-12)


@CODECS
def test_extreme_values_that_fit_come_back(codec: Any) -> None:
    for values in ([0.0, -1024.0, -40.0], [8.190, 1023.5, 65495.0]):
        decoder = codec.FrameDecoder(plan_of())
        decoder.feed(codec.FrameEncoder(plan_of()).encode(ALL, np.array(values)), 1)
        np.testing.assert_allclose(decoder.values, values, rtol=0, atol=1e-12)


@CODECS
def test_counters_run_per_frame_and_wrap_at_16(codec: Any) -> None:
    frames = counted(codec, 17)
    assert [frame[14] >> 4 for frame in frames] == [*range(16), 0]


@CODECS
@pytest.mark.parametrize("frames", [[2], [-1], [0, 5]])
def test_frame_outside_the_plan_is_refused(codec: Any, frames: list[int]) -> None:
    with pytest.raises(ValueError, match=r"expected 0 to 1"):
        codec.FrameEncoder(plan_of()).encode(np.array(frames), np.zeros(3))


@CODECS
def test_wrong_number_of_values_is_refused(codec: Any) -> None:
    with pytest.raises(ValueError, match="values: got 2, expected 3"):
        codec.FrameEncoder(plan_of()).encode(ALL, np.zeros(2))


def test_views_are_read_only_and_follow_the_decoder() -> None:
    decoder = FrameDecoder(plan_of())
    values: NDArray[np.float64] = decoder.values
    assert not values.flags.writeable
    assert not decoder.at_ns.flags.writeable
    decoder.feed(counted(canbits, 1)[0], 1)
    assert values[1] == -7.5


def test_encoder_takes_read_only_and_strided_values() -> None:
    wide = np.repeat(np.array([3.25, -7.5, 0.0]), 2)
    wide.flags.writeable = False
    frames = np.array([0, 9, 1, 9])
    frames.flags.writeable = False
    packed = FrameEncoder(plan_of()).encode(np.array([0, 1]), np.array([3.25, -7.5, 0.0]))
    assert FrameEncoder(plan_of()).encode(frames[::2], wide[::2]) == packed
    assert len(rows(packed)) == 2


@pytest.mark.parametrize(
    ("column", "entries", "message"),
    [
        ("frame_id", [0x800, 1], r"frame_id\[0\]: got 0x800, expected an 11-bit id"),
        ("frame_id", [0x123, 0xA000_0000], r"frame_id\[1\]"),
        ("frame_id", [0x123, 0x123], r"frame_id\[1\]: got 0x123, expected an id that no other frame has"),
        ("frame_id", [[1, 2]], r"frame_id: got shape \(1, 2\), expected one dimension"),
        ("length", [9, 3], r"length\[0\]: got 9"),
        ("length", [8], r"length: got shape \(1,\), expected shape \(2,\)"),
        ("counter_start", [53, -1], r"counter_start\[0\]: got 53"),
        ("counter_start", [-2, -1], r"counter_start\[0\]: got -2"),
        ("crc", [2, 0], r"crc\[0\]: got 2"),
        ("signal_frame", [0, 2, 1], r"signal_frame\[1\]: got 2, expected 0 to 1"),
        ("start", [0, 60, 7], r"start\[1\]: got 60, expected 12 bits within the frame's 8 bytes"),
        ("start", [0, 13, 23], r"start\[2\]: got 23, expected 16 bits within the frame's 3 bytes"),
        ("bits", [0, 12, 16], r"bits\[0\]: got 0"),
        ("bits", [65, 12, 16], r"bits\[0\]: got 65"),
        ("signed", [0, 2, 0], r"signed\[1\]: got 2"),
        ("big_endian", [0, 0, 3], r"big_endian\[2\]: got 3"),
        ("scale", [0.0, 1.0, 1.0], r"scale\[0\]: got 0"),
        ("offset", [0.0, np.nan, 0.0], r"offset\[1\]: got nan"),
        ("invalid_raw", [0x2000, -1, -1], r"invalid_raw\[0\]: got 8192"),
    ],
)
def test_plan_names_the_wrong_entry(column: str, entries: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_of(**{column: entries})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mux_bits": [33, 0, 0]}, r"mux_bits\[0\]: got 33, expected 0 to 32"),
        ({"mux_start": [63, 0, 0], "mux_bits": [16, 0, 0]}, r"mux_start\[0\]: got 63, expected 16 bits within"),
        ({"mux_big_endian": [2, 0, 0]}, r"mux_big_endian\[0\]: got 2"),
        ({"mux_bits": [8, 4, 0]}, r"mux_bits\[1\]: got 4, expected 0 in a page"),
        ({"page_of": [-1, 2, 0]}, r"page_of\[1\]: got 2, expected -1, or a frame with a multiplexer"),
        ({"page_of": [-1, 9, 0]}, r"page_of\[1\]: got 9"),
        ({"page": [0, 256, 5]}, r"page\[1\]: got 256, expected a value of 8 bits"),
        ({"page": [0, 5, 5]}, r"page\[2\]: got 5, expected a page that no other frame is"),
        ({"frame_id": [0x270, 0x271, 0x270]}, r"frame_id\[1\]: got 625, expected 624 as in frame 0"),
        ({"length": [8, 7, 8]}, r"length\[1\]: got 7, expected 8 as in frame 0"),
        ({"length_min": [9, 8, 8]}, r"length_min\[0\]: got 9, expected 0 to 8"),
        (
            {"crc": [1, 1, 1], "length_min": [7, 7, 7], "start": [15, 15, 15]},
            r"length_min\[0\]: got 7, expected 8: it has",
        ),
    ],
)
def test_plan_names_the_wrong_page(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paged(**changed)
