"""The site file: every device, limit and application of one site, checked as a whole before anything starts."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from bms.site_applications import APPLICATIONS, Application
from bms.site_cells import broken_cells
from bms.site_contactors import broken_contactor_blocks
from bms.site_converter_loop import ConverterLoop
from bms.site_fast_lane import FastLane
from bms.site_faults import FaultSetting
from bms.site_island import Island, LoadBlock
from bms.site_limits import Balancing, Limits, Precharge
from bms.site_links import HOST, READ_ONLY, ModbusDevice, SerialPort, Tls, broken_lines
from bms.site_low_voltage import LowVoltage
from bms.site_mapping import load_mapping
from bms.site_monitors import CurrentSensor, FoxBms, InsulationMonitor
from bms.site_north import North
from bms.site_own_function import OwnFunction
from bms.site_safety import NATIVE, Safety, SafetyInput
from bms.site_strip import broken_strip
from drivers.cell_monitors.foxbms.layout import SENSORS_MAX, STATE_PERIOD_S, foxbms_layout
from drivers.config.config_yaml import ConfigErrors, dump_yaml, load_strict
from drivers.config.settings import RELATION, Broken, Loc, Settings, about, beside_the_file, name_or_beside
from drivers.config.shipped import known_name
from drivers.insulation.iso165c import INFO_PERIOD_S
from drivers.links.can import CanConfig
from drivers.links.can_library import VALID_INTERFACES
from drivers.links.modbus_tls import TlsError
from drivers.low_voltage.codec import KEEP_ALIVE_PERIOD_S
from drivers.profiles import Profile, find_profile
from drivers.profiles.roles import SAFETY
from kernels.parameters import load_cell

__all__ = [
    "Application",
    "AuxiliaryDevice",
    "Balancing",
    "BatteryBus",
    "CanBus",
    "ConfigErrors",
    "ContactorBlock",
    "Controller",
    "ConverterLoop",
    "CurrentSensor",
    "FastLane",
    "FaultSetting",
    "FoxBms",
    "GridMeterDevice",
    "InsulationMonitor",
    "IntertieDevice",
    "InverterDevice",
    "Island",
    "Limits",
    "LoadBlock",
    "North",
    "Precharge",
    "PvInverterDevice",
    "PvMeterDevice",
    "Rack",
    "Safety",
    "SerialPort",
    "Site",
    "SiteSettings",
    "Tls",
    "dump_site",
    "existing_cell",
    "known_profile",
    "load_site",
    "site_settings",
]

CONTACTOR_WATCHDOG_S = 4
"""A rack's own I/O opens its contactors this long after the last command (native rack monitor; a block is told so)."""

BATTERY_BUS_VOLTAGE_V_MAX = 327.67
"""Most that 0x356 can carry."""

NAME = {"pattern": r"^[a-z][a-z0-9-]{0,31}$", "shape": "a name of at most 32 lower-case letters, digits and -"}
CHOICE = "engineering choice"
WORD = {"pattern": r"^\S{1,64}$", "shape": "a word without spaces"}


def existing_cell(name: str, info: ValidationInfo) -> str:
    """Validator: the parameter file of a cell, found and read when a settings file is loaded."""
    name = name_or_beside(name, info)
    if info.context is None:
        return name
    try:
        load_cell(name)
    except (ValueError, OSError) as error:
        expected = "name or path of a cell's parameter file"
        raise PydanticCustomError(RELATION, "{wrong}", {"wrong": str(error), "expected": expected}) from None
    return name


def known_profile(name: str, info: ValidationInfo) -> str:
    """Validator: a device's profile, found and read when a settings file is loaded."""
    return known_name(name, info, find_profile, "profile", "a right profile, see bms profile check")


ProfileName = Annotated[str, AfterValidator(known_profile)]


def existing_mapping(path: str | None, info: ValidationInfo) -> str | None:
    """Validator: a mapping file, read with its DBC file when a settings file is loaded; its mistakes are in it."""
    if path is None or info.context is None:
        return path
    path = beside_the_file(path, info)
    try:
        load_mapping(path)
    except ConfigErrors as error:
        lines = str(error).splitlines()
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        expected = "a mapping file without mistakes"
        raise PydanticCustomError(RELATION, "{wrong}", {"wrong": lines[0] + more, "expected": expected}) from None
    return path


