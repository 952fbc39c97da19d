"""A simulated storage converter on the older SunSpec models 1, 103 and 120 to 124, as strict as a real one."""

from collections.abc import Callable, Sequence
from math import hypot, sqrt

from drivers.sunspec.layout import load_layout
from hil_rigs.devices.modbus_frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.reversion import Reversion
from hil_rigs.devices.sunspec_inverter_models import (
    DC_VOLTAGE_V_MAX,
    GRID_VOLTAGE_V,
    HEADROOM,
    BatterySummary,
    Converter,
    ReportingFaults,
    alarm_bits,
    common_model,
)
from hil_rigs.devices.sunspec_map import ServedModel, SunSpecMap, Values, scale_exponent

EVENT_BITS = 0xFFFF
"""Evt1 has the bits of model 701's Alrm without the maker's own, which is bit 0 of EvtVnd1 here."""
WINDOW_POINTS = (
    "StorCtl_Mod",
    "OutWRte",
    "InWRte",
    "InOutWRte_WinTms",
    "InOutWRte_RvrtTms",
    "InOutWRte_RmpTms",
    "ChaGriSet",
)
CHARGE, DISCHARGE = 1, 2
"""Bits of StorCtl_Mod: which rate is in force."""


class SunSpecLegacyInverterDevice:
    """Registers of one converter, for a ModbusServer. Needs a running loop: the reversion timer is on its clock.

    By itself it idles at 0 W. Model 124 sets a window that it keeps inside: no more discharging than OutWRte, no more
    charging than InWRte, as far as StorCtl_Mod puts them in force; a negative rate forces the other direction. Each
    write to the window restarts InOutWRte_RvrtTms whole seconds (0 = none), on whose expiry StorCtl_Mod becomes 0. Conn
    of model 123 starts and stops it. It makes no grid and takes no reactive power. `local_control` and `on_control` as
    in SunSpecInverterDevice."""

    def __init__(self, converter: Converter, battery: Callable[[], BatterySummary], serial: str = "1") -> None:
        self.local_control = False
        self.on_control: Callable[[], None] = lambda: None
        self.faults = ReportingFaults()
        self._converter = converter
        self._reversion = Reversion(self._revert)
        self._connection = _controls_model()
        self._window = _storage_model(converter, battery)
        models = [
            common_model("simulated legacy converter", serial),
            _inverter_model(converter, self.faults),
            _nameplate_model(converter),
            _settings_model(converter),
            _status_model(converter),
            self._connection,
            self._window,
        ]
        self._map = SunSpecMap(models, self._check, self._written)

    @property
    def set_power_w(self) -> float:
        """What the window makes of 0 W, discharge positive."""
        window, rated_w = self._window, self._converter.rated_power_w
        mode = window.get("StorCtl_Mod")
        assert isinstance(mode, int), "it is always told"
        most_w = window.number("OutWRte") / 100.0 * rated_w if mode & DISCHARGE else rated_w
        least_w = -window.number("InWRte") / 100.0 * rated_w if mode & CHARGE else -rated_w
        return min(max(0.0, least_w), most_w)

    @property
    def told_to_run(self) -> bool:
        """The last word of Conn is CONNECT."""
        return self._connection.get("Conn") == self._connection.layout.symbol("Conn", "CONNECT")

    def read(self, address: int, count: int) -> list[int]:
        return self._map.read(address, count)

    def write(self, address: int, values: list[int]) -> None:
        self._map.write(address, values)

    def close(self) -> None:
        """Stops the reversion timer: the device is switched off."""
        self._reversion.close()

    def _check(self, model: ServedModel, values: Values) -> None:
        if self.local_control:
            raise ModbusFault(DEVICE_FAILURE)
        for name in ("OutWRte", "InWRte"):
            value = values.get(name)
            if isinstance(value, float | int) and abs(value) > 100.0:
                raise ModbusFault(ILLEGAL_VALUE)

    def _written(self, model: ServedModel, names: Sequence[str]) -> None:
        if model is self._window:
            in_force = self._window.get("StorCtl_Mod")
            self._reversion.restart(self._window.number("InOutWRte_RvrtTms") if in_force else 0.0)
            self._converter.set_power(self.set_power_w)
        elif self.told_to_run:
            self._converter.start()
        else:
            self._converter.stop()
            self._converter.reset()
        self.on_control()

    def _revert(self) -> None:
        self._window.put({"StorCtl_Mod": 0})
        self._converter.set_power(self.set_power_w)
        self.on_control()


