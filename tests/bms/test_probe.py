"""`bms probe tcp://...`: names what answers, as a fragment that a site file takes, and says what it does not know."""

import json
from pathlib import Path

import pytest

from bms.cli import main
from bms.probe.answers import Answer, NothingAnswers
from bms.probe.tcp import probe_tcp
from bms.site import load_site
from drivers.profiles import find_profile
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer, RegisterDevice
from hil_rigs.world import run_virtual
from tests.bms.test_site_errors import GOOD
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.6", 502


def probed(device: RegisterDevice, unit: int = 1, place: str = f"{HOST}:{PORT}", silent: bool = False) -> list[Answer]:
    async def main() -> list[Answer]:
        server = ModbusServer(device, unit)
        server.faults.silent = silent
        await server.start(HOST, PORT)
        try:
            return await probe_tcp(place)
        finally:
            server.close()

    return run_virtual(main())


def loads(fragment: str, folder: Path) -> None:
    """The fragment in the place of the same key of a right site file."""
    key = fragment.split(":")[0]
    lines = [fragment if line.startswith(f"{key}:") else line for line in GOOD.splitlines()]
    (folder / "site.yaml").write_text("\n".join(lines))
    load_site(folder / "site.yaml")


def test_sunspec_inverter_is_named_with_maker_and_models(tmp_path: Path) -> None:
    (answer,) = probed(raw.converter())
    assert answer.lines() == [
        "# 10.0.0.6:502 unit 1: SunSpec at 40000, models 1, 701, 702, 704, 714, 715",
        "# ACME, version unknown, serial unknown",
        "inverter: {host: 10.0.0.6, port: 502, unit: 1}",
    ]
    loads(answer.fragment, tmp_path)


def test_sunspec_meter_at_base_0_and_another_unit_is_found(tmp_path: Path) -> None:
    device = raw.meter({})
    device.base = 0
    (answer,) = probed(device, unit=126)
    assert answer.says[0] == "10.0.0.6:502 unit 126: SunSpec at 0, models 1, 203"
    assert answer.fragment == "grid_meter: {host: 10.0.0.6, port: 502, unit: 126}"
    loads(answer.fragment, tmp_path)


def test_only_the_unit_asked_for_is_looked_at() -> None:
    with pytest.raises(NothingAnswers, match=r"no unit answers Modbus \(tried 7\)"):
        probed(raw.converter(), unit=1, place=f"{HOST}:{PORT}/7")


def test_sunspec_device_that_takes_no_set_points_has_no_fragment() -> None:
    device = raw.RawDevice([0x5375, 0x6E53, *raw.COMMON, *raw.model(701, 153, raw.AC_DISCHARGING), 0xFFFF, 0])
    (answer,) = probed(device)
    assert answer.fragment == ""
    assert answer.says[-1] == "neither a meter nor an inverter that takes set-points (it lacks 704, 715)"


def test_device_that_a_shipped_profile_describes_is_recognised(tmp_path: Path) -> None:
    (answer,) = probed(DescribedMeterDevice(lambda: 43e3, lambda: 50.0, find_profile("meter-input-f32")))
    assert answer.lines() == [
        "# 10.0.0.6:502 unit 1: answers Modbus, but is no SunSpec device (no SunS marker at any of 40000, 0, 50000)",
        "# its registers could be those of profile meter-input-f32: compare them with its manual",
        "grid_meter: {driver: profile, profile: meter-input-f32, host: 10.0.0.6, port: 502, unit: 1}",
    ]
    loads(answer.fragment, tmp_path)


def test_unknown_device_is_said_with_a_hint() -> None:
    (answer,) = probed(raw.RawDevice([7] * 10, base=0))
    assert answer.lines() == [
        "# 10.0.0.6:502 unit 1: answers Modbus, but is no SunSpec device (no SunS marker at any of 40000, 0, 50000)",
        "# describe it as data: see docs/profiles.md, and start from a shipped profile",
    ]


def test_probe_never_writes() -> None:
    device = raw.converter()
    probed(device)
    assert device.writes == []


def test_server_that_says_nothing_is_not_a_device() -> None:
    with pytest.raises(NothingAnswers, match="takes connections, but no unit answers Modbus"):
        probed(raw.converter(), silent=True)


def test_gateway_answers_for_several_devices() -> None:
    class Gateway(ModbusServer):
        def carry_out(self, unit: int, request: bytes) -> bytes:
            if unit not in (2, 3):
                raise ModbusFault(0x0B)
            self.unit, self.device = unit, raw.converter() if unit == 2 else raw.meter({})
            return super().carry_out(unit, request)

    async def main() -> list[Answer]:
        server = Gateway(raw.converter())
        await server.start(HOST, PORT)
        try:
            return await probe_tcp(f"{HOST}:{PORT}")
        finally:
            server.close()

    assert [answer.fragment.split(":")[0] for answer in run_virtual(main())] == ["inverter", "grid_meter"]


BAD_URLS = [
    ("127.0.0.1:502", "'127.0.0.1:502': unknown scheme '127.0.0.1:502', expected can://... or tcp://..."),
    ("tcp://127.0.0.1", "'tcp://127.0.0.1': not a place, expected tcp://HOST:PORT or tcp://HOST:PORT/UNIT"),
    ("tcp://127.0.0.1:70000", "'tcp://127.0.0.1:70000': no port 70000, expected 1 to 65535"),
    ("tcp://127.0.0.1:502/300", "'tcp://127.0.0.1:502/300': no unit 300, expected 0 to 255"),
]


@pytest.mark.parametrize(("url", "line"), BAD_URLS)
def test_what_is_no_url_ends_with_status_2(url: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", url]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err


def test_where_nothing_listens_is_status_1_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "tcp://127.0.0.1:1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["answers"] == []
    assert "Connect call failed" in document["errors"][0]
