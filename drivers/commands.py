"""What devices are told, as types. Every command expires: a driver stops refreshing it then, and the device's own
watchdog does the rest."""

from dataclasses import dataclass

from drivers.readings import Flags
from drivers.safety import CoolingRequest


@dataclass(frozen=True, slots=True)
class InverterCommand:
    """Active power at the AC terminals (discharge positive) while running; `run` False stops the converter."""

    power_w: float
    run: bool
    expires_ns: int


@dataclass(frozen=True, slots=True)
class PvCommand:
    """Most that a PV inverter may generate; infinite = all that it can."""

    power_w_max: float
    expires_ns: int


@dataclass(frozen=True, slots=True)
class RackCommand:
    """Wanted state of a rack's contactors. `hold`: they stay as they are when commands end, instead of opening."""

    main_closed: bool
    precharge_closed: bool
    expires_ns: int
    hold: bool = False


@dataclass(frozen=True, slots=True)
class OutputsCommand:
    """Wanted state of a rack's outputs beside the contactors: alarm to the fire panel, cooling, insulation monitor."""

    fire_alarm: bool
    cooling: CoolingRequest
    insulation_on: bool
    expires_ns: int


@dataclass(frozen=True, slots=True)
class BleedCommand:
    """Cells that shall bleed (1), one entry a cell."""

    bleed: Flags
    expires_ns: int
