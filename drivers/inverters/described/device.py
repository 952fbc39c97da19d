"""A converter behind a profile: its roles become readings, commands become writes to its registers.

Signs: every power and current register names its own positive direction; inside, discharge is positive.
"""

from dataclasses import dataclass
from math import isnan, nan

from drivers.inverters.device import SetPoint, Write
from drivers.links.modbus import ModbusLink
from drivers.profiles.codec import encode, nearest_raw
from drivers.profiles.parts import Listens, Step
from drivers.profiles.profile import Profile
from drivers.profiles.reader import CONFIRMED, POLLED, RATING, RoleReader
from drivers.profiles.registers import Register
from drivers.profiles.roles import Role
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
        register = self._register("set-point")
        sign = -1.0 if register.positive == "charge" else 1.0
        raw = nearest_raw(register, sign * self.rating.clamped_w(power_w))
        return SetPoint(sign * register.si(raw), (self._write(register, raw),))

    @property
    def opened_forming(self) -> bool:
        """It never says that it forms."""
        return False

    def release(self) -> SetPoint:
        """Nothing: it never says that it forms."""
        return SetPoint(nan, ())

    def operate(self, run: bool) -> list[Write]:
        return [self._step(step) for step in (self.profile.start if run else self.profile.stop)]

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
        )

    async def read_back(self, link: ModbusLink) -> float | None:
        return (await self.confirmed.read(link)).number("set-point") if "set-point" in self.confirmed else None

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
    """Reads the nameplate. UnusableDevice when the device does not say it; link errors pass."""
    return DescribedDevice(
        profile=profile,
        rating=profile.fixed_rating or await _rating(link, profile),
        reversion_s=reversion_s,
        polled=RoleReader(profile, POLLED["inverter"]),
        confirmed=RoleReader(profile, CONFIRMED),
    )


async def _rating(link: ModbusLink, profile: Profile) -> InverterRating:
    said = await RoleReader(profile, RATING).read(link)
    rating = InverterRating(said.number("charge-power-max"), said.number("discharge-power-max"))
    if isnan(rating.charge_power_w_max) or isnan(rating.discharge_power_w_max):
        raise UnusableDevice(f"the device does not say its rating, which profile {profile.name} reads from it")
    return rating
