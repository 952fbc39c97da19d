"""Frames of the low-voltage protocol into a battery's word, and its word into frames."""

import math
from pathlib import Path

import numpy as np

from drivers.battery import BatteryAlarm, BatterySays
from drivers.dbc import DbcPlan, SignalKey, build_plan, load_dbc
from drivers.frames import FRAME_BYTES, FrameBatch
from drivers.low_voltage.profile import Profile
from drivers.readings import NEVER_NS, Floats, MonitorHealth, Times
from kernels.canbits import FrameDecoder, FrameEncoder

DBC_PATH = Path(__file__).with_name("low_voltage.dbc")

KEEP_ALIVE_PERIOD_S = 1.0
SILENCE_S = 3.0
"""Either side takes the other for lost after so long."""

SENT_BYTES = {"Limits": 8, "Charge": 4, "Measured": 6, "AlarmFlags": 7, "AlarmPairs": 8, "Requests": 2, "Name": 8,
              "Cells": 8, "Capacity": 2, "KeepAlive": 8}  # fmt: skip
"""Lengths as most makers send them."""

SHORTEST = {"Limits": 6, "Charge": 4, "Measured": 6, "AlarmFlags": 4, "AlarmPairs": 8, "Requests": 1, "Name": 1,
            "Cells": 8, "Capacity": 2, "KeepAlive": 0}  # fmt: skip
"""Shortest that were seen; the longest is 8 (BYD fills up with zeros)."""

ALARM_NAMES: dict[BatteryAlarm, str] = {
    alarm: "".join(word.capitalize() for word in str(alarm.name).split("_")) for alarm in BatteryAlarm
}
PAIR_ACTIVE, PAIR_INACTIVE = 1, 2
LETTERS = tuple(f"Letter{place}" for place in range(8))


class BatteryDecoder:
    """The newest word of one battery in its maker's variant; `says` gives it. `keep_alive_at_ns` is the time of the
    inverter's last keep-alive."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._plan = plan = _plan()
        self._decoder = FrameDecoder(plan.frames)
        self._alarm_message = "AlarmFlags" if profile.alarms == "0x359" else "AlarmPairs"

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    @property
    def keep_alive_at_ns(self) -> int:
        return self._at_ns("KeepAlive")

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start; the protocol has neither counter nor checksum."""
        decoder = self._decoder
        return MonitorHealth(decoder.accepted, 0, 0, decoder.length_errors, 0, decoder.unknown)

    def says(self) -> BatterySays:
        """What is known now."""
        value, at_ns, requests = self._value, self._at_ns, self._profile.requests
        return BatterySays(
            limits_at_ns=at_ns("Limits"),
            charge_voltage_v_max=value("Limits", "ChargeVoltage"),
            charge_current_a_max=_magnitude(value("Limits", "ChargeCurrent")),
            discharge_current_a_max=_magnitude(self._discharge_sign * value("Limits", "DischargeCurrent")),
            discharge_voltage_v_min=value("Limits", "DischargeVoltage"),
            soc_at_ns=at_ns("Charge"),
            soc_frac=self._soc_frac(),
            soh_frac=_share(value("Charge", "Soh")),
            measured_at_ns=at_ns("Measured"),
            voltage_v=_magnitude(value("Measured", "Voltage")),
            current_a=self._current_sign * value("Measured", "Current"),
            temperature_degc=_temperature(value("Measured", "Temperature")),
            alarms_at_ns=at_ns(self._alarm_message),
            alarms=self._alarms("Alarm"),
            warnings=self._alarms("Warning"),
            requests_at_ns=at_ns("Requests") if requests else NEVER_NS,
            charge_allowed=_flag(value("Requests", "ChargeAllowed")) if requests else None,
            discharge_allowed=_flag(value("Requests", "DischargeAllowed")) if requests else None,
            charge_requested=self._charge_requested() if requests else None,
            full_charge_requested=_flag(value("Requests", "FullChargeRequested")) if requests else None,
            cells_at_ns=at_ns("Cells"),
            cell_voltage_v_min=value("Cells", "CellVoltageMin"),
            cell_voltage_v_max=value("Cells", "CellVoltageMax"),
            cell_temperature_degc_min=_temperature(value("Cells", "CellTemperatureMin")),
            cell_temperature_degc_max=_temperature(value("Cells", "CellTemperatureMax")),
            capacity_ah=value("Capacity", "InstalledCapacity"),
            name=self._name(),
        )

    @property
    def _discharge_sign(self) -> float:
        return -1.0 if self._profile.discharge_limit == "negative" else 1.0

    @property
    def _current_sign(self) -> float:
        return -1.0 if self._profile.current == "charge-positive" else 1.0

    def _value(self, message: str, signal: str) -> float:
        return self._decoder.values.item(self._plan.signal_index[message, signal])

    def _at_ns(self, message: str) -> int:
        return self._decoder.at_ns.item(self._plan.frame_index[message])

    def _soc_frac(self) -> float:
        """In whole percent; finer where the maker says so and both agree, since some fill the place with zeros."""
        soc, fine = _share(self._value("Charge", "Soc")), _share(self._value("Charge", "FineSoc"))
        return fine if self._profile.fine_soc and abs(fine - soc) <= FINE_SOC_OFF_FRAC else soc

    def _alarms(self, kind: str) -> BatteryAlarm | None:
        """Those that are said to be active; None before the message was heard."""
        message = self._alarm_message
        if self._at_ns(message) == NEVER_NS:
            return None
        there = ((alarm, (message, kind + name)) for alarm, name in ALARM_NAMES.items())
        active = [alarm for alarm, key in there if key in self._plan.signal_index and self._value(*key) == PAIR_ACTIVE]
        return BatteryAlarm(sum(active))

    def _charge_requested(self) -> bool | None:
        now, soon = _flag(self._value("Requests", "ChargeRequested")), self._value("Requests", "ChargeRequestedSoon")
        return None if now is None else now or soon > 0.0

    def _name(self) -> str:
        letters = [self._value("Name", letter) for letter in LETTERS]
        codes = [int(letter) for letter in letters if 32.0 <= letter < 127.0]
        return bytes(codes).decode("ascii").strip()


