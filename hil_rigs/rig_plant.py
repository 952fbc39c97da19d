"""From a rig file's words to the plant builder's: the only place that knows both."""

from pathlib import Path

from hil_rigs.load_spec import AiTraining, ConstantPower, LoadFmu, LoadSpec
from hil_rigs.plant.ai_load import GpuSmoothing
from hil_rigs.plant.build import LoadConfig, PlantConfig
from hil_rigs.rig import RigFile


def plant_config(rig: RigFile, seed: int, load: LoadSpec | None = None) -> PlantConfig:
    """What `build_plant` takes; `load` replaces the rig's own."""
    plant = rig.plant
    return PlantConfig(
        racks=plant.racks,
        cells_in_series=plant.modules_per_rack * plant.cells_per_module,
        cell=plant.cell,
        soc_frac=plant.soc_frac,
        rated_power_w=plant.inverter_power_w,
        ambient_degc=plant.ambient_degc,
        fuse_a=plant.fuse_a,
        load=load_config(load or rig.load),
        seed=seed,
    )


def load_config(load: LoadSpec) -> LoadConfig:
    """What `build_load` takes."""
    if isinstance(load, AiTraining):
        smoothing = load.smoothing
        gpu = GpuSmoothing(smoothing.floor_frac, smoothing.ramp_frac_per_s) if smoothing else None
        return LoadConfig(kind=load.kind, rated_power_w=load.rated_power_w, scale=load.scale, smoothing=gpu)
    if isinstance(load, ConstantPower):
        return LoadConfig(kind=load.kind, rated_power_w=load.rated_power_w, scale=load.scale)
    if isinstance(load, LoadFmu):
        return LoadConfig(kind=load.kind, path=Path(load.path), rated_power_w=load.power_w_max, scale=load.scale)
    return LoadConfig(kind=load.kind, path=Path(load.path), run=load.run, scale=load.scale)
