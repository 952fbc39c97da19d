"""What auxiliary devices over Modbus say trips the same faults as a rack's own inputs, and they are told of a fire. On
the rig `enclosure` the racks' own I/O shows none of it."""

import pytest

from bms.protect.faults import FAULTS
from bms.site import Site
from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from tests.hil.live_rig import Live, run_live

AT_S = 6.0
CAUSES = {
    "aux_supply_on_battery": f"aux-on-battery@{AT_S:g}:rack-2",
    "aux_supply_charge_low": f"aux-charge@{AT_S:g}:rack-2:0.1",
}
"""Faults that only such a device can cause: a rack's own I/O has no input for them."""
OTHERS = {
    "smoke_detected": f"smoke@{AT_S:g}:rack-2",
    "emergency_stop": f"emergency-stop@{AT_S:g}:rack-1",
    "aux_supply_low": f"aux-supply@{AT_S:g}:rack-2:19",
    "cooling_failed": f"cooling-failed@{AT_S:g}:rack-1",
    "coolant_temperature_high": f"coolant-temperature@{AT_S:g}:rack-1:55",
    "auxiliary_input_missing": f"auxiliary-lost@{AT_S:g}::2",
    "safety_input_missing": f"auxiliary-lost@{AT_S:g}::4",
}
AGE_S = 1.0
"""What a device said counts for so long."""


def caused(texts: str, duration_s: float) -> Outcome:
    faults = [parse_fault(text) for text in texts.split()]
    return simulate(find_rig("enclosure"), seed=5, duration_s=duration_s, faults=faults)


@pytest.mark.parametrize("fault_id", [*CAUSES, *OTHERS])
def test_cause_is_named_at_both_racks_and_opens_them_as_the_table_says(fault_id: str) -> None:
    kind = FAULTS[fault_id]
    outcome = caused({**CAUSES, **OTHERS}[fault_id], AT_S + 4.0)
    trips = [trip for trip in outcome.trips if trip.fault_id == fault_id]
    assert [trip.target for trip in trips] == ["rack-1", "rack-2"]
    silent_s = AGE_S if fault_id.endswith("missing") else 0.0
    assert all(AT_S <= trip.at_s <= AT_S + silent_s + kind.debounce_s + 0.7 for trip in trips)
    assert outcome.end.contactors_closed == (not kind.action.opens, not kind.action.opens)
    assert outcome.end.opened_under_load_a < 50.0


def test_smoke_counts_also_while_the_racks_own_inputs_are_silent() -> None:
    outcome = caused(f"safety-inputs-lost@{AT_S:g}:rack-1 smoke@{AT_S + 1:g}:rack-1", AT_S + 4.0)
    assert [(trip.fault_id, trip.target) for trip in outcome.trips] == [
        ("safety_inputs_stale", "rack-1"), ("smoke_detected", "rack-1"), ("smoke_detected", "rack-2")
    ]  # fmt: skip


def test_there_is_no_such_device() -> None:
    with pytest.raises(UnknownTargetError, match=r"fault auxiliary-lost: no device 5, there are 4 in rig enclosure"):
        locate(find_rig("enclosure"), parse_fault("auxiliary-lost@6::5"))
    with pytest.raises(UnknownTargetError, match=r"fault aux-charge: there are no auxiliary devices in rig demo"):
        locate(find_rig("demo"), parse_fault("aux-charge@6:rack-1:0.1"))


def cooling_off_in_a_fire(site: Site) -> Site:
    return site.model_copy(update={"safety": site.safety.model_copy(update={"fire_cooling": "off"})})


async def fire_is_told(rig: Live) -> None:
    """Control module of the panel activated, relay of the I/O block on, cooling told off: 0x0800, bit 0, 1."""
    loops, _, cooling, panel = [server.device for server in rig.bench.auxiliary_servers]
    assert (loops.read(32, 1), panel.read(201, 1), cooling.read(262, 1)) == ([0], [0x0900], [0])
    rig.strike([parse_fault("gas@0:rack-2")])
    await rig.pass_s(2.0)
    assert (loops.read(32, 1), panel.read(201, 1), cooling.read(262, 1)) == ([1], [0x0800], [1])
    assert rig.active == ["gas_detected", "gas_detected"]


test_fire_is_told_to_the_panel_and_the_cooling = run_live(fire_is_told, cooling_off_in_a_fire, "enclosure")


async def charge_comes_back(rig: Live) -> None:
    """Off its battery the supply is no cause any more, however little is in it; then the racks join again."""
    rig.strike([parse_fault("aux-charge@0:rack-1:0.19")])
    await rig.pass_s(4.0)
    assert rig.active == ["aux_supply_charge_low"] * 2 + ["aux_supply_on_battery"] * 2
    assert not rig.closed
    rig.bench.enclosures[0].aux_on_battery = False
    await rig.pass_s(40.0)
    assert rig.active == []
    assert rig.closed


test_racks_join_again_once_the_supply_is_fed = run_live(charge_comes_back, rig="enclosure")
