"""Racks join and part in the safe order, whatever happens."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bms.battery import HEAR_S, OPEN_PROVEN_WAIT_S, OPEN_WAIT_S, WAIT_FOR_OTHERS_S, Battery, BatteryState, Mode
from bms.decision import Contactors
from bms.image import Image
from bms.protect.faults import FAULTS
from bms.protect.protection import ActiveFault, Protected
from bms.rack import RackMode
from bms.site import Site
from bms.summary import Summary, summarise
from drivers.readings import InverterState, RackReading

from .conftest import NOW_NS

DT_S = 0.02
NO_FAULT = Protected((), (), False, False, False, False, False)
OPENS = NO_FAULT._replace(zero_power=True, opens=True)
OPENS_PROVEN = OPENS._replace(proven_only=True)
OPENS_RACK_1 = NO_FAULT._replace(zero_power=True, open_racks=frozenset({"rack1"}))


class Bench:
    """Two racks whose contactors obey at once and whose link is charged while a rack precharges."""

    def __init__(
        self,
        site: Site,
        image: Callable[..., Image],
        rack: Callable[..., RackReading],
        resistance_ohm: float = 0.002,
    ) -> None:
        self.battery = Battery(site, [resistance_ohm, resistance_ohm])
        self._image, self._rack = image, rack
        self._key: object = None
        self._pictured: tuple[Image, Summary]
        self.current_a = 0.0
        self.link_v = 0.0
        self.stand = [Contactors(False, False)] * 2
        self.inverter = InverterState.OFF
        self.stuck = False
        self.heard = True
        self.changes: dict[str, Any] = {}
        self.each: tuple[dict[str, Any], ...] = ({}, {})
        self.state: BatteryState | None = None
        self.history: list[tuple[str, ...]] = []

    def step(self, protected: Protected = NO_FAULT) -> BatteryState:
        commanded = self.state.contactors if self.state else (None, None)
        contactors = [
            stands if wanted is None else wanted for wanted, stands in zip(commanded, self.stand, strict=True)
        ]
        self.stand = contactors
        if any(precharge for _, precharge in contactors) or (self.state is not None and self.state.run):
            self.link_v = 13.2
        shown = [
            {
                "main_closed": main,
                "precharge_closed": precharge,
                "link_voltage_v": self.link_v,
                "current_a": self.current_a,
                **self.changes,
                **each,
            }
            for (main, precharge), each in zip(contactors, self.each, strict=True)
        ]  # fmt: skip
        self.state = self.battery.step(*self._picture(shown), protected, DT_S)
        self.history.append(tuple(self.state.rack_modes))
        if not self.stuck:
            self.inverter = InverterState.RUNNING if self.state.run else InverterState.OFF
        return self.state

    def _picture(self, shown: list[dict[str, Any]]) -> tuple[Image, Summary]:
        """Made anew only when it is another one than in the tick before."""
        key = shown, self.inverter, self.current_a, self.heard
        if key != self._key:
            picture = self._image(*[self._rack(**values) for values in shown])
            assert picture.inverter is not None
            inverter = replace(picture.inverter, state=self.inverter, dc_current_a=2 * self.current_a)
            picture = replace(picture, inverter=inverter if self.heard else None)
            self._key, self._pictured = key, (picture, summarise(picture))
        return self._pictured

    def run(self, seconds: float, protected: Protected = NO_FAULT) -> BatteryState:
        for _ in range(round(seconds / DT_S)):
            state = self.step(protected)
        return state


@pytest.fixture
def bench(site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]) -> Bench:
    return Bench(site, image, rack)


def test_racks_join_one_after_the_other_and_the_converter_starts_last(bench: Bench) -> None:
    state = bench.run(1.0)
    assert (state.mode, state.run, state.power_allowed) == (Mode.RUNNING, True, True)
    assert list(dict.fromkeys(bench.history)) == [
        ("standby", "standby"),
        ("precharge", "standby"),
        ("closing", "standby"),
        ("online", "standby"),
        ("online", "precharge"),
        ("online", "closing"),
        ("online", "online"),
    ]


def test_rack_outside_the_voltage_window_does_not_join(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    bench = Bench(site, image, rack)
    while bench.step().rack_modes[0] is not RackMode.ONLINE:
        pass
    bench.changes = {"rack_voltage_v": 30.0}
    assert bench.run(1.0).rack_modes == (RackMode.ONLINE, RackMode.STANDBY)


def test_fault_stops_the_converter_first_and_opens_when_the_current_is_low(bench: Bench) -> None:
    bench.run(1.0)
    bench.current_a = 100.0
    state = bench.run(0.5, OPENS)
    assert (state.mode, state.run, state.power_allowed) == (Mode.STOPPING, False, False)
    assert state.rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    bench.current_a = 5.0
    assert bench.step(OPENS).rack_modes == (RackMode.OPENING, RackMode.OPENING)
    assert bench.run(0.1, OPENS).mode is Mode.FAULT


def test_converter_that_goes_on_running_keeps_the_contactors_closed_until_the_bound(bench: Bench) -> None:
    """Low current is no proof while the converter still works: it may rise again."""
    bench.run(1.0)
    bench.current_a, bench.stuck = 5.0, True
    assert bench.run(OPEN_WAIT_S - 0.1, OPENS).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    assert bench.run(0.2, OPENS).contactors == ((False, False), (False, False))


def test_wait_is_longer_than_the_reversion_of_a_silent_converter(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    slow = site.model_copy(update={"inverter": site.inverter.model_copy(update={"reversion_s": 3})})
    bench = Bench(slow, image, rack)
    bench.run(1.0)
    bench.current_a, bench.stuck = 100.0, True
    assert bench.run(3.9, OPENS).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)


def test_restart_under_load_stops_the_converter_before_it_opens_what_it_found_closed(bench: Bench) -> None:
    bench.stand, bench.current_a, bench.inverter, bench.stuck = (
        [Contactors(True, False)] * 2,
        170.0,
        InverterState.RUNNING,
        True,
    )
    first = bench.step()
    assert (first.rack_modes, first.run) == ((RackMode.FOUND_CLOSED,) * 2, False)
    assert bench.run(1.0).contactors == ((True, False), (True, False))
    bench.current_a, bench.stuck = 0.0, False
    bench.run(0.1)
    assert bench.run(2.0).mode is Mode.RUNNING


FORMS = NO_FAULT._replace(forming=True)


def test_restart_beside_a_converter_that_makes_the_grid_takes_it_over_closed(bench: Bench) -> None:
    bench.stand, bench.current_a, bench.inverter = [Contactors(True, False)] * 2, 170.0, InverterState.RUNNING
    states = [bench.step(FORMS) for _ in range(100)]
    assert all(state.run for state in states)
    assert {state.contactors for state in states} == {((True, False), (True, False))}
    assert states[-1].rack_modes == (RackMode.ONLINE, RackMode.ONLINE)


def test_rack_whose_last_command_is_a_dead_controllers_is_told_what_it_does(bench: Bench) -> None:
    """Its command's age says only that the controller before was dead for so long."""
    bench.stand = [Contactors(True, False)] * 2
    bench.changes = {"command_age_s": 3.0}
    state = bench.step()
    assert state.rack_modes == (RackMode.FOUND_CLOSED,) * 2
    assert state.contactors == (Contactors(True, False),) * 2


