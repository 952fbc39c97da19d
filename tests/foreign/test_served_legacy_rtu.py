"""`hil serve` with a converter of the older SunSpec models, at TCP and at a serial line, read by foreign clients."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU, SunSpecModbusClientDeviceTCP

from hil_rigs.rig import FOLDER

MODELS = [1, 103, 120, 121, 122, 123, 124]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """The words of each device's lines, by name and transport."""
    rig = tmp_path_factory.mktemp("rigs") / "legacy.yaml"
    demo = (FOLDER / "demo.yaml").read_text().replace("name: demo", "name: legacy")
    rig.write_text(demo.replace("plant:\n", "plant:\n  inverter_profile: sunspec-legacy\n", 1))
    command = [sys.executable, "-m", "hil_rigs.cli", "serve", str(rig), "--rtu", "inverter"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found: dict[str, list[str]] = {}
        while (line := process.stdout.readline().strip()) != "ready":
            name, *words = line.split(" ")
            found[f"{name} {words[1]}"] = words
        yield found
    finally:
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_lines_say_where_it_is(lines: dict[str, list[str]]) -> None:
    assert lines["inverter tcp"][3:] == lines["inverter rtu"][3:] == ["unit", "1", "sunspec-legacy"]
    assert Path(lines["inverter rtu"][2]).exists()


def test_pysunspec2_reads_and_pins_it_over_tcp(lines: dict[str, list[str]]) -> None:
    host, port = lines["inverter tcp"][2].split(":")
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr=host, ipport=int(port), timeout=2)
    device.scan()
    try:
        assert [key for key in device.models if isinstance(key, int)] == MODELS
        assert [model.error_info for model in device.model_list] == [""] * len(MODELS)
        assert device.models[120][0].points["MaxChaRte"].cvalue == 500e3
        assert device.models[103][0].points["St"].cvalue == 1
        storage = device.models[124][0]
        for name, value in (("OutWRte", 20.0), ("InWRte", -20.0)):
            storage.points[name].cvalue = value
        storage.points["StorCtl_Mod"].cvalue = 3
        storage.write()
        storage.read()
        assert (storage.points["OutWRte"].cvalue, storage.points["InWRte"].cvalue) == (20.0, -20.0)
    finally:
        device.close()


def test_pysunspec2_scans_it_over_rtu(lines: dict[str, list[str]]) -> None:
    device = SunSpecModbusClientDeviceRTU(slave_id=1, name=lines["inverter rtu"][2], baudrate=115200, timeout=2)
    device.scan()
    try:
        assert [key for key in device.models if isinstance(key, int)] == MODELS
        assert device.models[124][0].points["ChaState"].cvalue == pytest.approx(55.0, abs=1.0)
    finally:
        device.close()


def test_pymodbus_reads_it_over_rtu(lines: dict[str, list[str]]) -> None:
    client = ModbusSerialClient(lines["inverter rtu"][2], baudrate=115200, timeout=2)
    assert client.connect()
    try:
        assert client.read_holding_registers(40000, count=2, device_id=1).registers == [0x5375, 0x6E53]
        assert client.read_holding_registers(39999, count=1, device_id=1).exception_code == 2
    finally:
        client.close()
