"""One rack's machine: a million random events reach no forbidden state, and each way into a lock has its own name."""

import random
from collections.abc import Iterator

import pytest

from bms.decision import Contactors
from bms.rack import (
    ALWAYS_THERE,
    BY_GATEWAY,
    FEEDBACK_S,
    LINK_REQUEST_TABLE,
    LINK_TABLE,
    REQUEST_TABLE,
    SHORT_S,
    TABLE,
    RackInputs,
    RackMachine,
    RackMode,
    Way,
    way_of,
)
from bms.site import Precharge, Site
from drivers.readings import RackOwnFault

DT_S = 0.02
CONFIG = Precharge()
QUIET = RackInputs(
    ready=True, join=False, open=False, current_a=0.0, rack_voltage_v=1300.0, link_voltage_v=0.0, main_closed=False,
    precharge_closed=False,
)  # fmt: skip
EVENTS = 1_000_000


def run(machine: RackMachine, seconds: float, **changes: object) -> list[tuple[str, str]]:
    """Faults found while the inputs stay as they are."""
    found = []
    for _ in range(round(seconds / DT_S)):
        machine.step(QUIET._replace(**changes), DT_S)
        found += [machine.fault] if machine.fault else []
    return found


def machine_of(site: Site, owner: str, by: str) -> RackMachine:
    """`owner` of the contactors, and who precharges."""
    rack = site.racks[0].model_copy(update={"contactors": owner, "connect_s_max": 8.0, "disconnect_s_max": 0.7})
    precharge = CONFIG.model_copy(update={"by": by})
    return RackMachine(precharge, way_of(rack, precharge))


def precharging() -> RackMachine:
    machine = RackMachine(CONFIG)
    run(machine, 2 * DT_S, join=True)
    assert machine.mode is RackMode.PRECHARGE
    return machine


def online() -> RackMachine:
    machine = precharging()
    run(machine, DT_S, link_voltage_v=1299.0)
    run(machine, DT_S, main_closed=True)
    assert machine.mode is RackMode.ONLINE
    return machine


def ids(found: list[tuple[str, str]]) -> list[str]:
    return [fault_id for fault_id, _ in found]


def test_every_mode_has_its_rules() -> None:
    for table in (TABLE, LINK_TABLE, REQUEST_TABLE, LINK_REQUEST_TABLE, ALWAYS_THERE):
        assert set(table) == set(RackMode)


def test_battery_that_moves_its_contactors_unasked_is_used_left_and_never_commanded() -> None:
    machine = RackMachine(CONFIG, Way(ALWAYS_THERE))
    modes = []
    for changes in ({"ready": False}, {}, {}, {"join": True}, {"derated": True}, {}, {"open": True}, {"open": True}):
        assert run(machine, DT_S, main_closed=None, precharge_closed=None, **changes) == []
        assert machine.contactors is None
        modes.append(machine.mode)
    assert modes == ["off", "standby", "standby", "online", "derated", "online", "opening", "standby"]
    run(machine, DT_S, main_closed=None, out_of_service=RackMode.MAINTENANCE)
    assert machine.mode is RackMode.MAINTENANCE


WAYS = [(owner, by) for owner in ("gateway", "rack") for by in ("rack", "inverter")]


@pytest.mark.parametrize(
    ("owner", "by", "modes", "commanded"),
    [
        ("gateway", "rack", ["precharge", "closing"], [(False, True), (True, True)]),
        ("gateway", "inverter", ["link precharge", "closing"], [(False, False), (True, False)]),
        ("rack", "rack", ["requested", "requested"], [(True, False), (True, False)]),
        ("rack", "inverter", ["link precharge", "requested"], [(False, False), (True, False)]),
    ],
)
def test_each_way_to_join_commands_its_own(
    site: Site, owner: str, by: str, modes: list[str], commanded: list[tuple[bool, bool]]
) -> None:
    machine = machine_of(site, owner, by)
    run(machine, 2 * DT_S, join=True)
    first = machine.mode, machine.contactors
    run(machine, DT_S, link_voltage_v=1299.0)
    assert [first, (machine.mode, machine.contactors)] == list(zip(modes, commanded, strict=True))
    run(machine, DT_S, link_voltage_v=1299.0, main_closed=True)
    assert (machine.mode, machine.contactors) == (RackMode.ONLINE, (True, False))


