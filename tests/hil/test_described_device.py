"""Simulated devices behind profiles are as strict as real ones: silence, sequences, missing registers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers.profiles import find_profile
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.modbus_frames import ModbusFault
from hil_rigs.plant.converter import ConverterAlarm, ConverterPlant, ConverterState, parameters_for_link
from hil_rigs.world import run_virtual


def described(profile: str) -> Callable[..., Callable[[], None]]:
    """Runs an async test on a converter with 1350 V on its link and the device that shows it."""

    def decorate(test: Callable[[ConverterPlant, DescribedInverterDevice], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            converter = ConverterPlant(parameters_for_link(1350.0, 500e3))
            converter.settle(1350.0, 0.0)
            device = DescribedInverterDevice(converter, find_profile(profile))
            await test(converter, device)
            device.close()

        def run() -> None:
            run_virtual(main())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


def run_up(converter: ConverterPlant) -> None:
    for _ in range(200):
        converter.step(0.01)
    assert converter.state is ConverterState.RUNNING


def refused(action: Callable[[], object]) -> int:
    with pytest.raises(ModbusFault) as fault:
        action()
    return fault.value.code


@described("pcs-holding-s32")
async def test_timer_takes_the_power_to_0_w_after_the_time_written(converter, device) -> None:
    device.write(2002, [1500])
    device.write(2000, [0, 50_000])
    assert (device.set_power_w, converter.target_power_w) == (-50_000.0, -50_000.0)
    await asyncio.sleep(1.499)
    assert converter.target_power_w == -50_000.0
    await asyncio.sleep(0.002)
    assert (converter.target_power_w, device.read(2000, 2)) == (0.0, [0, 0])


@described("pcs-holding-s32")
async def test_timer_takes_reactive_power_to_0_var_with_the_power(converter, device) -> None:
    device.write(2002, [1500])
    device.write(2004, [0, 40_000])
    device.write(2000, [0, 0])
    assert (device.set_reactive_var, converter.target_reactive_var) == (-40_000.0, -40_000.0)
    assert refused(lambda: device.write(2004, [0x0003, 0xD091])) == 3  # 250,001 var, rated 250 kvar
    await asyncio.sleep(1.501)
    assert (converter.target_reactive_var, device.read(2004, 2)) == (0.0, [0, 0])


@described("pcs-holding-s32")
async def test_each_set_point_starts_the_timer_again_and_time_0_means_for_ever(converter, device) -> None:
    device.write(2002, [1000])
    for _ in range(5):
        device.write(2000, [0, 50_000])
        await asyncio.sleep(0.9)
    assert converter.target_power_w == -50_000.0
    device.write(2002, [0])
    device.write(2000, [0, 50_000])
    await asyncio.sleep(3600.0)
    assert converter.target_power_w == -50_000.0


@described("pcs-input-f32")
async def test_heartbeat_that_stands_still_ends_the_power(converter, device) -> None:
    device.write(100, [1])
    device.write(101, [1])
    run_up(converter)
    device.write(102, [500])
    assert device.set_power_w == 0.0  # nothing was heard yet
    for count in range(1, 5):
        device.write(103, [count])
        await asyncio.sleep(1.9)
        assert device.set_power_w == 50_000.0
    device.write(103, [4])  # the same number again
    await asyncio.sleep(0.2)
    assert (device.set_power_w, device.read(102, 1)) == (0.0, [0])


@described("pcs-input-f32")
async def test_it_starts_only_after_the_whole_sequence_and_ignores_set_points_before(converter, device) -> None:
    device.write(101, [1])
    assert converter.state is ConverterState.OFF
    device.write(103, [1])
    device.write(102, [500])
    device.write(100, [1])
    device.write(101, [1])
    assert (converter.state, device.told_to_run) == (ConverterState.STARTING, True)
    run_up(converter)
    assert (device.set_power_w, converter.target_power_w) == (0.0, 0.0)
    device.write(101, [0])
    assert (converter.state, device.told_to_run) == (ConverterState.OFF, False)


@described("pcs-input-f32")
async def test_states_alarms_and_authority_show_as_the_profile_says(converter, device) -> None:
    assert device.read_input(0, 3) == [0, 2, 0]
    device.faults.alarm_bits = 1 << 7 | 1 << 16  # over-temperature, and one of its maker's
    assert device.read_input(2, 1) == [1 << 4 | 1 << 1]
    converter.state, converter.alarm = ConverterState.FAULT, ConverterAlarm.DC_OVER_VOLTAGE
    device.faults.alarm_bits = 0
    assert device.read_input(0, 3) == [8, 2, 1 << 2]
    device.local_control = True
    assert device.read_input(1, 1) == [0]
    assert refused(lambda: device.write(101, [1])) == 4


@described("pcs-holding-s32")
async def test_what_the_profile_does_not_have_is_not_there(converter, device) -> None:
    assert refused(lambda: device.read(999, 1)) == 2
    assert refused(lambda: device.read(1004, 2)) == 2  # 1005 is a gap
    assert refused(lambda: device.read_input(1000, 1)) == 2
    assert refused(lambda: device.write(1000, [1])) == 2
    assert refused(lambda: device.write(2000, [0])) == 3  # half a value
    assert refused(lambda: device.write(2002, [0, 0])) == 2  # reaches into 2003
    assert refused(lambda: device.write(2000, [0x0007, 0xA121])) == 3  # 500,001 W, rated 500 kW


def test_meter_is_read_only_and_takes_no_longer_reads_than_its_profile_says() -> None:
    meter = DescribedMeterDevice(lambda: 1000.0, lambda: 60.0, find_profile("meter-input-f32"))
    assert meter.read_input(52, 2) == [0x447A, 0x0000]
    assert meter.read_input(44, 8) == [0] * 8
    assert refused(lambda: meter.read_input(41, 2)) == 2
    assert refused(lambda: meter.read(52, 2)) == 2
    assert refused(lambda: meter.write(52, [0, 0])) == 2
