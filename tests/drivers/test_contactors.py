"""The driver of a contactor block on the wire, against a coupler typed by hand from its maker's manual.

Source: WAGO-I/O-SYSTEM 750, ETHERNET TCP/IP, manual, "MODBUS Functions" (coils from 0, inputs from 0) and "Watchdog":
0x1000 time in 100 ms, 0x1001 mask of functions that feed it (function n = bit n - 1), 0x1003 trigger, 0x1008 0x55AA
stops it and forgets that it ended; once it has, everything is answered with exception 4.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.clock import NEVER_NS, now_ns
from drivers.commands import RackCommand
from drivers.config.config_yaml import parse_strict
from drivers.contactors.described import ContactorReading, DescribedContactors
from drivers.links.modbus import ModbusLink
from drivers.profiles import Profile, find_profile
from drivers.serve.frames import ModbusFault
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import current_network, run_virtual

HOST, PORT = "10.0.0.31", 502
WATCHDOG_S = 4.0
ARMED = [("register", 0x1008, [0x55AA]), ("register", 0x1000, [40]), ("register", 0x1001, [0x0010]),
         ("register", 0x1003, [1])]  # fmt: skip
MAIN, PRECHARGE = 0, 1


class Coupler:
    """Coils, inputs, and registers of the watchdog, whose end is set by `ended`. `log`: what was written, in order."""

    def __init__(self) -> None:
        self.inputs = [0] * 8
        self.coils = [0] * 8
        self.ended = False
        self.log: list[tuple[str, int, list[int]]] = []

    def read(self, address: int, count: int) -> list[int]:
        raise ModbusFault(2)

    def read_coils(self, address: int, count: int) -> list[int]:
        raise ModbusFault(2)

    def read_discrete(self, address: int, count: int) -> list[int]:
        if self.ended:
            raise ModbusFault(4)
        return self.inputs[address : address + count]

    def write(self, address: int, values: list[int]) -> None:
        self.ended &= (address, values) != (0x1008, [0x55AA])
        if self.ended:
            raise ModbusFault(4)
        self.log.append(("register", address, values))

    def write_coils(self, address: int, values: list[int]) -> None:
        if self.ended:
            raise ModbusFault(4)
        self.coils[address : address + len(values)] = values
        self.log.append(("coil", address, values))

    def end(self) -> None:
        """Its watchdog ends."""
        self.ended, self.coils, self.log = True, [0] * 8, []


class Wire:
    def __init__(self, profile: Profile) -> None:
        self.device = Coupler()
        self.server = ModbusServer(self.device)
        self.driver = DescribedContactors(ModbusLink(HOST, PORT, 1), profile, WATCHDOG_S)

    def command(self, main: bool, precharge: bool, lasts_s: float = 60.0) -> None:
        self.driver.command(RackCommand(main, precharge, now_ns() + round(lasts_s * 1e9)))

    @property
    def says(self) -> ContactorReading:
        return self.driver.reading()


def play(test: Callable[[Wire], Awaitable[None]], profile: Profile | None = None) -> None:
    """The test gets a wire that was polled for half a second."""

    async def main() -> None:
        wire = Wire(profile or find_profile("contactor-block"))
        await wire.server.start(HOST, PORT)
        running = asyncio.create_task(wire.driver.run())
        await asyncio.sleep(0.5)
        await test(wire)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        wire.server.close()

    run_virtual(main())


def test_watchdog_is_stopped_told_its_time_and_set_going_before_anything_is_closed() -> None:
    async def test(wire: Wire) -> None:
        assert wire.device.log == ARMED
        assert math.isnan(wire.says.command_age_s)
        wire.command(False, True)
        await asyncio.sleep(0.1)
        assert wire.device.log == [*ARMED, ("coil", MAIN, [0]), ("coil", PRECHARGE, [1])]
        assert wire.says.command_age_s < 0.1

    play(test)


@pytest.mark.parametrize(("inputs", "main", "precharge"), [([0, 0], False, False), ([1, 0], True, False),
                                                           ([0, 1], False, True), ([1, 1], True, True)])  # fmt: skip
def test_auxiliary_contacts_are_the_first_two_inputs(inputs: list[int], main: bool, precharge: bool) -> None:
    async def test(wire: Wire) -> None:
        wire.device.inputs[:2] = inputs
        await asyncio.sleep(0.1)
        assert (wire.says.main_closed, wire.says.precharge_closed) == (main, precharge)
        assert now_ns() - wire.says.at_ns < 60_000_000

    play(test)


def test_changed_command_goes_out_within_50_ms_and_an_opening_before_a_closing() -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False)
        await asyncio.sleep(0.06)
        assert wire.device.coils[:2] == [1, 0]
        wire.device.log.clear()
        wire.command(False, True)
        await asyncio.sleep(0.06)
        assert wire.device.log == [("coil", MAIN, [0]), ("coil", PRECHARGE, [1])]
        wire.device.log.clear()
        wire.command(True, False)
        await asyncio.sleep(0.06)
        assert wire.device.log == [("coil", PRECHARGE, [0]), ("coil", MAIN, [1])]

    play(test)


def test_writes_feed_the_watchdog_until_the_command_expires() -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False, lasts_s=2.0)
        await asyncio.sleep(2.0)
        fed = [each for each in wire.device.log if each == ("coil", MAIN, [1])]
        assert len(fed) == 5
        wire.device.log.clear()
        await asyncio.sleep(2.0)
        assert wire.device.log == []
        assert wire.says.command_age_s > 2.0
        assert now_ns() - wire.says.at_ns < 60_000_000

    play(test)


def test_block_that_dropped_is_set_going_and_closes_only_after_it_was_told_to_open() -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False)
        await asyncio.sleep(0.1)
        wire.device.end()
        await asyncio.sleep(0.5)
        assert wire.says.watchdog_tripped
        assert wire.device.log[:4] == ARMED
        assert ("coil", MAIN, [1]) not in wire.device.log
        wire.command(False, False)
        await asyncio.sleep(0.1)
        wire.command(True, False)
        await asyncio.sleep(0.1)
        assert wire.device.coils[:2] == [1, 0]
        assert not wire.says.watchdog_tripped

    play(test)


def test_block_that_was_silent_for_long_may_have_dropped() -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False)
        await asyncio.sleep(0.1)
        wire.server.faults.silent = True
        await asyncio.sleep(2.5)
        assert wire.says.at_ns < now_ns() - 2_000_000_000
        assert wire.says.command_age_s > 2.4
        wire.server.faults.silent = False
        await asyncio.sleep(6.0)
        assert wire.device.coils[:2] == [0, 0]
        assert now_ns() - wire.says.at_ns < 60_000_000

    play(test)


def test_short_break_of_the_connection_changes_nothing() -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False)
        await asyncio.sleep(0.1)
        wire.device.log.clear()
        current_network().reset(HOST, PORT)
        await asyncio.sleep(1.0)
        assert wire.driver.health.reconnects == 1
        assert wire.device.log[:6] == [*ARMED, ("coil", PRECHARGE, [0]), ("coil", MAIN, [1])]
        assert 0 not in [values[0] for kind, at, values in wire.device.log if (kind, at) == ("coil", MAIN)]

    play(test)


@pytest.mark.parametrize("code", [1, 2, 3])
def test_refusing_block_gives_no_reading(code: int) -> None:
    async def test(wire: Wire) -> None:
        wire.command(True, False)
        await asyncio.sleep(0.1)
        wire.server.faults.exception = code
        await asyncio.sleep(1.0)
        assert wire.says.at_ns < now_ns() - 900_000_000
        assert wire.says.command_age_s > 0.9
        assert not wire.says.watchdog_tripped
        wire.server.faults.exception = None
        await asyncio.sleep(0.1)
        assert now_ns() - wire.says.at_ns < 60_000_000

    play(test)


def test_nothing_is_known_before_the_first_answer() -> None:
    driver = DescribedContactors(ModbusLink(HOST, PORT, 1), find_profile("contactor-block"), WATCHDOG_S)
    says = driver.reading()
    assert (says.at_ns, says.main_closed, says.precharge_closed) == (NEVER_NS, None, None)
    assert math.isnan(says.command_age_s)


WORDS = """\
name: words
says: outputs and inputs in one word each, a heartbeat
kind: contactors
source: the test
registers:
  - {name: main-says, role: main-closed, address: 0, function: 3, mask: 0x10, true_at: [0x10]}
  - {name: main, role: main-output, address: 10, write: 6, mask: 0x01, true_at: [0x01], false_at: [0x00]}
  - {name: precharge, role: precharge-output, address: 10, write: 6, mask: 0x04, true_at: [0x04], false_at: [0x00]}
  - {name: beat, role: heartbeat, address: 11, write: 6}
