"""Self-consumption and backup reserve: the set-point is held, nothing flips, the reserve is an island's."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bms.dispatch.applications.backup_reserve import BackupReserve, BackupReserveApplication
from bms.dispatch.applications.self_consumption import SelfConsumption, SelfConsumptionApplication
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.view import Edge, PowerWindow, SiteView

SETTINGS = SelfConsumption(kind="self-consumption", deadband_w=50.0, turn_s=5.0, soc_frac_min=0.1, soc_frac_max=0.9)
VIEW = SiteView(
    dt_s=1.0, grid_power_w=0.0, load_power_w=0.0, battery_power_w=0.0, soc_frac=0.5, charge_power_w_limit=5e3,
    discharge_power_w_limit=5e3, pv_power_w=0.0,
)  # fmt: skip


def powers_w(settings: SelfConsumption, surplus_w: Sequence[float], **changes: object) -> list[float]:
    """The battery's power over the time of a PV surplus (negative: load), a step a second."""
    dispatch = Dispatch([SelfConsumptionApplication(settings)])
    seen = [replace(VIEW, load_power_w=1e3, pv_power_w=1e3 + each_w, **changes) for each_w in surplus_w]
    return [dispatch.step(view, "", "").power_w for view in seen]


@pytest.mark.parametrize(("surplus_w", "battery_w"), [(2e3, -2e3), (-1e3, 1e3), (8e3, -5e3), (40.0, 0.0), (-50.0, 0.0)])
def test_battery_takes_the_surplus_and_covers_the_load(surplus_w: float, battery_w: float) -> None:
    assert powers_w(SETTINGS, [surplus_w])[-1] == battery_w


def test_set_point_is_what_the_grid_gives() -> None:
    settings = SETTINGS.model_copy(update={"grid_power_w_target": 200.0})
    assert powers_w(settings, [-1e3])[-1] == 800.0


def test_it_turns_only_after_a_while() -> None:
    """A cloud of 4 s makes it rest, one of 6 s makes it discharge."""
    assert powers_w(SETTINGS, [2e3] * 3 + [-2e3] * 4 + [2e3]) == [-2e3] * 3 + [0.0] * 4 + [-2e3]
    assert powers_w(SETTINGS, [2e3] * 3 + [-2e3] * 6) == [-2e3] * 3 + [0.0] * 4 + [2e3] * 2


def test_small_surplus_at_rest_starts_nothing_but_goes_on_once_started() -> None:
    assert powers_w(SETTINGS, [40.0, 60.0, 40.0]) == [0.0, -60.0, -40.0]


@pytest.mark.parametrize(("soc_frac", "surplus_w"), [(0.1, -2e3), (0.9, 2e3)])
def test_soc_band_ends_it(soc_frac: float, surplus_w: float) -> None:
    assert powers_w(SETTINGS, [surplus_w], soc_frac=soc_frac) == [0.0]


def test_power_fades_out_over_the_last_percent() -> None:
    assert powers_w(SETTINGS, [-5e3], soc_frac=0.105) == [pytest.approx(2.5e3)]


def test_unknown_grid_power_gives_zero() -> None:
    view = replace(VIEW, grid_power_w=None, load_power_w=None)
    assert Dispatch([SelfConsumptionApplication(SETTINGS)]).step(view, "", "").power_w == 0.0


WHOLE = PowerWindow(Edge(-5e3, "limits", ""), Edge(5e3, "limits", ""))
RESERVE = BackupReserve(kind="backup-reserve", soc_frac_min=0.4)


@pytest.mark.parametrize(
    ("soc_frac", "islanded", "power_w"), [(0.4, False, 0.0), (0.405, False, 2.5e3), (0.5, False, 5e3), (0.3, True, 0.0)]
)
def test_reserve_ends_discharge_on_the_grid(soc_frac: float, islanded: bool, power_w: float) -> None:
    stack = Dispatch([BackupReserveApplication(RESERVE), SelfConsumptionApplication(SETTINGS)])
    view = replace(VIEW, load_power_w=9e3, soc_frac=soc_frac, islanded=islanded)
    wish = stack.step(view, "", "")
    assert wish.power_w == pytest.approx(power_w)
    assert wish.narrowed_by in ("backup-reserve", "limits", "")


def test_island_may_use_the_reserve() -> None:
    view = replace(VIEW, soc_frac=0.2, islanded=True)
    application = BackupReserveApplication(RESERVE)
    assert application.look(view, WHOLE).power_w_max == float("inf")


def test_reserve_that_is_short_is_recharged_up_to_itself() -> None:
    application = BackupReserveApplication(RESERVE.model_copy(update={"recharge_power_w_max": 1e3}))
    dispatch = Dispatch([application])
    given = [dispatch.step(replace(VIEW, soc_frac=soc), "", "").power_w for soc in (0.395, 0.38, 0.395, 0.4, 0.395)]
    assert given == [0.0, -1e3, -1e3, 0.0, 0.0]
