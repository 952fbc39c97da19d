"""`hil serve` read by clients of other people, as its own lines say where and how."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import can
import cantools
import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP


@pytest.fixture(scope="module")
def lines() -> Iterator[dict[str, list[str]]]:
    """The words of each device's line, by its name."""
    command = [sys.executable, "-m", "hil_rigs.cli", "serve", "demo"]
    rig = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert rig.stdout is not None
    try:
        found: dict[str, list[str]] = {}
        while (line := rig.stdout.readline().strip()) != "ready":
            name, *words = line.split(" ")
            found[name] = words
        yield found
    finally:
        rig.terminate()
        last = rig.communicate(timeout=20)[0].splitlines()[-1]
        assert rig.returncode == 0
        assert re.fullmatch(r"ended: [1-9]\d* steps of 10 ms, \d+ a step late or more, \d+ left out", last)


def place(words: list[str]) -> tuple[str, int]:
    host, port = words[2].split(":")
    return host, int(port)


def test_lines_have_the_documented_form(lines: dict[str, list[str]]) -> None:
    assert list(lines) == ["inverter", "grid-meter", "rack-1", "rack-2"]
    for name in ("inverter", "grid-meter"):
        link, transport, _, unit, number, profile = lines[name]
        assert (link, transport, unit, number, profile) == ("modbus", "tcp", "unit", "1", "sunspec")
    for name, expected in (("rack-1", "can0"), ("rack-2", "can1")):
        link, interface, _, channel, dbc = lines[name]
        assert (link, interface, channel) == ("can", "socketcand", expected)
        assert dbc.endswith("rack_monitor.dbc")


def test_pysunspec2_scans_inverter_and_meter(lines: dict[str, list[str]]) -> None:
    for name, models in (
        ("inverter", [1, 701, 702, 704, 713, 714, 715, 802, 705, 706, 711, 712]),
        ("grid-meter", [1, 203]),
    ):
        host, port = place(lines[name])
        device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr=host, ipport=port, timeout=2)
        device.scan()
        assert [key for key in device.models if isinstance(key, int)] == models
        if name == "inverter":
            assert device.models[702][0].points["WMaxRtg"].cvalue == 500e3
            assert device.models[713][0].points["SoC"].cvalue == pytest.approx(55.0, abs=1.0)
        else:
            assert 700e3 < device.models[203][0].points["W"].cvalue < 1500e3
        device.close()


def test_mbpoll_reads_the_marker(lines: dict[str, list[str]]) -> None:
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll is not installed (Debian package mbpoll)")
    host, port = place(lines["inverter"])
    command = ["mbpoll", "-1", "-0", "-a", "1", "-r", "40000", "-c", "2", "-t", "4:hex", "-p", str(port), host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "0x5375" in done.stdout
    assert "0x6E53" in done.stdout


def test_python_can_and_cantools_read_every_cell_within_50_ms(lines: dict[str, list[str]]) -> None:
    """Every ModuleVoltage frame of the rack comes within the sweep of 50 ms (and some slack for this machine)."""
    host, port = place(lines["rack-2"])
    database = cantools.database.load_file(lines["rack-2"][4])
    bus = can.Bus(interface="socketcand", channel=lines["rack-2"][3], host=host, port=port)
    try:
        frames = [bus.recv(1.0) for _ in range(400)]
    finally:
        bus.shutdown()
    present = [frame for frame in frames if frame is not None]
    assert len(present) == 400
    voltage_ids = {frame.arbitration_id for frame in present if 0x200 <= frame.arbitration_id < 0x280}
    assert voltage_ids == set(range(0x200, 0x200 + 26 * 4))
    cells_v = [
        value
        for frame in present
        if frame.arbitration_id in voltage_ids
        for name, value in database.decode_message(frame.arbitration_id, frame.data).items()
        if name.startswith("Cell")
    ]
    assert 3.2 < min(cells_v) < max(cells_v) < 3.4
    assert present[-1].timestamp - present[0].timestamp < 0.3
