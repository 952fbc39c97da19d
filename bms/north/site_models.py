"""The site as a SunSpec storage device: what its models say. Power and current are positive in discharge, as inside.

701 and 713 show the site as one device: its state is the battery's, its power the converter's. What is not known is
"not implemented", never a plausible number.
"""

import asyncio
from collections.abc import Collection
from importlib.metadata import version
from math import ceil, hypot, isfinite, nan, sqrt

from bms.battery import Mode
from bms.north.site_now import SiteNorth
from bms.protect.fault_kind import Action, Level
from bms.protect.protection import ActiveFault
from bms.tick_report import TickOutcome
from drivers.readings import InverterReading, InverterState
from drivers.serve.sunspec_map import ServedModel, Values, scale_exponent
from drivers.sunspec import load_layout

AC_VOLTAGE_V_MAX, DC_VOLTAGE_V_MAX = 6_000.0, 6_000.0
PHASE_CURRENT_V = 400.0
"""Lowest usual voltage: what the register of the phase current has to hold comes from it."""

STATES = {
    Mode.OFF: "OFF",
    Mode.STANDBY: "STANDBY",
    Mode.CONNECTING: "STARTING",
    Mode.STARTING: "STARTING",
    Mode.RUNNING: "RUNNING",
    Mode.STOPPING: "SHUTTING_DOWN",
    Mode.FAULT: "FAULT",
    Mode.MAINTENANCE: "FAULT",
}
"""InvSt of model 701 for the battery's mode."""

BANK_STATES = {
    Mode.OFF: "DISCONNECTED",
    Mode.STANDBY: "DISCONNECTED",
    Mode.CONNECTING: "INITIALIZING",
    Mode.STARTING: "INITIALIZING",
    Mode.RUNNING: "CONNECTED",
    Mode.STOPPING: "SUSPENDING",
    Mode.FAULT: "FAULT",
    Mode.MAINTENANCE: "FAULT",
}
"""State of model 802 for the same."""

ALARMS = (
    ("insulation_low", "GROUND_FAULT"),
    ("cell_voltage_high", "DC_OVER_VOLT"),
    ("contactor", "DC_DISCONNECT"),
    ("precharge", "DC_DISCONNECT"),
    ("door_open", "CABINET_OPEN"),
    ("emergency_stop", "MANUAL_SHUTDOWN"),
    ("charge_temperature_high", "OVER_TEMP"),
    ("discharge_temperature_high", "OVER_TEMP"),
    ("coolant_temperature_high", "OVER_TEMP"),
    ("thermal_event", "OVER_TEMP"),
    ("charge_temperature_low", "UNDER_TEMP"),
    ("discharge_temperature_low", "UNDER_TEMP"),
    ("fuse_blown", "BLOWN_STRING_FUSE"),
    ("state_lost", "MEMORY_LOSS"),
)
"""Bit of model 701's Alrm for a fault, by the beginning of its id; every other one that acts is MANUFACTURER_ALRM."""

