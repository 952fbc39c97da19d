"""The site and its grid as a table: from which mode, on what, into which mode. Start at TABLE; docs/island.md tells it.

The static switch opens by its own detection and the converter takes its mode from the switch's auxiliary contact: both
are faster than any loop. This machine sees what they did, sheds, serves, synchronises, and starts from the dark."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from bms.load_blocks import BlockInputs, LoadBlocks
from bms.site.island import Island

LOST_S = 1.0
"""An island without voltage, or without a converter that forms, for so long is dark."""

OVERLOAD_S = 0.2
"""Load above what the battery can give for so long is shed."""

WITHDRAW_S = 0.2
"""Both sides out of step for so long take the command to close back."""

POWER_W = 1.0
"""A ramp ends this near to what is wanted."""


class IslandMode(StrEnum):
    """DIP: the grid is outside its window and the intertie still closed. RETURNING: closed again, the battery's power
    goes to what is wanted and blocks come back. DEAD_CLOSE: the grid feeds a dead site."""

    UNKNOWN = "unknown"
    GRID = "grid"
    DIP = "dip"
    OPENING = "opening"
    FORMING = "forming"
    SHEDDING = "shedding"
    ISLAND = "island"
    SYNCING = "syncing"
    CLOSING = "closing"
    RETURNING = "returning"
    DARK = "dark"
    DEAD_BUS = "dead bus check"
    STARTING = "starting"
    ENERGISING = "energising"
    DEAD_CLOSE = "dead close"
    LOCKED = "locked"


M = IslandMode
ALONE = frozenset({M.FORMING, M.SHEDDING, M.ISLAND, M.SYNCING, M.CLOSING, M.STARTING, M.ENERGISING})
WITHOUT_CONVERTER = frozenset({M.UNKNOWN, M.DARK, M.DEAD_BUS, M.DEAD_CLOSE, M.LOCKED})
WITHOUT_LOAD = frozenset({M.DARK, M.DEAD_BUS, M.STARTING, M.DEAD_CLOSE, M.LOCKED})
"""Modes in which every block is told to be open."""


class IslandInputs(NamedTuple):
    """One tick. `heard`: the switchgear's words are fresh; everything down to `blocks_closed` is from them.
    `grid_bad`: the grid must be left, `grid_good`: it may be trusted; `agree`: both sides are inside the window for
    closing by their measured values, `sync_ok`: by the switchgear's own check. `forming`: the converter makes a
    voltage, `stopped`: its power stage is blocked, both by its own word. `power_w`: what it gives."""

    heard: bool
    closed: bool
    sync_ok: bool
    agree: bool
    grid_good: bool
    grid_bad: bool
    live: bool
    dead: bool
    blocks_closed: int
    forming: bool
    stopped: bool
    racks_online: bool
    power_w: float
    capability_w: float
    soc_frac: float


class IslandOrders(NamedTuple):
    """`run`: the converter may start. `intertie`: what to tell the switchgear, None = nothing as long as it is not
    heard."""

    mode: IslandMode
    close: bool
    synchronise: bool
    blocks: int
    run: bool
    intertie_heard: bool


class IslandMachine:
    """Call `step` once a tick; `faults` are (id, detail) found in it. `follow` narrows the wished power on the way back
    to the grid; `ramped`: the battery's power is what is wanted."""

    def __init__(self, settings: Island) -> None:
        self.settings = settings
        self.blocks = LoadBlocks(settings)
        self.mode = IslandMode.UNKNOWN
        self.in_mode_s = 0.0
        self.inputs: IslandInputs | None = None
        self.good_s = self.lost_s = self.over_s = self.agree_s = self.disagree_s = self.dead_s = self.retry_s = 0.0
        self.tries = 0
        self.faults: list[tuple[str, str]] = []
        self._unheard_s = 0.0
        self._power_w = 0.0
        self.ramped = True

    @property
    def it(self) -> IslandInputs:
        assert self.inputs is not None, "rules are asked inside a step"
        return self.inputs

    def step(self, inputs: IslandInputs, dt_s: float) -> IslandOrders:
        """One tick: the first rule of the mode that applies is followed. Without fresh words of the switchgear the mode
        stays, but an attempt to close is over."""
        self.inputs, self.faults = inputs, []
        self.in_mode_s += dt_s
        self._count(inputs, dt_s)
        if not inputs.heard:
            return self._unheard(dt_s)
        self._unheard_s = 0.0
        if self.mode is M.UNKNOWN:
            self.blocks.adopt(inputs.blocks_closed)
        rule = next((rule for rule in TABLE[self.mode] if rule.when(self)), None)
        if rule is not None:
            self._follow(rule)
        self._serve(inputs, dt_s)
        return self._orders(heard=True)

    def reset(self) -> None:
        """Somebody looked after it: black starts are counted anew."""
        if self.mode is M.LOCKED:
            self.tries = 0
            self._go(M.DARK)

    def follow(self, wished_w: float, battery_w: float, dt_s: float) -> float:
        """What the battery shall do: alone what it does (no set-point is written), on the way back a ramp from there to
        the wish, on the grid the wish."""
        if self.mode in ALONE:
            self._power_w, self.ramped = battery_w, False
            return battery_w
        if self.mode is M.RETURNING and not self.ramped:
            step_w = self.settings.return_ramp_w_per_s * dt_s
            self._power_w += min(max(wished_w - self._power_w, -step_w), step_w)
            self.ramped = abs(wished_w - self._power_w) < POWER_W
            return self._power_w
        return wished_w

    def _count(self, it: IslandInputs, dt_s: float) -> None:
        heard = it.heard
        alive = it.live and it.forming
        self.good_s = self.good_s + dt_s if heard and it.grid_good else 0.0
        self.lost_s = self.lost_s + dt_s if heard and not alive else 0.0
        self.over_s = self.over_s + dt_s if it.power_w > it.capability_w else 0.0
        in_step = heard and it.agree and it.sync_ok
        self.agree_s = self.agree_s + dt_s if in_step else 0.0
        self.disagree_s = 0.0 if in_step else self.disagree_s + dt_s
        safe = heard and it.dead and not it.closed and not it.blocks_closed and it.stopped
        self.dead_s = self.dead_s + dt_s if safe else 0.0
        self.retry_s = max(self.retry_s - dt_s, 0.0)

    def _unheard(self, dt_s: float) -> IslandOrders:
        self._unheard_s += dt_s
        if self._unheard_s > self.settings.intertie_age_s_max:
            self.faults.append(("intertie_lost", "does not answer"))
        if self.mode in (M.SYNCING, M.CLOSING):
            self._go(M.ISLAND)
        if self.mode in (M.DEAD_BUS, M.STARTING, M.DEAD_CLOSE):
            self._go(M.DARK)
        if self.mode is M.ENERGISING:
            self._go(M.ISLAND)
        return self._orders(heard=False)

    def _follow(self, rule: "Rule") -> None:
        if rule.fault:
            self.faults.append((rule.fault, rule.detail.format(self=self)))
            self.good_s = self.over_s = 0.0
        self.tries += rule.counts_try
        self._go(rule.then)

    def _go(self, mode: IslandMode) -> None:
        if mode in (M.GRID, M.ISLAND):
            self.tries = 0
        if mode is M.DARK:
            self.retry_s = self.settings.retry_s if self.tries else 0.0
        self.mode, self.in_mode_s = mode, 0.0

    def _serve(self, it: IslandInputs, dt_s: float) -> None:
        late = self.blocks.step(it.blocks_closed, dt_s)
        if late:
            self.faults.append(("block_not_following", f"{late} does not obey"))
        if self.mode in WITHOUT_LOAD:
            self.blocks.open_all()
        elif self.mode is M.SHEDDING:
            self.blocks.shed()
        elif self.mode in (M.ISLAND, M.ENERGISING, M.RETURNING) and it.live:
            islanded = self.mode is not M.RETURNING
            inputs = BlockInputs(it.blocks_closed, islanded, it.power_w, it.capability_w, it.soc_frac)
            self.blocks.serve(inputs)

    def _orders(self, *, heard: bool) -> IslandOrders:
        mode = self.mode
        wants_closed = mode in (M.GRID, M.DIP, M.RETURNING, M.CLOSING, M.DEAD_CLOSE)
        synchronise = mode in (M.SYNCING, M.CLOSING)
        return IslandOrders(mode, wants_closed, synchronise, self.blocks.wanted, mode not in WITHOUT_CONVERTER, heard)


