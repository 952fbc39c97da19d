"""Rig files: a simulated plant, its load and the settings that a controller of it should have."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo

from bms.site import (
    AuxiliaryDevice,
    CanBus,
    ContactorBlock,
    GridMeterDevice,
    IntertieDevice,
    InverterDevice,
    Island,
    LoadBlock,
    PvInverterDevice,
    PvMeterDevice,
    Rack,
    Site,
    SiteSettings,
    existing_cell,
    known_profile,
)
from bms.site.devices import NAME
from drivers.config.config_yaml import in_words
from drivers.config.settings import Broken, Settings, about, beside_the_file, broken_in
from drivers.config.shipped import Shipped, find, known_name, shipped, shipped_names
from drivers.profiles import find_profile
from hil_rigs.grid_spec import GridSpec, SteadyGrid
from hil_rigs.load_spec import LoadSpec
from hil_rigs.plant.rack import BLEED_OHM, PRECHARGE_OHM
from hil_rigs.pv_spec import PvSpec

SUNSPEC, LEGACY = "sunspec", "sunspec-legacy"
"""A device that no profile describes: SunSpec's models of today, or the older 103 and 120 to 124 of an inverter."""
PROFILE = {"min_length": 1, "max_length": 500}
FOLDER = Path(__file__).parent / "rigs"
GRID_PHASE_V = 400.0 / sqrt(3.0)
"""Of the simulated grid."""
GRID_VOLTAGE_V = 400.0
"""The same line to line, as the switchgear counts it."""


def existing_profile(name: str, info: ValidationInfo) -> str:
    """Validator: SunSpec, or a profile that is found and right."""
    if name in (SUNSPEC, LEGACY):
        return name
    name = known_profile(name, info)
    return str(Path(name).resolve()) if "/" in name else name


class AgeingSpec(Settings):
    """Cells that grow old during the run: each of years and cycles alone would bring them to 80 % of their capacity."""

    years_to_80: Annotated[float, about("a", "years at rest at 25 degC and half charge to 80 %", gt=0, le=1000)]
    cycles_to_80: Annotated[float, about("", "full cycles to 80 %", gt=0, le=1e6)]
    resistance_factor_at_80: Annotated[
        float, about("", "what their resistances are by then, of those at the start", "usual for LFP", ge=1, le=10)
    ] = 1.3
    speed: Annotated[
        float, about("", "so many times faster than in life: a day of 1000 is almost three years", "as in life",
                     gt=0, le=1e6)
    ] = 1.0  # fmt: skip


