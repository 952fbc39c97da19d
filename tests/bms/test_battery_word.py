"""What the site says of itself as a battery: alarms by faults, limits only where current may flow."""

import math
from collections.abc import Callable, Sequence

import pytest

from bms.battery import BatteryState, Mode
from bms.estimate.soc import SocSummary
from bms.image import Image
from bms.north.battery_word import SiteNow, battery_word
from bms.protect.faults import FAULTS
from bms.protect.limits import PowerLimits
from bms.protect.protection import ActiveFault
from bms.rack import RackMode
from bms.site import Site
from bms.summary import summarise
from drivers.battery import BatteryAlarm as A
from drivers.battery import BatterySays
from drivers.readings import RackReading

Make = Callable[..., Image]


def word(site: Site, image: Image, *, faults: Sequence[str] = (), power_allowed: bool = True) -> BatterySays:
    """Of two racks of four cells; 1,320 W of charge and 660 W of discharge are allowed."""
    online = (RackMode.ONLINE, RackMode.ONLINE)
    now = SiteNow(
        image=image,
        summary=summarise(image),
        battery=BatteryState(Mode.RUNNING, online, (None, None), True, power_allowed, ()),
        limits=PowerLimits(1320.0, 660.0, "", ""),
        soc=SocSummary(0.5, 0.5, 0.5, 0.625, 1000.0, 0.01, (0.5, 0.5), (0.5, 0.5)),
        faults=[ActiveFault(FAULTS[fault], "rack1", 0, "") for fault in faults],
        soh_frac=0.9,
    )
    return battery_word(site, 560.0, "CELLWARD", now)


def test_a_healthy_site_says_its_limits_at_the_voltage_behind_the_contactors(site: Site, image: Make) -> None:
    says = word(site, image())
    assert (says.charge_current_a_max, says.discharge_current_a_max) == pytest.approx((100.0, 50.0))
    assert (says.charge_voltage_v_max, says.discharge_voltage_v_min) == pytest.approx((14.0, 11.2))
    assert (says.voltage_v, says.soc_frac, says.soh_frac, says.capacity_ah) == (13.2, 0.625, 0.9, 560.0)
    assert (says.charge_allowed, says.discharge_allowed, says.charge_requested) == (True, True, False)
    assert (says.alarms, says.warnings) == (A(0), A(0))


def test_nothing_is_allowed_while_no_power_may_flow(site: Site, image: Make) -> None:
    says = word(site, image(), power_allowed=False)
    assert (says.charge_current_a_max, says.discharge_current_a_max) == (0.0, 0.0)
    assert (says.charge_allowed, says.discharge_allowed) == (False, False)


def test_nothing_is_allowed_where_the_voltage_is_not_known(
    site: Site, image: Make, rack: Callable[..., RackReading]
) -> None:
    says = word(site, image(*(rack(link_voltage_v=math.nan) for _ in range(2))))
    assert (says.charge_current_a_max, says.discharge_current_a_max) == (0.0, 0.0)
    assert math.isnan(says.voltage_v)


def test_a_current_that_is_not_known_is_not_said(site: Site, image: Make, rack: Callable[..., RackReading]) -> None:
    assert math.isnan(word(site, image(rack(current_a=math.nan))).current_a)
    assert word(site, image(rack(current_a=-30.0), rack(current_a=-20.0))).current_a == -50.0


@pytest.mark.parametrize(
    ("fault", "alarms", "warnings"),
    [
        ("cell_voltage_high", A.HIGH_VOLTAGE | A.GENERAL, A(0)),
        ("cell_voltage_high_recommended", A(0), A.HIGH_VOLTAGE),
        ("cell_voltage_low", A.LOW_VOLTAGE | A.GENERAL, A(0)),
        ("charge_temperature_high", A.HIGH_CHARGE_TEMPERATURE | A.GENERAL, A(0)),
        ("charge_temperature_low_operating", A(0), A.LOW_CHARGE_TEMPERATURE),
        ("discharge_temperature_high", A.HIGH_TEMPERATURE | A.GENERAL, A(0)),
        ("discharge_temperature_low", A.LOW_TEMPERATURE | A.GENERAL, A(0)),
        ("discharge_current_high", A.HIGH_DISCHARGE_CURRENT | A.GENERAL, A(0)),
        ("pack_charge_current_high", A.HIGH_CHARGE_CURRENT | A.GENERAL, A(0)),
        ("contactor_welded", A.CONTACTOR | A.GENERAL, A(0)),
        ("precharge_short", A.SHORT_CIRCUIT | A.GENERAL, A(0)),
        ("cell_voltage_spread", A(0), A.IMBALANCE),
        ("cell_data_stale", A.INTERNAL | A.GENERAL, A(0)),
        ("battery_bus_silent", A(0), A.INTERNAL),
    ],
)
def test_a_fault_that_opens_is_an_alarm_and_any_other_a_warning(
    site: Site, image: Make, fault: str, alarms: A, warnings: A
) -> None:
    says = word(site, image(), faults=[fault])
    assert (says.alarms, says.warnings) == (alarms, warnings)
