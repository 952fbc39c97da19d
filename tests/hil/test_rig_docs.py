"""docs/rig-file.md says of every key of a rig file what the model says: name, what it takes, default and meaning."""

from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from drivers.config.config_yaml import parse_strict
from hil_rigs.grid_spec import (
    Generator,
    GridFile,
    GridFmu,
    GridPoint,
    GridPoints,
    LoadStep,
    NoiseSpec,
    SmallNetwork,
    SteadyGrid,
)
from hil_rigs.load_spec import (
    AiInference,
    AiTraining,
    ConstantPower,
    Factory,
    GpuSmoothingSpec,
    Home,
    Industry,
    LoadFile,
    LoadFmu,
)
from hil_rigs.pv_spec import ClearSkyPv, CloudsSpec, PvFile, PvFmu
from hil_rigs.rig import AgeingSpec, AuxiliarySpec, PartFmu, PlantSpec, RigFile, list_rigs
from tests.bms.test_site_docs import row

PAGE = (Path(__file__).parents[2] / "docs" / "rig-file.md").read_text(encoding="utf-8")
MODELS: list[type[BaseModel]] = [
    AgeingSpec, AuxiliarySpec,
    RigFile, PlantSpec, SteadyGrid, GridPoints, GridPoint, Generator, GridFile, SmallNetwork, LoadStep, NoiseSpec,
    AiTraining, GpuSmoothingSpec, ConstantPower, AiInference, Industry, Factory, Home, LoadFile, ClearSkyPv,
    CloudsSpec, PvFile, LoadFmu, GridFmu, PvFmu, PartFmu,
]  # fmt: skip
FIELDS = [(model, name, field) for model in MODELS for name, field in model.model_fields.items()]


@pytest.mark.parametrize(
    ("model", "name", "field"), FIELDS, ids=[f"{model.__name__}.{name}" for model, name, _ in FIELDS]
)
def test_key_is_on_the_page(model: type[BaseModel], name: str, field: FieldInfo) -> None:
    assert row(name, field) in PAGE


def test_example_on_the_page_is_a_rig_file() -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    rig = parse_strict(example, RigFile, file="mine.yaml", folder=Path("/"))
    assert (rig.name, rig.pv is not None, rig.grid.nominal_hz) == ("my-roof", True, 50)


def test_every_shipped_rig_is_on_the_page() -> None:
    for rig in list_rigs():
        assert f"| `{rig.name}` | {rig.says} |" in PAGE
