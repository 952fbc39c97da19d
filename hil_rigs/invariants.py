"""What must hold in every run, whatever goes wrong: judged where a scenario says `invariants: true`."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bms.protect.faults import FAULTS, Action
from bms.rack import RackMode
from bms.site import Limits
from hil_rigs.checks import longest_run, time_words
from hil_rigs.rig import RigFile, reversion_s
from hil_rigs.run import Outcome
from hil_rigs.verdict import Verdict

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

FLOWS_FRAC = 0.01
"""Power below this share of the converter's rating is none."""

STOP_S = 1.6
"""From a limit crossed, as the sensors show it, to no power: staleness, debounce and the converter's reversion."""

BEYOND_COMMAND_S = 14.0
"""The same where the converter obeys nobody: the bounded wait for a proven current, then the contactors open."""

UNCONTROLLED = frozenset(
    {
        "inverter-says-off", "inverter-local", "inverter-lost", "inverter-slow", "inverter-exception", "inverter-unit",
        "inverter-cuts", "inverter-resets",
    }
)  # fmt: skip
"""Faults beside which the converter may obey nobody."""

KEEPS_POWER = frozenset({"inverter-holds", "inverter-runs-away"})
"""Faults in which the converter goes on delivering until it is stopped: beside one of the above nobody can stop it, and
the contactors open under its power once the bounded wait is over."""

OPENS_BY_ITSELF = frozenset({"contactor-drops", "contactor-closes", "contactor-late"})
"""Faults in which a contactor opens, or does not, whatever the controller wants."""

OPENS_BY_WATCHDOG = frozenset(
    {"commands-lost", "contactor-block-lost", "bus-open", "bus-babble", "bus-loss", "bus-bit-flips", "monitor-crc"}
)
"""Faults beside which a rack may open by its own watchdog."""

DROPS_BY_ITSELF = frozenset(
    {
        "inverter-trips", "inverter-restarts", "contactor-drops", "contactor-late", "blocks-stuck", "link-loaded",
        "link-shorted", "rack-charge", "cell-internal-short",
    }
)  # fmt: skip
"""Faults that take an island's converter down whatever the controller does."""

EXPIRY_MARGIN_S = 0.3
"""Beyond the reversion time until a set-point that nobody renews must be gone: its timer's and the plant's steps."""

ZERO_S = 1.5
"""From 0 W decided to 0 W in the converter, also where no write arrives: its reversion, and a tick."""

UNHEARD_S = 1.1
"""A converter that falls silent counts as lost after a second and a tick; until then its last word holds, and that may
be that it makes the grid."""

TICK_S = 0.02
"""A tick that began with what was true before shows nothing of what came within it."""

UNWATCHED_S = 3.85
"""Racks that were told nothing for 4 s open by their own watchdog; their last command is at most 0.1 s older than the
controller's last tick."""

STRIPPED_S = 0.5
"""A rack that leaves to be stripped is named so this soon."""

CIRCULATED_S = 1.0
"""Racks that have only fed each other for so long go on: what flows between unequal strings fades over hours, and no
controller can take it away. It breaks at their difference in voltage, some volts, and not at the link's."""

CAUSE_S = 2.5
"""An island may be dropped so long after its cause was named: the bounded wait for a stopped converter."""

ENDS_ISLAND = frozenset(kind.id for kind in FAULTS.values() if kind.action_forming is not Action.WARN)
SHARED_STOP = frozenset(kind.id for kind in FAULTS.values() if kind.action in (Action.OPEN_ALL, Action.OPEN_PROVEN))
OPENS = frozenset(
    kind.id for kind in FAULTS.values() if kind.action in (Action.OPEN, Action.OPEN_ALL, Action.OPEN_PROVEN)
)
DENIED = {"inverter-says-off": OPENS | {"island_not_formed"}}
"""Faults in which the converter says that it makes no grid: to a controller that believes it there is no island, and it
does what it does beside a converter that follows the grid, or stands: opens for what the converter says against itself
(inverter_power_while_stopped), and keeps one that says OFF as the grid goes from starting onto the loads."""

ENERGY_FRAC = 1e-6


def invariants(rig: RigFile, outcome: Outcome) -> Iterator[Verdict]:
    """All of them, in reading order."""
    kinds = frozenset(fault.kind for fault in outcome.faults)
    yield from _limits_kept(rig.site.limits, outcome, BEYOND_COMMAND_S if kinds & UNCONTROLLED else STOP_S)
    yield _opened_without_load(rig, outcome, kinds)
    yield _opened_after_zero(outcome, kinds)
    yield _no_power_after_a_stop(outcome)
    yield _zero_arrives(outcome)
    yield _no_command_outlives_its_expiry(rig, outcome)
    yield _island_kept(outcome, kinds)
    yield _energy_accounted(outcome)


