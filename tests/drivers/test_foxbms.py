"""foxBMS 2 frames: golden ones typed by hand and checked once with cantools and foxBMS 2's own DBC (v1.11.0,
tools/dbc/foxbms.dbc), the driver over a simulated bus, and its ages, which say how slow it is."""

import asyncio
import math
import struct

import numpy as np
import pytest

from drivers.cell_monitors.foxbms import FoxBmsMonitor
from drivers.cell_monitors.foxbms.layout import foxbms_layout
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.readings import NEVER_NS, RackReading
from drivers.safety import NOT_HEARD, CoolingRequest, InsulationState, MonitorAlarm
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus


def wire(can_id: int, payload_hex: str) -> bytes:
    return struct.pack("<IB3x8s", can_id, 8, bytes.fromhex(payload_hex))


CELLS_4_TO_7 = "01 B6 72 33 97 FF E9 C4"  # flags 1011: cell 6 is not valid; 3300, 3301, 8191, 2500 mV
SENSORS_0_TO_5 = "00 3B 19 F6 00 64 7F 80"  # flags 111011: sensor 2 is not valid; 25, -10, 0, 100, 127, -128 degC
PACK_CHARGING = "3E 70 7C C4 00 01 F5 74"  # 799.2 V, 798.5 V, -27.00 A
PACK_DISCHARGING = "3E 70 7C C4 00 00 30 39"  # +123.45 A
LIMITS = "1E 01 90 00 00 00 DE 96"  # discharge 120 A, charge 100 A, 888 V, 600 V
CHARGE = "7E 60 00 00 00 BE 00 00"  # 50.5 % the emptiest cell, SoH 95 %
STATE_NORMAL = "17 20 00 00 00 00 00 19"  # one string connected, normal; insulation 5000 kOhm, monitored


def monitor(source: str = "front-end", modules: int = 1, cells: int = 8, sensors: int = 6) -> FoxBmsMonitor:
    return FoxBmsMonitor(
        modules, cells, CanConfig("virtual", "can0"), sensors_per_module=sensors, source=source,  # type: ignore[arg-type]
    )  # fmt: skip


def heard(*frames: bytes, source: str = "front-end", at_ns: int = 7) -> RackReading:
    made = monitor(source)
    made.on_batch(FrameBatch(b"".join(frames), at_ns))
    return made.reading()


@pytest.mark.parametrize(("source", "can_id"), [("front-end", 0x270), ("master", 0x250)])
def test_golden_cell_voltages_of_one_page_with_one_that_is_not_valid(source: str, can_id: int) -> None:
    reading = heard(wire(can_id, CELLS_4_TO_7), source=source)
    expected_v = [math.nan] * 4 + [3.300, 3.301, math.nan, 2.500]
    assert reading.voltage_v == pytest.approx(expected_v, abs=1e-9, nan_ok=True)
    assert reading.voltage_at_ns.tolist() == [NEVER_NS] * 4 + [7, 7, NEVER_NS, 7]
    assert heard(wire(0x270 + 0x250 - can_id, CELLS_4_TO_7), source=source).health.unknown == 1


@pytest.mark.parametrize(("source", "can_id"), [("front-end", 0x280), ("master", 0x260)])
def test_golden_temperatures_go_to_the_cells_beside_each_sensor(source: str, can_id: int) -> None:
    reading = heard(wire(can_id, SENSORS_0_TO_5), source=source)
    expected_degc = [25.0, 25.0, -10.0, math.nan, 100.0, 100.0, 127.0, -128.0]  # 6 sensors of 8 cells
    assert reading.temperature_degc == pytest.approx(expected_degc, nan_ok=True)
    assert reading.temperature_at_ns[3] == NEVER_NS
    assert reading.temperature_at_ns[0] == 7


@pytest.mark.parametrize(("payload", "current_a"), [(PACK_CHARGING, -27.0), (PACK_DISCHARGING, 123.45)])
def test_golden_pack_values_are_positive_in_discharge(payload: str, current_a: float) -> None:
    reading = heard(wire(0x233, payload))
    got = reading.current_a, reading.rack_voltage_v, reading.link_voltage_v
    assert got == pytest.approx((current_a, 799.2, 798.5), abs=1e-9)
    assert reading.current_at_ns == 7


