"""Builds a plant from plain data, so that a rig file can describe one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from hil_rigs.plant.ai_load import AiJitter, AiTrainingLoad, GpuSmoothing
from hil_rigs.plant.converter import ConverterPlant, parameters_for_link
from hil_rigs.plant.fmu_load import FmuLoad
from hil_rigs.plant.load import ConstantLoad, Load, load_profile
from hil_rigs.plant.rack import RackPlant
from hil_rigs.plant.site import Plant
from hil_rigs.plant.spread import spread_cells
from kernels.parameters import load_cell

NOMINAL_SOC_FRAC = 0.1
"""Where the open-circuit voltage is a cell's nominal voltage, good enough to choose a converter by."""


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """`ai-training` uses `rated_power_w`, `smoothing`, `jitter`; `constant` uses `rated_power_w`; `file` uses `path`
    and `run`; `fmu` uses `path`, and `rated_power_w` as the most that it may say. `scale` multiplies all of them."""

    kind: Literal["ai-training", "constant", "file", "fmu"] = "ai-training"
    rated_power_w: float = 1.5e6
    scale: float = 1.0
    smoothing: GpuSmoothing | None = None
    jitter: AiJitter = field(default_factory=AiJitter)
    path: Path | None = None
    run: int | None = None


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """Racks of `cells_in_series` cells on one converter of `rated_power_w`. Same seed, same plant."""

    racks: int = 2
    cells_in_series: int = 416
    cell: str = "lfp-280ah"
    soc_frac: float = 0.55
    rated_power_w: float = 500e3
    ambient_degc: float = 25.0
    fuse_a: float = 500.0
    load: LoadConfig = field(default_factory=LoadConfig)
    seed: int = 1

    def __post_init__(self) -> None:
        if self.racks < 1 or self.cells_in_series < 1:
            raise ValueError(f"needs racks and cells, got {self.racks} racks of {self.cells_in_series} cells")
        if not 0 <= self.soc_frac <= 1:
            raise ValueError(f"soc_frac must be within 0..1, got {self.soc_frac}")


def build_plant(config: PlantConfig) -> Plant:
    """The plant at rest: contactors open, link empty, converter off. Errors of cell and load files pass through."""
    parameters = load_cell(config.cell)
    load_seed, *rack_seeds = np.random.SeedSequence(config.seed).spawn(1 + config.racks)
    racks = [
        RackPlant(
            spread_cells(
                parameters,
                config.cells_in_series,
                config.soc_frac,
                config.ambient_degc,
                np.random.default_rng(seed),
            ),
            fuse_a=config.fuse_a,
        )
        for seed in rack_seeds
    ]
    cell_nominal_v = float(np.interp(NOMINAL_SOC_FRAC, np.linspace(0, 1, len(parameters.ocv_v)), parameters.ocv_v))
    converter = ConverterPlant(parameters_for_link(config.cells_in_series * cell_nominal_v, config.rated_power_w))
    return Plant(racks, converter, build_load(config.load, np.random.default_rng(load_seed)), config.ambient_degc)


def build_load(config: LoadConfig, rng: np.random.Generator) -> Load:
    """ValueError if the kind is unknown or one of a file has no path; LoadFileError for what is wrong in the file."""
    if config.kind == "ai-training":
        return AiTrainingLoad(config.rated_power_w * config.scale, rng, config.smoothing, config.jitter)
    if config.kind == "constant":
        return ConstantLoad(config.rated_power_w * config.scale)
    if config.kind in ("file", "fmu"):
        if config.path is None:
            raise ValueError(f"a load of kind {config.kind} needs a path")
        if config.kind == "fmu":
            return FmuLoad(config.path, config.rated_power_w, config.scale)
        return load_profile(config.path, config.scale, config.run)
    raise ValueError(f"unknown kind of load {config.kind!r}, expected ai-training, constant, file or fmu")