class Controller(Settings):
    """Periods of the controller's two ticks."""

    protect_period_s: Annotated[
        float, about("s", "protection, rack state machine and guard run this often", "engineering choice", gt=0, le=0.1)
    ] = 0.02
    control_period_s: Annotated[
        float, about("s", "estimate, dispatch and balancing run this often", "engineering choice", gt=0, le=10)
    ] = 0.1

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("protect_period_s", "control_period_s", equal=True)
        ratio = self.control_period_s / self.protect_period_s
        if ratio > 1 and abs(ratio - round(ratio)) > 1e-9 * ratio:
            wrong = "not a whole multiple of protect_period_s"
            expected = f"a multiple of {self.protect_period_s:g}"
            yield Broken(("control_period_s",), self.control_period_s, wrong, expected, (("protect_period_s",),))


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


class Rack(Settings):
    """Cells in series behind one pair of contactors, with their monitor on a CAN bus of their own."""

    name: Annotated[str, about("", "name in faults, records and pages", **NAME)]
    modules: Annotated[int, about("", "cell-monitor modules in series", ge=1, le=32)]
    cells_per_module: Annotated[int, about("", "cells in series in each module", ge=1, le=16)]
    last_module_cells: Annotated[
        int | None, about("", "cells in series in the last module, where it has fewer", "as the others", ge=1, le=16)
    ] = None
    cell: Annotated[
        str,
        about("", "name or path of the cell's parameter file", min_length=1, max_length=500),
        AfterValidator(existing_cell),
    ]
    monitor: Annotated[
        Literal["native", "foxbms", "dbc", "low-voltage"], about("", "driver of the cell monitor", "ours")
    ] = "native"
    low_voltage: Annotated[
        LowVoltage | None,
        about("", "which maker's battery with a management of its own (`monitor: low-voltage`)"),
    ] = None
    mapping: Annotated[
        str | None,
        about("", "mapping file of a monitor that has a DBC file (`monitor: dbc`)", min_length=1, max_length=500),
        AfterValidator(existing_mapping),
    ] = None
    foxbms: Annotated[FoxBms, about("", "how a foxBMS 2 sends its cells")] = FoxBms()
    can: Annotated[CanBus, about("", "bus of the cell monitor")]
    current_sensor: Annotated[CurrentSensor | None, about("", "second current sensor on the same bus")] = None
    insulation_monitor: Annotated[
        InsulationMonitor | None,
        about("", "insulation monitor on the same bus, in the place of the cell monitor's own"),
    ] = None
    contactor_break_current_a: Annotated[
        float, about("A", "contactors open below this current, or after a bounded wait", gt=0, le=10_000)
    ]
    contactor_current_a_max: Annotated[
        float | None,
        about("A", "most that its contactors can break: above it the fuse is waited for", "no limit", gt=0, le=100_000),
    ] = None
    fuse_trip_s: Annotated[
        float, about("s", "its fuse melts within this time at that current; then they open anyway", CHOICE, ge=0, le=60)
    ] = 5.0
    contactors: Annotated[
        Literal["gateway", "rack"],
        about("", "who moves its contactors: the gateway's commands, or the rack's own BMS on request", CHOICE),
    ] = "gateway"
    contactor_block: Annotated[
        ContactorBlock | None,
        about("", "Modbus I/O block on which its contactors hang, in the place of the cell monitor's own outputs"),
    ] = None
    connect_s_max: Annotated[
        float,
        about("s", "a rack that moves its contactors itself connects within this time", CHOICE, gt=0, le=60),
    ] = 10.0
    disconnect_s_max: Annotated[
        float,
        about("s", "a rack that moves its contactors itself disconnects within this time", CHOICE, gt=0, le=3),
    ] = 1.0
    safety_inputs: Annotated[
        tuple[SafetyInput, ...],
        Field(strict=False),
        about("", "inputs beside the cells that are wired; the others are not judged", "all", max_length=14),
    ] = NATIVE

    def broken_relations(self) -> Iterator[Broken]:
        yield from self._broken_last_module()
        yield from self._broken_mapping()
        yield from self._broken_low_voltage()
        sensors = self.modules * self.foxbms.sensors_per_module
        if self.monitor == "foxbms" and sensors > SENSORS_MAX:
            wrong, expected = f"{sensors} temperature sensors in the rack", f"at most {SENSORS_MAX} together"
            yield Broken(("foxbms", "sensors_per_module"), self.foxbms.sensors_per_module, wrong, expected,
                         (("modules",),))  # fmt: skip
        first: dict[str, int] = {}
        for i, name in enumerate(self.safety_inputs):
            if (twin := first.setdefault(name, i)) != i:
                wrong = f"same input as safety_inputs.{twin}"
                yield _twin(("safety_inputs", i), name, wrong, ("safety_inputs", twin))

    def _broken_last_module(self) -> Iterator[Broken]:
        last = self.last_module_cells
        if last is not None and last > self.cells_per_module:
            wrong, others = "more than the others have", (("cells_per_module",),)
            yield Broken(("last_module_cells",), last, wrong, f"at most {self.cells_per_module}", others)
        if last is not None and self.monitor == "foxbms":
            wrong = "not for a foxbms monitor, whose modules are all alike"
            yield Broken(("last_module_cells",), last, wrong, "nothing", (("monitor",),))

    def _broken_low_voltage(self) -> Iterator[Broken]:
        if (self.monitor == "low-voltage") != (self.low_voltage is not None):
            missing = self.low_voltage is None
            wrong = "missing for this monitor" if missing else f"not for a {self.monitor} monitor"
            expected = "the variant of its maker" if missing else "nothing, or monitor: low-voltage"
            yield Broken(("low_voltage",), None if missing else "a mapping", wrong, expected, (("monitor",),))
        if self.monitor == "low-voltage" and self.safety_inputs:
            wrong, others = "such a battery has none", (("monitor",),)
            yield Broken(("safety_inputs",), f"{len(self.safety_inputs)} inputs", wrong, "an empty list", others)

    def _broken_mapping(self) -> Iterator[Broken]:
        if (self.monitor == "dbc") != (self.mapping is not None):
            wrong = "missing for this monitor" if self.mapping is None else f"not for a {self.monitor} monitor"
            expected = "a mapping file" if self.mapping is None else "nothing, or monitor: dbc"
            yield Broken(("mapping",), self.mapping, wrong, expected, (("monitor",),))
        elif self.mapping is not None and (mapped := len(load_mapping(self.mapping).voltages.names)) != self.cells:
            wrong, expected = f"maps {mapped} cells, the rack has {self.cells}", f"{self.cells} voltages"
            yield Broken(("mapping",), self.mapping, wrong, expected, (("modules",), ("cells_per_module",)))
        elif self.mapping is not None and load_mapping(self.mapping).command is None and self.contactor_block is None:
            wrong = "commands no contactors, and they hang on no block"
            yield Broken(("mapping",), self.mapping, wrong, "a command, or contactor_block", (("contactor_block",),))

    @property
    def cells(self) -> int:
        """Cells in series."""
        last = self.cells_per_module if self.last_module_cells is None else self.last_module_cells
        return (self.modules - 1) * self.cells_per_module + last


