"""The devices of a site file: buses, converter, meters, switchgear and what surrounds the racks."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from bms.site.links import HOST, READ_ONLY, ModbusDevice
from bms.site.low_voltage import LowVoltage
from bms.site.own_function import OwnFunction
from drivers.config.settings import Broken, Loc, Settings, about, taken
from drivers.config.shipped import known_name
from drivers.links.can import CanConfig
from drivers.links.can_library import VALID_INTERFACES
from drivers.links.modbus_tls import TlsError
from drivers.profiles import Profile, find_profile
from drivers.profiles.roles import SAFETY

CONTACTOR_WATCHDOG_S = 4
"""A rack's own I/O opens its contactors this long after the last command (native rack monitor; a block is told so)."""


NAME = {"pattern": r"^[a-z][a-z0-9-]{0,31}$", "shape": "a name of at most 32 lower-case letters, digits and -"}


CHOICE = "engineering choice"


WORD = {"pattern": r"^\S{1,64}$", "shape": "a word without spaces"}


def known_profile(name: str, info: ValidationInfo) -> str:
    """Validator: a device's profile, found and read when a settings file is loaded."""
    return known_name(name, info, find_profile, "profile", "a right profile, see bms profile check")


ProfileName = Annotated[str, AfterValidator(known_profile)]


class CanBus(Settings):
    """One CAN bus, as python-can names it."""

    interface: Annotated[str, about("", "python-can's name of the interface", **WORD)]
    channel: Annotated[str, about("", "bus behind the interface", **WORD)]
    host: Annotated[str | None, about("", "host of a network interface such as socketcand", **HOST)] = None
    port: Annotated[int | None, about("", "TCP port of a network interface", ge=1, le=65_535)] = None
    bitrate: Annotated[int | None, about("bit/s", "bit rate, where the interface sets it", ge=10_000, le=1_000_000)] = (
        None
    )

    def broken_relations(self) -> Iterator[Broken]:
        if self.interface not in VALID_INTERFACES:
            known = "one of " + ", ".join(sorted(VALID_INTERFACES))
            yield Broken(("interface",), self.interface, "python-can has no such interface", known)
        for name in ("host", "port"):
            if self.interface == "socketcand" and getattr(self, name) is None:
                yield Broken((name,), None, "missing for socketcand", f"the {name} of the socketcand server")

    @property
    def config(self) -> CanConfig:
        """The same as the CAN link takes it."""
        return CanConfig(self.interface, self.channel, self.host, self.port, self.bitrate)


class DescribedDevice(ModbusDevice):
    """A device of which only a profile knows how it speaks; `KIND` is the kind that this must be of."""

    KIND: ClassVar[str]

    profile: Annotated[
        ProfileName, about("", "name or path of its profile, see profiles.md", min_length=1, max_length=500)
    ]

    @property
    def description(self) -> Profile:
        """The profile that describes it."""
        return find_profile(self.profile)

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from broken_profile("profile", self.profile, self.KIND)


class ContactorBlock(DescribedDevice):
    """The I/O block on which the contactors of one rack hang."""

    KIND = "contactors"

    poll_period_s: Annotated[
        float, about("s", "it is read and written this often", "half a control tick", gt=0, le=0.1)
    ] = 0.05


class SunSpecOrDescribedDevice(ModbusDevice):
    """A device that speaks SunSpec, unless a profile describes it."""

    driver: Annotated[
        Literal["sunspec", "profile"], about("", "how it speaks: SunSpec, or as a profile describes", "SunSpec")
    ] = "sunspec"
    profile: Annotated[
        ProfileName | None, about("", "name or path of its profile, see profiles.md", min_length=1, max_length=500)
    ] = None

    @property
    def description(self) -> Profile | None:
        """The profile that describes it; None for a SunSpec device."""
        return None if self.profile is None else find_profile(self.profile)


