"""The whole plant: racks on a DC link, a converter, a load, PV and the grid connection that covers the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hil_rigs.plant.converter import ConverterPlant, ConverterState, Island, LinkPrecharge
from hil_rigs.plant.dc_bus import DcBus
from hil_rigs.plant.grid import Grid
from hil_rigs.plant.load import Load
from hil_rigs.plant.microgrid import Microgrid
from hil_rigs.plant.pv import PvPlant
from hil_rigs.plant.rack import RackPlant


@dataclass(slots=True)
class Energies:
    """Energy since the start (J); each counter only grows. `discharged`/`charged` are at the converter's AC side,
    `dc_out`/`dc_in` at its DC side, `racks_out`/`racks_in` behind the racks' own resistance (their emf)."""

    load_j: float = 0.0
    grid_import_j: float = 0.0
    grid_export_j: float = 0.0
    discharged_j: float = 0.0
    charged_j: float = 0.0
    dc_out_j: float = 0.0
    dc_in_j: float = 0.0
    racks_out_j: float = 0.0
    racks_in_j: float = 0.0
    pv_j: float = 0.0


class Plant:
    """Advances everything together. `time_s` counts from 0; `grid_power_w` (import positive) = load - pv - battery.
    `wanted_power_w` is what the load would take: `load_power_w` is what it gets from an island, and without a grid.

    Without a `bus` the racks share a link of the usual capacitance, without a `grid` it is the nominal one."""

    def __init__(
        self,
        racks: Sequence[RackPlant],
        converter: ConverterPlant,
        load: Load,
        ambient_degc: float = 25.0,
        bus: DcBus | None = None,
        grid: Grid | None = None,
        pv: PvPlant | None = None,
    ) -> None:
        self.racks = tuple(racks)
        self.converter = converter
        self.load = load
        self.ambient_degc = ambient_degc
        self.bus = bus or DcBus(racks)
        self.grid = grid or Grid(nominal_hz=converter.nominal_hz)
        self.pv = pv
        self.microgrid: Microgrid | None = None
        self.energies = Energies()
        self.load_power_w = load.power_w(0.0)
        self.wanted_power_w = self.load_power_w
        self.grid_power_w = self.load_power_w - self.pv_power_w
        self._time_ns = 0

    def form_island(self, cap_w: Callable[[], float | None]) -> None:
        """From now on there is no grid but the converter's own; `cap_w`: a set-point that it is given all the same."""
        self.converter.island = Island(load_w=lambda: self.wanted_power_w - self.pv_power_w, cap_w=cap_w)

    def join_grid(self) -> None:
        """The grid is there again, and the converter follows it."""
        self.converter.island = None

    def precharge_by_converter(self) -> None:
        """From now on the converter brings the link to the racks' mean voltage, which they tell it."""
        self.converter.precharge = LinkPrecharge(
            target_v=lambda: sum(rack.voltage_v for rack in self.racks) / len(self.racks),
            connected=lambda: any(rack.main_closed for rack in self.racks),
        )

    @property
    def pv_power_w(self) -> float:
        """Generation; 0 without PV."""
        return 0.0 if self.pv is None else self.pv.ac_power_w

    @property
    def time_s(self) -> float:
        return self._time_ns / 1e9

    @property
    def frequency_hz(self) -> float:
        """Of the grid, or of the converter's own; 0 where there is none."""
        return self.grid.frequency_hz if self._sees_grid else self.converter.nominal_hz

    @property
    def measured_hz(self) -> float:
        """The same as devices measure it."""
        return self.grid.measured_hz if self._sees_grid else self.converter.nominal_hz

    @property
    def voltage_pu(self) -> float:
        """Of the grid, or of the converter's own, per unit of nominal."""
        return self.grid.voltage_pu if self._sees_grid else 1.0

    @property
    def _sees_grid(self) -> bool:
        """A meter at the connection sees the grid's side of an intertie whatever that does."""
        return self.converter.island is None or self.microgrid is not None

    def step(self, dt_s: float) -> None:
        """Advance by `dt_s` (counted in whole ns): grid, load, PV, converter, DC bus with the racks' currents, cells.
        Powers and currents are then those of this step, voltages those at its end. ValueError if not positive."""
        if not dt_s > 0:
            raise ValueError(f"a step must be longer than 0 s, got {dt_s}")
        self._time_ns += round(dt_s * 1e9)
        self.wanted_power_w = self.load_power_w = self.load.power_w(self._time_ns / 1e9)
        self._meet_grid(dt_s)
        self.converter.step(dt_s)
        ac_power_w, dc_power_w = self.converter.ac_power_w, self.converter.dc_power_w
        if self.converter.island is not None:
            self._serve_island(ac_power_w)
        elif not self.grid.there:
            self.load_power_w = 0.0
        pv_w = self.pv_power_w
        self.grid_power_w = self.load_power_w - pv_w - ac_power_w
        if self.microgrid is not None:
            self.load_power_w, self.grid_power_w = self.microgrid.take(ac_power_w)
        self.bus.step(dt_s, dc_power_w, self.converter.feed_a)
        self.converter.settle(self.bus.voltage_v, self.bus.converter_current_a)
        self._count(dt_s, ac_power_w, dc_power_w, pv_w)
        for rack in self.racks:
            rack.step(dt_s, self.ambient_degc)

    def _meet_grid(self, dt_s: float) -> None:
        """The grid answers to what the site took in the step before."""
        if self.microgrid is not None:
            self.grid.step(dt_s, self.grid_power_w)
            self.microgrid.step(dt_s, self.wanted_power_w)
            return
        grid, island = self.grid, self.converter.island is not None
        grid.step(dt_s, 0.0 if island else self.grid_power_w)
        jump_deg = 0.0 if island else grid.jump_deg
        ac = (self.voltage_pu, self.measured_hz) if island else (grid.voltage_pu, grid.measured_hz)
        self.converter.meet_grid(*ac, jump_deg, self.grid_power_w)
        if self.pv is not None:
            dark = island and self.converter.state is not ConverterState.RUNNING
            self.pv.meet_grid(*((0.0, 0.0) if dark else (self.voltage_pu, self.measured_hz, jump_deg)))
            self.pv.step(self.time_s, dt_s)

    def _serve_island(self, ac_power_w: float) -> None:
        """What is not served is dark; PV that neither load nor converter takes is held back by the frequency."""
        if self.pv is not None:
            self.pv.ac_power_w = min(self.pv.ac_power_w, max(self.wanted_power_w - ac_power_w, 0.0))
        self.load_power_w = max(ac_power_w + self.pv_power_w, 0.0)

    def _count(self, dt_s: float, ac_power_w: float, dc_power_w: float, pv_w: float) -> None:
        energies, grid_w, racks_w = self.energies, self.grid_power_w, self.bus.racks_power_w
        energies.load_j += self.load_power_w * dt_s
        energies.pv_j += pv_w * dt_s
        if grid_w > 0:
            energies.grid_import_j += grid_w * dt_s
        else:
            energies.grid_export_j -= grid_w * dt_s
        if ac_power_w > 0:
            energies.discharged_j += ac_power_w * dt_s
        else:
            energies.charged_j -= ac_power_w * dt_s
        if dc_power_w > 0:
            energies.dc_out_j += dc_power_w * dt_s
        else:
            energies.dc_in_j -= dc_power_w * dt_s
        if racks_w > 0:
            energies.racks_out_j += racks_w * dt_s
        else:
            energies.racks_in_j -= racks_w * dt_s
