"""Strip of zinc racks: one after the other, never against what the site promised, and never without a word."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bms.dispatch.applications.strip import Strip, StripApplication
from bms.dispatch.day_times import DayPart
from bms.dispatch.dispatch import Dispatch, make_applications
from bms.dispatch.view import RackView, SiteView, StripOrder
from bms.rack import RackMode
from bms.site.applications import APPLICATIONS
from bms.strip import StripCycle
from bms.summary import summarise_rack
from drivers.readings import RackReading

HOUR_S = 3600.0
MONDAY_S = 1_782_691_200.0
"""Monday, 29 June 2026, 0:00 UTC."""
SETTINGS = Strip(kind="strip", interval_h=100.0, start_frac=0.5, duration_h=10.0)
SOLD_30_KW = {"kind": "frequency-response", "product": "uk-dc", "discharge_power_w": 30e3, "charge_power_w": 10e3}
"""Dynamic Containment lasts for a quarter of an hour: 7.8 kWh in store, with an efficiency of 96 %."""


def rack(name: str, **changes: object) -> RackView:
    """100 V with 200 A in both directions: 20 kW, 20 kWh, half full."""
    known = RackView(name, "online", True, 0.5, 20e3, 100.0, 200.0, 200.0)
    return replace(known, **changes)  # type: ignore[arg-type]


def out(name: str, state: str, **changes: object) -> RackView:
    return rack(name, state=state, online=False, charge_current_a=0.0, discharge_current_a=0.0, **changes)


THREE = (rack("a"), rack("b"), rack("c"))


class Site:
    """A stack and its site; `look` is one control tick at that hour."""

    def __init__(self, *stack: object, racks: tuple[RackView, ...] = THREE) -> None:
        settings = [APPLICATIONS[each["kind"]].settings(**each) if isinstance(each, dict) else each for each in stack]
        self.dispatch = Dispatch(make_applications(settings))
        self.racks = racks
        self.view = SiteView(
            dt_s=1.0, grid_power_w=0.0, load_power_w=0.0, battery_power_w=0.0, soc_frac=0.5,
            charge_power_w_limit=60e3, discharge_power_w_limit=60e3, frequency_hz=50.0, energy_capacity_wh=60e3,
            rated_power_w=60e3,
        )  # fmt: skip

    def look(self, hour: float, *racks: RackView, clock: bool = True) -> StripOrder:
        self.racks = racks or self.racks
        utc_s = MONDAY_S + hour * HOUR_S if clock else None
        self.wish = self.dispatch.step(replace(self.view, racks=self.racks, utc_s=utc_s), "", "")
        assert self.wish.strip is not None
        return self.wish.strip


def begun(*stack: object, racks: tuple[RackView, ...] = THREE) -> Site:
    """Whose stack has been looked at once: what it keeps is known from the second tick on."""
    site = Site(*stack, racks=racks)
    assert not site.look(0.0).racks
    return site


def test_racks_go_one_after_the_other_and_each_again_in_the_second_half_of_its_interval() -> None:
    site, went = begun(SETTINGS), []
    for hour in range(1, 160):
        asked = site.look(hour).racks
        assert len(asked) <= 1
        for name in asked:
            went.append((hour, name))
            site.look(hour, *[out(name, "strip", soc_frac=0.0, stripped=True) if each.name == name else each
                              for each in THREE])  # fmt: skip
            site.look(hour, *THREE)
    assert went[:3] == [(1, "a"), (2, "b"), (3, "c")]
    assert went[3:6] == [(51, "a"), (52, "b"), (53, "c")]


def test_rack_that_refills_is_still_out() -> None:
    site = begun(SETTINGS)
    assert site.look(1.0).racks == {"a"}
    order = site.look(6.0, out("a", "strip", stripped=True), *THREE[1:])
    assert (order.racks, order.says) == (frozenset(), "a strips; b waits: a is out")
    assert site.look(6.1, out("a", "refill"), *THREE[1:]).says == "a refills; b waits: a is out"
    assert site.look(8.0, *THREE).racks == {"b"}


WAITS = [
    ({}, {"discharge_power_w_kept": 41e3}, "a waits: the others give 40000 W of 41000 W that are kept"),
    ({}, {"charge_power_w_kept": 41e3}, "a waits: the others take 40000 W of 41000 W that are kept"),
    ({}, {"energy_wh_kept": 21e3}, "a waits: the others hold 20000 Wh of 24000 Wh that are kept"),
    ({"state": "derated", "discharge_current_a": 150.0}, {"discharge_power_w_kept": 41e3},
     "a waits: the others give 40000 W of 41000 W that are kept"),
    ({"state": "locked", "online": False}, {}, "a waits: it is not online (locked)"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "kept", "says"), WAITS)
def test_what_speaks_against_it_is_named(first: dict[str, object], kept: dict[str, float], says: str) -> None:
    site = begun(SETTINGS.model_copy(update=kept), racks=(rack("a", **first), *THREE[1:]))
    order = site.look(1.0)
    assert (order.racks, order.says) == (frozenset(), says)


def test_what_others_sell_is_kept() -> None:
    """30 kW and their energy of what two racks of 20 kW have; 15 kW more flow, and nobody goes until that is over."""
    site = begun(SOLD_30_KW, {"kind": "schedule", "parts": [{"begins": "00:00", "ends": "02:00", "power_w": 15e3}]},
                 SETTINGS)  # fmt: skip
    assert site.look(1.0).says == "a waits: the others give 40000 W of 45000 W that are kept"
    for hour in np.arange(2.0, 3.0, 1 / 3600.0):
        site.look(float(hour))
    assert site.look(3.0).racks == {"a"}


@pytest.mark.parametrize(
    ("soc_frac", "says"),
    [
        (0.43, "a waits: the others hold 17200 Wh of 19812 Wh that are kept"),
        (0.5, "a leaves; b waits: a is out"),
        (0.85, "a waits: the others have room for 2000 Wh of 2400 Wh that are kept"),
    ],
)
def test_soc_bands_hold_while_it_is_away_and_when_it_is_back_empty(soc_frac: float, says: str) -> None:
    """9 kWh below 15 % of all three, 7.8 kWh in store and 3 kWh that the strip costs. 10 kW for 15 min need 2.4 kWh
    below 90 %."""
    racks = tuple(replace(each, soc_frac=soc_frac) for each in THREE)
    site = begun({**SOLD_30_KW, "soc_frac_min": 0.15}, SETTINGS, racks=racks)
    site.view = replace(site.view, soc_frac=soc_frac)
    order = site.look(1.0)
    assert order.says == says
    assert order.racks == ({"a"} if soc_frac == 0.5 else frozenset())


def test_band_of_any_application_counts() -> None:
    """Two racks hold 20 kWh; 35 % of all three are 21 kWh, and the strip costs 3 kWh."""
    site = begun({"kind": "backup-reserve", "soc_frac_min": 0.35}, SETTINGS)
    assert site.look(1.0).says == "a waits: the others hold 20000 Wh of 24000 Wh that are kept"
    assert begun({"kind": "backup-reserve", "soc_frac_min": 0.28}, SETTINGS).look(1.0).racks == {"a"}


def test_it_charges_what_a_strip_that_is_due_needs_and_no_more() -> None:
    """24 kWh are kept of which the others hold 20."""
    kept = SETTINGS.model_copy(update={"energy_wh_kept": 21e3, "recharge_power_w_max": 5e3})
    site = begun(kept)
    site.look(1.0)
    assert site.wish.power_w == -5e3
    fuller = tuple(replace(each, soc_frac=0.62) for each in THREE)
    assert site.look(1.1, *fuller).racks == {"a"}
    assert site.wish.power_w == 0.0


def test_it_does_not_charge_where_charging_does_not_help() -> None:
    kept = {"energy_wh_kept": 21e3, "discharge_power_w_kept": 41e3, "recharge_power_w_max": 5e3}
    site = begun(SETTINGS.model_copy(update=kept))
    site.look(1.0)
    assert site.wish.power_w == 0.0


def test_racks_go_in_the_windows_only_and_finish_outside() -> None:
    night = SETTINGS.model_copy(update={"windows": (DayPart(begins="22:00", ends="23:00"),)})
    site = begun(night)
    assert site.look(21.9).says == "a waits: outside its windows"
    assert site.look(22.1).racks == {"a"}
    assert site.look(23.5, out("a", "strip"), *THREE[1:]).racks == {"a"}


def test_without_a_clock_nobody_goes() -> None:
    site = Site(SETTINGS)
    site.look(0.0, clock=False)
    assert site.look(1.0, clock=False) == StripOrder(frozenset(), "strip waits: no wall clock")


def test_strip_that_waits_too_long_is_an_alarm_with_its_reason() -> None:
    site = begun(SETTINGS.model_copy(update={"discharge_power_w_kept": 50e3}))
    assert site.look(49.9).overdue == ""
    assert site.look(51.0).overdue == (
        "a was stripped 101.0 h ago (a waits: the others give 40000 W of 50000 W that are kept)"
    )


def test_strip_that_takes_too_long_is_an_alarm() -> None:
    site = begun(SETTINGS)
    site.look(1.0)
    assert site.look(10.9, out("a", "strip"), *THREE[1:]).overdue == ""
    assert site.look(11.5, out("a", "strip"), *THREE[1:]).overdue == "a is out for 10.5 h"


def test_rack_that_still_holds_something_is_called_back_when_another_fails() -> None:
    kept = SETTINGS.model_copy(update={"discharge_power_w_kept": 30e3})
    for soc_frac, asked in ((0.4, frozenset()), (0.05, {"a"})):
        site = begun(kept)
        assert site.look(1.0).racks == {"a"}
        assert site.look(2.0, out("a", "strip", soc_frac=soc_frac), out("b", "locked"), rack("c")).racks == asked


def test_restart_remembers_who_was_stripped_when_and_who_is_out() -> None:
    site = begun(SETTINGS)
    site.look(1.0)
    site.look(2.0, out("a", "strip", stripped=True), *THREE[1:])
    site.look(3.0, *THREE)
    saved = site.dispatch.save()
    again = Site(SETTINGS)
    again.dispatch.restore(saved)
    order = again.look(3.1, THREE[0], out("b", "standby"), THREE[2])
    assert (order.racks, order.says) == ({"b"}, "b leaves; c waits: b is out")
    assert again.look(20.0, THREE[0], out("b", "strip", stripped=True), THREE[2]).racks == frozenset()
    assert again.look(21.0, *THREE).racks == {"c"}


@pytest.mark.parametrize(
    ("saved", "wrong"),
    [
        ({"stripped_utc_s": {"a": "noon"}, "out_utc_s": {}, "out": []}, "stripped_utc_s: expected a time"),
        ({"stripped_utc_s": {}, "out_utc_s": {}, "out": ["a"]}, "out: expected names of racks in out_utc_s"),
    ],
)
def test_memory_that_cannot_be_is_refused(saved: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        StripApplication(SETTINGS).restore(saved)


CYCLE = Strip(kind="strip", rest_min=1.0)


def bled(cycle: StripCycle, reading: RackReading, seconds: float, *, faulted: bool = False) -> tuple[list[int], bool]:
    """What bleeds at the end, and whether the strip was done meanwhile."""
    done = False
    for _ in range(round(seconds)):
        bleed = cycle.step(RackMode.STRIP, reading, summarise_rack(reading, 0), faulted, 1.0)
        done |= cycle.stripped
    assert bleed is not None
    return bleed.tolist(), done


def test_every_cell_is_bled_until_all_have_been_empty_for_the_rest(rack: Callable[..., RackReading]) -> None:
    cycle = StripCycle(CYCLE, 60.0)
    partly, empty = (rack(voltage_v=np.array(volts), temperature_degc=np.full(4, 25.0), voltage_at_ns=np.zeros(4, int),
                          temperature_at_ns=np.zeros(4, int), bleeding=np.zeros(4, np.uint8))
                     for volts in ([1.0, 1.0, 1.1, 1.0], [1.0, 1.0, 1.04, 1.0]))  # fmt: skip
    assert bled(cycle, partly, 600.0) == ([1, 1, 1, 1], False)
    assert bled(cycle, empty, 59.0) == ([1, 1, 1, 1], False)
    assert bled(cycle, partly, 1.0) == ([1, 1, 1, 1], False)
    assert bled(cycle, empty, 59.0) == ([1, 1, 1, 1], False)
    assert bled(cycle, empty, 2.0) == ([1, 1, 1, 1], True)
    assert bled(cycle, empty, 600.0)[1] is False


def test_hot_cells_pause_and_all_do_under_a_fault(rack: Callable[..., RackReading]) -> None:
    hot = rack(temperature_degc=np.array([25.0, 61.0, 25.0, 59.0]), voltage_v=np.full(4, 1.0))
    assert bled(StripCycle(CYCLE, 60.0), hot, 1.0) == ([1, 0, 1, 1], False)
    assert bled(StripCycle(CYCLE, 60.0), hot, 600.0, faulted=True) == ([0, 0, 0, 0], False)


def test_outside_its_strip_others_choose(rack: Callable[..., RackReading]) -> None:
    reading = rack()
    assert StripCycle(CYCLE, 60.0).step(RackMode.STANDBY, reading, summarise_rack(reading, 0), False, 1.0) is None
