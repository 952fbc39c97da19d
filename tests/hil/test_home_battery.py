"""A third-party low-voltage battery as the site's rack: judged and used by its own word, its cells are not seen."""

import asyncio
import math
from itertools import pairwise

import numpy as np
import pytest

from bms.controller import Controller
from bms.protect.battery_faults import BATTERY_ALARMS, BATTERY_FAULTS
from bms.protect.faults import FAULTS, Action
from drivers.battery import BatteryAlarm, BatterySays
from drivers.frames import FrameBatch
from drivers.low_voltage import PROFILES
from drivers.low_voltage.codec import BatteryDecoder
from hil_rigs.bench import Bench
from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.spec import parse_fault
from hil_rigs.load_spec import ConstantPower
from hil_rigs.pv_spec import ClearSkyPv
from hil_rigs.rig import RigFile, find_rig, make_site
from hil_rigs.run import Outcome, simulate
from hil_rigs.world import run_virtual
from tests.hil.fault_actions import STOPPED_W
from tests.hil.live_rig import Live, run_live

AT_S = 9.0
CAUSES = {
    "battery_silent": f"battery-silent@{AT_S:g}:rack-1",
    "battery_warning": f"battery-warning@{AT_S:g}:rack-1:3",
    **{
        kind.id: f"battery-alarm@{AT_S:g}:rack-1:{int(alarm).bit_length() - 1}"
        for alarm, kind in BATTERY_ALARMS.items()
    },
}
"""By what the rig is made to suffer, so that the fault is named."""
AGE_S = 3.0


def rig(soc_frac: float = 0.4, load_w: float = 5e3, variant: str = "victron") -> RigFile:
    """With a steady load and no sun; Victron's variant has a place for every alarm."""
    home = find_rig("home-battery")
    plant = home.plant.model_copy(update={"low_voltage": variant, "soc_frac": soc_frac})
    load = ConstantPower(kind="constant", rated_power_w=load_w)
    return home.model_copy(update={"plant": plant, "load": load, "pv": None})


def discharged(texts: str, duration_s: float) -> Outcome:
    return simulate(rig(), seed=5, duration_s=duration_s, faults=[parse_fault(text) for text in texts.split()])


def test_every_fault_of_a_battery_has_a_cause() -> None:
    assert set(CAUSES) == {kind.id for kind in BATTERY_FAULTS}


@pytest.mark.parametrize("fault_id", CAUSES)
def test_its_alarm_or_silence_is_named_and_does_what_the_table_says(fault_id: str) -> None:
    outcome = discharged(CAUSES[fault_id], AT_S + 6.0)
    late_s = AGE_S if fault_id == "battery_silent" else 1.0
    (trip,) = outcome.trips
    assert (trip.fault_id, trip.target) == (fault_id, "rack-1")
    assert AT_S <= trip.at_s <= AT_S + late_s + 0.3
    after_s = outcome.curves.time_s - trip.at_s
    battery_w = outcome.curves.battery_power_w[after_s > 1.0]
    if FAULTS[fault_id].action in (Action.WARN, Action.BLOCK_CHARGE):
        assert battery_w.min() > 2000.0
    else:
        assert np.abs(battery_w).max() < STOPPED_W
    assert outcome.end.opened_under_load_a == 0.0


async def _words(rig: RigFile, duration_s: float, named: list[str]) -> list[BatterySays]:
    bench = Bench(rig, 5)
    site = make_site(rig, await bench.start())
    controller = Controller(
        site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan,
        on_trip=lambda fault: named.append(fault.kind.id),
    )  # fmt: skip
    assert rig.plant.low_voltage is not None
    decoder, heard = BatteryDecoder(PROFILES[rig.plant.low_voltage]), dict[int, BatterySays]()

    def on_batch(batch: FrameBatch) -> None:
        decoder.feed(batch)
        said = decoder.says()
        heard[said.limits_at_ns] = said

    bench.buses["can0"].attach(on_batch)
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
    await asyncio.sleep(duration_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bench.close()
    return [said for said in heard.values() if said.limits_at_ns > 0]


def words(rig: RigFile, duration_s: float) -> list[BatterySays]:
    """What the battery says on its bus while the controller uses it; no fault may be named."""
    named: list[str] = []
    found: list[BatterySays] = run_virtual(_words(rig, duration_s, named), seed=5)
    assert named == [], named
    return found


def test_it_is_charged_with_no_more_than_it_allows_and_not_above_its_voltage() -> None:
    """Nearly full, with more sun than the house takes; without SoC limits of ours, what binds is the battery's word."""
    sun = ClearSkyPv(kind="clear-sky", rated_power_w=8000)
    sunny = rig(soc_frac=0.985, load_w=100.0).model_copy(update={"pv": sun})
    limits = sunny.site.limits.model_copy(update={"soc_frac_max": 1.0})
    full = sunny.site.applications[0].model_copy(update={"soc_frac_max": 1.0})
    site = sunny.site.model_copy(update={"limits": limits, "applications": (full,)})
    said = words(sunny.model_copy(update={"site": site, "start_hour": 12.0}), 60.0)[15:]
    assert min(word.current_a for word in said) < -20.0
    assert 10.0 < said[-1].charge_current_a_max < 0.3 * 280.0
    for before, word in pairwise(said):
        assert -word.current_a <= before.charge_current_a_max + 1.0
        assert word.voltage_v <= 16 * 3.50 + 0.05


def test_an_empty_one_is_not_discharged_further() -> None:
    empty = rig(soc_frac=0.055, variant="pylontech")
    limits = empty.site.limits.model_copy(update={"soc_frac_min": 0.0})
    low = empty.site.applications[0].model_copy(update={"soc_frac_min": 0.0})
    site = empty.site.model_copy(update={"limits": limits, "applications": (low,)})
    said = words(empty.model_copy(update={"site": site}), 40.0)[10:]
    for before, word in pairwise(said):
        assert word.current_a <= before.discharge_current_a_max + 1.0


async def own_word(it: Live) -> None:
    """Its SoC is its own word; of its cells nothing is made up."""
    assert it.controller is not None
    status = it.controller.report.status()
    assert status is not None
    assert status.soc_frac_mean == pytest.approx(it.bench.plant.racks[0].cells.soc_frac.mean(), abs=0.011)
    reading = it.controller._racks[0].reading()
    assert np.isnan(reading.voltage_v).all()
    assert reading.main_closed is None
    assert math.isnan(status.soc_sigma_frac_max)
    assert it.bench.plant.racks[0].main_closed
    assert it.active == []


test_its_charge_is_its_own_word_and_its_cells_are_not_seen = run_live(own_word, rig="home-battery")


def test_cells_of_such_a_rig_cannot_be_struck_and_other_rigs_have_no_such_battery() -> None:
    for name, text, line in (
        (
            "home-battery",
            "gas@6:rack-1",
            "fault gas: the battery hides what its rack is made of in rig home-battery",
        ),
        ("demo", "battery-alarm@6:rack-1:0", "fault battery-alarm: no battery has a management of its own in rig demo"),
    ):
        with pytest.raises(UnknownTargetError) as caught:
            locate(find_rig(name), parse_fault(text))
        assert str(caught.value) == line


def test_alarm_bits_are_all_covered() -> None:
    assert set(BATTERY_ALARMS) == set(BatteryAlarm)