class InverterDevice(ModbusDevice):
    """The converter on the common DC bus."""

    driver: Annotated[
        Literal["sunspec", "profile"], about("", "how it speaks: SunSpec, or as a profile describes", "SunSpec")
    ] = "sunspec"
    profile: Annotated[
        ProfileName | None, about("", "name or path of its profile, see profiles.md", min_length=1, max_length=500)
    ] = None
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
    def description(self) -> Profile | None:
        """The profile that describes it; None for a SunSpec device."""
        return None if self.profile is None else find_profile(self.profile)

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


class GridMeterDevice(ModbusDevice):
    """The meter at the connection to the grid."""

    driver: Annotated[
        Literal["sunspec", "profile"], about("", "how it speaks: SunSpec, or as a profile describes", "SunSpec")
    ] = "sunspec"
    profile: Annotated[
        ProfileName | None, about("", "name or path of its profile, see profiles.md", min_length=1, max_length=500)
    ] = None
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

    @property
    def description(self) -> Profile | None:
        """The profile that describes it; None for a SunSpec device."""
        return None if self.profile is None else find_profile(self.profile)

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


def known_zone(name: str) -> str:
    """Validator: a time zone that this machine knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        context = {"wrong": "no such time zone", "expected": "a name such as Asia/Tokyo"}
        raise PydanticCustomError(RELATION, "{wrong}", context) from None
    return name


class SiteSettings(Settings):
    """All of a site but its name and devices."""

    controller: Annotated[Controller, about("", "periods")] = Controller()
    limits: Annotated[Limits, about("", "protection and operating limits")] = Limits()
    safety: Annotated[Safety, about("", "insulation, supply, cooling and fire")] = Safety()
    faults: Annotated[
        tuple[FaultSetting, ...], Field(strict=False), about("", "faults that are not as built", max_length=200)
    ] = ()
    precharge: Annotated[Precharge, about("", "how racks join")] = Precharge()
    balancing: Annotated[Balancing, about("", "which cells bleed")] = Balancing()
    applications: Annotated[
        tuple[Application, ...],
        Field(strict=False),
        about("", "in order of priority: each acts inside what those before it leave", max_length=16),
    ] = ()
    island: Annotated[
        Island | None, about("", "how the site leaves its grid, lives without it and comes back", "it never leaves it")
    ] = None
    time_zone: Annotated[
        str,
        about("", "of wall-clock times, as Asia/Tokyo", "universal time", min_length=1, max_length=64),
        AfterValidator(known_zone),
    ] = "UTC"
    fast_lane: Annotated[
        FastLane | None, about("", "loop from meter to converter between two ticks", "the ticks alone")
    ] = None
    converter_loop: Annotated[
        ConverterLoop | None, about("", "smoothing loop inside the converter, used and verified", "the ticks alone")
    ] = None

    def broken_relations(self) -> Iterator[Broken]:
        yield from self._broken_applications()
        yield from self._broken_fast_lane()
        yield from self._broken_faults()
        yield from self.below("controller.protect_period_s", "limits.current_age_s_max")
        yield from self.below("balancing.voltage_v_min", "limits.cell_voltage_v_max_operating")
        yield from self.below("balancing.temperature_degc_max", "limits.discharge_temperature_degc_max", equal=True)

    def _broken_fast_lane(self) -> Iterator[Broken]:
        name = "fast_lane" if self.fast_lane is not None else "converter_loop"
        if getattr(self, name) is None:
            return
        if not any(APPLICATIONS[application.kind].holds_grid for application in self.applications):
            holding = ", ".join(kind for kind, application in APPLICATIONS.items() if application.holds_grid)
            wrong = "no application holds the grid's power"
            yield Broken((name,), "a mapping", wrong, f"one of {holding}", (("applications",),))
        if self.fast_lane is None:
            return
        yield from self.below("fast_lane.period_s", "controller.control_period_s")
        if self.converter_loop is not None:
            yield Broken(("converter_loop",), "a loop", "beside fast_lane", "one of both", (("fast_lane",),))

    def _broken_faults(self) -> Iterator[Broken]:
        first: dict[str, int] = {}
        for i, fault in enumerate(self.faults):
            if (twin := first.setdefault(fault.id, i)) != i:
                yield _twin(("faults", i, "id"), fault.id, f"same fault as faults.{twin}", ("faults", twin, "id"))

    def _broken_applications(self) -> Iterator[Broken]:
        first: dict[str, int] = {}
        for i, application in enumerate(self.applications):
            path = f"applications.{i}"
            if (twin := first.setdefault(application.kind, i)) != i and not application.several:
                loc = ("applications", i, "kind")
                yield _twin(loc, application.kind, f"same kind as applications.{twin}", ("applications", twin))
            for name in ("soc_frac_min", "soc_frac_max"):
                if name in type(application).model_fields:
                    low, high = f"limits.{name}", f"{path}.{name}"
                    yield from self.below(*((low, high) if name == "soc_frac_min" else (high, low)), equal=True)


class Site(SiteSettings):
    """One site. Exists only if every relation between its settings holds."""

    name: Annotated[str, about("", "name of the site", **NAME)]
    racks: Annotated[
        tuple[Rack, ...], Field(strict=False), about("", "racks on the common DC bus", min_length=1, max_length=64)
    ]
    inverter: Annotated[InverterDevice, about("", "converter")]
    grid_meter: Annotated[GridMeterDevice, about("", "meter at the grid connection")]
    pv_meter: Annotated[PvMeterDevice | None, about("", "meter of the site's PV", "no PV behind the grid meter")] = None
    pv_inverter: Annotated[
        PvInverterDevice | None, about("", "inverter of the site's PV, where its power can be limited", "not limited")
    ] = None
    battery_bus: Annotated[
        BatteryBus | None, about("", "bus on which a third-party inverter takes this site as its battery")
    ] = None
    intertie: Annotated[IntertieDevice | None, about("", "switchgear between site and grid, with `island`")] = None
    north: Annotated[
        North | None, about("", "what others may read and ask while the controller runs, see north.md", "nobody")
    ] = None

    auxiliaries: Annotated[
        tuple[AuxiliaryDevice, ...],
        Field(strict=False),
        about("", "devices around the racks: I/O blocks, supply, cooling, fire panel", max_length=64),
    ] = ()

    @property
    def cells(self) -> int:
        """Cells of all racks."""
        return sum(rack.cells for rack in self.racks)

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from self._broken_racks()
        yield from broken_cells(self)
        yield from self._broken_joining()
        yield from self._broken_supply()
        yield from broken_lines(self._all_lines())
        yield from broken_auxiliaries(self.auxiliaries, [rack.name for rack in self.racks])
        yield from self._broken_battery_bus()
        yield from self._shared_lines()
        yield from self._too_slow()
        yield from self._slow_insulation()
        yield from self._broken_island()
        yield from broken_strip(self)
        yield from broken_contactor_blocks(self)
        yield from self._broken_own_function()
        yield from self.below("inverter.poll_period_s", "limits.inverter_age_s_max")
        yield from self.below("grid_meter.poll_period_s", "limits.meter_age_s_max")
        if self.pv_meter is not None:
            yield from self.below("pv_meter.poll_period_s", "limits.meter_age_s_max")

    def _lines(self) -> dict[str, ModbusDevice]:
        lines: dict[str, ModbusDevice] = {"inverter": self.inverter, "grid_meter": self.grid_meter}
        others = {"pv_meter": self.pv_meter, "pv_inverter": self.pv_inverter, "intertie": self.intertie}
        return {**lines, **{name: device for name, device in others.items() if device is not None}}

    def _all_lines(self) -> dict[Loc, ModbusDevice]:
        numbered: dict[Loc, ModbusDevice] = {("auxiliaries", i): each for i, each in enumerate(self.auxiliaries)}
        blocks = {("racks", i, "contactor_block"): rack.contactor_block for i, rack in enumerate(self.racks)}
        numbered |= {place: block for place, block in blocks.items() if block is not None}
        return {(name,): device for name, device in self._lines().items()} | numbered

    def _broken_island(self) -> Iterator[Broken]:
        if (self.island is None) != (self.intertie is None):
            missing, there = ("island", "intertie") if self.island is None else ("intertie", "island")
            yield Broken((missing,), None, f"missing beside {there}", "both or none", ((there,),))
        if self.island is not None and self.inverter.description is not None:
            wrong = "a converter of a profile does not say whether it makes the grid"
            yield Broken(("inverter", "driver"), self.inverter.driver, wrong, "sunspec", (("island",),))
        if self.island is not None and self.inverter.supply == "link":
            wrong = "its stopping could not be proven before a dead bus is fed"
            yield Broken(("inverter", "supply"), self.inverter.supply, wrong, "aux", (("island",),))
        if self.island is not None and self.intertie is not None:
            yield from self.below("intertie.poll_period_s", "island.intertie_age_s_max")

    def _broken_own_function(self) -> Iterator[Broken]:
        """Reactive power is decided by one."""
        for i, application in enumerate(self.applications):
            if self.inverter.function is not None and getattr(application, "mode", "none") != "none":
                wrong, other = "the converter's own function decides the reactive power", ("inverter", "function")
                mode = getattr(application, "mode", "")
                yield Broken(("applications", i, "mode"), mode, wrong, "none, or no function", (other,))

    def _shared_lines(self) -> Iterator[Broken]:
        """What works between two ticks needs connections of its own."""
        for who, names in (("fast_lane", ("inverter", "grid_meter")), ("converter_loop", ("inverter",))):
            for name in names if getattr(self, who) is not None else ():
                if self._lines()[name].serial is not None:
                    wrong, expected = f"{who} needs a second connection to it", f"a host, or no {who}"
                    yield Broken((name, "serial"), "a serial line", wrong, expected, ((who,),))
        profile = self.inverter.description
        if self.converter_loop is not None and (profile is None or not profile.has_loop):
            wrong, expected = "the inverter's driver knows no loop inside it", "a profile with one"
            yield Broken(("converter_loop",), "a mapping", wrong, expected, (("inverter", "profile"),))

    def _broken_supply(self) -> Iterator[Broken]:
        if self.inverter.supply == "link" and self.precharge.by == "inverter":
            wrong = "the converter would have to charge the DC link that feeds it"
            yield Broken(("inverter", "supply"), self.inverter.supply, wrong, "aux", (("precharge", "by"),))

    def _broken_racks(self) -> Iterator[Broken]:
        first = self.racks[0]
        names: dict[str, int] = {}
        buses: dict[CanBus, int] = {}
        for i, rack in enumerate(self.racks):
            if (twin := names.setdefault(rack.name, i)) != i:
                yield _twin(("racks", i, "name"), rack.name, f"same name as racks.{twin}", ("racks", twin, "name"))
            if (twin := buses.setdefault(rack.can.model_copy(update={"bitrate": None}), i)) != i:
                loc: Loc = ("racks", i, "can", "channel")
                yield _twin(loc, rack.can.channel, f"same bus as racks.{twin}", ("racks", twin, "can"))
            if rack.monitor == "low-voltage" and len(self.racks) > 1:
                wrong = f"beside {len(self.racks) - 1} more: nobody joins it to a link"
                yield Broken(("racks", i, "monitor"), rack.monitor, wrong, "such a battery alone", (("racks",),))
            if rack.cells != first.cells:
                wrong = f"{rack.cells} cells in series beside {first.cells} in racks.0 on one DC bus"
                others: tuple[Loc, ...] = (("racks", i, "cells_per_module"), ("racks", 0))
                yield Broken(("racks", i, "modules"), rack.modules, wrong, f"{first.cells} cells", others)

    def _broken_joining(self) -> Iterator[Broken]:
        """What flows from one rack into another that joins must not trip either of them."""
        if len(self.racks) > 1:
            names = [f"rack_{use}_current_a_max" for use in ("charge", "discharge")]
            lowest = min(names, key=lambda name: float(getattr(self.limits, name)))
            yield from self.below("precharge.circulating_current_a_max", f"limits.{lowest}", equal=True)

    def _too_slow(self) -> Iterator[Broken]:
        """Monitors whose values are older than the limits allow: a site must say that it wants them all the same."""
        for i, rack in enumerate(self.racks):
            for name, age_s in _word_periods(rack).items():
                if getattr(self.limits, name) <= age_s:
                    wrong = f"racks.{i} sends its values only every {age_s:g} s, too slow for protection"
                    whose = "foxBMS 2" if rack.monitor == "foxbms" else "the battery"
                    expected = f"more than {age_s:g}, if {whose} protects the cells by itself"
                    others: tuple[Loc, ...] = (("racks", i, "monitor"),)
                    yield Broken(("limits", name), getattr(self.limits, name), wrong, expected, others)

    def _slow_insulation(self) -> Iterator[Broken]:
        for i, rack in enumerate(self.racks):
            if rack.insulation_monitor is not None and self.safety.input_age_s_max <= INFO_PERIOD_S:
                wrong = f"the insulation monitor of racks.{i} speaks every {INFO_PERIOD_S:g} s"
                others: tuple[Loc, ...] = (("racks", i, "insulation_monitor"),)
                at: Loc = ("safety", "input_age_s_max")
                yield Broken(at, self.safety.input_age_s_max, wrong, f"more than {INFO_PERIOD_S:g}", others)

    def _broken_battery_bus(self) -> Iterator[Broken]:
        if self.battery_bus is None:
            return
        first, voltage_v = self.racks[0], self.racks[0].cells * self.limits.cell_voltage_v_max
        if voltage_v > BATTERY_BUS_VOLTAGE_V_MAX:
            wrong = f"racks of {first.cells} cells reach {voltage_v:.0f} V, which the protocol cannot say"
            expected = f"racks of at most {BATTERY_BUS_VOLTAGE_V_MAX:g} V"
            yield Broken(("battery_bus",), "a bus", wrong, expected, (("racks", 0), ("limits", "cell_voltage_v_max")))
        for i, rack in enumerate(self.racks):
            if rack.can.model_copy(update={"bitrate": None}) == self.battery_bus.can.model_copy(
                update={"bitrate": None}
            ):
                loc: Loc = ("battery_bus", "can", "channel")
                yield _twin(loc, rack.can.channel, f"same bus as racks.{i}", ("racks", i, "can"))


def broken_auxiliaries(devices: tuple[AuxiliaryDevice, ...], racks: list[str]) -> Iterator[Broken]:
    """Names of their own, racks that there are, and one source for each of a rack's inputs."""
    names: dict[str, int] = {}
    sources: dict[tuple[str, str], int] = {}
    for i, device in enumerate(devices):
        place: Loc = ("auxiliaries", i)
        if (twin := names.setdefault(device.name, i)) != i:
            wrong, other = f"same name as auxiliaries.{twin}", ("auxiliaries", twin, "name")
            yield _twin((*place, "name"), device.name, wrong, other)
        for k, rack in enumerate(device.racks):
            if rack not in racks:
                yield Broken((*place, "racks", k), rack, "no such rack", f"one of {', '.join(racks)}", (("racks",),))
        said = [register.role for register in device.description.registers if register.role in SAFETY]
        for rack, role in product([rack for rack in racks if device.concerns(rack)], said):
            if (twin := sources.setdefault((rack, role), i)) != i:
                wrong = f"{role} of {rack}, which auxiliaries.{twin} says as well"
                yield Broken((*place, "profile"), device.profile, wrong, "one source", (("auxiliaries", twin),))
                break