def _limits_kept(limits: Limits, outcome: Outcome, deadline_s: float) -> Iterator[Verdict]:
    """No power flows longer than the deadline through racks that show a cell or a current beyond the maximum level."""
    signals = outcome.signals
    flows = np.abs(outcome.curves.battery_power_w) > FLOWS_FRAC * outcome.end.rated_power_w
    highest_v, lowest_v = signals["shown_cell_voltage_v_max"], signals["shown_cell_voltage_v_min"]
    # A sensor that shows what no cell can have says nothing about its cell, and ends no island.
    served = signals["island_formed"] > 0.0
    above = (highest_v > limits.cell_voltage_v_max) & ~(served & (highest_v > limits.cell_voltage_v_max_possible))
    below = (lowest_v < limits.cell_voltage_v_min) & ~(served & (lowest_v < limits.cell_voltage_v_min_possible))
    crossed: tuple[tuple[str, Truths], ...] = (
        ("cell voltage above maximum", above),
        ("cell voltage below minimum", below),
        (
            "temperature above maximum",
            signals["shown_temperature_degc_max"] > limits.discharge_temperature_degc_max,
        ),
        ("current above maximum", np.abs(signals["shown_current_a"]) > _current_a_max(limits)),
    )
    for what, beyond in crossed:
        start, length_s = longest_run(outcome.curves.time_s, beyond & flows)
        at = f" from {outcome.curves.time_s[start]:.2f} s on" if start is not None else ""
        measured = f"{time_words(length_s)}{at}" if at else "never"
        yield Verdict(f"power with {what}", f"less than {time_words(deadline_s)}", measured, length_s < deadline_s)


def _current_a_max(limits: Limits) -> float:
    return max(limits.rack_charge_current_a_max, limits.rack_discharge_current_a_max)


def _opened_without_load(rig: RigFile, outcome: Outcome, kinds: frozenset[str]) -> Verdict:
    """The controller opens no main contactor above its break current, but for what circulates between racks after a
    wait; what a rack's watchdog opens while no controller ticks is not its doing. A precharge contactor breaks what its
    resistor lets through, also into a short: nothing else can end that."""
    ticks_s = _ticks_s(outcome)
    loaded_a = [
        each.current_a
        for each in outcome.end.openings
        if each.circulated_s < CIRCULATED_S and each.at_s - _last_before(ticks_s, each.at_s) < UNWATCHED_S
    ]
    opened_a, break_a = max(loaded_a, default=0.0), rig.plant.contactor_break_current_a
    keeps_power = rig.microgrid is not None or rig.plant.converter == "forming" or bool(kinds & KEEPS_POWER)
    exempt = bool(kinds & OPENS_BY_ITSELF) or (keeps_power and bool(kinds & UNCONTROLLED))
    required = f"at most {break_a:g} A" if not exempt else "not judged: a fault opens or hides it"
    return Verdict("current when a contactor opened", required, f"{opened_a:.1f} A", exempt or opened_a <= break_a)


def _no_power_after_a_stop(outcome: Outcome) -> Verdict:
    """While a fault that opens all is active the set-point sent is 0 W, tick by tick; what an island's converter is
    sent is a bound."""
    columns = outcome.recorder.table().select(["time_s", "faults", "sent_power_w"]).to_pydict()
    time_s, formed = outcome.curves.time_s, outcome.signals["island_formed"] > 0.0
    lately = time_s - np.maximum.accumulate(np.where(formed, time_s, -np.inf)) <= UNHEARD_S
    served = _in_effect(np.array(columns["time_s"]), time_s, lately)
    rows = zip(columns["time_s"], columns["faults"], columns["sent_power_w"], served, strict=True)
    wrong = [
        time_s
        for time_s, faults, sent_w, formed in rows
        if sent_w and not formed > 0.0 and not SHARED_STOP.isdisjoint(faults.split(","))
    ]
    measured = f"set-point at {wrong[0]:.2f} s" if wrong else "none"
    return Verdict("set-point after a fault that opens all", "0 W", measured, not wrong)


def _opened_after_zero(outcome: Outcome, kinds: frozenset[str]) -> Verdict:
    """A contactor opens only once the converter has been told 0 W, or to stop; but for a rack that leaves to be
    stripped, at a low current while others work on."""
    closed, command_w = outcome.signals["contactors_closed"], outcome.signals["power_command_w"]
    opened = np.flatnonzero(np.diff(closed, prepend=closed[:1]) < 0)
    rows = outcome.recorder.table().select(["time_s", "rack_states"]).to_pydict()
    stripped_s = [at for at, states in zip(*rows.values(), strict=True) if RackMode.STRIP in states.split(",")]
    early = [
        at
        for at in opened
        if command_w[at] != 0.0 and not any(abs(outcome.curves.time_s[at] - each) < STRIPPED_S for each in stripped_s)
    ]
    exempt = bool(kinds & (OPENS_BY_ITSELF | OPENS_BY_WATCHDOG | UNCONTROLLED))
    required = "0 W before" if not exempt else "not judged: a fault opens, or the converter obeys nobody"
    measured = f"{command_w[early[0]]:.0f} W at {outcome.curves.time_s[early[0]]:.2f} s" if early else "0 W before"
    return Verdict("set-point when a contactor opened", required, measured, exempt or not early)


