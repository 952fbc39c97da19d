"""Faults: each cause trips its own, named fault with its action, and clears or latches as the table says."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from bms.image import Image
from bms.protect.faults import FAULTS, Action
from bms.protect.protection import Protected, Protection
from bms.site import FaultSetting, Island, Limits, LoadBlock, Site
from bms.summary import summarise
from drivers.readings import InverterState, MonitorHealth, RackReading, SwitchgearReading

DT_S = 0.02
CONTRADICTIONS = {"cell_voltage_spread", "cell_temperature_spread", "rack_voltage_mismatch", "dc_current_mismatch"}


def run(protection: Protection, image: Image, seconds: float) -> Protected:
    for _ in range(round(seconds / DT_S)):
        protected = protection.step(image, summarise(image), DT_S)
    return protected


def ids(protected: Protected) -> list[str]:
    """Without what a single value that is changed contradicts in racks of four cells: that is told elsewhere."""
    return sorted({fault.kind.id for fault in protected.faults} - CONTRADICTIONS)


def three(name: str) -> list[str]:
    """The quantity's faults, operating level first."""
    return [f"{name}_operating", f"{name}_recommended", name]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cells": {1: 3.66}}, three("cell_voltage_high")),
        ({"cells": {1: 3.59}}, three("cell_voltage_high")[:2]),
        ({"cells": {1: 3.51}}, three("cell_voltage_high")[:1]),
        ({"cells": {1: 2.49}}, three("cell_voltage_low")),
        ({"cells": {1: 2.64}}, three("cell_voltage_low")[:2]),
        ({"cells": {1: 2.79}}, three("cell_voltage_low")[:1]),
        ({"degc": {1: 45.5}}, three("charge_temperature_high")[:1]),
        ({"degc": {1: 55.5}}, [*three("charge_temperature_high")[:2], *three("discharge_temperature_high")[:1]]),
        ({"degc": {1: 57.5}}, [*three("charge_temperature_high")[:2], *three("discharge_temperature_high")[:2]]),
        ({"degc": {1: 60.5}}, [*three("charge_temperature_high")[:2], *three("discharge_temperature_high")]),
        (
            {"degc": {1: 60.5}, "current_a": -20.0},
            [*three("charge_temperature_high"), *three("discharge_temperature_high")],
        ),
        ({"degc": {1: 4.5}}, three("charge_temperature_low")[:1]),
        ({"degc": {1: -0.5}}, three("charge_temperature_low")[:2]),
        ({"degc": {1: -5.5}}, three("charge_temperature_low")[:2]),
        ({"degc": {1: -5.5}, "current_a": -20.0}, three("charge_temperature_low")),
        ({"degc": {1: -10.5}}, [*three("charge_temperature_low")[:2], *three("discharge_temperature_low")[:1]]),
        ({"degc": {1: -20.5}}, [*three("charge_temperature_low")[:2], *three("discharge_temperature_low")[:2]]),
        (
            {"degc": {1: -25.5}, "current_a": 20.0},
            [*three("charge_temperature_low")[:2], *three("discharge_temperature_low")],
        ),
        ({"current_a": 253.0}, three("discharge_current_high")[:1]),
        ({"current_a": 267.0}, three("discharge_current_high")[:2]),
        ({"current_a": 280.5}, three("discharge_current_high")),
        ({"current_a": -253.0}, three("charge_current_high")[:1]),
        ({"current_a": -267.0}, three("charge_current_high")[:2]),
        ({"current_a": -280.5}, three("charge_current_high")),
        ({"command_age_s": 0.85}, ["rack_command_lost"]),
        ({"command_age_s": 0.8}, []),
        ({}, []),
    ],
)
def test_each_cause_trips_its_own_fault(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object],
    expected: list[str],
) -> None:  # fmt: skip
    protected = run(Protection(site), image(second=rack(**changes)), 3.0)
    assert ids(protected) == sorted(expected)
    assert all(fault.target == "rack2" for fault in protected.faults if fault.kind.id in expected)


