"""A simulated storage converter behind any profile: registers, sequences and silence exactly as the profile says."""

from collections.abc import Callable, Sequence

from drivers.profiles import Profile
from drivers.profiles.codec import flag_raw
from drivers.profiles.maps import MANUFACTURER_ALARM
from drivers.profiles.parts import Listens, Reverts, Step
from drivers.profiles.registers import Register
from drivers.profiles.roles import LOOP, SET_POINTS, Role
from drivers.readings import InverterState
from hil_rigs.devices.described_registers import DescribedDevice, Writes
from hil_rigs.devices.modbus_frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.reversion import Reversion
from hil_rigs.devices.sunspec_inverter_models import GRID_VOLTAGE_V, Converter, ReportingFaults, alarm_bits

SHOWN_AS = {
    InverterState.STARTING: (InverterState.STARTING, InverterState.STANDBY, InverterState.OFF),
    InverterState.FAULT: (InverterState.FAULT, InverterState.OFF, InverterState.STANDBY),
    InverterState.OFF: (InverterState.OFF, InverterState.STANDBY),
    InverterState.RUNNING: (InverterState.RUNNING,),
}
"""States that stand for a converter's own, the best first: profiles need not name them all."""


class DescribedInverterDevice(DescribedDevice):
    """Registers of one converter, for a ModbusServer. Needs a running loop: its own clock of silence is on it.

    `local_control` is a fault hook: somebody at the panel took over, and writes are refused with exception 4.
    `on_control` is called whenever a write or a silence has set `set_power_w` or `told_to_run` anew.
    """

    def __init__(self, converter: Converter, profile: Profile) -> None:
        profile.must_be("inverter")
        super().__init__(profile)
        self.local_control = False
        self.on_control: Callable[[], None] = lambda: None
        self.faults = ReportingFaults()
        self.told_to_run = False
        self._converter = converter
        self._profile = profile
        self._power_w = self._reactive_var = 0.0
        self._heard = False
        self._silence = Reversion(self._fall_silent)
        self._registers.put(
            {
                "charge-power-max": converter.rated_power_w,
                "discharge-power-max": converter.rated_power_w,
                "apparent-power-max": converter.apparent_power_va,
                "reactive-injected-max": converter.reactive_var_max,
                "reactive-absorbed-max": converter.reactive_var_max,
            }
        )

    @property
    def set_power_w(self) -> float:
        """Set-point in effect, discharge positive."""
        return 0.0 if self._deaf else self._power_w

    @property
    def set_reactive_var(self) -> float:
        """Reactive set-point in effect, injected positive."""
        return 0.0 if self._deaf else self._reactive_var

    @property
    def _deaf(self) -> bool:
        """It waits for the first heartbeat."""
        return isinstance(self._profile.silence, Listens) and not self._heard

    def close(self) -> None:
        """Stops its clock of silence: the device is switched off."""
        self._silence.close()

    def _obey(self, written: Writes) -> None:
        if self.local_control:
            raise ModbusFault(DEVICE_FAILURE)
        most = {"set-point": self._converter.rated_power_w, "reactive-set-point": self._converter.reactive_var_max}
        for register, raw in written:
            if register.role in most and abs(register.si(raw)) > most[register.role]:
                raise ModbusFault(ILLEGAL_VALUE)
        for register, raw in written:
            changed = self._registers.raw(register) != raw
            self._registers.put_raw(register, raw)
            self._take(register, raw, changed)

    def _take(self, register: Register, raw: float, changed: bool) -> None:
        silence = self._profile.silence
        if register.role in SET_POINTS:
            self._take_set_point(register.role, register.sign * register.si(raw))
        if register.role == "command":
            self._operate(register)
        if register.role in LOOP:
            self._tell_loop()
        if register.role == "heartbeat" and changed and isinstance(silence, Listens):
            self._heard = True
            self._silence.restart(silence.time_s)
            self._apply()

    def _take_set_point(self, role: Role, value: float) -> None:
        if self._profile.set_point_when == "running" and self._converter.state != "running":
            return
        if role == "set-point":
            self._power_w = value
        else:
            self._reactive_var = value
        if isinstance(self._profile.silence, Reverts) and role == "set-point":
            self._silence.restart(self._value("reversion-time"))
        self._apply()

    def _fall_silent(self) -> None:
        self._heard, self._power_w, self._reactive_var = False, 0.0, 0.0
        self._registers.put({"set-point": 0.0, "reactive-set-point": 0.0, "loop-enable": 0.0})
        self._tell_loop()
        self._apply()

    def _tell_loop(self) -> None:
        if not self._profile.has_loop:
            return
        loop = self._converter.loop
        loop.enabled = self._value("loop-enable") != 0.0
        loop.filter_time_s, loop.ramp_w_per_s = self._value("loop-filter-time"), self._value("loop-ramp")
        loop.gain = self._value("loop-gain")
        loop.charge_power_w_max = self._value("loop-charge-power-max")
        loop.discharge_power_w_max = self._value("loop-discharge-power-max")

    def _apply(self) -> None:
        self._converter.set_power(self.set_power_w)
        self._converter.set_reactive(self.set_reactive_var)
        self.on_control()

    def _operate(self, written: Register) -> None:
        """The last write of a sequence counts, once all before it are in the registers."""
        if self._completes(self._profile.reset, written):
            self._converter.reset()
        for run, steps in ((True, self._profile.start), (False, self._profile.stop)):
            if self._completes(steps, written):
                self.told_to_run = run
                act = self._converter.start if run else self._converter.stop
                act()
                self.on_control()

    def _completes(self, steps: Sequence[Step], written: Register) -> bool:
        return bool(steps) and steps[-1].to == written.name and all(self._stands(step) for step in steps)

    def _stands(self, step: Step) -> bool:
        return self._registers.raw(self._profile.named(step.to)) == step.raw

    def _show(self) -> None:
        converter, faults = self._converter, self.faults
        self._registers.put(
            {
                "ac-power": converter.ac_power_w + faults.power_off_w,
                "reactive-power": converter.reactive_var,
                "ac-voltage": converter.ac_voltage_pu * GRID_VOLTAGE_V,
                "dc-power": converter.dc_power_w,
                "dc-voltage": max(converter.dc_voltage_v + faults.dc_voltage_off_v, 0.0),
                "dc-current": converter.dc_current_a,
                "frequency": converter.frequency_hz,
            }
        )
        self._show_state(InverterState.OFF if faults.says_off else InverterState(converter.state))
        self._show_flag("grid-connected", converter.frequency_hz > 0)
        self._show_flag("remote-control", not self.local_control)
        self._show_alarms(alarm_bits(converter.alarm) | faults.alarm_bits)

    def _show_state(self, state: InverterState) -> None:
        register = self._register("state")
        assert register is not None, "the profile was checked"
        assert register.states is not None, "the profile was checked"
        raws: list[Sequence[int]] = [getattr(register.states, shown.value) for shown in SHOWN_AS[state]]
        self._registers.put_raw(register, next(raw[0] for raw in raws if raw))

    def _show_flag(self, role: Role, value: bool) -> None:
        register = self._register(role)
        if register is not None:
            self._registers.put_raw(register, flag_raw(register, value))

    def _show_alarms(self, bits: int) -> None:
        register = self._register("alarms")
        if register is None:
            return
        named = {} if register.alarms is None else register.alarms.table()
        free = next((bit for bit in range(16 * register.size) if bit not in named), 0)
        shown = {number: bit for bit, number in sorted(named.items(), reverse=True)}
        other = shown.get(MANUFACTURER_ALARM, free)
        places = {shown.get(number, other) for number in range(32) if bits >> number & 1}
        self._registers.put_raw(register, sum(1 << place for place in places))

    def _register(self, role: Role) -> Register | None:
        return self._profile.find(role)

    def _value(self, role: Role) -> float:
        """Present SI value of a register that holds a number."""
        register = self._register(role)
        raw = None if register is None else self._registers.raw(register)
        return 0.0 if register is None or raw is None else register.si(raw)