class PartFmu(Settings):
    """A part of the plant that another tool models: an FMU for co-simulation (FMI 2.0), stepped with the plant. Needs
    FMPy: pip install 'cellward[fmu]'."""

    kind: Annotated[Literal["fmu"], about("", "how the part is modelled")]
    path: Annotated[
        str, about("", "the FMU, relative to this file", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]


class PlantSpec(Settings):
    """Racks on one converter, all alike."""

    racks: Annotated[int, about("", "racks in parallel", ge=1, le=64)]
    modules_per_rack: Annotated[int, about("", "cell-monitor modules in series", ge=1, le=32)]
    cells_per_module: Annotated[int, about("", "cells in series in each module", ge=1, le=16)]
    last_module_cells: Annotated[
        int | None, about("", "cells in series in the last module, where it has fewer", "as the others", ge=1, le=16)
    ] = None
    cell: Annotated[
        str,
        about("", "name or path of the cell's parameter file", min_length=1, max_length=500),
        AfterValidator(existing_cell),
    ]
    cells_in_parallel: Annotated[
        int,
        about(
            "",
            "cells of which the cell file's one is a block: wires, cooling and bleed are so many",
            "one",
            ge=1,
            le=1000,
        ),
    ] = 1
    one_string_resolved: Annotated[
        bool,
        about("", "so many strings are in parallel, cells are those of one, and the others are as their mean cell",
              "cells are in parallel"),
    ] = False  # fmt: skip
    aged_capacity_frac: Annotated[
        float, about("frac", "share of the cell file's capacity that ageing has left", "new cells", gt=0, le=1)
    ] = 1.0
    aged_resistance_factor: Annotated[
        float, about("", "factor of the cell file's resistances that ageing has made of them", "new cells", ge=1, le=10)
    ] = 1.0
    ageing: Annotated[AgeingSpec | None, about("", "the cells age during the run", "they stay as they are")] = None
    coulombic_efficiency_frac: Annotated[
        float, about("frac", "share of a charge that stays in the cells", "no loss", gt=0, le=1)
    ] = 1.0
    self_discharge_frac_per_h: Annotated[
        float, about("frac/h", "share of the capacity that the cells lose in an hour", "no loss", ge=0, le=0.1)
    ] = 0.0
    plating_frac_per_charge: Annotated[
        float,
        about("frac", "zinc: each full charge adds this to the cells' losses until they are stripped", "no growth",
              ge=0, le=1),
    ] = 0.0  # fmt: skip
    bleed_ohm: Annotated[
        float, about("ohm", "a cell's bleed resistor: of zinc a shunt that strips it", "usual for LFP", gt=0, le=1e4)
    ] = BLEED_OHM
    precharge_ohm: Annotated[
        float, about("ohm", "precharge resistor of each rack", "seconds to charge the DC link", gt=0, le=1e4)
    ] = PRECHARGE_OHM
    soc_frac: Annotated[float, about("frac", "mean SoC at the start", ge=0, le=1)]
    contactor_break_current_a: Annotated[float, about("A", "as in the site file", gt=0, le=10_000)]
    contactors: Annotated[Literal["gateway", "rack"], about("", "as in the site file", "as in the site file")] = (
        "gateway"
    )
    contactor_profile: Annotated[
        str | None,
        about(
            "",
            "a profile's name or path: each rack's contactors hang on a Modbus I/O block that speaks so",
            "on the racks' own outputs",
            **PROFILE,
        ),
        AfterValidator(lambda name, info: None if name is None else known_profile(name, info)),
    ] = None
    low_voltage: Annotated[
        Literal["pylontech", "sma", "victron", "byd"] | None,
        about("", "the rack is a battery with a management of its own, which speaks this maker's variant", "racks that "
              "show their cells"),
    ] = None  # fmt: skip
    converter: Annotated[
        Literal["following", "forming"], about("", "follows the grid, or makes that of an island", "grid-connected")
    ] = "following"
    converter_supply: Annotated[Literal["aux", "link"], about("", "as in the site file", "as in the site file")] = "aux"
    inverter_power_w: Annotated[float, about("W", "rated power of the converter", gt=0, le=1e9)]
    inverter_lag_s: Annotated[
        float, about("s", "lag with which its power follows", "usual for grid-following PCS", gt=0, le=1)
    ] = 0.03
    inverter_standby_w: Annotated[
        float, about("W", "what it takes from the DC side while it runs", "large converters", ge=0, le=1e6)
    ] = 1500.0
    inverter_stage: Annotated[
        PartFmu | None, about("", "what its power stage makes of its set-points", "lag and efficiency as above")
    ] = None
    coolant: Annotated[PartFmu | None, about("", "what each rack's cells are cooled by", "as under Heat")] = None
    step_s: Annotated[
        float, about("s", "step of the plant, and of the truth: 10 ms or a whole part of it", ge=0.001, le=0.01)
    ] = 0.01
    ambient_degc: Annotated[float, about("degC", "temperature around the racks", ge=-40, le=80)]
    fuse_a: Annotated[float, about("A", "rated current of each rack's main fuse", "twice a rack's", gt=0, le=1e5)] = 500
    inverter_profile: Annotated[
        str,
        about(
            "",
            "sunspec, sunspec-legacy, or a profile's name or path: how the converter speaks",
            "SunSpec",
            **PROFILE,
        ),
        AfterValidator(existing_profile),
    ] = SUNSPEC
    meter_profile: Annotated[
        str,
        about("", "sunspec, or a profile's name or path: how the grid meter speaks", "SunSpec", **PROFILE),
        AfterValidator(existing_profile),
    ] = SUNSPEC
    meter_model: Annotated[
        Literal[203, 213],
        about("", "SunSpec model of the grid meter: 203 has steps of 10 mHz, 213 shows floats", "the most usual"),
    ] = 203

    @property
    def cells_per_rack(self) -> int:
        """Cells in series."""
        last = self.cells_per_module if self.last_module_cells is None else self.last_module_cells
        return (self.modules_per_rack - 1) * self.cells_per_module + last

    def broken_relations(self) -> Iterator[Broken]:
        if 10_000_000 % round(self.step_s * 1e9):
            yield Broken(("step_s",), self.step_s, "10 ms are no whole number of it", "0.01, 0.005, 0.002 or 0.001")
        if self.last_module_cells is not None and self.last_module_cells > self.cells_per_module:
            wrong, others = "more than the others have", (("cells_per_module",),)
            expected = f"at most {self.cells_per_module}"
            yield Broken(("last_module_cells",), self.last_module_cells, wrong, expected, others)
        for name, kind in (("inverter_profile", "inverter"), ("meter_profile", "meter")):
            profile = getattr(self, name)
            sunspec = profile == SUNSPEC or (profile == LEGACY and kind == "inverter")
            if not sunspec and (profile == LEGACY or find_profile(profile).kind != kind):
                yield Broken((name,), profile, f"not a profile of kind {kind}", f"one of kind {kind}")
        block = self.contactor_profile
        if block is not None and find_profile(block).kind != "contactors":
            yield Broken(("contactor_profile",), block, "not a profile of kind contactors", "one of kind contactors")
        if block is not None and (self.contactors == "rack" or self.low_voltage is not None):
            wrong = "the racks move their contactors themselves"
            yield Broken(("contactor_profile",), block, wrong, "nothing", (("contactors",), ("low_voltage",)))
        lossless = self.coulombic_efficiency_frac == 1.0 and self.self_discharge_frac_per_h == 0.0
        if self.one_string_resolved and (self.cells_in_parallel == 1 or not lossless):
            wrong, expected = "one string alone, or one that loses charge", "false, or several strings without loss"
            yield Broken(("one_string_resolved",), True, wrong, expected, (("cells_in_parallel",),))
        if self.inverter_stage is not None and self.converter == "forming":
            wrong, others = "an island's load decides what its power stage does", (("converter",),)
            yield Broken(("inverter_stage",), self.inverter_stage.path, wrong, "a following converter", others)
        if self.low_voltage is not None and self.racks > 1:
            yield Broken(("racks",), self.racks, "batteries with a management of their own", "1", (("low_voltage",),))
        if self.converter == "forming" and self.inverter_profile != SUNSPEC:
            wrong, expected = "it cannot say that it forms", f"following, or {SUNSPEC}"
            yield Broken(("converter",), self.converter, wrong, expected, (("inverter_profile",),))


class BlockSpec(Settings):
    """A load beside the critical one, behind a contactor of its own."""

    name: Annotated[str, about("", "name in sites and messages", **NAME)]
    power_w: Annotated[float, about("W", "what it takes", gt=0, le=1e9)]


class MicrogridSpec(Settings):
    """A static switch between site and grid. The rig's load is the critical block, bit 0 of the switchgear; the others
    follow in their order."""

    critical_power_w: Annotated[float, about("W", "most that the critical load takes", gt=0, le=1e9)]
    blocks: Annotated[
        tuple[BlockSpec, ...], Field(strict=False), about("", "loads beside the critical one", "none", max_length=15)
    ] = ()
    profile: Annotated[
        str,
        about("", "a profile's name or path: how the switchgear speaks", "ours", **PROFILE),
        AfterValidator(known_profile),
    ] = "static-switch"
    dark: Annotated[
        bool, about("", "at the start switch and blocks are open, and nothing has voltage", "on the grid")
    ] = False
    ups_energy_wh: Annotated[
        float, about("Wh", "what feeds the devices' electronics in the dark (3 kW)", "two hours", gt=0, le=1e7)
    ] = 6000.0


class AuxiliarySpec(Settings):
    """An I/O block, supply, cooling or fire panel of all racks, described as data."""

    name: Annotated[str, about("", "name in sites and messages", **NAME)]
    profile: Annotated[
        str, about("", "a profile's name or path: how it speaks", **PROFILE), AfterValidator(known_profile)
    ]


class RigFile(Shipped):
    """A rig."""

    plant: Annotated[PlantSpec, about("", "what is simulated")]
    load: Annotated[LoadSpec, about("", "what the site consumes")]
    grid: Annotated[GridSpec, about("", "what the site is connected to", "60 Hz, constant")] = SteadyGrid(
        kind="constant"
    )
    pv: Annotated[PvSpec | None, about("", "what the site generates", "no PV")] = None
    start_hour: Annotated[
        float, about("h", "hour of the day at the start: of the wall clock, the sun and the loads", "noon", ge=0, lt=24)
    ] = 12.0
    microgrid: Annotated[
        MicrogridSpec | None, about("", "a static switch between site and grid, and load blocks", "none")
    ] = None
    auxiliaries: Annotated[
        tuple[AuxiliarySpec, ...],
        Field(strict=False),
        about("", "devices around the racks, in the place of the racks' own inputs", "none", max_length=16),
    ] = ()
    site: Annotated[SiteSettings, about("", "settings for a controller, as in a site file")] = SiteSettings()

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        if self.microgrid is not None and self.plant.inverter_stage is not None:
            wrong = "an island's load decides what its power stage does"
            yield Broken(("plant", "inverter_stage"), "given", wrong, "none", (("microgrid",),))
        if self.microgrid is not None and self.plant.converter == "forming":
            wrong = "a static switch tells the converter its mode"
            yield Broken(("plant", "converter"), self.plant.converter, wrong, "following", (("microgrid",),))
        yield from self._broken_site()

    def _broken_site(self) -> Iterator[Broken]:
        """A controller could run it: its settings fit the plant. What either of them has wrong alone is said there."""
        if any(True for part in (self.plant, self.site) for _ in broken_in(part)):
            return
        try:
            _site(self, somewhere(self))
        except ValidationError as error:
            details: Any = error.errors()[0]
            loc = details["loc"]
            at = ("site", *loc) if loc[0] in SiteSettings.model_fields else ("plant", *loc[2:])
            context = details.get("ctx", {})
            wrong, expected = context.get("wrong", details["msg"]), context.get("expected", "settings that make a site")
            yield Broken(at, details["input"], wrong, expected, (("site",),))

    @property
    def rack_names(self) -> tuple[str, ...]:
        """Names of the racks in sites, faults and records."""
        return tuple(f"rack-{i + 1}" for i in range(self.plant.racks))


@dataclass(frozen=True, slots=True)
class ModbusEndpoint:
    """Where a simulated Modbus device listens."""

    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True)
