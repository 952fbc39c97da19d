"""Parts of a day by the site's wall clock, as settings."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Literal

from drivers.config.settings import Broken, Loc, Settings, about

CLOCK = {"pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9]$", "shape": "a time in quotes, as '07:30'"}
DAY_MIN = 1440


class DayPart(Settings):
    """From one time of the day until another, over midnight where the second is not later."""

    begins: Annotated[str, about("", "from this time on, by the site's wall clock", **CLOCK)]
    ends: Annotated[str, about("", "until this time; the same as `begins` is a whole day", **CLOCK)]
    days: Annotated[
        Literal["all", "working", "weekend"], about("", "every day, Monday to Friday, or Saturday and Sunday", "all")
    ] = "all"

    def holds(self, now: datetime) -> bool:
        """Whether that local time is in it. After midnight the day is the one that it began on."""
        minute = now.hour * 60 + now.minute
        begins, ends = _minute(self.begins), _minute(self.ends)
        if begins < ends:
            return begins <= minute < ends and self._on(now.weekday())
        if minute >= begins:
            return self._on(now.weekday())
        return minute < ends and self._on((now.weekday() - 1) % 7)

    def _on(self, weekday: int) -> bool:
        return self.days == "all" or (self.days == "weekend") == (weekday >= 5)


def gaps(parts: Sequence[DayPart], loc: Loc) -> Iterator[Broken]:
    """Broken for the first minute of a week that no part holds."""
    for day in range(1, 8):
        for minute in range(DAY_MIN):
            now = datetime(2024, 1, day, minute // 60, minute % 60)  # 1 January 2024 was a Monday
            if not any(part.holds(now) for part in parts):
                wrong = f"nothing holds {now:%A %H:%M}"
                yield Broken(loc, f"{len(parts)} parts of a day", wrong, "parts that fill every day of the week")
                return


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
