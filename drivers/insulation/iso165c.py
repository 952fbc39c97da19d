"""Bender ISOMETER iso165C: insulation resistance and its own state once a second, levels and self-test on request.

IMD_Info 0x37, IMD_Request 0x22, IMD_Response 0x23, little-endian (manual iso165C_D00154_03_M_XXEN, chapters 6 and 7).
"""

import asyncio
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drivers.clock import now_ns
from drivers.commands import OutputsCommand
from drivers.dbc import DbcPlan, build_plan, load_dbc
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.pace import Pace
from drivers.readings import NEVER_NS, Floats, LinkHealth, MonitorHealth
from drivers.safety import InsulationState
from kernels.canbits import FrameDecoder, FrameEncoder

DBC_PATH = Path(__file__).with_name("iso165c.dbc")
KOHM_MAX = 50_000.0
ERROR_KOHM, WARNING_KOHM = (30, 1000), (40, 2000)
"""Ranges of the two levels."""
INFO_PERIOD_S = 1.0
ASK_PERIOD_S = 5.0
UNLOCKED, OVERALL_TEST = 0.0, 1.0
LOOK_S = 0.5
TEST_SEEN_NS = 1_100_000_000
"""By then its IMD_Info, once a second, says that a self-test runs."""
TEST_NS_MAX = 30_000_000_000
"""A self-test that has no result after this long has failed: ours, several times what it takes."""
REQUESTS = {"SelfTest": 33, "ErrorLevel": 40, "WarningLevel": 41, "StatusWanted": 55, "Lock": 202, "Measure": 203}
"""Commands by the signal that carries their data word."""


UNTESTED = (InsulationState.OFF, InsulationState.SETTLING, InsulationState.ACTIVE)
"""States that a self-test without a result overrules."""


class InsulationReading(NamedTuple):
    """What the monitor says; NaN, None and NEVER_NS = not heard, or not a resistance that it can measure. The
    resistance counts in state ACTIVE only. `self_test_result`: bits of D_IMC_STATUS_EXT, 0 = nothing wrong."""

    at_ns: int
    insulation_kohm: float
    state: InsulationState | None
    warning: bool | None
    fault: bool | None
    self_test_result: int | None
    levels_kohm: tuple[float, float]
    """Warning and error level that it has acknowledged."""
    tested_at_ns: int = NEVER_NS
    """When the newest self-test that the driver started was over."""


def plan(message: str) -> DbcPlan:
    """Plan of one of its messages."""
    return build_plan(load_dbc(DBC_PATH), [message])


