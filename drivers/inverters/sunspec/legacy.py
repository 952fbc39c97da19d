"""A storage converter that serves the older SunSpec models: 101 to 103 or 111 to 113, 120, 123 and 124.

Set-points: model 124 has no power, only a window: OutWRte bounds discharging in % of the discharge rating, InWRte
charging in % of WChaMax, and a negative one forces the other direction. Both at the same power pin the converter to it.

Signs: W and DCW are positive in generation, that is discharge; DCA of the integer models has no sign and takes that of
DCW.

Reactive power is neither read nor told: the older models leave its sign to the maker.

Its timer (InOutWRte_RvrtTms) leads back to the device's own behaviour, which need not be 0 W.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import copysign, isnan, nan, trunc

from drivers.inverters.device import ReactiveSetPoint, SaidSetPoints, SetPoint, Write
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterRating, InverterReading, InverterState
from drivers.sunspec import DeviceMap, MappedModel, SunSpecError, Value, open_model
from drivers.sunspec.layout import scaled

INTEGER_MODELS, FLOAT_MODELS = (101, 102, 103), (111, 112, 113)
NEEDED = (120, 123, 124)
RATES = ("OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms", "InOutWRte_RmpTms")
BOTH_DIRECTIONS = 0b11
"""StorCtl_Mod: charge and discharge rates are both in force."""
SILENCE = "its timer leads back to its own behaviour, not to 0 W (SunSpec model 124)"
STATES = {
    "OFF": InverterState.OFF,
    "SLEEPING": InverterState.SLEEPING,
    "STARTING": InverterState.STARTING,
    "MPPT": InverterState.RUNNING,
    "THROTTLED": InverterState.THROTTLED,
    "SHUTTING_DOWN": InverterState.SHUTTING_DOWN,
    "FAULT": InverterState.FAULT,
    "STANDBY": InverterState.STANDBY,
}
"""By the symbols of point St. `MPPT` is what storage says while it runs."""
ALARM_BITS = 0xFFFF
"""Evt1 has the alarms of model 701's Alrm in the same bits, without its last, the maker's."""


@dataclass(frozen=True, slots=True)
class LegacyDevice:
    """The models of one converter with their scale factors; both ratings are known."""

    measurement: MappedModel
    controls: MappedModel
    storage: MappedModel
    status: MappedModel | None
    rating: InverterRating
    charge_reference_w: float
    reversion_s: int
    heartbeat_period_s: float | None = None
    set_point_when_running: bool = False
    silence: str | None = SILENCE
    takes_reactive: bool = False

    def prepare(self) -> list[Write]:
        """Charging from the grid allowed, where the device asks for that."""
        if self.storage.values["ChaGriSet"] is None:
            return []
        return [Write(*self.storage.encode({"ChaGriSet": self.storage.layout.symbol("ChaGriSet", "GRID")}))]

    def set_point(self, power_w: float) -> SetPoint:
        """A window without width: each rate rounded towards zero. The mode goes last, so that no old rates hold."""
        power_w = self.rating.clamped_w(power_w)
        out = self._rate(power_w / self.rating.discharge_power_w_max)
        into = self._rate(-power_w / self.charge_reference_w)
        values: dict[str, Value] = {
            "OutWRte": out,
            "InWRte": into,
            "InOutWRte_WinTms": self.storage.values["InOutWRte_WinTms"],
            "InOutWRte_RvrtTms": self.reversion_s,
            "InOutWRte_RmpTms": self.storage.values["InOutWRte_RmpTms"],
        }
        writes = Write(*self.storage.encode(values)), Write(*self.storage.encode({"StorCtl_Mod": BOTH_DIRECTIONS}))
        return SetPoint(self._power_w(out, into), writes)

    def reactive(self, reactive_var: float | None) -> ReactiveSetPoint:
        raise NotImplementedError("the driver tells it no reactive power")

    @property
    def opened_forming(self) -> bool:
        """It never says that it forms."""
        return False

    def release(self) -> SetPoint:
        """Nothing: it never says that it forms."""
        return SetPoint(nan, ())

    def operate(self, run: bool) -> list[Write]:
        """Model 123, Conn."""
        symbol = self.controls.layout.symbol("Conn", "CONNECT" if run else "DISCONNECT")
        return [Write(*self.controls.encode({"Conn": symbol}))]

    def reset_alarms(self) -> list[Write]:
        """Nothing: the older models have no point for it."""
        return []

    def heartbeat(self, count: int) -> Write:
        raise NotImplementedError("the older models have no heartbeat")

    async def poll(self, link: ModbusLink, at_ns: int) -> InverterReading:
        """One reading in one read, or two where model 122 says whether the grid is connected."""
        model = self.measurement
        address, count = model.span("W", "Evt1")
        said = model.decode(
            await link.read_holding(address, count), address, ("W", "Hz", "DCA", "DCV", "DCW", "St", "Evt1")
        )
        dc_power_w, events = _number(said["DCW"]), said["Evt1"]
        return InverterReading(
            at_ns=at_ns,
            state=_state(model, said["St"]),
            ac_power_w=_number(said["W"]),
            dc_power_w=dc_power_w,
            dc_voltage_v=_number(said["DCV"]),
            dc_current_a=copysign(_number(said["DCA"]), dc_power_w) if not isnan(dc_power_w) else nan,
            frequency_hz=_number(said["Hz"]),
            grid_connected=await self._grid_connected(link),
            remote_control=True,  # the older models know no other
            alarm_bits=events & ALARM_BITS if isinstance(events, int) else 0,
        )

    async def read_back(self, link: ModbusLink) -> SaidSetPoints:
        address, count = self.storage.span("StorCtl_Mod", "InWRte")
        registers = await link.read_holding(address, count)
        said = self.storage.decode(registers, address, ("StorCtl_Mod", "OutWRte", "InWRte"))
        if said["StorCtl_Mod"] != BOTH_DIRECTIONS:
            return SaidSetPoints(nan, None)
        return SaidSetPoints(self._power_w(_number(said["OutWRte"]), _number(said["InWRte"])), None)

    def _rate(self, share_frac: float) -> float:
        """Percent in the register's resolution."""
        exponent = self.storage.scales["InOutWRte_SF"]
        assert exponent is not None, "open_legacy refuses a converter without it"
        return scaled(trunc(scaled(100.0 * share_frac, -exponent) + copysign(1e-6, share_frac)), exponent)

    def _power_w(self, out_pct: float, in_pct: float) -> float:
        """The power that a window without width says: by the rate of its own direction."""
        if out_pct >= 0.0:
            return out_pct / 100.0 * self.rating.discharge_power_w_max
        return -in_pct / 100.0 * self.charge_reference_w

    async def _grid_connected(self, link: ModbusLink) -> bool:
        if self.status is None:
            return False
        address, count = self.status.span("ECPConn", "ECPConn")
        said = self.status.decode(await link.read_holding(address, count), address, ("ECPConn",))["ECPConn"]
        return said == self.status.layout.symbol("ECPConn", "CONNECTED")


