"""From a rig file's words to the plant builder's: the only place that knows both."""

from pathlib import Path

from hil_rigs.grid_spec import GridFmu, GridPoints, GridSpec, NoiseSpec, SmallNetwork, SteadyGrid
from hil_rigs.load_spec import AiTraining, LoadFile, LoadFmu, LoadSpec
from hil_rigs.plant.ageing import AgeingParameters
from hil_rigs.plant.ai_load import GpuSmoothing
from hil_rigs.plant.build import GridConfig, LoadConfig, PlantConfig, PvConfig
from hil_rigs.plant.day import HOUR_S
from hil_rigs.plant.grid import GridNoise, NetworkParameters
from hil_rigs.plant.sun import Clouds
from hil_rigs.pv_spec import ClearSkyPv, PvFmu, PvSpec
from hil_rigs.rig import AgeingSpec, RigFile

NOON_S = 12 * HOUR_S


def plant_config(rig: RigFile, seed: int, load: LoadSpec | None = None) -> PlantConfig:
    """What `build_plant` takes; `load` replaces the rig's own."""
    plant = rig.plant
    return PlantConfig(
        racks=plant.racks,
        cells_in_series=plant.cells_per_rack,
        module_cells=plant.cells_per_module,
        cell=plant.cell,
        cells_in_parallel=plant.cells_in_parallel,
        one_string_resolved=plant.one_string_resolved,
        aged_capacity_frac=plant.aged_capacity_frac,
        aged_resistance_factor=plant.aged_resistance_factor,
        ageing=None if plant.ageing is None else ageing_parameters(plant.ageing),
        coulombic_efficiency_frac=plant.coulombic_efficiency_frac,
        self_discharge_frac_per_h=plant.self_discharge_frac_per_h,
        plating_frac_per_charge=plant.plating_frac_per_charge,
        bleed_ohm=plant.bleed_ohm,
        precharge_ohm=plant.precharge_ohm,
        soc_frac=plant.soc_frac,
        rated_power_w=plant.inverter_power_w,
        ambient_degc=plant.ambient_degc,
        fuse_a=plant.fuse_a,
        load=load_config(load or rig.load, rig.start_hour * HOUR_S),
        pv=None if rig.pv is None else pv_config(rig.pv, rig.start_hour * HOUR_S),
        grid=grid_config(rig.grid),
        seed=seed,
        lag_s=plant.inverter_lag_s,
        standby_loss_w=plant.inverter_standby_w,
        coolant_fmu=None if plant.coolant is None else Path(plant.coolant.path),
        stage_fmu=None if plant.inverter_stage is None else Path(plant.inverter_stage.path),
    )


def ageing_parameters(ageing: AgeingSpec) -> AgeingParameters:
    """What a rack's `Ageing` takes."""
    return AgeingParameters(ageing.years_to_80, ageing.cycles_to_80, ageing.resistance_factor_at_80, speed=ageing.speed)


def load_config(load: LoadSpec, start_s: float = NOON_S) -> LoadConfig:
    """What `build_load` takes; the run starts at `start_s` of the day."""
    if isinstance(load, AiTraining):
        smoothing = load.smoothing
        gpu = GpuSmoothing(smoothing.floor_frac, smoothing.ramp_frac_per_s) if smoothing else None
        return LoadConfig(kind=load.kind, rated_power_w=load.rated_power_w, scale=load.scale, smoothing=gpu)
    if isinstance(load, LoadFile):
        return LoadConfig(kind=load.kind, path=Path(load.path), run=load.run, scale=load.scale)
    if isinstance(load, LoadFmu):
        return LoadConfig(kind=load.kind, path=Path(load.path), rated_power_w=load.power_w_max, scale=load.scale)
    return LoadConfig(kind=load.kind, rated_power_w=load.rated_power_w, scale=load.scale, start_s=start_s)


def pv_config(pv: PvSpec, start_s: float) -> PvConfig:
    """What `build_pv` takes; the run starts at `start_s` of the day."""
    if isinstance(pv, ClearSkyPv):
        clouds = None if pv.clouds is None else Clouds(**pv.clouds.model_dump())
        return PvConfig(
            kind=pv.kind,
            rated_power_w=pv.rated_power_w,
            latitude_deg=pv.latitude_deg,
            day_of_year=pv.day_of_year,
            performance_frac=pv.performance_frac,
            clouds=clouds,
            start_s=start_s,
        )
    if isinstance(pv, PvFmu):
        return PvConfig(pv.kind, pv.rated_power_w, path=Path(pv.path), scale=pv.scale)
    return PvConfig(pv.kind, pv.rated_power_w, path=Path(pv.path), run=pv.run, scale=pv.scale)


def grid_config(grid: GridSpec) -> GridConfig:
    """What `build_grid` takes."""
    nominal_hz, noise = float(grid.nominal_hz), _noise(grid.noise)
    if isinstance(grid, SteadyGrid):
        return GridConfig(grid.kind, nominal_hz, grid.frequency_hz, grid.voltage_pu, noise=noise)
    if isinstance(grid, GridPoints):
        points = tuple((at.time_s, at.frequency_hz or nominal_hz, at.voltage_pu) for at in grid.points)
        machine = grid.generator
        if machine is None:
            return GridConfig(grid.kind, nominal_hz, points=points, noise=noise)
        network = NetworkParameters(
            base_power_w=machine.rated_power_w,
            inertia_s=machine.inertia_s,
            damping_pu=0.0,
            droop_frac=machine.droop_frac,
            governor_time_s=machine.governor_time_s,
        )
        at_s = (machine.from_s, machine.to_s)
        return GridConfig(grid.kind, nominal_hz, points=points, noise=noise, network=network, machine_s=at_s)
    if isinstance(grid, SmallNetwork):
        network = NetworkParameters(
            base_power_w=grid.base_power_w,
            inertia_s=grid.inertia_s,
            damping_pu=grid.damping_pu,
            droop_frac=grid.droop_frac,
            governor_time_s=grid.governor_time_s,
            voltage_drop_pu=grid.voltage_drop_pu,
            load_steps=tuple((step.time_s, step.power_w) for step in grid.load_steps),
        )
        return GridConfig(grid.kind, nominal_hz, network=network, noise=noise)
    if isinstance(grid, GridFmu):
        return GridConfig(grid.kind, nominal_hz, path=Path(grid.path), noise=noise)
    return GridConfig(grid.kind, nominal_hz, path=Path(grid.path), run=grid.run, noise=noise)


def _noise(noise: NoiseSpec | None) -> GridNoise | None:
    return None if noise is None else GridNoise(noise.frequency_hz_sigma, noise.voltage_pu_sigma, noise.time_s)
