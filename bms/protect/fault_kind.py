"""What one fault is: its level, its action, how it debounces, clears or latches, and its words."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a fault does while it is active."""

    WARN = "recorded and shown"
    BLOCK_CHARGE = "block charge"
    BLOCK_DISCHARGE = "block discharge"
    ZERO_POWER = "0 W, contactors stay closed"
    OPEN = "0 W, stop the converter, open the rack below break current or after a bounded wait; the others go on"
    OPEN_ALL = "0 W, stop the converter, open all racks below break current or after a bounded wait"
    OPEN_PROVEN = "open all racks once the DC current is proven below break current, after 10 s anyway"

    @property
    def opens(self) -> bool:
        return self in (Action.OPEN, Action.OPEN_ALL, Action.OPEN_PROVEN)


class Level(StrEnum):
    """Three levels of a limit; SYSTEM for faults that are no limit."""

    OPERATING = "operating"
    RECOMMENDED = "recommended"
    MAXIMUM = "maximum"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table. The cause must last for `debounce_s` (flickering counts, see LeakyBucket). `latched`
    faults stay until somebody resets them, also over a restart; others clear by themselves after their cause has been
    absent for `clear_s`. `action` is for a converter that follows the grid, `action_forming` for one that makes it."""

    id: str
    level: Level
    action: Action
    action_forming: Action
    debounce_s: float
    latched: bool
    clear_s: float
    meaning: str
    advice: str


def row(
    id: str,
    level: Level,
    action: Action,
    meaning: str,
    advice: str,
    *,
    debounce_s: float = 0.0,
    latched: bool = False,
    clear_s: float = 5.0,
    ends_forming: bool = False,
) -> FaultKind:
    """Unless it `ends_forming` a fault only warns while the converter makes the grid: 0 W would black out the load."""
    forming = action if ends_forming else Action.WARN
    return FaultKind(id, level, action, forming, debounce_s, latched, clear_s, meaning, advice)
