"""What a simulated converter's SunSpec models hold: fixed nameplate points, and the live ones of each read.

Signs on the wire: 701 W is positive in generation, that is discharge (SunSpec definition of the point). 714 DC power
and current are positive in discharge too: the model's energy counters call that direction injected, as 701 does. 802
leaves its sign open; here it is discharge as well.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, hypot, sqrt
from typing import Protocol

from drivers.sunspec.layout import load_layout
from hil_rigs.devices.sunspec_map import ServedModel, Values, scale_exponent
from hil_rigs.plant.grid_support import GridSupport
from hil_rigs.plant.smoothing_loop import SmoothingLoop

GRID_VOLTAGE_V = 400.0
"""Nominal, line to line."""
HEADROOM = 1.2
"""Measured power and current may be that much above the rating before their registers saturate."""
DC_VOLTAGE_V_MAX = 2000.0
EMPTY_FRAC = 0.75
"""Voltage of an empty string over its nominal one: LFP 2.5 V of 3.2 V."""
SET_POINT_POINTS = (
    "WSetEna",
    "WSetMod",
    "WSet",
    "WSetRvrt",
    "WSetPct",
    "WSetPctRvrt",
    "WSetEnaRvrt",
    "WSetRvrtTms",
)
REACTIVE_POINTS = (
    "VarSetEna",
    "VarSetMod",
    "VarSetPri",
    "VarSet",
    "VarSetRvrt",
    "VarSetPct",
    "VarSetPctRvrt",
    "VarSetEnaRvrt",
    "VarSetRvrtTms",
)
REACTIVE_RATINGS = ("VarMaxInjRtg", "VarMaxAbsRtg", "VarMaxInj", "VarMaxAbs")
STORAGE_MODES = ("FIXED_W", "FIXED_VAR", "VOLT_VAR", "FREQ_WATT", "WATT_VAR", "VOLT_WATT")
ALARMS = {
    "dc_over_voltage": "DC_OVER_VOLT",
    "ac_over_voltage": "AC_OVER_VOLT",
    "ac_under_voltage": "AC_UNDER_VOLT",
    "over_frequency": "OVER_FREQUENCY",
    "under_frequency": "UNDER_FREQUENCY",
}
"""The converter's words for which model 701 has a bit; all others are its MANUFACTURER_ALRM."""


@dataclass(frozen=True, slots=True)
class BatterySummary:
    """The battery as the converter's own models show it; current positive in discharge."""

    soc_frac: float
    soh_frac: float
    energy_rated_wh: float
    charge_rated_ah: float
    voltage_v: float
    current_a: float


class AcSide(Protocol):
    """What the map needs of anything that feeds the grid; power positive in generation, that is discharge, reactive
    power injected. `state` is a word of model 701's InvSt in lower case, `alarm` a word for why it tripped or None."""

    @property
    def rated_power_w(self) -> float: ...

    @property
    def apparent_power_va(self) -> float: ...

    @property
    def reactive_var_max(self) -> float: ...

    @property
    def state(self) -> str: ...

    @property
    def alarm(self) -> str | None: ...

    @property
    def ac_power_w(self) -> float: ...

    @property
    def frequency_hz(self) -> float: ...

    @property
    def ac_voltage_pu(self) -> float: ...

    @property
    def reactive_var(self) -> float: ...


class Converter(AcSide, Protocol):
    """What the map needs of a storage converter; power and current positive in discharge. `set_reactive(None)` leaves
    it to its own behaviour."""

    @property
    def dc_power_w(self) -> float: ...

    @property
    def dc_current_a(self) -> float: ...

    @property
    def dc_voltage_v(self) -> float: ...

    @property
    def support(self) -> GridSupport: ...

    @property
    def loop(self) -> SmoothingLoop: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def reset(self) -> None: ...

    def set_power(self, power_w: float) -> None: ...

    def set_reactive(self, reactive_var: float | None) -> None: ...


def common_model(model_name: str, serial: str) -> ServedModel:
    """Model 1: who it is."""
    return ServedModel(load_layout(1), {"Mn": "cellward", "Md": model_name, "Vr": "1", "SN": serial})


@dataclass(slots=True)
class ReportingFaults:
    """What a converter says wrongly or beside its real state; set at any time."""

    alarm_bits: int = 0
    says_off: bool = False
    dc_voltage_off_v: float = 0.0
    power_off_w: float = 0.0


