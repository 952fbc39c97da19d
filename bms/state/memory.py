"""The site's memory: restores at the start, then counts, logs and saves what must survive a kill at any moment."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from bms.dispatch.dispatch import Dispatch
from bms.estimate.soc import RackSoc
from bms.image import Image
from bms.protect.faults import FAULTS
from bms.protect.protection import ActiveFault, Protected, Protection
from bms.site import Site
from bms.state.counters import RackMeter
from bms.state.files import Found
from bms.state.saved import LatchedFault, RackCounters, SavedState
from bms.state.store import NoStore, Reset, StateStore, Told
from bms.state.wall_time import WallClock, age_s, utc_text

SAVE_SOC_FRAC, SAVE_S_MAX = 0.001, 20.0
"""The state is saved when a rack's SoC has moved so far, which at 1C takes 3.6 s, or after so long: flash wears out."""

log = logging.getLogger(__name__)


def forgetful(site: Site) -> "SiteMemory":
    """For a run that is the first and leaves nothing behind."""
    return SiteMemory(site, NoStore(), Found(None, ()), lambda: 0.0)


class SiteMemory:
    """Call `recall` before the first tick, `count` in every control tick, `see` in every tick and `save` at an orderly
    end. `said` is what people should know of what was found, a line each; `on_end` is told of each fault that has
    ended, and how: `reset` or `cleared`."""

    def __init__(
        self,
        site: Site,
        store: StateStore,
        found: Found[SavedState],
        wall_clock: WallClock,
        on_end: Callable[[str, ActiveFault], None] = lambda _how, _fault: None,
    ) -> None:
        self._on_end = on_end
        self._found = found
        self._store = store
        self._wall_clock = wall_clock
        state = found.document
        self._starts = 1 + (state.starts if state else 0)
        self._trips = Counter(state.trips if state else {})
        self._counters = dict(state.racks) if state else {}
        self._names = [rack.name for rack in site.racks]
        self._meters = [RackMeter(self._counters.setdefault(name, RackCounters())) for name in self._names]
        self._faults: tuple[ActiveFault, ...] = ()
        self._latched: dict[ActiveFault, LatchedFault] = {}
        self._resets: set[ActiveFault] = set()
        self._urgent = False
        self._save_ns = -math.inf
        self._dispatch: Dispatch | None = None
        self._saved_soc_frac = [math.nan] * len(self._names)
        self._age_s = age_s(state.saved_at, wall_clock()) if state else math.inf
        self.said = [*found.refusals, *_told(found, self._starts, self._age_s)]

    @property
    def fault(self) -> str:
        """Why nothing is saved, in one line; empty = it is."""
        return self._store.fault

    @property
    def latched(self) -> tuple[LatchedFault, ...]:
        """Faults that stay until they are reset."""
        return tuple(self._latched.values())

    def resets(self) -> list[Reset]:
        """What people asked for since the last call."""
        return self._store.resets()

    def maintain(self) -> list[str]:
        """Racks that people want out of service since the last call."""
        return self._store.maintain()

    def told(self) -> list[Told]:
        """Inputs that people told since the last call."""
        return self._store.told()

    def local(self) -> bool:
        """Somebody took the site into local control since the last call."""
        return self._store.local()

    def note(self, event: str, **what: object) -> None:
        """A line of the log of events."""
        self._log(event, **what)

    def recall(self, soc: Sequence[RackSoc], protection: Protection, dispatch: Dispatch, now_ns: int) -> None:
        """Give SoC, latched faults and what applications know back to those that need them, as far as anybody knows."""
        self._dispatch = dispatch
        self._log("started", starts=self._starts)
        state = self._found.document
        if state is not None:
            self._recall_soc(state, soc)
            self._recall_faults(state, protection, now_ns)
            dispatch.restore(state.applications)
        elif self._found.lost:
            protection.report("state_lost", "state", "no copy of the state can be believed", now_ns)

    def _recall_soc(self, state: SavedState, soc: Sequence[RackSoc]) -> None:
        for name, rack in zip(self._names, soc, strict=True):
            saved = state.soc.get(name)
            if saved is None:
                continue
            try:
                rack.restore(saved, self._age_s)
            except ValueError as error:
                log.warning("state: SoC of %s is not known any more: %s", name, error)

    def _recall_faults(self, state: SavedState, protection: Protection, now_ns: int) -> None:
        for fault in state.latched:
            if fault.id not in FAULTS:
                protection.report("state_lost", "state", f"fault {fault.id!r} was latched, nobody knows it", now_ns)
                continue
            self._latched[protection.restore(fault.id, fault.target, fault.detail, now_ns)] = fault
        self._faults = tuple(self._latched)

    def was_reset(self, fault: ActiveFault) -> None:
        """This latched fault ends by request, not by itself."""
        self._resets.add(fault)

    def count(self, image: Image, elapsed_s: float) -> None:
        """Charge and energy since the control tick before."""
        for meter, rack in zip(self._meters, image.racks, strict=True):
            meter.flow(rack, elapsed_s)

    def see(self, image: Image, protected: Protected, soc: Sequence[RackSoc]) -> None:
        """Log what happened to faults in this tick; save at once when something happened, else when it is due."""
        closed = [meter.closed(rack.main_closed) for meter, rack in zip(self._meters, image.racks, strict=True)]
        if protected.faults != self._faults or protected.tripped:
            self._note(protected)
            self._urgent = True
        self._urgent |= any(closed)
        if not self._store.ready:
            return
        if self._urgent:
            self._store.save(self._without_soc())
            self._urgent = False
        elif image.at_ns >= self._save_ns or self._moved(soc):
            self.save(soc)
            self._save_ns = image.at_ns + SAVE_S_MAX * 1e9
            self._saved_soc_frac = [rack.soc_frac[0] for rack in soc]

    def _moved(self, soc: Sequence[RackSoc]) -> bool:
        """By any cell: all of a string's move together. Becoming known is a move."""
        pairs = zip(self._saved_soc_frac, soc, strict=True)
        return any(rack.known and not abs(rack.soc_frac[0] - saved) < SAVE_SOC_FRAC for saved, rack in pairs)

    def save(self, soc: Sequence[RackSoc]) -> None:
        """Hand everything to the store."""
        estimates = {name: rack.save() for name, rack in zip(self._names, soc, strict=True)}
        self._store.save({**self._without_soc(), "soc": estimates})

    def _without_soc(self) -> dict[str, object]:
        """What must be out of the process at once, and is small enough for that."""
        return {
            "saved_at": utc_text(self._wall_clock()),
            "starts": self._starts,
            "trips": self._trips,
            "latched": [asdict(fault) for fault in self._latched.values()],
            "racks": {name: asdict(counters) for name, counters in self._counters.items()},
            "applications": {} if self._dispatch is None else self._dispatch.save(),
        }

    def _note(self, protected: Protected) -> None:
        now = set(protected.faults)
        for fault in self._faults:
            if fault not in now:
                how = "reset" if fault in self._resets else "cleared"
                self._log_fault(how, fault)
                self._on_end(how, fault)
        for fault in protected.tripped:
            self._trips[fault.kind.id] += 1
            self._log_fault("tripped", fault)
        self._resets.clear()
        self._faults = protected.faults
        self._latched = {
            fault: self._latched.get(fault) or self._latch(fault) for fault in protected.faults if fault.kind.latched
        }

    def _latch(self, fault: ActiveFault) -> LatchedFault:
        return LatchedFault(fault.kind.id, fault.target, fault.detail, utc_text(self._wall_clock()))

    def _log_fault(self, event: str, fault: ActiveFault) -> None:
        self._log(event, fault=fault.kind.id, target=fault.target, detail=fault.detail)

    def _log(self, event: str, **what: object) -> None:
        self._store.log({"at": utc_text(self._wall_clock()), "event": event, **what})


def _told(found: Found[SavedState], start: int, age_s: float) -> Iterator[str]:
    if found.document is None:
        yield "which faults were latched is not known" if found.lost else "none was saved: this is the first start"
        return
    age = f"{age_s:.1f} s ago" if age_s < math.inf else "nobody knows when: the clock went back or was not set"
    yield f"start {start}, saved {age}"
    for fault in found.document.latched:
        yield f"latched until `bms reset`: {fault}"
