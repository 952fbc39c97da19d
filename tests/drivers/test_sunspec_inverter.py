"""The SunSpec inverter driver on the wire: what it says, what it writes and when, and what a lost device does to it."""

import asyncio
import math
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterRating, InverterReading, InverterState
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import current_network, run_virtual
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.8", 502
SET_POINT_AT = raw.CONTROLS_AT + 22
HEARTBEAT_AT = raw.CONTROL_AT + 5
ALARM_RESET_AT = raw.CONTROL_AT + 7
OPERATE_AT = raw.CONTROL_AT + 8
START, STOP = (OPERATE_AT, [1]), (OPERATE_AT, [0])


def set_point(high: int, low: int, reversion_s: int = 1) -> tuple[int, list[int]]:
    """Block WSetEna..WSetRvrtTms as written: enabled, watts, WSet, reversion to 0 W that stays enabled; percent points
    stay absent."""
    return SET_POINT_AT, [1, 1, high, low, 0, 0, 0x8000, 0x8000, 1, 0, reversion_s]


ZERO_W = set_point(0, 0)


class Bench:
    """A device, its server and the driver that talks to it."""

    def __init__(self, device: raw.RawDevice, **settings) -> None:
        self.readings: list[InverterReading] = []
        self.device, self.server = device, ModbusServer(device)
        self.driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), self.readings.append, **settings)

    def command(self, power_w: float, run: bool = True, lasts_s: float = 60.0, var: float | None = None) -> None:
        self.driver.command(InverterCommand(power_w, run, now_ns() + round(lasts_s * 1e9), var))

    def written(self, address: int) -> list[list[int]]:
        return [values for at, values in self.device.writes if at == address]


def on_bench(device=raw.converter, **settings):
    """Runs an async test on a virtual loop, against a device that was read for half a second."""

    def decorate(test):
        async def main():
            async with bench(device(), **settings) as it:
                await asyncio.sleep(0.5)
                await test(it)

        def run():
            run_virtual(main())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


@asynccontextmanager
async def bench(device, **settings):
    it = Bench(device, **settings)
    await it.server.start(HOST, PORT)
    running = asyncio.create_task(it.driver.run())
    try:
        yield it
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        it.server.close()


@on_bench()
async def test_discharging_converter_reads_positive_in_every_value(it):
    reading = it.readings[-1]
    assert reading == InverterReading(
        at_ns=reading.at_ns,
        state=InverterState.RUNNING,
        ac_power_w=123400.0,
        dc_power_w=123400.0,
        dc_voltage_v=1331.2,
        dc_current_a=92.7,
        frequency_hz=59.98,
        grid_connected=True,
        remote_control=True,
        alarm_bits=2,
        ac_reactive_var=-50_600.0,
        ac_voltage_v=401.3,
    )
    assert 0 <= now_ns() - reading.at_ns < 110_000_000
    assert it.driver.fault is None


@on_bench(lambda: raw.converter(raw.AC_CHARGING, raw.DC_CHARGING))
async def test_charging_converter_reads_negative_power_and_current(it):
    reading = it.readings[-1]
    assert (reading.ac_power_w, reading.dc_power_w, reading.dc_current_a) == (-123400.0, -123400.0, -92.7)


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {4: [0xFFFF], 5: [0xFFFF], 10: [0x8000]}, control={2: [0xFFFF]}))
async def test_what_the_device_does_not_say_is_nan_unknown_or_false(it):
    reading = it.readings[-1]
    assert math.isnan(reading.ac_power_w)
    assert (reading.state, reading.grid_connected, reading.remote_control) == (InverterState.UNKNOWN, False, False)


@on_bench()
async def test_poll_takes_two_reads_each_100_ms(it):
    answered, polls = it.server.transactions.answered, len(it.readings)
    await asyncio.sleep(10.0)
    assert len(it.readings) - polls == 100
    assert it.server.transactions.answered - answered == 2 * 100 + 20


