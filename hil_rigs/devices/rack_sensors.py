"""Sensors of their own on a simulated rack's bus: an IVT-S current sensor and an iso165C insulation monitor."""

from collections.abc import Callable

import numpy as np

from drivers.clock import now_ns
from drivers.current_sensors.ivt_s import RESULTS, ivt_plan
from drivers.frames import FrameBatch
from drivers.insulation.iso165c import INFO_PERIOD_S, KOHM_MAX, plan
from drivers.pace import Pace
from drivers.readings import Floats
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder

RESULT_A_MAX = 2_147_483.0
SELF_TEST_NS, NEVER_ENDS_NS = 3_000_000_000, 10**18


class IvtNode:
    """Sends all results every 20 ms while it runs; positive is what `current_a` says. `errors` are status bits that are
    set in every frame: ChannelError, MeasurementError, SystemError, OverCurrent; `frozen` repeats its counter."""

    def __init__(self, bus: CanBus, current_a: Callable[[], float], voltage_v: Callable[[], float]) -> None:
        self.errors: set[str] = set()
        self.silent = self.frozen = False
        self._current_a, self._voltage_v = current_a, voltage_v
        self._plan = ivt_plan()
        self._encoder = FrameEncoder(self._plan.frames)
        self._port = bus.attach(lambda batch: None)
        self._last = b""
        pages = [self._plan.page_index[name, place] for place, name in enumerate(RESULTS)]
        self._frames = np.array(pages, np.int64)

    async def run(self) -> None:
        """Until cancelled."""
        pace = Pace(0.02)
        while True:
            if not self.frozen:
                self._last = self._encoder.encode(self._frames, self._values())
            if not self.silent:
                self._port.send(self._last)
            await pace.next()

    def _values(self) -> Floats:
        values: Floats = np.zeros(len(self._plan.signal_index))
        current_a, voltage_v = self._current_a(), self._voltage_v()
        for name, value in (("Current", current_a), ("Voltage1", voltage_v), ("Temperature", 30.0),
                            ("Power", current_a * voltage_v)):  # fmt: skip
            values[self._plan.signal_index[name, "Result"]] = min(max(value, -RESULT_A_MAX), RESULT_A_MAX)
        for name in RESULTS:
            for error in self.errors:
                values[self._plan.signal_index[name, error]] = 1.0
        return values


class Iso165cNode:
    """Says `insulation_kohm` once a second and obeys requests: levels, measurement on or off, self-test (3 s, in which
    nothing is measured). `test_result` is what a self-test finds, `test_hangs` lets it never end; `device_fault` breaks
    the device; `tests` counts what was started."""

    def __init__(self, bus: CanBus, insulation_kohm: Callable[[], float]) -> None:
        self.measuring, self.device_fault, self.test_result = True, False, 0
        self.test_hangs, self.tests = False, 0
        self.levels_kohm = {"WarningLevel": 300.0, "ErrorLevel": 100.0}
        self._kohm = insulation_kohm
        self._info, self._requests, self._responses = plan("Info"), plan("Request"), plan("Response")
        self._decoder = FrameDecoder(self._requests.frames)
        self._info_encoder, self._encoder = FrameEncoder(self._info.frames), FrameEncoder(self._responses.frames)
        self._testing_until_ns = 0
        self._found = 0
        self._port = bus.attach(self._on_batch)

    async def run(self) -> None:
        """Until cancelled."""
        pace = Pace(INFO_PERIOD_S)
        while True:
            self._port.send(self._info_encoder.encode(np.zeros(1, np.int64), self._info_values()))
            await pace.next()

    def _info_values(self) -> Floats:
        values: Floats = np.zeros(len(self._info.signal_index))
        kohm, testing = min(self._kohm(), KOHM_MAX), now_ns() < self._testing_until_ns
        said = {
            "Insulation": kohm, "InsulationFault": kohm < self.levels_kohm["ErrorLevel"],
            "InsulationWarning": kohm < self.levels_kohm["WarningLevel"], "SystemFailure": self.device_fault,
            "SelfTesting": testing, "MeasurementOff": not self.measuring, "Outdated": testing or not self.measuring,
        }  # fmt: skip
        for name, value in said.items():
            values[self._info.signal_index["Info", name]] = value
        return values

    def _on_batch(self, batch: FrameBatch) -> None:
        for start in range(0, len(batch.data), 16):
            frame = batch.data[start : start + 16]
            if self._decoder.feed(frame, batch.at_ns):
                self._obey(frame[8])

    def _obey(self, command: int) -> None:
        asked = {page: name for (_, name), page in self._asked().items()}
        name = asked[command]
        value = self._decoder.values.item(self._requests.signal_index["Request", name])
        if name in self.levels_kohm:
            self.levels_kohm[name] = value
        elif name == "Measure":
            self.measuring = value > 0.0
        elif name == "SelfTest":
            self._testing_until_ns = now_ns() + (SELF_TEST_NS if not self.test_hangs else NEVER_ENDS_NS)
            self.tests += 1
        if 0 < self._testing_until_ns <= now_ns():
            self._testing_until_ns, self._found = 0, self.test_result
        answer: Floats = np.zeros(len(self._responses.signal_index))
        if ("Response", name) in self._responses.signal_index:
            answer[self._responses.signal_index["Response", name]] = value
        answer[self._responses.signal_index["Response", "SelfTestResult"]] = self._found
        page = np.array([self._responses.page_index["Response", command]], np.int64)
        self._port.send(self._encoder.encode(page, answer))

    def _asked(self) -> dict[tuple[str, str], int]:
        """Page of each request's signal."""
        pages = {frame: page for (_, page), frame in self._requests.page_index.items()}
        frames = self._requests.frames.signal_frame
        return {key: pages[frames.item(index)] for key, index in self._requests.signal_index.items()}
