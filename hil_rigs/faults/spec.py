"""Faults that a scenario injects: what kinds there are, where they strike and how a user writes one."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ValidationError

from drivers.config.config_yaml import in_words
from drivers.config.near import hint
from drivers.config.settings import Broken, Settings, about
from hil_rigs.faults.kind import FaultKind as FaultKind
from hil_rigs.faults.kind import target_words
from hil_rigs.faults.link_kinds import LINK_KINDS
from hil_rigs.faults.plant_kinds import PLANT_KINDS
from hil_rigs.faults.surrounding_kinds import SURROUNDING_KINDS


class FaultSyntaxError(ValueError):
    """A fault that cannot be understood; the message is one line."""


FAULT_KINDS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind(
            "cell-overvoltage", "a cell shows VALUE V", "cell", "cell_voltage_high",
            value=3.75, value_min=0.0, value_max=8.0, unit="V",
        ),
        FaultKind(
            "cell-undervoltage", "a cell shows VALUE V", "cell", "cell_voltage_low",
            value=2.40, value_min=0.0, value_max=8.0, unit="V",
        ),
        FaultKind(
            "cell-overtemperature", "a cell shows VALUE degC", "cell", "discharge_temperature_high",
            value=65.0, value_min=-40.0, value_max=87.0, unit="degC",
        ),
        FaultKind(
            "module-undertemperature", "all cells of a module show VALUE degC", "module",
            "discharge_temperature_low_recommended",
            value=-30.0, value_min=-40.0, value_max=87.0, unit="degC",
        ),
        FaultKind(
            "overcurrent", "a rack shows VALUE A (discharge positive)", "rack", "discharge_current_high",
            value=350.0, value_min=-80_000.0, value_max=80_000.0, unit="A",
        ),
        FaultKind(
            "cell-out-of-range", "a cell shows VALUE V, which no cell can have", "cell", "cell_voltage_out_of_range",
            value=6.5, value_min=0.0, value_max=8.0, unit="V",
        ),
        FaultKind(
            "module-sensors-open", "a module's temperature sensors are open: they show the scale's cold end", "module",
            "cell_temperature_out_of_range",
        ),
        FaultKind(
            "current-redundant-off", "a rack's second current sensor shows VALUE A too much", "rack",
            "current_sensors_disagree", value=30.0, value_min=-1000.0, value_max=1000.0, unit="A",
        ),
        FaultKind(
            "temperature-redundant-off", "a rack's second chain of temperature sensors shows VALUE K too much", "rack",
            "temperature_sensors_disagree", value=20.0, value_min=-60.0, value_max=60.0, unit="K",
        ),
        FaultKind("redundant-lost", "a rack's second sensors fall silent", "rack", "redundant_sensor_lost"),
        FaultKind("cell-frozen", "a cell's voltage stays as it is", "cell", "cell_voltage_frozen"),
        FaultKind(
            "open-wire", "the sense wire above a cell breaks: it shows VALUE V too much, the next too little", "cell",
            "open_wire", value=0.8, value_min=0.5, value_max=3.0, unit="V",
        ),
        FaultKind(
            "cell-heating", "a cell heats by VALUE K/s", "cell", "thermal_event",
            value=10.0, value_min=0.1, value_max=100.0, unit="K/s",
        ),
        FaultKind("current-frozen", "a rack's current stays as it is", "rack", "current_frozen"),
        FaultKind(
            "rack-voltage-wrong", "a rack's own voltage is VALUE V too high", "rack", "rack_voltage_mismatch",
            value=60.0, value_min=-1000.0, value_max=1000.0, unit="V",
        ),
        FaultKind("contactor-welded", "a rack's main contactor does not open any more", "rack", "contactor_welded"),
        FaultKind("contactor-stuck-open", "a rack's main contactor does not close", "rack", "contactor_stuck_open"),
        FaultKind("contactor-drops", "a rack's main contactor opens by itself", "rack", "contactor_opened_itself"),
        FaultKind("contactor-closes", "a rack's main contactor closes by itself", "rack", "contactor_closed_itself"),
        FaultKind(
            "contactor-ignored", "a rack that moves its contactors itself does not follow a request to connect", "rack",
            "contactor_request_ignored",
        ),
        FaultKind(
            "contactor-refused", "a rack that moves its contactors itself refuses to connect", "rack",
            "contactor_request_refused",
        ),
        FaultKind("contactor-chatter", "a rack's auxiliary contact goes to and fro", "rack", "contactor_chatter"),
        FaultKind("precharge-open", "a rack's precharge path is broken", "rack", "precharge_open"),
        FaultKind("precharge-absent", "a converter that should precharge the DC link does not", "", "precharge_open"),
        FaultKind("precharge-welded", "a rack's precharge contactor does not open", "rack", "precharge_welded"),
        FaultKind(
            "link-loaded", "VALUE Ohm lie across the DC link while racks precharge", "", "precharge_timeout",
            value=100.0, value_min=0.1, value_max=1000.0, unit="Ohm",
        ),
        FaultKind("link-shorted", "the DC link is shorted while racks precharge", "", "precharge_short"),
        FaultKind(
            "rack-charge", "a rack's cells are all at VALUE of their charge", "rack", "racks_unequal",
            value=0.12, value_min=0.0, value_max=1.0, unit="frac",
        ),
        FaultKind("cell-data-lost", "a cell-monitor module falls silent", "module", "cell_data_stale"),
        FaultKind("current-lost", "a rack's current sensor falls silent", "rack", "current_stale"),
        FaultKind("rack-io-lost", "a rack's contactor I/O falls silent", "rack", "rack_io_stale"),
        FaultKind(
            "monitor-crc", "a share VALUE of a rack's frames has a wrong checksum", "rack", "monitor_crc_errors",
            value=0.2, value_min=0.0, value_max=1.0, unit="frac",
        ),
        FaultKind("monitor-counter", "a rack's frames repeat one counter", "rack", "monitor_counter_errors"),
        FaultKind("commands-lost", "a rack hears nothing of the controller any more", "rack", "rack_command_lost"),
        FaultKind("inverter-lost", "the converter's Modbus link is cut", "", "inverter_lost"),
        FaultKind(
            "standstill", "rig and controller stand still for VALUE s, as on a suspended machine", "",
            "controller_stalled", value=0.8, value_min=0.01, value_max=60.0, unit="s",
        ),
        FaultKind(
            "late-ticks", "for 10 s the machine is busy for VALUE s in every fifth of a second", "", "tick_overruns",
            value=0.07, value_min=0.01, value_max=0.15, unit="s",
        ),
        FaultKind(
            "clock-jump", "the wall clock jumps by VALUE s", "", "clock_jump",
            value=3600.0, value_min=-1e6, value_max=1e6, unit="s",
        ),
        FaultKind("meter-lost", "the grid meter's Modbus link is cut", "", "meter_lost"),
        *SURROUNDING_KINDS,
        *LINK_KINDS,
        *PLANT_KINDS,
    )
}  # fmt: skip

FaultName = Literal[
    "cell-overvoltage",
    "cell-undervoltage",
    "cell-overtemperature",
    "module-undertemperature",
    "overcurrent",
    "cell-out-of-range",
    "module-sensors-open",
    "current-redundant-off",
    "temperature-redundant-off",
    "redundant-lost",
    "cell-frozen",
    "open-wire",
    "cell-heating",
    "current-frozen",
    "rack-voltage-wrong",
    "contactor-welded",
    "contactor-stuck-open",
    "contactor-drops",
    "contactor-closes",
    "contactor-ignored",
    "contactor-refused",
    "contactor-chatter",
    "precharge-open",
    "precharge-absent",
    "precharge-welded",
    "link-loaded",
    "link-shorted",
    "rack-charge",
    "cell-data-lost",
    "current-lost",
    "rack-io-lost",
    "monitor-crc",
    "monitor-counter",
    "commands-lost",
    "inverter-lost",
    "standstill",
    "late-ticks",
    "clock-jump",
    "meter-lost",
    "insulation-low",
    "insulation-monitor",
    "insulation-monitor-lost",
    "insulation-monitor-on",
    "interlock-open",
    "emergency-stop",
    "smoke",
    "gas",
    "fire-panel",
    "fire-output-stuck",
    "fuse-blown",
    "door-open",
    "aux-supply",
    "aux-on-battery",
    "aux-charge",
    "auxiliary-lost",
    "cooling-failed",
    "cooling-stuck",
    "coolant-temperature",
    "precharge-hot",
    "safety-inputs-lost",
    "safety-input-missing",
    "monitor-alarm",
    "cell-venting",
    "battery-alarm",
    "battery-warning",
    "battery-silent",
    "inverter-local",
    "inverter-alarm",
    "inverter-says-off",
    "inverter-trips",
    "inverter-runs-away",
    "inverter-dc-voltage",
    "meter-frequency",
    "grid-voltage",
    "grid-dip",
    "grid-outage",
    "grid-frequency",
    "grid-phase-jump",
    "bus-open",
    "bus-loss",
    "bus-delay",
    "bus-repeats",
    "bus-reorders",
    "bus-bit-flips",
    "bus-babble",
    "inverter-slow",
    "inverter-resets",
    "inverter-cuts",
    "inverter-splits",
    "inverter-repeats",
    "inverter-unit",
    "inverter-exception",
    "meter-slow",
    "meter-resets",
    "meter-cuts",
    "meter-unit",
    "meter-exception",
    "switch-lost",
    "cell-sense-short",
    "module-sensors-short",
    "cell-offset",
    "cell-drift",
    "cell-noise",
    "cells-swapped",
    "current-offset",
    "current-gain",
    "current-drift",
    "current-noise",
    "cell-internal-short",
    "cell-capacity",
    "cell-resistance",
    "cell-runaway",
    "contactor-late",
    "contactor-output-stuck",
    "contactor-block-lost",
    "inverter-holds",
    "inverter-ignores-reactive",
    "inverter-wrong-sign",
    "inverter-late-ramp",
    "inverter-restarts",
    "inverter-lies",
    "grid-swell",
    "switch-welded",
    "switch-refuses",
    "switch-lies",
    "switch-no-synchroniser",
    "blocks-stuck",
    "bus-fed",
    "controller-killed",
    "controller-paused",
    "disk-full",
]

_TARGET = re.compile(r"([a-z][a-z0-9-]{0,31})(?:/([1-9][0-9]{0,3}))?")


class FaultSpec(Settings):
    """One fault of a scenario; it stays until the end."""

    kind: Annotated[FaultName, about("", "what happens")]
    at_s: Annotated[float, about("s", "when, from the start of the scenario", ge=0, le=1e6)]
    target: Annotated[str | None, about("", "RACK or RACK/NUMBER, counted from 1", "the first")] = None
    value: Annotated[float | None, about("", "how much, in the kind's unit", "the kind's own")] = None

    @property
    def about(self) -> FaultKind:
        """Its kind."""
        return FAULT_KINDS[self.kind]

    @property
    def rack(self) -> str | None:
        """Rack that it strikes; None = the first (or the kind strikes no rack)."""
        return self.target.partition("/")[0] if self.target is not None else None

    @property
    def number(self) -> int:
        """Cell or module that it strikes, counted from 1."""
        return int((self.target or "").partition("/")[2] or 1)

    @property
    def strength(self) -> float | None:
        """The value, or else the kind's own; None where the kind takes none."""
        return self.value if self.value is not None else self.about.value

    def broken_relations(self) -> Iterator[Broken]:
        kind = self.about
        if self.target is not None and not _fits(kind, self.target):
            yield Broken(("target",), self.target, f"no target of {kind.name}", target_words(kind), (("kind",),))
        if self.value is None:
            return
        if kind.value is None:
            yield Broken(("value",), self.value, f"{kind.name} takes no value", "none", (("kind",),))
        elif not kind.value_min <= self.value <= kind.value_max:
            expected = f"a number from {kind.value_min:g} to {kind.value_max:g}, in {kind.unit}"
            yield Broken(("value",), self.value, f"out of range for {kind.name}", expected, (("kind",),))
        elif kind.whole and self.value != round(self.value):
            expected = f"a whole number from {kind.value_min:g} to {kind.value_max:g}"
            yield Broken(("value",), self.value, f"no {kind.unit} of {kind.name}", expected, (("kind",),))


