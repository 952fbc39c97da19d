"""Other people's clients against our simulated devices, and our drivers against them, on real sockets.

A map that only our own driver understands would pass every test of ours: these peers know SunSpec and Modbus from
elsewhere (pysunspec2, pyModbusTCP, mbpoll).
"""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyModbusTCP.client import ModbusClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from drivers.meters.sunspec import SunSpecMeter
from drivers.readings import InverterState

SET_POINT_AT = 40299
MODELS = [1, 701, 702, 704, 713, 714, 715, 802, 705, 706, 711, 712]
SERVER = Path(__file__).with_name("serve_sunspec.py")


@dataclass(frozen=True)
class Served:
    inverter_port: int
    meter_port: int


@pytest.fixture
def served() -> Iterator[Served]:
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        word, inverter_port, meter_port = process.stdout.readline().split()
        assert word == "ready"
        yield Served(int(inverter_port), int(meter_port))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def sunspec(served: Served) -> Iterator[SunSpecModbusClientDeviceTCP]:
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=served.inverter_port, timeout=2)
    device.scan()
    device.connect()
    yield device
    device.disconnect()


def scaled(device, model_id: int, name: str, group: str | None = None) -> float:
    model = device.models[model_id][0]
    holder = model if group is None else model.groups[group][0]
    return holder.points[name].cvalue


def test_pysunspec2_scans_every_model_without_an_error(sunspec):
    assert [key for key in sunspec.models if isinstance(key, int)] == MODELS
    assert [model.error_info for model in sunspec.model_list] == [""] * len(MODELS)


def test_pysunspec2_reads_the_values_that_the_plant_has(sunspec):
    assert scaled(sunspec, 701, "W") == -123_400
    assert scaled(sunspec, 701, "Hz") == pytest.approx(59.98)
    assert scaled(sunspec, 701, "InvSt") == 3
    assert scaled(sunspec, 702, "WDisChaRteMaxRtg") == 500_000
    assert (scaled(sunspec, 702, "VAMaxRtg"), scaled(sunspec, 702, "VarMaxAbsRtg")) == (560_000, 250_000)
    assert scaled(sunspec, 713, "SoC") == pytest.approx(55.3)
    assert scaled(sunspec, 714, "DCV", "Prt") == 1350.0
    assert scaled(sunspec, 714, "DCW", "Prt") == -123_400
    assert scaled(sunspec, 802, "V") == pytest.approx(1351.2)
    assert scaled(sunspec, 802, "SoC") == pytest.approx(55.3)
    assert scaled(sunspec, 802, "A") == pytest.approx(-91.4)


def test_set_point_written_by_pysunspec2_takes_effect_and_reverts(sunspec):
    controls, measurement = sunspec.models[704][0], sunspec.models[701][0]
    for name, value in (("WSetRvrt", 0), ("WSetRvrtTms", 1), ("WSetEnaRvrt", 1), ("WSet", 45_600)):
        controls.points[name].cvalue = value
    controls.write()
    controls.WSetEna.cvalue = 1  # on its own and last: this is what starts the reversion timer
    controls.write()
    measurement.read()
    assert measurement.W.cvalue == 45_600
    time.sleep(1.2)
    measurement.read()
    controls.read()
    assert (measurement.W.cvalue, controls.WSet.cvalue, controls.WSetRvrtRem.cvalue) == (0, 0, 0)


def test_reactive_power_written_by_pysunspec2_takes_effect_with_its_sign_and_ends(sunspec):
    controls, measurement = sunspec.models[704][0], sunspec.models[701][0]
    for name, value in (("VarSetMod", 4), ("VarSetRvrtTms", 1), ("VarSetEnaRvrt", 0), ("VarSet", -30_300)):
        controls.points[name].cvalue = value
    controls.write()
    controls.VarSetEna.cvalue = 1
    controls.write()
    measurement.read()
    assert (measurement.Var.cvalue, measurement.VA.cvalue, measurement.LLV.cvalue) == (-30_300, 30_300, 396.4)
    time.sleep(1.2)
    measurement.read()
    controls.read()
    assert (measurement.Var.cvalue, controls.VarSetEna.cvalue) == (0, 0)


