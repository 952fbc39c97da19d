"""A curve that the site file hands to the converter: in force, brought back when ended, named when refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bms.site import ConfigErrors, Site, load_site
from bms.site.own_function import CurvePoint, OwnFunction
from drivers.links.modbus import ModbusLink
from drivers.sunspec import discover
from drivers.sunspec.curves import Curve, release
from hil_rigs.bench import HOST
from tests.bms.test_site_errors import GOOD
from tests.hil.live_rig import Live, run_live

REFUSED = "inverter_function_refused"
STEEP = tuple(CurvePoint(at=0.9 + 0.01 * k, var_frac=0.4 - 0.02 * k) for k in range(16))


def with_function(function: OwnFunction) -> Callable[[Site], Site]:
    def adjust(site: Site) -> Site:
        return site.model_copy(update={"inverter": site.inverter.model_copy(update={"function": function})})

    return adjust


async def comes_back(rig: Live) -> None:
    support = rig.bench.plant.converter.support
    assert support.volt_var is not None
    assert support.volt_var.at(0.92) == pytest.approx(0.44 * rig.bench.plant.converter.apparent_power_va)
    assert rig.bench.plant.converter.target_reactive_var is None
    master = ModbusLink(HOST, rig.bench.inverter_server.port, 1)
    await master.connect()
    await release(master, await discover(master), "volt-var")
    master.close()
    assert support.volt_var is None
    await rig.pass_s(2.0)
    assert support.volt_var is not None
    assert rig.named == []


test_curve_is_in_force_and_comes_back_when_another_master_ends_it = run_live(
    comes_back, with_function(OwnFunction(kind="volt-var", verify_s=1.0))
)


def test_curve_of_the_standard_is_the_default() -> None:
    points = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))
    assert OwnFunction(kind="volt-var").curve == Curve("volt-var", points, "VA_MAX_PCT", 5.0)


async def names_what_is_refused(rig: Live) -> None:
    assert rig.named == []
    await rig.pass_s(6.0)
    assert rig.named == [REFUSED]
    assert rig.closed


test_curve_that_the_converter_cannot_take_is_named = run_live(
    names_what_is_refused, with_function(OwnFunction(kind="volt-var", points=STEEP, verify_s=1.0))
)


@pytest.mark.parametrize(
    ("inverter", "application", "error"),
    [
        ("{host: 127.0.0.1, port: 5020, function: {kind: volt-var}}", "{kind: reactive-power, mode: volt-var}",
         "applications.1.mode: the converter's own function decides the reactive power (got 'volt-var'), expected "
         "none, or no function"),
        ("{driver: profile, profile: pcs-input-f32, reversion_s: 2, host: 127.0.0.1, function: {kind: volt-var}}", "",
         "inverter.function: a converter of a profile takes no curve"),
        ("{host: 127.0.0.1, function: {kind: watt-var, points: [{at: 0.5, var_frac: 0}, {at: 0.5, var_frac: 0.1}]}}",
         "", "inverter.function.points.1.at: not above the point before (got 0.5), expected more than 0.5"),
    ],
)  # fmt: skip
def test_function_that_does_not_fit_is_named(tmp_path: Path, inverter: str, application: str, error: str) -> None:
    content = GOOD.replace("{host: 127.0.0.1, port: 5020}", inverter)
    (tmp_path / "site.yaml").write_text(content + (f"  - {application}\n" if application else ""))
    with pytest.raises(ConfigErrors) as caught:
        load_site(tmp_path / "site.yaml")
    assert error in str(caught.value)