class InverterDevice(SunSpecOrDescribedDevice):
    """The converter on the common DC bus."""

    poll_period_s: Annotated[float, about("s", "it is read and written this often", "control tick", gt=0, le=10)] = 0.1
    function: Annotated[
        OwnFunction | None,
        about("", "curve of reactive power that the converter follows of its own, also when the gateway is dead"),
    ] = None
    reversion_s: Annotated[
        int, about("s", "it goes to 0 W by itself this long after the last command", "shortest in SunSpec", ge=1, le=60)
    ] = 1
    supply: Annotated[
        Literal["aux", "link"],
        about("", "what feeds its electronics; fed by the DC link it is silent until a rack has joined", CHOICE),
    ] = "aux"
    boot_s_max: Annotated[
        float, about("s", "fed by the DC link it answers so long after a rack has joined", CHOICE, gt=0, le=600)
    ] = 60.0
    response_time_s: Annotated[
        float, about("s", "lag with which its power follows a set-point", "usual for grid-following PCS", gt=0, le=10)
    ] = 0.03

    @property
    def reverts(self) -> bool:
        """It goes to 0 W by itself when nobody speaks to it any more."""
        return self.description is None or self.description.reverts

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from broken_profile(self.driver, self.profile, "inverter")
        yield from self._broken_role()
        yield from self._broken_function()
        description = self.description
        wrong_time = None if description is None else description.wrong_reversion(self.reversion_s)
        if wrong_time is not None:
            yield replace(wrong_time, others=(("profile",),))
        if self.reversion_s >= CONTACTOR_WATCHDOG_S:
            wrong = "not below the contactors' own watchdog: a dead gateway would open them under load"
            yield Broken(("reversion_s",), self.reversion_s, wrong, f"less than {CONTACTOR_WATCHDOG_S}")
        if self.poll_period_s > self.reversion_s / 2:
            wrong, expected = "too slow to refresh reversion_s", f"at most {self.reversion_s / 2:g}"
            yield Broken(("poll_period_s",), self.poll_period_s, wrong, expected, (("reversion_s",),))

    def _broken_function(self) -> Iterator[Broken]:
        if self.function is not None and self.driver != "sunspec":
            wrong = "a converter of a profile takes no curve"
            yield Broken(("function",), "a mapping", wrong, "driver sunspec, or nothing", (("driver",),))
        if self.function is not None and self.serial is not None:
            wrong = "it needs a second connection"
            yield Broken(("function",), "a mapping", wrong, "a host, or nothing", (("serial",),))

    def _broken_role(self) -> Iterator[Broken]:
        try:
            reads_only = self.tls is not None and self.tls.files.role == READ_ONLY
        except TlsError:
            return  # said where the files are
        if reads_only:
            wrong = f"its role {READ_ONLY} may not send set-points"
            yield Broken(("tls", "certificate"), READ_ONLY, wrong, "a certificate whose role may write")


def broken_profile(driver: str, profile: str | None, kind: str) -> Iterator[Broken]:
    """A device has a profile exactly if its driver needs one, and one of its kind."""
    if driver == "profile" and profile is None:
        yield Broken(("profile",), None, "missing for driver profile", "name or path of a profile", (("driver",),))
    if profile is None:
        return
    if driver != "profile":
        yield Broken(("profile",), profile, f"not for driver {driver}", "driver: profile", (("driver",),))
    if (other := find_profile(profile).kind) != kind:
        yield Broken(("profile",), profile, f"describes a device of kind {other}", f"a profile of kind {kind}")


class GridMeterDevice(SunSpecOrDescribedDevice):
    """The meter at the connection to the grid."""

    poll_period_s: Annotated[float, about("s", "it is read this often", "half a control tick", gt=0, le=10)] = 0.05
    frequency_hz_nominal: Annotated[
        Literal[50, 60] | None, about("Hz", "the grid's frequency", "the nearer of 50 and 60 Hz")
    ] = None
    frequency_hz_off_max: Annotated[
        float, about("Hz", "further off the nominal there is a warning", "EN 50160: 1 % of 50 Hz", gt=0, le=5)
    ] = 0.5
    voltage_v_nominal: Annotated[
        float | None, about("V", "nominal mean phase voltage at the meter", "not judged", gt=0, le=1e6)
    ] = None
    voltage_off_frac_max: Annotated[
        float, about("frac", "further off the nominal there is a warning", "EN 50160: 10 %", gt=0, le=0.5)
    ] = 0.1

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from broken_profile(self.driver, self.profile, "meter")


