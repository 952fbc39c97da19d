"""Scenario files: a rig, what goes wrong on it and when, and what must come of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bms.site.applications import Application
from bms.state.store import FOR_S_MAX, Told
from drivers.config.settings import RELATION, Broken, Settings, about
from drivers.config.shipped import Shipped, find, shipped
from hil_rigs.checks import Check, CheckError, parse_check
from hil_rigs.faults.place import misplaced
from hil_rigs.faults.spec import FAULT_KINDS, FaultKind, FaultSpec, FaultSyntaxError, parse_fault
from hil_rigs.grid_spec import GridSpec
from hil_rigs.load_spec import LoadFile, LoadFmu, LoadSpec
from hil_rigs.rig import RigFile, find_rig, known_rig, make_site, somewhere
from hil_rigs.signals import INVARIANT_SIGNALS

__all__ = [
    "FAULT_KINDS",
    "Expect",
    "FaultKind",
    "FaultSpec",
    "FaultSyntaxError",
    "Scenario",
    "find_scenario",
    "list_scenarios",
    "parse_fault",
]

FOLDER = Path(__file__).parent / "scenarios"

FaultId = Annotated[str, about("", "id of a fault of the controller", pattern=r"^[a-z][a-z0-9_]*$", shape="a fault id")]


def understood_check(text: str) -> str:
    """Validator: a check that can be judged."""
    try:
        parse_check(text)
    except CheckError as error:
        context = {"wrong": error.wrong, "expected": error.expected}
        raise PydanticCustomError(RELATION, "{wrong}", context) from None
    return text


CheckText = Annotated[
    str,
    about("", "a check, see docs/scenarios.md", usable="at the end: grid_power_w < 1", min_length=1, max_length=300),
    AfterValidator(understood_check),
]


class Expect(Settings):
    """What is judged; what is absent is not judged."""

    battery: Annotated[
        Literal["running", "partial", "zero", "open"] | None,
        about("", "end state: running, running without some racks, 0 W with closed contactors, or open contactors"),
    ] = None
    faults: Annotated[
        tuple[FaultId, ...], Field(strict=False), about("", "ids that the controller must raise", max_length=32)
    ] = ()
    no_faults: Annotated[bool, about("", "the controller must raise no fault at all")] = False
    opened: Annotated[bool | None, about("", "whether a contactor that was closed opens at any time")] = None
    checks: Annotated[
        tuple[CheckText, ...], Field(strict=False), about("", "what must hold on the plant", max_length=64)
    ] = ()
    invariants: Annotated[bool, about("", "what must hold in every run is judged too, see docs/scenarios.md")] = False
    grid_range_w_5s_max: Annotated[
        float | None, about("W", "largest difference of the grid's power within any 5 s", gt=0, le=1e10)
    ] = None
    grid_power_w_max: Annotated[float | None, about("W", "highest power of the grid", gt=0, le=1e10)] = None
    settle_time_s: Annotated[
        float,
        about(
            "s",
            "the grid's power is judged from here to the end of duration_s",
            "racks joined and target settled",
            ge=0,
            le=1e6,
        ),
    ] = 0.0

    @property
    def parsed_checks(self) -> tuple[tuple[str, Check], ...]:
        """Each check with its text."""
        return tuple((text, parse_check(text)) for text in self.checks)

    @property
    def signals(self) -> frozenset[str]:
        """Names of the signals that the checks need."""
        checked = frozenset(name for _, check in self.parsed_checks for name in check.signals)
        return checked | (INVARIANT_SIGNALS if self.invariants else frozenset())

    def broken_relations(self) -> Iterator[Broken]:
        if self.no_faults and self.faults:
            yield Broken(("no_faults",), True, "contradicts the faults that must appear", "false", (("faults",),))


class Tell(Settings):
    """What somebody tells the running controller, as `bms set` does."""

    at_s: Annotated[float, about("s", "when, from the start of the scenario", ge=0, le=1e6)]
    name: Annotated[str, about("", "name of the input", pattern=r"^[a-z][a-z0-9_]{0,31}$", shape="an input's name")]
    value: Annotated[float, about("", "its value, in the unit of who listens", ge=-1e12, le=1e12)]
    for_s: Annotated[float, about("s", "how long it holds", gt=0, le=FOR_S_MAX)]


class Scenario(Shipped):
    """A scenario."""

    rig: Annotated[
        str,
        about("", "name or path of the rig", "the demo rig", usable="demo", min_length=1, max_length=500),
        AfterValidator(known_rig),
    ] = "demo"
    duration_s: Annotated[float, about("s", "length", gt=0, le=1e6)]
    seed: Annotated[int, about("", "seed of everything random, unless told otherwise", "any", ge=0, le=2**63 - 1)] = 1
    load: Annotated[LoadSpec | None, about("", "replaces the rig's load", "the rig's own")] = None
    grid: Annotated[GridSpec | None, about("", "replaces the rig's grid", "the rig's own")] = None
    start_hour: Annotated[
        float | None, about("h", "replaces the hour of the day at the start", "the rig's own", ge=0, lt=24)
    ] = None
    applications: Annotated[
        tuple[Application, ...] | None,
        Field(strict=False),
        about("", "replace those of the rig's site", "the rig's own", max_length=16),
    ] = None
    tell: Annotated[
        tuple[Tell, ...], Field(strict=False), about("", "inputs that the controller is told", max_length=100)
    ] = ()
    faults: Annotated[tuple[FaultSpec, ...], Field(strict=False), about("", "what goes wrong", max_length=1000)] = ()
    expect: Annotated[Expect, about("", "what must come of it")]

    def find_rig(self) -> RigFile:
        """Its rig with what the scenario replaces, but for the load."""
        rig = find_rig(self.rig)
        new: dict[str, object] = {} if self.grid is None else {"grid": self.grid}
        if self.start_hour is not None:
            new["start_hour"] = self.start_hour
        if self.applications is not None:
            new["site"] = rig.site.model_copy(update={"applications": self.applications})
        return rig.model_copy(update=new)

    @property
    def told(self) -> tuple[tuple[float, Told], ...]:
        """When somebody tells which input."""
        return tuple((each.at_s, Told(each.name, each.value, each.for_s)) for each in self.tell)

    def broken_relations(self) -> Iterator[Broken]:
        for i, told in enumerate(self.tell):
            if told.at_s >= self.duration_s:
                expected, others = f"less than {self.duration_s:g}", (("duration_s",),)
                yield Broken(("tell", i, "at_s"), told.at_s, "not before the scenario's end", expected, others)
        for i, fault in enumerate(self.faults):
            if fault.at_s >= self.duration_s:
                expected, others = f"less than {self.duration_s:g}", (("duration_s",),)
                yield Broken(("faults", i, "at_s"), fault.at_s, "not before the scenario's end", expected, others)
        yield from self._broken_places()
        yield from self._broken_site()
        yield from self._broken_checks()
        if self.expect.settle_time_s >= self.duration_s:
            expected, others = f"less than {self.duration_s:g}", (("duration_s",),)
            loc = ("expect", "settle_time_s")
            yield Broken(loc, self.expect.settle_time_s, "not before the scenario's end", expected, others)

    def _broken_places(self) -> Iterator[Broken]:
        """Every fault strikes what the rig has."""
        rig = find_rig(self.rig)
        for i, fault in enumerate(self.faults):
            for at, wrong, expected in () if [*fault.broken_relations()] else misplaced(rig, fault):
                loc, got = ("faults", i, at), getattr(fault, at)
                yield Broken(loc, got, wrong, expected or f"what rig {rig.name} has", (("rig",), ("faults", i)))

    def _broken_site(self) -> Iterator[Broken]:
        """Its load's file is there, and its applications fit the rest of the rig's site."""
        if isinstance(self.load, LoadFile | LoadFmu) and not Path(self.load.path).is_file():
            yield Broken(("load", "path"), self.load.path, "no such file", "a file that can be read")
        if self.applications is not None and not any([*each.broken_relations()] for each in self.applications):
            rig = self.find_rig()
            try:
                make_site(rig, somewhere(rig))
            except ValueError as error:
                expected = f"applications that fit the site of rig {rig.name}"
                yield Broken(("applications",), "a list", str(error), expected, (("rig",),))

    def _broken_checks(self) -> Iterator[Broken]:
        """A check refers to a fault that comes."""
        kinds = [fault.kind for fault in self.faults]
        for i, (text, check) in enumerate(self.expect.parsed_checks):
            if check.needs is not None and (check.needs not in kinds if check.needs else not kinds):
                wrong = f"refers to {check.needs or 'a fault'}, which is not injected"
                expected = f"one of {', '.join(kinds)}" if kinds else "faults, or `within TIME after TIME`"
                yield Broken(("expect", "checks", i), text, wrong, expected, (("faults",),))


def find_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario or a file. UnknownNameError or ConfigErrors."""
    return find(FOLDER, name_or_path, Scenario)


def list_scenarios() -> list[Scenario]:
    """All shipped scenarios, by name; raises if one of them is broken."""
    return shipped(FOLDER, Scenario)