class Rule(NamedTuple):
    """`then`: the next mode. `fault`, `detail`: what is reported with it. `counts_try`: a start came to nothing."""

    when: Callable[[IslandMachine], bool]
    then: IslandMode
    fault: str = ""
    detail: str = ""
    counts_try: bool = False


def _closed(m: IslandMachine) -> bool:
    return m.it.closed


def _opened(m: IslandMachine) -> bool:
    return not m.it.closed


def _alive(m: IslandMachine) -> bool:
    """The converter makes the site's voltage, by its own word and the switchgear's."""
    return m.it.live and m.it.forming


def _lost(m: IslandMachine) -> bool:
    return m.lost_s > LOST_S


def _in_step(m: IslandMachine) -> bool:
    return m.agree_s > m.settings.sync_hold_s


def _may_feed_dead_site(m: IslandMachine) -> bool:
    return m.good_s > m.settings.settle_s and m.dead_s > m.settings.dead_bus_s


def _may_start_black(m: IslandMachine) -> bool:
    ready = m.settings.black_start and m.it.racks_online and m.retry_s == 0.0
    return ready and m.good_s == 0.0 and m.tries < m.settings.tries_max


CAME_ALONE = Rule(lambda m: not m.it.closed and _alive(m), M.ISLAND)
OVERLOAD = "{self.it.power_w:.0f} W, can give {self.it.capability_w:.0f} W"
NOT_DEAD = "voltage, a closed block or a converter that has not stopped"
NOT_FORMED = "no voltage after {self.in_mode_s:.1f} s"

