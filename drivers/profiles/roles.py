"""What a register of a described device can be for: its role, and what that asks of it."""

from dataclasses import dataclass
from typing import Literal

Role = Literal[
    "ac-power",
    "reactive-power",
    "ac-voltage",
    "dc-power",
    "dc-voltage",
    "dc-current",
    "frequency",
    "voltage",
    "state",
    "alarms",
    "grid-connected",
    "remote-control",
    "charge-power-max",
    "discharge-power-max",
    "apparent-power-max",
    "reactive-injected-max",
    "reactive-absorbed-max",
    "set-point",
    "reactive-set-point",
    "command",
    "heartbeat",
    "reversion-time",
    "loop-enable",
    "loop-filter-time",
    "loop-ramp",
    "loop-gain",
    "loop-charge-power-max",
    "loop-discharge-power-max",
    "intertie-closed",
    "sync-ok",
    "grid-voltage",
    "grid-frequency",
    "site-voltage",
    "site-frequency",
    "phase-angle",
    "blocks-closed",
    "blocks-command",
    "sync-command",
    "interlock-closed",
    "emergency-stop-released",
    "smoke-detected",
    "gas-detected",
    "fire-panel-alarm",
    "fire-output-on",
    "door-closed",
    "fuse-intact",
    "cooling-running",
    "cooling-failed",
    "coolant-temperature",
    "precharge-temperature",
    "supply-voltage",
    "supply-on-battery",
    "supply-charge",
    "fire-output",
    "cooling-output",
    "main-closed",
    "precharge-closed",
    "main-output",
    "precharge-output",
]
Unit = Literal[
    "W", "kW", "MW", "VA", "kVA", "MVA", "var", "kvar", "Mvar", "V", "kV", "mV", "A", "mA", "Hz", "mHz", "s", "ms",
    "W/s", "kW/s", "frac", "%", "deg", "degC",
]  # fmt: skip
Positive = Literal["discharge", "charge", "import", "export", "injected", "absorbed"]
NEGATIVE: frozenset[Positive | None] = frozenset({"charge", "export", "absorbed"})
"""Directions that are negative inside."""

IN_SI: dict[Unit, float] = {
    "W": 1.0,
    "kW": 1e3,
    "MW": 1e6,
    "VA": 1.0,
    "kVA": 1e3,
    "MVA": 1e6,
    "var": 1.0,
    "kvar": 1e3,
    "Mvar": 1e6,
    "V": 1.0,
    "kV": 1e3,
    "mV": 1e-3,
    "A": 1.0,
    "mA": 1e-3,
    "Hz": 1.0,
    "mHz": 1e-3,
    "s": 1.0,
    "ms": 1e-3,
    "W/s": 1.0,
    "kW/s": 1e3,
    "frac": 1.0,
    "%": 1e-2,
    "deg": 1.0,
    "degC": 1.0,
}
POWER: tuple[Unit, ...] = ("W", "kW", "MW")
APPARENT: tuple[Unit, ...] = ("VA", "kVA", "MVA")
REACTIVE: tuple[Unit, ...] = ("var", "kvar", "Mvar")
VOLTAGE: tuple[Unit, ...] = ("V", "kV", "mV")
CURRENT: tuple[Unit, ...] = ("A", "mA")
FREQUENCY: tuple[Unit, ...] = ("Hz", "mHz")
TIME: tuple[Unit, ...] = ("s", "ms")
RAMP: tuple[Unit, ...] = ("W/s", "kW/s")
SHARE: tuple[Unit, ...] = ("frac", "%")
ANGLE: tuple[Unit, ...] = ("deg",)
TEMPERATURE: tuple[Unit, ...] = ("degC",)
RAW: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleKind:
    """Which units fit, whether it has a direction (of reactive power one of its own), is written to, belongs to which
    kinds of device, and must be there."""

    units: tuple[Unit, ...]
    signed: bool = False
    written: bool = False
    inverter: bool = True
    meter: bool = False
    required: bool = False
    many: bool = False
    reactive: bool = False
    switchgear: bool = False
    auxiliary: bool = False
    contactors: bool = False


def _auxiliary(units: tuple[Unit, ...] = (), *, written: bool = False) -> RoleKind:
    return RoleKind(units, inverter=False, auxiliary=True, written=written)


def _contactors(*, written: bool = False, required: bool = False) -> RoleKind:
    return RoleKind(RAW, inverter=False, contactors=True, written=written, required=required)


