"""The simulated SunSpec converter and meter: strictness, reversion, and what the driver makes of them."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from drivers.meters.sunspec import SunSpecMeter
from drivers.readings import InverterRating, InverterState
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_map import scale_exponent
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.plant.grid_support import GridSupport
from hil_rigs.world import run_virtual

HOST, PORT = "10.0.0.5", 502
SET_POINT_AT = 40277 + 22
CONTROL_AT = 40398
BATTERY = BatterySummary(0.55, 0.99, 375e3, 280.0, 1350.0, -12.3)


class StandIn:
    """A converter that does at once what it is told."""

    def __init__(self, rated_power_w: float = 500e3) -> None:
        self.rated_power_w = rated_power_w
        self.apparent_power_va, self.reactive_var_max = 560e3, 250e3
        self.reactive_var = 0.0
        self.support = GridSupport()
        self.target_reactive_var: float | None = None
        self.state, self.alarm = "off", None
        self.ac_power_w = self.target_power_w = 0.0
        self.dc_voltage_v, self.frequency_hz, self.ac_voltage_pu = 1350.0, 60.0, 1.0

    @property
    def dc_power_w(self) -> float:
        return self.ac_power_w

    @property
    def dc_current_a(self) -> float:
        return self.dc_power_w / self.dc_voltage_v

    def start(self) -> None:
        self.state = "running"
        self.set_power(self.target_power_w)

    def stop(self) -> None:
        self.state, self.ac_power_w = "off", 0.0

    def reset(self) -> None:
        self.state, self.alarm = "off", None

    def set_reactive(self, reactive_var: float | None) -> None:
        self.target_reactive_var = reactive_var
        self.reactive_var = reactive_var or 0.0

    def set_power(self, power_w: float) -> None:
        self.target_power_w = power_w
        self.ac_power_w = power_w if self.state == "running" else 0.0


def device_test(test):
    """Runs an async test that takes a running converter and its registers."""

    async def main():
        converter = StandIn()
        converter.start()
        device = SunSpecInverterDevice(converter, lambda: BATTERY)
        await test(converter, device)
        device.close()

    def run():
        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def set_point(power_w: int, reverts_to_w: int = 0, enabled_then: int = 1, reversion_s: int = 1) -> list[int]:
    return [1, 1, *_int32(power_w), *_int32(reverts_to_w), 0, 0, enabled_then, 0, reversion_s]


def _int32(value: int) -> list[int]:
    return [value >> 16 & 0xFFFF, value & 0xFFFF]


def refused(device: SunSpecInverterDevice, address: int, values: list[int]) -> int:
    with pytest.raises(ModbusFault) as fault:
        device.write(address, values)
    return fault.value.code


@device_test
async def test_power_reverts_exactly_when_the_timer_ends(converter, device):
    device.write(SET_POINT_AT, set_point(100_000))
    await asyncio.sleep(0.999)
    assert converter.ac_power_w == 100e3
    await asyncio.sleep(0.002)
    assert converter.ac_power_w == 0.0
    assert device.read(SET_POINT_AT, 4) == [1, 1, 0, 0]


@device_test
async def test_what_took_effect_is_told_when_it_did(converter, device):
    told = []
    device.on_control = lambda: told.append((device.set_power_w, device.told_to_run))
    device.write(CONTROL_AT + 8, [1])
    device.write(SET_POINT_AT, set_point(100_000))
    assert told == [(0.0, True), (100e3, True)]
    await asyncio.sleep(1.1)
    assert told[2:] == [(0.0, True)]
    device.write(CONTROL_AT + 8, [0])
    assert told[3:] == [(0.0, False)]


@device_test
async def test_each_write_that_enables_the_set_point_restarts_the_timer(converter, device):
    for _ in range(5):
        device.write(SET_POINT_AT, set_point(100_000))
        await asyncio.sleep(0.9)
    assert converter.ac_power_w == 100e3
    device.write(SET_POINT_AT + 2, _int32(50_000))  # WSet alone
    assert converter.ac_power_w == 50e3
    await asyncio.sleep(0.2)
    assert converter.ac_power_w == 0.0


@device_test
async def test_reversion_takes_its_own_power_and_enable(converter, device):
    device.write(SET_POINT_AT, set_point(100_000, reverts_to_w=-20_000))
    await asyncio.sleep(1.1)
    assert converter.ac_power_w == -20e3
    device.write(SET_POINT_AT, set_point(100_000, reverts_to_w=-20_000, enabled_then=0))
    await asyncio.sleep(1.1)
    assert device.read(SET_POINT_AT, 1) == [0]
    assert converter.ac_power_w == 0.0


@device_test
async def test_remaining_time_counts_down(converter, device):
    device.write(SET_POINT_AT, set_point(0, reversion_s=3))
    remaining = []
    for _ in range(4):
        remaining.append(device.read(SET_POINT_AT + 11, 2))
        await asyncio.sleep(0.99)
    assert remaining == [[0, 3], [0, 3], [0, 2], [0, 1]]


@device_test
async def test_no_reversion_time_means_no_reversion(converter, device):
    device.write(SET_POINT_AT, set_point(1000, reversion_s=0))
    await asyncio.sleep(100.0)
    assert converter.ac_power_w == 1000.0


@device_test
async def test_percent_mode_is_of_the_rating(converter, device):
    device.write(SET_POINT_AT + 6, [0xFE0C])  # WSetPct -500 x 10^-1
    device.write(SET_POINT_AT, [1, 0])
    assert converter.ac_power_w == -250e3


REACTIVE_AT = 40277 + 35


def reactive(
    var: int, reverts_to_var: int = 0, enabled_then: int = 0, reversion_s: int = 1, mode: int = 4
) -> list[int]:
    """Block VarSetEna..VarSetRvrtTms: mode 4 = vars, priority 0 = active power."""
    return [1, mode, 0, *_int32(var), *_int32(reverts_to_var), 0, 0, enabled_then, 0, reversion_s]


@device_test
async def test_reactive_power_ends_in_the_converters_own_exactly_when_its_timer_ends(converter, device):
    device.write(REACTIVE_AT, reactive(-100_000))
    assert (converter.target_reactive_var, device.set_reactive_var) == (-100e3, -100e3)
    await asyncio.sleep(0.999)
    assert converter.target_reactive_var == -100e3
    await asyncio.sleep(0.002)
    assert (converter.target_reactive_var, device.read(REACTIVE_AT, 1)) == (None, [0])


@device_test
async def test_reactive_reversion_takes_its_own_var_and_leaves_active_power_alone(converter, device):
    device.write(SET_POINT_AT, set_point(100_000, reversion_s=5))
    device.write(REACTIVE_AT, reactive(50_000, reverts_to_var=-20_000, enabled_then=1))
    assert device.read(REACTIVE_AT + 12, 2) == [0, 1]
    await asyncio.sleep(1.1)
    assert (converter.target_reactive_var, converter.ac_power_w) == (-20e3, 100e3)
    await asyncio.sleep(4.0)
    assert (converter.target_reactive_var, converter.ac_power_w) == (-20e3, 0.0)


@pytest.mark.parametrize(("mode", "var"), [(0, 50e3), (1, 25e3), (3, 56e3)])
def test_reactive_percent_is_of_active_reactive_or_apparent_rating(mode, var):
    @device_test
    async def check(converter, device):
        device.write(REACTIVE_AT + 7, [100])  # VarSetPct 100 x 10^-1
        device.write(REACTIVE_AT, [1, mode])
        assert converter.target_reactive_var == pytest.approx(var)

    check()


@device_test
async def test_reactive_power_that_it_cannot_have_is_refused(converter, device):
    assert refused(device, REACTIVE_AT, reactive(250_001)) == 3
    assert refused(device, REACTIVE_AT, reactive(0, mode=2)) == 3  # percent of what is available: not offered
    assert refused(device, REACTIVE_AT + 2, [1]) == 3  # reactive power first: not offered
    assert refused(device, REACTIVE_AT + 12, [0, 9]) == 2  # VarSetRvrtRem
    assert converter.target_reactive_var is None


@device_test
async def test_measured_reactive_power_has_its_sign_and_apparent_power_none(converter, device):
    converter.set_power(-30_000.0)
    converter.set_reactive(-40_000.0)
    assert device.read(40070 + 10, 3) == [0x10000 - 300, 500, 0x10000 - 400]


@device_test
async def test_what_must_not_be_written_is_refused_and_nothing_changes(converter, device):
    before = device.read(40000, 125)
    assert refused(device, 40070 + 10, [7]) == 2  # 701 W, a measurement
    assert refused(device, 40225 + 26, [7]) == 2  # 702 WMax, not offered
    assert refused(device, SET_POINT_AT + 11, [0, 7]) == 2  # WSetRvrtRem
    assert refused(device, 39999, [7]) == 2
    assert refused(device, 40700, [7]) == 2
    assert refused(device, SET_POINT_AT, [2]) == 3  # no such enable
    assert refused(device, SET_POINT_AT, [1, 1, 0]) == 3  # half of WSet
    assert refused(device, SET_POINT_AT, set_point(500_001)) == 3
    assert refused(device, SET_POINT_AT, [1, 1, 0x8000, 0]) == 3  # "not implemented"
    assert refused(device, SET_POINT_AT, [*set_point(1000), 0, 0]) == 2  # reaches into WSetRvrtRem: none of it
    assert refused(device, CONTROL_AT + 8, [2]) == 3  # standby is not offered
    assert device.read(40000, 125) == before
    assert converter.target_power_w == 0.0


@device_test
async def test_reads_end_with_the_map(converter, device):
    end = device.read(40659, 2)
    assert end == [0xFFFF, 0]
    for address, count in ((39999, 1), (40659, 3)):
        with pytest.raises(ModbusFault) as fault:
            device.read(address, count)
        assert fault.value.code == 2


@device_test
async def test_local_control_refuses_and_says_so(converter, device):
    device.local_control = True
    assert refused(device, SET_POINT_AT, set_point(1000)) == 4
    assert device.read(CONTROL_AT + 2, 1) == [1]


@device_test
async def test_heartbeat_counts_seconds(converter, device):
    first = device.read(CONTROL_AT + 3, 2)
    await asyncio.sleep(5.0)
    assert device.read(CONTROL_AT + 3, 2)[1] - first[1] == 5


@device_test
async def test_stop_start_and_alarm_reset_reach_the_converter(converter, device):
    device.write(CONTROL_AT + 8, [0])
    assert converter.state == "off"
    converter.state, converter.alarm = "fault", "dc_over_voltage"
    assert device.read(40070 + 4, 4) == [6, 1, 0, 2]
    device.write(CONTROL_AT + 7, [1])
    assert (converter.alarm, device.read(CONTROL_AT + 7, 1)) == (None, [0])
    device.write(CONTROL_AT + 8, [1])
    assert converter.state == "running"


@device_test
async def test_measurement_beyond_its_register_saturates(converter, device):
    converter.ac_power_w = 9e9
    assert device.read(40070 + 10, 1) == [0x7FFE]
    converter.ac_power_w = -9e9
    assert device.read(40070 + 10, 1) == [0x8002]


@pytest.mark.parametrize(
    ("largest", "type_name", "exponent"),
    [
        (500e3, "int16", 2),
        (1.2 * 500e3, "int16", 2),
        (1.2 * 1.5e6, "int16", 2),
        (500e3, "uint16", 1),
        (327e3, "int16", 1),
        (100e3, "int32", -3),
        (3.2e6, "int32", -2),
        (0.5, "int16", -3),
    ],
)
def test_scale_factor_is_the_finest_that_holds_the_rating(largest, type_name, exponent):
    assert scale_exponent(largest, type_name) == exponent


@asynccontextmanager
async def served(device):
    server = ModbusServer(device)
    await server.start(HOST, PORT)
    yield server
    server.close()


@asynccontextmanager
async def running(driver):
    task = asyncio.create_task(driver.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def drive(*commands: tuple[float, bool]):
    """Newest reading a second after each command, while the command is held up; then 1.3 s after the last write."""
    converter, readings, seen = StandIn(), [], []
    driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), readings.append)
    device = SunSpecInverterDevice(converter, lambda: BATTERY)
    async with served(device), running(driver):
        await asyncio.sleep(0.5)
        for power_w, run in commands:
            driver.command(InverterCommand(power_w, run, now_ns() + 1_000_000_000))
            await asyncio.sleep(1.0)
            seen.append((readings[-1].state, readings[-1].ac_power_w, round(readings[-1].dc_current_a, 1)))
        await asyncio.sleep(1.3)
        seen.append((readings[-1].state, readings[-1].ac_power_w, driver.applied_power_w))
        assert driver.rating == InverterRating(500e3, 500e3, 560e3, 250e3, 250e3, 400.0)
    device.close()
    return seen


def test_driver_and_device_agree_in_both_directions_and_power_is_zero_after_the_last_command():
    assert run_virtual(drive((135_000.0, True), (-135_000.0, True))) == [
        (InverterState.RUNNING, 135000.0, 100.0),
        (InverterState.RUNNING, -135000.0, -100.0),
        (InverterState.RUNNING, 0.0, 0.0),
    ]


def test_stop_command_stops_the_converter():
    seen = run_virtual(drive((135_000.0, True), (135_000.0, False)))
    assert seen[1] == (InverterState.OFF, 0.0, 0.0)


def test_meter_and_its_driver_agree_on_import_and_export():
    async def main(power_w):
        readings = []
        device = SunSpecMeterDevice(lambda: power_w, lambda: 59.98, 1.5e6)
        async with served(device), running(SunSpecMeter(ModbusLink(HOST, PORT, 1), readings.append)):
            await asyncio.sleep(0.5)
        return readings[-1].power_w, readings[-1].frequency_hz

    assert run_virtual(main(1_234_567.0)) == (1_234_600.0, 59.98)
    assert run_virtual(main(-43_210.0)) == (-43_200.0, 59.98)


def test_meter_refuses_every_write():
    device = SunSpecMeterDevice(lambda: 0.0, lambda: 60.0, 1e6)
    for address in (40000, 40002 + 66, 40070 + 18, 40070 + 107):
        with pytest.raises(ModbusFault) as fault:
            device.write(address, [1])
        assert fault.value.code == 2