def test_voltage_trips_after_its_debounce_and_not_before(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection, high = Protection(site), image(first=rack(cells={0: 3.7}))
    assert ids(run(protection, high, 0.04)) == []
    tripped = run(protection, high, 0.02).tripped
    assert [str(fault) for fault in tripped if fault.kind.id == "cell_voltage_high"] == [
        "cell_voltage_high (rack1: cell 1 3.700, limit 3.650)"
    ]


def test_absent_cell_is_stale_data_and_nothing_else(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(), 0.02)
    assert ids(run(protection, image(first=rack(cells={3: math.nan})), 0.02)) == ["cell_data_stale"]


def test_a_command_from_before_the_start_is_not_a_lost_one(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection, never_heard = Protection(site), image(second=rack(command_age_s=12.7))
    assert ids(run(protection, never_heard, 0.78)) == []
    assert ids(run(protection, never_heard, 0.1)) == ["rack_command_lost"]


def test_old_current_opens(site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    protection, reading = Protection(site), rack()
    run(protection, image(), 0.02)
    old = reading._replace(current_at_ns=reading.current_at_ns - 101_000_000)
    protected = run(protection, image(first=old), 0.02)
    assert (ids(protected), protected.open_racks, protected.proven_only) == (["current_stale"], {"rack1"}, False)


def test_lost_inverter_opens_only_proven(site: Site, image: Callable[..., Image]) -> None:
    healthy = image()
    assert healthy.inverter is not None
    old = replace(healthy.inverter, at_ns=healthy.inverter.at_ns - 1_001_000_000)
    protected = run(Protection(site), replace(healthy, inverter=old), 0.02)
    assert (ids(protected), protected.opens, protected.proven_only) == (["inverter_lost"], True, True)


def test_lost_meter_zeroes_power_and_keeps_contactors(site: Site, image: Callable[..., Image]) -> None:
    healthy = image()
    assert healthy.meter is not None
    old = replace(healthy.meter, at_ns=healthy.meter.at_ns - 501_000_000)
    protected = run(Protection(site), replace(healthy, meter=old), 0.02)
    assert (ids(protected), protected.zero_power, protected.opens) == (["meter_lost"], True, False)


def test_inverter_fault_opens(site: Site, image: Callable[..., Image]) -> None:
    healthy = image()
    assert healthy.inverter is not None
    faulty = replace(healthy.inverter, state=InverterState.FAULT)
    assert ids(run(Protection(site), replace(healthy, inverter=faulty), 0.02)) == ["inverter_fault"]


@pytest.mark.parametrize("field", ["crc_errors", "counter_errors"])
def test_bad_frames_open(site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], field: str) -> None:
    protection = Protection(site)
    run(protection, image(), 0.02)
    bad = MonitorHealth(100, 0, 0, 0, 0, 0)._replace(**{field: 15})
    assert ids(run(protection, image(first=rack(health=bad)), 0.02)) == [f"monitor_{field}"]


def test_silent_devices_are_lost_after_the_start(site: Site, image: Callable[..., Image]) -> None:
    silent = image(inverter=None, meter=None)
    protection = Protection(site)
    assert ids(run(protection, silent, 9.9)) == []
    assert ids(run(protection, silent, 0.2)) == ["inverter_lost", "meter_lost"]


def test_converter_that_does_not_follow_is_named_within_two_seconds(site: Site, image: Callable[..., Image]) -> None:
    protection, disobeying = Protection(site), image(commanded_power_w=60e3)
    assert ids(run(protection, disobeying, 1.4)) == []
    protected = run(protection, disobeying, 0.2)
    assert (ids(protected), protected.zero_power, protected.opens) == (["inverter_not_following"], True, False)


def test_power_that_is_tried_in_vain_three_times_in_two_minutes_stays_at_0_w(
    site: Site, image: Callable[..., Image]
) -> None:
    protection, disobeying = Protection(site), image(commanded_power_w=60e3)
    for expected in ([], [], ["power_retried_in_vain"]):
        assert ids(run(protection, disobeying, 1.6)) == ["inverter_not_following", *expected]
        assert ids(run(protection, image(), 6.0)) == expected
    assert run(protection, image(), 20.0).zero_power
    assert protection.reset("power_retried_in_vain", "inverter") is not None
    assert ids(run(protection, image(), 0.02)) == []


def test_power_that_is_tried_in_vain_now_and_then_is_tried_again(site: Site, image: Callable[..., Image]) -> None:
    protection = Protection(site)
    for _ in range(5):
        assert ids(run(protection, image(commanded_power_w=60e3), 1.6)) == ["inverter_not_following"]
        for _ in range(61):
            protected = protection.step(image(), summarise(image()), 1.0)
        assert ids(protected) == []


def test_converter_that_lags_behind_a_moving_set_point_follows(site: Site, image: Callable[..., Image]) -> None:
    assert ids(run(Protection(site), image(commanded_power_w=40e3), 10.0)) == []


def test_unknown_rack_voltage_is_stale_feedback(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(), 0.02)
    assert ids(run(protection, image(first=rack(rack_voltage_v=math.nan)), 0.02)) == ["rack_io_stale"]


def test_device_that_never_spoke_is_said_to_be_never_heard(site: Site, image: Callable[..., Image]) -> None:
    faults = run(Protection(site), image(inverter=None), 10.2).faults
    assert [str(fault) for fault in faults] == ["inverter_lost (inverter: never heard)"]


@pytest.mark.parametrize(("current_a", "ids_"), [(220.0, 0), (254.0, 1), (267.0, 2), (279.0, 2)])
def test_all_racks_together_have_levels_of_their_own(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], current_a: float, ids_: int
) -> None:
    """Two racks: 2 x 280 A, although neither may be above its own."""
    for sign, name in ((1, "pack_discharge_current_high"), (-1, "pack_charge_current_high")):
        both = image(first=rack(current_a=sign * current_a), second=rack(current_a=sign * current_a))
        found = run(Protection(site), both, 3.0)
        assert {fault_id for fault_id in ids(found) if fault_id.startswith("pack")} == set(three(name)[:ids_])


def test_pack_limit_below_the_sum_of_the_racks_opens_all(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    tight = site.model_copy(update={"limits": Limits(pack_discharge_current_a_max=300.0)})
    protected = run(Protection(tight), image(first=rack(current_a=160.0), second=rack(current_a=160.0)), 0.1)
    assert (ids(protected), protected.opens) == (["pack_discharge_current_high"], True)


def test_level_is_left_only_by_its_hysteresis(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(first=rack(cells={0: 3.6})), 1.0)
    near = run(protection, image(first=rack(cells={0: 3.565})), 60.0)
    assert near.blocks_charge
    assert not run(protection, image(first=rack(cells={0: 3.555})), 11.0).blocks_charge


def test_spikes_do_not_trip_and_a_third_of_the_time_does(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    healthy, high = image(), image(first=rack(cells={0: 3.7}))
    for of_three, trips in ((0, False), (1, True)):
        protection = Protection(site)
        found = {fault_id for k in range(150) for fault_id in ids(run(protection, high if k % 3 < of_three else healthy,
                                                                      DT_S))}  # fmt: skip
        assert ("cell_voltage_high" in found) is trips
    protection = Protection(site)
    seen = [ids(run(protection, high if k % 50 == 0 else healthy, DT_S)) for k in range(500)]
    assert not any("cell_voltage_high" in found for found in seen)


def test_site_may_change_single_faults(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    stricter = FaultSetting(id="cell_voltage_high_recommended", action="open", debounce_s=0.0, latched=True)
    protection = Protection(site.model_copy(update={"faults": (stricter,)}))
    protected = run(protection, image(first=rack(cells={0: 3.6})), 0.02)
    assert (ids(protected), protected.open_racks) == (["cell_voltage_high_recommended"], {"rack1"})
    assert ids(run(protection, image(), 60.0)) == ["cell_voltage_high_recommended"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": "cell_voltage_hihg"}, "no such fault"),
        ({"id": "cell_voltage_high", "action": "warn"}, "too weak for cell_voltage_high"),
        ({"id": "cell_voltage_high", "latched": False}, "is of the maximum level"),
        ({"id": "cell_voltage_high", "debounce_s": 0.5}, "slower than cell_voltage_high may be"),
    ],
)
def test_maximum_level_cannot_be_weakened(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FaultSetting(**changes)


def test_maximum_level_latches_and_operating_level_clears(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(first=rack(cells={0: 3.7})), 0.1)
    assert ids(run(protection, image(), 60.0)) == ["cell_voltage_high"]


def test_over_voltage_blocks_charge_only_until_the_maximum_level(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protected = run(Protection(site), image(first=rack(cells={0: 3.6})), 1.0)
    assert (protected.blocks_charge, protected.blocks_discharge, protected.opens) == (True, False, False)


def test_under_voltage_blocks_discharge_only_until_the_maximum_level(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protected = run(Protection(site), image(first=rack(cells={0: 2.6})), 1.0)
    assert (protected.blocks_charge, protected.blocks_discharge, protected.opens) == (False, True, False)


def test_reported_fault_counts_from_the_next_step(site: Site, image: Callable[..., Image]) -> None:
    protection = Protection(site)
    protection.report("precharge_timeout", "rack1", "3 tries", image().at_ns)
    protected = run(protection, image(), 0.02)
    assert (ids(protected), protected.open_racks) == (["precharge_timeout"], {"rack1"})


def test_every_maximum_level_fault_opens_and_latches() -> None:
    for fault in FAULTS.values():
        if fault.level == "maximum":
            assert fault.action in (Action.OPEN, Action.OPEN_ALL)
            assert fault.latched


FORMING_ENDS = {
    *(f"{name}_{side}" for name in ("cell_voltage", "charge_temperature", "discharge_temperature") for side in
      ("high", "low")),
    "charge_current_high", "discharge_current_high", "pack_charge_current_high", "pack_discharge_current_high",
    "thermal_event", "smoke_detected", "gas_detected", "fire_panel_alarm", "emergency_stop",
    "guard_stop", "rack_maintenance",
}  # fmt: skip
"""Cells, current, fire, emergency stop, the guard's word on those, and a rack that somebody takes out."""


def test_only_danger_ends_grid_forming_and_everything_else_warns() -> None:
    assert {fault.id for fault in FAULTS.values() if fault.action_forming is not Action.WARN} == FORMING_ENDS
    assert all(FAULTS[fault_id].action_forming is FAULTS[fault_id].action for fault_id in FORMING_ENDS)


def forming(image: Image, state: InverterState = InverterState.RUNNING) -> Image:
    assert image.inverter is not None
    return replace(image, inverter=replace(image.inverter, grid_forming=True, state=state))


@pytest.mark.parametrize(
    ("state", "opens"),
    [
        (InverterState.RUNNING, False),
        (InverterState.THROTTLED, False),
        (InverterState.STARTING, False),
        (InverterState.UNKNOWN, False),
        (InverterState.OFF, True),
        (InverterState.SHUTTING_DOWN, True),
        (InverterState.STANDBY, True),
    ],
)
def test_lost_cell_data_opens_its_rack_only_where_no_grid_is_made(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], state: InverterState, opens: bool
) -> None:
    protection = Protection(site)
    run(protection, image(), 0.02)
    protected = run(protection, forming(image(first=rack(cells={3: math.nan})), state), 0.02)
    assert ids(protected) == ["cell_data_stale"]
    assert (protected.open_racks, protected.zero_power, protected.forming) == ({"rack1"} if opens else set(), opens,
                                                                               not opens)  # fmt: skip


def test_over_voltage_ends_grid_forming_at_the_maximum_level_only(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    for volt, open_racks in ((3.6, set()), (3.7, {"rack1"})):
        protected = run(Protection(site), forming(image(first=rack(cells={0: volt}))), 1.0)
        assert (protected.open_racks, protected.blocks_charge) == (open_racks, False)


def test_lost_inverter_that_made_the_grid_is_trusted_to_go_on(site: Site, image: Callable[..., Image]) -> None:
    healthy = forming(image(commanded_power_w=400e3))
    assert healthy.inverter is not None
    old = replace(healthy.inverter, at_ns=healthy.inverter.at_ns - 60_000_000_000)
    protected = run(Protection(site), replace(healthy, inverter=old), 2.0)
    assert (ids(protected), protected.opens, protected.zero_power) == (["inverter_lost"], False, False)


def test_site_may_let_a_fault_end_grid_forming_but_not_keep_a_danger_from_it(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    stricter = FaultSetting(id="cell_data_stale", action_forming="open")
    protection = Protection(site.model_copy(update={"faults": (stricter,)}))
    run(protection, image(), 0.02)
    assert run(protection, forming(image(first=rack(cells={3: math.nan}))), 0.02).open_racks == {"rack1"}
    with pytest.raises(ValidationError, match="too weak for smoke_detected, which ends grid-forming"):
        FaultSetting(id="smoke_detected", action_forming="warn")


def test_reset_ends_a_latched_fault_whose_cause_is_gone(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(first=rack(cells={0: 3.7})), 0.1)
    run(protection, image(), 10.0)
    fault = protection.reset("cell_voltage_high", "rack1")
    assert fault is not None
    assert (fault.kind.id, fault.target) == ("cell_voltage_high", "rack1")
    assert run(protection, image(), 0.02).faults == ()


def test_reset_with_the_cause_still_there_trips_again_in_the_same_tick(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection, high = Protection(site), image(first=rack(cells={0: 3.7}))
    run(protection, high, 0.1)
    protection.reset("cell_voltage_high", "rack1")
    protected = run(protection, high, 0.02)
    assert ([fault.kind.id for fault in protected.tripped], protected.open_racks) == (["cell_voltage_high"], {"rack1"})


def test_nothing_but_a_latched_fault_at_its_place_is_reset(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    protection = Protection(site)
    run(protection, image(first=rack(cells={0: 3.7})), 0.1)
    others = [("cell_voltage_high", "rack2"), ("cell_voltage_high_operating", "rack1"), ("guard_stop", "guard")]
    assert [protection.reset(*other) for other in others] == [None, None, None]
    assert "cell_voltage_high" in ids(run(protection, image(), 0.02))


@pytest.mark.parametrize(
    ("fault_id", "target"), [("cell_voltage_high", "rack1"), ("contactor_stuck_open", "rack1"), ("guard_stop", "guard")]
)
def test_restored_fault_opens_has_not_tripped_now_and_is_reset(
    site: Site, image: Callable[..., Image], fault_id: str, target: str
) -> None:
    protection = Protection(site)
    protection.restore(fault_id, target, "cell 1 3.700, limit 3.650", image().at_ns)
    protected = protection.step(image(), summarise(image()), DT_S)
    assert (ids(protected), protected.tripped) == ([fault_id], ())
    assert protected.opens is (target == "guard")
    assert protected.open_racks == {target} - {"guard"}
    protection.report(fault_id, target, "again", image().at_ns)
    assert ids(run(protection, image(), 60.0)) == [fault_id]
    protection.reset(fault_id, target)
    assert ids(run(protection, image(), 0.02)) == []


def test_reported_fault_that_was_reset_trips_when_it_is_reported_again(site: Site, image: Callable[..., Image]) -> None:
    protection = Protection(site)
    protection.report("contactor_stuck_open", "rack1", "did not open", image().at_ns)
    run(protection, image(), 0.02)
    protection.reset("contactor_stuck_open", "rack1")
    protection.report("contactor_stuck_open", "rack1", "did not open", image().at_ns)
    assert [fault.kind.id for fault in run(protection, image(), 0.02).tripped] == ["contactor_stuck_open"]


def test_fault_of_a_rack_that_is_apart_blocks_no_power_but_keeps_it_apart(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    high = image(first=rack(cells={0: 3.7}))
    together, alone = Protection(site), Protection(site)
    for _ in range(100):
        both = together.step(high, summarise(high), DT_S)
        apart = alone.step(high, summarise(high), DT_S, frozenset({"rack1"}))
    assert (both.zero_power, both.blocks_charge, both.open_racks, both.opens) == (True, True, {"rack1"}, False)
    assert (apart.zero_power, apart.blocks_charge, apart.open_racks, apart.opens) == (False, False, {"rack1"}, False)
    assert [protected.faulted("rack1") for protected in (both, apart)] == [True, True]
    assert [protected.faulted("rack2") for protected in (both, apart)] == [False, False]


def test_fault_of_what_all_share_opens_all_wherever_it_is_found(site: Site, image: Callable[..., Image]) -> None:
    for fault_id, target in (("contactor_welded", "rack2"), ("guard_stop", "guard"), ("thermal_event", "rack1")):
        protection = Protection(site)
        protection.report(fault_id, target, "", image().at_ns)
        protected = protection.step(image(), summarise(image()), DT_S, frozenset({"rack1", "rack2"}))
        assert (protected.opens, protected.zero_power, protected.faulted("rack1")) == (True, True, True)


ISLAND = Island(
    blocks=(LoadBlock(name="critical", bit=0, power_w=300e3),), frequency_hz_nominal=60, voltage_v_nominal=400.0
)
SERVED = SwitchgearReading(0, False, False, 0.0, 0.0, 398.0, 60.0, math.nan, 1)
"""The switch is open and the site has voltage."""


@pytest.mark.parametrize(
    ("changes", "state", "silent", "forming"),
    [
        pytest.param({}, InverterState.RUNNING, True, True, id="it is what makes the voltage"),
        pytest.param({}, InverterState.RUNNING, False, False, id="it says that it follows the grid"),
        pytest.param({}, InverterState.FAULT, True, False, id="its last word was that it stands"),
        pytest.param({"intertie_closed": True}, InverterState.RUNNING, True, False, id="the grid is there"),
        pytest.param({"site_voltage_v": 340.0}, InverterState.RUNNING, True, False, id="the site is dark"),
        pytest.param({"at_ns": 0}, InverterState.RUNNING, True, False, id="the switchgear is silent too"),
    ],
)
def test_silent_converter_of_a_site_that_lives_without_the_grid_serves_it(
    site: Site,
    image: Callable[..., Image],
    changes: dict[str, Any],
    state: InverterState,
    silent: bool,
    forming: bool,
) -> None:
    picture = image()
    assert picture.inverter is not None
    inverter = replace(picture.inverter, state=state, at_ns=0 if silent else picture.at_ns)
    said = replace(SERVED, **{"at_ns": picture.at_ns, **changes})
    protection = Protection(site.model_copy(update={"island": ISLAND}))
    protected = run(protection, replace(picture, inverter=inverter, switchgear=said), 0.2)
    assert (protected.forming, protected.opens) == (forming, silent and not forming)
