"""CAN frames of a native rack into values, beside cantools with the same DBC."""

import struct
from collections.abc import Iterator

import numpy as np

from drivers.cell_monitors.native.layout import DBC_PATH, native_layout
from drivers.dbc import load_dbc
from hil_rigs.benchmarks.measure import Row, Work, compared
from kernels.canbits import FrameDecoder, FrameEncoder
from kernels.frame_plan import EXTENDED_ID_MAX, FRAME_BYTES

CAN_FRAME = struct.Struct("<IB3x8s")
MODULES, CELLS_PER_MODULE = 26, 16
SWEEPS = 16
"""Of all frames once each: the frames' 4-bit counters go on where they began."""
MS_NS = 1_000_000


def rows(budget_s: float) -> Iterator[Row]:
    plan = native_layout(MODULES, CELLS_PER_MODULE).measured.frames
    encoder, decoder = FrameEncoder(plan), FrameDecoder(plan)
    values = np.ones(plan.signal_frame.size)
    order = np.arange(plan.frame_id.size)
    sweeps = [encoder.encode(order, values) for _ in range(SWEEPS)]
    frames = [(frame_id, data[:length]) for frame_id, length, data in CAN_FRAME.iter_unpack(sweeps[0])]
    messages = {message.frame_id: message for message in load_dbc(DBC_PATH).messages}
    of_frames = [(messages[frame_id & EXTENDED_ID_MAX], data) for frame_id, data in frames]
    yield compared(
        "decode CAN frames, with counter and CRC",
        Work(lambda: [decoder.feed(sweep, MS_NS) for sweep in sweeps], SWEEPS * len(frames)), "ns/frame",
        "cantools, without either", Work(lambda: [message.decode(data) for message, data in of_frames], len(frames)),
        budget_s,
    )  # fmt: skip
    singles = [sweep[start : start + FRAME_BYTES] for sweep in sweeps for start in range(0, len(sweep), FRAME_BYTES)]
    yield compared(
        "decode CAN frames one by one, with counter and CRC",
        Work(lambda: [decoder.feed(frame, MS_NS) for frame in singles], len(singles)), "ns/frame",
        "cantools, without either", Work(lambda: [message.decode(data) for message, data in of_frames], len(frames)),
        budget_s,
    )  # fmt: skip
    if decoder.crc_errors or decoder.counter_errors or decoder.unknown:
        raise RuntimeError("the frames of the benchmark were refused: it would have timed nothing")