class Iso165cDecoder:
    """Newest word of one monitor."""

    def __init__(self) -> None:
        self._plan = build_plan(load_dbc(DBC_PATH), ["Info", "Response"])
        self._decoder = FrameDecoder(self._plan.frames)

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start."""
        decoder = self._decoder
        return MonitorHealth(decoder.accepted, 0, 0, decoder.length_errors, 0, decoder.unknown)

    def reading(self) -> InsulationReading:
        """What is known now."""
        at_ns = self._decoder.at_ns.item(self._plan.frame_index["Info"])
        heard = at_ns != NEVER_NS
        kohm, result = self._info("Insulation"), self._response("SelfTestResult")
        return InsulationReading(
            at_ns=at_ns,
            insulation_kohm=kohm if kohm <= KOHM_MAX else math.nan,
            state=self._state() if heard else None,
            warning=self._info("InsulationWarning") > 0.0 if heard else None,
            fault=self._info("InsulationFault") > 0.0 if heard else None,
            self_test_result=None if math.isnan(result) else int(result),
            levels_kohm=(self._response("WarningLevel"), self._response("ErrorLevel")),
        )

    def tested(self, asked_ns: int) -> bool:
        """A self-test that was asked for at `asked_ns` is over and its result is here: acknowledged, not running by a
        word that is late enough to know, and the state said after that word."""
        info_ns = self._decoder.at_ns.item(self._plan.frame_index["Info"])
        if self._info("SelfTesting") > 0.0 or self._answered_ns("SelfTest") <= asked_ns:
            return False
        return asked_ns + TEST_SEEN_NS < info_ns < self._answered_ns("StatusWanted")

    def _answered_ns(self, request: str) -> int:
        return self._decoder.at_ns.item(self._plan.page_index["Response", REQUESTS[request]])

    def _info(self, signal: str) -> float:
        return self._decoder.values.item(self._plan.signal_index["Info", signal])

    def _response(self, signal: str) -> float:
        return self._decoder.values.item(self._plan.signal_index["Response", signal])

    def _state(self) -> InsulationState:
        if any(self._info(name) > 0.0 for name in ("NotConnected", "NotAlive", "SystemFailure", "ChassisFault")):
            return InsulationState.DEVICE_FAULT
        if self._response("SelfTestResult") > 0.0:
            return InsulationState.SELF_TEST_FAILED
        if self._info("MeasurementOff") > 0.0:
            return InsulationState.OFF
        if any(self._info(name) > 0.0 for name in ("Calibrating", "SelfTesting", "Outdated")):
            return InsulationState.SETTLING
        return InsulationState.ACTIVE


class Iso165c:
    """One iso165C on a bus. Its levels are written and its state is asked for every 5 s; `outputs` says whether it
    measures. The overall self-test is started when it is heard first, and then every `self_test_period_s` as long as it
    is not told off: meanwhile the resistance does not count. One that finds something, or has no result in time, is
    state SELF_TEST_FAILED."""

    def __init__(
        self,
        config: CanConfig,
        opener: CanOpener = open_python_can,
        *,
        warning_kohm: int,
        error_kohm: int,
        self_test_period_s: float = 86_400.0,
    ) -> None:
        """ValueError for levels that the device does not have."""
        for name, kohm, (least, most) in (
            ("warning_kohm", warning_kohm, WARNING_KOHM), ("error_kohm", error_kohm, ERROR_KOHM),
        ):  # fmt: skip
            if not least <= kohm <= most:
                raise ValueError(f"{name} is {kohm}, must be {least}..{most}")
        self._decoder = Iso165cDecoder()
        self._link = CanLink(config, self.on_batch, opener, silence_s=3 * INFO_PERIOD_S)
        self._requests = plan("Request")
        self._encoder = FrameEncoder(self._requests.frames)
        self._levels = {"WarningLevel": float(warning_kohm), "ErrorLevel": float(error_kohm)}
        self._measure: float | None = None
        self._measure_expires_ns = NEVER_NS
        self._test_period_ns = round(self_test_period_s * 1e9)
        self._test_due_ns = NEVER_NS
        self._test_asked_ns: int | None = None
        self._tested_at_ns = NEVER_NS

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus."""
        return self._link.health

    def reading(self) -> InsulationReading:
        """What is known now."""
        reading = self._decoder.reading()._replace(tested_at_ns=self._tested_at_ns)
        asked_ns = self._test_asked_ns
        if asked_ns is not None and now_ns() - asked_ns > TEST_NS_MAX and reading.state in UNTESTED:
            reading = reading._replace(state=InsulationState.SELF_TEST_FAILED)
        return reading

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    def outputs(self, command: OutputsCommand) -> None:
        """Whether it measures, until the expiry; a change goes out at once."""
        wanted, before = float(command.insulation_on), self._measure
        self._measure, self._measure_expires_ns = wanted, command.expires_ns
        if wanted != before:
            self._ask("Measure", wanted)

    async def run(self) -> None:
        """Keep the bus open and the device as it is wanted until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._ask_for_ever())
            tasks.create_task(self._test_for_ever())

    async def _ask_for_ever(self) -> None:
        pace = Pace(ASK_PERIOD_S)
        while True:
            self._ask("Lock", UNLOCKED)
            for name, kohm in self._levels.items():
                self._ask(name, kohm)
            if self._measure is not None and now_ns() < self._measure_expires_ns:
                self._ask("Measure", self._measure)
            self._ask("StatusWanted", 0.0)
            await pace.next()

    async def _test_for_ever(self) -> None:
        pace = Pace(LOOK_S)
        while True:
            await pace.next()
            now = now_ns()
            if self._test_asked_ns is not None:
                self._await_result(self._test_asked_ns, now)
            elif self._decoder.reading().at_ns != NEVER_NS and self._measure != 0.0 and now >= self._test_due_ns:
                self._test_asked_ns, self._test_due_ns = now, now + self._test_period_ns
                self._ask("SelfTest", OVERALL_TEST)

    def _await_result(self, asked_ns: int, now: int) -> None:
        """Ask for its state until the result is there. A test that never ended is asked for again with the next due
        one, and counts as failed until one has a result."""
        if self._decoder.tested(asked_ns):
            self._test_asked_ns, self._tested_at_ns = None, now
        elif now >= self._test_due_ns:
            self._test_due_ns = now + self._test_period_ns
            self._ask("SelfTest", OVERALL_TEST)
        else:
            self._ask("StatusWanted", 0.0)

    def _ask(self, name: str, value: float) -> None:
        if not self._link.open:
            return
        values: Floats = np.zeros(len(self._requests.signal_index))
        values[self._requests.signal_index["Request", name]] = value
        frame = self._requests.page_index["Request", REQUESTS[name]]
        self._link.send(self._encoder.encode(np.array([frame], np.int64), values))
