"""`hil comply`: every service meets its standard in its short form, the lists and errors of the command, and the site
without wires that long services are judged on."""

import json
from pathlib import Path

import numpy as np
import pytest

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from hil_rigs.cli import main
from hil_rigs.comply.quick_site import QuickBattery, QuickSite, run_quick
from hil_rigs.comply.service import Order
from hil_rigs.comply.services import services
from hil_rigs.rig import find_rig

SMOOTHING = GridSmoothing(
    kind="grid-smoothing", ramp_w_per_s_max=10e3, grid_power_w_max=2e6, smoothing_time_s=60.0,
    soc_return_power_w_max=0.0,
)  # fmt: skip
BATTERY = QuickBattery(500e3, 500e3, energy_wh=500e3, efficiency_frac=0.95)


@pytest.mark.parametrize("name", sorted(services()))
def test_service_meets_its_standard(name: str) -> None:
    service = services()[name]
    judged = service.judge(Order(find_rig(service.rigs[0]), load=None, seed=1, short=True))
    missed = [row for row in judged.rows if not row.passed]
    assert {type(row.passed) for row in judged.rows} == {bool}, "as JSON writes it"
    assert not missed


def test_command_prints_rows_as_json_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comply", "jp-secondary", "--short", "--json", "--report", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["service"] == "jp-secondary"
    assert {"criterion", "required", "measured", "pass"} == set(document["rows"][0])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert document["rows"][0]["criterion"] in page
    own = page.split("<script>")[0]
    assert "//" not in own
    assert "default-src 'none'" in own


def test_list_names_every_service_and_its_rigs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comply", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed] == sorted(services())
    assert all(find_rig(rig) for each in listed for rig in each["rigs"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["ai-smoothin"], "no service named 'ai-smoothin': did you mean ai-smoothing?"),
        ([], "which service? `hil comply --list` has them"),
        (["ai-smoothing", "--rig", "island"], "cannot be judged on rig island: expected one of demo"),
        (["ai-smoothing", "--run", "2"], "--run and --load-scale need --load FILE"),
    ],
)
def test_bad_input_is_one_line(given: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comply", *given]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_site_without_wires_balances_its_energy() -> None:
    """What the battery gave and lost is what its SoC fell by."""
    site = QuickSite([SMOOTHING], BATTERY, load_w=lambda t_s: 800e3 + 300e3 * np.sin(t_s / 20.0))
    curves = run_quick(site, 600.0)
    np.testing.assert_allclose(curves.grid_w, curves.load_w - curves.battery_w)
    given_wh = curves.battery_w.sum() * 0.1 / 3600.0
    fell_wh = (0.5 - curves.soc_frac[-1]) * 500e3
    assert fell_wh == pytest.approx(given_wh + curves.losses_wh, rel=0.02)
    assert curves.losses_wh > 0.0


def test_site_without_wires_stops_at_empty() -> None:
    site = QuickSite(
        [SMOOTHING.model_copy(update={"soc_frac_min": 0.0, "grid_power_w_max": 700e3})],
        QuickBattery(500e3, 500e3, energy_wh=10e3, soc_frac=0.3),
        load_w=lambda _: 1e6,
    )
    curves = run_quick(site, 120.0)
    assert curves.soc_frac.min() >= 0.0
    assert curves.grid_w[-1] == pytest.approx(1e6, rel=0.01)


def test_duration_is_whole_periods() -> None:
    with pytest.raises(ValueError, match="whole number of periods"):
        run_quick(QuickSite([SMOOTHING], BATTERY, load_w=lambda _: 0.0, period_s=0.7), 1.0)