def test_racks_found_closed_wait_for_the_converters_word_and_not_for_ever(bench: Bench) -> None:
    bench.stand, bench.heard = [Contactors(True, False)] * 2, False
    assert bench.run(HEAR_S - 0.1).rack_modes == (RackMode.FOUND_CLOSED,) * 2
    assert bench.state is not None
    assert bench.state.contactors == ((True, False), (True, False))
    assert bench.run(0.3).contactors == ((False, False), (False, False))


@pytest.mark.parametrize("protected", [OPENS, OPENS_RACK_1])
def test_danger_ends_what_makes_the_grid_in_the_same_order(bench: Bench, protected: Protected) -> None:
    bench.run(1.0)
    bench.current_a = 100.0
    danger = protected._replace(forming=True)
    state = bench.run(0.5, danger)
    assert (state.run, state.rack_modes) == (False, (RackMode.ONLINE, RackMode.ONLINE))
    bench.current_a = 5.0
    assert bench.step(danger).rack_modes[0] is RackMode.OPENING


def test_nothing_is_commanded_before_the_contactors_were_heard(bench: Bench) -> None:
    bench.changes = {"main_closed": None}
    assert bench.run(1.0).contactors == (None, None)


def test_wrong_feedback_of_an_online_contactor_is_a_fault_and_opens_nothing_by_itself(bench: Bench) -> None:
    bench.run(1.0)
    bench.current_a, bench.changes = 170.0, {"main_closed": False}
    faults = [fault for _ in range(20) for fault in bench.step().faults]
    assert {fault[:2] for fault in faults} == {
        ("contactor_opened_itself", "rack1"),
        ("contactor_opened_itself", "rack2"),
    }
    assert bench.state is not None
    assert bench.state.contactors == ((True, False), (True, False))