def test_curve_written_by_pysunspec2_is_adopted_and_a_wrong_one_is_not(sunspec):
    volt_var = sunspec.models[705][0]
    assert (volt_var.NPt.cvalue, volt_var.NCrv.cvalue) == (6, 2)
    curve = volt_var.Crv[1]
    curve.ActPt.cvalue, curve.DeptRef.cvalue, curve.RspTms.cvalue = 2, 3, 0
    for point, (v, var) in zip(curve.Pt, ((95.0, 30.0), (105.0, -30.0)), strict=False):
        point.V.cvalue, point.Var.cvalue = v, var
    volt_var.write()
    volt_var.AdptCrvReq.cvalue = 2
    volt_var.write()
    volt_var.read()
    assert (volt_var.AdptCrvRslt.cvalue, volt_var.Crv[0].ActPt.cvalue) == (1, 2)
    assert [(point.V.cvalue, point.Var.cvalue) for point in volt_var.Crv[0].Pt][:2] == [(95.0, 30.0), (105.0, -30.0)]
    volt_var.Crv[1].Pt[1].V.cvalue = 90.0
    volt_var.write()
    volt_var.AdptCrvReq.cvalue = 2
    volt_var.write()
    volt_var.read()
    assert (volt_var.AdptCrvRslt.cvalue, volt_var.Crv[0].Pt[1].V.cvalue) == (2, 105.0)


def test_pysunspec2_reads_the_meter(served):
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=served.meter_port, timeout=2)
    device.scan()
    assert scaled(device, 203, "W") == -43_200
    assert scaled(device, 203, "Hz") == pytest.approx(59.98)


def test_py_modbus_tcp_reads_raw_registers_and_is_refused_off_the_map(served):
    client = ModbusClient("127.0.0.1", served.inverter_port, unit_id=1, timeout=2.0, auto_close=True)
    assert client.read_holding_registers(40000, 4) == [0x5375, 0x6E53, 1, 66]
    assert client.read_input_registers(40000, 2) == [0x5375, 0x6E53]
    assert client.read_holding_registers(39999, 1) is None
    assert client.last_except == 2
    assert client.write_single_register(40080, 5) is False
    assert client.last_except == 2
    assert client.read_coils(0, 1) is None
    assert client.last_except == 1


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (Debian package mbpoll)")
def test_mbpoll_reads_and_writes(served):
    def mbpoll(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["mbpoll", "-m", "tcp", "-p", str(served.inverter_port), "-a", "1", "-0", "-1", "-q", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)

    read = mbpoll("-t", "4:hex", "-r", "40000", "-c", "2", "127.0.0.1")
    assert "0x5375" in read.stdout
    assert "0x6E53" in read.stdout
    assert mbpoll("-t", "4", "-r", str(SET_POINT_AT), "127.0.0.1", "1").returncode == 0
    off_the_map = mbpoll("-t", "4", "-r", "50000", "-c", "1", "127.0.0.1")
    assert "Illegal data address" in off_the_map.stdout + off_the_map.stderr


async def test_our_drivers_work_on_real_sockets(served):
    inverters, meters = [], []
    inverter = SunSpecInverter(ModbusLink("127.0.0.1", served.inverter_port, 1), inverters.append)
    meter = SunSpecMeter(ModbusLink("127.0.0.1", served.meter_port, 1), meters.append)
    running = [asyncio.create_task(driver.run()) for driver in (inverter, meter)]
    await asyncio.sleep(0.5)
    inverter.command(InverterCommand(-78_900.0, True, now_ns() + 2_000_000_000, 45_600.0))
    await asyncio.sleep(0.5)
    assert (inverters[-1].ac_power_w, inverters[-1].state) == (-78_900.0, InverterState.RUNNING)
    assert inverter.applied_power_w == -78_900.0
    assert (inverters[-1].ac_reactive_var, inverter.applied_reactive_var) == (45_600.0, 45_600.0)
    assert meters[-1].power_w == -43_200.0
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not inverter.health.connected