def is_legacy(found: DeviceMap) -> bool:
    """It has a measurement of the older kind and no set-point of the newer."""
    return 704 not in found and any(model in found for model in (*INTEGER_MODELS, *FLOAT_MODELS))


async def open_legacy(link: ModbusLink, found: DeviceMap, reversion_s: int) -> LegacyDevice:
    """Reads all models. SunSpecError when one is missing that the driver cannot do without; link errors pass."""
    measurement = await open_model(link, found.find(*INTEGER_MODELS, *FLOAT_MODELS))
    nameplate, controls, storage = [await open_model(link, found.find(model)) for model in NEEDED]
    if storage.scales["InOutWRte_SF"] is None:
        raise SunSpecError(
            "model 124 has no scale factor InOutWRte_SF: the converter takes no charge and discharge rates"
        )
    charge_w = _first(storage.values, "WChaMax") or _first(nameplate.values, "MaxChaRte")
    discharge_w = _first(nameplate.values, "MaxDisChaRte", "WRtg")
    if not charge_w or not discharge_w:
        raise SunSpecError("models 120 and 124 do not say the ratings of which the rates are shares")
    return LegacyDevice(
        measurement=measurement,
        controls=controls,
        storage=storage,
        status=await open_model(link, found.find(122)) if 122 in found else None,
        rating=InverterRating(_first(nameplate.values, "MaxChaRte") or charge_w, discharge_w),
        charge_reference_w=charge_w,
        reversion_s=reversion_s,
    )


def _first(values: Mapping[str, Value], *names: str) -> float:
    """The first of the points that says a number; 0 when none does."""
    numbers = [_number(values[name]) for name in names]
    return next((number for number in numbers if number > 0.0), 0.0)


def _state(model: MappedModel, value: Value) -> InverterState:
    symbols = {number: name for name, number in model.layout.points["St"].symbols.items()}
    return (
        STATES.get(symbols.get(value, ""), InverterState.UNKNOWN) if isinstance(value, int) else InverterState.UNKNOWN
    )


def _number(value: Value) -> float:
    return value if isinstance(value, float | int) else nan