@pytest.mark.parametrize(
    ("changes", "fault_id"),
    [
        ({}, "contactor_request_ignored"),
        ({"link_voltage_v": 1299.0}, "contactor_request_ignored"),
        ({"precharge_closed": True, "link_voltage_v": 1299.0}, "contactor_stuck_open"),
        ({"precharge_closed": True, "current_a": 85.0}, "precharge_short"),
        ({"precharge_closed": True}, "precharge_open"),
        ({"precharge_closed": True, "link_voltage_v": 900.0}, "precharge_timeout"),
    ],
)
def test_request_that_is_not_followed_in_time_is_named_and_withdrawn(
    site: Site, changes: dict[str, object], fault_id: str
) -> None:
    machine = machine_of(site, "rack", "rack")
    run(machine, 2 * DT_S, join=True)
    assert run(machine, 7.9, **changes) == []
    assert ids(run(machine, 0.2, **changes)) == [fault_id]
    assert (machine.mode, machine.contactors) == (RackMode.LOCKED, (False, False))


@pytest.mark.parametrize(
    ("own", "fault_id"),
    [
        (RackOwnFault.PRECHARGE_SHORT, "precharge_short"),
        (RackOwnFault.PRECHARGE_OPEN, "precharge_open"),
        (RackOwnFault.PRECHARGE_TIMEOUT, "precharge_timeout"),
        (RackOwnFault.MAIN_STUCK_OPEN, "contactor_stuck_open"),
        (RackOwnFault.MAIN_WELDED, "contactor_welded"),
        (RackOwnFault.PRECHARGE_WELDED, "precharge_welded"),
        (RackOwnFault.REFUSED, "contactor_request_refused"),
    ],
)
def test_own_fault_of_a_rack_is_named_at_once(site: Site, own: RackOwnFault, fault_id: str) -> None:
    machine = machine_of(site, "rack", "rack")
    run(machine, 2 * DT_S, join=True)
    assert ids(run(machine, DT_S, own_fault=own)) == [fault_id]


def test_rack_that_opens_by_itself_on_request_has_its_own_time_for_it(site: Site) -> None:
    machine = machine_of(site, "rack", "rack")
    run(machine, 2 * DT_S, join=True)
    run(machine, DT_S, main_closed=True)
    run(machine, DT_S, main_closed=True, open=True)
    assert run(machine, 0.66, main_closed=True) == []
    assert ids(run(machine, 0.1, main_closed=True)) == ["contactor_welded"]


@pytest.mark.parametrize(
    "changes",
    [
        {"link_voltage_v": 1280.0},
        {"link_voltage_v": 1299.0, "converter_voltage_v": 1250.0},
        {"link_voltage_v": 1299.0, "converter_current_a": -5.5},
        {"link_voltage_v": 1299.0, "current_a": 6.0},
    ],
)
def test_link_of_the_converter_must_match_by_all_measurements(site: Site, changes: dict[str, object]) -> None:
    machine = machine_of(site, "gateway", "inverter")
    run(machine, 2 * DT_S, join=True)
    run(machine, 1.0, **changes)
    assert machine.mode is RackMode.LINK
    run(machine, DT_S, link_voltage_v=1299.0, converter_voltage_v=1298.0, converter_current_a=-0.5)
    assert machine.mode is RackMode.CLOSING


@pytest.mark.parametrize(
    ("changes", "fault_id"),
    [({"link_voltage_v": 12.0}, "precharge_open"), ({"link_voltage_v": 1000.0}, "precharge_timeout")],
)
def test_link_that_the_converter_does_not_charge_is_tried_three_times(
    site: Site, changes: dict[str, object], fault_id: str
) -> None:
    machine = machine_of(site, "gateway", "inverter")
    tries_s = CONFIG.tries * (CONFIG.timeout_s + 3 * DT_S)
    assert run(machine, tries_s - 1.0, join=True, **changes) == []
    assert ids(run(machine, 1.0, join=True, **changes)) == [fault_id]


