"""Keeps periodic work on its deadlines, in integer nanoseconds of the loop's clock so that nothing drifts."""

import asyncio

from drivers.clock import loop_ns, now_ns, sleep_until


class Pace:
    """Sleeps to absolute deadlines `period_s` apart, the first one period after its making. One that is late by less
    than a period is kept late; those that passed altogether are left out and counted in `overruns`."""

    def __init__(self, period_s: float) -> None:
        self.overruns = 0
        self._period_ns = round(period_s * 1e9)
        self._loop = asyncio.get_running_loop()
        self._deadline_ns = now_ns()

    async def next(self) -> None:
        self._deadline_ns += self._period_ns
        await sleep_until(self._loop, self._deadline_ns)
        late_ns = loop_ns(self._loop) - self._deadline_ns
        if late_ns >= self._period_ns:
            missed = late_ns // self._period_ns
            self.overruns += missed
            self._deadline_ns += missed * self._period_ns


class Every:
    """Tells once a period that it is time, for slow work inside a faster loop; what was missed is left out."""

    def __init__(self, period_s: float) -> None:
        self._period_ns = round(period_s * 1e9)
        self._due_ns = now_ns()

    def due(self) -> bool:
        late_ns = now_ns() - self._due_ns
        if late_ns < 0:
            return False
        self._due_ns += (1 + late_ns // self._period_ns) * self._period_ns
        return True
