"""The older SunSpec models on the wire: what a converter of theirs says, and how a window becomes a set-point."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterRating, InverterReading, InverterState
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.4", 502

# Offsets typed from the SunSpec definitions of the models. W = 1234 x 10^2, 59.98 Hz, 92.7 A, 1331.2 V,
# DCW = 1260 x 10^2, MPPT, over-temperature.
DISCHARGING = {
    14: [1234, 2],
    16: [5998, 0xFFFE],
    27: [927, 0xFFFF],
    29: [13312, 0xFFFF],
    31: [1260, 2],
    38: [4],
    40: [0, 0x80],
}
CHARGING = DISCHARGING | {14: [0xFB2E, 2], 31: [0xFB50, 2]}
# 600 kW in general, 500 kW in both directions: 5000 x 10^2.
NAMEPLATE = {3: [6000, 2], 23: [5000, 2], 25: [5000, 2]}
STATUS = {2: [0], 3: [7], 4: [1]}
# WChaMax 400 kW = 4000 x 10^2; rates in 0.01 %.
STORAGE = {2: [4000], 5: [0], 12: [0, 0], 14: [0, 0, 0], 17: [0], 18: [2], 25: [0xFFFE]}

# Addresses that follow from the lengths: 40002 + 68, + 52, + 28, + 46, + 26.
CONN_AT = 40196 + 4
STORAGE_AT = 40222


def converter(inverter: dict[int, list[int]] = DISCHARGING, storage: dict[int, list[int]] = STORAGE) -> raw.RawDevice:
    models = [
        raw.COMMON,
        raw.model(103, 50, inverter),
        raw.model(120, 26, NAMEPLATE),
        raw.model(122, 44, STATUS),
        raw.model(123, 24, {4: [0]}),
        raw.model(124, 24, storage),
    ]
    return raw.RawDevice([0x5375, 0x6E53, *(word for model in models for word in model), 0xFFFF, 0])


class Bench:
    def __init__(self, device: raw.RawDevice) -> None:
        self.readings: list[InverterReading] = []
        self.device, self.server = device, ModbusServer(device)
        self.driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), self.readings.append)

    def command(self, power_w: float, run: bool = True) -> None:
        self.driver.command(InverterCommand(power_w, run, now_ns() + 60_000_000_000))


def on(device: Callable[[], raw.RawDevice]) -> Callable[..., Callable[[], None]]:
    """Runs an async test on a virtual loop, against a device that was read for half a second."""

    def decorate(test: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            it = Bench(device())
            await it.server.start(HOST, PORT)
            running = asyncio.create_task(it.driver.run())
            await asyncio.sleep(0.5)
            try:
                await test(it)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                it.server.close()

        def run() -> None:
            run_virtual(main())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


@on(converter)
async def test_discharging_converter_reads_positive_in_every_value(it: Bench) -> None:
    reading = it.readings[-1]
    assert reading == InverterReading(
        at_ns=reading.at_ns,
        state=InverterState.RUNNING,
        ac_power_w=123_400.0,
        dc_power_w=126_000.0,
        dc_voltage_v=1331.2,
        dc_current_a=92.7,
        frequency_hz=59.98,
        grid_connected=True,
        remote_control=True,
        alarm_bits=1 << 7,
    )
    assert it.driver.rating == InverterRating(charge_power_w_max=500e3, discharge_power_w_max=500e3)
    assert it.driver.silence == "its timer leads back to its own behaviour, not to 0 W (SunSpec model 124)"


@on(lambda: converter(CHARGING))
async def test_charging_converter_reads_negative_also_where_the_register_has_no_sign(it: Bench) -> None:
    reading = it.readings[-1]
    assert (reading.ac_power_w, reading.dc_power_w, reading.dc_current_a) == (-123_400.0, -120_000.0, -92.7)


@on(converter)
async def test_discharge_is_a_window_of_one_power_with_its_reversion_and_then_the_mode(it: Bench) -> None:
    """100 kW: 20 % of 500 kW out, and minus 25 % of WChaMax in."""
    it.command(100_000.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [
        (STORAGE_AT + 17, [1]),
        (STORAGE_AT + 12, [2000, 0xF63C, 0, 1, 0]),
        (STORAGE_AT + 5, [3]),
        (CONN_AT, [1]),
    ]
    assert it.driver.applied_power_w == 100_000.0


@on(converter)
async def test_charge_is_the_window_on_the_other_side(it: Bench) -> None:
    """-100 kW: 25 % of WChaMax in, and minus 20 % out."""
    it.command(-100_000.0)
    await asyncio.sleep(0.05)
    assert it.device.writes[1] == (STORAGE_AT + 12, [0xF830, 2500, 0, 1, 0])
    await asyncio.sleep(1.0)
    assert it.driver.applied_power_w == -100_000.0


@on(converter)
async def test_stop_is_0_w_first_and_then_disconnect(it: Bench) -> None:
    it.command(100_000.0)
    await asyncio.sleep(0.1)
    it.device.writes.clear()
    it.command(0.0, run=False)
    await asyncio.sleep(0.05)
    assert it.device.writes[:3] == [(STORAGE_AT + 12, [0, 0, 0, 1, 0]), (STORAGE_AT + 5, [3]), (CONN_AT, [0])]


@on(converter)
async def test_rates_that_are_out_of_force_are_no_set_point(it: Bench) -> None:
    it.command(100_000.0)
    await asyncio.sleep(0.1)
    it.device.write = lambda address, values: None
    it.device.registers[STORAGE_AT + 5 - 40000] = 0
    await asyncio.sleep(1.0)
    assert it.driver.applied_power_w != it.driver.applied_power_w


@on(lambda: converter(storage=STORAGE | {25: [0x8000]}))
async def test_converter_without_rates_is_refused_with_the_reason(it: Bench) -> None:
    assert it.driver.fault == (
        "model 124 has no scale factor InOutWRte_SF: the converter takes no charge and discharge rates"
    )
