"""The controller as a process of its own in virtual time: killed, started again from its state, paused, a full disk."""

import asyncio
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bms.controller import Controller
from bms.record import Recorder
from bms.record.memory import MemoryRecorder
from bms.record.readings import Readings
from bms.record.schema import TickRow
from bms.site import Site
from bms.state.memory import SiteMemory
from bms.state.store import MemoryStore, Told
from hil_rigs.bench import Bench
from hil_rigs.world.canbus import BusPort
from hil_rigs.world.loop import PROCESS, VirtualLoop

NAME = "controller"
WATCHDOGS_S = 6.0
"""After the end of a run in which nobody is there to stop it in order: the racks' watchdogs have opened by then."""

NO_SPACE = "state.json: No space left on device"
NO_SPACE_FOR_ROWS = "record: No space left on device"


class Disk(MemoryStore):
    """The folder of the state. Once it is full the document stays as it is, and nothing more is logged."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        self.full = False

    def save(self, state: Mapping[str, Any]) -> None:
        if self.full:
            self.fault = NO_SPACE
        else:
            super().save(state)

    def log(self, event: Mapping[str, Any]) -> None:
        if self.full:
            self.fault = NO_SPACE
        else:
            super().log(event)


class DiskRecorder:
    """One record of several controllers: a later one's times count from `since_s`, the start of the first. Once the
    disk is full a controller hears what a recording process would say; the rows are kept all the same, to judge by."""

    def __init__(self, recorder: MemoryRecorder, disk: Disk, since_s: float) -> None:
        self._recorder, self._disk, self._since_s = recorder, disk, since_s
        self._lost = 0
        self.keeps_readings = recorder.keeps_readings

    @property
    def dropped(self) -> int:
        return self._recorder.dropped + self._lost

    @property
    def fault(self) -> str | None:
        return NO_SPACE_FOR_ROWS if self._lost else self._recorder.fault

    def add(self, row: TickRow, readings: Readings | None = None) -> None:
        self._lost += self._disk.full
        if self._since_s > 0.0:
            row = row._replace(time_s=self._since_s + row.time_s)
        self._recorder.add(row, readings)


class ControllerProcess:
    """Starts at once, in a task of `tasks`. `make` makes a controller with what its disk remembers and a recorder.

    Killed it leaves the devices to their watchdogs and closes its connections, as a kernel does; the supervisor starts
    it again. Paused none of its callbacks runs, while the rig goes on; what arrives waits in its sockets."""

    def __init__(
        self,
        bench: Bench,
        site: Site,
        make: Callable[[SiteMemory, Recorder | None], Controller],
        recorder: MemoryRecorder | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._bench, self._site, self._make, self._recorder, self._tasks = bench, site, make, recorder, tasks
        self._disk = Disk(site.name)
        self._devices = [port for bus in bench.buses.values() for port in bus.ports]
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "processes are paused in virtual time only"
        self._loop, self._start_s = loop, loop.time()
        self._again: asyncio.TimerHandle | None = None
        self._going_on: asyncio.TimerHandle | None = None
        self._start()

    def kill(self, dead_s: float) -> None:
        """kill -9; it is started again `dead_s` later."""
        if self._again is None:
            self._go_on()
            self._task.cancel()
            self._again = self._loop.call_later(dead_s, self._start)

    def pause(self, paused_s: float) -> None:
        """SIGSTOP, and SIGCONT `paused_s` later."""
        if self._again is not None or self._going_on is not None:
            return
        for port in self._ports():
            port.hold()
        self._loop.pause(NAME)
        self._going_on = self._loop.call_later(paused_s, self._go_on)

    def fill_disk(self) -> None:
        """From now on there is no room for the state, nor for the record."""
        self._disk.full = True

    def tell(self, told: Told) -> None:
        """Somebody tells it an input, through the folder of its state."""
        self._disk.asked_in.append(told)

    async def stop(self) -> None:
        """Its orderly end; of one that is dead that of its devices' watchdogs."""
        if self._again is not None:
            self._again.cancel()
            await asyncio.sleep(WATCHDOGS_S)
        else:
            self._controller.stop()
            await self._task

    def _start(self) -> None:
        disk, wall_clock = self._disk, self._bench.wall_clock
        self._again = None
        since_s = self._loop.time() - self._start_s
        recorder = None if self._recorder is None else DiskRecorder(self._recorder, disk, since_s)
        self._controller = self._make(SiteMemory(self._site, disk, disk.found(), wall_clock), recorder)
        context = contextvars.copy_context()
        context.run(PROCESS.set, NAME)
        self._task = self._tasks.create_task(self._controller.run(), name=NAME, context=context)

    def _go_on(self) -> None:
        if self._going_on is None:
            return
        self._going_on.cancel()
        self._going_on = None
        self._loop.resume()
        for port in self._ports():
            port.release()

    def _ports(self) -> Iterator[BusPort]:
        """The controller's places on the racks' buses: those that came after the devices'."""
        for bus in self._bench.buses.values():
            yield from (port for port in list(bus.ports) if port not in self._devices)