def test_flicker_of_a_feedback_is_nothing(bench: Bench) -> None:
    bench.run(1.0)
    bench.changes = {"main_closed": False}
    bench.run(0.06)
    bench.changes = {}
    assert bench.run(0.5).faults == ()


def test_weld_found_at_rest_is_a_fault(bench: Bench) -> None:
    bench.battery.wanted = False
    bench.run(0.5)
    bench.changes = {"main_closed": True}
    faults = [fault for _ in range(40) for fault in bench.step().faults]
    assert ("contactor_closed_itself", "rack1", "main contactor says closed") in faults
    assert not bench.battery.open


def test_racks_wait_longer_after_each_opening(bench: Bench) -> None:
    waits = []
    for _ in range(4):
        bench.run(1.0)
        while bench.step().mode is not Mode.RUNNING:
            pass
        bench.run(0.5, OPENS)
        ticks = 0
        while bench.step().mode is not Mode.RUNNING:
            ticks += 1
        waits.append(round(ticks * DT_S))
    assert waits == [5, 20, 80, 320]


def test_rack_that_cannot_join_is_a_fault_after_a_minute_and_the_other_runs_meanwhile(bench: Bench) -> None:
    bench.each[1].update(rack_voltage_v=34.2)
    assert bench.run(1.0).mode is Mode.RUNNING
    assert bench.run(50.0).faults == ()
    state = bench.run(10.0)
    assert state.rack_modes == (RackMode.ONLINE, RackMode.STANDBY)
    assert state.faults == (("racks_unequal", "rack2", "rack 34.2 V, link 13.2 V"),)
    bench.each[1].clear()
    assert bench.run(1.0).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)


