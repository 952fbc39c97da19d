"""What devices say, as types: SI units, discharge positive, each value with the time it was true.

All are immutable. Those made for every rack or link in every tick are named tuples, which take less than half the time
that a frozen dataclass takes to make.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.battery import BatterySays
from drivers.clock import NEVER_NS as NEVER_NS
from drivers.safety import NOT_HEARD, SafetyInputs

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Flags = NDArray[np.uint8]


class InverterState(StrEnum):
    """Operating states of SunSpec model 701, point InvSt; UNKNOWN is what a driver could not name."""

    OFF = "off"
    SLEEPING = "sleeping"
    STARTING = "starting"
    RUNNING = "running"
    THROTTLED = "throttled"
    SHUTTING_DOWN = "shutting_down"
    FAULT = "fault"
    STANDBY = "standby"
    UNKNOWN = "unknown"


class RackOwnFault(IntEnum):
    """Why a rack that moves its contactors itself does not do what it was asked; str() is in words."""

    NONE = 0
    PRECHARGE_SHORT = 1
    PRECHARGE_OPEN = 2
    PRECHARGE_TIMEOUT = 3
    MAIN_STUCK_OPEN = 4
    MAIN_WELDED = 5
    PRECHARGE_WELDED = 6
    REFUSED = 7

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class InverterRating:
    """Nameplate of a converter; magnitudes, NaN = it does not say. `ac_voltage_v` is the nominal voltage of the kind
    that `InverterReading.ac_voltage_v` is."""

    charge_power_w_max: float
    discharge_power_w_max: float
    apparent_power_va_max: float = nan
    reactive_injected_var_max: float = nan
    reactive_absorbed_var_max: float = nan
    ac_voltage_v: float = nan

    @property
    def known(self) -> bool:
        """Both are numbers; a device may not say (NaN)."""
        return self.charge_power_w_max >= 0.0 and self.discharge_power_w_max >= 0.0

    def clamped_w(self, power_w: float) -> float:
        """`power_w` (discharge positive) within the nameplate, where that is known."""
        if not isnan(self.charge_power_w_max):
            power_w = max(power_w, -self.charge_power_w_max)
        if not isnan(self.discharge_power_w_max):
            power_w = min(power_w, self.discharge_power_w_max)
        return power_w

    def clamped_var(self, reactive_var: float) -> float:
        """`reactive_var` (injected positive) within the nameplate, where that is known."""
        limits = (self.reactive_absorbed_var_max, self.reactive_injected_var_max)
        absorbed_var, injected_var = [self.apparent_power_va_max if isnan(limit) else limit for limit in limits]
        if not isnan(absorbed_var):
            reactive_var = max(reactive_var, -absorbed_var)
        if not isnan(injected_var):
            reactive_var = min(reactive_var, injected_var)
        return reactive_var


@dataclass(frozen=True, slots=True)
class SentPower:
    """A set-point that the converter acknowledged (discharge positive), and when it went onto the wire."""

    at_ns: int
    power_w: float


@dataclass(frozen=True, slots=True)
class InverterReading:
    """One poll of a converter. Power and current are positive in discharge, reactive power injected. NaN = the device
    does not say. `ac_voltage_v` is the mean of its phases: line to line, of a single-phase one against neutral."""

    at_ns: int
    state: InverterState
    ac_power_w: float
    dc_power_w: float
    dc_voltage_v: float
    dc_current_a: float
    frequency_hz: float
    grid_connected: bool
    remote_control: bool
    alarm_bits: int
    grid_forming: bool = False
    """It makes the grid (island) instead of following one, or will once it runs."""
    ac_reactive_var: float = nan
    ac_voltage_v: float = nan


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One poll of a meter. Power is positive in import (towards the site)."""

    at_ns: int
    power_w: float
    frequency_hz: float
    voltage_v: float = nan
    """Mean of the phases against neutral; NaN = the meter does not say."""


class MonitorHealth(NamedTuple):
    """Counts since start of a cell-monitor bus. `rejected` frames never became a reading."""

    accepted: int
    crc_errors: int
    counter_errors: int
    length_errors: int
    lost: int
    unknown: int

    @property
    def rejected(self) -> int:
        return self.crc_errors + self.counter_errors + self.length_errors


class RackReading(NamedTuple):
    """Newest values of one rack (cells in series). Arrays have one entry a cell, are read-only and private to
    this reading. NaN = never received or marked invalid by the monitor; times are NEVER_NS then.
    `main_closed`/`precharge_closed` are the contactors' auxiliary feedback, None until it was heard."""

    voltage_v: Floats
    voltage_at_ns: Times
    temperature_degc: Floats
    temperature_at_ns: Times
    bleeding: Flags
    current_a: float
    current_at_ns: int
    rack_voltage_v: float
    link_voltage_v: float
    main_closed: bool | None
    precharge_closed: bool | None
    command_age_s: float
    """Age of the last valid contactor command as the rack says it; NaN before the first and where it does not say."""
    io_at_ns: int
    health: MonitorHealth
    watchdog_tripped: bool | None = None
    """The rack's own watchdog opened the contactors; None until it was heard."""
    safety: SafetyInputs = NOT_HEARD
    current_redundant_a: float = nan
    """Of a second sensor; NaN where there is none. As old as `current_a`."""
    own_fault: RackOwnFault = RackOwnFault.NONE
    """Of a rack whose own BMS moves the contactors."""
    battery: BatterySays | None = None
    """What a battery with a management of its own says in the place of its cells; None from a monitor of cells."""
    beside_cells: BatterySays | None = None
    """What a monitor of cells says of the whole beside them. Nobody acts on it: the cells say more."""


class LinkHealth(NamedTuple):
    """Counts since start of one link. `connected` is the state now; `transactions` counts answered ones."""

    connected: bool
    transactions: int
    timeouts: int
    errors: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class SwitchgearReading:
    """One poll of the switchgear between site and grid. Voltages as its nominal one is counted; NaN = it does not say.
    `phase_deg`: by how much the site is ahead of the grid. `blocks_closed`: bit n = the contactor of load block n."""

    at_ns: int
    intertie_closed: bool
    sync_ok: bool
    """Its own sync-check relay would let it close."""
    grid_voltage_v: float
    grid_frequency_hz: float
    site_voltage_v: float
    site_frequency_hz: float
    phase_deg: float
    blocks_closed: int