class CanEndpoint:
    """How a simulated CAN bus is reached, in python-can's terms."""

    interface: str
    channel: str
    host: str | None = None
    port: int | None = None
    bitrate: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a rig's devices are; one bus a rack, in the order of `RigFile.rack_names`. A rig with PV has a meter of it
    and its inverter, both in SunSpec; the meter counts generation negative, as a meter does that looks at a device."""

    inverter: ModbusEndpoint
    grid_meter: ModbusEndpoint
    racks: tuple[CanEndpoint, ...]
    pv_meter: ModbusEndpoint | None = None
    pv_inverter: ModbusEndpoint | None = None
    switchgear: ModbusEndpoint | None = None
    auxiliaries: tuple[ModbusEndpoint, ...] = ()
    contactor_blocks: tuple[ModbusEndpoint, ...] = ()
    """One a rack, or none."""


def block_names(rig: RigFile) -> list[str]:
    """What the racks' contactor blocks are called; none where they have none."""
    return [] if rig.plant.contactor_profile is None else [f"{name}-contactors" for name in rig.rack_names]


def profile_name(profile: str) -> str:
    """How a device speaks, in one word: `sunspec`, `sunspec-legacy`, or the name inside the profile."""
    return profile if profile in (SUNSPEC, LEGACY) else find_profile(profile).name


