"""Rig files: the shipped ones load, a broken one is loud, and a rig yields the site that its controller needs."""

from pathlib import Path

import pytest

from bms.site import ConfigErrors, Site, dump_site
from drivers.config.config_yaml import parse_strict
from drivers.config.shipped import UnknownNameError, shipped
from hil_rigs import rig as rig_module
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, RigFile, find_rig, list_rigs, make_site

ENDPOINTS = Endpoints(
    inverter=ModbusEndpoint("127.0.0.1", 5020, 1),
    grid_meter=ModbusEndpoint("127.0.0.1", 5021, 2),
    racks=(
        CanEndpoint("socketcand", "can0", "127.0.0.1", 29536),
        CanEndpoint("socketcand", "can1", "127.0.0.1", 29536),
    ),
)

MINIMAL = """\
name: mine
says: a rig of my own
plant: {racks: 1, modules_per_rack: 2, cells_per_module: 4, cell: lfp-280ah, soc_frac: 0.5, ambient_degc: 25,
  contactor_break_current_a: 50, inverter_power_w: 1e4}
load: {kind: constant, rated_power_w: 2e3}
"""


def parse(text: str) -> RigFile:
    return parse_strict(text, RigFile, file="mine.yaml", folder=Path("/rigs"))


@pytest.mark.parametrize("rig", list_rigs(), ids=lambda rig: rig.name)
def test_shipped_rig_makes_a_valid_site(rig: RigFile) -> None:
    buses = tuple(CanEndpoint("socketcand", f"can{i}", "127.0.0.1", 29536) for i in range(rig.plant.racks))
    switchgear = None if rig.microgrid is None else ModbusEndpoint("127.0.0.1", 5022, 3)
    around = tuple(ModbusEndpoint("127.0.0.1", 5030 + i, 1) for i in range(len(rig.auxiliaries)))
    blocks = () if rig.plant.contactor_profile is None else (ModbusEndpoint("127.0.0.1", 5050, 1),) * rig.plant.racks
    ends = Endpoints(
        ENDPOINTS.inverter, ENDPOINTS.grid_meter, buses,
        switchgear=switchgear, auxiliaries=around, contactor_blocks=blocks,
    )  # fmt: skip
    site = make_site(rig, ends)
    assert parse_strict(dump_site(site), Site, file="site.yaml", folder=Path("/")) == site


def test_demo_rig_is_the_documented_one() -> None:
    demo = find_rig("demo")
    plant, (smoothing,) = demo.plant, demo.site.applications
    assert (plant.racks, plant.modules_per_rack, plant.cells_per_module) == (2, 26, 16)
    assert (plant.inverter_power_w, plant.soc_frac, plant.cell) == (500e3, 0.55, "lfp-280ah")
    assert demo.load.model_dump() == {
        "kind": "ai-training",
        "rated_power_w": 1.5e6,
        "scale": 1.0,
        "smoothing": {"floor_frac": 0.5, "ramp_frac_per_s": 0.2},
    }
    assert (smoothing.ramp_w_per_s_max, smoothing.grid_power_w_max, smoothing.smoothing_time_s) == (12e3, 1.25e6, 90.0)
    assert (smoothing.soc_frac_min, smoothing.soc_frac_max, smoothing.soc_frac_target) == (0.2, 0.9, 0.55)


def test_site_has_the_rigs_racks_on_the_given_buses() -> None:
    site = make_site(find_rig("demo"), ENDPOINTS)
    assert [(rack.name, rack.can.channel, rack.cells) for rack in site.racks] == [
        ("rack-1", "can0", 416),
        ("rack-2", "can1", 416),
    ]
    assert (site.inverter.host, site.inverter.port, site.inverter.unit) == ("127.0.0.1", 5020, 1)
    assert (site.grid_meter.port, site.grid_meter.unit) == (5021, 2)
    assert site.applications == find_rig("demo").site.applications


def test_site_needs_a_bus_for_every_rack() -> None:
    with pytest.raises(ValueError, match="rig demo has 2 racks, got 1 CAN buses"):
        make_site(find_rig("demo"), Endpoints(ENDPOINTS.inverter, ENDPOINTS.grid_meter, ENDPOINTS.racks[:1]))


def test_site_needs_a_contactor_block_for_every_rack_of_such_a_rig() -> None:
    with pytest.raises(ValueError, match="rig contactor-block has 2 contactor blocks, got 0 endpoints"):
        make_site(find_rig("contactor-block"), ENDPOINTS)


