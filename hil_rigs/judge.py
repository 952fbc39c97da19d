"""Holds an outcome against what its scenario expects: one row a criterion, required beside measured."""

from collections.abc import Iterator

from hil_rigs.checks import Signals
from hil_rigs.invariants import invariants
from hil_rigs.report.summary import summarise_power
from hil_rigs.rig import RigFile
from hil_rigs.run import EndState, Outcome
from hil_rigs.scenario import Expect
from hil_rigs.verdict import Verdict

ZERO_POWER_FRAC = 0.01
"""Battery power below this share of the converter's rating counts as 0 W."""


def judge(rig: RigFile, expect: Expect, outcome: Outcome) -> list[Verdict]:
    """All criteria of a scenario, in reading order."""
    return [
        *_fault_verdicts(expect, outcome),
        *_end_verdicts(expect, outcome.end),
        *_grid_verdicts(expect, outcome),
        *_check_verdicts(expect, outcome),
        *(invariants(rig, outcome) if expect.invariants else ()),
    ]


def battery_state(end: EndState) -> str:
    """The battery at the end in the scenario's words, or mixed: some racks open, and no power."""
    if not any(end.contactors_closed):
        return "open"
    working = end.battery_power_w_max >= ZERO_POWER_FRAC * end.rated_power_w
    if not all(end.contactors_closed):
        return "partial" if working else "mixed"
    return "running" if working else "zero"


def _fault_verdicts(expect: Expect, outcome: Outcome) -> Iterator[Verdict]:
    raised = sorted({trip.fault_id for trip in outcome.trips})
    words = ", ".join(raised) or "none"
    if expect.no_faults:
        yield Verdict("faults", "none", words, not raised)
    for fault_id in expect.faults:
        yield Verdict("fault raised", fault_id, words, fault_id in raised)


def _end_verdicts(expect: Expect, end: EndState) -> Iterator[Verdict]:
    if expect.battery is not None:
        state = battery_state(end)
        yield Verdict("battery at the end", expect.battery, state, state == expect.battery)
    if expect.opened is not None:
        words = {True: "yes", False: "no"}
        yield Verdict("contactors opened", words[expect.opened], words[end.opened], end.opened == expect.opened)
    yield Verdict("orderly stop", "0 W and open", "yes" if end.stopped_safely else "no", end.stopped_safely)


def _grid_verdicts(expect: Expect, outcome: Outcome) -> Iterator[Verdict]:
    if expect.grid_range_w_5s_max is None and expect.grid_power_w_max is None:
        return
    curves = outcome.curves
    judged = curves.time_s >= expect.settle_time_s
    grid = summarise_power(curves.time_s[judged], curves.grid_power_w[judged])
    if expect.grid_range_w_5s_max is not None:
        limit_w = expect.grid_range_w_5s_max
        yield Verdict("grid range in any 5 s", _kw(limit_w), _kw(grid.range_5s_w), grid.range_5s_w <= limit_w)
    if expect.grid_power_w_max is not None:
        yield Verdict(
            "grid peak", _kw(expect.grid_power_w_max), _kw(grid.peak_w), grid.peak_w <= expect.grid_power_w_max
        )


def _check_verdicts(expect: Expect, outcome: Outcome) -> Iterator[Verdict]:
    values = {**outcome.signals, "battery_power_w": outcome.curves.battery_power_w}
    injected = [(fault.kind, fault.at_s) for fault in outcome.faults]
    signals = Signals(outcome.curves.time_s, values, injected)
    for text, check in expect.parsed_checks:
        finding = check.judge(signals)
        yield Verdict("check", text, finding.measured, finding.passed)


def _kw(power_w: float) -> str:
    return f"{power_w / 1e3:.1f} kW"