TABLE: Mapping[IslandMode, tuple[Rule, ...]] = {
    M.UNKNOWN: (
        Rule(_closed, M.GRID),
        CAME_ALONE,
        Rule(lambda m: m.it.dead and m.it.stopped, M.DARK),
    ),
    M.GRID: (
        Rule(_opened, M.FORMING),
        Rule(lambda m: m.it.grid_bad, M.DIP),
    ),
    M.DIP: (
        Rule(_opened, M.FORMING),
        Rule(lambda m: not m.it.grid_bad, M.GRID),
        Rule(lambda m: m.in_mode_s > m.settings.dip_s_max, M.OPENING),
    ),
    M.OPENING: (
        Rule(_opened, M.FORMING),
        Rule(
            lambda m: m.in_mode_s > m.settings.open_s_max, M.OPENING,
            "intertie_stuck_closed", "still closed {self.in_mode_s:.1f} s after it was told to open",
        ),
    ),
    M.FORMING: (
        Rule(_closed, M.RETURNING),
        Rule(_alive, M.SHEDDING),
        Rule(lambda m: m.it.stopped, M.DARK, "island_not_formed", "the converter stands"),
        Rule(lambda m: m.in_mode_s > m.settings.form_s_max, M.DARK, "island_not_formed", NOT_FORMED),
    ),
    M.SHEDDING: (
        Rule(_closed, M.RETURNING),
        Rule(_lost, M.DARK, "island_not_formed", "the converter gave up under the load"),
        Rule(lambda m: m.over_s == 0.0, M.ISLAND),
        Rule(
            lambda m: m.in_mode_s > m.settings.shed_s_max, M.ISLAND,
            "island_overload", OVERLOAD,
        ),
    ),
    M.ISLAND: (
        Rule(_closed, M.RETURNING),
        Rule(_lost, M.DARK, "island_not_formed", "the converter stopped"),
        Rule(lambda m: m.over_s > OVERLOAD_S and not m.blocks.least, M.SHEDDING),
        Rule(lambda m: m.over_s > m.settings.shed_s_max, M.ISLAND, "island_overload", OVERLOAD),
        Rule(lambda m: m.good_s > m.settings.settle_s, M.SYNCING),
    ),
    M.SYNCING: (
        Rule(_closed, M.RETURNING),
        Rule(_lost, M.DARK, "island_not_formed", "the converter stopped"),
        Rule(lambda m: m.good_s == 0.0, M.ISLAND),
        Rule(_in_step, M.CLOSING),
        Rule(
            lambda m: m.in_mode_s > m.settings.sync_s_max, M.ISLAND,
            "sync_timeout", "not in step after {self.in_mode_s:.0f} s",
        ),
    ),
    M.CLOSING: (
        Rule(_closed, M.RETURNING),
        Rule(_lost, M.DARK, "island_not_formed", "the converter stopped"),
        Rule(lambda m: m.good_s == 0.0, M.ISLAND),
        Rule(lambda m: m.disagree_s > WITHDRAW_S, M.SYNCING),
        Rule(
            lambda m: m.in_mode_s > m.settings.close_s_max, M.ISLAND,
            "intertie_not_closing", "open {self.in_mode_s:.1f} s after it was told to close",
        ),
    ),
    M.RETURNING: (
        Rule(_opened, M.FORMING),
        Rule(lambda m: m.it.grid_bad, M.DIP),
        Rule(lambda m: m.ramped and m.blocks.complete and m.in_mode_s > m.settings.sync_hold_s, M.GRID),
        Rule(lambda m: m.in_mode_s > m.settings.restore_s_max, M.GRID),
    ),
    M.DARK: (
        Rule(_closed, M.GRID),
        CAME_ALONE,
        Rule(_may_feed_dead_site, M.DEAD_CLOSE),
        Rule(_may_start_black, M.DEAD_BUS),
        Rule(
            lambda m: m.good_s > m.settings.settle_s + m.settings.dead_bus_s_max, M.DARK,
            "dead_bus_not_dead", NOT_DEAD,
        ),
        Rule(
            lambda m: m.settings.black_start and m.tries >= m.settings.tries_max, M.LOCKED,
            "black_start_failed", "{self.tries} tries",
        ),
        Rule(
            lambda m: m.settings.black_start and not m.it.racks_online and m.in_mode_s > m.settings.racks_s_max,
            M.DARK, "black_start_no_battery", "{self.in_mode_s:.0f} s",
        ),
    ),
    M.DEAD_BUS: (
        Rule(_closed, M.GRID),
        Rule(lambda m: not m.it.racks_online, M.DARK),
        Rule(lambda m: min(m.dead_s, m.in_mode_s) > m.settings.dead_bus_s, M.STARTING),
        Rule(
            lambda m: m.in_mode_s > m.settings.dead_bus_s_max, M.DARK,
            "dead_bus_not_dead", NOT_DEAD, counts_try=True,
        ),
    ),
    M.STARTING: (
        Rule(_closed, M.RETURNING),
        Rule(_alive, M.ENERGISING),
        Rule(
            lambda m: m.in_mode_s > m.settings.form_s_max, M.DARK, "island_not_formed", NOT_FORMED, counts_try=True
        ),
    ),
    M.ENERGISING: (
        Rule(_closed, M.RETURNING),
        Rule(_lost, M.DARK, "island_not_formed", "the converter gave up under the load", counts_try=True),
        Rule(lambda m: m.blocks.complete or m.in_mode_s > m.settings.restore_s_max, M.ISLAND),
    ),
    M.DEAD_CLOSE: (
        Rule(_closed, M.RETURNING),
        Rule(lambda m: m.good_s == 0.0 or m.dead_s == 0.0, M.DARK),
        Rule(
            lambda m: m.in_mode_s > m.settings.close_s_max, M.DARK,
            "intertie_not_closing", "open {self.in_mode_s:.1f} s after it was told to close", counts_try=True,
        ),
    ),
    M.LOCKED: (
        Rule(_closed, M.GRID),
        CAME_ALONE,
        Rule(_may_feed_dead_site, M.DEAD_CLOSE),
    ),
}  # fmt: skip
"""The first rule that applies is followed; none = stay. UNKNOWN, GRID, ISLAND, DARK and LOCKED may last, all others are
bounded."""