def test_link_that_takes_the_converters_current_and_stays_flat_is_shorted(site: Site) -> None:
    machine = machine_of(site, "gateway", "inverter")
    run(machine, 2 * DT_S, join=True)
    assert ids(run(machine, SHORT_S + 2 * DT_S, converter_current_a=-10.0)) == ["precharge_short"]


def test_contactor_that_closes_while_the_converter_charges_the_link_is_named(site: Site) -> None:
    machine = machine_of(site, "gateway", "inverter")
    run(machine, 2 * DT_S, join=True)
    assert ids(run(machine, DT_S, main_closed=True)) == ["contactor_closed_itself"]


def test_short_on_the_link_ends_the_precharge_at_once() -> None:
    machine = precharging()
    found = run(machine, SHORT_S + 2 * DT_S, current_a=85.0, link_voltage_v=12.0)
    assert found == [("precharge_short", "link 12.0 V of 1300.0 V, 85.0 A")]
    assert machine.contactors == Contactors(False, False)


@pytest.mark.parametrize(("link_v", "fault_id"), [(12.0, "precharge_open"), (1250.0, "precharge_timeout")])
def test_precharge_that_never_settles_is_tried_three_times(link_v: float, fault_id: str) -> None:
    machine = RackMachine(CONFIG)
    tries_s = CONFIG.tries * (CONFIG.timeout_s + 3 * DT_S)
    assert run(machine, tries_s - 1.0, join=True, link_voltage_v=link_v, current_a=1.0) == []
    assert ids(run(machine, 1.0, join=True, link_voltage_v=link_v, current_a=1.0)) == [fault_id]
    assert machine.mode is RackMode.LOCKED


def test_voltage_alone_is_no_precharge() -> None:
    machine = precharging()
    run(machine, 1.0, link_voltage_v=1299.0, current_a=6.0)
    assert machine.mode is RackMode.PRECHARGE


@pytest.mark.parametrize(
    ("changes", "fault_id"),
    [
        ({"main_closed": True}, "contactor_welded"),
        ({"precharge_closed": True}, "precharge_welded"),
    ],
)
def test_contactor_that_does_not_open_is_named(changes: dict[str, bool], fault_id: str) -> None:
    machine = online()
    run(machine, DT_S, main_closed=True, open=True)
    assert machine.mode is RackMode.OPENING
    assert ids(run(machine, FEEDBACK_S + 0.1, **changes)) == [fault_id]


def test_main_contactor_that_does_not_close_is_named() -> None:
    machine = precharging()
    assert ids(run(machine, FEEDBACK_S + 0.1, link_voltage_v=1299.0)) == ["contactor_stuck_open"]


def test_chatter_is_named_although_no_state_lasts() -> None:
    machine = online()
    found = []
    for number in range(12):
        found += run(machine, 0.04, main_closed=number % 2 == 0)
    assert set(ids(found)) == {"contactor_chatter"}


def test_a_rack_that_joins_and_leaves_every_few_seconds_does_not_chatter() -> None:
    machine = online()
    for _ in range(5):
        assert run(machine, 3.0, main_closed=True) == []
        assert run(machine, DT_S, main_closed=True, open=True) == []
        assert run(machine, 3.0) == []
        assert run(machine, 2 * DT_S, join=True, link_voltage_v=1299.0) == []
        assert machine.mode is RackMode.CLOSING


def test_derated_is_online_and_comes_back() -> None:
    machine = online()
    run(machine, 0.1, main_closed=True, derated=True)
    assert (machine.mode, machine.contactors) == (RackMode.DERATED, Contactors(True, False))
    run(machine, 0.1, main_closed=True)
    assert machine.mode is RackMode.ONLINE


def test_rack_found_closed_is_kept_where_the_converter_makes_the_grid_and_left_to_open_elsewhere() -> None:
    for forming, mode in ((True, RackMode.ONLINE), (False, RackMode.FOUND_CLOSED)):
        machine = RackMachine(CONFIG)
        run(machine, 0.1, main_closed=True, forming=forming)
        assert (machine.mode, machine.contactors) == (mode, Contactors(True, False))


@pytest.mark.parametrize("out", [RackMode.MAINTENANCE, RackMode.STRIP])
def test_rack_out_of_service_opens_stays_away_and_comes_back(out: RackMode) -> None:
    machine = online()
    run(machine, DT_S, main_closed=True, open=True)
    run(machine, 1.0, out_of_service=out, join=True)
    assert (machine.mode, machine.contactors) == (out, Contactors(False, False))
    run(machine, 0.1)
    assert machine.mode is RackMode.STANDBY