EVENTS = (
    ("inverter_lost", "COMMUNICATION_ERROR", "COMMUNICATION_ERROR"),
    ("cell_data_stale", "COMMUNICATION_ERROR", "COMMUNICATION_ERROR"),
    ("charge_temperature_high", "OVER_TEMP_ALARM", "OVER_TEMP_WARNING"),
    ("discharge_temperature_high", "OVER_TEMP_ALARM", "OVER_TEMP_WARNING"),
    ("charge_temperature_low", "UNDER_TEMP_ALARM", "UNDER_TEMP_WARNING"),
    ("discharge_temperature_low", "UNDER_TEMP_ALARM", "UNDER_TEMP_WARNING"),
    ("charge_current_high", "OVER_CHARGE_CURRENT_ALARM", "OVER_CHARGE_CURRENT_WARNING"),
    ("pack_charge_current_high", "OVER_CHARGE_CURRENT_ALARM", "OVER_CHARGE_CURRENT_WARNING"),
    ("discharge_current_high", "OVER_DISCHARGE_CURRENT_ALARM", "OVER_DISCHARGE_CURRENT_WARNING"),
    ("pack_discharge_current_high", "OVER_DISCHARGE_CURRENT_ALARM", "OVER_DISCHARGE_CURRENT_WARNING"),
    ("cell_voltage_high", "OVER_VOLT_ALARM", "OVER_VOLT_WARNING"),
    ("cell_voltage_low", "UNDER_VOLT_ALARM", "UNDER_VOLT_WARNING"),
    ("cell_voltage_spread", "VOLTAGE_IMBALANCE_WARNING", "VOLTAGE_IMBALANCE_WARNING"),
    ("cell_temperature_spread", "TEMPERATURE_IMBALANCE_ALARM", "TEMPERATURE_IMBALANCE_WARNING"),
    ("contactor", "CONTACTOR_ERROR", "CONTACTOR_ERROR"),
    ("precharge", "CONTACTOR_ERROR", "CONTACTOR_ERROR"),
    ("cooling", "FAN_ERROR", "FAN_ERROR"),
    ("insulation_low", "GROUND_FAULT", "GROUND_FAULT"),
    ("door_open", "OPEN_DOOR_ERROR", "OPEN_DOOR_ERROR"),
)
"""Bits of model 802's Evt1 for a fault that opens, and for one that does not; every other one is OTHER."""


def common_model(north: SiteNorth) -> ServedModel:
    """Model 1: who it is."""
    values = {"Mn": "Cellward", "Md": "battery site", "Vr": version("cellward"), "SN": north.site.name}
    return ServedModel(load_layout(1), values)


def measurement_model(north: SiteNorth) -> ServedModel:
    """Model 701: power, state, alarms, and whether something holds the power back."""
    layout, largest_w = load_layout(701), north.dc_power_w_max
    power_exponent = scale_exponent(largest_w, "int16")
    fixed: Values = {
        "ACType": layout.symbol("ACType", "THREE_PHASE"),
        **dict.fromkeys(("W_SF", "VA_SF", "Var_SF"), power_exponent),
        "A_SF": scale_exponent(largest_w / (sqrt(3.0) * PHASE_CURRENT_V), "int16"),
        "V_SF": scale_exponent(AC_VOLTAGE_V_MAX, "uint16"),
        "Hz_SF": -3,
    }

    def live() -> Values:
        now = north.newest()
        if now is None:
            return {"InvSt": layout.symbol("InvSt", "OFF"), "St": layout.symbol("St", "OFF")}
        said, mode = _heard(north, now), now.battery.mode
        state = "THROTTLED" if said is not None and said.state is InverterState.THROTTLED else STATES[mode]
        running = mode is Mode.RUNNING
        connected = None if said is None else "CONNECTED" if said.grid_connected else "DISCONNECTED"
        return {
            "St": layout.symbol("St", "ON" if running else "OFF"),
            "InvSt": layout.symbol("InvSt", state if running else STATES[mode]),
            "ConnSt": None if connected is None else layout.symbol("ConnSt", connected),
            "Alrm": _alarm_bits(now.faults) | (0 if said is None else said.alarm_bits),
            "DERMode": _forming(said),
            "ThrotSrc": 1 << layout.symbol("ThrotSrc", "DERATED") if now.decision.clipped_by else 0,
            "MnAlrmInfo": _text(sorted({fault.kind.id for fault in now.faults}), 64),
            **_flow(said),
        }

    return ServedModel(layout, fixed, live=live)