@pytest.mark.parametrize(
    ("payload", "main", "precharge", "alarms"),
    [
        (STATE_NORMAL, True, False, MonitorAlarm(0)),
        ("05 20 00 00 00 00 00 19", False, False, MonitorAlarm(0)),  # standby
        ("06 20 00 00 00 00 00 19", False, True, MonitorAlarm(0)),  # precharge
        ("0A 20 00 00 00 00 00 19", False, False, MonitorAlarm.INTERNAL_FAULT),  # error
    ],
)
def test_golden_state(payload: str, main: bool, precharge: bool, alarms: MonitorAlarm) -> None:
    reading = heard(wire(0x220, payload), wire(0x233, PACK_CHARGING))
    assert (reading.main_closed, reading.precharge_closed, reading.safety.alarms) == (main, precharge, alarms)
    assert reading.io_at_ns == 7


def test_golden_insulation_interlock_and_fuse() -> None:
    safety = heard(wire(0x220, STATE_NORMAL)).safety
    assert (safety.insulation_kohm, safety.insulation_state) == (5000.0, InsulationState.ACTIVE)
    assert (safety.interlock_closed, safety.fuse_intact) == (True, True)
    broken = heard(wire(0x220, "17 00 60 00 00 00 00 19")).safety
    assert (broken.interlock_closed, broken.fuse_intact) == (False, False)
    assert broken.insulation_state is InsulationState.OFF


def test_golden_limits_and_charge() -> None:
    says = heard(wire(0x232, LIMITS), wire(0x235, CHARGE)).beside_cells
    assert says is not None
    assert (says.discharge_current_a_max, says.charge_current_a_max) == (120.0, 100.0)
    assert (says.charge_voltage_v_max, says.discharge_voltage_v_min) == (888.0, 600.0)
    assert (says.soc_frac, says.soh_frac) == pytest.approx((0.505, 0.95))


def test_nothing_heard_is_absent_not_plausible() -> None:
    reading = heard()
    assert np.isnan(reading.voltage_v).all()
    assert np.isnan(reading.temperature_degc).all()
    assert np.isnan([reading.current_a, reading.rack_voltage_v, reading.link_voltage_v]).all()
    assert (reading.main_closed, reading.precharge_closed, reading.safety) == (None, None, NOT_HEARD)
    assert {*reading.voltage_at_ns.tolist(), reading.current_at_ns, reading.io_at_ns} == {NEVER_NS}


@pytest.mark.parametrize(
    ("cells", "sensors", "reason"),
    [(0, 1, "cells is 0"), (513, 1, "cells is 513"), (4, 0, "sensors are 0"), (4, 259, "sensors are 259")],
)
def test_impossible_rack_is_refused(cells: int, sensors: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        foxbms_layout(cells, sensors, "master")


def test_a_sweep_of_216_cells_takes_5_4_s_and_the_driver_says_so() -> None:
    assert monitor(modules=12, cells=18, sensors=8).sweep_s == pytest.approx(5.4)


class Rig:
    """The driver on a bus, and what it sends: (ms since start, id, payload)."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.node = self.bus.attach(self._note)
        self.sent: list[tuple[int, int, str]] = []
        self.monitor = FoxBmsMonitor(
            1, 8, CanConfig("virtual", "can0"), self._open, sensors_per_module=6, source="front-end"
        )
        self.start_ns = now_ns()

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        return self.bus.attach(on_batch)

    def _note(self, batch: FrameBatch) -> None:
        at_ms = (batch.at_ns - self.start_ns) // 1_000_000
        self.sent += [(at_ms, can_id, data.hex(" ")) for can_id, _, data in struct.iter_unpack("<IB3x8s", batch.data)]


def test_the_request_is_repeated_until_it_expires_and_a_change_goes_out_at_once() -> None:
    async def main() -> None:
        rig = Rig()
        running = asyncio.create_task(rig.monitor.run())
        await asyncio.sleep(0.55)
        assert rig.sent == []
        rig.monitor.command(RackCommand(False, True, now_ns() + 10**9))
        rig.monitor.outputs(OutputsCommand(True, CoolingRequest.ON, True, now_ns() + 10**9))
        await asyncio.sleep(0.3)
        assert [(at_ms, can_id) for at_ms, can_id, _ in rig.sent] == [
            (550, 0x210),
            (600, 0x210),
            (700, 0x210),
            (800, 0x210),
        ]
        assert {data for _, _, data in rig.sent} == {"01 00 0a 00 00 00 00 00"}
        rig.monitor.bleed(BleedCommand(np.ones(8, np.uint8), now_ns() + 10**9))
        rig.monitor.command(RackCommand(False, False, now_ns() + 150_000_000))
        await asyncio.sleep(1.0)
        last = [(at_ms, data) for at_ms, _, data in rig.sent[4:]]
        assert last == [(850, "00 01 0a 00 00 00 00 00"), (900, "00 01 0a 00 00 00 00 00")]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main())
