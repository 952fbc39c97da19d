"""The stack of applications: windows only narrow, responses come on top, what cannot be met is named."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.view import Answer, PowerWindow, SiteView


@dataclass
class Says:
    """An application that always answers the same; keeps the window that it was shown."""

    name: str
    answer: Answer
    window: PowerWindow | None = None

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        self.window = window
        return self.answer

    def reset(self) -> None:
        pass


def view(charge_w: float = 100e3, discharge_w: float = 100e3, apparent_va: float = 100e3) -> SiteView:
    return SiteView(
        dt_s=0.1,
        grid_power_w=0.0,
        load_power_w=0.0,
        battery_power_w=0.0,
        soc_frac=0.5,
        charge_power_w_limit=charge_w,
        discharge_power_w_limit=discharge_w,
        apparent_power_va_max=apparent_va,
    )


def wish(*applications: Says, seen: SiteView | None = None) -> Wish:
    return Dispatch(applications).step(seen or view(), "cell voltage", "temperature")


def test_without_applications_the_battery_rests() -> None:
    assert wish().power_w == 0.0


def test_first_request_counts() -> None:
    given = wish(Says("peak", Answer(request_w=20e3)), Says("tariff", Answer(request_w=-50e3)))
    assert (given.power_w, given.asked_by, given.narrowed_by) == (20e3, "peak", "")


def test_request_is_held_inside_the_bounds_of_a_later_one_which_is_named() -> None:
    given = wish(Says("tariff", Answer(request_w=50e3)), Says("export", Answer(power_w_max=10e3, reason="no export")))
    assert (given.requested_power_w, given.power_w) == (50e3, 10e3)
    assert (given.narrowed_by, given.reason) == ("export", "no export")


def test_firm_request_leaves_those_after_it_one_point() -> None:
    last = Says("tariff", Answer())
    given = wish(Says("smoothing", Answer(request_w=30e3, firm=True)), last)
    assert given.power_w == 30e3
    assert last.window is not None
    assert (last.window.power_w_min, last.window.power_w_max) == (30e3, 30e3)


@pytest.mark.parametrize(
    ("request_w", "power_w", "reason"), [(150e3, 100e3, "temperature"), (-150e3, -100e3, "cell voltage")]
)
def test_limit_that_binds_is_named(request_w: float, power_w: float, reason: str) -> None:
    given = wish(Says("tariff", Answer(request_w=request_w)))
    assert (given.power_w, given.narrowed_by, given.reason) == (power_w, "limits", reason)


def test_contradiction_is_met_as_nearly_as_the_first_allows_and_named() -> None:
    """The first wants at least 40 kW of discharge, the second at most 10 kW."""
    first = Says("demand cap", Answer(power_w_min=40e3, reason="contract"))
    given = wish(first, Says("reserve", Answer(power_w_max=10e3, reason="SoC")))
    assert given.power_w == 40e3
    assert [str(unmet) for unmet in given.unmet] == ["reserve misses 30000 W, held by demand cap: contract"]


def test_bounds_beyond_the_limits_are_named_and_give_all_there_is() -> None:
    given = wish(Says("demand cap", Answer(power_w_min=140e3)))
    assert given.power_w == 100e3
    assert [str(unmet) for unmet in given.unmet] == ["demand cap misses 40000 W, held by limits: temperature"]


def test_response_comes_on_top_of_the_others_inside_its_reserve() -> None:
    frequency = Says("frequency", Answer(response_w=25e3, reserve_charge_w=60e3, reserve_discharge_w=60e3))
    given = wish(frequency, Says("tariff", Answer(request_w=90e3)))
    assert given.power_w == 40e3 + 25e3
    assert (given.requested_power_w, given.narrowed_by) == (115e3, "frequency")
    assert given.asked_by == "frequency+tariff"


def test_reserve_that_does_not_fit_is_named_and_still_gives_what_there_is() -> None:
    frequency = Says("frequency", Answer(response_w=60e3, reserve_charge_w=60e3, reserve_discharge_w=60e3))
    given = wish(frequency, seen=view(charge_w=50e3, discharge_w=50e3))
    assert given.power_w == 50e3
    assert [(unmet.application, unmet.by_w) for unmet in given.unmet] == [("frequency", 20e3)]


def test_reserve_in_one_direction_moves_the_others() -> None:
    """With 20 kW of charge left a service that may need 50 kW of it keeps the others at 30 kW of discharge."""
    frequency = Says("frequency", Answer(response_w=-50e3, reserve_charge_w=50e3))
    given = wish(frequency, seen=view(charge_w=20e3))
    assert given.power_w == -20e3
    assert given.unmet == ()


def test_reactive_power_gets_what_active_power_leaves() -> None:
    given = wish(Says("tariff", Answer(request_w=80e3)), Says("voltage", Answer(reactive_var=-90e3)))
    assert given.reactive_var == pytest.approx(-60e3)


def test_lowest_cap_on_pv_counts() -> None:
    caps = [Says(str(cap), Answer(pv_power_w_max=cap)) for cap in (30e3, 0.0, 10e3)]
    assert wish(*caps).pv_power_w_max == 0.0
    assert wish().pv_power_w_max is None


POWER_W = st.floats(-1e6, 1e6)
ROOM_W = st.floats(0.0, 1e6)
ANSWERS = st.builds(
    Answer,
    power_w_min=st.one_of(st.just(float("-inf")), POWER_W),
    power_w_max=st.one_of(st.just(float("inf")), POWER_W),
    request_w=st.one_of(st.none(), POWER_W),
    firm=st.booleans(),
    response_w=POWER_W,
    reserve_charge_w=ROOM_W,
    reserve_discharge_w=ROOM_W,
)


@given(st.lists(ANSWERS, max_size=6), ROOM_W, ROOM_W)
def test_nothing_leaves_the_limits_and_windows_only_narrow(
    answers: Sequence[Answer], charge_w: float, discharge_w: float
) -> None:
    applications = [Says(str(number), answer) for number, answer in enumerate(answers)]
    given = wish(*applications, seen=view(charge_w, discharge_w))
    assert -charge_w <= given.power_w <= discharge_w
    low_w, high_w = -charge_w, discharge_w
    for application in applications:
        assert application.window is not None
        assert low_w <= application.window.power_w_min <= application.window.power_w_max <= high_w
        low_w, high_w = application.window.power_w_min, application.window.power_w_max


@given(st.lists(ANSWERS, min_size=1, max_size=6), ROOM_W, ROOM_W)
def test_a_request_that_was_not_given_has_a_name_for_it(
    answers: Sequence[Answer], charge_w: float, discharge_w: float
) -> None:
    applications = [Says(str(number), answer) for number, answer in enumerate(answers)]
    given = wish(*applications, seen=view(charge_w, discharge_w))
    assert (given.power_w == pytest.approx(given.requested_power_w, abs=1e-6)) or given.narrowed_by