def _fits(kind: FaultKind, target: str) -> bool:
    match = _TARGET.fullmatch(target)
    return match is not None and kind.strikes != "" and (match[2] is None or kind.strikes != "rack")


def parse_fault(text: str) -> FaultSpec:
    """`KIND@T[:TARGET[:VALUE]]` as on the command line, for example `cell-overvoltage@20:rack-1/5:3.8`; an empty
    TARGET is the first. FaultSyntaxError says what is wrong."""
    kind, at, rest = text.partition("@")
    if kind not in FAULT_KINDS:
        raise FaultSyntaxError(f"fault {text!r}: no kind {kind!r}, {hint(kind, FAULT_KINDS)}")
    parts = rest.split(":")
    if not at or len(parts) > 3:
        raise FaultSyntaxError(f"fault {text!r}: expected KIND@T[:TARGET[:VALUE]], for example {kind}@20")
    fields: dict[str, object] = {"kind": kind, "at_s": _number(text, "T", parts[0])}
    if len(parts) > 1 and parts[1]:
        fields["target"] = parts[1]
    if len(parts) > 2:
        fields["value"] = _number(text, "VALUE", parts[2])
    try:
        return FaultSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise FaultSyntaxError(f"fault {text!r}: {first['loc'][0]}: {in_words(FaultSpec, first)}") from None


def parse_fault_before(text: str, end_s: float) -> FaultSpec:
    """The same of a run that ends at `end_s`; FaultSyntaxError also for a fault that would not come."""
    fault = parse_fault(text)
    if fault.at_s >= end_s:
        raise FaultSyntaxError(f"fault {text!r}: not before the run's end, expected less than {end_s:g} s")
    return fault


def _number(text: str, name: str, part: str) -> float:
    if not re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", part):
        raise FaultSyntaxError(f"fault {text!r}: {name} is not a number (got {part!r})")
    return float(part)