def test_endpoints_that_make_no_site_are_refused_in_one_line() -> None:
    wrong = Endpoints(ModbusEndpoint("127.0.0.1", 0, 1), ENDPOINTS.grid_meter, ENDPOINTS.racks)
    with pytest.raises(ValueError, match=r"^rig demo makes no valid site: port: too small \(got 0\), expected .*$"):
        make_site(find_rig("demo"), wrong)


def test_rig_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINIMAL)
    rig = find_rig(str(tmp_path / "mine.yaml"))
    assert (rig.name, rig.rack_names) == ("mine", ("rack-1",))


def test_unknown_rig_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"^no rig named 'deom': did you mean demo\?$"):
        find_rig("deom")
    with pytest.raises(
        UnknownNameError,
        match=r"^no rig named 'zzz': expected a file or one of black-start, charging, contactor-block, container, demo",
    ):
        find_rig("zzz")


def test_path_of_no_file_is_said_as_such() -> None:
    with pytest.raises(ConfigErrors, match=r"^none/rig\.yaml:1:1: cannot be read"):
        find_rig("none/rig.yaml")


def test_broken_shipped_rig_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo.yaml").write_text(MINIMAL.replace("racks: 1", "racks: none"))
    monkeypatch.setattr(rig_module, "FOLDER", tmp_path)
    with pytest.raises(ConfigErrors, match=r"demo\.yaml:3:16: plant\.racks: not a whole number"):
        list_rigs()


def test_shipped_rig_under_another_name_is_loud(tmp_path: Path) -> None:
    (tmp_path / "yours.yaml").write_text(MINIMAL)
    with pytest.raises(UnknownNameError, match=r"yours\.yaml: is named 'mine', expected 'yours' like the file"):
        shipped(tmp_path, RigFile)


def test_load_file_is_looked_for_beside_the_rig_file() -> None:
    load = parse(MINIMAL.replace("kind: constant, rated_power_w: 2e3", "kind: file, path: load.csv")).load
    assert load.model_dump() == {"kind": "file", "path": "/rigs/load.csv", "run": None, "scale": 1.0}


LOADS = "'ai-training', 'constant', 'ai-inference', 'industry', 'factory', 'home', 'file', 'fmu'"

BROKEN = [
    (
        "kind: constant",
        "kind: constent",
        f"mine.yaml:5:14: load.kind: unknown choice (got 'constent'), expected one of {LOADS}",
    ),
    (
        "kind: constant, ",
        "",
        f"mine.yaml:5:1: load.kind: missing (got nothing), expected one of {LOADS}",
    ),
    (
        "kind: constant, rated_power_w: 2e3",
        "kind: ai-training, rated_power_w: 2e3, smoothing: {floor_frac: 2, ramp_frac_per_s: 1}",
        "mine.yaml:5:71: load.smoothing.floor_frac: too large (got 2), expected a number from 0 to 0.9",
    ),
    (
        "kind: constant, rated_power_w: 2e3",
        "kind: file, path: x.csv, rated_power_w: 1",
        "mine.yaml:5:33: load.rated_power_w: unknown key (got 'rated_power_w'), expected one of kind, path, run, scale",
    ),
    (
        "soc_frac: 0.5, ",
        "soc_frac: 0.5, soc_spread_frac: 0.1, ",
        "mine.yaml:3:93: plant.soc_spread_frac: unknown key (got 'soc_spread_frac'), expected 'soc_frac' perhaps",
    ),
    (
        "says: a rig",
        "site: {limits: {soc_frac_min: 0.96}}\nsays: a rig",
        "mine.yaml:2:31: site.limits.soc_frac_min: not below soc_frac_max, 0.95 by default (got 0.96), "
        "expected less than 0.95",
    ),
    (
        "says: a rig",
        "site: {limits: {chemistry: nmc}}\nsays: a rig",
        "mine.yaml:4:67: plant.cell: its chemistry does not fit the limits for nmc (got 'lfp'), "
        "expected a cell of nmc, nca, lmo, or limits.chemistry lfp",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), BROKEN, ids=[new[:30] for _, new, _ in BROKEN])
def test_broken_rig_file(old: str, new: str, line: str) -> None:
    assert MINIMAL.count(old) == 1
    with pytest.raises(ConfigErrors) as caught:
        parse(MINIMAL.replace(old, new))
    assert str(caught.value) == line