def test_rack_joins_only_below_the_predicted_current(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    """0.1 V between them is within the window; 50 A are allowed."""
    for resistance_ohm, joins in ((0.00095, False), (0.00105, True)):
        bench = Bench(site, image, rack, resistance_ohm)
        bench.each[1].update(rack_voltage_v=13.3)
        assert (bench.run(1.0).rack_modes[1] is RackMode.ONLINE) is joins


def test_fault_of_one_rack_opens_it_alone_and_the_other_goes_on(bench: Bench) -> None:
    bench.run(1.0)
    bench.current_a = 100.0
    state = bench.run(0.5, OPENS_RACK_1)
    assert (state.mode, state.run, state.power_allowed) == (Mode.STOPPING, False, False)
    bench.current_a = 5.0
    state = bench.run(0.1, OPENS_RACK_1)
    assert state.rack_modes == (RackMode.OFF, RackMode.ONLINE)
    assert bench.battery.apart == {"rack1"}
    assert bench.run(4.0, OPENS_RACK_1).run is False
    state = bench.run(2.0, OPENS_RACK_1)
    assert (state.mode, state.power_allowed) == (Mode.RUNNING, True)


def test_rack_whose_fault_is_over_joins_beside_the_running_converter_at_zero_power(bench: Bench) -> None:
    bench.run(1.0)
    bench.run(6.0, OPENS_RACK_1)
    assert bench.run(4.5).rack_modes[0] is RackMode.STANDBY
    states = [bench.step() for _ in range(100)]
    assert all(state.run for state in states)
    under_way = [state for state in states if any(mode.joining for mode in state.rack_modes)]
    assert under_way
    assert not any(state.power_allowed for state in under_way)
    assert (states[-1].rack_modes, states[-1].power_allowed) == ((RackMode.ONLINE, RackMode.ONLINE), True)


def test_fewer_racks_than_the_site_wants_do_not_run(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    picky = site.model_copy(update={"precharge": site.precharge.model_copy(update={"racks_online_min": 2})})
    bench = Bench(picky, image, rack)
    bench.run(1.0)
    state = bench.run(20.0, OPENS_RACK_1)
    assert (state.mode, state.run) == (Mode.CONNECTING, False)


def test_rack_out_of_service_leaves_in_order_and_the_other_goes_on(bench: Bench) -> None:
    bench.run(1.0)
    bench.battery.out_of_service["rack2"] = RackMode.MAINTENANCE
    modes = [bench.step() for _ in range(100)]
    assert not modes[0].run
    assert modes[-1].rack_modes == (RackMode.ONLINE, RackMode.MAINTENANCE)
    assert modes[-1].mode is Mode.RUNNING
    bench.battery.out_of_service.clear()
    assert bench.run(1.0).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)


def by_faults(*faults: tuple[str, str]) -> Protected:
    """All racks must open, for these faults (id, where)."""
    active = tuple(ActiveFault(FAULTS[fault_id], where, 0, "asked") for fault_id, where in faults)
    return NO_FAULT._replace(faults=active, open_racks=frozenset({"rack1", "rack2"}))


def test_a_battery_whose_every_rack_is_in_maintenance_says_so_and_no_fault(bench: Bench) -> None:
    asked = ("rack_maintenance", "rack1"), ("rack_maintenance", "rack2")
    bench.run(1.0)
    bench.battery.out_of_service = dict.fromkeys(("rack1", "rack2"), RackMode.MAINTENANCE)
    assert bench.step(by_faults(*asked)).mode is Mode.STOPPING
    state = bench.run(3.0, by_faults(*asked))
    assert (state.mode, state.contactors) == (Mode.MAINTENANCE, ((False, False), (False, False)))
    assert bench.run(1.0, by_faults(*asked, ("meter_lost", "site"))).mode is Mode.MAINTENANCE
    assert bench.run(1.0, by_faults(*asked, ("cell_voltage_high", "rack2"))).mode is Mode.FAULT
    assert bench.run(1.0, by_faults(*asked)._replace(opens=True)).mode is Mode.FAULT


def test_rack_that_never_gets_ready_delays_the_start_by_half_a_minute_only(bench: Bench) -> None:
    bench.each[0].update(main_closed=None)
    assert bench.run(WAIT_FOR_OTHERS_S - 0.5).mode is Mode.STANDBY
    assert bench.run(1.5).mode is Mode.RUNNING


def test_without_haste_one_rack_leaves_after_the_other(bench: Bench) -> None:
    bench.run(1.0)
    bench.battery.wanted = False
    modes = list(dict.fromkeys(tuple(bench.step().rack_modes) for _ in range(20)))
    assert modes == [
        ("online", "online"),
        ("opening", "online"),
        ("standby", "opening"),
        ("standby", "standby"),
    ]


def test_contactors_never_open_in_the_tick_of_the_fault(bench: Bench) -> None:
    bench.run(1.0)
    assert bench.step(OPENS).contactors == ((True, False), (True, False))
    assert bench.step(OPENS).contactors == ((True, False), (True, False)), "what flows may be from before it stood"
    assert bench.step(OPENS).contactors == ((False, False), (False, False))


def test_a_current_from_while_the_link_settled_proves_nothing(bench: Bench) -> None:
    """15 ms after the converter said that it stands, what circulates between unequal racks may still grow."""
    bench.run(1.0)
    bench.changes = {"current_at_ns": NOW_NS - 5_000_000}
    opened = [bench.step(OPENS).contactors == ((False, False), (False, False)) for _ in range(4)]
    assert opened == [False, False, False, True]


@pytest.mark.parametrize(("current_a", "commanded"), [(0.0, None), (4.9, None), (60.0, (True, False))])
def test_rack_that_opened_by_itself_is_not_told_to_close_onto_the_link(
    bench: Bench, current_a: float, commanded: tuple[bool, bool] | None
) -> None:
    """One that carries current is closed whatever it says: to open it at once would break that."""
    bench.run(1.0)
    bench.changes, bench.current_a = {"main_closed": False}, current_a
    state = bench.step()
    assert state.rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    assert state.contactors == (commanded, commanded)


@pytest.mark.parametrize(
    ("current_a", "opens_s"), [(800.0, OPEN_WAIT_S), (900.0, OPEN_WAIT_S + 3.0), (float("nan"), OPEN_WAIT_S)]
)
def test_more_than_the_contactors_can_break_waits_for_the_fuse(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], current_a: float, opens_s: float
) -> None:
    limits = {"contactor_current_a_max": 850.0, "fuse_trip_s": 3.0}
    racks = tuple(each.model_copy(update=limits) for each in site.racks)
    bench = Bench(site.model_copy(update={"racks": racks}), image, rack)
    bench.run(1.0)
    bench.current_a = current_a
    assert bench.run(opens_s - 0.1, OPENS).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    assert bench.run(0.2, OPENS).contactors == ((False, False), (False, False))


