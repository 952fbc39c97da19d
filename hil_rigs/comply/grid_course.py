"""A course of the grid through a test, run on the simulated wire, and what the plant did along it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.settings import ApplicationSettings
from bms.state.store import Told
from hil_rigs.comply.service import Order
from hil_rigs.grid_spec import GridPoint, GridPoints
from hil_rigs.run import simulate

Floats = NDArray[np.float64]

SETTLE_S = 9.0
"""From the start: racks joined, converter running, and the limits up to what is sold."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Where the grid stays from `start_s` to `end_s`, and where it came from: distances below nominal, Hz."""

    start_s: float
    end_s: float
    before_hz: float
    off_hz: float


class Course:
    """The grid's frequency as points, from nominal; built leg by leg. `off_hz` is the distance below nominal."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = [(0.0, 0.0), (SETTLE_S, 0.0)]

    @property
    def now_s(self) -> float:
        return self.points[-1][0]

    def to(self, off_hz: float, hold_s: float, over_s: float = 0.0) -> Leg:
        """Go there, at once or along a ramp, and stay. The leg begins where it arrives."""
        before_hz = self.points[-1][1]
        start_s = self.now_s + over_s
        self.points += [(self.now_s, before_hz), (start_s, off_hz), (start_s + hold_s, off_hz)]
        return Leg(start_s, start_s + hold_s, before_hz, off_hz)

    def off_hz_at(self, time_s: Floats) -> Floats:
        """What it is at those times, exactly."""
        at_s, off_hz = np.array(self.points).T
        return np.asarray(np.interp(time_s, at_s, off_hz))


@dataclass(frozen=True, slots=True)
class Driven:
    """What the plant did, all [n]: battery power (discharge positive) and reactive power (injected positive).
    `faults` of the site itself: that the grid is off its range is the course."""

    time_s: Floats
    power_w: Floats
    reactive_var: Floats
    faults: tuple[str, ...]

    def over(self, leg: Leg) -> tuple[Floats, Floats]:
        """Time from the leg's start, and power, along it."""
        along = (self.time_s >= leg.start_s - 1e-9) & (self.time_s < leg.end_s - 1e-9)
        return self.time_s[along] - leg.start_s, self.power_w[along]


def drive(order: Order, course: Course, nominal_hz: int, applications: Sequence[ApplicationSettings]) -> Driven:
    """The deployed controller on the simulated wire along a course of the frequency."""
    points = [GridPoint(time_s=time_s, frequency_hz=nominal_hz - off_hz) for time_s, off_hz in course.points]
    return drive_points(order, points, nominal_hz, course.now_s, applications)


def drive_points(
    order: Order,
    points: Sequence[GridPoint],
    nominal_hz: int,
    duration_s: float,
    applications: Sequence[ApplicationSettings],
    tell: Sequence[tuple[float, Told]] = (),
) -> Driven:
    """The same along any points, while somebody tells the controller inputs at those times (s). The short form has one
    rack, which carries what is judged, and no others to reckon."""
    plant = order.rig.plant.model_copy(update={"racks": 1}) if order.short else order.rig.plant
    grid = GridPoints.model_validate({"kind": "points", "nominal_hz": nominal_hz, "points": tuple(points)})
    outcome = simulate(
        order.rig.model_copy(update={"grid": grid, "plant": plant}),
        seed=order.seed,
        duration_s=duration_s,
        load=order.load,
        adjust=lambda site: site.model_copy(update={"applications": tuple(applications)}),
        signals=["reactive_power_var"],
        tell=tell,
    )
    return Driven(
        time_s=outcome.curves.time_s,
        power_w=outcome.curves.battery_power_w,
        faults=tuple(trip.fault_id for trip in outcome.trips if not trip.fault_id.startswith("grid_")),
        reactive_var=outcome.signals["reactive_power_var"],
    )