def _zero_arrives(outcome: Outcome) -> Verdict:
    """What the controller decided to be 0 W is 0 W in the converter's registers after ZERO_S."""
    rows = outcome.recorder.table().select(["time_s", "sent_power_w"]).to_pydict()
    decided = _in_effect(outcome.curves.time_s, rows["time_s"], rows["sent_power_w"]) == 0.0
    start, length_s = longest_run(outcome.curves.time_s, decided & (outcome.signals["power_command_w"] != 0.0))
    measured = "never" if start is None else f"{time_words(length_s)} from {outcome.curves.time_s[start]:.2f} s on"
    required = f"less than {time_words(ZERO_S)}"
    return Verdict("set-point in the converter after 0 W", required, measured, length_s < ZERO_S)


def _no_command_outlives_its_expiry(rig: RigFile, outcome: Outcome) -> Verdict:
    """A set-point that nobody renews is gone after the converter's reversion time, whoever died."""
    most_s = reversion_s(rig.plant.inverter_profile) + EXPIRY_MARGIN_S
    oldest_s = float(outcome.signals["command_age_s"].max(initial=0.0))
    return Verdict("age of a set-point", f"at most {time_words(most_s)}", time_words(oldest_s), oldest_s <= most_s)


def _island_kept(outcome: Outcome, kinds: frozenset[str]) -> Verdict:
    """Whoever serves an island goes on, unless a fault ends it (bms faults), or takes the converter down by itself."""
    time_s, alone, formed = outcome.curves.time_s, outcome.signals["island_alone"], outcome.signals["island_formed"]
    falls_s = time_s[np.flatnonzero((np.diff(formed, prepend=formed[:1]) < 0) & (alone > 0.0))]
    dropped = [at for at in falls_s if _was_served(outcome, at)]
    columns = outcome.recorder.table().select(["time_s", "faults"]).to_pydict()
    enders = ENDS_ISLAND.union(*(DENIED.get(kind, ()) for kind in kinds))
    ends = [not enders.isdisjoint(faults.split(",")) for faults in columns["faults"]]
    causes_s = np.array(columns["time_s"])[np.array(ends, np.bool_)]
    alone_s = [at for at in dropped if not ((causes_s >= at - CAUSE_S) & (causes_s <= at + CAUSE_S)).any()]
    exempt = bool(kinds & DROPS_BY_ITSELF)
    required = "never without a maximum level" if not exempt else "not judged: a fault drops it"
    measured = f"at {alone_s[0]:.2f} s" if alone_s else "never"
    return Verdict("island dropped", required, measured, exempt or not alone_s)


def _was_served(outcome: Outcome, dropped_s: float) -> bool:
    """By a rack, at some moment of the island that was dropped then: what the link's capacitors give for a few
    milliseconds is no island. And by a controller: an island that came and went while none ticked, for longer than the
    racks' watchdogs wait, is one that nobody could tell them to hold."""
    time_s, formed = outcome.curves.time_s, outcome.signals["island_formed"]
    within = time_s < dropped_s
    before_s = time_s[within & (formed == 0.0)]
    since_s = before_s[-1] if before_s.size else 0.0
    fed = bool((outcome.signals["contactors_closed"][within & (time_s > since_s)] > 0.0).any())
    last_s = _last_before(_ticks_s(outcome), dropped_s)
    unseen = last_s <= since_s + TICK_S and dropped_s - last_s >= UNWATCHED_S
    return fed and not unseen


def _ticks_s(outcome: Outcome) -> Floats:
    """When the controller, or one after the other, ticked."""
    return np.array(outcome.recorder.table().column("time_s").to_pylist(), np.float64)


def _last_before(ticks_s: Floats, at_s: float) -> float:
    """The newest tick before `at_s`; minus infinity if there is none."""
    count = int(np.searchsorted(ticks_s, at_s))
    return float(ticks_s[count - 1]) if count else -np.inf


def _in_effect(time_s: Floats, since_s: ArrayLike, values: ArrayLike) -> Floats:
    """The value that holds at each time, each since its own; NaN before the first."""
    at = np.searchsorted(np.asarray(since_s), time_s, side="right")
    held: Floats = np.concatenate(([np.nan], np.asarray(values, np.float64)))[at]
    return held


def _energy_accounted(outcome: Outcome) -> Verdict:
    """Load = grid + PV + battery over the whole run, and no part of the battery gives more than it took."""
    energies = outcome.end.energies
    through = energies.load_j + energies.discharged_j + energies.charged_j + energies.grid_import_j + energies.pv_j
    gap_j = energies.load_j - (energies.grid_import_j - energies.grid_export_j)
    gap_j -= energies.discharged_j - energies.charged_j + energies.pv_j
    gap_frac = abs(gap_j) / max(through, 1.0)
    gains = max(energies.discharged_j - energies.dc_out_j, energies.dc_in_j - energies.charged_j) / max(through, 1.0)
    worst = max(gap_frac, gains)
    return Verdict("energy that nobody accounts for", f"at most {ENERGY_FRAC:g}", f"{worst:.1g}", worst <= ENERGY_FRAC)
