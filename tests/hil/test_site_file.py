"""A site file that `hil serve` wrote is written again; one that somebody has worked on is left alone."""

from pathlib import Path

import pytest

from bms.site import load_site
from hil_rigs.cli import main
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, find_rig, make_site
from hil_rigs.site_file import EditedSiteError, require_own, write_site


def site_at(port: int):
    at = Endpoints(
        inverter=ModbusEndpoint("192.0.2.1", port, 1),
        grid_meter=ModbusEndpoint("192.0.2.2", 502, 1),
        racks=(CanEndpoint("socketcan", "can0"), CanEndpoint("socketcan", "can1")),
    )
    return make_site(find_rig("demo"), at)


def test_its_own_file_is_written_again_with_other_addresses(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    for port in (502, 1502):
        require_own(path)
        write_site(site_at(port), path)
        assert load_site(path) == site_at(port)
    assert [each.name for each in tmp_path.iterdir()] == ["site.yaml"]


@pytest.mark.parametrize(
    "given", [b"name: mine\n", b"", b"\xff\xfe", None], ids=["other", "empty", "no text", "edited"]
)
def test_what_somebody_has_worked_on_is_refused(
    given: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.yaml"
    write_site(site_at(502), path)
    path.write_bytes(path.read_bytes().replace(b"192.0.2.1", b"192.0.2.9") if given is None else given)
    before = path.read_bytes()
    assert main(["serve", "demo", "--write-site", str(path)]) == 2
    said = f"{path}: is there and is not as hil serve wrote it: --force overwrites it\n"
    assert capsys.readouterr() == ("", said)
    assert path.read_bytes() == before
    with pytest.raises(EditedSiteError):
        require_own(path)