def refilling() -> RackMachine:
    machine = RackMachine(CONFIG)
    run(machine, 3 * DT_S, refill=True, link_voltage_v=1300.0, rack_voltage_v=700.0)
    assert (machine.mode, machine.contactors) == (RackMode.REFILL, Contactors(False, True))
    return machine


def test_empty_rack_takes_charge_through_its_precharge_until_it_may_enter() -> None:
    machine = refilling()
    assert not ids(run(machine, 3600.0, refill=True, precharge_closed=True, current_a=-30.0))
    assert (machine.mode, machine.mode.connected, machine.mode.joining) == (RackMode.REFILL, True, False)
    run(machine, DT_S, refill=True, enter=True, precharge_closed=True)
    assert (machine.mode, machine.contactors) == (RackMode.ENTERING, Contactors(True, True))
    run(machine, DT_S, refill=True, enter=True, precharge_closed=True, main_closed=True)
    assert (machine.mode, machine.contactors) == (RackMode.ONLINE, Contactors(True, False))


def test_refill_ends_when_it_may_not_go_on_and_locks_on_what_cannot_be() -> None:
    machine = refilling()
    run(machine, 2 * DT_S)
    assert machine.mode is RackMode.STANDBY
    for changes, fault_id in (
        ({"current_a": -45.0}, "precharge_short"),
        ({"main_closed": True}, "contactor_closed_itself"),
    ):
        machine = refilling()
        assert ids(run(machine, DT_S, refill=True, **changes)) == [fault_id]
        assert machine.mode is RackMode.LOCKED
    machine = refilling()
    machine.in_mode_s = 24.0 * 3600.0
    assert ids(run(machine, DT_S, refill=True)) == ["precharge_timeout"]
    machine = refilling()
    assert ids(run(machine, 1.0, refill=True, enter=True)) == ["contactor_stuck_open"]


def random_inputs(rng: random.Random) -> Iterator[RackInputs]:
    """One thing changes at a time; `join` is an offer, not an order."""
    now = QUIET
    choices = {
        "ready": (True, True, False),
        "join": (True, False),
        "open": (False, False, False, True),
        "current_a": (0.0, 3.0, -4.9, 5.1, 85.0, -200.0),
        "rack_voltage_v": (1300.0, 1310.0),
        "link_voltage_v": (0.0, 1290.0, 1299.0, 1312.0),
        "main_closed": (True, False, None),
        "precharge_closed": (True, False, None),
        "derated": (True, False),
        "out_of_service": (None, None, None, RackMode.MAINTENANCE, RackMode.STRIP),
        "converter_voltage_v": (float("nan"), 0.0, 1250.0, 1299.0, 1308.0),
        "converter_current_a": (float("nan"), 0.0, -4.0, -10.0, 100.0),
        "forming": (False, False, True),
        "refill": (False, False, True),
        "enter": (False, True),
        "own_fault": (RackOwnFault.NONE,) * 14 + tuple(RackOwnFault),
    }
    names = list(choices)
    while True:
        name = rng.choice(names)
        now = now._replace(**{name: rng.choice(choices[name])})
        yield now


NOT_IN = {
    ("gateway", "rack"): {RackMode.LINK, RackMode.REQUESTED},
    ("gateway", "inverter"): {RackMode.PRECHARGE, RackMode.REQUESTED, RackMode.REFILL, RackMode.ENTERING},
    ("rack", "rack"): {RackMode.PRECHARGE, RackMode.LINK, RackMode.CLOSING, RackMode.REFILL, RackMode.ENTERING},
    ("rack", "inverter"): {RackMode.PRECHARGE, RackMode.CLOSING, RackMode.REFILL, RackMode.ENTERING},
}
"""Modes that a way to join does not know."""