def test_fuse_that_melts_ends_the_wait(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    racks = tuple(each.model_copy(update={"contactor_current_a_max": 850.0}) for each in site.racks)
    bench = Bench(site.model_copy(update={"racks": racks}), image, rack)
    bench.run(1.0)
    bench.current_a = 6000.0
    assert bench.run(OPEN_WAIT_S + 1.0, OPENS).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    bench.current_a = 0.0
    assert bench.run(0.1, OPENS).contactors == ((False, False), (False, False))


@pytest.mark.parametrize(("protected", "wait_s"), [(OPENS, OPEN_WAIT_S), (OPENS_PROVEN, OPEN_PROVEN_WAIT_S)])
def test_high_current_opens_after_the_bounded_wait_anyway(bench: Bench, protected: Protected, wait_s: float) -> None:
    bench.run(1.0)
    bench.current_a = 100.0
    assert bench.run(wait_s - 0.1, protected).rack_modes == (RackMode.ONLINE, RackMode.ONLINE)
    assert bench.run(0.2, protected).contactors == ((False, False), (False, False))


def test_precharge_that_never_settles_is_given_up_after_three_tries(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    bench = Bench(site, image, rack)
    bench.changes = {"rack_voltage_v": 14.0}
    faults = [fault for _ in range(1700) for fault in bench.step().faults]
    assert faults == [
        ("precharge_timeout", "rack1", "link 13.2 V of 14.0 V, 0.0 A"),
        ("precharge_timeout", "rack2", "link 13.2 V of 14.0 V, 0.0 A"),
    ]
    assert bench.history[-1] == ("locked", "locked")


def test_reset_of_a_locked_rack_lets_it_try_again(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    bench = Bench(site, image, rack)
    bench.changes = {"rack_voltage_v": 14.0}
    bench.run(18.0)
    bench.changes = {}
    bench.battery.unlock("rack2")
    assert bench.run(1.0).rack_modes == (RackMode.LOCKED, RackMode.ONLINE)
    bench.battery.unlock("rack1")
    assert bench.run(1.0).mode is Mode.RUNNING


def test_contactor_that_does_not_report_open_is_a_mismatch(bench: Bench) -> None:
    bench.run(1.0)
    faults = list(bench.run(0.04, OPENS).faults)
    for _ in range(40):
        assert bench.state is not None
        bench.state = bench.state._replace(contactors=((True, False), (False, False)))
        faults += bench.step(OPENS).faults
    assert faults == [("contactor_welded", "rack1", "main contactor still says closed")]


def test_rack_that_falls_silent_while_opening_goes_on_opening_unproven(bench: Bench) -> None:
    bench.run(1.0)
    bench.changes = {"io_at_ns": 0}
    state = bench.run(5.0, OPENS)
    assert (state.rack_modes, state.contactors) == ((RackMode.OPENING,) * 2, ((False, False),) * 2)
    assert {fault[:2] for fault in state.faults} == {("contactor_unproven", "rack1"), ("contactor_unproven", "rack2")}


def test_unwanted_battery_opens_in_order_and_says_so(bench: Bench) -> None:
    bench.run(1.0)
    bench.battery.wanted = False
    state = bench.run(0.2)
    assert (state.mode, state.run, bench.battery.open) == (Mode.STANDBY, False, True)


def test_fault_that_clears_lets_the_racks_join_again(bench: Bench) -> None:
    bench.run(1.0)
    bench.run(0.2, OPENS)
    assert bench.run(6.0).mode is Mode.RUNNING


def joined_by(site: Site, owner: str, by: str) -> Site:
    """`owner` of the contactors, and who precharges."""
    racks = tuple(rack.model_copy(update={"contactors": owner}) for rack in site.racks)
    return site.model_copy(update={"racks": racks, "precharge": site.precharge.model_copy(update={"by": by})})


@pytest.mark.parametrize("owner", ["gateway", "rack"])
def test_converter_charges_the_link_before_the_racks_join_and_runs_on_through_all_of_them(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], owner: str
) -> None:
    bench = Bench(joined_by(site, owner, "inverter"), image, rack)
    states = [bench.step() for _ in range(50)]
    started = next(number for number, state in enumerate(states) if state.run)
    assert all(state.run for state in states[started:])
    joining = "requested" if owner == "rack" else "closing"
    assert list(dict.fromkeys(bench.history)) == [
        ("standby", "standby"),
        ("link precharge", "standby"),
        (joining, "standby"),
        ("online", "standby"),
        ("online", "link precharge"),
        ("online", joining),
        ("online", "online"),
    ]
    assert not any(wanted.precharge_closed for state in states for wanted in state.contactors if wanted)


def test_converter_stays_on_the_link_until_as_many_racks_have_joined_as_the_site_wants(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    wanted = joined_by(site, "gateway", "inverter")
    both = wanted.model_copy(update={"precharge": wanted.precharge.model_copy(update={"racks_online_min": 2})})
    bench = Bench(both, image, rack)
    runs = [bench.step().run for _ in range(50)]
    assert runs[runs.index(True) :] == [True] * (50 - runs.index(True))


@pytest.mark.parametrize("by", ["rack", "inverter"])
@pytest.mark.parametrize("owner", ["gateway", "rack"])
@pytest.mark.parametrize("seed", range(5))
def test_random_events_never_reach_a_forbidden_state(
    site: Site, image: Callable[..., Image], rack: Callable[..., RackReading], seed: int, owner: str, by: str
) -> None:
    """Racks join one at a time and at 0 W; the converter never runs beside a rack that must open."""
    bench = Bench(joined_by(site, owner, by), image, rack)
    rng = np.random.default_rng(seed)
    names = ("rack1", "rack2")
    for _ in range(3000):
        if rng.random() < 0.02:
            bench.current_a = float(rng.choice([0.0, 5.0, 100.0, -100.0]))
        if rng.random() < 0.02:
            bench.battery.wanted = bool(rng.random() < 0.8)
        if rng.random() < 0.02:
            bench.changes = {"rack_voltage_v": float(rng.choice([13.2, 14.0, 30.0]))}
        if rng.random() < 0.01:
            each = bench.each[rng.integers(2)]
            each.clear()
            each.update(rng.choice([{}, {"main_closed": None}, {"main_closed": True}, {"current_a": np.nan}]))
        if rng.random() < 0.01:
            bench.battery.unlock(str(rng.choice(names)))
        connected = [mode.connected for mode in bench.state.rack_modes] if bench.state else [False, False]
        chance = rng.random()
        protected = OPENS if chance < 0.02 else OPENS_RACK_1 if chance < 0.06 else NO_FAULT
        state = bench.step(protected)
        assert sum(mode.joining for mode in state.rack_modes) <= 1
        if any(mode.joining for mode in state.rack_modes):
            assert not state.power_allowed
        if state.run:
            charges = by == "inverter" and any(mode.joining for mode in state.rack_modes)
            assert charges or any(mode.online for mode in state.rack_modes)
            assert not protected.opens
            assert not (connected[0] and protected.open_racks)
            assert bench.battery.wanted
        for mode, wanted in zip(state.rack_modes, state.contactors, strict=True):
            if wanted is not None and wanted.main_closed:
                assert mode.connected
            if wanted is not None and wanted.precharge_closed:
                assert (owner, by) == ("gateway", "rack")


def leaving(bench: Bench, seconds: float = 1.0) -> BatteryState:
    """Both racks are online, and rack1 is to be stripped from now on."""
    bench.run(1.0)
    bench.battery.stripping = frozenset({"rack1"})
    return bench.run(seconds)


def test_rack_leaves_for_its_strip_while_the_other_goes_on(bench: Bench) -> None:
    bench.run(1.0)
    bench.current_a = 15.0
    bench.battery.stripping = frozenset({"rack1"})
    first = bench.step()
    assert (first.rack_modes, first.parting) == (("online", "online"), (True, False))
    assert (first.counts(0), first.counts(1)) == (False, True)
    bench.history.clear()
    bench.current_a = 0.0
    for _ in range(50):
        state = bench.step()
        assert (state.run, state.power_allowed, state.mode) == (True, True, Mode.RUNNING)
    assert list(dict.fromkeys(bench.history)) == [
        ("online", "online"), ("opening", "online"), ("standby", "online"), ("strip", "online"),
    ]  # fmt: skip
    assert bench.battery.emptied == {"rack1"}


def test_rack_that_is_to_be_stripped_waits_for_a_current_that_its_contactors_break(bench: Bench) -> None:
    bench.run(1.0)
    bench.current_a = 25.0  # break current 20 A
    assert leaving(bench, 60.0).rack_modes == ("online", "online")
    bench.current_a = 15.0
    assert bench.step().rack_modes == ("opening", "online")


def test_last_rack_stays(bench: Bench) -> None:
    bench.run(1.0)
    bench.battery.stripping = frozenset({"rack1", "rack2"})
    state = bench.run(5.0)
    assert (state.rack_modes, state.power_allowed) == (("online", "online"), True)


def stripped(bench: Bench) -> None:
    """rack1 is empty, and may come back beside rack2."""
    leaving(bench)
    bench.battery.refills = True
    bench.battery.stripping = frozenset()
    bench.each = ({"rack_voltage_v": 8.0}, {})


def test_empty_rack_refills_and_enters_while_power_flows(bench: Bench) -> None:
    stripped(bench)
    for _ in range(200):
        assert bench.step().power_allowed
    assert bench.state is not None
    assert (bench.state.rack_modes, bench.state.contactors[0]) == (("refill", "online"), Contactors(False, True))
    assert bench.battery.apart == {"rack1"}
    bench.history.clear()
    bench.each = ({}, {})
    for _ in range(50):
        assert bench.step().power_allowed
    assert list(dict.fromkeys(bench.history)) == [("entering", "online"), ("online", "online")]


def test_rack_enters_only_when_it_fits_with_and_without_the_load(bench: Bench) -> None:
    """13.2 V of link under 100 A, which would be 13.4 V at rest with 2 mOhm: 0.2 V over 4 mOhm are 50 A."""
    stripped(bench)
    bench.run(1.0)
    bench.each = ({"rack_voltage_v": 13.2, "current_a": 0.0}, {"current_a": 101.0})
    assert bench.run(1.0).rack_modes == ("refill", "online")
    bench.each = ({"rack_voltage_v": 13.2, "current_a": 0.0}, {"current_a": 95.0})
    assert bench.run(1.0).rack_modes == ("online", "online")


def test_fault_of_a_rack_that_refills_stops_nobody_else(bench: Bench) -> None:
    stripped(bench)
    bench.run(1.0)
    state = bench.run(1.0, NO_FAULT._replace(open_racks=frozenset({"rack1"})))
    assert (state.rack_modes, state.power_allowed) == (("off", "online"), True)


def test_nobody_refills_from_a_dead_link(bench: Bench) -> None:
    stripped(bench)
    bench.battery.wanted = False
    assert bench.run(5.0).rack_modes == ("standby", "standby")
