"""Builds a plant from plain data, so that a rig file can describe one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np

from hil_rigs.plant.ageing import Ageing, AgeingParameters
from hil_rigs.plant.ai_load import AiJitter, AiTrainingLoad, GpuSmoothing
from hil_rigs.plant.converter import ConverterPlant, parameters_for_link
from hil_rigs.plant.day import DayLoad
from hil_rigs.plant.day_loads import factory, home, industry, inference
from hil_rigs.plant.fmu_coolant import FmuCoolant
from hil_rigs.plant.fmu_grid import FmuGrid
from hil_rigs.plant.fmu_load import FmuLoad
from hil_rigs.plant.fmu_stage import FmuStage
from hil_rigs.plant.grid import (
    Generator,
    Grid,
    GridNoise,
    GridProfile,
    GridSource,
    Network,
    NetworkParameters,
    constant_grid,
)
from hil_rigs.plant.load import ConstantLoad, Load, load_profile
from hil_rigs.plant.load_file import read_columns
from hil_rigs.plant.plating import Plating
from hil_rigs.plant.pv import PvPlant
from hil_rigs.plant.rack import BLEED_OHM, PRECHARGE_OHM, WIRING_OHM, ChargeLoss, RackPlant
from hil_rigs.plant.site import Plant
from hil_rigs.plant.spread import one_cell, spread_cells
from hil_rigs.plant.strings import ParallelStrings
from hil_rigs.plant.sun import ClearSky, Clouds
from kernels.parameters import CellParameters, load_cell

NOMINAL_SOC_FRAC = 0.1
"""Where the open-circuit voltage is a cell's nominal voltage, good enough to choose a converter by."""


DAY_LOADS: dict[str, Callable[[float, np.random.Generator, float], DayLoad]] = {
    "ai-inference": inference,
    "industry": industry,
    "factory": factory,
    "home": home,
}


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """`ai-training` uses `rated_power_w`, `smoothing`, `jitter`; `file` uses `path` and `run`; `fmu` uses `path`, and
    `rated_power_w` as the most that it may say; all others use `rated_power_w`, and those of a day its second at the
    start, `start_s`. `scale` multiplies all."""

    kind: Literal["ai-training", "constant", "ai-inference", "industry", "factory", "home", "file", "fmu"] = (
        "ai-training"
    )
    rated_power_w: float = 1.5e6
    scale: float = 1.0
    smoothing: GpuSmoothing | None = None
    jitter: AiJitter = field(default_factory=AiJitter)
    path: Path | None = None
    run: int | None = None
    start_s: float = 43_200.0


@dataclass(frozen=True, slots=True)
class PvConfig:
    """`file` uses `path`, `run` and `scale`, `fmu` `path` and `scale`; `clear-sky` all others, all `rated_power_w`."""

    kind: Literal["clear-sky", "file", "fmu"]
    rated_power_w: float
    latitude_deg: float = 35.7
    day_of_year: int = 182
    performance_frac: float = 0.85
    clouds: Clouds | None = None
    start_s: float = 43_200.0
    path: Path | None = None
    run: int | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class GridConfig:
    """`constant` uses `frequency_hz` (None = nominal) and `voltage_pu`; `points` uses `points` (time s, Hz, pu); `file`
    uses `path` and `run`, `fmu` `path`; `network` uses `network`. With a `network`, `points` are those of a generator
    between the two `machine_s`. All may have `noise`."""

    kind: Literal["constant", "points", "file", "fmu", "network"] = "constant"
    nominal_hz: float = 60.0
    frequency_hz: float | None = None
    voltage_pu: float = 1.0
    points: tuple[tuple[float, float, float], ...] = ()
    path: Path | None = None
    run: int | None = None
    network: NetworkParameters | None = None
    machine_s: tuple[float, float] = (0.0, 0.0)
    noise: GridNoise | None = None


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """Racks of `cells_in_series` cells on one converter of `rated_power_w`. Same seed, same plant. `module_cells` of
    them conduct heat from one to the next, None = none do. The cell file's cell
    is a block of `cells_in_parallel`; with `one_string_resolved` that many strings are in parallel instead, and the
    rack's cells are those of one. Of what charges it `coulombic_efficiency_frac` stays. `plating_frac_per_charge` is of
    zinc only. `coolant_fmu` models what cools each rack, `stage_fmu` the converter's power stage."""

    racks: int = 2
    cells_in_series: int = 416
    module_cells: int | None = None
    cell: str = "lfp-280ah"
    cells_in_parallel: int = 1
    one_string_resolved: bool = False
    aged_capacity_frac: float = 1.0
    aged_resistance_factor: float = 1.0
    ageing: AgeingParameters | None = None
    coulombic_efficiency_frac: float = 1.0
    self_discharge_frac_per_h: float = 0.0
    plating_frac_per_charge: float = 0.0
    bleed_ohm: float = BLEED_OHM
    precharge_ohm: float = PRECHARGE_OHM
    soc_frac: float = 0.55
    rated_power_w: float = 500e3
    ambient_degc: float = 25.0
    fuse_a: float = 500.0
    load: LoadConfig = field(default_factory=LoadConfig)
    grid: GridConfig = field(default_factory=GridConfig)
    pv: PvConfig | None = None
    seed: int = 1
    lag_s: float = 0.03
    standby_loss_w: float = 1500.0
    coolant_fmu: Path | None = None
    stage_fmu: Path | None = None

    def __post_init__(self) -> None:
        if self.racks < 1 or self.cells_in_series < 1:
            raise ValueError(f"needs racks and cells, got {self.racks} racks of {self.cells_in_series} cells")
        if not 0 <= self.soc_frac <= 1:
            raise ValueError(f"soc_frac must be within 0..1, got {self.soc_frac}")


