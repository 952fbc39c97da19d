"""A site behind a static switch: what stands between grid, converter and load blocks, in steps of a millisecond while
anything there moves. The switch acts by itself; a controller may only tell it to open, or allow it to close."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan, radians, sin, sqrt

import numpy as np

from hil_rigs.plant.converter import ConverterPlant, ConverterState, Island
from hil_rigs.plant.grid import Grid

MS = 0.001
SERVED_PU = 0.9
"""Below it a load counts as unserved, and takes less than it wants."""


ALLOWED = (10.0, 0.1, 0.03)
"""Degrees, Hz and per unit of voltage within which two sides may be joined: IEEE 1547-2018, table 5, above 1.5 MVA."""


@dataclass(frozen=True, slots=True)
class SwitchParameters:
    """The switch opens `open_s` (thyristors block at the next zero of their current) after the grid was outside its
    window for `detect_s`; frequency is judged over `frequency_detect_s`. Its sync-check lets it close inside
    `phase_deg`, `slip_hz` and `voltage_off_pu`, held for `check_s`. The synchroniser moves the site's frequency by at
    most `trim_hz`."""

    voltage_pu_min: float = SERVED_PU
    voltage_pu_max: float = 1.1
    frequency_off_hz_max: float = 1.5
    detect_s: float = 0.002
    frequency_detect_s: float = 0.1
    open_s: float = 0.004
    phase_deg: float = 0.8
    slip_hz: float = 0.1
    voltage_off_pu: float = 0.03
    check_s: float = 0.05
    trim_hz: float = 0.1
    trim_per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class FormingParameters:
    """A converter that takes its mode from the switch: it makes the site's voltage `take_over_s` after the switch has
    opened, gives `overload_frac` of its rating for `overload_s` in all (the time comes back at rest as fast), and trips
    when its voltage is below `collapse_pu` for `collapse_s`. `reactance_pu` is between its voltage and the grid's."""

    take_over_s: float = 0.004
    overload_frac: float = 1.2
    overload_s: float = 10.0
    collapse_pu: float = 0.7
    collapse_s: float = 1.0
    reactance_pu: float = 0.15


@dataclass(frozen=True, slots=True)
class Ups:
    """What feeds the electronics of all devices while the site is dark."""

    energy_wh: float = 6000.0
    power_w: float = 3000.0


@dataclass(slots=True)
class SwitchFaults:
    """Set at any time: it does not open, not even by itself; it does not close; its synchroniser does nothing; the
    contactors of these blocks stay as they are; something else feeds the site's bus."""

    stuck_closed: bool = False
    stuck_open: bool = False
    no_synchroniser: bool = False
    stuck_blocks: int = 0
    fed_from_elsewhere: bool = False


