"""Grid functions on the wire: written, adopted, confirmed, followed by the plant, ended and reverted.

Settings are the defaults of IEEE 1547-2018 category B: volt-var table 8, watt-var table 9, volt-watt table 10 (with
absorption), frequency droop table 24. Registers are typed by hand from the SunSpec definitions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import DeviceException, LinkDown, ModbusLink
from drivers.sunspec import SunSpecError
from drivers.sunspec.curves import Curve, Droop, FunctionRefused
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.plant.converter import ConverterPlant, parameters_for_link
from hil_rigs.world import run_virtual
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.6", 502
BATTERY = BatterySummary(0.55, 0.99, 375e3, 280.0, 1350.0, -12.3)
VOLT_VAR = Curve("volt-var", ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), "VA_MAX_PCT", 5.0)
VOLT_WATT = Curve("volt-watt", ((1.06, 1.0), (1.1, -1.0)), "W_MAX_PCT", 10.0)
WATT_VAR = Curve("watt-var", ((-1.0, 0.44), (-0.5, 0.0), (0.5, 0.0), (1.0, -0.44)), "VA_MAX_PCT")
DROOP = Droop(0.036, 0.036, 0.05, 0.05, 5.0)
VOLT_VAR_AT = 40471
"""Behind model 802 (length 62 from 40407)."""


class Bench:
    """A running converter of 500 kW and 550 kVA at its devices' side, and the driver."""

    def __init__(self) -> None:
        self.converter = ConverterPlant(parameters_for_link(1350.0, 500e3))
        self.converter.settle(1350.0, 0.0)
        self.converter.start()
        self.run(1.1)
        self.device = SunSpecInverterDevice(self.converter, lambda: BATTERY)
        self.server = ModbusServer(self.device)
        self.driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), lambda reading: None)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.converter.step(0.01)


