"""Random campaigns: what a seed stands for, how a violation is shrunk, and that planted bugs are found."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import bms.battery
import bms.controller
import bms.guard
import hil_rigs.run
from bms.decision import Decision
from bms.site import Site
from hil_rigs.cli import main
from hil_rigs.fault_spec import parse_fault
from hil_rigs.faults import locate
from hil_rigs.rig import Endpoints, RigFile, find_rig
from hil_rigs.scenario import find_scenario
from hil_rigs.swarm.command import SeedResult, run_seed
from hil_rigs.swarm.draw import BASES, DRAWN, draw
from hil_rigs.swarm.shrink import shrunk


def test_seed_stands_for_the_same_run_for_ever() -> None:
    assert draw(7, 45.0) == draw(7, 45.0)
    assert len({draw(seed, 45.0).faults for seed in range(50)}) == 50


def test_seeds_together_draw_every_base_and_every_kind_of_fault_and_nothing_impossible() -> None:
    draws = [draw(seed, 45.0) for seed in range(200)]
    assert {drawn.base for drawn in draws} == set(BASES)
    faults = [(drawn, parse_fault(text)) for drawn in draws for text in drawn.faults]
    assert {fault.kind for _, fault in faults} == set(DRAWN)
    for drawn, fault in faults:
        locate(find_rig(find_scenario(drawn.base).rig), fault)
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


def seed_with(*kinds: str, base: str = "swarm-charging", before_s: float = 30.0) -> int:
    """The first seed that strikes this base with one of these kinds alone, at power and before `before_s`."""
    for seed in range(10_000):
        drawn = draw(seed, 45.0)
        faults = [parse_fault(text) for text in drawn.faults]
        if drawn.base == base and len(faults) == 1 and faults[0].kind in kinds and 12.0 < faults[0].at_s < before_s:
            return seed
    raise AssertionError(f"no seed draws {kinds}")


def no_wait_for_a_stopped_converter(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    monkeypatch.setattr(bms.battery.Battery, "_may_open", lambda *_: True)
    return run_seed(seed_with("smoke", "emergency-stop", "gas"), 45.0)


def end_before_the_contactors_are_open(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    monkeypatch.setattr(bms.controller.Controller, "_stopped", lambda _, stopping_s: stopping_s > 0.0)
    return run_seed(seed_with("clock-jump"), 45.0)


def wish_that_no_fault_takes_back(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    """The dispatch's last wish goes on to the converter while everything is told to open."""
    decide = bms.controller.Controller._decide

    def stubborn(controller: bms.controller.Controller, *seen: Any) -> Decision:
        return decide(controller, *seen)._replace(power_w=50e3)

    monkeypatch.setattr(bms.controller.Controller, "_decide", stubborn)
    monkeypatch.setattr(bms.guard.Guard, "step", lambda _, __, wish, ___: wish)
    return run_seed(seed_with("smoke", "emergency-stop", "gas"), 45.0)


def wrong_limits(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """The controller gets other limits than the rig's site has: a slip of the unit or of a digit."""
    right = hil_rigs.run.make_site

    def slipped(rig: RigFile, endpoints: Endpoints) -> Site:
        site = right(rig, endpoints)
        return site.model_copy(update={"limits": site.limits.model_copy(update=limits)})

    monkeypatch.setattr(hil_rigs.run, "make_site", slipped)


def temperature_in_another_unit(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    names = [f"{way}_temperature_degc_max{level}" for way in ("charge", "discharge")
             for level in ("", "_recommended", "_operating")]  # fmt: skip
    wrong_limits(monkeypatch, **dict.fromkeys(names, 600.0))
    return run_seed(seed_with("cell-overtemperature"), 45.0)


def voltage_with_a_wrong_digit(monkeypatch: pytest.MonkeyPatch) -> SeedResult:
    names = [f"cell_voltage_v_max{level}" for level in ("", "_recommended", "_operating")]
    wrong_limits(monkeypatch, **dict.fromkeys(names, 5.65))
    return run_seed(seed_with("cell-overvoltage"), 45.0)


FINDS = {
    no_wait_for_a_stopped_converter: "current when a contactor opened",
    end_before_the_contactors_are_open: "orderly stop",
    wish_that_no_fault_takes_back: "set-point after a fault that opens all",
    temperature_in_another_unit: "power with temperature above maximum",
    voltage_with_a_wrong_digit: "power with cell voltage above maximum",
}


@pytest.mark.parametrize("plant", FINDS, ids=lambda plant: plant.__name__)
def test_planted_bug_is_found_and_replayed(
    plant: Callable[[pytest.MonkeyPatch], SeedResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    violation = plant(monkeypatch).violation
    assert violation is not None
    assert any(broken.startswith(FINDS[plant]) for broken in violation.broken)
    assert violation.replay.startswith("hil run swarm-charging --seed ")


def test_clean_seeds_are_said_to_be_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swarm", "--seeds", "2", "--first", "3", "--minutes", "0.5", "--jobs", "1", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["seeds"], document["violations"]) == (2, [])
