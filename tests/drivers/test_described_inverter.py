"""The driver of described converters on the wire: which registers it writes, in which order, and what it reads."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.described import DescribedInverter
from drivers.links.modbus import ModbusLink
from drivers.meters.described import DescribedMeter
from drivers.profiles import find_profile
from drivers.readings import InverterRating, InverterReading, InverterState, MeterReading
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual

HOST, PORT = "10.0.0.9", 502


class RawTables:
    """Holding and input registers by address, typed by hand; `writes` keeps what was written where."""

    def __init__(self, holding: dict[int, list[int]], inputs: dict[int, list[int]]) -> None:
        self.holding, self.inputs = _spread(holding), _spread(inputs)
        self.writes: list[tuple[int, list[int]]] = []

    def read(self, address: int, count: int) -> list[int]:
        return _take(self.holding, address, count)

    def read_input(self, address: int, count: int) -> list[int]:
        return _take(self.inputs, address, count)

    def write(self, address: int, values: list[int]) -> None:
        self.holding |= _spread({address: values})
        self.writes.append((address, values))


def _spread(blocks: dict[int, list[int]]) -> dict[int, int]:
    return {address + k: value for address, values in blocks.items() for k, value in enumerate(values)}


def _take(table: dict[int, int], address: int, count: int) -> list[int]:
    if any(place not in table for place in range(address, address + count)):
        raise ModbusFault(2)
    return [table[place] for place in range(address, address + count)]


def holding_s32() -> RawTables:
    """pcs-holding-s32, running (flags in the state's high byte), alarm bit 1, charging 123.4 kW: +12340 x 10 W; 1331.2
    V, 92.7 A into the battery, 59.98 Hz, absorbing 50.6 kvar: +5060 x 10 var; 401.3 V; rated 5000 and 6000 x 100 W,
    5600 x 100 VA, 2500 and 2400 x 100 var."""
    measured = [0, 12340, 0, 12155, 0, 13312, 0, 927, 5998, 0, 5060, 4013]
    return RawTables(
        {
            1000: [0x5503, 1, 1, 0, 2],
            1010: measured,
            1100: [0, 5000, 0, 6000, 0, 5600, 0, 2500, 0, 2400],
            2000: [0, 0, 0],
            2004: [0, 0],
            2010: [0],
        },
        {},
    )


def input_f32(state: int = 4) -> RawTables:
    """pcs-input-f32, low word first, discharging 123.5 kW: 0x42F70000; 60 Hz 0x42700000; 1331.25 V 0x44A66800;
    92.75 A 0x42B98000; 125 kW 0x42FA0000; rated 500 kW 0x43FA0000."""
    inputs = [state, 2, 0, 0, 0x0000, 0x42F7, 0x0000, 0x4270, 0x6800, 0x44A6, 0x8000, 0x42B9, 0x0000, 0x42FA]
    return RawTables({100: [0, 0, 0, 0]}, {0: inputs, 40: [0x0000, 0x43FA, 0x0000, 0x43FA]})


class Bench:
    def __init__(self, device: RawTables, profile: str, reversion_s: float) -> None:
        self.readings: list[InverterReading] = []
        self.device, self.server = device, ModbusServer(device)
        link = ModbusLink(HOST, PORT, 1)
        self.driver = DescribedInverter(link, find_profile(profile), self.readings.append, reversion_s=reversion_s)

    def command(self, power_w: float, run: bool = True, lasts_s: float = 60.0, var: float | None = None) -> None:
        self.driver.command(InverterCommand(power_w, run, now_ns() + round(lasts_s * 1e9), var))

    def written(self, address: int) -> list[list[int]]:
        return [values for at, values in self.device.writes if at == address]


def on(device: Callable[[], RawTables], profile: str, reversion_s: float) -> Callable[..., Callable[[], None]]:
    """Runs an async test on a virtual loop, against a device that was read for half a second."""

    def decorate(test: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            it = Bench(device(), profile, reversion_s)
            await it.server.start(HOST, PORT)
            running = asyncio.create_task(it.driver.run())
            try:
                await asyncio.sleep(0.5)
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


on_s32 = on(holding_s32, "pcs-holding-s32", 1.0)
on_f32 = on(input_f32, "pcs-input-f32", 2.0)


@on_s32
async def test_charging_device_that_counts_charging_positive_reads_negative(it: Bench) -> None:
    reading = it.readings[-1]
    assert reading == InverterReading(
        at_ns=reading.at_ns,
        state=InverterState.RUNNING,
        ac_power_w=-123_400.0,
        dc_power_w=-121_550.0,
        dc_voltage_v=1331.2,
        dc_current_a=-92.7,
        frequency_hz=59.98,
        grid_connected=True,
        remote_control=True,
        alarm_bits=2,
        ac_reactive_var=-50_600.0,
        ac_voltage_v=401.3,
    )
    assert it.driver.rating == InverterRating(
        charge_power_w_max=500e3,
        discharge_power_w_max=600e3,
        apparent_power_va_max=560e3,
        reactive_injected_var_max=250e3,
        reactive_absorbed_var_max=240e3,
    )


@on_f32
async def test_discharging_device_that_counts_discharging_positive_reads_positive(it: Bench) -> None:
    reading = it.readings[-1]
    said = (reading.ac_power_w, reading.dc_power_w, reading.dc_voltage_v, reading.dc_current_a, reading.frequency_hz)
    assert said == (123_500.0, 125_000.0, 1331.25, 92.75, 60.0)
    assert (reading.state, reading.remote_control, reading.grid_connected) == (InverterState.RUNNING, True, True)


@on_s32
async def test_timer_is_written_once_and_before_the_first_set_point(it: Bench) -> None:
    it.command(123_456.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [(2002, [1000]), (2000, [0xFFFE, 0x1DC0]), (2010, [1])]
    it.command(-123_456.0)
    await asyncio.sleep(0.05)
    assert it.device.writes[3:] == [(2000, [0x0001, 0xE240])]
    assert it.driver.sent is not None
    assert it.driver.sent.power_w == -123_456.0


@on_s32
async def test_reactive_power_goes_out_in_the_devices_direction_and_is_0_var_when_nobody_wants_it(it: Bench) -> None:
    it.command(1000.0, var=-1234.5)
    await asyncio.sleep(0.1)
    it.command(1000.0, var=1e9)
    await asyncio.sleep(1.0)
    assert it.driver.applied_reactive_var == 250e3
    it.command(1000.0)
    await asyncio.sleep(1.0)
    written = it.written(2004)
    assert (written[0], written[1], written[-1]) == ([0, 1234], [0xFFFC, 0x2F70], [0, 0])
    assert written.count([0, 0]) == 1


@on_s32
async def test_no_power_is_asked_for_while_the_device_refuses_its_timer(it: Bench) -> None:
    taken = it.device.write

    def refuse(address: int, values: list[int]) -> None:
        if address == 2002:
            raise ModbusFault(4)
        taken(address, values)

    it.device.write = refuse
    it.command(123_456.0)
    await asyncio.sleep(1.0)
    assert it.written(2000) == [[0, 0]] * 3
    it.device.write = taken
    await asyncio.sleep(0.5)
    assert it.device.writes[-2:] == [(2002, [1000]), (2000, [0xFFFE, 0x1DC0])]


@on_s32
async def test_standing_set_point_is_refreshed_every_400_ms_until_it_expires(it: Bench) -> None:
    it.command(1000.0, lasts_s=2.1)
    await asyncio.sleep(3.0)
    assert len(it.written(2000)) == 6
    it.device.writes.clear()
    await asyncio.sleep(3.0)
    assert it.device.writes == []


@on_s32
async def test_set_point_stays_within_the_nameplate_in_each_direction(it: Bench) -> None:
    it.command(1e9)
    await asyncio.sleep(0.02)
    it.command(-1e9)
    await asyncio.sleep(0.02)
    assert it.written(2000) == [[0xFFF6, 0xD840], [0x0007, 0xA120]]


@on_s32
async def test_set_point_is_read_back_and_another_one_is_noticed(it: Bench) -> None:
    it.command(5000.0)
    await asyncio.sleep(0.1)
    assert it.driver.applied_power_w == 5000.0
    it.device.write = lambda address, values: None  # it takes writes and does not keep them
    it.device.holding |= {2000: 0, 2001: 7}
    await asyncio.sleep(1.0)
    assert it.driver.applied_power_w == -7.0


@on(lambda: input_f32(state=0), "pcs-input-f32", 2.0)
async def test_start_sequence_and_heartbeat_come_in_order_and_power_waits_until_it_runs(it: Bench) -> None:
    it.command(50_000.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [(102, [0]), (100, [1]), (101, [1]), (103, [1])]
    it.device.inputs[0] = 4
    await asyncio.sleep(0.5)
    assert it.written(102)[-1] == [500]
    assert it.written(103) == [[1], [2]]


@on_f32
async def test_heartbeat_counts_and_starts_again_after_its_last_number(it: Bench) -> None:
    it.command(0.0, lasts_s=200.0)
    await asyncio.sleep(129.0)
    beats = [values[0] for values in it.written(103)]
    assert beats[:3] == [1, 2, 3]
    assert beats[253:258] == [254, 255, 0, 1, 2]


@on_f32
async def test_stop_is_0_w_first_and_then_the_stop_sequence(it: Bench) -> None:
    it.command(50_000.0)
    await asyncio.sleep(0.3)
    it.device.writes.clear()
    it.command(50_000.0, run=False)
    await asyncio.sleep(0.02)
    assert it.device.writes[:2] == [(102, [0]), (101, [0])]


@on_f32
async def test_reset_of_alarms_is_the_profiles_reset_sequence_once(it: Bench) -> None:
    it.command(0.0, run=False)
    it.driver.reset_alarms(now_ns() + 1_000_000_000)
    await asyncio.sleep(3.0)
    assert it.written(104) == [[1]]


@on_f32
async def test_refused_step_of_a_sequence_is_tried_again_from_the_first(it: Bench) -> None:
    taken = it.device.write

    def refuse(address: int, values: list[int]) -> None:
        if address == 101 and not it.written(200):
            it.device.writes.append((200, values))
            raise ModbusFault(4)
        taken(address, values)

    it.device.write = refuse
    it.device.inputs[0] = 0
    it.command(0.0)
    await asyncio.sleep(1.5)
    steps = [write for write in it.device.writes if write[0] in (100, 101, 200)]
    assert steps[:4] == [(100, [1]), (200, [1]), (100, [1]), (101, [1])]


@on_s32
async def test_reading_beyond_a_bound_of_the_profile_is_none(it: Bench) -> None:
    it.device.holding[1014] = 0xFFFF  # 429 million volts
    polls = len(it.readings)
    await asyncio.sleep(1.0)
    assert len(it.readings) <= polls + 1
    assert it.driver.health.errors >= 9
    assert it.driver.fault is None


@on_s32
async def test_absent_power_is_nan(it: Bench) -> None:
    it.device.holding |= {1010: 0x8000, 1011: 0}
    await asyncio.sleep(0.2)
    assert math.isnan(it.readings[-1].ac_power_w)


def test_rating_that_the_device_does_not_say_is_said(caplog: pytest.LogCaptureFixture) -> None:
    device = input_f32()
    device.inputs |= {40: 0, 41: 0x7FC0}

    async def main() -> None:
        it = Bench(device, "pcs-input-f32", 2.0)
        await it.server.start(HOST, PORT)
        running = asyncio.create_task(it.driver.run())
        await asyncio.sleep(0.5)
        assert it.driver.fault == "the device does not say its rating, which profile pcs-input-f32 reads from it"
        assert it.readings == []
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        it.server.close()

    run_virtual(main())


@pytest.mark.parametrize(
    ("profile", "reversion_s", "wrong"),
    [
        ("pcs-input-f32", 1.0, "it goes to 0 W after 2 s, not earlier, expected at least 2"),
        ("pcs-holding-s32", 0.2, r"not among the times that its timer takes, expected 0\.5 to 60"),
        ("meter-input-f32", 1.0, "describes a meter, expected an inverter"),
    ],
)
def test_wrong_profile_or_time_is_refused(profile: str, reversion_s: float, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        DescribedInverter(ModbusLink(HOST, PORT, 1), find_profile(profile), [].append, reversion_s=reversion_s)


def test_meter_reads_import_positive_with_one_request_a_poll() -> None:
    """-43.25 kW: 0xC728F200; 230.5 V: 0x43668000; 59.96875 Hz: 0x426FE000."""
    blank = [0] * 30
    blank[0:2], blank[10:12], blank[28:30] = [0x4366, 0x8000], [0xC728, 0xF200], [0x426F, 0xE000]
    readings: list[MeterReading] = []

    async def main() -> None:
        server = ModbusServer(RawTables({}, {42: blank}))
        await server.start(HOST, PORT)
        meter = DescribedMeter(ModbusLink(HOST, PORT, 1), find_profile("meter-input-f32"), readings.append)
        running = asyncio.create_task(meter.run())
        await asyncio.sleep(1.0)
        assert (readings[-1].power_w, readings[-1].voltage_v, readings[-1].frequency_hz) == (-43_250.0, 230.5, 59.96875)
        assert server.transactions.answered == len(readings)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()

    run_virtual(main())