def capacity_model(north: SiteNorth) -> ServedModel:
    """Model 702: the most that the site can be asked for, and what the converter's nameplate leaves of it."""
    layout, bounds = load_layout(702), north.remote_power
    charge_w = north.dc_power_w_max if bounds is None else bounds.charge_power_w_max
    discharge_w = north.dc_power_w_max if bounds is None else bounds.discharge_power_w_max
    fixed: Values = {
        "W_SF": scale_exponent(north.dc_power_w_max, "uint16"),
        "VA_SF": scale_exponent(north.dc_power_w_max, "uint16"),
        "V_SF": scale_exponent(AC_VOLTAGE_V_MAX, "uint16"),
        "CtrlModes": 0 if bounds is None else 1 << layout.symbol("CtrlModes", "FIXED_W"),
        "WMax": max(charge_w, discharge_w),
        "WChaRteMax": charge_w,
        "WDisChaRteMax": discharge_w,
    }

    def live() -> Values:
        now = north.newest()
        rating = None if now is None else now.image.rating
        rated_w = (charge_w, discharge_w)
        if rating is not None and rating.known:
            rated_w = min(charge_w, rating.charge_power_w_max), min(discharge_w, rating.discharge_power_w_max)
        return {
            "WMaxRtg": max(rated_w),
            "WChaRteMaxRtg": rated_w[0],
            "WDisChaRteMaxRtg": rated_w[1],
            "VAMaxRtg": _number(nan if rating is None else rating.apparent_power_va_max),
            "VNomRtg": _number(nan if rating is None else rating.ac_voltage_v),
        }

    return ServedModel(layout, fixed, live=live)


def storage_model(north: SiteNorth) -> ServedModel:
    """Model 713: SoC between empty and full, SoH of the cell that binds, energy that is left."""
    layout, energy_wh = load_layout(713), north.nameplate.energy_wh
    fixed: Values = {"WH_SF": scale_exponent(energy_wh, "uint16"), "Pct_SF": -1, "WHRtg": energy_wh}

    def live() -> Values:
        now = north.newest()
        if now is None:
            return {}
        soc, soh = now.soc.frac_usable, north.soh_frac()
        status = "OK" if not now.faults else "ERROR" if any(map(_acts, now.faults)) else "WARNING"
        return {
            "SoC": _percent(soc),
            "SoH": _percent(soh),
            "WHAvail": _number(energy_wh * soc * soh),
            "Sta": layout.symbol("Sta", status),
        }

    return ServedModel(layout, fixed, live=live)


def bank_model(north: SiteNorth) -> ServedModel:
    """Model 802: the battery behind the converter. Its operations are not offered: the site decides them."""
    layout, limits = load_layout(802), north.site.limits
    largest_w, volts = north.dc_power_w_max, north.site.racks[0].cells
    largest_a = largest_w / (volts * limits.cell_voltage_v_max)
    fixed: Values = {
        "AHRtg_SF": scale_exponent(north.nameplate.charge_ah, "uint16"),
        "WHRtg_SF": scale_exponent(north.nameplate.energy_wh, "uint16"),
        "WChaDisChaMax_SF": scale_exponent(largest_w, "uint16"),
        "SoC_SF": -1,
        "SoH_SF": -1,
        "V_SF": scale_exponent(DC_VOLTAGE_V_MAX, "uint16"),
        "CellV_SF": -3,
        "A_SF": scale_exponent(largest_a, "int16"),
        "AMax_SF": scale_exponent(largest_a, "uint16"),
        "W_SF": scale_exponent(largest_w, "int16"),
        "AHRtg": north.nameplate.charge_ah,
        "WHRtg": north.nameplate.energy_wh,
        "SoCMax": 100.0 * limits.soc_frac_max,
        "SoCMin": 100.0 * limits.soc_frac_min,
        "VMax": volts * limits.cell_voltage_v_max_operating,
        "VMin": volts * limits.cell_voltage_v_min_operating,
        "AlmRst": 0,
        "Typ": layout.symbol("Typ", "LITHIUM_ION"),
        **dict.fromkeys(("Evt2", "EvtVnd1", "EvtVnd2"), 0),
    }

    def live() -> Values:
        authority = layout.symbol("LocRemCtl", "LOCAL" if north.requests.local else "REMOTE")
        beat: Values = {"LocRemCtl": authority, "Hb": seconds() % 0xFFFF}
        now = north.newest()
        return beat if now is None else {**beat, **_bank(north, now)}

    return ServedModel(layout, fixed, live=live)