def build_plant(config: PlantConfig) -> Plant:
    """The plant at rest: contactors open, link empty, converter off. Errors of cell and load files pass through."""
    parameters = _aged(load_cell(config.cell), config)
    load_seed, *rack_seeds, grid_seed, pv_seed = np.random.SeedSequence(config.seed).spawn(3 + config.racks)
    racks = [_rack(config, parameters, np.random.default_rng(seed)) for seed in rack_seeds]
    cell_nominal_v = float(np.interp(NOMINAL_SOC_FRAC, np.linspace(0, 1, len(parameters.ocv_v)), parameters.ocv_v))
    grid = build_grid(config.grid, np.random.default_rng(grid_seed))
    link = parameters_for_link(config.cells_in_series * cell_nominal_v, config.rated_power_w, config.lag_s)
    link = replace(link, standby_loss_w=config.standby_loss_w)
    load = build_load(config.load, np.random.default_rng(load_seed))
    pv = None if config.pv is None else build_pv(config.pv, grid.nominal_hz, np.random.default_rng(pv_seed))
    converter = ConverterPlant(link, grid.nominal_hz)
    if config.stage_fmu is not None:
        converter.stage = FmuStage(config.stage_fmu, config.rated_power_w)
    return Plant(racks, converter, load, config.ambient_degc, grid=grid, pv=pv)


def _aged(cell: CellParameters, config: PlantConfig) -> CellParameters:
    return replace(
        cell,
        capacity_ah=cell.capacity_ah * config.aged_capacity_frac,
        resistance_ohm=cell.resistance_ohm * config.aged_resistance_factor,
        rc_resistance_ohm=cell.rc_resistance_ohm * config.aged_resistance_factor,
    )


def _rack(config: PlantConfig, cell: CellParameters, rng: np.random.Generator) -> RackPlant:
    count = config.cells_in_parallel
    return RackPlant(
        _strings(config, cell, rng)
        if config.one_string_resolved
        else spread_cells(
            cell, config.cells_in_series, config.soc_frac, config.ambient_degc, rng, count, config.module_cells
        ),
        wiring_ohm=WIRING_OHM / count,
        precharge_ohm=config.precharge_ohm,
        bleed_ohm=config.bleed_ohm if config.one_string_resolved else config.bleed_ohm / count,
        fuse_a=config.fuse_a,
        loss=ChargeLoss(config.coulombic_efficiency_frac, config.self_discharge_frac_per_h * cell.capacity_ah),
        plating=Plating(config.plating_frac_per_charge, cell.capacity_ah) if cell.chemistry == "zinc" else None,
        ageing=None if config.ageing is None else Ageing(config.ageing, config.cells_in_series, cell.capacity_ah),
        coolant=None if config.coolant_fmu is None else FmuCoolant(config.coolant_fmu, count),
    )