def find_rig(name_or_path: str) -> RigFile:
    """A shipped rig or a file. UnknownNameError or ConfigErrors."""
    return _shipped_rig(name_or_path) if name_or_path in shipped_names(FOLDER) else find(FOLDER, name_or_path, RigFile)


@cache
def _shipped_rig(name: str) -> RigFile:
    """Scenarios share a few of them."""
    return find(FOLDER, name, RigFile)


def known_rig(name: str, info: ValidationInfo) -> str:
    """Validator: name or path of a rig that is right by itself."""
    return known_name(name, info, find_rig, "rig", "a rig without mistakes")


def list_rigs() -> list[RigFile]:
    """All shipped rigs, by name; raises if one of them is broken."""
    return shipped(FOLDER, RigFile)


def somewhere(rig: RigFile) -> Endpoints:
    """Endpoints of every device of a rig that runs nowhere: to see whether its site can be made."""
    at = ModbusEndpoint("127.0.0.1", 502, 1)
    return Endpoints(
        inverter=at,
        grid_meter=at,
        racks=tuple(CanEndpoint("virtual", f"can{number}") for number in range(rig.plant.racks)),
        pv_meter=None if rig.pv is None else at,
        pv_inverter=None if rig.pv is None else at,
        switchgear=None if rig.microgrid is None else at,
        auxiliaries=(at,) * len(rig.auxiliaries),
        contactor_blocks=(at,) * (0 if rig.plant.contactor_profile is None else rig.plant.racks),
    )


def make_site(rig: RigFile, endpoints: Endpoints) -> Site:
    """The site file for a controller of this rig. ValueError if the endpoints do not fit, or the applications that a
    scenario gave it, in one line."""
    if len(endpoints.racks) != rig.plant.racks:
        raise ValueError(f"rig {rig.name} has {rig.plant.racks} racks, got {len(endpoints.racks)} CAN buses")
    if len(endpoints.auxiliaries) != len(rig.auxiliaries):
        wanted, given = len(rig.auxiliaries), len(endpoints.auxiliaries)
        raise ValueError(f"rig {rig.name} has {wanted} auxiliary devices, got {given} endpoints")
    if len(endpoints.contactor_blocks) != len(block_names(rig)):
        wanted, given = len(block_names(rig)), len(endpoints.contactor_blocks)
        raise ValueError(f"rig {rig.name} has {wanted} contactor blocks, got {given} endpoints")
    try:
        return _site(rig, endpoints)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"rig {rig.name} makes no valid site: {place}: {in_words(Site, first)}") from None