silence: {kind: heartbeat, period_s: 0.5, counts_to: 2, time_s: 5}
"""


class Words(Coupler):
    def read(self, address: int, count: int) -> list[int]:
        return [0x0010]


def test_outputs_in_one_word_and_a_heartbeat_that_counts() -> None:
    async def test(wire: Wire) -> None:
        wire.server.replace(device := Words())
        await asyncio.sleep(0.3)
        wire.command(True, True)
        await asyncio.sleep(2.0)
        assert device.log[0] == ("register", 10, [0b101])
        beats = [values[0] for _, address, values in device.log if address == 11]
        assert beats == [1, 2, 0, 1]
        assert wire.says.main_closed is True
        assert wire.says.precharge_closed is None

    play(test, parse_strict(WORDS, Profile, file="words.yaml", folder=Path()))


def test_hold_stops_the_watchdog_once_the_outputs_are_written_until_commands_do_not_say_so() -> None:
    async def test(wire: Wire) -> None:
        def command(hold: bool) -> None:
            wire.driver.command(RackCommand(True, False, now_ns() + 60_000_000_000, hold))

        wire.device.log.clear()
        command(hold=True)
        await asyncio.sleep(0.2)
        assert wire.device.log == [("coil", PRECHARGE, [0]), ("coil", MAIN, [1]), ("register", 0x1008, [0x55AA])]
        wire.device.log.clear()
        command(hold=False)
        await asyncio.sleep(0.2)
        assert wire.device.log == [*ARMED, ("coil", PRECHARGE, [0]), ("coil", MAIN, [1])]

    play(test)


def test_block_that_holds_was_not_opened_by_a_silence_of_any_length() -> None:
    async def test(wire: Wire) -> None:
        wire.driver.command(RackCommand(True, False, now_ns() + 60_000_000_000, hold=True))
        await asyncio.sleep(0.2)
        wire.server.faults.silent = True
        await asyncio.sleep(8.0)
        wire.server.faults.silent = False
        wire.device.log.clear()
        await asyncio.sleep(3.0)
        assert wire.device.log[: len(ARMED) + 2] == [*ARMED, ("coil", PRECHARGE, [0]), ("coil", MAIN, [1])]
        assert ("register", 0x1008, [0x55AA]) in wire.device.log[len(ARMED) :]

    play(test)


def test_block_without_a_way_to_hold_opens_as_always() -> None:
    async def test(wire: Wire) -> None:
        wire.server.replace(device := Words())
        await asyncio.sleep(0.3)
        wire.driver.command(RackCommand(True, False, now_ns() + 60_000_000_000, hold=True))
        await asyncio.sleep(1.0)
        assert {address for _, address, _ in device.log} == {10, 11}

    play(test, parse_strict(WORDS, Profile, file="words.yaml", folder=Path()))


def test_profile_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="profile io-block describes an auxiliary device, expected a contactor block"):
        DescribedContactors(ModbusLink(HOST, PORT, 1), find_profile("io-block"), WATCHDOG_S)
