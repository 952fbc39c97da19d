"""Random campaigns: what a seed stands for, how a violation is shrunk, and that planted bugs are found."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

import bms.battery
import bms.controller
import bms.guard
import bms.protect.protection
import hil_rigs.run
import hil_rigs.swarm.command
from bms.decision import Decision
from bms.site import Site
from hil_rigs.cli import main
from hil_rigs.faults.place import locate
from hil_rigs.faults.spec import FAULT_KINDS, parse_fault
from hil_rigs.plant.converter import ConverterPlant
from hil_rigs.rig import Endpoints, RigFile
from hil_rigs.scenario import find_scenario
from hil_rigs.swarm.command import SeedResult, Violation, run_drawn
from hil_rigs.swarm.draw import BASES, Draw, draw, possible
from hil_rigs.swarm.shrink import shrunk


def test_seed_stands_for_the_same_run_for_ever() -> None:
    assert draw(7, 45.0) == draw(7, 45.0)
    assert len({draw(seed, 45.0).faults for seed in range(50)}) == 50


def test_seeds_together_draw_every_base_and_every_kind_of_fault_and_nothing_impossible() -> None:
    draws = [draw(seed, 45.0) for seed in range(1000)]
    rigs = {base: find_scenario(base).find_rig() for base in BASES}
    assert {drawn.base for drawn in draws} == set(BASES)
    faults = [(drawn, parse_fault(text)) for drawn in draws for text in drawn.faults]
    assert {fault.kind for _, fault in faults} == {kind for rig in rigs.values() for kind in possible(rig)}
    assert {FAULT_KINDS[fault.kind].needs for _, fault in faults} == {"", "switch", "process"}
    for drawn, fault in faults:
        locate(rigs[drawn.base], fault)
        assert 1.0 <= fault.at_s <= 33.0


@pytest.mark.parametrize(
    ("breaks", "fewest"),
    [
        (lambda faults: "c" in faults, ("c",)),
        (lambda faults: {"a", "d"} <= set(faults), ("a", "d")),
        (lambda faults: True, ()),
        (lambda faults: len(faults) >= 3, ("b", "c", "d")),
    ],
)
def test_shrinking_leaves_only_what_is_needed(
    breaks: Callable[[tuple[str, ...]], bool], fewest: tuple[str, ...]
) -> None:
    assert shrunk(("a", "b", "c", "d"), breaks) == fewest


CHARGING, ISLAND = "swarm-charging", "swarm-island"


def run(fault: str, base: str = CHARGING) -> SeedResult:
    """As a seed that draws this one fault, early and for a short run."""
    return run_drawn(Draw(1, base, 14.0, (fault,)))


def no_wait_for_a_stopped_converter(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    monkeypatch.setattr(bms.battery.Battery, "_may_open", lambda *_: True)
    return run("smoke@9:rack-1")


def end_before_the_contactors_are_open(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    monkeypatch.setattr(bms.controller.Controller, "_stopped", lambda _, stopping_s: stopping_s > 0.0)
    return run("clock-jump@8")


def wish_that_no_fault_takes_back(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    """The dispatch's last wish goes on to the converter while everything is told to open."""
    decide = bms.controller.Controller._decide

    def stubborn(controller: bms.controller.Controller, *seen: Any) -> Decision:
        return decide(controller, *seen)._replace(power_w=50e3)

    monkeypatch.setattr(bms.controller.Controller, "_decide", stubborn)
    monkeypatch.setattr(bms.guard.Guard, "step", lambda _, __, wish, ___: wish)
    return run("gas@8:rack-2")


def slipped(monkeypatch: pytest.MonkeyPatch, change: Callable[[Site], dict[str, object]]) -> None:
    """The controller gets another site than the rig has: a slip of a unit or a digit."""
    right = hil_rigs.run.make_site

    def make_site(rig: RigFile, endpoints: Endpoints) -> Site:
        site = right(rig, endpoints)
        return site.model_copy(update=change(site))

    monkeypatch.setattr(hil_rigs.run, "make_site", make_site)