class BatteryBus(LowVoltage):
    """A CAN bus on which a third-party inverter takes this site as its battery."""

    can: Annotated[CanBus, about("", "bus of the inverter")]
    name: Annotated[
        str,
        about("", "name that the inverter is told", "ours", pattern=r"^[ -~]{1,8}$", shape="1 to 8 plain characters"),
    ] = "CELLWARD"


class PvMeterDevice(GridMeterDevice):
    """The meter of the site's PV: like every meter it counts what flows towards its device as positive, so generation
    is negative on the wire."""


class IntertieDevice(DescribedDevice):
    """The switchgear between site and grid: static switch or breaker with sync-check, and load contactors."""

    KIND = "switchgear"

    poll_period_s: Annotated[
        float, about("s", "it is read and written this often", "half a control tick", gt=0, le=1)
    ] = 0.05


class AuxiliaryDevice(DescribedDevice):
    """A device around the racks: I/O block, auxiliary supply, cooling, fire panel."""

    KIND = "auxiliary"

    name: Annotated[str, about("", "name in messages", **NAME)]
    racks: Annotated[
        tuple[str, ...],
        Field(strict=False),
        about("", "names of the racks that it concerns", "all", max_length=64),
    ] = ()
    poll_period_s: Annotated[float, about("s", "it is read and written this often", CHOICE, gt=0, le=10)] = 0.2
    age_s_max: Annotated[
        float, about("s", "what it said counts for so long; then its inputs are missing", "5 missed polls", gt=0, le=60)
    ] = 1.0

    def concerns(self, rack: str) -> bool:
        return not self.racks or rack in self.racks

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from self.below("poll_period_s", "age_s_max")


class PvInverterDevice(ModbusDevice):
    """The inverter of the site's PV, which can be told to give less (SunSpec models 704 or 123)."""

    write_period_s: Annotated[float, about("s", "its limit is written this often", CHOICE, gt=0, le=10)] = 0.2
    reversion_s: Annotated[
        int, about("s", "a limit that nobody renews ends by itself after this", "several lost writes", ge=1, le=300)
    ] = 10
    revert_frac: Annotated[
        float,
        about("frac", "what it may give then, in shares of rated; the older models give all", "safe", ge=0, le=1),
    ] = 0.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        if self.write_period_s > self.reversion_s / 2:
            wrong, expected = "too slow to refresh reversion_s", f"at most {self.reversion_s / 2:g}"
            yield Broken(("write_period_s",), self.write_period_s, wrong, expected, (("reversion_s",),))


def broken_auxiliaries(devices: tuple[AuxiliaryDevice, ...], racks: list[str]) -> Iterator[Broken]:
    """Names of their own, racks that there are, and one source for each of a rack's inputs."""
    names: dict[str, int] = {}
    sources: dict[tuple[str, str], int] = {}
    for i, device in enumerate(devices):
        place: Loc = ("auxiliaries", i)
        if (twin := names.setdefault(device.name, i)) != i:
            wrong, other = f"same name as auxiliaries.{twin}", ("auxiliaries", twin, "name")
            yield taken((*place, "name"), device.name, wrong, other)
        for k, rack in enumerate(device.racks):
            if rack not in racks:
                yield Broken((*place, "racks", k), rack, "no such rack", f"one of {', '.join(racks)}", (("racks",),))
        said = [register.role for register in device.description.registers if register.role in SAFETY]
        for rack, role in product([rack for rack in racks if device.concerns(rack)], said):
            if (twin := sources.setdefault((rack, role), i)) != i:
                wrong = f"{role} of {rack}, which auxiliaries.{twin} says as well"
                yield Broken((*place, "profile"), device.profile, wrong, "one source", (("auxiliaries", twin),))
                break