def _site(rig: RigFile, endpoints: Endpoints) -> Site:
    inverter, meter = endpoints.inverter, endpoints.grid_meter
    pv, limited = endpoints.pv_meter, endpoints.pv_inverter
    return Site(
        name=rig.name,
        racks=tuple(
            _rack(rig, name, bus, block)
            for name, bus, block in zip(rig.rack_names, endpoints.racks, _blocks(rig, endpoints), strict=True)
        ),
        inverter=InverterDevice(
            host=inverter.host,
            port=inverter.port,
            unit=inverter.unit,
            supply=rig.plant.converter_supply,
            **_driver(rig.plant.inverter_profile),
            reversion_s=reversion_s(rig.plant.inverter_profile),
        ),
        grid_meter=GridMeterDevice(
            host=meter.host,
            port=meter.port,
            unit=meter.unit,
            frequency_hz_nominal=rig.grid.nominal_hz,
            voltage_v_nominal=GRID_PHASE_V,
            **_driver(rig.plant.meter_profile),
        ),
        pv_meter=None if pv is None else PvMeterDevice(host=pv.host, port=pv.port, unit=pv.unit),
        pv_inverter=None
        if limited is None
        else PvInverterDevice(host=limited.host, port=limited.port, unit=limited.unit),
        intertie=_intertie(rig, endpoints.switchgear),
        auxiliaries=tuple(
            AuxiliaryDevice(name=spec.name, host=at.host, port=at.port, unit=at.unit, profile=spec.profile)
            for spec, at in zip(rig.auxiliaries, endpoints.auxiliaries, strict=True)
        ),
        **{name: getattr(rig.site, name) for name in SiteSettings.model_fields} | _island(rig),
    )


def _intertie(rig: RigFile, at: ModbusEndpoint | None) -> IntertieDevice | None:
    if rig.microgrid is None or at is None:
        return None
    return IntertieDevice(host=at.host, port=at.port, unit=at.unit, profile=rig.microgrid.profile)


def _island(rig: RigFile) -> dict[str, Any]:
    """The rig's own island settings, or the usual ones with its blocks."""
    if rig.microgrid is None or rig.site.island is not None:
        return {}
    blocks = [LoadBlock(name="critical", bit=0, power_w=rig.microgrid.critical_power_w)]
    blocks += [LoadBlock(name=each.name, bit=n, power_w=each.power_w) for n, each in enumerate(rig.microgrid.blocks, 1)]
    hz = rig.grid.nominal_hz
    return {"island": Island(blocks=tuple(blocks), frequency_hz_nominal=hz, voltage_v_nominal=GRID_VOLTAGE_V)}


def _driver(profile: str) -> dict[str, Any]:
    return {} if profile in (SUNSPEC, LEGACY) else {"driver": "profile", "profile": profile}


def reversion_s(profile: str) -> int:
    """After which a converter that speaks so drops a set-point that nobody renews (s)."""
    return 1 if profile in (SUNSPEC, LEGACY) else find_profile(profile).reversion_s_min


def _blocks(rig: RigFile, endpoints: Endpoints) -> tuple[ContactorBlock | None, ...]:
    """What each rack's contactors hang on."""
    profile = rig.plant.contactor_profile
    if profile is None:
        return (None,) * rig.plant.racks
    return tuple(
        ContactorBlock(host=at.host, port=at.port, unit=at.unit, profile=profile) for at in endpoints.contactor_blocks
    )


def _rack(rig: RigFile, name: str, bus: CanEndpoint, block: ContactorBlock | None) -> Rack:
    plant = rig.plant
    return Rack(
        name=name,
        modules=plant.modules_per_rack,
        cells_per_module=plant.cells_per_module,
        last_module_cells=plant.last_module_cells,
        cell=plant.cell,
        can=CanBus(interface=bus.interface, channel=bus.channel, host=bus.host, port=bus.port, bitrate=bus.bitrate),
        contactor_break_current_a=plant.contactor_break_current_a,
        contactors=plant.contactors,
        contactor_block=block,
        **_own_management(plant.low_voltage),
    )


def _own_management(variant: str | None) -> dict[str, Any]:
    if variant is None:
        return {}
    return {"monitor": "low-voltage", "low_voltage": {"variant": variant}, "safety_inputs": ()}