FINE_SOC_OFF_FRAC = 0.011
"""A SoC in whole percent, rounded in any way, is at most so far from the same SoC in 0.01 %."""


class BatteryEncoder:
    """Writes a battery's word as frames of its maker's variant."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._plan = _plan()
        self._encoder = FrameEncoder(self._plan.frames)

    def encode(self, says: BatterySays) -> bytes:
        """All messages that there is something to say in, as struct can_frame. Limits that are not known go out as 0:
        nothing is allowed. Limits are rounded to the safe side, what a frame cannot carry is cut to its bounds."""
        values: Floats = np.zeros(len(self._plan.signal_index))
        messages = [
            self._limits(values, says),
            self._charge(values, says),
            self._measured(values, says),
            self._alarms(values, says),
            self._requests(values, says),
            self._name(values, says),
            self._cells(values, says),
            self._capacity(values, says),
        ]
        return self._frames([message for message in messages if message], values)

    def keep_alive(self) -> bytes:
        """The inverter's frame."""
        return self._frames(["KeepAlive"], np.zeros(len(self._plan.signal_index)))

    def _frames(self, messages: list[str], values: Floats) -> bytes:
        index: Times = np.array([self._plan.frame_index[message] for message in messages], np.int64)
        frames = bytearray(self._encoder.encode(index, values))
        for place, message in enumerate(messages):
            start, length = place * FRAME_BYTES, self._length(message)
            frames[start + 4] = length
            frames[start + 8 + length : start + FRAME_BYTES] = bytes(8 - length)
        return bytes(frames)

    def _length(self, message: str) -> int:
        return 6 if message == "Charge" and self._profile.fine_soc else SENT_BYTES[message]

    def _put(self, values: Floats, message: str, signal: str, value: float) -> None:
        values[self._plan.signal_index[message, signal]] = value

    def _limits(self, values: Floats, says: BatterySays) -> str:
        sign = -1.0 if self._profile.discharge_limit == "negative" else 1.0
        discharge_a = _steps_down(says.discharge_current_a_max, S16_MAX)
        self._put(values, "Limits", "ChargeVoltage", _steps_down(says.charge_voltage_v_max, U16_MAX))
        self._put(values, "Limits", "ChargeCurrent", _steps_down(says.charge_current_a_max, S16_MAX))
        self._put(values, "Limits", "DischargeCurrent", sign * discharge_a)
        self._put(values, "Limits", "DischargeVoltage", -_steps_down(-says.discharge_voltage_v_min, 0, -U16_MAX))
        return "Limits"

    def _charge(self, values: Floats, says: BatterySays) -> str:
        if not math.isfinite(says.soc_frac):
            return ""
        percent = 100.0 * min(max(says.soc_frac, 0.0), 1.0)
        self._put(values, "Charge", "Soc", math.floor(percent + 1e-9))
        self._put(values, "Charge", "FineSoc", percent)
        self._put(values, "Charge", "Soh", 100.0 * min(max(says.soh_frac, 0.0), 1.0) if says.soh_frac >= 0.0 else 0.0)
        return "Charge"

    def _measured(self, values: Floats, says: BatterySays) -> str:
        if not all(math.isfinite(value) for value in (says.voltage_v, says.current_a, says.temperature_degc)):
            return ""
        sign = -1.0 if self._profile.current == "charge-positive" else 1.0
        self._put(values, "Measured", "Voltage", _cut(says.voltage_v, 0.01))
        self._put(values, "Measured", "Current", _cut(sign * says.current_a, 0.1))
        self._put(values, "Measured", "Temperature", _cut(says.temperature_degc, 0.1))
        return "Measured"

    def _alarms(self, values: Floats, says: BatterySays) -> str:
        if says.alarms is None:
            return ""
        flags = self._profile.alarms == "0x359"
        message, inactive = ("AlarmFlags", 0) if flags else ("AlarmPairs", PAIR_INACTIVE)
        for kind, active in (("Alarm", says.alarms), ("Warning", says.warnings or BatteryAlarm(0))):
            for alarm, name in ALARM_NAMES.items():
                if (message, kind + name) in self._plan.signal_index:
                    self._put(values, message, kind + name, PAIR_ACTIVE if alarm & active else inactive)
        if flags:
            self._put(values, message, "Maker0", ord("P"))
            self._put(values, message, "Maker1", ord("N"))
        return message

    def _requests(self, values: Floats, says: BatterySays) -> str:
        if not self._profile.requests or says.charge_allowed is None or says.discharge_allowed is None:
            return ""
        self._put(values, "Requests", "ChargeAllowed", says.charge_allowed)
        self._put(values, "Requests", "DischargeAllowed", says.discharge_allowed)
        self._put(values, "Requests", "ChargeRequested", bool(says.charge_requested))
        self._put(values, "Requests", "FullChargeRequested", bool(says.full_charge_requested))
        return "Requests"

    def _name(self, values: Floats, says: BatterySays) -> str:
        if not says.name:
            return ""
        for letter, code in zip(LETTERS, says.name.encode("ascii", "replace").ljust(8)[:8], strict=True):
            self._put(values, "Name", letter, code)
        return "Name"

    def _cells(self, values: Floats, says: BatterySays) -> str:
        voltages = says.cell_voltage_v_min, says.cell_voltage_v_max
        temperatures = says.cell_temperature_degc_min, says.cell_temperature_degc_max
        if self._profile.alarms == "0x359" or not all(math.isfinite(value) for value in (*voltages, *temperatures)):
            return ""
        for name, voltage_v, temperature_degc in zip(("Min", "Max"), voltages, temperatures, strict=True):
            self._put(values, "Cells", f"CellVoltage{name}", min(max(voltage_v, 0.0), 65.535))
            self._put(values, "Cells", f"CellTemperature{name}", min(max(temperature_degc, -273.0), 1000.0))
        return "Cells"

    def _capacity(self, values: Floats, says: BatterySays) -> str:
        if self._profile.alarms == "0x359" or not math.isfinite(says.capacity_ah):
            return ""
        self._put(values, "Capacity", "InstalledCapacity", min(max(says.capacity_ah, 0.0), 65_535.0))
        return "Capacity"


U16_MAX, S16_MAX = 65_535, 32_767
STEP = 0.1


def _plan() -> DbcPlan:
    names = list(SHORTEST)
    database = load_dbc(DBC_PATH)
    keys: list[SignalKey] = [
        (name, signal.name) for name in names for signal in database.get_message_by_name(name).signals
    ]
    return build_plan(database, names, keys, shortest=SHORTEST)


def _steps_down(value: float, steps_max: int, steps_min: int = 0) -> float:
    """The value in steps of 0.1, rounded down and cut to bounds; 0 for a value that is not known."""
    if math.isnan(value):
        return 0.0
    return STEP * math.floor(min(max(value / STEP + 1e-6, steps_min), steps_max))


def _cut(value: float, step: float) -> float:
    """Cut to what 16 signed bits carry."""
    return min(max(value, -S16_MAX * step), S16_MAX * step)


def _magnitude(value: float) -> float:
    return value if value >= 0.0 else math.nan


def _share(percent: float) -> float:
    return percent / 100.0 if 0.0 <= percent <= 100.0 else math.nan


def _temperature(degc: float) -> float:
    return degc if -100.0 <= degc <= 200.0 else math.nan


def _flag(value: float) -> bool | None:
    return None if math.isnan(value) else value > 0.0
