"""dertwin's battery system, a simulator of other people, driven by our controller through a profile.

It pins an old pymodbus and therefore lives in an environment of its own, `.venv-dertwin`, which `.ci/run` makes.
"""

import asyncio
import json
import math
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bms.controller import Controller
from bms.protect.protection import ActiveFault
from bms.site import InverterDevice
from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.described import DescribedInverter
from drivers.links.modbus import LinkError, ModbusLink
from drivers.profiles import find_profile
from drivers.readings import InverterReading, InverterState
from hil_rigs.bench import Bench
from hil_rigs.rig import find_rig, make_site

FILES = Path(__file__).with_name("dertwin_bess")
PROFILE = FILES / "profile.yaml"
PYTHON = Path(os.environ.get("CELLWARD_DERTWIN", Path(__file__).parents[2] / ".venv-dertwin")) / "bin" / "python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="dertwin is not installed (.ci/run makes .venv-dertwin)")

HOST = "127.0.0.1"
WAIT_S, LOOK_S = 20.0, 0.02


class Dertwin:
    """The simulator as a process, which can be killed and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "config.json"
        asset = {"type": "bess", "capacity_kwh": 2000.0, "initial_soc": 50.0, "max_charge_kw": 500.0,
                 "max_discharge_kw": 500.0, "ramp_rate_kw_per_s": 5000.0,
                 "protocols": [{"kind": "modbus_tcp", "ip": HOST, "port": self.port, "unit_id": 1,
                                "register_map": str(FILES / "bess_modbus.yaml")}]}  # fmt: skip
        site = {"site_name": "test", "step": 0.05, "real_time": True, "register_map_root": ".", "assets": [asset]}
        self._config.write_text(json.dumps(site))
        self._log = (folder / "dertwin.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(PYTHON), "-m", "dertwin.main", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env={"PATH": os.defpath})

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._log.close()


@pytest.fixture
def dertwin(tmp_path: Path) -> Iterator[Dertwin]:
    it = Dertwin(tmp_path)
    it.start()
    yield it
    it.close()


class Driven:
    """Our driver on the simulator, and the newest of what it says."""

    def __init__(self, port: int) -> None:
        self.reading: InverterReading | None = None
        self.driver = DescribedInverter(ModbusLink(HOST, port, 1), find_profile(str(PROFILE)), self._take)

    def command(self, power_w: float, run: bool = True) -> None:
        self.driver.command(InverterCommand(power_w, run, now_ns() + round(2 * WAIT_S * 1e9)))

    async def shows(self, state: InverterState, power_w: float) -> None:
        """Waits until the device says this."""

        def says() -> bool:
            reading = self.reading
            return reading is not None and (reading.state, reading.ac_power_w) == (state, power_w)

        await until(says)

    def _take(self, reading: InverterReading) -> None:
        self.reading = reading


@asynccontextmanager
async def driven(port: int) -> AsyncIterator[Driven]:
    it = Driven(port)
    running = asyncio.create_task(it.driver.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_starts_follows_both_ways_and_stops(dertwin: Dertwin) -> None:
    async with driven(dertwin.port) as it:
        it.command(123_400.0)
        await it.shows(InverterState.RUNNING, 123_400.0)
        it.command(-234_500.0)
        await it.shows(InverterState.RUNNING, -234_500.0)
        it.command(-234_500.0, run=False)
        await it.shows(InverterState.OFF, 0.0)
        assert it.driver.silence == "its profile has neither timer nor heartbeat"


async def test_it_follows_again_after_its_server_was_killed(dertwin: Dertwin) -> None:
    async with driven(dertwin.port) as it:
        it.command(50_000.0)
        await it.shows(InverterState.RUNNING, 50_000.0)
        dertwin.kill()
        it.reading = None
        await asyncio.sleep(1.0)
        assert it.reading is None
        dertwin.start()
        await it.shows(InverterState.RUNNING, 50_000.0)


async def mirror(bench: Bench, port: int) -> None:
    """The plant's converter does what the simulator's does, so that racks and meter agree with it."""
    link, converter = ModbusLink(HOST, port, 1), bench.plant.converter
    try:
        while True:
            try:
                status, high, low = await link.read_input(0, 3)
            except LinkError:
                converter.stop()
                link.close()
                await link.connect()
                continue
            (converter.start if status == 1 else converter.stop)()
            raw = (high << 16 | low) - (1 << 32 if high & 0x8000 else 0)
            converter.set_power(100.0 * raw)
            await asyncio.sleep(0.02)
    finally:
        link.close()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(round(2 * WAIT_S / LOOK_S)):
        if condition():
            return
        await asyncio.sleep(LOOK_S)
    pytest.fail(f"not within {2 * WAIT_S:g} s")


async def test_the_whole_controller_runs_stops_and_recovers_with_it(dertwin: Dertwin) -> None:
    bench = Bench(find_rig("demo"), 1)
    site = make_site(bench.rig, await bench.start())
    inverter = InverterDevice(driver="profile", profile=str(PROFILE), host=HOST, port=dertwin.port)
    tripped: list[str] = []

    def on_trip(fault: ActiveFault) -> None:
        tripped.append(fault.kind.id)

    controller = Controller(
        site.model_copy(update={"inverter": inverter}),
        can_opener=bench.open_can,
        recorder=None,
        perf_clock=lambda: math.nan,
        on_trip=on_trip,
    )
    beside = [asyncio.create_task(bench.run()), asyncio.create_task(mirror(bench, dertwin.port))]
    running = asyncio.create_task(controller.run())
    converter, racks = bench.plant.converter, bench.plant.racks

    def at_power() -> bool:
        return all(rack.main_closed for rack in racks) and abs(converter.ac_power_w) > 30e3

    try:
        await until(at_power)
        assert tripped == ["inverter_keeps_on"]
        dertwin.kill()
        await until(lambda: not any(rack.main_closed for rack in racks))
        assert "inverter_lost" in tripped
        dertwin.start()
        await until(at_power)
        controller.stop()
        await asyncio.wait_for(running, WAIT_S)
        assert converter.ac_power_w == 0.0
        assert not any(rack.main_closed for rack in racks)
        assert max(rack.opened_under_load_a for rack in racks) < 50.0
    finally:
        for task in (running, *beside):
            task.cancel()
        await asyncio.gather(running, *beside, return_exceptions=True)
        bench.close()
