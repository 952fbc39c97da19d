"""What must hold in every run, whatever goes wrong: judged where a scenario says `invariants: true`."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bms.protect.faults import FAULTS, Action
from bms.site import Limits
from hil_rigs.checks import longest_run, time_words
from hil_rigs.rig import RigFile
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

UNCONTROLLED = frozenset({"inverter-says-off", "inverter-local", "inverter-lost"})
"""Faults beside which the converter may obey nobody."""

OPENS_BY_ITSELF = frozenset({"contactor-drops", "contactor-closes"})
"""Faults in which a contactor opens, or does not, whatever the controller wants."""

SHARED_STOP = frozenset(kind.id for kind in FAULTS.values() if kind.action in (Action.OPEN_ALL, Action.OPEN_PROVEN))
ENERGY_FRAC = 1e-6


def invariants(rig: RigFile, outcome: Outcome) -> Iterator[Verdict]:
    """All of them, in reading order."""
    kinds = frozenset(fault.kind for fault in outcome.faults)
    yield from _limits_kept(rig.site.limits, outcome, BEYOND_COMMAND_S if kinds & UNCONTROLLED else STOP_S)
    yield _opened_without_load(rig, outcome, kinds)
    yield _no_power_after_a_stop(outcome)
    yield _energy_accounted(outcome)


def _limits_kept(limits: Limits, outcome: Outcome, deadline_s: float) -> Iterator[Verdict]:
    """No power flows longer than the deadline through racks that show a cell or a current beyond the maximum level."""
    signals = outcome.signals
    flows = np.abs(outcome.curves.battery_power_w) > FLOWS_FRAC * outcome.end.rated_power_w
    crossed: tuple[tuple[str, Truths], ...] = (
        ("cell voltage above maximum", signals["shown_cell_voltage_v_max"] > limits.cell_voltage_v_max),
        ("cell voltage below minimum", signals["shown_cell_voltage_v_min"] < limits.cell_voltage_v_min),
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
    """The controller opens no contactor above its break current."""
    opened_a, break_a = outcome.end.opened_under_load_a, rig.plant.contactor_break_current_a
    exempt = bool(kinds & OPENS_BY_ITSELF)
    required = f"at most {break_a:g} A" if not exempt else "not judged: a fault opens or hides it"
    return Verdict("current when a contactor opened", required, f"{opened_a:.1f} A", exempt or opened_a <= break_a)


def _no_power_after_a_stop(outcome: Outcome) -> Verdict:
    """While a fault that opens all is active the set-point sent is 0 W, tick by tick."""
    columns = outcome.recorder.table().select(["time_s", "faults", "sent_power_w"]).to_pydict()
    rows = zip(columns["time_s"], columns["faults"], columns["sent_power_w"], strict=True)
    wrong = [time_s for time_s, faults, sent_w in rows if sent_w and not SHARED_STOP.isdisjoint(faults.split(","))]
    measured = f"set-point at {wrong[0]:.2f} s" if wrong else "none"
    return Verdict("set-point after a fault that opens all", "0 W", measured, not wrong)


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
