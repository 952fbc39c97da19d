"""What one connection learned about a converter: its models, scale factors, nameplate; and how to poll it.

Signs: 701 W is positive for generation and negative for absorption (SunSpec definition of the point), that is
discharge positive, as inside. 714 leaves the sign of DC power and current unsaid, but counts a port's energy as
injected and absorbed like 701, so that positive is injection there too: discharge. Neither needs a change of sign.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from drivers.inverters.device import ReactiveSetPoint, SaidSetPoints, SetPoint, Write
from drivers.inverters.sunspec import reactive, set_point
from drivers.inverters.sunspec.legacy import LegacyDevice, is_legacy, open_legacy
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterRating, InverterReading, InverterState
from drivers.sunspec import MappedModel, SunSpecError, Value, discover, open_model
from drivers.sunspec.model import READ_MAX

Values = Mapping[str, Value]

HEARTBEAT_PERIOD_S = 1.0
HEARTBEAT_RESETS_AT = 0xFFFF
"""SunSpec lets the heartbeat start again at 0 from time to time."""

AC_NAMES = ("InvSt", "ConnSt", "Alrm", "DERMode", "W", "Var", "LLV", "LNV", "Hz")
AUTHORITY = ("LocRemCtl",)
STORAGE_PORTS = ("ESS", "BIDIR")


@dataclass(frozen=True, slots=True)
class DcPort:
    """The battery's DC port: names of its points in model 714."""

    model: MappedModel
    current: str
    voltage: str
    power: str

    @property
    def names(self) -> tuple[str, str, str]:
        """In the order of the model."""
        return self.current, self.voltage, self.power


@dataclass(frozen=True, slots=True)
class SunSpecDevice:
    """The models of one converter with their scale factors. `dc` is None when it does not measure its DC side;
    `reversion_s` are the whole seconds after which it shall go to 0 W by itself when nothing is written any more."""

    measurement: MappedModel
    controls: MappedModel
    control: MappedModel
    dc: DcPort | None
    rating: InverterRating
    single_phase: bool
    reversion_s: int
    heartbeat_period_s: float | None = HEARTBEAT_PERIOD_S
    set_point_when_running: bool = False
    silence: str | None = None

    def prepare(self) -> list[Write]:
        """Nothing: each set-point carries its own reversion."""
        return []

    def set_point(self, power_w: float) -> SetPoint:
        """Model 704, block WSetEna..WSetRvrtTms."""
        return set_point.set_point(self.controls, power_w, self.rating, self.reversion_s)

    @property
    def takes_reactive(self) -> bool:
        return reactive.takes_reactive(self.controls)

    def reactive(self, reactive_var: float | None) -> ReactiveSetPoint:
        """Model 704, block VarSetEna..VarSetRvrtTms."""
        return reactive.reactive(self.controls, reactive_var, self.rating, self.reversion_s)

    def release(self) -> SetPoint:
        """Model 704, the same block without a set-point."""
        return set_point.release(self.controls)

    def operate(self, run: bool) -> list[Write]:
        """Model 715, OpCtl."""
        symbol = self.control.layout.symbol("OpCtl", "START" if run else "STOP")
        return [Write(*self.control.encode({"OpCtl": symbol}))]

    def reset_alarms(self) -> list[Write]:
        """Model 715, AlarmReset."""
        return [Write(*self.control.encode({"AlarmReset": 1}))]

    def heartbeat(self, count: int) -> Write:
        """Model 715, ControllerHb."""
        return Write(*self.control.encode({"ControllerHb": count % HEARTBEAT_RESETS_AT}))

    async def read_back(self, link: ModbusLink) -> SaidSetPoints:
        """Model 704, WSetEna to VarSet in one read."""
        said = await _read(link, self.controls, set_point.READ_BACK + reactive.READ_BACK)
        reactive_var = reactive.said_reactive_var(self.controls, said) if self.takes_reactive else None
        return SaidSetPoints(set_point.said_power_w(self.controls, said), reactive_var)

    @property
    def opened_forming(self) -> bool:
        """It was in grid-forming mode when it was opened."""
        return _forms(self.measurement, self.measurement.values["DERMode"])

    async def poll(self, link: ModbusLink, at_ns: int) -> InverterReading:
        """One reading in two Modbus reads, or three where 714 and 715 do not fit into one; nothing in it is older than
        `at_ns`, the time before the first. Link errors pass."""
        ac = await _read(link, self.measurement, AC_NAMES)
        dc, control = await self._poll_dc_and_control(link)
        return _reading(self, at_ns, ac, dc, control)

    async def _poll_dc_and_control(self, link: ModbusLink) -> tuple[Values, Values]:
        if self.dc is None:
            return {}, await _read(link, self.control, AUTHORITY)
        start, end = _cover(self.dc.model.span(self.dc.current, self.dc.power), self.control.span(*AUTHORITY * 2))
        if end - start > READ_MAX:
            return await _read(link, self.dc.model, self.dc.names), await _read(link, self.control, AUTHORITY)
        registers = await link.read_holding(start, end - start)
        dc = self.dc.model.decode(registers, start, self.dc.names)
        return dc, self.control.decode(registers, start, AUTHORITY)