def measurement_model(converter: AcSide, faults: ReportingFaults, forming: Callable[[], bool]) -> ServedModel:
    """Model 701: AC side and state. Connected means that the grid is there."""
    layout = load_layout(701)
    largest_w = HEADROOM * max(converter.rated_power_w, converter.apparent_power_va)
    power_exponent = scale_exponent(largest_w, "int16")
    fixed: Values = {
        "ACType": layout.symbol("ACType", "THREE_PHASE"),
        "W_SF": power_exponent,
        "VA_SF": power_exponent,
        "Var_SF": power_exponent,
        "A_SF": scale_exponent(_phase_current_a(largest_w), "int16"),
        "V_SF": scale_exponent(2 * GRID_VOLTAGE_V, "uint16"),
        "Hz_SF": -3,
    }

    on, off = layout.symbol("St", "ON"), layout.symbol("St", "OFF")
    states = layout.points["InvSt"].symbols
    connected, disconnected = layout.symbol("ConnSt", "CONNECTED"), layout.symbol("ConnSt", "DISCONNECTED")
    forms, follows = layout.symbol("DERMode", "GRID_FORMING"), layout.symbol("DERMode", "GRID_FOLLOWING")

    def live() -> Values:
        state = "OFF" if faults.says_off else converter.state.upper()
        power_w, reactive_var = converter.ac_power_w, converter.reactive_var
        voltage_pu, frequency_hz = converter.ac_voltage_pu, converter.frequency_hz
        apparent_va = hypot(power_w, reactive_var)
        return {
            "St": on if state in ("RUNNING", "THROTTLED") else off,
            "InvSt": states[state],
            "ConnSt": connected if frequency_hz > 0 else disconnected,
            "Alrm": alarm_bits(converter.alarm) | faults.alarm_bits,
            "DERMode": 1 << (forms if forming() else follows),
            "W": power_w + faults.power_off_w,
            "VA": apparent_va,
            "Var": reactive_var,
            "A": _phase_current_a(apparent_va, voltage_pu),
            "LLV": voltage_pu * GRID_VOLTAGE_V,
            "LNV": voltage_pu * GRID_VOLTAGE_V / sqrt(3.0),
            "Hz": frequency_hz,
        }

    return ServedModel(layout, fixed, live=live)


def alarm_bits(alarm: str | None) -> int:
    """Bit field Alrm of model 701 for the converter's own word."""
    return 0 if alarm is None else 1 << load_layout(701).symbol("Alrm", ALARMS.get(alarm, "MANUFACTURER_ALRM"))


def capacity_model(converter: AcSide, modes: Sequence[str] = STORAGE_MODES) -> ServedModel:
    """Model 702: nameplate, and by what its power is controlled."""
    layout = load_layout(702)
    rated_power_w, apparent_va = converter.rated_power_w, converter.apparent_power_va
    power = ("WMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg", "WMax", "WChaRteMax", "WDisChaRteMax")
    values: Values = {
        "W_SF": scale_exponent(rated_power_w, "uint16"),
        "VA_SF": scale_exponent(apparent_va, "uint16"),
        "Var_SF": scale_exponent(converter.reactive_var_max, "uint16"),
        "V_SF": 0,
        **dict.fromkeys(power, rated_power_w),
        **dict.fromkeys(("VAMaxRtg", "VAMax"), apparent_va),
        **dict.fromkeys(REACTIVE_RATINGS, converter.reactive_var_max),
        "VNomRtg": GRID_VOLTAGE_V,
        "CtrlModes": sum(1 << layout.symbol("CtrlModes", mode) for mode in modes),
    }
    return ServedModel(layout, values)


def controls_model(remaining_s: Callable[[], float], reactive_remaining_s: Callable[[], float]) -> ServedModel:
    """Model 704: the set-points of active and reactive power with their reversions, and nothing else of that model.
    WSet and VarSet in steps of 1."""
    layout = load_layout(704)
    fixed: Values = {
        "WSet_SF": 0,
        "WSetPct_SF": -1,
        "WSetEna": layout.symbol("WSetEna", "DISABLED"),
        "WSetMod": layout.symbol("WSetMod", "WATTS"),
        "WSetEnaRvrt": layout.symbol("WSetEnaRvrt", "DISABLED"),
        **dict.fromkeys(("WSet", "WSetRvrt", "WSetPct", "WSetPctRvrt"), 0.0),
        "WSetRvrtTms": 0,
        "WSetRvrtRem": 0,
        "VarSet_SF": 0,
        "VarSetPct_SF": -1,
        "VarSetEna": layout.symbol("VarSetEna", "DISABLED"),
        "VarSetMod": layout.symbol("VarSetMod", "VARS"),
        "VarSetPri": layout.symbol("VarSetPri", "ACTIVE"),
        "VarSetEnaRvrt": layout.symbol("VarSetEnaRvrt", "DISABLED"),
        **dict.fromkeys(("VarSet", "VarSetRvrt", "VarSetPct", "VarSetPctRvrt"), 0.0),
        "VarSetRvrtTms": 0,
        "VarSetRvrtRem": 0,
    }

    def live() -> Values:
        return {"WSetRvrtRem": ceil(remaining_s()), "VarSetRvrtRem": ceil(reactive_remaining_s())}

    return ServedModel(layout, fixed, (*SET_POINT_POINTS, *REACTIVE_POINTS), live)


