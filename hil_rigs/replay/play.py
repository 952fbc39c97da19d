"""Plays a record to the deployed controller in virtual time."""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bms.controller import Controller
from bms.devices import Openers
from bms.image import Image
from bms.record import RecordError, TickRow
from bms.record.readings import Readings
from bms.site import Site
from drivers.commands import BleedCommand, InverterCommand, OutputsCommand, PvCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort
from drivers.readings import NEVER_NS, InverterRating, LinkHealth, MonitorHealth, RackReading, SentPower
from hil_rigs.replay.compare import Comparison
from hil_rigs.replay.playback import Playback
from hil_rigs.world import run_virtual

QUIET = LinkHealth(connected=True, transactions=0, timeouts=0, errors=0, reconnects=0)


class NoDevice:
    """Stands where a driver would: takes every command and says nothing, since the record speaks for the device."""

    rating: InverterRating | None = None
    sent: SentPower | None = None
    silence: str | None = None
    fault: str | None = None
    set_point_free = False
    health = QUIET

    async def run(self) -> None:
        await asyncio.Event().wait()

    def reset_alarms(self, expires_ns: int) -> None: ...

    def command(self, command: InverterCommand | PvCommand | RackCommand) -> None: ...

    def bleed(self, command: BleedCommand) -> None: ...

    def outputs(self, command: OutputsCommand) -> None: ...

    def reading(self) -> RackReading:
        nothing = np.empty(0)
        at_ns = np.empty(0, np.int64)
        return RackReading(
            nothing, at_ns, nothing, at_ns, np.empty(0, np.uint8), math.nan, NEVER_NS, math.nan, math.nan, None, None,
            math.nan, NEVER_NS, MonitorHealth(0, 0, 0, 0, 0, 0),
        )  # fmt: skip


NO_DEVICES = Openers(lambda *_: NoDevice(), lambda *_: NoDevice(), lambda *_: NoDevice(), lambda *_: NoDevice())


class ComparingRecorder:
    """Sees each new row beside the one that was recorded."""

    dropped, fault, keeps_readings = 0, None, False

    def __init__(self, playback: Playback, comparison: Comparison, on_tick: Callable[[float], None]) -> None:
        self._playback, self._comparison, self._on_tick = playback, comparison, on_tick
        self._seen: dict[str, Any] | None = None

    def add(self, row: TickRow, readings: Readings | None = None) -> None:
        then = self._playback.row
        if then is not None and then is not self._seen:
            self._comparison.see(then, row)
            self._on_tick(then["time_s"])
        self._seen = then


def play(
    batches: Iterable[Any],
    site: Site,
    name: str,
    comparison: Comparison,
    *,
    started_unix_s: float | None = None,
    on_tick: Callable[[float], None] = lambda _: None,
) -> None:
    """Fill `comparison` with what the controller of `site` decides on the record's readings, which begin at
    `started_unix_s` by the wall clock; `on_tick` hears the time of each tick. RecordError, see Playback."""
    run_virtual(_play(Playback(batches, site, name), site, comparison, started_unix_s, on_tick))


async def _play(
    playback: Playback,
    site: Site,
    comparison: Comparison,
    started_unix_s: float | None,
    on_tick: Callable[[float], None],
) -> None:
    loop = asyncio.get_running_loop()
    start_s, over = loop.time(), asyncio.Event()
    recorder = ComparingRecorder(playback, comparison, on_tick)

    def seen(at_ns: int) -> Image:
        image = playback.image(at_ns)
        if playback.ended:
            loop.call_soon(over.set)
        if playback.row is not None and not playback.row["wanted"]:
            controller.stop()
        return image

    controller = Controller(
        site.model_copy(update={"battery_bus": None, "inverter": site.inverter.model_copy(update={"function": None})}),
        can_opener=_no_can,
        recorder=recorder,
        perf_clock=lambda: math.nan,
        on_trip=lambda _: None,
        wall_clock=None if started_unix_s is None else lambda: started_unix_s + loop.time() - start_s,
        openers=NO_DEVICES,
        seen=seen,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(controller.run())
            running.add_done_callback(lambda _: over.set())
            await over.wait()
            running.cancel()
    except* RecordError as errors:
        raise _first(errors) from None


def _first(error: BaseException) -> BaseException:
    """The first of those that task groups wrapped up."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _no_can(config: CanConfig, on_batch: Callable[[FrameBatch], None]) -> CanPort:
    raise ConnectionError("a replay has no CAN bus")