class Microgrid:
    """Block 0 is the critical load, which the plant's own load is; `blocks_w` are the powers of the others. Voltages
    per unit. `low_s` is for how long without a break the critical load has had less than SERVED_PU, to the millisecond,
    as it was at its longest in the step;
    `sync_closings` counts closings with both sides alive, of which `wrong_closings` were outside IEEE 1547's window."""

    def __init__(
        self,
        grid: Grid,
        converter: ConverterPlant,
        blocks_w: Sequence[float],
        rng: np.random.Generator,
        *,
        dark: bool = False,
        switch: SwitchParameters | None = None,
        forming: FormingParameters | None = None,
        ups: Ups | None = None,
    ) -> None:
        self._grid, self._converter, self._rng = grid, converter, rng
        self._blocks_w = tuple(blocks_w)
        self._switch, self._forming = switch or SwitchParameters(), forming or FormingParameters()
        self._ups = ups or Ups()
        self.ups_left_wh = self._ups.energy_wh
        self.faults = SwitchFaults()
        self.closed = not dark
        self.blocks_closed = 0 if dark else (1 << (1 + len(blocks_w))) - 1
        self.critical_voltage_pu = 0.0 if dark else 1.0
        self.site_voltage_pu = self.critical_voltage_pu
        self.low_s = self._low_s = 0.0
        self.phase_deg = 0.0
        self.power_w = 0.0
        self.sync_closings = self.wrong_closings = self.dead_closings = 0
        self._told_to_close, self._locked, self._synchronises = self.closed, False, False
        self._outside_s = self._off_frequency_s = self._opening_s = self._check_s = 0.0
        self._apart_s = self._overload_s = self._collapsed_s = 0.0
        self._own_pu, self._own_hz = 1.0, converter.nominal_hz
        self._wanted_w = 0.0
        self._obey_mode()

    @property
    def aux_alive(self) -> bool:
        """The electronics of the devices have power."""
        return self.site_voltage_pu > SERVED_PU or self.ups_left_wh > 0.0

    @property
    def sync_ok(self) -> bool:
        """Its sync-check relay would let it close."""
        return self._check_s >= self._switch.check_s

    @property
    def grid_voltage_pu(self) -> float:
        return self._grid.voltage_pu

    @property
    def grid_hz(self) -> float:
        return self._grid.measured_hz

    @property
    def site_hz(self) -> float:
        if self.closed:
            return self._grid.measured_hz
        return self._own_hz if self.site_voltage_pu > 0.0 else 0.0

    @property
    def forms(self) -> bool:
        """The converter makes the site's voltage."""
        return not self.closed and self._converter.state is ConverterState.RUNNING

    def command_intertie(self, close: bool) -> None:
        """Allow it to close, or open it. After it has opened by itself it must be told to open before it closes."""
        self._locked = self._locked and close
        self._told_to_close = close

    def command_synchroniser(self, on: bool) -> None:
        self._synchronises = on

    def command_blocks(self, blocks: int) -> None:
        """Bit n = block n is closed."""
        stuck, known = self.faults.stuck_blocks, (1 << (1 + len(self._blocks_w))) - 1
        self.blocks_closed = self.blocks_closed & stuck | blocks & known & ~stuck

    def step(self, dt_s: float, critical_w: float) -> None:
        """Advance by `dt_s` in which the critical load wants `critical_w`: the switch and the voltages, not the
        converter's power."""
        self._wanted_w = self._wants(critical_w)
        self._pass_time(dt_s)
        lowest_pu, self.low_s = 2.0, 0.0
        for _ in range(max(round(dt_s / MS), 1)):
            self._move_switch()
            self.site_voltage_pu = self._voltage_pu()
            critical_pu = self.site_voltage_pu if self.blocks_closed & 1 else 0.0
            lowest_pu = min(lowest_pu, critical_pu)
            self._low_s = self._low_s + MS if critical_pu < SERVED_PU else 0.0
            self.low_s = max(self.low_s, self._low_s)
        self.critical_voltage_pu = lowest_pu
        self._converter.meet_grid(self.site_voltage_pu, self.site_hz, self._grid.jump_deg if self.closed else 0.0)

    def take(self, ac_power_w: float) -> tuple[float, float]:
        """What load and grid get and give when the converter gives `ac_power_w`."""
        if self.closed:
            self.power_w = self._wanted_w * _share(self.site_voltage_pu)
            return self.power_w, self.power_w - ac_power_w
        self.power_w = max(ac_power_w, 0.0)
        return self.power_w, 0.0

    def _wants(self, critical_w: float) -> float:
        powers_w = (critical_w, *self._blocks_w)
        return sum(power_w for n, power_w in enumerate(powers_w) if self.blocks_closed >> n & 1)

    def _pass_time(self, dt_s: float) -> None:
        """What needs no milliseconds: overload, collapse, phase and frequency between both sides, and the UPS."""
        rated_w, forming = self._converter.rated_power_w, self._forming
        over = self.forms and self._wanted_w > rated_w
        self._overload_s = min(max(self._overload_s + (dt_s if over else -dt_s), 0.0), forming.overload_s)
        collapsed = self.forms and self.site_voltage_pu < forming.collapse_pu and self._apart_s > forming.take_over_s
        self._collapsed_s = self._collapsed_s + dt_s if collapsed else 0.0
        if self._collapsed_s > forming.collapse_s:
            self._converter.trip_under_voltage()
        if self.site_voltage_pu <= SERVED_PU:
            self.ups_left_wh = max(self.ups_left_wh - self._ups.power_w * dt_s / 3600.0, 0.0)
        self._trim(dt_s)
        self._turn(dt_s)

    def _trim(self, dt_s: float) -> None:
        """The synchroniser brings voltage, frequency and phase of the site to the grid's, or lets them go home."""
        nominal_hz, switch = self._converter.nominal_hz, self._switch
        works = self._synchronises and not self.faults.no_synchroniser
        with_grid = works and self._grid.there and not isnan(self.phase_deg)
        target_pu = min(max(self._grid.voltage_pu, 0.95), 1.05) if with_grid else 1.0
        self._own_pu += min(max(target_pu - self._own_pu, -0.05 * dt_s), 0.05 * dt_s)
        if not with_grid:
            self._own_hz = nominal_hz
            return
        trim_hz = -switch.trim_per_s * self.phase_deg / 360.0
        wanted_hz = self._grid.frequency_hz + min(max(trim_hz, -switch.trim_hz), switch.trim_hz)
        self._own_hz = min(max(wanted_hz, nominal_hz - 1.0), nominal_hz + 1.0)

    def _turn(self, dt_s: float) -> None:
        if self.closed:
            self.phase_deg = 0.0 if self._grid.there else nan
        elif not self._grid.there or self.site_voltage_pu == 0.0:
            self.phase_deg = nan
        elif isnan(self.phase_deg):
            self.phase_deg = float(self._rng.uniform(-180.0, 180.0))
        else:
            turned_deg = self.phase_deg + 360.0 * (self._own_hz - self._grid.frequency_hz) * dt_s - self._grid.jump_deg
            self.phase_deg = (turned_deg + 180.0) % 360.0 - 180.0

    def _move_switch(self) -> None:
        grid, switch = self._grid, self._switch
        outside = not switch.voltage_pu_min <= grid.voltage_pu <= switch.voltage_pu_max
        off = not outside and abs(grid.measured_hz - self._converter.nominal_hz) > switch.frequency_off_hz_max
        self._outside_s = self._outside_s + MS if outside else 0.0
        self._off_frequency_s = self._off_frequency_s + MS if off else 0.0
        trips = self._outside_s >= switch.detect_s - 1e-9 or self._off_frequency_s >= switch.frequency_detect_s
        if self.closed:
            self._apart_s = self._check_s = 0.0
            self._locked = self._locked or trips
            self._open(self._locked or not self._told_to_close)
        else:
            self._apart_s += MS
            self._check_s = self._check_s + MS if self._in_sync() else 0.0
            self._close(grid_good=not outside and not off)

    def _open(self, wanted: bool) -> None:
        self._opening_s = self._opening_s + MS if wanted and not self.faults.stuck_closed else 0.0
        if self._opening_s >= self._switch.open_s:
            self.closed, self._opening_s = False, 0.0
            self._obey_mode()

    def _close(self, *, grid_good: bool) -> None:
        if not self._told_to_close or self._locked or self.faults.stuck_open or not grid_good:
            return
        dead = self.site_voltage_pu == 0.0 and self._converter.state is not ConverterState.RUNNING
        if not dead and not self.sync_ok:
            return
        if dead:
            self.dead_closings += 1
        else:
            self.sync_closings += 1
            self.wrong_closings += not self._inside(*ALLOWED)
        kick_w = 0.0
        if not dead:
            kick_w = self._converter.rated_power_w * sin(radians(self.phase_deg)) / self._forming.reactance_pu
        self.closed = True
        self._obey_mode()
        self._converter.join(kick_w)

    def _in_sync(self) -> bool:
        switch = self._switch
        return self._inside(switch.phase_deg, switch.slip_hz, switch.voltage_off_pu)

    def _inside(self, phase_deg: float, slip_hz: float, voltage_pu: float) -> bool:
        grid = self._grid
        close = abs(self.phase_deg) <= phase_deg and abs(self._own_hz - grid.frequency_hz) <= slip_hz
        return close and abs(self.site_voltage_pu - grid.voltage_pu) <= voltage_pu

    def _voltage_pu(self) -> float:
        if self.faults.fed_from_elsewhere and not self.closed and not self.forms:
            return 1.0
        if self.closed:
            return self._grid.voltage_pu
        if not self.forms:
            return 0.0
        if self._apart_s < self._forming.take_over_s:
            return min(self._grid.voltage_pu, self._own_pu)  # the load's side is still on what it had
        most_w = self._most_w()
        return self._own_pu if self._wanted_w <= most_w else SERVED_PU * sqrt(most_w / self._wanted_w) * 0.999

    def _most_w(self) -> float:
        """What it can give now."""
        short = self._overload_s < self._forming.overload_s
        return self._converter.rated_power_w * (self._forming.overload_frac if short else 1.0)

    def _obey_mode(self) -> None:
        """The converter takes its mode from the switch's auxiliary contact; no set-point binds it while it forms."""
        self._converter.island = None if self.closed else Island(self._island_w, lambda: None, self._most_w)

    def _island_w(self) -> float:
        return self._wanted_w * _share(self.site_voltage_pu)


def _share(voltage_pu: float) -> float:
    """Loads behind power supplies take the same power down to SERVED_PU, and less by the square below."""
    return 1.0 if voltage_pu >= SERVED_PU else (voltage_pu / SERVED_PU) ** 2
