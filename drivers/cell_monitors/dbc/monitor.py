"""The driver of a monitor described by a DBC file and a mapping: frames into readings, commands into its message."""

import asyncio
import math

import numpy as np

from drivers.cell_monitors.dbc.mapping import Command, DbcMapping, Feedback
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.pace import Pace
from drivers.readings import NEVER_NS, Flags, Floats, LinkHealth, MonitorHealth, RackReading, Times
from kernels.canbits import FrameDecoder, FrameEncoder


class DbcDecoder:
    """Newest values of one rack in a mapping's terms."""

    def __init__(self, mapping: DbcMapping) -> None:
        plan = mapping.measured()
        self._mapping = mapping
        self._decoder = FrameDecoder(plan.frames)
        place = plan.signal_index
        self._voltages = np.array([place[key] for key in mapping.voltages.signals])
        self._temperatures = _spread([place[key] for key in mapping.temperatures.signals], len(self._voltages))
        scalars = mapping.current, mapping.rack_voltage, mapping.link_voltage
        self._scalars = [(place[values.signals[0]], values.factor) for values in scalars]
        self._main = place[mapping.main_closed.signal] if mapping.main_closed else None
        self._precharge = place[mapping.precharge_closed.signal] if mapping.precharge_closed else None
        self._frame_of = plan.frames.signal_frame
        self._not_bleeding: Flags = np.zeros(len(self._voltages), np.uint8)
        self._not_bleeding.flags.writeable = False

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    def reading(self) -> RackReading:
        """What is known now; every array is a private, read-only copy."""
        values, mapping = self._decoder.values, self._mapping
        voltage_v = values[self._voltages] * mapping.voltages.factor
        temperature_degc = values[self._temperatures] * mapping.temperatures.factor
        current_a, rack_v, link_v = (values.item(place) * factor for place, factor in self._scalars)
        io_places = [*([] if self._main is None else [self._main]), *(place for place, _ in self._scalars[1:])]
        return RackReading(
            voltage_v=_sealed(voltage_v),
            voltage_at_ns=self._times(self._voltages, voltage_v),
            temperature_degc=_sealed(temperature_degc),
            temperature_at_ns=self._times(self._temperatures, temperature_degc),
            bleeding=self._not_bleeding,
            current_a=current_a,
            current_at_ns=self._at_ns(self._scalars[0][0]),
            rack_voltage_v=rack_v,
            link_voltage_v=link_v,
            main_closed=self._closed(mapping.main_closed, self._main),
            precharge_closed=self._closed(mapping.precharge_closed, self._precharge),
            command_age_s=math.nan,
            io_at_ns=min(self._at_ns(place) for place in io_places),
            health=self.health,
        )

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start."""
        decoder = self._decoder
        return MonitorHealth(
            decoder.accepted, decoder.crc_errors, decoder.counter_errors, decoder.length_errors, decoder.lost,
            decoder.unknown,
        )  # fmt: skip

    def _closed(self, feedback: Feedback | None, place: int | None) -> bool | None:
        """None where there is no such contact, or it was not heard."""
        if feedback is None or place is None:
            return None
        value = self._decoder.values.item(place)
        return None if math.isnan(value) else value == feedback.closed

    def _at_ns(self, place: int) -> int:
        return self._decoder.at_ns.item(self._frame_of.item(place))

    def _times(self, places: Times, values: Floats) -> Times:
        """NEVER_NS where the value is absent."""
        times = np.where(np.isnan(values), NEVER_NS, self._decoder.at_ns[self._frame_of[places]])
        times.flags.writeable = False
        return times


class DbcMonitor:
    """One rack on its own bus. The command is repeated until it expires; past that nothing is sent and the rack's own
    watchdog acts; a mapping without one sends nothing. Cells bleed and outputs switch by the monitor's own will: those
    commands go nowhere."""

    def __init__(self, mapping: DbcMapping, config: CanConfig, opener: CanOpener = open_python_can) -> None:
        self._decoder = DbcDecoder(mapping)
        self._link = CanLink(config, self.on_batch, opener)
        self._sender = None if mapping.command is None else _Sender(mapping, mapping.command, self._link)

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus; the frames' own counts are in each reading."""
        return self._link.health

    def reading(self) -> RackReading:
        """What is known now."""
        return self._decoder.reading()

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    def command(self, command: RackCommand) -> None:
        """Wanted contactor state until its expiry; the latest wins and a change goes out at once."""
        if self._sender is not None:
            self._sender.command(command)

    def bleed(self, command: BleedCommand) -> None:
        """Not in a mapping."""

    def outputs(self, command: OutputsCommand) -> None:
        """Not in a mapping."""

    async def run(self) -> None:
        """Keep the bus open and the command refreshed until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            if self._sender is not None:
                tasks.create_task(self._sender.run())


class _Sender:
    """Keeps the command on the bus."""

    def __init__(self, mapping: DbcMapping, command: Command, link: CanLink) -> None:
        self._period_s, self._link = command.period_s, link
        plan = mapping.commands(command)
        self._encoder = FrameEncoder(plan.frames)
        self._values: Floats = np.zeros(len(plan.signal_index))
        for name, value in command.others.items():
            self._values[plan.signal_index[command.message, name]] = value
        self._main = plan.signal_index[command.message, command.main]
        self._precharge = plan.signal_index[command.message, command.precharge] if command.precharge else None
        self._frame: Times = np.array([plan.frame_index[command.message]], np.int64)
        self._expires_ns = NEVER_NS

    def command(self, command: RackCommand) -> None:
        before = self._values.tobytes()
        self._values[self._main] = command.main_closed
        if self._precharge is not None:
            self._values[self._precharge] = command.precharge_closed
        changed = self._values.tobytes() != before or self._expires_ns == NEVER_NS
        self._expires_ns = command.expires_ns
        if changed:
            self._send()

    async def run(self) -> None:
        pace = Pace(self._period_s)
        while True:
            self._send()
            await pace.next()

    def _send(self) -> None:
        if now_ns() < self._expires_ns and self._link.open:
            self._link.send(self._encoder.encode(self._frame, self._values))


def _spread(places: list[int], cells: int) -> Times:
    """Each cell's sensor."""
    return np.array(places)[np.arange(cells) * len(places) // cells]


def _sealed(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