def wrong_limits(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    slipped(monkeypatch, lambda site: {"limits": site.limits.model_copy(update=limits)})


def temperature_in_another_unit(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    names = [f"{way}_temperature_degc_max{level}" for way in ("charge", "discharge")
             for level in ("", "_recommended", "_operating")]  # fmt: skip
    wrong_limits(monkeypatch, **dict.fromkeys(names, 600.0))
    return run("cell-overtemperature@8:rack-1/5")


def voltage_with_a_wrong_digit(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    names = [f"cell_voltage_v_max{level}" for level in ("", "_recommended", "_operating")]
    wrong_limits(monkeypatch, **dict.fromkeys(names, 5.65))
    return run("cell-overvoltage@8:rack-1/5")


def voltage_of_another_chemistry(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    names = [f"cell_voltage_v_min{level}" for level in ("", "_recommended", "_operating")]
    wrong_limits(monkeypatch, **dict.fromkeys(names, 1.0))
    return run("cell-undervoltage@8:rack-1/5")


def set_point_that_waits_for_a_dead_controller(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    slipped(monkeypatch, lambda site: {"inverter": site.inverter.model_copy(update={"reversion_s": 60})})
    return run("controller-killed@7::3")


def island_that_a_doubt_ends(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    """Somebody forgets that 0 W is a blackout where the converter makes the grid."""
    monkeypatch.setattr(bms.protect.protection, "forms_grid", lambda _: False)
    return run("monitor-counter@7:rack-1", ISLAND)


def converter_that_makes_energy(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    deliver = ConverterPlant._deliver

    def generous(converter: ConverterPlant, ac_power_w: float) -> None:
        deliver(converter, ac_power_w)
        converter.dc_power_w *= 1.1 if ac_power_w < 0.0 else 0.9

    monkeypatch.setattr(ConverterPlant, "_deliver", generous)
    return run("door-open@8:rack-1")


def task_that_nobody_ends(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    stop = bms.controller.Controller.stop

    def forgetful(controller: bms.controller.Controller) -> None:
        stop(controller)
        forgotten.append(asyncio.get_running_loop().create_task(asyncio.sleep(1e6)))

    forgotten: list[asyncio.Task[None]] = []
    monkeypatch.setattr(bms.controller.Controller, "stop", forgetful)
    return run("door-open@3:rack-1")


FINDS = {
    no_wait_for_a_stopped_converter: "current when a contactor opened",
    end_before_the_contactors_are_open: "orderly stop",
    wish_that_no_fault_takes_back: "set-point after a fault that opens all",
    temperature_in_another_unit: "power with temperature above maximum",
    voltage_with_a_wrong_digit: "power with cell voltage above maximum",
    voltage_of_another_chemistry: "power with cell voltage below minimum",
    set_point_that_waits_for_a_dead_controller: "age of a set-point",
    island_that_a_doubt_ends: "island dropped",
    converter_that_makes_energy: "energy that nobody accounts for",
    task_that_nobody_ends: "hil_rigs.world.errors.LeftPending",
}


@pytest.mark.parametrize("plant", FINDS, ids=lambda plant: plant.__name__)
def test_planted_bug_is_found_and_replayed(
    plant: Callable[[pytest.MonkeyPatch], SeedResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    violation = plant(monkeypatch).violation
    assert violation is not None
    assert any(broken.startswith(FINDS[plant]) for broken in violation.broken)
    assert violation.replay.startswith(("hil run swarm-charging --seed 1", "hil run swarm-island --seed 1"))


@pytest.mark.parametrize(
    ("base", "faults"),
    [
        ("swarm-plateau", ("rack-charge@2.2:rack-2:0.15",)),
        ("swarm-discharging", ("link-shorted@1.06",)),
        ("swarm-island", ("inverter-says-off@2.9::59000",)),
        ("swarm-island", ("bus-open@3:rack-1", "inverter-exception@3.1::10")),
    ],
)
def test_what_no_controller_can_help_is_no_violation(base: str, faults: tuple[str, ...]) -> None:
    assert run_drawn(Draw(1, base, 4.5, faults)).violation is None


def test_clean_seeds_are_said_to_be_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swarm", "--seeds", "2", "--first", "3", "--minutes", "0.5", "--jobs", "1", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["seeds"], document["violations"]) == (2, [])


def test_without_a_screen_every_seed_is_a_line_and_a_short_campaign_is_counted_in_minutes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = [draw(seed, 30.0) for seed in (3, 4)]
    finished = iter([SeedResult(drawn[0], None), SeedResult(drawn[1], Violation(4, ("x: broken",), "hil run x"))])
    monkeypatch.setattr(hil_rigs.swarm.command, "_results", lambda *_: finished)
    assert main(["swarm", "--seeds", "2", "--first", "3", "--minutes", "0.5", "--plain"]) == 1
    said = capsys.readouterr()
    first, second, last = said.out.splitlines()
    assert first == f"clean  seed 3 ({drawn[0].base}: {' '.join(drawn[0].faults)})"
    assert second == f"BROKEN seed 4 ({drawn[1].base}: {' '.join(drawn[1].faults)})"
    assert last == "2 seeds, 1.0 min simulated in 0 s: 1 violation"
    assert said.err == "violation: x: broken\nreplay: hil run x\n"
