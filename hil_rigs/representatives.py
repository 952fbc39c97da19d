"""Few and short scenarios that together show every rig, application and family of faults: what quick tests run."""

from collections.abc import Iterable

from hil_rigs.rig import RigFile
from hil_rigs.scenario import Scenario

COST_S_MAX = 60.0
"""Simulated time of a rig of two racks; what costs more is run with the whole library only."""


def representatives(scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Chosen greedily by what a scenario shows that no other chosen one does, for its cost; the same each time."""
    ordered = sorted(scenarios, key=lambda each: each.name)
    left = {scenario.name: (scenario, *_weighed(scenario)) for scenario in ordered}
    left = {name: each for name, each in left.items() if each[2] <= COST_S_MAX}
    wanted = frozenset[str]().union(*(shows for _, shows, _ in left.values()))
    chosen: list[Scenario] = []
    while wanted:
        name = max(left, key=lambda each: len(left[each][1] & wanted) / left[each][2])
        scenario, shows, _ = left.pop(name)
        chosen.append(scenario)
        wanted -= shows
    return sorted(chosen, key=lambda each: each.name)


def _weighed(scenario: Scenario) -> tuple[frozenset[str], float]:
    """What it shows, and what it costs (s)."""
    rig = scenario.find_rig()
    return frozenset(_shows(scenario, rig)), scenario.duration_s * max(rig.plant.racks / 2.0, 1.0)


def _shows(scenario: Scenario, rig: RigFile) -> Iterable[str]:
    yield f"rig {rig.name}"
    yield from (f"application {application.kind}" for application in rig.site.applications)
    yield from (f"faults {fault.kind.partition('-')[0]}" for fault in scenario.faults)
