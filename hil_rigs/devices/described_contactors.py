"""A simulated contactor block behind any profile: outputs that drive a rack's contactors, inputs that show them."""

from dataclasses import dataclass
from typing import Protocol

from drivers.profiles import Profile
from drivers.profiles.codec import flag_raw
from drivers.profiles.parts import Listens, Step
from drivers.profiles.registers import Register
from drivers.profiles.roles import Role
from hil_rigs.devices.described_registers import DescribedDevice, Writes
from hil_rigs.devices.modbus_frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.reversion import Reversion

CHATTER_READS = 5


class Contactors(Protocol):
    """What it drives and shows; hil_rigs.plant.RackPlant is one."""

    @property
    def main_closed(self) -> bool: ...
    @property
    def precharge_closed(self) -> bool: ...
    def command(self, main: bool, precharge: bool) -> None: ...


@dataclass(slots=True)
class ContactorBlockFaults:
    """Set at any time. `main_stuck`, `precharge_stuck`: an output stays as it was, whatever is written; `chatters`: the
    main contactor's auxiliary contact goes to and fro; `main_feedback` is what it says, None = the truth."""

    main_stuck: bool = False
    precharge_stuck: bool = False
    chatters: bool = False
    main_feedback: bool | None = None


class DescribedContactorBlock(DescribedDevice):
    """Registers, coils and inputs of one block, for a ModbusServer. Needs a running loop: its watchdog is on it.

    The watchdog runs from the end of the start sequence, or from the first write of an output where there is none, and
    is fed by writes of outputs, or by a changing heartbeat. When it ends, all outputs open; a block with a reset
    sequence then refuses everything but that with exception 4. Its time cannot be changed while it runs; the hold
    sequence stops it. ValueError for the profile of something else.
    """

    def __init__(self, rack: Contactors, profile: Profile) -> None:
        profile.must_be("contactors")
        super().__init__(profile)
        self.faults = ContactorBlockFaults()
        self.dropped = False
        self._rack, self._profile = rack, profile
        self._main = self._precharge = self._runs = self._holds = False
        self._reads = 0
        self._watchdog = Reversion(self._drop)

    @property
    def left_closed(self) -> bool:
        """Its watchdog was stopped while something is closed: nobody needs to speak to it."""
        return self._holds and (self._main or self._precharge)

    def close(self) -> None:
        """Stops its watchdog: the block is switched off."""
        self._watchdog.close()

    def _read(self, table: int, address: int, count: int) -> list[int]:
        if self.dropped:
            raise ModbusFault(DEVICE_FAILURE)
        return super()._read(table, address, count)

    def _obey(self, written: Writes) -> None:
        resets = [step.to for step in self._profile.reset]
        if self.dropped and any(register.name not in resets for register, _ in written):
            raise ModbusFault(DEVICE_FAILURE)
        for register, raw in written:
            if register.role == "reversion-time" and self._runs:
                raise ModbusFault(ILLEGAL_VALUE)
            if register.true_at and raw not in (*register.true_at, *register.false_at):
                raise ModbusFault(ILLEGAL_VALUE)
        for register, raw in written:
            changed = self._registers.raw(register) != raw
            self._registers.put_raw(register, raw)
            self._take(register, raw, changed)

    def _take(self, register: Register, raw: float, changed: bool) -> None:
        if register.role == "main-output" and not self.faults.main_stuck:
            self._main = raw in register.true_at
        if register.role == "precharge-output" and not self.faults.precharge_stuck:
            self._precharge = raw in register.true_at
        if register.role in ("main-output", "precharge-output"):
            self._rack.command(self._main, self._precharge)
            self._runs |= not self._profile.start and not self._holds
        listens = isinstance(self._profile.silence, Listens)
        if register.role == "heartbeat" and changed and listens:
            self._runs |= not self._holds
        fed = (register.role == "heartbeat" and changed) if listens else register.role.endswith("-output")
        if self._ends(self._profile.reset, register):
            self._runs = self._holds = self.dropped = False
            self._watchdog.close()
        if self._ends(self._profile.hold, register):
            self._runs, self._holds = False, True
            self._watchdog.close()
        if self._ends(self._profile.start, register):
            self._runs, self._holds, fed = True, False, True
        if self._runs and fed:
            self._watchdog.restart(self._time_s())

    def _ends(self, steps: tuple[Step, ...], written: Register) -> bool:
        """This write completes the sequence."""
        named = [(self._profile.named(step.to), step.raw) for step in steps]
        return bool(named) and named[-1][0] is written and all(self._registers.raw(at) == raw for at, raw in named)

    def _time_s(self) -> float:
        register = self._profile.find("reversion-time")
        raw = None if register is None else self._registers.raw(register)
        told_s = 0.0 if register is None or raw is None else register.si(raw)
        return self._profile.drops_after_s(told_s)

    def _drop(self) -> None:
        self._runs, self.dropped = False, bool(self._profile.reset)
        self._main = self._main and self.faults.main_stuck
        self._precharge = self._precharge and self.faults.precharge_stuck
        self._rack.command(self._main, self._precharge)

    def _show(self) -> None:
        self._reads += 1
        faults = self.faults
        main = self._rack.main_closed if faults.main_feedback is None else faults.main_feedback
        flips = faults.chatters and self._reads // CHATTER_READS % 2 == 1
        shown: dict[Role, bool] = {"main-closed": main != flips, "precharge-closed": self._rack.precharge_closed}
        for role, value in shown.items():
            register = self._profile.find(role)
            if register is not None:
                self._registers.put_raw(register, flag_raw(register, value))