def _inverter_model(converter: Converter, faults: ReportingFaults) -> ServedModel:
    layout = load_layout(103)
    largest_w = HEADROOM * max(converter.rated_power_w, converter.apparent_power_va)
    exponent = scale_exponent(largest_w, "int16")
    fixed: Values = {
        "A_SF": scale_exponent(largest_w / (sqrt(3.0) * GRID_VOLTAGE_V), "uint16"),
        "V_SF": -1,
        **dict.fromkeys(("W_SF", "VA_SF", "VAr_SF", "DCW_SF"), exponent),
        "Hz_SF": -2,
        "WH_SF": 0,
        "WH": 0,
        "DCA_SF": scale_exponent(largest_w / 500.0, "uint16"),
        "DCV_SF": scale_exponent(DC_VOLTAGE_V_MAX, "uint16"),
        "Tmp_SF": 0,
        "TmpCab": 30.0,
        "Evt2": 0,
    }

    def live() -> Values:
        apparent_va = hypot(converter.ac_power_w, converter.reactive_var)
        line_v = converter.ac_voltage_pu * GRID_VOLTAGE_V
        phase_a = apparent_va / (sqrt(3.0) * line_v) if line_v > 0.0 else 0.0
        state = "OFF" if faults.says_off else converter.state.upper()
        alarms = alarm_bits(converter.alarm) | faults.alarm_bits
        return {
            "A": phase_a,
            **dict.fromkeys(("AphA", "AphB", "AphC"), phase_a),
            **dict.fromkeys(("PPVphAB", "PPVphBC", "PPVphCA"), line_v),
            **dict.fromkeys(("PhVphA", "PhVphB", "PhVphC"), line_v / sqrt(3.0)),
            "W": converter.ac_power_w,
            "VA": apparent_va,
            "Hz": converter.frequency_hz,
            "DCA": abs(converter.dc_current_a),
            "DCV": max(converter.dc_voltage_v + faults.dc_voltage_off_v, 0.0),
            "DCW": converter.dc_power_w,
            "St": layout.symbol("St", "MPPT" if state == "RUNNING" else state),
            "Evt1": alarms & EVENT_BITS,
            "EvtVnd1": alarms >> 16,
        }

    return ServedModel(layout, fixed, live=live)


def _nameplate_model(converter: Converter) -> ServedModel:
    layout = load_layout(120)
    exponent = scale_exponent(converter.apparent_power_va, "uint16")
    fixed: Values = {
        "DERTyp": layout.symbol("DERTyp", "PV_STOR"),
        **dict.fromkeys(("WRtg_SF", "VARtg_SF", "MaxChaRte_SF", "MaxDisChaRte_SF"), exponent),
        **dict.fromkeys(("WRtg", "MaxChaRte", "MaxDisChaRte"), converter.rated_power_w),
        "VARtg": converter.apparent_power_va,
    }
    return ServedModel(layout, fixed)


def _settings_model(converter: Converter) -> ServedModel:
    fixed: Values = {
        "WMax_SF": scale_exponent(converter.rated_power_w, "uint16"),
        "WMax": converter.rated_power_w,
        "VRef_SF": 0,
        "VRef": GRID_VOLTAGE_V,
        "VRefOfs_SF": 0,
        "VRefOfs": 0.0,
    }
    return ServedModel(load_layout(121), fixed)


def _status_model(converter: Converter) -> ServedModel:
    layout = load_layout(122)

    def live() -> Values:
        connected = 1 << layout.symbol("ECPConn", "CONNECTED") if converter.frequency_hz > 0 else 0
        return {"PVConn": 0, "StorConn": 0b111, "ECPConn": connected}

    return ServedModel(layout, {}, live=live)


def _controls_model() -> ServedModel:
    layout = load_layout(123)
    fixed: Values = {
        "Conn": layout.symbol("Conn", "DISCONNECT"),
        "WMaxLimPct_SF": -1,
        "WMaxLimPct": 100.0,
        "WMaxLim_Ena": layout.symbol("WMaxLim_Ena", "DISABLED"),
        "OutPFSet_SF": -2,
        "OutPFSet": 1.0,
        "OutPFSet_Ena": layout.symbol("OutPFSet_Ena", "DISABLED"),
        "VArPct_Ena": layout.symbol("VArPct_Ena", "DISABLED"),
    }
    return ServedModel(layout, fixed, ("Conn",))


def _storage_model(converter: Converter, battery: Callable[[], BatterySummary]) -> ServedModel:
    layout = load_layout(124)
    fixed: Values = {
        "WChaMax_SF": scale_exponent(converter.rated_power_w, "uint16"),
        "WChaMax": converter.rated_power_w,
        "WChaDisChaGra_SF": 0,
        "WChaGra": 100.0,
        "WDisChaGra": 100.0,
        "StorCtl_Mod": 0,
        "ChaState_SF": -1,
        "InBatV_SF": -1,
        "InOutWRte_SF": -2,
        "OutWRte": 100.0,
        "InWRte": 100.0,
        "InOutWRte_WinTms": 0,
        "InOutWRte_RvrtTms": 0,
        "InOutWRte_RmpTms": 0,
        "ChaGriSet": layout.symbol("ChaGriSet", "GRID"),
    }

    def live() -> Values:
        now = battery()
        return {"ChaState": 100.0 * now.soc_frac, "InBatV": now.voltage_v}

    return ServedModel(layout, fixed, WINDOW_POINTS, live)
