"""The causes of faults among a rack's safety inputs, looked for whenever one of their frames has arrived."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from bms.image import Image
from bms.protect.levels import Condition
from bms.protect.monitor_faults import MONITOR_ALARMS
from bms.protect.outputs import WORKING, RackOutputs
from bms.site import Rack, Safety, Site
from bms.summary import RackSummary
from drivers.auxiliary.described import fields_of
from drivers.readings import RackReading
from drivers.safety import NOT_HEARD, CoolingRequest, InsulationState, SafetyInputs

CHARGE_HYSTERESIS = 0.05
OF_INSULATION = {"insulation", "monitor-alarms"}
"""Inputs that come with the insulation monitor's frame."""


WIRED_AS = {
    "interlock_closed": "interlock",
    "emergency_stop_released": "emergency-stop",
    "smoke_detected": "smoke",
    "gas_detected": "gas",
    "fire_panel_alarm": "fire-panel",
    "fire_output_on": "fire-output",
    "door_closed": "door",
    "fuse_intact": "fuse",
    "cooling_running": "cooling-running",
    "cooling_failed": "cooling",
    "aux_supply_v": "aux-supply",
    "coolant_temperature_degc": "coolant-temperature",
    "precharge_temperature_degc": "precharge-temperature",
    "aux_on_battery": "supply-battery",
    "aux_charge_frac": "supply-charge",
}
"""Which input each field of SafetyInputs belongs to that an auxiliary device may say."""


class Flag(NamedTuple):
    """An input that is true or false: it trips `fault_id` when it is `bad`, `missing` when it is absent."""

    wired: str
    value: Callable[[SafetyInputs], bool | None]
    bad: bool | None
    fault_id: str
    says: str
    missing: str


MUST, MAY = "safety_input_missing", "auxiliary_input_missing"
FLAGS = tuple(
    Flag(wired, attrgetter(name), bad, fault_id, says, missing)
    for wired, name, bad, fault_id, says, missing in (
        ("emergency-stop", "emergency_stop_released", False, "emergency_stop", "pressed", MUST),
        ("interlock", "interlock_closed", False, "interlock_open", "loop open", MUST),
        ("smoke", "smoke_detected", True, "smoke_detected", "smoke", MUST),
        ("gas", "gas_detected", True, "gas_detected", "gas", MUST),
        ("fire-panel", "fire_panel_alarm", True, "fire_panel_alarm", "alarm", MUST),
        ("door", "door_closed", False, "door_open", "open", MAY),
        ("fuse", "fuse_intact", False, "fuse_blown", "blown", MAY),
        ("cooling", "cooling_failed", True, "cooling_failed", "failed", MAY),
        ("supply-battery", "aux_on_battery", True, "aux_supply_on_battery", "on battery", MAY),
    )
)


class Bound(NamedTuple):
    """A limit of a measured input; `sign` 1 = above it, -1 = below it. Once tripped it lasts until the value is
    `hysteresis` inside."""

    wired: str
    value: Callable[[SafetyInputs], float]
    sign: int
    limit: float
    hysteresis: float
    fault_id: str
    unit: str


def bounds(safety: Safety) -> tuple[Bound, ...]:
    supply, coolant = attrgetter("aux_supply_v"), attrgetter("coolant_temperature_degc")
    wired, precharge = "coolant-temperature", attrgetter("precharge_temperature_degc")
    highest = safety.coolant_temperature_degc_max_operating
    return (
        Bound("aux-supply", supply, -1, safety.aux_supply_v_min, 0.5, "aux_supply_low", "V"),
        Bound(
            "aux-supply", supply, -1, safety.aux_supply_v_min_recommended, 0.5, "aux_supply_low_recommended", "V"
        ),
        Bound("aux-supply", supply, 1, safety.aux_supply_v_max, 0.5, "aux_supply_high", "V"),
        Bound(
            "aux-supply", supply, 1, safety.aux_supply_v_max_recommended, 0.5, "aux_supply_high_recommended", "V"
        ),
        Bound(wired, coolant, 1, safety.coolant_temperature_degc_max, 2.0, "coolant_temperature_high", "degC"),
        Bound(wired, coolant, 1, highest, 2.0, "coolant_temperature_high_operating", "degC"),
        Bound(wired, coolant, -1, safety.coolant_temperature_degc_min, 1.0, "coolant_temperature_low", "degC"),
        Bound(
            "precharge-temperature", precharge, 1, safety.precharge_temperature_degc_max, 10.0,
            "precharge_resistor_hot", "degC",
        ),
    )  # fmt: skip


