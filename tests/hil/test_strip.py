"""A zinc rack's strip on the simulated wire: it leaves, is emptied, refills and comes back while the others go on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bms.dispatch.applications.frequency_response import FrequencyResponse
from bms.dispatch.applications.strip import Strip
from bms.site import Site
from hil_rigs.grid_spec import SteadyGrid
from hil_rigs.plant.build import PlantConfig, build_plant
from hil_rigs.plant.plating import Plating
from hil_rigs.plant.rack import ChargeLoss, RackPlant
from hil_rigs.rig import RigFile, find_rig
from hil_rigs.run import Outcome, simulate

SOLD_W, ANSWER_W = 150.0, 55.0
"""Of Dynamic Containment at 49.7 Hz: 5 % + 95 % x (0.3 - 0.2) / 0.3 of what is sold."""
CELL = Path(__file__).parents[2] / "kernels" / "cells" / "zinc-200ah.yaml"
PLAN = Strip(kind="strip", interval_h=1.0, start_frac=0.0, duration_h=0.3, rest_min=0.05)


def small_rig(cell: Path) -> RigFile:
    """Three racks of 32 cells: hours of a strip become seconds with cells of 5 Ah and the shunts of larger ones."""
    cell.write_text(
        CELL.read_text().replace("capacity_ah: 200", "capacity_ah: 5").replace("rc_tau_s: 60", "rc_tau_s: 2")
    )
    rig = find_rig("zinc")
    plant = rig.plant.model_copy(
        update={"racks": 3, "modules_per_rack": 2, "cells_per_module": 16, "cell": str(cell), "soc_frac": 0.15,
                "inverter_power_w": 12e3, "bleed_ohm": 0.01, "precharge_ohm": 0.6}
    )  # fmt: skip
    grid = SteadyGrid(kind="constant", nominal_hz=50.0, frequency_hz=49.7)
    return rig.model_copy(update={"plant": plant, "grid": grid})


def with_plan(site: Site, plan: Strip = PLAN) -> Site:
    sold = FrequencyResponse(
        kind="frequency-response", product="uk-dc", discharge_power_w=SOLD_W, soc_frac_min=0.0, soc_frac_max=1.0
    )
    precharge = site.precharge.model_copy(update={"join_window_v": 6.0, "circulating_current_a_max": 100.0})
    return site.model_copy(update={"applications": (sold, plan), "precharge": precharge})


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    rig = small_rig(tmp_path_factory.mktemp("zinc") / "zinc-5ah.yaml")
    return simulate(rig, seed=1, duration_s=64.0, adjust=with_plan, signals=("contactors_closed", "rack_current_a"))


@pytest.fixture(scope="module")
def rows(outcome: Outcome) -> dict[str, list[Any]]:
    return outcome.recorder.table().to_pydict()


def test_rack_is_emptied_refilled_and_comes_back(rows: dict[str, list[Any]]) -> None:
    states = [each.split(",")[0] for each in rows["rack_states"]]
    begins = states.index("opening")
    assert list(dict.fromkeys(states[begins - 1 : states.index("online", begins) + 1])) == [
        "online", "opening", "standby", "strip", "off", "refill", "entering",
    ]  # fmt: skip


def test_others_go_on_and_what_is_sold_never_stops(outcome: Outcome, rows: dict[str, list[Any]]) -> None:
    curves = outcome.curves
    from_s = 5.0  # the limits rise after the start
    assert np.abs(curves.battery_power_w[curves.time_s > from_s] - ANSWER_W).max() < 2.0
    assert outcome.signals["contactors_closed"][curves.time_s > from_s].min() == 2
    assert outcome.trips == ()
    assert {mode for at_s, mode in zip(rows["time_s"], rows["mode"], strict=True) if 2.0 < at_s < 63.0} == {"running"}


def test_its_contactors_open_below_the_break_current(outcome: Outcome) -> None:
    assert outcome.end.opened_under_load_a < 50.0


def test_soc_of_a_stripped_rack_is_0(rows: dict[str, list[Any]]) -> None:
    states = [each.split(",")[0] for each in rows["rack_states"]]
    first = states.index("refill") + 5  # the next control tick
    assert rows["soc_min_frac"][first] == pytest.approx(0.0, abs=1e-3)


def test_record_says_who_is_out_and_who_waits(rows: dict[str, list[Any]]) -> None:
    said = list(dict.fromkeys(rows["strip"]))
    assert "rack-1 strips; rack-2 waits: rack-1 is out" in said
    assert "rack-1 refills; rack-2 waits: rack-1 is out" in said


def test_strip_that_services_leave_no_room_for_is_an_alarm(tmp_path: Path) -> None:
    plan = Strip(kind="strip", interval_h=0.002, start_frac=0.0, duration_h=0.002, discharge_power_w_kept=1e5)
    outcome = simulate(
        small_rig(tmp_path / "zinc-5ah.yaml"), seed=1, duration_s=13.0, adjust=lambda site: with_plan(site, plan)
    )
    assert [(trip.fault_id, trip.target) for trip in outcome.trips] == [("strip_overdue", "controller")]
    assert "rack-1 waits: the others give 12000 W of 100" in outcome.trips[0].detail


def rested(soc_frac: float, hours: float) -> float:
    """What is left of an irregularity of 1 after a rest at this SoC."""
    plating = Plating(0.1, 200.0, 1.0)
    for _ in range(round(hours * 360.0)):
        plating.step(0.0, np.full(4, soc_frac), 10.0)
    return plating.irregularity_frac


def test_rack_loses_more_the_more_uneven_its_plating_is() -> None:
    """Twice the 7 % of a charge and twice the self-discharge of 0.4 A at an irregularity of 1."""
    lost_ah = []
    for irregularity_frac in (0.0, 1.0):
        cells = build_plant(PlantConfig(racks=1, cells_in_series=4, cell="zinc-200ah", soc_frac=0.5)).racks[0].cells
        rack = RackPlant(cells, loss=ChargeLoss(0.93, 0.4), plating=Plating(0.0, 200.0, irregularity_frac))
        rack.current_a, before = -40.0, cells.soc_frac.mean()
        for _ in range(360):
            rack.step(10.0, 25.0)
        lost_ah.append(40.0 - 200.0 * float(cells.soc_frac.mean() - before))
    assert lost_ah == pytest.approx([3.2, 6.4], rel=0.05)


def test_plating_grows_uneven_with_charge_and_the_cells_lose_more() -> None:
    plating = Plating(0.1, 200.0)
    for current_a in (-100.0, 100.0):
        for _ in range(7200):
            plating.step(current_a, np.full(4, 0.5), 1.0)
    assert plating.irregularity_frac == pytest.approx(0.1)


def test_empty_rack_that_rests_is_as_new_and_one_that_is_not_empty_is_not() -> None:
    assert rested(0.001, 1.0) < 0.01
    assert rested(0.05, 1.0) == 1.0


def test_empty_cells_give_nothing_to_their_shunts() -> None:
    rack = build_plant(PlantConfig(racks=1, cells_in_series=4, cell="zinc-200ah", soc_frac=0.0, bleed_ohm=0.05)).racks[
        0
    ]
    before = rack.cells.soc_frac.copy()
    rack.bleed[:] = 1
    for _ in range(360):
        rack.step(10.0, 25.0)
    assert (before <= 0.0).any()
    assert rack.cells.soc_frac[before <= 0.0] == pytest.approx(before[before <= 0.0])
    assert rack.cells.soc_frac.max() < 0.001