@on_bench()
async def test_after_a_stop_polls_come_each_20_ms_until_the_converter_says_that_it_is_off(it):
    it.command(0.0, run=False)
    await asyncio.sleep(0.1)
    polls = len(it.readings)
    await asyncio.sleep(1.0)
    assert len(it.readings) - polls == 50
    it.device.registers[raw.AC_AT + 4 - it.device.base] = 0
    await asyncio.sleep(0.3)
    polls = len(it.readings)
    await asyncio.sleep(1.0)
    assert len(it.readings) - polls == 10


@on_bench()
async def test_a_converter_that_never_stops_is_polled_so_fast_for_3_s_only(it):
    it.command(0.0, run=False)
    await asyncio.sleep(3.1)
    polls = len(it.readings)
    await asyncio.sleep(10.0)
    assert len(it.readings) - polls == 100


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {4: [5]}))
async def test_a_converter_that_shuts_down_has_not_stopped_yet(it):
    it.command(0.0, run=False)
    await asyncio.sleep(0.5)
    polls = len(it.readings)
    await asyncio.sleep(1.0)
    assert len(it.readings) - polls == 50


@on_bench()
async def test_rating_tells_charge_from_discharge(it):
    assert it.driver.rating == InverterRating(
        charge_power_w_max=500e3,
        discharge_power_w_max=500e3,
        apparent_power_va_max=560e3,
        reactive_injected_var_max=250e3,
        reactive_absorbed_var_max=240e3,
        ac_voltage_v=400.0,
    )


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {2: [0]}))
async def test_voltage_of_a_single_phase_converter_is_that_against_neutral(it):
    assert it.readings[-1].ac_voltage_v == 231.7


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {4: [0]}))
async def test_discharge_command_is_one_block_with_its_reversion_then_start_then_heartbeat(it):
    it.command(123456.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [set_point(0x0001, 0xE240), START, (HEARTBEAT_AT, [0, 1])]
    assert it.driver.applied_power_w == 123456.0


@on_bench()
async def test_charge_command_is_negative_on_the_wire(it):
    it.command(-123456.0)
    await asyncio.sleep(0.05)
    assert it.device.writes[0] == set_point(0xFFFE, 0x1DC0)


RELEASED = (SET_POINT_AT, [0, 1, 0, 0, 0, 0, 0x8000, 0x8000, 0, 0, 0])
"""The same block without a set-point and without a reversion."""
FORMING = raw.AC_DISCHARGING | {8: [0, 2]}


@on_bench(lambda: raw.converter(FORMING))
async def test_grid_forming_converter_gets_no_set_point_and_no_reversion(it):
    assert it.readings[-1].grid_forming
    it.command(50e3)
    await asyncio.sleep(1.0)
    blocks = it.written(SET_POINT_AT)
    assert blocks == [RELEASED[1]] * 3
    assert it.device.writes[1] == START
    assert it.driver.sent is None
    assert math.isnan(it.driver.applied_power_w)


@on_bench(lambda: raw.converter(FORMING))
async def test_stop_of_a_grid_forming_converter_is_zero_power_first(it):
    it.command(0.0, run=False)
    await asyncio.sleep(0.1)
    assert it.device.writes[:2] == [ZERO_W, STOP]


@on_bench()
async def test_converter_that_begins_to_form_is_released_at_once_and_taken_back_at_once(it):
    it.command(50e3)
    await asyncio.sleep(0.45)
    assert not it.readings[-1].grid_forming
    for mode, block in ((2, RELEASED), (1, set_point(0, 50000))):
        it.device.writes.clear()
        it.device.write(raw.AC_AT + 8, [0, mode])
        await asyncio.sleep(0.11)
        assert it.device.writes[1] == block


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {8: [0xFFFF, 0xFFFF]}))
async def test_converter_that_does_not_say_its_mode_follows_the_grid(it):
    assert not it.readings[-1].grid_forming


@on_bench(reversion_s=2)
async def test_reversion_is_written_in_whole_seconds(it):
    it.command(0.0)
    await asyncio.sleep(0.05)
    assert it.device.writes[0] == set_point(0, 0, reversion_s=2)


REACTIVE_AT = raw.CONTROLS_AT + 35


def reactive(high: int, low: int, reversion_s: int = 1) -> tuple[int, list[int]]:
    """Block VarSetEna..VarSetRvrtTms as written: enabled, in vars, active power first, VarSet in 10 var, reversion to
    what the converter does of its own; percent points stay absent."""
    return REACTIVE_AT, [1, 4, 0, high, low, 0, 0, 0x8000, 0x8000, 0, 0, reversion_s]


