"""The site file: every device, limit and application of one site, checked as a whole before anything starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bms.site.applications import APPLICATIONS, Application
from bms.site.cells import broken_cells
from bms.site.contactors import broken_contactor_blocks
from bms.site.converter_loop import ConverterLoop
from bms.site.devices import (
    NAME,
    AuxiliaryDevice,
    BatteryBus,
    CanBus,
    GridMeterDevice,
    IntertieDevice,
    InverterDevice,
    PvInverterDevice,
    PvMeterDevice,
    broken_auxiliaries,
)
from bms.site.fast_lane import FastLane
from bms.site.faults import FaultSetting
from bms.site.island import Island
from bms.site.limits import Balancing, Limits, Precharge
from bms.site.links import ModbusDevice, broken_lines
from bms.site.north import North
from bms.site.rack import Rack, word_periods
from bms.site.safety import Safety
from bms.site.strip import broken_strip
from drivers.config.config_yaml import dump_yaml, load_strict
from drivers.config.settings import RELATION, Broken, Loc, Settings, about, taken
from drivers.insulation.iso165c import INFO_PERIOD_S

BATTERY_BUS_VOLTAGE_V_MAX = 327.67
"""Most that 0x356 can carry."""


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
                yield taken(("faults", i, "id"), fault.id, f"same fault as faults.{twin}", ("faults", twin, "id"))

    def _broken_applications(self) -> Iterator[Broken]:
        first: dict[str, int] = {}
        for i, application in enumerate(self.applications):
            path = f"applications.{i}"
            if (twin := first.setdefault(application.kind, i)) != i and not application.several:
                loc = ("applications", i, "kind")
                yield taken(loc, application.kind, f"same kind as applications.{twin}", ("applications", twin))
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
                yield taken(("racks", i, "name"), rack.name, f"same name as racks.{twin}", ("racks", twin, "name"))
            if (twin := buses.setdefault(rack.can.model_copy(update={"bitrate": None}), i)) != i:
                loc: Loc = ("racks", i, "can", "channel")
                yield taken(loc, rack.can.channel, f"same bus as racks.{twin}", ("racks", twin, "can"))
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
            for name, age_s in word_periods(rack).items():
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
                yield taken(loc, rack.can.channel, f"same bus as racks.{i}", ("racks", i, "can"))


def load_site(path: str | Path) -> Site:
    """The site in a file; ConfigErrors with every mistake, one a line (see load_strict)."""
    return load_strict(path, Site)


def site_settings(site: Site) -> str:
    """One line of JSON with every setting, for the metadata of a record."""
    return site.model_dump_json(exclude_none=True)


def dump_site(site: Site) -> str:
    """YAML text with every setting, also the defaults; read back it gives an equal site."""
    return dump_yaml(site, first=("name", "racks", "inverter", "grid_meter"))
