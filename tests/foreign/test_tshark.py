"""Wireshark's dissector over a capture of our own traffic: every frame is sound, ours and the simulated devices'."""

import asyncio
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.described import DescribedInverter
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import DeviceException, ModbusLink
from drivers.meters.described import DescribedMeter
from drivers.profiles import find_profile
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.plant.converter import ConverterPlant, parameters_for_link
from tests.drivers import sunspec_registers as raw

HOST = "127.0.0.1"
TSHARK, DUMPCAP = shutil.which("tshark"), shutil.which("dumpcap")

pytestmark = pytest.mark.skipif(not (TSHARK and DUMPCAP), reason="tshark is not installed (Debian package tshark)")


async def capture(file: Path, ports: list[int]) -> asyncio.subprocess.Process:
    """A running capture on loopback; the test is skipped where that is not allowed."""
    ours = " or ".join(f"tcp port {port}" for port in ports)
    command = [str(DUMPCAP), "-q", "-i", "lo", "-f", ours, "-w", str(file)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said = ""
    while "File:" not in said:
        line = await asyncio.wait_for(process.stderr.readline(), 10.0)
        if not line:
            await process.communicate()
            pytest.skip(f"capturing on loopback is not allowed here: {said.strip().splitlines()[-1]}")
        said += line.decode()
    return process


def dissect(file: Path, ports: list[int], *options: str) -> list[str]:
    """tshark's lines for the packets of the capture."""
    decode = [word for port in ports for word in ("-d", f"tcp.port=={port},mbtcp")]
    command = [str(TSHARK), "-r", str(file), *decode, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


async def talk(servers: list[ModbusServer]) -> None:
    """Two seconds of everything that drivers do, and refusals."""
    sunspec, pcs, meter = (ModbusLink(HOST, server.port, 1) for server in servers)
    drivers = [
        SunSpecInverter(sunspec, lambda reading: None),
        DescribedInverter(pcs, find_profile("pcs-input-f32"), lambda reading: None, reversion_s=2),
        DescribedMeter(meter, find_profile("meter-input-f32"), lambda reading: None),
    ]
    running = [asyncio.create_task(driver.run()) for driver in drivers]
    for power_w in (1000.0, -1000.0):
        for driver in drivers[:2]:
            driver.command(InverterCommand(power_w, True, now_ns() + 1_000_000_000))
        await asyncio.sleep(0.8)
    with pytest.raises(DeviceException):
        await sunspec.read_holding(1, 1)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_wireshark_finds_no_malformed_frame_in_our_traffic(tmp_path: Path) -> None:
    converter = ConverterPlant(parameters_for_link(1350.0, 500e3))
    devices = [
        raw.converter(),
        DescribedInverterDevice(converter, find_profile("pcs-input-f32")),
        DescribedMeterDevice(lambda: 43e3, lambda: 60.0, find_profile("meter-input-f32")),
    ]
    servers = [ModbusServer(device) for device in devices]
    for server in servers:
        await server.start(HOST, 0)
    ports, file = [server.port for server in servers], tmp_path / "modbus.pcapng"
    process = await capture(file, ports)
    try:
        await talk(servers)
        await asyncio.sleep(1.0)  # the capture's buffer
    finally:
        process.terminate()
        await process.communicate()
        for server in servers:
            server.close()
        devices[1].close()
    functions = Counter(
        function
        for line in dissect(file, ports, "-Y", "modbus", "-T", "fields", "-e", "modbus.func_code")
        for function in line.split(",")
    )
    assert {"3", "4", "6", "16"} <= functions.keys()
    assert min(functions[each] for each in ("3", "4", "6", "16")) >= 4
    assert dissect(file, ports, "-Y", "modbus.exception_code") != []
    wrong = "_ws.malformed || mbtcp.prot_id != 0 || _ws.expert.severity == error"
    assert dissect(file, ports, "-Y", wrong) == []
