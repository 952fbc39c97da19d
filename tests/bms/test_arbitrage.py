"""Schedules, tariffs and plans: files and parts of a day, the linear program, and how a plan is followed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import ValidationError

from bms.background import BackgroundThread
from bms.dispatch.applications.arbitrage import Arbitrage, ArbitrageApplication, TariffPart
from bms.dispatch.applications.schedule import Schedule, ScheduleApplication, ScheduledPower
from bms.dispatch.day_times import DayPart
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.plan import PlanTask, solve
from bms.dispatch.timed_file import TimedFileError, read_timed
from bms.dispatch.view import SiteView

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 7, 1, tzinfo=BERLIN)
VIEW = SiteView(
    dt_s=1.0, grid_power_w=50e3, load_power_w=50e3, battery_power_w=0.0, soc_frac=0.5, charge_power_w_limit=100e3,
    discharge_power_w_limit=100e3, utc_s=MIDNIGHT.timestamp(), zone=BERLIN, energy_capacity_wh=200e3,
)  # fmt: skip
NIGHT_AND_DAY = (
    TariffPart(begins="23:00", ends="07:00", price_per_kwh=0.1),
    TariffPart(begins="07:00", ends="23:00", price_per_kwh=0.4),
)
TARIFF = Arbitrage(kind="arbitrage", tariff=NIGHT_AND_DAY, soc_frac_min=0.1, soc_frac_max=0.9)


def at(hours: float, **changes: object) -> SiteView:
    """The site so many hours of the wall clock after midnight."""
    return replace(VIEW, utc_s=(MIDNIGHT + timedelta(hours=hours)).timestamp(), **changes)


def step(dispatch: Dispatch, view: SiteView) -> float:
    wish = dispatch.step(view, "", "")
    for work in wish.work:
        work()
    return wish.power_w


def task(buy: list[float], **changes: object) -> PlanTask:
    """Steps of an hour; 100 Wh stored of 10 to 200, 100 W either way, without losses."""
    each = np.ones(len(buy))
    plain = PlanTask(
        hours=each, buy=np.array(buy), sell=np.array(buy), net_w=0.0 * each, charge_power_w_max=100.0,
        discharge_power_w_max=100.0, energy_wh=100.0, energy_wh_min=10.0, energy_wh_max=200.0, efficiency_frac=1.0,
        ageing=0.0, end_value=0.0, import_w_max=1e10, export_w_max=1e10,
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("given", "power_w"),
    [
        (task([1.0, 3.0]), [-100.0, 100.0]),
        (task([1.0, 3.0], export_w_max=40.0), [0.0, 40.0]),
        (task([3.0, 1.0], energy_wh=60.0), [50.0, 0.0]),
        (task([1.0, 3.0], ageing=5.0), [0.0, 0.0]),
    ],
)
def test_plan_is_the_cheapest(given: PlanTask, power_w: list[float]) -> None:
    got = solve(given)
    assert got is not None
    cost = float((given.buy * -got).sum())
    assert cost <= float((given.buy * -np.array(power_w)).sum()) + 1e-6


def test_plan_never_charges_and_discharges_at_once_where_energy_costs_less_than_nothing() -> None:
    """Below zero burning energy would pay: the battery charges what it can, and no more than fits into it."""
    got = solve(task([-1.0, -1.0, 2.0], efficiency_frac=0.8))
    assert got is not None
    assert got[:2].sum() == pytest.approx(-125.0, abs=0.5)
    assert got[2] == pytest.approx(100.0, abs=0.5)


def test_no_plan_where_the_connection_allows_none() -> None:
    assert solve(task([1.0], net_w=np.array([500.0]), import_w_max=100.0)) is None


def test_tariff_charges_at_night_and_discharges_by_day() -> None:
    dispatch = Dispatch([ArbitrageApplication(TARIFF)])
    step(dispatch, at(1.0))
    night_w = [step(dispatch, at(1.0 + quarter / 4)) for quarter in range(1, 23)]
    assert min(night_w) == -100e3
    assert max(night_w) == 0.0
    dispatch = Dispatch([ArbitrageApplication(TARIFF)])
    step(dispatch, at(21.0, soc_frac=0.9))
    assert max(step(dispatch, at(21.0 + q / 4, soc_frac=0.9)) for q in range(1, 8)) > 0.0


def test_tariff_follows_the_wall_clock_over_daylight_saving() -> None:
    """Clocks went forward on 29 March 2026: 07:00 in Berlin is 05:00 UTC then, and 06:00 the day before."""
    part = NIGHT_AND_DAY[1]
    for day, utc_hour in ((28, 6), (29, 5)):
        begins = datetime(2026, 3, day, utc_hour, tzinfo=UTC)
        assert part.holds(begins.astimezone(BERLIN))
        assert not part.holds((begins - timedelta(minutes=1)).astimezone(BERLIN))


@pytest.mark.parametrize(
    ("days", "now", "holds"),
    [
        ("all", datetime(2026, 7, 1, 23, 0), True),
        ("all", datetime(2026, 7, 1, 6, 59), True),
        ("all", datetime(2026, 7, 1, 7, 0), False),
        ("working", datetime(2026, 7, 4, 3, 0), True),  # the night of Friday
        ("working", datetime(2026, 7, 6, 3, 0), False),  # that of Sunday
        ("weekend", datetime(2026, 7, 4, 23, 30), True),
    ],
)
def test_part_of_a_day_goes_over_midnight(days: str, now: datetime, holds: bool) -> None:
    part = DayPart.model_validate({"begins": "23:00", "ends": "07:00", "days": days})
    assert part.holds(now) is holds


def test_plan_is_made_once_a_step_also_when_the_clock_jumps() -> None:
    application = ArbitrageApplication(TARIFF)
    dispatch = Dispatch([application])
    planned = [bool(dispatch.step(at(hours), "", "").work) for hours in (1.0, 1.1, 1.24, 1.25, 1.3, 2.25, 2.3, 1.3)]
    assert planned == [True, False, False, True, False, True, False, True]


def test_energy_that_was_kept_back_is_made_up_for_inside_the_step() -> None:
    """50 kW of discharge are due for 15 minutes; after 5 minutes at 20 kW the rest asks for 65 kW."""
    application = ArbitrageApplication(TARIFF)
    wish_w = 0.0
    step(Dispatch([application]), at(22.0, soc_frac=0.9))
    assert application.plan is not None
    number = next(k for k, power_w in enumerate(application.plan.power_w) if power_w == pytest.approx(50e3))
    start_s = application.plan.starts_s[number]
    for second in range(301):
        view = replace(VIEW, utc_s=start_s + second, battery_power_w=20e3, soc_frac=0.9)
        wish_w = Dispatch([application]).step(view, "", "").power_w
    assert wish_w == pytest.approx(65e3, rel=0.01)


def test_connection_bounds_the_real_load() -> None:
    settings = TARIFF.model_copy(update={"import_power_w_max": 80e3, "export_power_w_max": 0.0})
    dispatch = Dispatch([ArbitrageApplication(settings)])
    step(dispatch, at(1.0))
    assert min(step(dispatch, at(1.0 + quarter / 4)) for quarter in range(1, 23)) == pytest.approx(-30e3)


def test_prices_come_from_a_file_and_a_wrong_one_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "prices.csv"
    application = ArbitrageApplication(Arbitrage(kind="arbitrage", file=str(file), soc_frac_max=0.9))
    dispatch = Dispatch([application])
    step(dispatch, at(0.0))
    step(dispatch, at(0.25))
    assert application.plan is None
    assert [record.message for record in caplog.records] == [f"arbitrage: {file}: cannot be read: {_missing(file)}"]
    rows = [f"{(MIDNIGHT + timedelta(hours=hour)).isoformat()},{0.1 if hour < 6 else 0.5}" for hour in range(24)]
    file.write_text("\n".join(["time,price_per_kwh", *rows]))
    step(dispatch, at(0.5))
    assert application.plan is not None
    assert min(application.plan.power_w) < 0.0 < max(application.plan.power_w)
    assert application.plan.ends_s == (MIDNIGHT + timedelta(hours=24)).timestamp()


def _missing(file: Path) -> str:
    return f"[Errno 2] No such file or directory: '{file}'"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("time,power_w\n", "no rows"),
        ("when,power_w\n1,2\n1,2\n", "no column time"),
        ("time,power_w\n2026-07-01T00:00:00Z,1\n", "1 rows, expected 2 to 100000"),
        ("time,power_w\n2026-07-01T00:00:00Z,1\n2026-07-01T00:00:00Z,1\n", "row 2: time does not increase"),
        ("time,power_w\n2026-07-01T00:00:00,1\n2026-07-01T01:00:00Z,1\n", "row 1: time is '2026-07-01T00:00:00'"),
        ("time,power_w\n2026-07-01T00:00:00Z,1\n2026-07-01T01:00:00Z,\n", "row 2: power_w is ''"),
        ("time,power_w\n2026-07-01T00:00:00Z,1\n2026-07-01T01:00:00Z,nan\n", "row 2: power_w is 'nan'"),
    ],
)
def test_wrong_file_is_one_line_with_its_row(text: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.csv"
    file.write_text(text)
    with pytest.raises(TimedFileError, match=f"^[^\n]*plan.csv: {wrong}[^\n]*$"):
        read_timed(file, ("power_w",))


def test_schedule_by_times_of_the_day() -> None:
    parts = (ScheduledPower(begins="17:00", ends="20:00", days="working", power_w=30e3),)
    dispatch = Dispatch([ScheduleApplication(Schedule(kind="schedule", parts=parts))])
    assert [step(dispatch, at(hours)) for hours in (16.99, 17.0, 19.99, 20.0)] == [0.0, 30e3, 30e3, 0.0]
    assert step(dispatch, at(3 * 24 + 18.0)) == 0.0


def test_schedule_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.csv"
    file.write_text("time,power_w\n2026-07-01T00:00:00+02:00,-20e3\n2026-07-01T01:00:00+02:00,40e3\n")
    dispatch = Dispatch([ScheduleApplication(Schedule(kind="schedule", file=str(file)))])
    step(dispatch, at(0.0))
    assert [step(dispatch, at(hours)) for hours in (0.5, 1.0, 1.99, 2.0)] == [-20e3, 40e3, 40e3, 0.0]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"kind": "arbitrage"}, "neither a tariff nor a file"),
        ({"kind": "arbitrage", "tariff": NIGHT_AND_DAY[:1]}, "nothing holds Monday 07:00"),
        ({"kind": "arbitrage", "tariff": NIGHT_AND_DAY, "file": "x.csv"}, "both a tariff and a file"),
    ],
)
def test_prices_have_one_source_and_fill_the_week(settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Arbitrage.model_validate(settings)


def test_work_beside_the_ticks_is_done_in_order_and_its_error_comes_out() -> None:
    done: list[int] = []
    background = BackgroundThread()
    background.start([lambda: done.append(1), lambda: done.append(2)])
    background.close()
    assert done == [1, 2]
    background = BackgroundThread()
    background.start([lambda: done.append(1 // 0)])
    background.close()
    with pytest.raises(ZeroDivisionError):
        background.start([])