def on_bench(test: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        it = Bench()
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
            it.device.close()

    def run() -> None:
        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_bench
async def test_volt_var_curve_is_in_set_1_of_model_705_as_the_definition_says(it: Bench) -> None:
    await it.driver.adopt(VOLT_VAR, reversion_s=300)
    assert it.device.read(VOLT_VAR_AT, 2) == [705, 57]
    assert it.device.read(VOLT_VAR_AT + 2, 13) == [1, 2, 1, 6, 2, 0, 300, 0, 300, 0, 0xFFFE, 0xFFFF, 0xFFFF]
    first = it.device.read(VOLT_VAR_AT + 15, 18)
    assert first[:6] == [
        4,
        3,
        0,
        10000,
        0xFFFF,
        0,
    ]  # four points, of VA, active power first, VRef 100.00 %, none automatic
    assert first[7:10] == [0, 50, 1]  # 5.0 s, read-only
    assert first[10:18] == [9200, 440, 9800, 0, 10200, 0, 10800, 0x10000 - 440]


@pytest.mark.parametrize("function", [VOLT_VAR, VOLT_WATT, WATT_VAR, DROOP], ids=lambda each: each.kind)
def test_each_function_reads_back_as_told_and_ends(function: Curve | Droop) -> None:
    @on_bench
    async def check(it: Bench) -> None:
        assert await it.driver.in_force(function.kind) is None
        await it.driver.adopt(function)
        said = await it.driver.in_force(function.kind)
        assert repr(said) == repr(function)
        await it.driver.release(function.kind)
        assert await it.driver.in_force(function.kind) is None
        assert it.device.read(40070 + 4, 1) == [3]  # it runs on

    check()


@settings(max_examples=30)
@given(
    points=st.lists(
        st.tuples(st.integers(5000, 15000), st.integers(-1000, 1000)),
        min_size=2,
        max_size=6,
        unique_by=lambda each: each[0],
    ),
    share_of=st.sampled_from(["W_MAX_PCT", "VAR_MAX_PCT", "VA_MAX_PCT"]),
    response_ds=st.integers(0, 100_000),
)
def test_any_curve_within_the_registers_comes_back_as_it_was_told(points, share_of, response_ds) -> None:
    told = tuple((x / 10_000, y / 1000) for x, y in sorted(points))

    @on_bench
    async def check(it: Bench) -> None:
        await it.driver.adopt(Curve("volt-var", told, share_of, response_ds / 10))
        said = await it.driver.in_force("volt-var")
        assert said.points == tuple((pytest.approx(x, abs=1e-9), pytest.approx(y, abs=1e-9)) for x, y in told)
        assert (said.share_of, said.response_time_s) == (share_of, response_ds / 10)

    check()


@pytest.mark.parametrize(
    ("voltage_pu", "var"),
    [(1.0, 0.0), (1.05, -121e3), (0.95, 121e3), (1.09, -242e3), (0.92, 242e3), (0.9, 242e3), (1.02, 0.0)],
)
def test_plant_follows_the_volt_var_curve_by_itself(voltage_pu: float, var: float) -> None:
    @on_bench
    async def check(it: Bench) -> None:
        await it.driver.adopt(VOLT_VAR)
        it.converter.meet_grid(voltage_pu, 60.0)
        it.run(20.0)
        assert it.converter.reactive_var == pytest.approx(var, abs=50.0)

    check()


@on_bench
async def test_volt_var_does_90_percent_of_a_step_in_its_response_time(it: Bench) -> None:
    await it.driver.adopt(VOLT_VAR)
    it.converter.meet_grid(1.05, 60.0)
    it.run(5.0)
    assert it.converter.reactive_var == pytest.approx(-0.9 * 121e3, rel=0.01)


@on_bench
async def test_reactive_set_point_goes_before_the_curve_and_gives_back_to_it(it: Bench) -> None:
    await it.driver.adopt(replace(VOLT_VAR, response_time_s=0.0))
    it.converter.meet_grid(1.05, 60.0)
    it.device.write(40277 + 35, [1, 4, 0, 0, 1000, 0, 0, 0, 0, 0, 0, 1])
    it.run(1.0)
    assert it.converter.reactive_var == pytest.approx(1000.0)
    await asyncio.sleep(1.1)
    it.run(1.0)
    assert it.converter.reactive_var == pytest.approx(-121e3)


@pytest.mark.parametrize(
    ("frequency_hz", "power_w"),
    [(60.036, 100e3), (60.186, 75e3), (59.814, 125e3), (61.0, -60_666.7), (58.9, 277_333.3), (58.6, 327_333.3)],
)
def test_plant_follows_the_frequency_droop_around_its_set_point(frequency_hz: float, power_w: float) -> None:
    """Beyond 36 mHz 3 Hz move 500 kW: 150 mHz move 25 kW."""

    @on_bench
    async def check(it: Bench) -> None:
        await it.driver.adopt(replace(DROOP, response_time_s=0.0))
        it.converter.set_power(100e3)
        it.converter.meet_grid(1.0, frequency_hz)
        it.run(0.5)
        assert it.converter.ac_power_w == pytest.approx(power_w, abs=25.0)

    check()


@pytest.mark.parametrize(("voltage_pu", "power_w"), [(1.05, 400e3), (1.07, 250e3), (1.08, 0.0), (1.09, -250e3)])
def test_volt_watt_holds_the_power_and_absorbs_above(voltage_pu: float, power_w: float) -> None:
    @on_bench
    async def check(it: Bench) -> None:
        await it.driver.adopt(VOLT_WATT)
        it.converter.set_power(400e3)
        it.converter.meet_grid(voltage_pu, 60.0)
        it.run(30.0)
        assert it.converter.ac_power_w == pytest.approx(power_w, abs=600.0)

    check()


@pytest.mark.parametrize(("power_w", "var"), [(500e3, -229.1e3), (375e3, -121e3), (100e3, 0.0), (-375e3, 121e3)])
def test_watt_var_goes_by_the_power_within_the_apparent_power(power_w: float, var: float) -> None:
    @on_bench
    async def check(it: Bench) -> None:
        await it.driver.adopt(WATT_VAR)
        it.converter.set_power(power_w)
        it.run(2.0)
        assert it.converter.reactive_var == pytest.approx(var, abs=100.0)

    check()


@on_bench
async def test_curve_that_falls_back_is_not_adopted_and_the_one_in_force_stays(it: Bench) -> None:
    await it.driver.adopt(VOLT_VAR)
    wrong = replace(VOLT_VAR, points=((0.98, 0.44), (0.92, 0.0)))
    with pytest.raises(FunctionRefused, match="model 705: the device did not adopt the settings"):
        await it.driver.adopt(wrong)
    assert await it.driver.in_force("volt-var") == VOLT_VAR


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (replace(VOLT_VAR, points=((0.9, 0.1),)), "takes 2 to 6 points, got 1"),
        (replace(VOLT_VAR, points=tuple((0.9 + 0.01 * k, 0.0) for k in range(7))), "takes 2 to 6 points, got 7"),
        (replace(VOLT_WATT, share_of="VA_MAX_PCT"), "knows no shares of VA_MAX_PCT"),
        (replace(WATT_VAR, response_time_s=1.0), "has no response time"),
        (replace(VOLT_VAR, points=((0.9, 0.1), (9.0, 0.0))), "does not fit"),
        (replace(DROOP, droop_over_frac=0.0), "did not adopt"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.kind,
)
def test_function_that_cannot_be_is_refused_with_its_reason(function: Curve | Droop, says: str) -> None:
    @on_bench
    async def check(it: Bench) -> None:
        with pytest.raises(FunctionRefused, match=says):
            await it.driver.adopt(function)
        assert await it.driver.in_force(function.kind) is None

    check()


@on_bench
async def test_device_that_acknowledges_and_keeps_nothing_is_found_out(it: Bench) -> None:
    it.device.write = lambda address, values: None  # type: ignore[method-assign]
    with pytest.raises(FunctionRefused, match="model 705 is not enabled after all"):
        await it.driver.adopt(VOLT_VAR)


@on_bench
async def test_device_that_adopts_something_else_is_found_out(it: Bench) -> None:
    """Set 1 says 43.9 % where 44 % were told."""
    read = it.device.read

    def other(address: int, count: int) -> list[int]:
        values = dict(zip(range(address, address + count), read(address, count), strict=True))
        return list((values | {VOLT_VAR_AT + 26: 439} if VOLT_VAR_AT + 26 in values else values).values())

    it.device.read = other  # type: ignore[method-assign]
    with pytest.raises(FunctionRefused, match=r"model 705: Pt\[0\]\.Var is 43\.9, expected 44"):
        await it.driver.adopt(VOLT_VAR)


@on_bench
async def test_function_ends_after_its_reversion_time(it: Bench) -> None:
    await it.driver.adopt(replace(VOLT_VAR, response_time_s=0.0), reversion_s=60)
    it.converter.meet_grid(1.05, 60.0)
    it.run(1.0)
    await asyncio.sleep(61.0)
    it.run(1.0)
    assert it.converter.reactive_var == pytest.approx(0.0, abs=1e-6)
    assert await it.driver.in_force("volt-var") is None


@on_bench
async def test_refused_and_broken_links_pass_as_link_errors(it: Bench) -> None:
    it.device.local_control = True
    with pytest.raises(DeviceException):
        await it.driver.adopt(VOLT_VAR)
    it.server.close()
    await asyncio.sleep(0.5)
    with pytest.raises(LinkDown):
        await it.driver.adopt(VOLT_VAR)


@on_bench
async def test_set_in_force_cannot_be_written_and_no_set_beyond_the_last_asked_for(it: Bench) -> None:
    for address, value, code in ((VOLT_VAR_AT + 15, 3, 2), (VOLT_VAR_AT + 3, 3, 3), (VOLT_VAR_AT + 4, 1, 2)):
        with pytest.raises(ModbusFault) as fault:
            it.device.write(address, [value])
        assert fault.value.code == code


def test_converter_without_the_model_says_so() -> None:
    async def main() -> None:
        server = ModbusServer(raw.converter())
        await server.start(HOST, PORT)
        driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), lambda reading: None)
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.5)
        with pytest.raises(SunSpecError, match="no model 705"):
            await driver.adopt(VOLT_VAR)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()

    run_virtual(main())
