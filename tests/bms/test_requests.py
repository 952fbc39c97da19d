"""Who may tell an input: authority, one teller at a time, expiry, and what is lost."""

from pathlib import Path
from typing import Any

import pytest

from bms.dispatch.applications.remote_power import RemotePower, RemotePowerApplication
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.inputs import Inputs
from bms.dispatch.view import SiteView
from bms.protect.faults import FAULTS
from bms.protect.protection import ActiveFault
from bms.requests import RequestRefused, Requests, Source, Why
from bms.site import Site
from drivers.config.config_yaml import ConfigErrors, parse_strict

S = 1_000_000_000
LOCAL = [ActiveFault(FAULTS["local_control"], "site", 0, "asked")]
SETTINGS = RemotePower(kind="remote-power", charge_power_w_max=40e3, discharge_power_w_max=60e3)


class Desk:
    """Requests of a site with the input `power_w`, and what was logged."""

    def __init__(self, site: Site) -> None:
        self.inputs = Inputs()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.requests = Requests(site.model_copy(update={"applications": (SETTINGS,)}), self.inputs, self._note)

    def _note(self, event: str, **what: Any) -> None:
        self.events.append((event, what))

    def ask(self, value: float, source: Source, at_s: int = 0, for_s: float = 10.0) -> None:
        self.requests.ask("power_w", value, for_s, source, at_s * S)

    def refused(self, value: float, source: Source, at_s: int = 0, for_s: float = 10.0) -> tuple[Why, str]:
        with pytest.raises(RequestRefused) as refused:
            self.ask(value, source, at_s, for_s)
        return refused.value.why, str(refused.value)


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site)


def test_input_holds_for_its_time_and_says_who_told_it(desk: Desk) -> None:
    desk.ask(50e3, Source.MODBUS)
    assert desk.requests.words == "power_w=50000:modbus"
    assert desk.inputs.at(10 * S - 1) == {"power_w": 50e3}
    desk.requests.step(10 * S, [])
    assert (desk.inputs.at(10 * S), desk.requests.words) == ({}, "")
    assert [event for event, _ in desk.events] == ["set", "ended"]


@pytest.mark.parametrize(
    ("value", "for_s", "says"),
    [
        (float("nan"), 10.0, "power_w: expected a finite number (got nan)"),
        (1.0, 0.0, "power_w: expected a time above 0 and at most 86400 s (got 0)"),
        (1.0, 86_401.0, "power_w: expected a time above 0 and at most 86400 s (got 86401)"),
        (1.0, float("nan"), "power_w: expected a time above 0 and at most 86400 s (got nan)"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_sentence(desk: Desk, value: float, for_s: float, says: str) -> None:
    assert desk.refused(value, Source.REST, for_s=for_s) == (Why.VALUE, says)
    assert desk.inputs.at(0) == {}


def test_unknown_input_is_named_with_those_there_are(desk: Desk) -> None:
    with pytest.raises(
        RequestRefused, match="powr: no application of site test listens to it, they listen to: power_w"
    ):
        desk.requests.ask("powr", 1.0, 1.0, Source.MQTT, 0)


def test_one_remote_teller_at_a_time_and_the_operator_before_all(desk: Desk) -> None:
    desk.ask(1e3, Source.MODBUS)
    assert desk.refused(2e3, Source.MQTT, at_s=4) == (Why.HELD, "power_w: modbus has it for 6 s more")
    desk.ask(3e3, Source.OPERATOR, at_s=5)
    assert desk.refused(4e3, Source.MODBUS, at_s=6) == (Why.HELD, "power_w: operator has it for 9 s more")
    assert desk.requests.words == "power_w=3000:operator"
    desk.requests.step(15 * S, [])
    desk.ask(4e3, Source.MODBUS, at_s=15)
    assert desk.inputs.at(15 * S) == {"power_w": 4e3}


def test_local_control_ends_what_is_remote_and_refuses_it_until_it_is_given_back(desk: Desk) -> None:
    desk.ask(1e3, Source.REST)
    desk.requests.step(1 * S, LOCAL)
    assert desk.inputs.at(1 * S) == {}
    assert desk.refused(1e3, Source.REST, at_s=2) == (Why.LOCAL, "power_w: the site is under local control")
    desk.ask(2e3, Source.OPERATOR, at_s=2)
    desk.requests.step(3 * S, LOCAL)
    assert (desk.inputs.at(3 * S), desk.requests.lost) == ({"power_w": 2e3}, frozenset())
    desk.requests.step(12 * S, [])
    desk.ask(3e3, Source.REST, at_s=12)


def test_only_a_remote_request_that_was_not_withdrawn_is_lost(desk: Desk) -> None:
    desk.ask(1e3, Source.MODBUS)
    desk.requests.step(10 * S, [])
    assert desk.requests.lost == {"power_w"}
    desk.ask(1e3, Source.MODBUS, at_s=11)
    assert desk.requests.lost == frozenset()
    desk.requests.withdraw("power_w", Source.MODBUS)
    desk.ask(1e3, Source.OPERATOR, at_s=12)
    desk.requests.step(30 * S, [])
    assert desk.requests.lost == frozenset()


def test_renewals_and_repeated_refusals_do_not_fill_the_log(desk: Desk) -> None:
    for at_s in range(50):
        desk.ask(1e3 * at_s, Source.MODBUS, at_s=at_s)
        desk.refused(5.0, Source.MQTT, at_s=at_s)
    assert [(event, what["by"]) for event, what in desk.events] == [("set", "modbus"), ("refused", "mqtt")]


def test_nobody_from_outside_can_fill_the_log(desk: Desk) -> None:
    for at_s in range(100):
        desk.ask(1e3, Source.REST, at_s=at_s)
        desk.requests.withdraw("power_w", Source.REST)
    left_out = [what.get("left_out", 0) for _, what in desk.events]
    assert (len(left_out), sum(left_out)) == (29, 152), "of 200; the last 19 are in the next line"
    desk.ask(1e3, Source.OPERATOR, at_s=100)
    assert desk.events[-1][1]["by"] == "operator"


def test_endless_name_is_cut_in_what_is_said(desk: Desk) -> None:
    with pytest.raises(RequestRefused, match=f"^{'x' * 64}: no application"):
        desk.requests.ask("x" * 9000, 1.0, 1.0, Source.REST, 0)
    assert len(desk.events[-1][1]["input"]) == 64


def test_lost_request_falls_back_inside_the_bounds_of_requests() -> None:
    settings = SETTINGS.model_copy(update={"fallback_power_w": -30e3})
    view = SiteView(0.1, 0.0, 0.0, 0.0, 0.5, 100e3, 100e3, lost=frozenset({"power_w"}))
    wish = Dispatch([RemotePowerApplication(settings)]).step(view, "", "")
    assert (wish.power_w, wish.asked_by) == (-30e3, "remote-power")
    without = Dispatch([RemotePowerApplication(SETTINGS)]).step(view, "", "")
    assert without.asked_by == ""


def test_fallback_beyond_the_bounds_is_refused_with_them() -> None:
    text = "kind: remote-power\ncharge_power_w_max: 5.0\ndischarge_power_w_max: 6.0\nfallback_power_w: -7.0\n"
    with pytest.raises(ConfigErrors, match=r"beyond the bounds of requests.*from -5 to 6"):
        parse_strict(text, RemotePower, file="a.yaml", folder=Path("/"))