ROLES: dict[Role, RoleKind] = {
    "ac-power": RoleKind(POWER, signed=True, meter=True, required=True),
    "reactive-power": RoleKind(REACTIVE, signed=True, reactive=True),
    "ac-voltage": RoleKind(VOLTAGE),
    "dc-power": RoleKind(POWER, signed=True),
    "dc-voltage": RoleKind(VOLTAGE),
    "dc-current": RoleKind(CURRENT, signed=True),
    "frequency": RoleKind(FREQUENCY, meter=True),
    "voltage": RoleKind(VOLTAGE, inverter=False, meter=True),
    "state": RoleKind(RAW, required=True),
    "alarms": RoleKind(RAW),
    "grid-connected": RoleKind(RAW),
    "remote-control": RoleKind(RAW),
    "charge-power-max": RoleKind(POWER),
    "discharge-power-max": RoleKind(POWER),
    "apparent-power-max": RoleKind(APPARENT),
    "reactive-injected-max": RoleKind(REACTIVE),
    "reactive-absorbed-max": RoleKind(REACTIVE),
    "set-point": RoleKind(POWER, signed=True, written=True, required=True),
    "reactive-set-point": RoleKind(REACTIVE, signed=True, written=True, reactive=True),
    "command": RoleKind(RAW, written=True, many=True, switchgear=True, contactors=True),
    "heartbeat": RoleKind(RAW, written=True, contactors=True),
    "reversion-time": RoleKind(TIME, written=True, contactors=True),
    "loop-enable": RoleKind(RAW, written=True),
    "loop-filter-time": RoleKind(TIME, written=True),
    "loop-ramp": RoleKind(RAMP, written=True),
    "loop-gain": RoleKind(SHARE, written=True),
    "loop-charge-power-max": RoleKind(POWER, written=True),
    "loop-discharge-power-max": RoleKind(POWER, written=True),
    "intertie-closed": RoleKind(RAW, required=True, inverter=False, switchgear=True),
    "sync-ok": RoleKind(RAW, required=True, inverter=False, switchgear=True),
    "grid-voltage": RoleKind(VOLTAGE, required=True, inverter=False, switchgear=True),
    "grid-frequency": RoleKind(FREQUENCY, required=True, inverter=False, switchgear=True),
    "site-voltage": RoleKind(VOLTAGE, required=True, inverter=False, switchgear=True),
    "site-frequency": RoleKind(FREQUENCY, required=True, inverter=False, switchgear=True),
    "phase-angle": RoleKind(ANGLE, inverter=False, switchgear=True),
    "blocks-closed": RoleKind(RAW, inverter=False, switchgear=True),
    "blocks-command": RoleKind(RAW, written=True, inverter=False, switchgear=True),
    "sync-command": RoleKind(RAW, written=True, inverter=False, switchgear=True),
    "interlock-closed": _auxiliary(),
    "emergency-stop-released": _auxiliary(),
    "smoke-detected": _auxiliary(),
    "gas-detected": _auxiliary(),
    "fire-panel-alarm": _auxiliary(),
    "fire-output-on": _auxiliary(),
    "door-closed": _auxiliary(),
    "fuse-intact": _auxiliary(),
    "cooling-running": _auxiliary(),
    "cooling-failed": _auxiliary(),
    "coolant-temperature": _auxiliary(TEMPERATURE),
    "precharge-temperature": _auxiliary(TEMPERATURE),
    "supply-voltage": _auxiliary(VOLTAGE),
    "supply-on-battery": _auxiliary(),
    "supply-charge": _auxiliary(SHARE),
    "fire-output": _auxiliary(written=True),
    "cooling-output": _auxiliary(written=True),
    "main-closed": _contactors(required=True),
    "precharge-closed": _contactors(),
    "main-output": _contactors(written=True, required=True),
    "precharge-output": _contactors(written=True),
}
LOOP: tuple[Role, ...] = (
    "loop-filter-time",
    "loop-ramp",
    "loop-gain",
    "loop-charge-power-max",
    "loop-discharge-power-max",
    "loop-enable",
)
"""A smoothing loop inside the converter, in the order in which it is told: it is enabled last. All or none."""
OUTPUTS: tuple[Role, ...] = ("fire-output", "cooling-output", "main-output", "precharge-output")
"""What an auxiliary device or a contactor block is told; several may be bits of one register, told apart by masks."""
FEEDBACK: tuple[Role, ...] = ("main-closed", "precharge-closed")
"""What a contactor block says: the contactors' auxiliary contacts."""
SAFETY: tuple[Role, ...] = tuple(role for role, kind in ROLES.items() if kind.auxiliary and not kind.written)
"""What an auxiliary device says."""
FLAGS: tuple[Role, ...] = (
    *("grid-connected", "remote-control", "intertie-closed", "sync-ok"),
    *(role for role in (*SAFETY, *FEEDBACK, *OUTPUTS) if not ROLES[role].units),
)
DIRECTIONS: dict[str, tuple[Positive, ...]] = {
    "inverter": ("discharge", "charge"),
    "meter": ("import", "export"),
    "switchgear": (),
    "auxiliary": (),
    "contactors": (),
}
REACTIVE_DIRECTIONS: tuple[Positive, ...] = ("injected", "absorbed")
SET_POINTS: tuple[Role, ...] = ("set-point", "reactive-set-point")
"""What is read back now and then."""
RATING: tuple[Role, ...] = (
    "charge-power-max",
    "discharge-power-max",
    "apparent-power-max",
    "reactive-injected-max",
    "reactive-absorbed-max",
)
"""What is read once a connection."""
