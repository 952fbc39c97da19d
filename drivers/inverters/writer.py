"""Keeps a converter at the newest command: set-point, start and stop, heartbeat, each when it is due."""

import asyncio
from collections.abc import Callable, Sequence

from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.applied import Applied
from drivers.inverters.device import InverterDevice, SaidSetPoints, Write
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.readings import NEVER_NS, InverterState, SentPower

SET_POINT_PERIOD_NS = 400_000_000
"""Two refreshes and one lost write fit into the shortest reversion of 1 s."""
OPERATE_PERIOD_NS = 1_000_000_000
NEVER_DUE_NS = 2**62

RUNNING_STATES = frozenset({InverterState.STARTING, InverterState.RUNNING, InverterState.THROTTLED})
FOLLOWING_STATES = RUNNING_STATES - {InverterState.STARTING}
STOPPED_STATES = frozenset(
    {
        InverterState.OFF,
        InverterState.SLEEPING,
        InverterState.SHUTTING_DOWN,
        InverterState.FAULT,
        InverterState.STANDBY,
    }
)


class Writer:
    """One command at a time, the newest. `see` takes what polls say: a grid-forming converter that shall run gets no
    set-point and no reversion. `seen_state` is the state of the last poll, `writes` counts acknowledged set-points,
    `sent` is the newest of active power, `power_w` and `reactive_var` are those in effect. `stop_taken` is set when the
    device has acknowledged a STOP that is no repetition."""

    def __init__(self, link: ModbusLink) -> None:
        self.seen_state = InverterState.UNKNOWN
        self._forming = False
        self.power_w, self.reactive_var = Applied(), Applied()
        self.writes = 0
        self.sent: SentPower | None = None
        self.stop_taken = asyncio.Event()
        self._reactive_told = False
        self._link = link
        self._command: InverterCommand | None = None
        self._wake = asyncio.Event()
        self._heartbeat = 0
        self._prepared = False
        self._operated: bool | None = None
        self._writes_set_point = False
        self._set_point_due_ns = self._operate_due_ns = self._heartbeat_due_ns = NEVER_NS
        self._resets_until_ns = NEVER_NS

    def command(self, command: InverterCommand) -> None:
        self._command = command
        self._set_point_due_ns = NEVER_NS
        self._wake.set()

    def reset_alarms(self, expires_ns: int) -> None:
        """Once, as soon as the device takes it."""
        self._resets_until_ns = expires_ns
        self._set_point_due_ns = NEVER_NS
        self._wake.set()

    @property
    def set_point_free(self) -> bool:
        """The device runs, has taken what protects it (its timer), and no set-point is on its way to it: somebody else
        may write the next one, once the command says so."""
        following = self.seen_state in FOLLOWING_STATES and not self._forming
        return following and self._prepared and not self._writes_set_point

    def see(self, state: InverterState, *, forming: bool) -> None:
        self.seen_state = state
        if forming != self._forming:
            self._forming = forming
            self._set_point_due_ns = NEVER_NS
            self._wake.set()

    def confirm(self, said: SaidSetPoints) -> None:
        """Takes set-points as read back."""
        if said.power_w is not None:
            self.power_w.confirm(said.power_w)
        if said.reactive_var is not None:
            self.reactive_var.confirm(said.reactive_var)

    async def write_for_ever(self, device: Callable[[], InverterDevice]) -> None:
        """For one connection: everything is due at once. Raises LinkDown; other link errors are tried again when the
        same write is due next."""
        self.seen_state = InverterState.UNKNOWN
        self._prepared, self._operated = False, None
        self.power_w.begin()
        self.reactive_var.begin()
        self._set_point_due_ns = self._operate_due_ns = self._heartbeat_due_ns = NEVER_NS
        while True:
            self._wake.clear()
            command = self._command
            if command is not None and now_ns() < command.expires_ns:
                await self._write_due(command, device())
            await self._sleep_until_due()

    async def _write_due(self, command: InverterCommand, device: InverterDevice) -> None:
        """Set-point first, so that power is zero before the converter stops. A command that came meanwhile and wants
        the converter stopped instead of running, or the other way round, ends this round: its set-point is first."""
        at_ns = now_ns()
        refreshes = at_ns >= self._set_point_due_ns
        if refreshes:
            self._set_point_due_ns = at_ns + SET_POINT_PERIOD_NS
            self._prepared = self._prepared or await self._write_all(device.prepare(), command)
            await self._write_set_point(command, device)
            await self._reset_alarms(command, device)
        if self._operation_due(command) and self._is_wanted(command.run):
            self._operate_due_ns = at_ns + OPERATE_PERIOD_NS
            await self._operate(command, device)
        if refreshes and self._is_wanted(command.run):
            await self._write_reactive(self._command or command, device)
        if at_ns >= self._heartbeat_due_ns and self._is_wanted(command.run):
            period_s = device.heartbeat_period_s
            self._heartbeat_due_ns = NEVER_DUE_NS if period_s is None else at_ns + round(period_s * 1e9)
            await self._beat(command, device)

    async def _sleep_until_due(self) -> None:
        command = self._command
        if command is None or now_ns() >= command.expires_ns:
            await self._wake.wait()
            return
        due_ns = min(self._set_point_due_ns, self._heartbeat_due_ns)
        if not self._agrees(command):
            due_ns = min(due_ns, self._operate_due_ns)
        try:
            async with asyncio.timeout_at(due_ns * 1e-9):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _write_set_point(self, command: InverterCommand, device: InverterDevice) -> None:
        """Nothing while somebody else writes it, by this command or one that came since."""
        newest = self._command or command
        if not (command.set_point and newest.set_point):
            return
        self._writes_set_point = True
        try:
            await self._tell_power(command, device)
        finally:
            self._writes_set_point = False

    async def _tell_power(self, command: InverterCommand, device: InverterDevice) -> None:
        if self._forming and command.run:
            await self._release(command, device)
            return
        wanted = device.set_point(command.power_w if command.run and self._takes_power(device) else 0.0)
        sent_ns = await self._write_one_by_one(wanted.writes, command)
        if sent_ns is not None:
            self.writes += 1
            self.sent = SentPower(sent_ns, wanted.power_w)
            self.power_w.acknowledge(wanted.power_w)

    async def _write_reactive(self, command: InverterCommand, device: InverterDevice) -> None:
        """Without a wish nothing, once what was told before has been taken back."""
        tells = command.run and not self._forming and self._takes_power(device)
        reactive_var = command.reactive_var if tells else None
        if not device.takes_reactive or (reactive_var is None and not self._reactive_told):
            return
        wanted = device.reactive(reactive_var)
        self._reactive_told = True
        if await self._write_one_by_one(wanted.writes, command) is None:
            return
        self.writes += 1
        if reactive_var is None:
            self._reactive_told = False
            self.reactive_var.release()
        else:
            self.reactive_var.acknowledge(wanted.reactive_var)

    def _takes_power(self, device: InverterDevice) -> bool:
        """Not before what protects it was taken (its timer), nor where it would be lost."""
        ignored = device.set_point_when_running and self.seen_state not in FOLLOWING_STATES
        return self._prepared and not ignored

    async def _write_one_by_one(self, writes: Sequence[Write], command: InverterCommand) -> int | None:
        """When the last write was sent; None as soon as one was not taken."""
        sent_ns = None
        for write in writes:
            sent_ns = await self._write(write, command)
            if sent_ns is None:
                break
        return sent_ns

    async def _release(self, command: InverterCommand, device: InverterDevice) -> None:
        if await self._write_one_by_one(device.release().writes, command) is not None:
            self.writes += 1
            self.sent = None
            self.power_w.release()

    def _operation_due(self, command: InverterCommand) -> bool:
        if command.run != self._operated:
            return True
        return not self._agrees(command) and now_ns() >= self._operate_due_ns

    def _is_wanted(self, run: bool) -> bool:
        return self._command is not None and self._command.run == run

    def _agrees(self, command: InverterCommand) -> bool:
        return self.seen_state in (RUNNING_STATES if command.run else STOPPED_STATES)

    async def _operate(self, command: InverterCommand, device: InverterDevice) -> None:
        repeated, self._operated = self._operated == command.run, command.run
        if not await self._write_all(device.operate(command.run), command):
            self._operated = None
        elif not command.run and not repeated:
            self.stop_taken.set()

    async def _reset_alarms(self, command: InverterCommand, device: InverterDevice) -> None:
        """A fault's reset starts nothing: the command says whether it runs."""
        if now_ns() < self._resets_until_ns and await self._write_all(device.reset_alarms(), command):
            self._resets_until_ns = NEVER_NS

    async def _beat(self, command: InverterCommand, device: InverterDevice) -> None:
        if device.heartbeat_period_s is not None:
            self._heartbeat += 1
            await self._write(device.heartbeat(self._heartbeat), command)

    async def _write_all(self, writes: Sequence[Write], command: InverterCommand) -> bool:
        """One after the other, while each was taken and the command wants the same as the newest."""
        for write in writes:
            if not self._is_wanted(command.run) or await self._write(write, command) is None:
                return False
        return True

    async def _write(self, write: Write, command: InverterCommand) -> int | None:
        """When it was sent; None when it was not taken."""
        try:
            return await self._link.write_registers(
                write.address, write.registers, command.expires_ns, function=write.function
            )
        except LinkDown:
            raise
        except LinkError:
            return None