def _strings(config: PlantConfig, block: CellParameters, rng: np.random.Generator) -> ParallelStrings:
    count = config.cells_in_parallel
    cell = replace(
        block,
        capacity_ah=block.capacity_ah / count,
        resistance_ohm=block.resistance_ohm * count,
        rc_resistance_ohm=block.rc_resistance_ohm * count,
        heat_capacity_j_per_k=block.heat_capacity_j_per_k / count,
    )
    cells = spread_cells(cell, *_given(config), rng, module_cells=config.module_cells)
    return ParallelStrings(cells, one_cell(cell, config.soc_frac, config.ambient_degc), count - 1)


def _given(config: PlantConfig) -> tuple[int, float, float]:
    """Cells, SoC and temperature around which they spread."""
    return config.cells_in_series, config.soc_frac, config.ambient_degc


def build_grid(config: GridConfig, rng: np.random.Generator) -> Grid:
    """ValueError if something that the kind uses is missing; LoadFileError for what is wrong in a file."""
    return Grid(_grid_source(config), config.nominal_hz, config.noise, rng)


def _grid_source(config: GridConfig) -> GridSource:
    if config.kind == "constant":
        return constant_grid(config.frequency_hz or config.nominal_hz, config.voltage_pu)
    if config.kind == "points":
        time_s, frequency_hz, voltage_pu = np.array(config.points, np.float64).reshape(-1, 3).T
        told = GridProfile(time_s, frequency_hz, voltage_pu)
        return told if config.network is None else Generator(told, config.network, *config.machine_s)
    if config.kind == "file" and config.path is not None:
        columns = read_columns(config.path, ("frequency_hz",), config.run, optional=("voltage_pu",))
        time_s = columns["time_s"] - columns["time_s"][0]
        return GridProfile(time_s, columns["frequency_hz"], columns.get("voltage_pu", np.ones(len(time_s))))
    if config.kind == "fmu" and config.path is not None:
        return FmuGrid(config.path)
    if config.kind == "network" and config.network is not None:
        return Network(config.network, config.nominal_hz)
    missing = "its parameters" if config.kind == "network" else "a path"
    raise ValueError(f"a grid of kind {config.kind} needs {missing}")


def build_load(config: LoadConfig, rng: np.random.Generator) -> Load:
    """ValueError if the kind is unknown or one of a file has no path; LoadFileError for what is wrong in the file."""
    if config.kind == "ai-training":
        return AiTrainingLoad(config.rated_power_w * config.scale, rng, config.smoothing, config.jitter)
    if config.kind == "constant":
        return ConstantLoad(config.rated_power_w * config.scale)
    if config.kind in DAY_LOADS:
        return DAY_LOADS[config.kind](config.rated_power_w * config.scale, rng, config.start_s)
    if config.kind in ("file", "fmu"):
        if config.path is None:
            raise ValueError(f"a load of kind {config.kind} needs a path")
        if config.kind == "fmu":
            return FmuLoad(config.path, config.rated_power_w, config.scale)
        return load_profile(config.path, config.scale, config.run)
    raise ValueError(f"unknown kind of load {config.kind!r}, expected ai-training, constant, file, fmu or a day's")


def build_pv(config: PvConfig, nominal_hz: float, rng: np.random.Generator) -> PvPlant:
    """ValueError if a file or FMU has no path; LoadFileError for what is wrong in the file."""
    if config.kind == "clear-sky":
        source: Load = ClearSky(
            config.rated_power_w,
            config.latitude_deg,
            config.day_of_year,
            config.start_s,
            config.performance_frac,
            config.clouds,
            rng,
        )
    elif config.path is None:
        raise ValueError(f"PV of kind {config.kind} needs a path")
    elif config.kind == "fmu":
        source = FmuLoad(config.path, inf, config.scale)  # the inverter limits what it offers
    else:
        source = load_profile(config.path, config.scale, config.run)
    return PvPlant(source, config.rated_power_w, nominal_hz)
