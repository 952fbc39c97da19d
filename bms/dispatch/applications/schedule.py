"""Schedule: powers by the clock, each day or from a file."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.day_times import DayPart
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.timed_file import Timed, TimedFileError, read_timed
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about, beside_the_file

READ_AGAIN_S = 60.0
log = logging.getLogger(__name__)


class ScheduledPower(DayPart):
    """A power at a time of the day."""

    power_w: Annotated[float, about("W", "of the battery, discharge positive", ge=-1e10, le=1e10)]


class Schedule(ApplicationSettings):
    """Powers by the clock."""

    kind: Annotated[Literal["schedule"], about("", "which application this is")]
    parts: Annotated[
        tuple[ScheduledPower, ...],
        Field(strict=False),
        about("", "powers at times of the day; the first that holds counts", "from a file", max_length=100),
    ] = ()
    file: Annotated[
        str | None,
        about("", "CSV or Parquet with `time` and `power_w`, relative to this file; read again each minute",
              min_length=1, max_length=500),
        AfterValidator(lambda path, info: path if path is None else beside_the_file(path, info)),
    ] = None  # fmt: skip
    firm: Annotated[bool, about("", "those after it have no say while it has", "they narrow it")] = False

    def broken_relations(self) -> Iterator[Broken]:
        if bool(self.parts) == (self.file is not None):
            wrong = "both parts and a file" if self.parts else "neither parts nor a file"
            yield Broken(("parts",), f"{len(self.parts)} parts", wrong, "one of the two", (("file",),))


class ScheduleApplication:
    """Asks for the power that the schedule has now, and for none where it has none. Without a clock it is silent."""

    def __init__(self, settings: Schedule) -> None:
        self.name = settings.kind
        self._settings = settings
        self._timed: Timed | None = None
        self._said = ""
        self._read_in_s = 0.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        now = view.local_time
        if now is None or view.utc_s is None:
            return NO_ANSWER
        work = None
        if self._settings.file is not None:
            self._read_in_s -= view.dt_s
            if self._read_in_s <= 0.0:
                self._read_in_s, work = READ_AGAIN_S, self._read
            power_w = None if self._timed is None else self._timed.at("power_w", view.utc_s)
        else:
            power_w = next((part.power_w for part in self._settings.parts if part.holds(now)), None)
        return Answer(request_w=power_w, firm=self._settings.firm and power_w is not None, reason="schedule", work=work)

    def reset(self) -> None:
        pass

    def _read(self) -> None:
        """A file that is wrong leaves what was read before, until that ends."""
        try:
            self._timed = read_timed(Path(str(self._settings.file)), ("power_w",))
        except TimedFileError as error:
            if str(error) != self._said:
                log.warning("schedule: %s", error)
            self._said = str(error)


APPLICATION = ApplicationKind(Schedule, ScheduleApplication)
