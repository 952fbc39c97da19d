"""Fleet files: what is wrong in one is said with its line, and the commands take them."""

from pathlib import Path

import pytest

from bms.cli import main

GOOD = """name: campus
units:
  - {name: unit-1, host: 127.0.0.1, port: 5021}
  - {name: unit-2, host: 127.0.0.1, port: 5022}
grid_meter: {host: 127.0.0.1, port: 5029}
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("unit-2", "unit-1", "fleet.yaml:4:12: units.1.name: same name as units.0"),
        ("port: 5022", "port: 5021", "fleet.yaml:4:26: units.1.host: same device as units.0"),
        ("port: 5022", "port: 5022, poll_period_s: 0.4", "units.1.poll_period_s: not below answer_age_s_max"),
        ("port: 5022", "port: 5022, poll_period_s: 0.6", "units.1.poll_period_s: too slow to refresh reversion_s"),
        ("port: 5022", "port: 5022, soc_frac_min: 0.96", "units.1.soc_frac_min: not below soc_frac_max"),
        ("5029}", "5029}\ntime_zone: Mars/Olympus", "time_zone: no such time zone (got 'Mars/Olympus')"),
    ],
)
def test_mistake_is_named_with_its_place(
    old: str, new: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    assert main(["check", str(path)]) == 2
    assert says in capsys.readouterr().err
    assert main(["run", str(path)]) == 2


def test_good_fleet_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: fine (campus: 2 units)\n"
