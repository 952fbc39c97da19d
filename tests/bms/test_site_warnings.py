"""`bms check`: what is allowed and worth a second look, and that scripts always find it."""

import json
from pathlib import Path

import pytest

from bms.cli import main
from bms.site import Site, dump_site


def checked(folder: Path, site: Site, capsys: pytest.CaptureFixture[str], limits: str = "") -> list[str]:
    path = folder / "site.yaml"
    path.write_text("".join(dump_site(site).split("limits:")[:1]) + limits)
    assert main(["check", str(path), "--json"]) == 0
    warnings: list[str] = json.loads(capsys.readouterr().out)["warnings"]
    return warnings


def test_limits_of_the_chemistry_need_no_second_look(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(tmp_path, site, capsys) == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            "cell_voltage_v_max: 4.2, cell_voltage_v_max_possible: 5.0",
            "limits.cell_voltage_v_max: WARNING: 4.2 V is above the 3.65 V usual for lfp cells; the contactors open "
            "later than that: compare the data sheet",
        ),
        (
            "cell_voltage_v_min: 1.8",
            "limits.cell_voltage_v_min: WARNING: 1.8 V is below the 2.5 V usual for lfp cells; the contactors open "
            "later than that: compare the data sheet",
        ),
        (
            "cell_voltage_v_max: 3.32, cell_voltage_v_max_recommended: 3.31, cell_voltage_v_max_operating: 3.3, "
            "soc_frac_max: 0.9",
            "limits.cell_voltage_v_max: WARNING: 3.32 V, and lfp-280ah rests above it, at 3.333 V, at the 90 % of "
            "limits.soc_frac_max: the contactors open there",
        ),
        (
            "cell_voltage_v_min: 3.25, cell_voltage_v_min_recommended: 3.26, cell_voltage_v_min_operating: 3.27, "
            "soc_frac_min: 0.1",
            "limits.cell_voltage_v_min: WARNING: 3.25 V, and lfp-280ah rests below it, at 3.203 V, at the 10 % of "
            "limits.soc_frac_min: the contactors open there",
        ),
        (
            "discharge_temperature_degc_max: 100.0",
            "limits.discharge_temperature_degc_max: WARNING: 100 degC is above the 60 degC usual for lfp cells; the "
            "contactors open later than that: compare the data sheet",
        ),
        (
            "charge_temperature_degc_min: -20.0",
            "limits.charge_temperature_degc_min: WARNING: -20 degC is below the -5 degC usual for lfp cells; the "
            "contactors open later than that: compare the data sheet",
        ),
        (
            "cell_data_age_s_max: 60",
            "limits.cell_data_age_s_max: WARNING: 60 s is 240 times the usual 0.25 s: what is wrong is found so much "
            "later",
        ),
        (
            "voltage_debounce_s: 5",
            "limits.voltage_debounce_s: WARNING: 5 s is 83 times the usual 0.06 s: what is wrong is found so much "
            "later",
        ),
        (
            "rack_charge_current_a_max: 9999",
            "limits.rack_charge_current_a_max: WARNING: 9999 A is 35.7 times the 280 Ah of lfp-280ah in an hour: "
            "compare the data sheet",
        ),
    ],
)
def test_limit_that_deserves_a_second_look_is_told(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str], limits: str, said: str
) -> None:
    assert checked(tmp_path, site, capsys, f"limits: {{{limits}}}\n") == [said]


@pytest.mark.parametrize("content", ["name: x\n", "name: x\nunits: []\n", "name: ["])
def test_document_of_a_wrong_file_has_every_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "site.yaml").write_text(content)
    assert main(["check", str(tmp_path / "site.yaml"), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["warnings"]) == (False, [])
    assert document["errors"]


def test_document_of_a_wrong_profile_has_every_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pcs.yaml").write_text("name: x\n")
    assert main(["profile", "check", str(tmp_path / "pcs.yaml"), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["warnings"]) == (False, [])


def test_age_that_a_slow_monitor_needs_is_not_told(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = site.model_copy(
        update={"racks": tuple(rack.model_copy(update={"monitor": "foxbms"}) for rack in site.racks)}
    )
    assert (
        checked(
            tmp_path,
            slow,
            capsys,
            "limits: {cell_data_age_s_max: 5, temperature_age_s_max: 5, current_age_s_max: 0.5}\n",
        )
        == []
    )
