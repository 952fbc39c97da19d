"""The battery models 802 to 805: golden registers, what is absent, and cells that have no room."""

import math

import pytest

from drivers.links.modbus import ModbusLink
from drivers.sunspec import SunSpecError, discover
from drivers.sunspec.battery import BatteryReading, StringReading, read_battery
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.bms.test_probe import probed
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.3", 502

# Offsets typed from the SunSpec definitions. SoC 55.3 %, SoH 99.0 %, 1351.2 V, cells 3.301 and 3.287 V.
BATTERY = {11: [553], 13: [990], 34: [13512], 37: [3301], 40: [3287]}
BATTERY |= {56: [0xFFFF], 58: [0xFFFF], 59: [0xFFFF], 60: [0xFFFD]}
# Two strings, 28.4 and 24.9 degC.
BANK = {2: [2], 4: [284], 7: [249], 23: [0xFFFF]}
# Three cells of 3.301, absent and 3.287 V, each with temperature and two registers of state.
MODULE = {4: [3], 42: [0xFFFD]}
CELLS = [3301, 250, 0, 0, 0xFFFF, 250, 0, 0, 3287, 250, 0, 0]


def module(cells: list[int]) -> list[int]:
    return raw.model(805, 42 + len(cells), MODULE | {44: cells})


def device(*models: list[int]) -> raw.RawDevice:
    return raw.RawDevice([0x5375, 0x6E53, *raw.COMMON, *(word for model in models for word in model), 0xFFFF, 0])


def reading(of: raw.RawDevice) -> BatteryReading | None:
    async def main() -> BatteryReading | None:
        server, link = ModbusServer(of), ModbusLink(HOST, PORT, 1)
        await server.start(HOST, PORT)
        await link.connect()
        try:
            return await read_battery(link, await discover(link))
        finally:
            link.close()
            server.close()

    return run_virtual(main())


def test_bank_of_strings_says_its_state_and_its_cells_one_by_one() -> None:
    modules = module(CELLS), module(CELLS[:8] + CELLS[:4])
    said = reading(device(raw.model(802, 62, BATTERY), raw.model(803, 26, BANK), *modules))
    assert said is not None
    assert said.soc_frac == pytest.approx(0.553)
    assert (said.soh_frac, said.voltage_v) == (0.99, 1351.2)
    assert (said.cell_voltage_v_min, said.cell_voltage_v_max) == (3.287, 3.301)
    assert (said.module_temperature_degc_min, said.module_temperature_degc_max, said.strings) == (24.9, 28.4, 2)
    assert said.cell_voltage_v == pytest.approx((3.301, math.nan, 3.287, 3.301, math.nan, 3.301), nan_ok=True)


# Model 804, offsets typed from the SunSpec definition: string 2 of 14 modules, SoC 54.1 %, SoH 98 %, 1349.7 V, cells
# 3.298 and 3.281 V, modules 27.5 and -1.5 degC; scale factors -1 (SoC), 0 (SoH), -1 (V), -3 (CellV), -1 (ModTmp).
STRING = {2: [2], 3: [14], 8: [541], 12: [98], 14: [13497], 15: [3298], 17: [3281], 20: [275], 22: [0xFFF1]}
STRING |= {38: [0xFFFF], 39: [0], 42: [0xFFFF], 43: [0xFFFD], 44: [0xFFFF]}


def test_each_string_says_its_own_state() -> None:
    absent = raw.model(804, 46, STRING | {2: [1], 8: [0xFFFF], 43: [0x8000]})
    said = reading(device(raw.model(802, 62, BATTERY), raw.model(803, 26, BANK), absent, raw.model(804, 82, STRING)))
    assert said is not None
    first, second = said.each_string
    assert second._replace(soc_frac=0.541) == StringReading(2, 14, 0.541, 0.98, 1349.7, 3.281, 3.298, -1.5, 27.5)
    assert second.soc_frac == pytest.approx(0.541)
    assert (first.number, first.voltage_v) == (1, 1349.7)
    assert math.isnan(first.soc_frac)
    assert math.isnan(first.cell_voltage_v_max)


def test_what_the_battery_does_not_say_is_nan() -> None:
    said = reading(device(raw.model(802, 62, BATTERY | {11: [0xFFFF], 60: [0x8000]})))
    assert said is not None
    assert math.isnan(said.soc_frac)
    assert math.isnan(said.cell_voltage_v_max)
    assert (said.strings, said.cell_voltage_v) == (None, ())


def test_device_without_a_battery_says_none() -> None:
    assert reading(raw.converter()) is None


def test_module_without_room_for_its_cells_is_refused() -> None:
    with pytest.raises(SunSpecError, match="has 3 cells and no room for them"):
        reading(device(raw.model(802, 62, BATTERY), module(CELLS[:8])))


def test_probe_shows_the_battery() -> None:
    (answer,) = probed(device(raw.model(802, 62, BATTERY), raw.model(803, 26, BANK), module(CELLS)))
    assert answer.says[2] == (
        "its battery: SoC 55.3 %, SoH 99 %, voltage 1351.2 V, lowest cell 3.287 V, highest cell 3.301 V, "
        "coldest module 24.9 degC, hottest module 28.4 degC, 2 strings, 3 cells one by one"
    )