async def open_device(link: ModbusLink, reversion_s: int) -> SunSpecDevice | LegacyDevice:
    """Finds and reads all models: those of the newer generation if it has them, else those of the older. SunSpecError
    when one is missing that the driver cannot do without; link errors pass. A missing 702 leaves the rating NaN, a
    missing 714 the DC values."""
    where = await discover(link)
    if is_legacy(where):
        return await open_legacy(link, where, reversion_s)
    controls = await open_model(link, where.find(704))
    if controls.scales["WSet_SF"] is None:
        raise SunSpecError("model 704 has no scale factor WSet_SF: the converter takes no power set-point")
    capacity = await open_model(link, where.find(702)) if 702 in where else None
    dc = await open_model(link, where.find(714), count_points=("NPrt",)) if 714 in where else None
    measurement = await open_model(link, where.find(701))
    return SunSpecDevice(
        measurement=measurement,
        controls=controls,
        control=await open_model(link, where.find(715)),
        dc=None if dc is None else _storage_port(dc),
        rating=_rating({} if capacity is None else capacity.values),
        single_phase=_is_single_phase(measurement),
        reversion_s=reversion_s,
    )


async def _read(link: ModbusLink, model: MappedModel, names: Sequence[str]) -> Values:
    """Named points in one read; the first name must be the first on the wire, and the last the last."""
    address, count = model.span(names[0], names[-1])
    return model.decode(await link.read_holding(address, count), address, names)


def _cover(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """First address and end of the block that holds both (address, count)."""
    return min(first[0], second[0]), max(sum(first), sum(second))


def _storage_port(dc: MappedModel) -> DcPort | None:
    """The first storage port, else the first port."""
    kinds = [name for name in dc.layout.points if name.endswith(".PrtTyp")]
    for name in kinds:
        if dc.values[name] in [dc.layout.symbol(name, kind) for kind in STORAGE_PORTS]:
            return _port(dc, name.removesuffix("PrtTyp"))
    return _port(dc, kinds[0].removesuffix("PrtTyp")) if kinds else None


def _port(dc: MappedModel, prefix: str) -> DcPort:
    return DcPort(dc, current=f"{prefix}DCA", voltage=f"{prefix}DCV", power=f"{prefix}DCW")


def _rating(capacity: Values) -> InverterRating:
    """Charge and discharge ratings; the general rating where the device does not tell them apart."""
    general_w = _number(capacity, "WMaxRtg")
    charge_w, discharge_w = _number(capacity, "WChaRteMaxRtg"), _number(capacity, "WDisChaRteMaxRtg")
    return InverterRating(
        charge_power_w_max=general_w if isnan(charge_w) else charge_w,
        discharge_power_w_max=general_w if isnan(discharge_w) else discharge_w,
        apparent_power_va_max=_number(capacity, "VAMaxRtg"),
        reactive_injected_var_max=_number(capacity, "VarMaxInjRtg"),
        reactive_absorbed_var_max=_number(capacity, "VarMaxAbsRtg"),
        ac_voltage_v=_number(capacity, "VNomRtg"),
    )


def _is_single_phase(measurement: MappedModel) -> bool:
    """Such a one speaks of voltage against neutral, all others of line to line (model 702, detail of VNomRtg)."""
    return measurement.values["ACType"] == measurement.layout.symbol("ACType", "SINGLE_PHASE")


def _reading(device: SunSpecDevice, at_ns: int, ac: Values, dc: Values, control: Values) -> InverterReading:
    """Connected and remote are False unless the device says so; alarm bits are 0 when it has no alarm point."""
    measurement, port = device.measurement.layout, device.dc
    return InverterReading(
        at_ns=at_ns,
        state=_state(measurement.points["InvSt"].symbols, ac["InvSt"]),
        ac_power_w=_number(ac, "W"),
        dc_power_w=nan if port is None else _number(dc, port.power),
        dc_voltage_v=nan if port is None else _number(dc, port.voltage),
        dc_current_a=nan if port is None else _number(dc, port.current),
        frequency_hz=_number(ac, "Hz"),
        grid_connected=ac["ConnSt"] == measurement.symbol("ConnSt", "CONNECTED"),
        remote_control=control["LocRemCtl"] == device.control.layout.symbol("LocRemCtl", "REMOTE"),
        alarm_bits=int(_number(ac, "Alrm")) if ac["Alrm"] is not None else 0,
        grid_forming=_forms(device.measurement, ac["DERMode"]),
        ac_reactive_var=_number(ac, "Var"),
        ac_voltage_v=_number(ac, "LNV" if device.single_phase else "LLV"),
    )


def _forms(measurement: MappedModel, mode: Value) -> bool:
    """Bit GRID_FORMING of model 701's DERMode; a device that does not say follows the grid."""
    return isinstance(mode, int) and bool(mode >> measurement.layout.symbol("DERMode", "GRID_FORMING") & 1)


def _state(symbols: Mapping[str, int], value: Value) -> InverterState:
    for name, number in symbols.items():
        if number == value:
            return InverterState(name.lower())
    return InverterState.UNKNOWN


def _number(values: Values, name: str) -> float:
    value = values.get(name)
    return nan if value is None or isinstance(value, str) else value
