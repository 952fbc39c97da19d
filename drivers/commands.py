"""What devices are told, as types. Every command expires: a driver stops refreshing it then, and the device's own
watchdog does the rest.

Sign of reactive power, here and in every reading: positive = injected into the grid (over-excited, as a capacitor),
negative = absorbed (under-excited), whichever way active power flows. That is "injecting" and "absorbing" of IEEE
1547-2018, clause 5.3, and the sign of SunSpec: model 701 counts TotVarhInj in quadrants 1 and 2, where W is positive in
generation.
"""

from dataclasses import dataclass

from drivers.readings import Flags
from drivers.safety import CoolingRequest


@dataclass(frozen=True, slots=True)
class InverterCommand:
    """Active power at the AC terminals (discharge positive) while running; `run` False stops the converter. Without
    `set_point` somebody else writes the power now, and the driver does all the rest. `reactive_var` (injected
    positive) gives way to active power; None = whatever the converter does of its own."""

    power_w: float
    run: bool
    expires_ns: int
    reactive_var: float | None = None
    set_point: bool = True


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


@dataclass(frozen=True, slots=True)
class SwitchgearCommand:
    """Wanted state of the switchgear between site and grid: the intertie, the synchroniser that brings the site to the
    grid's voltage, frequency and phase, and the load blocks (bit n = block n is closed). One that hears nothing stays
    as it is."""

    close: bool
    synchronise: bool
    blocks: int
    expires_ns: int
