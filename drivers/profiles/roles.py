"""What a register of a described device can be for: its role, and what that asks of it."""

from dataclasses import dataclass
from typing import Literal

Role = Literal[
    "ac-power",
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
    "set-point",
    "command",
    "heartbeat",
    "reversion-time",
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
]
Unit = Literal["W", "kW", "MW", "V", "kV", "mV", "A", "mA", "Hz", "mHz", "s", "ms", "deg"]
Positive = Literal["discharge", "charge", "import", "export"]

IN_SI: dict[Unit, float] = {
    "W": 1.0,
    "kW": 1e3,
    "MW": 1e6,
    "V": 1.0,
    "kV": 1e3,
    "mV": 1e-3,
    "A": 1.0,
    "mA": 1e-3,
    "Hz": 1.0,
    "mHz": 1e-3,
    "s": 1.0,
    "ms": 1e-3,
    "deg": 1.0,
}
POWER: tuple[Unit, ...] = ("W", "kW", "MW")
VOLTAGE: tuple[Unit, ...] = ("V", "kV", "mV")
CURRENT: tuple[Unit, ...] = ("A", "mA")
FREQUENCY: tuple[Unit, ...] = ("Hz", "mHz")
TIME: tuple[Unit, ...] = ("s", "ms")
ANGLE: tuple[Unit, ...] = ("deg",)
RAW: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleKind:
    """Which units fit, whether it has a direction, is written to, belongs to which kinds of device, and must be
    there."""

    units: tuple[Unit, ...]
    signed: bool = False
    written: bool = False
    inverter: bool = True
    meter: bool = False
    required: bool = False
    many: bool = False
    switchgear: bool = False


ROLES: dict[Role, RoleKind] = {
    "ac-power": RoleKind(POWER, signed=True, meter=True, required=True),
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
    "set-point": RoleKind(POWER, signed=True, written=True, required=True),
    "command": RoleKind(RAW, written=True, many=True, switchgear=True),
    "heartbeat": RoleKind(RAW, written=True),
    "reversion-time": RoleKind(TIME, written=True),
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
}
FLAGS: tuple[Role, ...] = ("grid-connected", "remote-control", "intertie-closed", "sync-ok")
DIRECTIONS: dict[str, tuple[Positive, ...]] = {
    "inverter": ("discharge", "charge"),
    "meter": ("import", "export"),
    "switchgear": (),
}
