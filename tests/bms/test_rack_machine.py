"""One rack's machine: a million random events reach no forbidden state, and each way into a lock has its own name."""

import random
from collections.abc import Iterator

import pytest

from bms.decision import Contactors
from bms.rack import FEEDBACK_S, SHORT_S, TABLE, RackInputs, RackMachine, RackMode
from bms.site import Precharge

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
    assert set(TABLE) == set(RackMode)


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


@pytest.mark.parametrize("out", [RackMode.MAINTENANCE, RackMode.STRIP])
def test_rack_out_of_service_opens_stays_away_and_comes_back(out: RackMode) -> None:
    machine = online()
    run(machine, DT_S, main_closed=True, open=True)
    run(machine, 1.0, out_of_service=out, join=True)
    assert (machine.mode, machine.contactors) == (out, Contactors(False, False))
    run(machine, 0.1)
    assert machine.mode is RackMode.STANDBY


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
    }
    names = list(choices)
    while True:
        name = rng.choice(names)
        now = now._replace(**{name: rng.choice(choices[name])})
        yield now


def test_a_million_random_events_reach_no_forbidden_state() -> None:
    rng = random.Random(20261123)
    machine, heard, seen = RackMachine(CONFIG), False, set()
    for inputs, _ in zip(random_inputs(rng), range(EVENTS), strict=False):
        before, lasted_s = machine.mode, machine.in_mode_s
        if rng.random() < 0.002:
            machine.unlock()
            before = machine.mode
        heard |= inputs.main_closed is not None
        dt_s = rng.choice((0.02, 0.02, 0.04, 0.3))
        machine.step(inputs, dt_s)
        check(before, lasted_s + dt_s, inputs, machine)
        assert (machine.contactors is not None) is heard
        seen.add((before, machine.mode))
    assert {now for _, now in seen} == set(RackMode)
    assert len(seen) > 35


def check(before: RackMode, lasted_s: float, inputs: RackInputs, machine: RackMachine) -> None:
    now = machine.mode
    commanded = machine.contactors or Contactors(False, False)
    entered = now if now is not before else None
    if entered is RackMode.PRECHARGE:
        assert before is RackMode.STANDBY
        assert inputs.ready
        assert inputs.join
        assert not inputs.open
        assert inputs.out_of_service is None
    if entered is RackMode.CLOSING:
        assert before is RackMode.PRECHARGE
        assert abs(inputs.rack_voltage_v - inputs.link_voltage_v) < 0.01 * inputs.rack_voltage_v
        assert abs(inputs.current_a) < CONFIG.current_a_max
    if now.online and not before.online:
        assert before is RackMode.CLOSING
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
        longest_s = {RackMode.PRECHARGE: CONFIG.timeout_s, RackMode.CLOSING: FEEDBACK_S}.get(now)
        assert longest_s is None or lasted_s <= longest_s
        known = inputs.main_closed is not None and inputs.precharge_closed is not None
        assert now is not RackMode.OPENING or not known or lasted_s <= FEEDBACK_S
    if commanded.main_closed:
        assert now.online or now in (RackMode.CLOSING, RackMode.FOUND_CLOSED)
