"""The driver of an auxiliary device on the wire: what each shipped profile makes of words typed from the makers'
manuals, and what it writes.

Sources: Moxa ioLogik E1211/E1212, user's manual, page A-10; ADEL System CBI, Network UPS Tools,
drivers/adelsystem_cbi.h and .c; Kampmann climate controller 148941, operation manual, chapter 10.2; Honeywell Notifier
MODBUS-GW, LS10015-000NF-E, tables 5.1 and 5.2; its commands: CGW-MB, LS10248-000HW-E, table 7.9.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from drivers.auxiliary.described import DescribedAuxiliary
from drivers.clock import now_ns
from drivers.commands import OutputsCommand
from drivers.links.modbus import ModbusLink
from drivers.profiles import find_profile
from drivers.safety import NOT_HEARD, CoolingRequest, SafetyInputs
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers.test_described_inverter import RawTables

HOST, PORT = "10.0.0.9", 502
UPS_WORDS = [1, 0, 0, 0, 0, 24120, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 974]
"""40006 to 40023: charging, 24.12 V, 97.4 %."""


class Wire:
    def __init__(self, profile: str, holding: dict[int, list[int]], inputs: dict[int, list[int]]) -> None:
        self.device = RawTables(holding, inputs)
        self.readings: list[SafetyInputs] = []
        self.driver = DescribedAuxiliary(ModbusLink(HOST, PORT, 1), find_profile(profile), self.readings.append)

    def command(self, *, fire: bool, cooling: CoolingRequest = CoolingRequest.AUTO, lasts_s: float = 60.0) -> None:
        self.driver.command(OutputsCommand(fire, cooling, True, now_ns() + round(lasts_s * 1e9)))


def play(
    profile: str,
    holding: dict[int, list[int]],
    inputs: dict[int, list[int]],
    test: Callable[[Wire], Awaitable[None]],
) -> None:
    """The test gets a wire that was polled for half a second."""

    async def main() -> None:
        wire = Wire(profile, holding, inputs)
        server = ModbusServer(wire.device)
        await server.start(HOST, PORT)
        running = asyncio.create_task(wire.driver.run())
        await asyncio.sleep(0.5)
        await test(wire)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()

    run_virtual(main())


def backup(words: list[int]) -> list[int]:
    """On its battery at 12.5 %, 22.8 V."""
    return [0, *words[1:5], 22800, *words[6:17], 125]


READ: list[tuple[str, dict[int, list[int]], dict[int, list[int]], dict[str, Any]]] = [
    ("io-block", {32: [0]}, {48: [0b1111]},
     {"emergency_stop_released": True, "interlock_closed": True, "door_closed": True, "fuse_intact": True,
      "fire_output_on": False}),
    ("io-block", {32: [1]}, {48: [0xFFF2]},
     {"emergency_stop_released": False, "interlock_closed": True, "door_closed": False, "fuse_intact": False,
      "fire_output_on": True}),
    ("dc-ups", {5: UPS_WORDS}, {}, {"aux_on_battery": False, "aux_supply_v": 24.12, "aux_charge_frac": 0.974}),
    ("dc-ups", {5: backup(UPS_WORDS)}, {},
     {"aux_on_battery": True, "aux_supply_v": 22.8, "aux_charge_frac": 0.125}),
    ("dc-ups", {5: [7, *UPS_WORDS[1:]]}, {},
     {"aux_on_battery": None, "aux_supply_v": 24.12, "aux_charge_frac": 0.974}),
    ("cooling-unit", {262: [0]}, {514: [225], 525: [2], 528: [0]},
     {"coolant_temperature_degc": 22.5, "cooling_running": True, "cooling_failed": False}),
    ("cooling-unit", {262: [1]}, {514: [0x10000 - 31], 525: [0], 528: [12]},
     {"coolant_temperature_degc": -3.1, "cooling_running": False, "cooling_failed": True}),
    ("fire-panel", {0: [0x1400, 0x1400], 200: [0x1400, 0]}, {},
     {"smoke_detected": False, "gas_detected": False, "fire_panel_alarm": False}),
    ("fire-panel", {0: [0x0C01, 0x00FF], 200: [0x0D15, 0]}, {},
     {"smoke_detected": True, "gas_detected": None, "fire_panel_alarm": True}),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "holding", "inputs", "says"), READ)
def test_words_of_the_manual_are_read_as_they_mean(
    profile: str, holding: dict[int, list[int]], inputs: dict[int, list[int]], says: dict[str, Any]
) -> None:
    async def test(wire: Wire) -> None:
        newest = wire.readings[-1]
        assert newest == NOT_HEARD._replace(at_ns=newest.at_ns, **says)
        assert now_ns() - newest.at_ns < 300_000_000

    play(profile, holding, inputs, test)


def test_a_charge_that_cannot_be_is_no_reading() -> None:
    async def test(wire: Wire) -> None:
        assert wire.readings == []
        assert wire.driver.health.errors >= 2

    play("dc-ups", {5: [*UPS_WORDS[:17], 1001]}, {}, test)


def test_alarm_is_written_at_once_again_with_the_first_poll_after_a_second_and_not_after_its_end() -> None:
    async def test(wire: Wire) -> None:
        assert wire.device.writes == []
        wire.command(fire=False, lasts_s=0.0)
        await asyncio.sleep(0.3)
        assert wire.device.writes == []
        wire.command(fire=True)
        await asyncio.sleep(0.3)
        assert wire.device.writes == [(201, [0x0800])]
        await asyncio.sleep(2.4)
        assert wire.device.writes == [(201, [0x0800])] * 3
        wire.command(fire=False)
        await asyncio.sleep(0.3)
        assert wire.device.writes[3:] == [(201, [0x0900])]

    play("fire-panel", {0: [0x1400, 0x1400], 200: [0x1400, 0]}, {}, test)


@pytest.mark.parametrize(
    ("request_", "word"), [(CoolingRequest.AUTO, 0), (CoolingRequest.ON, 0), (CoolingRequest.OFF, 1)]
)
def test_cooling_is_let_run_by_its_own_control_unless_it_is_told_off(request_: CoolingRequest, word: int) -> None:
    async def test(wire: Wire) -> None:
        wire.command(fire=True, cooling=request_)
        await asyncio.sleep(0.3)
        assert wire.device.writes == [(262, [word])]

    play("cooling-unit", {262: [0]}, {514: [225], 525: [2], 528: [0]}, test)


def test_outputs_that_are_bits_of_one_register_are_written_together(tmp_path: Any) -> None:
    (tmp_path / "both.yaml").write_text("""\