@pytest.mark.parametrize(("owner", "by"), WAYS)
def test_a_million_random_events_reach_no_forbidden_state(site: Site, owner: str, by: str) -> None:
    rng = random.Random(20261123)
    machine, heard, seen = machine_of(site, owner, by), False, set()
    for inputs, _ in zip(random_inputs(rng), range(EVENTS // len(WAYS)), strict=False):
        before, lasted_s = machine.mode, machine.in_mode_s
        if rng.random() < 0.002:
            machine.unlock()
            before = machine.mode
        heard |= inputs.main_closed is not None
        dt_s = rng.choice((0.02, 0.02, 0.04, 0.3))
        machine.step(inputs, dt_s)
        check(before, lasted_s + dt_s, inputs, machine)
        opened = machine.mode.online and inputs.main_closed is False and abs(inputs.current_a) < 5.0
        assert (machine.contactors is not None) is (heard and not opened)
        seen.add((before, machine.mode))
    assert {now for _, now in seen} == set(RackMode) - NOT_IN[owner, by]
    assert len(seen) > 30


def forbidden_command(machine: RackMachine) -> bool:
    """No precharge but by the gateway in the rack, and none together with an open mode."""
    commanded = machine.contactors or Contactors(False, False)
    precharging = (RackMode.PRECHARGE, RackMode.CLOSING, RackMode.REFILL, RackMode.ENTERING)
    return commanded.precharge_closed and machine.mode not in precharging


def check(before: RackMode, lasted_s: float, inputs: RackInputs, machine: RackMachine) -> None:
    now = machine.mode
    commanded = machine.contactors or Contactors(False, False)
    entered = now if now is not before else None
    by_gateway = machine.way is BY_GATEWAY
    assert not forbidden_command(machine)
    assert by_gateway or not commanded.precharge_closed
    if before is RackMode.STANDBY and now.joining:
        assert inputs.ready
        assert inputs.join
        assert not inputs.open
        assert inputs.out_of_service is None
    if entered is not None and now.joining:
        assert before is RackMode.STANDBY or before in (RackMode.PRECHARGE, RackMode.LINK)
    if entered is not None and now.joining and before is not RackMode.STANDBY:
        assert abs(inputs.rack_voltage_v - inputs.link_voltage_v) < 0.01 * inputs.rack_voltage_v
        assert abs(inputs.current_a) < CONFIG.current_a_max
        if before is RackMode.LINK:
            assert not abs(inputs.converter_voltage_v - inputs.rack_voltage_v) > 0.03 * inputs.rack_voltage_v
            assert not abs(inputs.converter_current_a) > CONFIG.current_a_max
    if entered is RackMode.CLOSING:
        assert before in (RackMode.PRECHARGE, RackMode.LINK)
    if entered is RackMode.REFILL:
        assert before is RackMode.STANDBY
        assert inputs.ready
        assert inputs.refill
        assert not inputs.open
    if entered is RackMode.ENTERING:
        assert before is RackMode.REFILL
        assert inputs.refill
        assert inputs.enter
        assert abs(inputs.current_a) < 40.0
    if now.online and not before.online:
        adopted = before is RackMode.FOUND_CLOSED and inputs.forming and inputs.ready
        assert adopted or before in (RackMode.CLOSING, RackMode.REQUESTED, RackMode.ENTERING)
        assert inputs.main_closed
    if entered is RackMode.LOCKED:
        assert machine.fault is not None
    if before.connected and before is not RackMode.OPENING and inputs.open:
        assert not now.joining
        assert not now.online
        assert not commanded.main_closed or now is RackMode.FOUND_CLOSED
    if before is RackMode.LOCKED:
        assert now is RackMode.LOCKED
    if now is before:
        longest_s = {
            RackMode.PRECHARGE: CONFIG.timeout_s, RackMode.LINK: CONFIG.timeout_s, RackMode.CLOSING: FEEDBACK_S,
            RackMode.REQUESTED: machine.way.connect_s, RackMode.ENTERING: FEEDBACK_S,
        }.get(now)  # fmt: skip
        assert longest_s is None or lasted_s <= longest_s
        known = inputs.main_closed is not None and inputs.precharge_closed is not None
        assert now is not RackMode.OPENING or not known or lasted_s <= machine.way.open_s
    if commanded.main_closed:
        closing = (RackMode.CLOSING, RackMode.REQUESTED, RackMode.FOUND_CLOSED, RackMode.ENTERING)
        assert now.online or now in closing
