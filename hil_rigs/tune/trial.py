"""One trial of a study: the rig in virtual time with the trial's settings, once a seed, and what that costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bms.site import Site
from bms.site.applications import Application
from hil_rigs.faults.place import UnknownTargetError
from hil_rigs.report.summary import summarise_power
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from hil_rigs.tune.study import Study


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one run; `cost` weighs them as the study says, `tripped` are the ids of the faults, once each."""

    cost: float
    grid_range_5s_w: float
    grid_peak_w: float
    throughput_wh_per_h: float
    faults: int
    tripped: tuple[str, ...]


def measure(study: Study, settings: Mapping[str, float], seed: int) -> Measured:
    """Run once. The same study, settings and seed give the same figures."""
    outcome = simulate(
        find_rig(study.rig), seed=seed, duration_s=study.duration_s, adjust=adjuster(study.application, settings)
    )
    return weigh(study, outcome)


def adjuster(application: str, settings: Mapping[str, float]) -> Callable[[Site], Site]:
    """Replaces settings of one application; the changed site is checked like one from a file."""

    def adjust(site: Site) -> Site:
        document = site.model_dump(mode="json")
        for entry in document["applications"]:
            if entry["kind"] == application:
                entry.update(settings)
        return Site.model_validate(document)

    return adjust


def entry(study: Study, settings: Mapping[str, float]) -> Application:
    """The entry of `applications:` that a trial with these settings runs with: the rig's own, changed.
    UnknownTargetError when the rig has no such application."""
    applications = find_rig(study.rig).site.applications
    for application in applications:
        if application.kind == study.application:
            return type(application).model_validate(application.model_dump(exclude_unset=True) | dict(settings))
    known = ", ".join(application.kind for application in applications) or "nothing"
    raise UnknownTargetError(f"rig {study.rig}: no application {study.application}, it runs {known}")


def weigh(study: Study, outcome: Outcome) -> Measured:
    curves, cost = outcome.curves, study.cost
    counted = curves.time_s >= study.settle_time_s
    time_s, battery_w = curves.time_s[counted], curves.battery_power_w[counted]
    grid = summarise_power(time_s, curves.grid_power_w[counted])
    throughput_wh_per_h = float(np.trapezoid(np.abs(battery_w), time_s) / (time_s[-1] - time_s[0]))
    faults = len(outcome.trips)
    total = (
        cost.grid_range_5s_per_kw * grid.range_5s_w / 1e3
        + cost.grid_peak_per_kw * grid.peak_w / 1e3
        + cost.throughput_per_kwh * throughput_wh_per_h / 1e3
        + (cost.fault if faults else 0.0)
    )
    tripped = tuple(dict.fromkeys(trip.fault_id for trip in outcome.trips))
    return Measured(total, grid.range_5s_w, grid.peak_w, throughput_wh_per_h, faults, tripped)
