"""A converter behind a profile: its roles become readings, commands become writes to its registers.

Signs: every power and current register names its own positive direction; inside, discharge is positive.
"""

from dataclasses import dataclass
from math import isnan, nan

from drivers.inverters.device import ReactiveSetPoint, SaidSetPoints, SetPoint, Write
from drivers.links.modbus import ModbusLink
from drivers.profiles.codec import encode, nearest_raw
from drivers.profiles.parts import Listens, Step
from drivers.profiles.profile import Profile
from drivers.profiles.reader import POLLED, RoleReader
from drivers.profiles.registers import Register
from drivers.profiles.roles import RATING, SET_POINTS, Role
from drivers.readings import InverterRating, InverterReading
from drivers.session import UnusableDevice

KEEPS_ON = "its profile has neither timer nor heartbeat"


@dataclass(frozen=True, slots=True)
class DescribedDevice:
    """One converter on one connection. `reversion_s`: see `Profile.silence`."""

    profile: Profile
    rating: InverterRating
    reversion_s: float
    polled: RoleReader
    confirmed: RoleReader

    @property
    def heartbeat_period_s(self) -> float | None:
        silence = self.profile.silence
        return silence.period_s if isinstance(silence, Listens) else None

    @property
    def set_point_when_running(self) -> bool:
        return self.profile.set_point_when == "running"

    @property
    def silence(self) -> str | None:
        return None if self.profile.reverts else KEEPS_ON

    def prepare(self) -> list[Write]:
        """Its own timer, where it has one."""
        register = self.profile.find("reversion-time")
        return [] if register is None else [self._write(register, nearest_raw(register, self.reversion_s))]

    def set_point(self, power_w: float) -> SetPoint:
        """Rounded towards zero, within the rating and the register."""
        told_w, write = self._nearest("set-point", self.rating.clamped_w(power_w))
        return SetPoint(told_w, (write,))

    @property
    def takes_reactive(self) -> bool:
        return self.profile.find("reactive-set-point") is not None

    def reactive(self, reactive_var: float | None) -> ReactiveSetPoint:
        """Rounded towards zero, within the rating and the register. It has no other behaviour of its own than 0 var."""
        told_var, write = self._nearest("reactive-set-point", self.rating.clamped_var(reactive_var or 0.0))
        return ReactiveSetPoint(nan if reactive_var is None else told_var, (write,))

    @property
    def opened_forming(self) -> bool:
        """It never says that it forms."""
        return False

    def release(self) -> SetPoint:
        """Nothing: it never says that it forms."""
        return SetPoint(nan, ())

    def operate(self, run: bool) -> list[Write]:
        return [self._step(step) for step in (self.profile.start if run else self.profile.stop)]

    def reset_alarms(self) -> list[Write]:
        return [self._step(step) for step in self.profile.reset]

    def heartbeat(self, count: int) -> Write:
        silence = self.profile.silence
        assert isinstance(silence, Listens), "only asked for where there is a period"
        return self._write(self._register("heartbeat"), count % (silence.counts_to + 1))

    async def poll(self, link: ModbusLink, at_ns: int) -> InverterReading:
        """A device without registers for it counts as connected and in remote control: it has no other way to be."""
        said = await self.polled.read(link)
        return InverterReading(
            at_ns=at_ns,
            state=said.state(),
            ac_power_w=said.number("ac-power"),
            dc_power_w=said.number("dc-power"),
            dc_voltage_v=said.number("dc-voltage"),
            dc_current_a=said.number("dc-current"),
            frequency_hz=said.number("frequency"),
            grid_connected=said.flag("grid-connected", default=True),
            remote_control=said.flag("remote-control", default=True),
            alarm_bits=said.alarms(),
            ac_reactive_var=said.number("reactive-power"),
            ac_voltage_v=said.number("ac-voltage"),
        )

    async def read_back(self, link: ModbusLink) -> SaidSetPoints:
        said = await self.confirmed.read(link)
        power_w, reactive_var = [said.number(role) if role in self.confirmed else None for role in SET_POINTS]
        return SaidSetPoints(power_w, reactive_var)

    def _nearest(self, role: Role, value: float) -> tuple[float, Write]:
        """What the register of that role can say of `value` (ours), and the message that says it."""
        register = self._register(role)
        raw = nearest_raw(register, register.sign * value)
        return register.sign * register.si(raw), self._write(register, raw)

    def _register(self, role: Role) -> Register:
        register = self.profile.find(role)
        assert register is not None, "the profile was checked"
        return register

    def _step(self, step: Step) -> Write:
        return self._write(self.profile.named(step.to), step.raw)

    def _write(self, register: Register, raw: float) -> Write:
        assert register.write is not None, "the profile was checked"
        return Write(register.address, encode(register, raw, self.profile.word_order), register.write)


async def open_device(link: ModbusLink, profile: Profile, reversion_s: float) -> DescribedDevice:
    """Reads the nameplate. UnusableDevice when the device does not say its active power; link errors pass."""
    return DescribedDevice(
        profile=profile,
        rating=profile.fixed_rating or await _rating(link, profile),
        reversion_s=reversion_s,
        polled=RoleReader(profile, POLLED["inverter"]),
        confirmed=RoleReader(profile, SET_POINTS),
    )


async def _rating(link: ModbusLink, profile: Profile) -> InverterRating:
    said = await RoleReader(profile, RATING).read(link)
    rating = InverterRating(
        charge_power_w_max=said.number("charge-power-max"),
        discharge_power_w_max=said.number("discharge-power-max"),
        apparent_power_va_max=said.number("apparent-power-max"),
        reactive_injected_var_max=said.number("reactive-injected-max"),
        reactive_absorbed_var_max=said.number("reactive-absorbed-max"),
    )
    if isnan(rating.charge_power_w_max) or isnan(rating.discharge_power_w_max):
        raise UnusableDevice(f"the device does not say its rating, which profile {profile.name} reads from it")
    return rating
