"""The part of a site file that changes single faults: debounce, clearing, latch and action."""

from collections.abc import Iterator
from typing import Annotated, Literal

from bms.protect.faults import FAULTS, Action, FaultKind, Level
from drivers.config.settings import Broken, Settings, about

WORDS = {
    "warn": Action.WARN,
    "block-charge": Action.BLOCK_CHARGE,
    "block-discharge": Action.BLOCK_DISCHARGE,
    "zero-power": Action.ZERO_POWER,
    "open": Action.OPEN,
    "open-all": Action.OPEN_ALL,
}
"""From the weakest to the strictest."""
DEBOUNCE_S_MAX = 10.0
AS_BUILT = "the fault's own, see `bms faults`"


class FaultSetting(Settings):
    """One fault that is not as built. Faults of the maximum level can be made stricter only."""

    id: Annotated[str, about("", "which fault", min_length=1, max_length=64)]
    action: Annotated[
        Literal["warn", "block-charge", "block-discharge", "zero-power", "open", "open-all"] | None,
        about("", "what it does while it is active", AS_BUILT),
    ] = None
    action_forming: Annotated[
        Literal["warn", "open", "open-all"] | None,
        about("", "what it does while the converter makes the grid", AS_BUILT),
    ] = None
    debounce_s: Annotated[
        float | None, about("s", "how long its cause must last", AS_BUILT, ge=0, le=DEBOUNCE_S_MAX)
    ] = None
    clear_s: Annotated[
        float | None, about("s", "it clears when its cause was absent for so long", AS_BUILT, ge=0, le=86_400)
    ] = None
    latched: Annotated[bool | None, about("", "it stays until it is reset", AS_BUILT)] = None

    def broken_relations(self) -> Iterator[Broken]:
        kind = FAULTS.get(self.id)
        if kind is None:
            yield Broken(("id",), self.id, "no such fault", "one that `bms faults` lists")
            return
        if kind.level is not Level.MAXIMUM:
            return
        strong = ["open-all"] if kind.action is Action.OPEN_ALL else ["open", "open-all"]
        if self.action is not None and self.action not in strong:
            wrong = f"too weak for {self.id}, a maximum level"
            yield Broken(("action",), self.action, wrong, " or ".join(strong), (("id",),))
        if self.action_forming == "warn" and kind.action_forming is not Action.WARN:
            wrong = f"too weak for {self.id}, which ends grid-forming"
            yield Broken(("action_forming",), self.action_forming, wrong, " or ".join(strong), (("id",),))
        if self.latched is False:
            yield Broken(("latched",), self.latched, f"{self.id} is of the maximum level", "true", (("id",),))
        if self.debounce_s is not None and self.debounce_s > kind.debounce_s:
            wrong = f"slower than {self.id} may be"
            yield Broken(("debounce_s",), self.debounce_s, wrong, f"at most {kind.debounce_s:g}", (("id",),))

    def applied(self, kind: FaultKind) -> FaultKind:
        """The row as this site wants it."""
        return FaultKind(
            id=kind.id,
            level=kind.level,
            action=kind.action if self.action is None else WORDS[self.action],
            action_forming=kind.action_forming if self.action_forming is None else WORDS[self.action_forming],
            debounce_s=kind.debounce_s if self.debounce_s is None else self.debounce_s,
            latched=kind.latched if self.latched is None else self.latched,
            clear_s=kind.clear_s if self.clear_s is None else self.clear_s,
            meaning=kind.meaning,
            advice=kind.advice,
        )
