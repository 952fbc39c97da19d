"""What a right site file means, and that it survives being written and read back."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import kernels
from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.site import CanBus, GridMeterDevice, InverterDevice, Limits, Rack, Site, dump_site, load_site
from drivers.config.config_yaml import parse_strict


def rack(name: str, channel: str, cell: str = "lfp-280ah") -> Rack:
    can = CanBus(interface="socketcand", channel=channel, host="127.0.0.1", port=29536)
    return Rack(name=name, modules=26, cells_per_module=16, cell=cell, can=can, contactor_break_current_a=50.0)


def site(**changes: object) -> Site:
    fields: dict[str, object] = {
        "name": "demo",
        "racks": (rack("rack-1", "can0"), rack("rack-2", "can1")),
        "inverter": InverterDevice(host="10.0.0.2"),
        "grid_meter": GridMeterDevice(host="10.0.0.3", unit=2),
    }
    return Site.model_validate(fields | changes)


def read(text: str) -> Site:
    return parse_strict(text, Site, file="site.yaml", folder=Path("/"))


CELLS = Path(kernels.__file__).parent / "cells"

MINIMAL = """\
name: demo
racks:
  - {name: rack-1, modules: 26, cells_per_module: 16, cell: lfp-280ah, contactor_break_current_a: 50,
     can: {interface: socketcan, channel: can0}}
inverter: {host: 10.0.0.2}
grid_meter: {host: 10.0.0.3}
"""

LEVELS = ("operating", "recommended", "maximum")


def test_defaults_are_those_of_an_lfp_rack() -> None:
    limits = read(MINIMAL).limits
    assert (limits.cell_voltage_v_min, limits.cell_voltage_v_max) == (2.50, 3.65)
    assert (limits.cell_voltage_v_min_operating, limits.cell_voltage_v_max_operating) == (2.80, 3.50)
    assert (limits.cell_voltage_v_min_recommended, limits.cell_voltage_v_max_recommended) == (2.65, 3.58)
    assert (limits.charge_temperature_degc_min, limits.charge_temperature_degc_max) == (-5.0, 58.0)
    assert (limits.discharge_temperature_degc_min, limits.discharge_temperature_degc_max) == (-25.0, 60.0)
    assert [limits.rack_current_a("charge", level) for level in LEVELS] == [252.0, 266.0, 280.0]
    assert [limits.pack_current_a("discharge", level, 2) for level in LEVELS] == [504.0, 532.0, 560.0]
    assert (limits.cell_data_age_s_max, limits.current_age_s_max) == (0.25, 0.10)
    assert (limits.inverter_age_s_max, limits.meter_age_s_max) == (1.0, 0.5)


def test_whole_numbers_are_taken_where_a_fraction_is_allowed() -> None:
    break_current_a = read(MINIMAL).racks[0].contactor_break_current_a
    assert break_current_a == 50.0
    assert isinstance(break_current_a, float)


def test_words_of_yaml_1_1_are_text() -> None:
    assert read(MINIMAL.replace("channel: can0", "channel: on")).racks[0].can.channel == "on"
    assert read(MINIMAL.replace("channel: can0", "channel: 12:30")).racks[0].can.channel == "12:30"


def test_alias_stands_for_the_anchored_values() -> None:
    text = MINIMAL.replace("10.0.0.2}", "10.0.0.2, port: &port 5020}").replace("10.0.0.3}", "10.0.0.3, port: *port}")
    assert read(text).grid_meter.port == 5020


def test_written_site_reads_back_equal() -> None:
    smoothing = GridSmoothing(kind="grid-smoothing", ramp_w_per_s_max=1 / 3, grid_power_w_max=1e7, lead_time_s=1e-5)
    original = site(applications=(smoothing,), limits=Limits(soc_frac_min=0.1 + 0.2 - 0.2))
    assert read(dump_site(original)) == original


@pytest.mark.parametrize("word", ["on", "no", "null", "1e3", "0o17", "12:30", "2026-11-22", ".5", "~", "0x1F", "1_000"])
def test_text_that_looks_like_something_else_is_written_as_text(word: str) -> None:
    original = site(racks=(rack("rack-1", word),))
    assert read(dump_site(original)) == original


def test_written_site_says_what_it_is_first() -> None:
    assert dump_site(site()).startswith("name: demo\nracks:\n- name: rack-1\n  modules: 26\n")


def test_cell_file_is_looked_for_beside_the_site_file(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "mine.yaml").write_text((CELLS / "lfp-280ah.yaml").read_text())
    (tmp_path / "site.yaml").write_text(MINIMAL.replace("cell: lfp-280ah", "cell: cells/mine.yaml"))
    assert load_site(tmp_path / "site.yaml").racks[0].cell == str(tmp_path / "cells" / "mine.yaml")


def test_chemistry_gives_what_is_not_written() -> None:
    limits = Limits(chemistry="nmc", cell_voltage_v_max_operating=4.1)
    assert (limits.cell_voltage_v_min, limits.cell_voltage_v_max_operating, limits.cell_voltage_v_max) == (
        2.7,
        4.1,
        4.25,
    )
    zinc = Limits(chemistry="zinc")
    assert zinc.cell_voltage_v_max < 2.5
    assert (zinc.soc_frac_min, zinc.soc_frac_max) == (0.0, 1.0)


def test_current_levels_follow_the_maximum_that_is_written() -> None:
    limits = Limits(rack_charge_current_a_max=140.0, pack_charge_current_a_max=200.0)
    assert [limits.rack_current_a("charge", level) for level in LEVELS] == [126.0, 133.0, 140.0]
    assert [limits.pack_current_a("charge", level, 4) for level in LEVELS] == [180.0, 190.0, 200.0]
    with pytest.raises(ValidationError, match="rack_charge_current_a_max_operating"):
        Limits(rack_charge_current_a_max=140.0, rack_charge_current_a_max_operating=150.0)


def test_site_in_code_is_held_to_the_same_relations() -> None:
    with pytest.raises(ValidationError, match=r"not below cell_voltage_v_max_operating, 3\.5 by default"):
        Limits(cell_voltage_v_min_operating=3.6)


def test_site_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        site().limits.soc_frac_min = 0.5  # type: ignore[misc]