def storage_model(battery: Callable[[], BatterySummary]) -> ServedModel:
    """Model 713: state of charge and energy."""
    layout = load_layout(713)
    energy_wh = battery().energy_rated_wh
    fixed: Values = {"WH_SF": scale_exponent(energy_wh, "uint16"), "Pct_SF": -1, "WHRtg": energy_wh}

    def live() -> Values:
        now = battery()
        available_wh = now.energy_rated_wh * now.soc_frac * now.soh_frac
        percent = {"SoC": _percent(now.soc_frac), "SoH": _percent(now.soh_frac)}
        return {"WHAvail": available_wh, **percent, "Sta": layout.symbol("Sta", "OK")}

    return ServedModel(layout, fixed, live=live)


def dc_model(converter: Converter, faults: ReportingFaults, battery: BatterySummary) -> ServedModel:
    """Model 714: one port, the battery's."""
    layout = load_layout(714, NPrt=1)
    largest_w = HEADROOM * converter.rated_power_w
    fixed: Values = {
        "NPrt": 1,
        "DCA_SF": scale_exponent(_largest_a(largest_w, battery), "int16"),
        "DCV_SF": scale_exponent(DC_VOLTAGE_V_MAX, "uint16"),
        "DCW_SF": scale_exponent(largest_w, "int16"),
        "PrtAlrms": 0,
        "Prt[0].PrtTyp": layout.symbol("Prt[0].PrtTyp", "ESS"),
        "Prt[0].ID": 1,
        "Prt[0].IDStr": "battery",
    }

    def live() -> Values:
        current_a, power_w = converter.dc_current_a, converter.dc_power_w
        voltage_v = max(converter.dc_voltage_v + faults.dc_voltage_off_v, 0.0)
        port: Values = {"Prt[0].DCA": current_a, "Prt[0].DCV": voltage_v, "Prt[0].DCW": power_w}
        return {"DCA": current_a, "DCW": power_w, **port}

    return ServedModel(layout, fixed, live=live)


def control_model(is_local: Callable[[], bool]) -> ServedModel:
    """Model 715: start, stop, alarm reset and the heartbeats."""
    layout = load_layout(715)
    fixed: Values = {"ControllerHb": 0, "AlarmReset": 0, "OpCtl": layout.symbol("OpCtl", "STOP")}

    def live() -> Values:
        authority = "LOCAL" if is_local() else "REMOTE"
        return {"LocRemCtl": layout.symbol("LocRemCtl", authority), "DERHb": _heartbeat(0xFFFF_FFFF)}

    return ServedModel(layout, fixed, ("ControllerHb", "AlarmReset", "OpCtl"), live)


def battery_model(battery: Callable[[], BatterySummary], rated_power_w: float) -> ServedModel:
    """Model 802: the battery bank as seen by the converter; its operations are not offered here."""
    layout = load_layout(802)
    first, largest_w = battery(), HEADROOM * rated_power_w
    fixed: Values = {
        "AHRtg_SF": scale_exponent(first.charge_rated_ah, "uint16"),
        "WHRtg_SF": scale_exponent(first.energy_rated_wh, "uint16"),
        "WChaDisChaMax_SF": scale_exponent(rated_power_w, "uint16"),
        "SoC_SF": -1,
        "SoH_SF": -1,
        "V_SF": scale_exponent(DC_VOLTAGE_V_MAX, "uint16"),
        "CellV_SF": -3,
        "A_SF": scale_exponent(_largest_a(largest_w, first), "int16"),
        "AMax_SF": 0,
        "W_SF": scale_exponent(largest_w, "int16"),
        "AHRtg": first.charge_rated_ah,
        "WHRtg": first.energy_rated_wh,
        "WChaRteMax": rated_power_w,
        "WDisChaRteMax": rated_power_w,
        "LocRemCtl": layout.symbol("LocRemCtl", "REMOTE"),
        "AlmRst": 0,
        "Typ": layout.symbol("Typ", "LITHIUM_ION"),
        "State": layout.symbol("State", "CONNECTED"),
        **dict.fromkeys(("Evt1", "Evt2", "EvtVnd1", "EvtVnd2"), 0),
    }

    def live() -> Values:
        now = battery()
        power_w = now.voltage_v * now.current_a
        charge = {"SoC": _percent(now.soc_frac), "SoH": _percent(now.soh_frac)}
        return {"Hb": _heartbeat(0xFFFF), "V": now.voltage_v, "A": now.current_a, "W": power_w, **charge}

    return ServedModel(layout, fixed, live=live)


def _largest_a(largest_w: float, battery: BatterySummary) -> float:
    """DC current that the registers must carry: at an empty string's voltage, or 500 V where that is more."""
    nominal_v = battery.energy_rated_wh / battery.charge_rated_ah
    return largest_w / min(EMPTY_FRAC * nominal_v, 500.0)


def _phase_current_a(apparent_va: float, voltage_pu: float = 1.0) -> float:
    return apparent_va / (sqrt(3.0) * voltage_pu * GRID_VOLTAGE_V) if voltage_pu > 0.0 else 0.0


def _percent(fraction: float) -> float:
    return min(max(100.0 * fraction, 0.0), 100.0)


def _heartbeat(resets_at: int) -> int:
    """Counts seconds of the running loop's clock."""
    return int(asyncio.get_running_loop().time()) % resets_at
