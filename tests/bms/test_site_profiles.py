"""Devices of a site that are described by profiles: found by name or beside the site file, and checked with it."""

from pathlib import Path

import pytest

from bms.cli import main
from bms.site import load_site
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, find_rig, make_site
from tests.bms.test_site_errors import GOOD, errors_of, swap

SHIPPED = Path(__file__).parents[2] / "drivers" / "profiles"
DESCRIBED = "driver: profile, profile: pcs-holding-s32"
INVERTER = "inverter: {host: 127.0.0.1, "
METER = "grid_meter: {host: 127.0.0.1, "


def keeping_on(folder: Path) -> Path:
    """A profile without a timer, beside the site file."""
    text = (SHIPPED / "pcs-holding-s32.yaml").read_text()
    text = text.replace("{kind: timer, time_s_min: 0.5, time_s_max: 60}", "{kind: keeps-on}")
    path = folder / "mine.yaml"
    path.write_text("\n".join(line for line in text.splitlines() if "reversion-time" not in line) + "\n")
    return path


def test_shipped_profile_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(swap(INVERTER, INVERTER + DESCRIBED + ", "))
    inverter = load_site(tmp_path / "site.yaml").inverter
    assert inverter.description is not None
    assert (inverter.description.name, inverter.reverts) == ("pcs-holding-s32", True)


def test_profile_beside_the_site_file_is_found_from_anywhere(tmp_path: Path) -> None:
    keeping_on(tmp_path)
    (tmp_path / "site.yaml").write_text(swap(INVERTER, INVERTER + "driver: profile, profile: mine.yaml, "))
    assert not load_site(tmp_path / "site.yaml").inverter.reverts


def test_check_warns_of_a_device_that_keeps_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeping_on(tmp_path)
    (tmp_path / "site.yaml").write_text(swap(INVERTER, INVERTER + "driver: profile, profile: mine.yaml, "))
    assert main(["check", str(tmp_path / "site.yaml")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        f"inverter {tmp_path}/mine.yaml: WARNING: in silence it keeps its last set-point for ever; "
        "a dead controller does not stop it"
    )


WRONG = [
    (
        INVERTER,
        INVERTER + "driver: profile, ",
        "site.yaml:15:37: inverter.profile: missing for driver profile (got nothing), "
        "expected name or path of a profile",
    ),
    (
        INVERTER,
        INVERTER + "profile: pcs-holding-s32, ",
        "site.yaml:15:38: inverter.profile: not for driver sunspec (got 'pcs-holding-s32'), expected driver: profile",
    ),
    (
        INVERTER,
        INVERTER + "driver: profile, profile: meter-input-f32, ",
        "site.yaml:15:55: inverter.profile: describes a device of kind meter (got 'meter-input-f32'), "
        "expected a profile of kind inverter",
    ),
    (
        METER,
        METER + DESCRIBED + ", ",
        "site.yaml:16:57: grid_meter.profile: describes a device of kind inverter (got 'pcs-holding-s32'), "
        "expected a profile of kind meter",
    ),
    (
        INVERTER,
        INVERTER + "driver: profile, profile: pcs-input-f32, ",
        "site.yaml:15:55: inverter.reversion_s: it goes to 0 W after 2 s, not earlier (got 1), expected at least 2",
    ),
    (
        INVERTER,
        INVERTER + "driver: profile, profile: pcs-holding-s23, ",
        "site.yaml:15:55: inverter.profile: no profile named 'pcs-holding-s23': did you mean pcs-holding-s32? "
        "(got 'pcs-holding-s23'), expected name or path of a profile",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), WRONG, ids=[line.split("(got")[0] for _, _, line in WRONG])
def test_mistake_about_a_profile_stands_in_the_site_file(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert errors_of(tmp_path, swap(old, new)) == [line]


def test_broken_profile_names_its_own_first_mistake(tmp_path: Path) -> None:
    path = keeping_on(tmp_path)
    path.write_text(path.read_text().replace("kind: inverter", "kind: toaster").replace("scale: 0.1", "scale: 0"))
    (line,) = errors_of(tmp_path, swap(INVERTER, INVERTER + "driver: profile, profile: mine.yaml, "))
    assert line == (
        "site.yaml:15:55: inverter.profile: mine.yaml:6:7: kind: unknown choice (got 'toaster'), expected one of "
        f"'inverter', 'meter', 'switchgear', 'auxiliary', 'contactors' and 3 more (got '{tmp_path}/mine.yaml'), "
        "expected a right profile, see bms profile check"
    ).replace(f"{tmp_path}/", "")


def test_site_without_profiles_is_sunspec(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(GOOD)
    site = load_site(tmp_path / "site.yaml")
    assert (site.inverter.description, site.grid_meter.description) == (None, None)


def test_rig_with_profiles_makes_a_site_with_them() -> None:
    at = ModbusEndpoint("127.0.0.1", 502, 1)
    site = make_site(find_rig("described"), Endpoints(at, at, tuple(CanEndpoint("virtual", f"can{k}") for k in (0, 1))))
    assert (site.inverter.profile, site.inverter.reversion_s) == ("pcs-input-f32", 2)
    assert site.grid_meter.profile == "meter-input-f32"
