"""The SunSpec meter driver: sign, scale, tearing, silence."""

import asyncio
import math
from contextlib import suppress
from itertools import pairwise

import pytest

from drivers.clock import now_ns
from drivers.links.modbus import ModbusLink
from drivers.meters.sunspec import SunSpecMeter
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.9", 502

# 12 345 x 10^2 W, 5999 x 10^-2 Hz.
IMPORTING = {16: [0x176F], 17: [0xFFFE], 18: [0x3039], 22: [2]}
EXPORTING = IMPORTING | {18: [0xCFC7]}


async def read(device, during_s=1.0, **settings):
    """Readings of `during_s`, and the server that gave them."""
    readings = []
    server = ModbusServer(device)
    await server.start(HOST, PORT)
    meter = SunSpecMeter(ModbusLink(HOST, PORT, 1), readings.append, **settings)
    running = asyncio.create_task(meter.run())
    await asyncio.sleep(during_s)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    server.close()
    return readings, server, meter.fault


@pytest.mark.parametrize("model_id", [201, 202, 203, 204])
def test_import_is_positive(model_id):
    readings, _, _ = run_virtual(read(raw.meter(IMPORTING, model_id)))
    assert (readings[-1].power_w, readings[-1].frequency_hz) == (1234500.0, 59.99)


def test_export_is_negative():
    readings, _, _ = run_virtual(read(raw.meter(EXPORTING)))
    assert readings[-1].power_w == -1234500.0


def test_meter_that_counts_export_as_positive_is_turned_round():
    readings, _, _ = run_virtual(read(raw.meter(IMPORTING), export_positive=True))
    assert readings[-1].power_w == -1234500.0


def test_float_model_needs_no_scale_factors():
    """Model 213: 59.98 Hz at offset 26, -1 234 500 W at 28."""
    device = raw.meter({26: [0x426F, 0xEB85], 28: [0xC996, 0xB220]}, 213, 124)
    readings, _, _ = run_virtual(read(device))
    assert readings[-1].power_w == -1234500.0
    assert readings[-1].frequency_hz == pytest.approx(59.98, abs=1e-5)


def test_power_that_is_not_implemented_is_nan():
    readings, _, _ = run_virtual(read(raw.meter(IMPORTING | {18: [0x8000]})))
    assert math.isnan(readings[-1].power_w)


def test_poll_is_one_read_each_50_ms_with_the_time_before_it():
    async def main():
        readings, server, fault = await read(raw.meter(IMPORTING), during_s=10.0)
        return readings, server.transactions.answered, fault, now_ns()

    readings, answered, fault, end_ns = run_virtual(main())
    assert len(readings) in (199, 200)
    assert answered - len(readings) == 4  # marker, two models, end
    assert {b.at_ns - a.at_ns for a, b in pairwise(readings)} == {50_000_000}
    assert 0 < end_ns - readings[-1].at_ns <= 50_000_000
    assert fault is None


def test_device_without_a_meter_is_named_as_the_fault():
    readings, _, fault = run_virtual(read(raw.converter(), during_s=5.0))
    assert readings == []
    assert "no model 201 or 202" in fault