NO_REACTIVE = (REACTIVE_AT, [0, 4, 0, 0, 0, 0, 0, 0x8000, 0x8000, 0, 0, 0])


@pytest.mark.parametrize(
    ("var", "registers", "applied_var"),
    [
        (123_456.0, [0x0000, 0x3039], 123_450.0),
        (-123_456.0, [0xFFFF, 0xCFC7], -123_450.0),
        (1e9, [0x0000, 0x61A8], 250e3),
        (-1e9, [0xFFFF, 0xA240], -240e3),
        (0.0, [0, 0], 0.0),
    ],
)
def test_reactive_power_is_injected_positive_within_its_rating_and_never_rounded_up(var, registers, applied_var):
    @on_bench()
    async def check(it):
        it.command(1000.0, var=var)
        await asyncio.sleep(0.05)
        assert it.written(REACTIVE_AT) == [reactive(*registers)[1]]
        await asyncio.sleep(1.0)  # read back twice
        assert it.driver.applied_reactive_var == applied_var

    check()


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {4: [0]}), reversion_s=2)
async def test_reactive_power_follows_power_and_start_with_the_same_reversion(it):
    it.command(1000.0, var=-500.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [set_point(0, 1000, 2), START, reactive(0xFFFF, 0xFFCE, 2), (HEARTBEAT_AT, [0, 1])]


@on_bench()
async def test_reactive_power_is_not_written_unless_asked_for_and_taken_back_once(it):
    it.command(1000.0)
    await asyncio.sleep(1.0)
    assert it.written(REACTIVE_AT) == []
    it.command(1000.0, var=500.0)
    await asyncio.sleep(0.9)
    assert it.written(REACTIVE_AT) == [reactive(0, 50)[1]] * 3
    it.device.writes.clear()
    it.command(1000.0)
    await asyncio.sleep(2.0)
    assert it.written(REACTIVE_AT) == [NO_REACTIVE[1]]
    assert math.isnan(it.driver.applied_reactive_var)


@on_bench()
async def test_refused_reactive_power_is_tried_again_and_never_counts_as_applied(it):
    write = it.device.write

    def refuse(address, values):
        if address == REACTIVE_AT:
            raise ModbusFault(4)
        write(address, values)

    it.device.write = refuse
    it.command(1000.0, var=500.0)
    await asyncio.sleep(1.0)
    assert math.isnan(it.driver.applied_reactive_var)
    assert it.driver.applied_power_w == 1000.0
    it.device.write = write
    await asyncio.sleep(0.5)
    assert it.driver.applied_reactive_var == 500.0


@on_bench()
async def test_applied_reactive_power_is_what_the_device_says_when_it_disagrees(it):
    it.command(1000.0, var=500.0)
    await asyncio.sleep(0.1)
    it.device.write = lambda address, values: None  # acknowledges and does nothing
    it.device.registers[REACTIVE_AT + 4 - 40000] = 7
    await asyncio.sleep(1.0)
    assert it.driver.applied_reactive_var == 70.0


@on_bench()
async def test_stop_takes_reactive_power_back_after_power_and_stop(it):
    it.command(1000.0, var=500.0)
    await asyncio.sleep(0.1)
    it.device.writes.clear()
    it.command(1000.0, run=False, var=500.0)
    await asyncio.sleep(0.05)
    assert it.device.writes == [ZERO_W, STOP, NO_REACTIVE]


@on_bench()
async def test_converter_that_begins_to_form_is_told_no_reactive_power(it):
    it.command(1000.0, var=500.0)
    await asyncio.sleep(0.1)
    it.device.write(raw.AC_AT + 8, [0, 2])
    it.device.writes.clear()
    await asyncio.sleep(1.0)
    assert it.written(REACTIVE_AT) == [NO_REACTIVE[1]]


@on_bench(lambda: raw.converter(controls=raw.CONTROLS | {57: [0x8000]}))
async def test_converter_without_a_reactive_set_point_is_told_none_and_says_so(it):
    it.command(1000.0, var=500.0)
    await asyncio.sleep(1.0)
    assert it.written(REACTIVE_AT) == []
    assert it.driver.takes_reactive is False
    assert math.isnan(it.driver.applied_reactive_var)
    assert it.driver.applied_power_w == 1000.0


@on_bench()
async def test_reactive_power_that_is_not_finite_is_refused_at_the_call(it):
    with pytest.raises(ValueError, match="finite"):
        it.command(0.0, var=math.inf)


@on_bench()
async def test_stop_writes_zero_watts_first_whatever_power_it_names(it):
    it.command(100e3)
    await asyncio.sleep(0.05)
    it.device.writes.clear()
    it.command(100e3, run=False)
    await asyncio.sleep(0.01)
    assert it.device.writes == [ZERO_W, STOP]


@on_bench()
async def test_stop_gets_through_when_commands_come_faster_than_the_device_answers(it):
    it.server.faults.delay_s = 0.15
    for _ in range(10):
        it.command(0.0, run=False, lasts_s=0.5)
        await asyncio.sleep(0.1)
    assert STOP in it.device.writes


@on_bench()
async def test_stop_that_comes_during_a_start_is_not_followed_by_the_start(it):
    it.server.faults.delay_s = 0.1
    it.command(50e3)
    await asyncio.sleep(0.05)
    it.command(0.0, run=False)
    await asyncio.sleep(0.6)
    assert [write for write in it.device.writes if write[0] != HEARTBEAT_AT][:3] == [set_point(0, 50000), ZERO_W, STOP]


@on_bench()
async def test_command_is_written_within_milliseconds(it):
    it.command(1000.0)
    await asyncio.sleep(0.004)
    assert it.written(SET_POINT_AT)[-1][2:4] == [0, 1000]


@on_bench()
async def test_repeated_command_is_written_again_each_time(it):
    for _ in range(10):
        it.command(1000.0)
        await asyncio.sleep(0.1)
    assert len(it.written(SET_POINT_AT)) == 10


@on_bench()
async def test_standing_command_is_refreshed_every_400_ms_and_nothing_is_written_after_it_expires(it):
    it.command(1000.0, lasts_s=2.1)
    await asyncio.sleep(2.1)
    assert len(it.written(SET_POINT_AT)) == 6
    assert it.written(HEARTBEAT_AT) == [[0, 1], [0, 2], [0, 3]]
    it.device.writes.clear()
    await asyncio.sleep(5.0)
    assert it.device.writes == []


@on_bench(lambda: raw.converter(raw.AC_DISCHARGING | {4: [0]}))
async def test_start_is_repeated_each_second_until_the_state_says_so(it):
    it.command(0.0)
    await asyncio.sleep(3.5)
    assert it.written(OPERATE_AT) == [[1]] * 4
    it.device.registers[70 + 4] = 3
    await asyncio.sleep(5.0)
    assert it.written(OPERATE_AT) == [[1]] * 4


@on_bench()
async def test_stop_is_repeated_while_the_converter_runs_on(it):
    it.command(0.0, run=False)
    await asyncio.sleep(2.5)
    assert it.written(OPERATE_AT) == [[0]] * 3


@pytest.mark.parametrize(
    ("asked_w", "registers", "applied_w"),
    [(3e9, [0x0007, 0xA120], 500e3), (-3e9, [0xFFF8, 0x5EE0], -500e3), (999.9, [0, 999], 999.0)],
)
def test_power_is_held_within_the_rating_and_never_rounded_up(asked_w, registers, applied_w):
    @on_bench()
    async def check(it):
        it.command(asked_w)
        await asyncio.sleep(0.05)
        assert it.written(SET_POINT_AT)[0][2:4] == registers
        assert it.driver.applied_power_w == applied_w

    check()


def test_set_point_that_the_register_cannot_hold_stops_at_its_end_and_does_not_wrap():
    """Scale factor -4: int32 ends at 214 748.3647 W, below the rating."""

    @on_bench(lambda: raw.converter(controls=raw.CONTROLS | {55: [0xFFFC]}))
    async def check(it):
        it.command(500e3)
        await asyncio.sleep(0.05)
        assert it.written(SET_POINT_AT)[0][2:4] == [0x7FFF, 0xFFFF]
        assert it.driver.applied_power_w == pytest.approx(214748.3647)

    check()


@on_bench()
async def test_power_that_is_not_finite_is_refused_at_the_call(it):
    with pytest.raises(ValueError, match="finite"):
        it.command(math.nan)


@on_bench()
async def test_applied_power_is_what_the_device_says_when_it_disagrees(it):
    assert math.isnan(it.driver.applied_power_w)
    it.device.write = lambda address, values: None  # acknowledges and does nothing
    it.device.registers[SET_POINT_AT - 40000 :][:4] = [0, 0, 0, 0]
    for _ in range(12):
        it.command(100e3)
        await asyncio.sleep(0.1)
    assert math.isnan(it.driver.applied_power_w)


@on_bench()
async def test_refused_write_is_tried_again_and_never_counts_as_applied(it):
    it.server.faults.exception = 4
    it.command(100e3)
    await asyncio.sleep(1.0)
    assert math.isnan(it.driver.applied_power_w)
    it.server.faults.exception = None
    await asyncio.sleep(0.5)
    assert it.driver.applied_power_w == 100e3


@on_bench()
async def test_commands_at_odd_times_are_all_written_over_minutes(it):
    rng = np.random.default_rng(5)
    for _ in range(300):
        it.command(1000.0, lasts_s=0.5)
        await asyncio.sleep(rng.uniform(0.01, 0.9))
    assert 300 <= len(it.written(SET_POINT_AT)) <= 500
    assert it.written(SET_POINT_AT)[-1][2:4] == [0, 1000]


@on_bench()
async def test_silent_device_gives_no_reading_and_no_error(it):
    it.server.faults.silent = True
    await asyncio.sleep(0.5)
    polls = len(it.readings)
    await asyncio.sleep(3.0)
    assert len(it.readings) == polls
    assert not it.driver.health.connected
    it.server.faults.silent = False
    await asyncio.sleep(6.0)
    assert it.driver.health.connected
    assert len(it.readings) > polls


@on_bench()
async def test_command_is_written_at_once_after_a_reconnect(it):
    it.command(5000.0)
    await asyncio.sleep(0.1)
    current_network().reset(HOST, PORT)
    it.device.writes.clear()
    await asyncio.sleep(0.4)
    assert it.device.writes[:2] == [set_point(0, 5000), START]
    assert it.driver.health.reconnects == 1


@pytest.mark.parametrize(
    ("device", "says"),
    [
        (raw.RawDevice([0x5375, 0x6E53, *raw.COMMON, 0xFFFF, 0]), "no model 704"),
        (raw.converter(controls=raw.CONTROLS | {55: [0x8000]}), "no scale factor WSet_SF"),
        (raw.RawDevice([0, 0]), "no SunS marker"),
    ],
)
def test_device_that_cannot_be_driven_is_named_as_the_fault(device, says):
    @on_bench(lambda: device)
    async def check(it):
        await asyncio.sleep(10.0)
        assert says in it.driver.fault
        assert it.readings == []
        assert it.driver.rating is None

    check()


@on_bench(lambda: raw.converter(dc={4: [0], 15: [0x8000], 16: [0x8000], 17: [0x8000]}))
async def test_converter_without_a_dc_port_has_no_dc_values(it):
    reading = it.readings[-1]
    assert reading.ac_power_w == 123400.0
    assert math.isnan(reading.dc_power_w)
    assert math.isnan(reading.dc_voltage_v)


@on_bench()
async def test_reset_of_alarms_is_written_once_and_starts_nothing(it):
    it.command(0.0, run=False)
    it.driver.reset_alarms(now_ns() + 1_000_000_000)
    await asyncio.sleep(3.0)
    assert it.written(ALARM_RESET_AT) == [[1]]
    assert [1] not in it.written(OPERATE_AT)


@on_bench()
async def test_reset_of_alarms_that_could_not_be_told_in_its_time_is_dropped(it):
    it.driver.reset_alarms(now_ns() + 1_000_000_000)
    await asyncio.sleep(1.5)
    it.command(0.0, run=False)
    await asyncio.sleep(1.0)
    assert it.written(ALARM_RESET_AT) == []
