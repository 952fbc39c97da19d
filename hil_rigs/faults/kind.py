"""What one kind of injected fault is: where it strikes, how hard, and what the controller must call it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind. `strikes` names what TARGET picks: cell and module are `RACK/NUMBER` counted from 1, rack is `RACK`;
    "" = no target. `value` is VALUE's default in `unit`, None = takes no value; `controller_fault` is the id that the
    controller must raise, "" = it has to bear it."""

    name: str
    says: str
    strikes: Literal["cell", "module", "rack", ""]
    controller_fault: str
    value: float | None = None
    value_min: float = 0.0
    value_max: float = 0.0
    unit: str = ""
    whole: bool = False
    needs: Literal["", "auxiliaries", "battery", "switch", "process", "contactor-block"] = ""
    """What not every rig has: auxiliary devices, a battery with a management of its own, a static switch, the
    controller as a process beside it, or contactors on a block of their own."""

    @property
    def line(self) -> str:
        """What happens, and what TARGET and VALUE may be, for lists."""
        parts = [f"TARGET {target_words(self)}"] if self.strikes else []
        parts += [f"VALUE {self.value:g} {self.unit} by default"] if self.value is not None else []
        return f"{self.says} ({'; '.join(parts)})" if parts else self.says


def target_words(kind: FaultKind) -> str:
    number = {"cell": " or RACK/CELL", "module": " or RACK/MODULE"}.get(kind.strikes, "")
    return f"RACK{number}" if kind.strikes else "none"