def seconds() -> int:
    """Of the running loop's clock: what heartbeats count."""
    return int(asyncio.get_running_loop().time())


def _bank(north: SiteNorth, now: TickOutcome) -> Values:
    layout = load_layout(802)
    racks = now.summary.racks
    voltage_v = _mean([rack.link_voltage_v for rack in now.image.racks])
    current_a = sum(rack.current_a for rack in racks)
    limited_w = now.limits.charge_power_w, now.limits.discharge_power_w
    allowed_a = [power_w / voltage_v if voltage_v > 1.0 else 0.0 for power_w in limited_w]
    return {
        "WChaRteMax": now.limits.charge_power_w,
        "WDisChaRteMax": now.limits.discharge_power_w,
        "AChaMax": allowed_a[0],
        "ADisChaMax": allowed_a[1],
        "SoC": _percent(now.soc.frac_usable),
        "SoH": _percent(north.soh_frac()),
        "State": layout.symbol("State", BANK_STATES[now.battery.mode]),
        "Evt1": _event_bits(now.faults),
        "V": _number(voltage_v),
        "A": _number(current_a),
        "W": _number(voltage_v * current_a),
        "CellVMax": _number(max(rack.voltage_v_max for rack in racks)),
        "CellVMin": _number(min(rack.voltage_v_min for rack in racks)),
    }


def _heard(north: SiteNorth, now: TickOutcome) -> InverterReading | None:
    """The converter's word, unless it is too old to act on."""
    return now.image.inverter if now.summary.inverter_age_s <= north.site.limits.inverter_age_s_max else None


def _flow(said: InverterReading | None) -> Values:
    if said is None:
        return dict.fromkeys(("W", "VA", "Var", "A", "LLV", "Hz"))
    power_w, reactive_var, voltage_v = said.ac_power_w, said.ac_reactive_var, said.ac_voltage_v
    apparent_va = hypot(power_w, reactive_var)
    return {
        "W": _number(power_w),
        "VA": _number(apparent_va),
        "Var": _number(reactive_var),
        "A": _number(apparent_va / (sqrt(3.0) * voltage_v)) if voltage_v > 1.0 else None,
        "LLV": _number(voltage_v),
        "Hz": _number(said.frequency_hz),
    }


def _forming(said: InverterReading | None) -> int | None:
    symbol = load_layout(701).symbol
    return None if said is None else 1 << symbol("DERMode", "GRID_FORMING" if said.grid_forming else "GRID_FOLLOWING")


def _alarm_bits(faults: Collection[ActiveFault]) -> int:
    """Faults that act; warnings are in MnAlrmInfo and in 713 only."""
    symbol, bits = load_layout(701).symbol, 0
    for fault in filter(_acts, faults):
        name = next((name for start, name in ALARMS if fault.kind.id.startswith(start)), "MANUFACTURER_ALRM")
        bits |= 1 << symbol("Alrm", name)
    return bits


def _event_bits(faults: Collection[ActiveFault]) -> int:
    symbol, bits = load_layout(802).symbol, 0
    for fault in faults:
        severe = fault.kind.action.opens or fault.kind.level is Level.MAXIMUM
        known = next((names for start, *names in EVENTS if fault.kind.id.startswith(start)), None)
        alarm, warning = ("OTHER_ALARM", "OTHER_WARNING") if known is None else known
        bits |= 1 << symbol("Evt1", alarm if severe else warning)
    return bits


def _acts(fault: ActiveFault) -> bool:
    return fault.kind.action is not Action.WARN


def _text(words: Collection[str], bytes_max: int) -> str:
    """As many whole words as fit, joined by commas."""
    text = ""
    for word in words:
        longer = f"{text},{word}" if text else word
        if len(longer) > bytes_max:
            break
        text = longer
    return text


def _mean(values: Collection[float]) -> float:
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else nan


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _percent(frac: float) -> float | None:
    return min(max(100.0 * frac, 0.0), 100.0) if isfinite(frac) else None


def whole_seconds(seconds: float) -> int:
    """Never 0 while something is left."""
    return ceil(seconds)
