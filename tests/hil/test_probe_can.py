"""`bms probe can://`: what it hears on simulated buses, and that a site file takes the fragments it prints."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from bms.probe.answers import Answer, NothingAnswers, UrlError
from bms.probe.can import parse_place, probe_can
from bms.site import load_site
from drivers.battery import BatteryAlarm, BatterySays
from drivers.clock import now_ns
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.low_voltage import PROFILES
from hil_rigs.bench import Bench
from hil_rigs.devices.foxbms_node import FoxBmsNode
from hil_rigs.devices.low_voltage import LowVoltageBatteryNode, LowVoltageInverterNode
from hil_rigs.devices.rack_node import RackNode
from hil_rigs.devices.rack_sensors import Iso165cNode, IvtNode
from hil_rigs.rig import find_rig
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

PLACE = "socketcand/can0?host=127.0.0.1&port=29536"
REST = """
name: probed
inverter: {host: 127.0.0.1}
grid_meter: {host: 127.0.0.1}
limits: {cell_data_age_s_max: 11, temperature_age_s_max: 11, current_age_s_max: 0.3}
"""


async def steps(step: Callable[[int, int], None]) -> None:
    slot = 0
    while True:
        step(slot, now_ns())
        slot += 1
        await asyncio.sleep(0.01)


def probed(*speakers: Callable[[CanBus], Awaitable[None]]) -> list[Answer]:
    """What the probe says of a bus on which these speak."""

    async def main() -> list[Answer]:
        bus = CanBus(np.random.default_rng(1))

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        tasks = [asyncio.ensure_future(speaker(bus)) for speaker in speakers]
        try:
            return await probe_can(PLACE, opened)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return run_virtual(main())


def test_the_demo_rig_is_a_native_rack_of_26_modules() -> None:
    async def main() -> list[Answer]:
        bench = Bench(find_rig("demo"), 5)
        await bench.start()
        running = asyncio.create_task(bench.run())
        try:
            return await probe_can("socketcand/can0?seconds=1", bench.open_can)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            bench.close()

    (answer,) = run_virtual(main())
    assert answer.says[0] == "native rack monitor: 26 modules of 16 cells"
    assert answer.details == {"protocol": "native", "modules": 26, "cells_per_module": 16}


async def foxbms(bus: CanBus) -> None:
    rig = find_rig("demo")
    small = rig.model_copy(
        update={"plant": rig.plant.model_copy(update={"racks": 1, "modules_per_rack": 2, "cells_per_module": 12})}
    )
    await steps(FoxBmsNode(Bench(small, 5).plant.racks[0], bus, 2, 12, 3, "master").step)


async def battery(bus: CanBus) -> None:
    says = BatterySays(charge_voltage_v_max=56.8, charge_current_a_max=100.0, discharge_current_a_max=120.0,
                       soc_frac=0.51, soh_frac=0.98, voltage_v=52.62, current_a=0.0, temperature_degc=18.0,
                       alarms=BatteryAlarm(0), name="PYTES")  # fmt: skip
    await LowVoltageBatteryNode(bus, PROFILES["victron"], says).run()


async def inverter(bus: CanBus) -> None:
    await LowVoltageInverterNode(bus, PROFILES["pylontech"]).run()


async def ivt(bus: CanBus) -> None:
    await IvtNode(bus, lambda: -12.5, lambda: 800.0).run()


async def imd(bus: CanBus) -> None:
    await Iso165cNode(bus, lambda: 5000.0).run()


async def stranger(bus: CanBus) -> None:
    port = bus.attach(lambda batch: None)
    while True:
        port.send(struct.pack("<IB3x8s", 0x98FF_50E5, 8, bytes(8)))
        await asyncio.sleep(0.5)


def test_a_foxbms_is_told_by_its_pages_and_the_site_file_takes_the_fragment(tmp_path: Path) -> None:
    (answer,) = probed(foxbms)
    assert answer.details == {"protocol": "foxbms", "source": "master", "cells": 24, "sensors": 6}
    path = tmp_path / "site.yaml"
    path.write_text("\n".join(answer.lines()) + REST)
    rack = load_site(path).racks[0]
    assert (rack.monitor, rack.cells, rack.foxbms.cells_from, rack.can.port) == ("foxbms", 24, "master", 29536)


def test_an_inverter_that_waits_for_a_battery_gets_a_battery_bus(tmp_path: Path) -> None:
    (answer,) = probed(inverter)
    assert answer.says[0].startswith("an inverter that looks for a low-voltage battery")
    path = tmp_path / "site.yaml"
    rack = "racks: [{name: r, modules: 1, cells_per_module: 16, cell: lfp-280ah, contactor_break_current_a: 20, " \
           "can: {interface: virtual, channel: a}}]\n"  # fmt: skip
    path.write_text(rack + "\n".join(answer.lines()) + REST)
    bus = load_site(path).battery_bus
    assert bus is not None
    assert (bus.variant, bus.can.host) == ("pylontech", "127.0.0.1")


def test_a_low_voltage_battery_is_told_and_the_site_file_takes_the_fragment(tmp_path: Path) -> None:
    (answer,) = probed(battery, inverter)
    assert answer.says[0] == "low-voltage battery PYTES, variant victron"
    assert "52.62 V, SoC 51 %" in answer.says[1]
    path = tmp_path / "site.yaml"
    path.write_text("\n".join(answer.lines()) + REST.replace("current_age_s_max: 0.3", "current_age_s_max: 2"))
    rack = load_site(path).racks[0]
    assert (rack.monitor, rack.cells, rack.low_voltage and rack.low_voltage.variant) == ("low-voltage", 16, "victron")


def test_sensors_and_strangers_on_one_bus_are_told_apart() -> None:
    sensor, monitor, unknown = probed(ivt, imd, stranger)
    assert sensor.details == {"protocol": "ivt-s", "current_a": -12.5}
    assert monitor.details == {"protocol": "iso165c", "insulation_kohm": 5000.0, "state": "active"}
    assert unknown.details == {"protocol": None, "ids": [0x18FF50E5]}
    assert unknown.says[0].startswith("12 frames of no known protocol: 0x18FF50E5")


async def gateway(bus: CanBus) -> None:
    """What the native driver sends."""
    port = bus.attach(lambda batch: None)
    while True:
        for can_id in (0x50, 0x51, 0x400):
            port.send(struct.pack("<IB3x8s", can_id, 8, bytes(8)))
        await asyncio.sleep(0.1)


def test_what_a_gateway_sends_a_native_rack_is_no_strangers() -> None:
    async def rack(bus: CanBus) -> None:
        rig = find_rig("contactor-block")
        await steps(RackNode(Bench(rig, 5).plant.racks[0], bus, 1, 16, np.random.default_rng(1)).step)

    (answer,) = probed(rack, gateway)
    assert answer.says[0] == "native rack monitor: 1 modules of 16 cells"


async def noise(bus: CanBus) -> None:
    """Frames with ids of the native monitor, whose checksums are right once in 256 by chance."""
    port, rng = bus.attach(lambda batch: None), np.random.default_rng(1)
    while True:
        can_id = 0x200 + int(rng.integers(0x20))
        port.send(struct.pack("<IB3x8s", can_id, 8, rng.bytes(8)))
        await asyncio.sleep(0.005)


def test_checksums_that_are_right_by_chance_make_no_native_rack() -> None:
    (answer,) = probed(noise)
    assert answer.details["protocol"] is None


def test_it_sends_nothing() -> None:
    sent: list[bytes] = []

    async def listener(bus: CanBus) -> None:
        bus.attach(lambda batch: sent.append(batch.data))
        await asyncio.sleep(60.0)

    with pytest.raises(NothingAnswers, match=r"socketcand/can0: no frame within 6 s; check bit rate"):
        probed(listener)
    assert sent == []


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("can0", "not a place"),
        ("socketcan/", "not a place"),
        ("socketcam/can0", "python-can has no interface 'socketcam'"),
        ("socketcan/can0?speed=1", "unknown option 'speed'"),
        ("socketcand/can0?port=99999", "port '99999', expected a whole number from 1 to 65535"),
        ("socketcan/can0?bitrate=x", "bitrate 'x', expected"),
        ("socketcan/can0?seconds=0", "seconds '0', expected a number above 0"),
        ("socketcan/can0?seconds=nan", "seconds 'nan'"),
    ],
)
def test_what_is_no_place_is_refused(place: str, wrong: str) -> None:
    with pytest.raises(UrlError, match=wrong):
        parse_place(place)


def test_a_bus_that_cannot_be_opened_is_said_in_one_line() -> None:
    async def refused(config: CanConfig, on_batch: OnBatch) -> CanPort:
        raise ConnectionError("nobody there")

    with pytest.raises(NothingAnswers, match="socketcand/can0: cannot be opened: nobody there"):
        run_virtual(probe_can(PLACE, refused))