name: both
says: alarm on bit 3, cooling on bit 0 of one word
kind: auxiliary
source: a test
registers:
  - {name: door, role: door-closed, address: 9, true_at: [1]}
  - {name: alarm, role: fire-output, address: 4, write: 16, mask: 8, true_at: [8], false_at: [0]}
  - {name: cooling, role: cooling-output, address: 4, write: 16, mask: 1, true_at: [1], false_at: [0]}
""")

    async def test(wire: Wire) -> None:
        wire.command(fire=True)
        await asyncio.sleep(0.3)
        wire.command(fire=True, cooling=CoolingRequest.OFF)
        await asyncio.sleep(0.3)
        assert wire.device.writes == [(4, [9]), (4, [8])]

    play(str(tmp_path / "both.yaml"), {4: [0], 9: [1]}, {}, test)


def test_profile_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="describes a meter, expected an auxiliary device"):
        DescribedAuxiliary(ModbusLink(HOST, PORT, 1), find_profile("meter-input-f32"), print)


def test_what_it_does_not_say_is_absent() -> None:
    async def test(wire: Wire) -> None:
        newest = wire.readings[-1]
        assert newest.smoke_detected is None
        assert newest.aux_charge_frac == 0.974
        assert math.isnan(newest.precharge_temperature_degc)

    play("dc-ups", {5: UPS_WORDS}, {}, test)