class RackSafetyInputs:
    """Looks at one rack's inputs; what is not wired is not judged. Those in `beside` come from auxiliary devices, which
    leave out what is too old, and are judged whatever the monitor's are worth."""

    def __init__(self, rack: Rack, safety: Safety, beside: frozenset[str] = frozenset()) -> None:
        wired = set(rack.safety_inputs) | beside
        self._safety = safety
        self._flags = [flag for flag in FLAGS if flag.wired in wired]
        self._bounds = [bound for bound in bounds(safety) if bound.wired in wired]
        self._wired = wired
        self._beside = beside
        self._of_safety = bool(wired - OF_INSULATION - beside)
        self._of_insulation = bool(wired & OF_INSULATION)
        self._seen: tuple[SafetyInputs, RackOutputs | None] = NOT_HEARD, None
        self._found: list[Condition] = []

    def conditions(
        self, reading: RackReading, summary: RackSummary, wanted: RackOutputs, active: Callable[[str], bool]
    ) -> Iterable[Condition]:
        """`wanted`: the outputs as they were decided; `active` says whether a fault has tripped."""
        age_s = max(
            summary.safety_age_s if self._of_safety else 0.0, summary.insulation_age_s if self._of_insulation else 0.0
        )
        if age_s > self._safety.input_age_s_max:
            stale = Condition("safety_inputs_stale", age_s, self._safety.input_age_s_max, "age in s")
            return [stale, *self._inputs(reading.safety, active, self._beside)]
        if (reading.safety, wanted) != self._seen:
            self._seen = reading.safety, wanted
            self._found = list(self._look(reading, wanted, active))
        return self._found

    def _look(self, reading: RackReading, wanted: RackOutputs, active: Callable[[str], bool]) -> Iterator[Condition]:
        inputs = reading.safety
        yield from self._inputs(inputs, active, self._wired)
        if "insulation" in self._wired:
            yield from self._insulation(reading, active)
        if "monitor-alarms" in self._wired and inputs.alarms:
            yield from (said(MONITOR_ALARMS[alarm].id, "alarm bit set") for alarm in inputs.alarms)
        yield from self._outputs(inputs, wanted)

    def _inputs(
        self, inputs: SafetyInputs, active: Callable[[str], bool], wired: Collection[str]
    ) -> Iterator[Condition]:
        for flag in self._flags:
            value = flag.value(inputs)
            if flag.wired not in wired:
                continue
            if value is flag.bad:
                yield said(flag.fault_id, flag.says)
            elif value is None:
                yield said(flag.missing, flag.wired)
        for bound in self._bounds:
            if bound.wired in wired:
                yield from _beyond(bound, inputs, active)
        if "supply-charge" in wired:
            yield from self._charge(inputs, active)

    def _charge(self, inputs: SafetyInputs, active: Callable[[str], bool]) -> Iterator[Condition]:
        """A low battery is no danger while it is charged; a supply that does not say counts as on its battery."""
        if inputs.aux_on_battery is False and not math.isnan(inputs.aux_charge_frac):
            return
        limit = self._safety.aux_charge_frac_min
        charge = Bound("supply-charge", _CHARGE, -1, limit, CHARGE_HYSTERESIS, "aux_supply_charge_low", "frac")
        yield from _beyond(charge, inputs, active)

    def _insulation(self, reading: RackReading, active: Callable[[str], bool]) -> Iterator[Condition]:
        """A resistance counts while the monitor is active, by the rack's present voltage."""
        inputs, safety = reading.safety, self._safety
        state, kohm = inputs.insulation_state, inputs.insulation_kohm
        if state is InsulationState.DEVICE_FAULT:
            yield said("insulation_monitor_failed", "device fault")
        elif state is InsulationState.SELF_TEST_FAILED:
            yield said("insulation_self_test_failed", "self-test failed")
        elif state is None or (state is InsulationState.ACTIVE and math.isnan(kohm)):
            yield said("insulation_monitor_lost", "no value")
        elif state is InsulationState.ACTIVE:
            for fault_id, ohm_per_v in (
                ("insulation_low_warning", safety.insulation_ohm_per_v_warning),
                ("insulation_low", safety.insulation_ohm_per_v_fatal),
            ):
                limit_kohm = 1e-3 * ohm_per_v * reading.rack_voltage_v
                bound = Bound("", _KOHM, -1, limit_kohm, 0.1 * limit_kohm, fault_id, "kOhm")
                yield from _beyond(bound, inputs, active)

    def _outputs(self, inputs: SafetyInputs, wanted: RackOutputs) -> Iterator[Condition]:
        if "fire-output" in self._wired and inputs.fire_output_on is not wanted.fire_alarm:
            yield said("fire_output_failed", "set" if wanted.fire_alarm else "not set")
        runs = inputs.cooling_running
        if "cooling" in self._wired and wanted.cooling is not CoolingRequest.AUTO and runs is not None:
            on = wanted.cooling is CoolingRequest.ON
            if runs is not on:
                yield said("cooling_not_following", "told to run" if on else "told to stop")


def beside(site: Site, rack: Rack) -> frozenset[str]:
    """The rack's inputs that its auxiliary devices say."""
    around = [device for device in site.auxiliaries if device.concerns(rack.name)]
    return frozenset(WIRED_AS[field] for device in around for field in fields_of(device.description))


class InsulationMonitors:
    """One insulation monitor at the connected DC bus, no more and no fewer."""

    def __init__(self, site: Site) -> None:
        self._wired = ["insulation" in rack.safety_inputs for rack in site.racks]

    def conditions(self, image: Image) -> Iterator[Condition]:
        connected = working = 0
        for rack, wired in zip(image.racks, self._wired, strict=True):
            if rack.main_closed:
                connected += 1
                working += wired and rack.safety.insulation_state in WORKING
        if working > 1:
            yield Condition("insulation_monitors_several", float(working), 1.0, "monitors on")
        elif connected and not working and any(self._wired):
            yield said("insulation_unmonitored", "none on")


_CHARGE: Callable[[SafetyInputs], float] = attrgetter("aux_charge_frac")
_KOHM: Callable[[SafetyInputs], float] = attrgetter("insulation_kohm")


def said(fault_id: str, what: str) -> Condition:
    """A condition without a number."""
    return Condition(fault_id, math.nan, math.nan, what)


def _beyond(bound: Bound, inputs: SafetyInputs, active: Callable[[str], bool]) -> Iterator[Condition]:
    value = bound.value(inputs)
    if math.isnan(value):
        if bound.wired:
            yield said(MAY, bound.wired)
        return
    beyond = bound.sign * (value - bound.limit)
    if beyond > 0.0 or (beyond > -bound.hysteresis and active(bound.fault_id)):
        yield Condition(bound.fault_id, value, bound.limit, bound.unit)