def _word_periods(rack: Rack) -> dict[str, float]:
    """How often a slow monitor says what these limits of age are about; nothing for one that is fast enough."""
    if rack.monitor == "low-voltage":
        names = ("cell_data_age_s_max", "temperature_age_s_max", "current_age_s_max")
        return dict.fromkeys(names, KEEP_ALIVE_PERIOD_S)
    if rack.monitor != "foxbms":
        return {}
    layout = foxbms_layout(rack.cells, rack.modules * rack.foxbms.sensors_per_module, rack.foxbms.cells_from)
    return {
        "cell_data_age_s_max": layout.sweep_s,
        "temperature_age_s_max": layout.temperature_sweep_s,
        "current_age_s_max": STATE_PERIOD_S,
    }


def _twin(loc: Loc, got: object, wrong: str, other: Loc) -> Broken:
    return Broken(loc, got, wrong, "one of its own", (other,))


def load_site(path: str | Path) -> Site:
    """The site in a file; ConfigErrors with every mistake, one a line (see load_strict)."""
    return load_strict(path, Site)


def site_settings(site: Site) -> str:
    """One line of JSON with every setting, for the metadata of a record."""
    return site.model_dump_json(exclude_none=True)


def dump_site(site: Site) -> str:
    """YAML text with every setting, also the defaults; read back it gives an equal site."""
    return dump_yaml(site, first=("name", "racks", "inverter", "grid_meter"))
