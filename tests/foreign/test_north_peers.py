"""The site's north side read and asked by clients of other people: pysunspec2, pyModbusTCP, mbpoll."""

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.client import ModbusClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from tests.foreign.north_site import NorthSite, free_port

OUR_MODEL = 64900
MODELS = [1, 701, 702, 704, 713, 715, 802, OUR_MODEL]
AGC_VALUE_AT = 40426 + 124 + 24
"""Value of the first input in our own model, see docs/north.md."""


class Site(NorthSite):
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(folder, f"  modbus: {{port: {self.port}}}\n")

    def sunspec(self) -> Any:
        device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=self.port, timeout=2)
        device.scan()
        device.connect()
        return device

    def raw(self) -> ModbusClient:
        return ModbusClient("127.0.0.1", self.port, unit_id=1, timeout=2.0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("north"))
    yield site
    assert site.end() == 0


def wait_until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)


def test_pysunspec2_scans_every_standard_model_without_an_error(site: Site) -> None:
    device = site.sunspec()
    assert [key for key in device.models if isinstance(key, int)] == MODELS
    assert [model.error_info for model in device.model_list if model.model_id != OUR_MODEL] == [""] * 7
    assert device.common[0].Mn.cvalue == "Cellward"
    assert device.models[701][0].InvSt.cvalue == 3
    assert device.models[702][0].WDisChaRteMaxRtg.cvalue == 80e3
    assert device.models[713][0].SoC.cvalue == pytest.approx(50.0, abs=10.0)  # it starts from an unknown one
    assert device.models[713][0].WHRtg.cvalue == 761_600
    assert device.models[802][0].State.cvalue == 3
    assert device.models[715][0].LocRemCtl.cvalue == 0
    device.disconnect()


def test_set_point_written_by_pysunspec2_moves_the_battery_until_its_time_is_over(site: Site) -> None:
    device = site.sunspec()
    controls = device.models[704][0]
    for name, value in (("WSetMod", 1), ("WSet", -40_000), ("WSetRvrtTms", 3)):
        controls.points[name].cvalue = value
    controls.write()
    controls.WSetEna.cvalue = 1
    controls.write()
    wait_until(lambda: abs(site.rig.battery_w() + 40e3) < 200.0)
    controls.read()
    assert (controls.WSetEna.cvalue, controls.WSet.cvalue) == (1, -40_000)
    assert 1 <= controls.WSetRvrtRem.cvalue <= 3
    wait_until(lambda: abs(site.rig.battery_w()) < 200.0)
    controls.read()
    assert (controls.WSetEna.cvalue, controls.WSetRvrtRem.cvalue) == (0, 0)
    device.disconnect()


def test_py_modbus_tcp_tells_an_input_and_is_refused_in_the_modbus_way(site: Site) -> None:
    client = site.raw()
    value_and_time = [*struct.unpack(">2H", struct.pack(">f", 15e3)), 0, 2]
    assert client.write_multiple_registers(AGC_VALUE_AT, value_and_time)
    wait_until(lambda: abs(site.rig.battery_w() - 15e3) < 200.0)
    wait_until(lambda: abs(site.rig.battery_w()) < 200.0)
    assert client.read_holding_registers(39_999, 1) is None
    assert client.last_except == 2
    assert client.write_single_register(40_080, 5) is False
    assert client.last_except == 2
    assert client.write_multiple_registers(AGC_VALUE_AT, [0x7FC0, 0, 0, 2]) is False
    assert client.last_except == 3
    client.close()


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (Debian package mbpoll)")
def test_mbpoll_reads_and_asks(site: Site) -> None:
    def mbpoll(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["mbpoll", "-m", "tcp", "-p", str(site.port), "-a", "1", "-0", "-1", "-q", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)

    assert "0x5375" in mbpoll("-t", "4:hex", "-r", "40000", "-c", "2", "127.0.0.1").stdout
    beat = mbpoll("-t", "4", "-r", "40358", "127.0.0.1", "0", "7")
    assert beat.returncode == 0
    off_the_map = mbpoll("-t", "4", "-r", "50000", "-c", "1", "127.0.0.1")
    assert "Illegal data address" in off_the_map.stdout + off_the_map.stderr


def test_clients_that_hang_or_flood_take_no_place_from_those_that_work(site: Site) -> None:
    hanging = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(14)]
    for each in hanging:
        each.sendall(bytes.fromhex("0001 0000 0006 01"))
    flood = socket.create_connection(("127.0.0.1", site.port))
    flood.sendall(bytes.fromhex("0001 0000 0006 01 03 9c40 0002") * 1000)
    flood.settimeout(5.0)
    answered = 0
    while data := flood.recv(65_536) if answered < 1000 * 13 else b"":
        answered += len(data)
    assert answered < 1000 * 13, "cut off"
    client = site.raw()
    began_s = time.monotonic()
    for _ in range(50):
        assert client.read_holding_registers(40_070, 100) is not None
    assert time.monotonic() - began_s < 5.0
    for each in (*hanging, flood):
        each.close()
    client.close()
