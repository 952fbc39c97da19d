"""docs/site-file.md says for every setting what the model says: name, what it takes, default, meaning, source."""

from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bms.fleet.settings import Fleet, FleetUnit
from bms.site import (
    AuxiliaryDevice,
    Balancing,
    BatteryBus,
    CanBus,
    ContactorBlock,
    Controller,
    ConverterLoop,
    CurrentSensor,
    FastLane,
    FaultSetting,
    FoxBms,
    GridMeterDevice,
    InsulationMonitor,
    IntertieDevice,
    InverterDevice,
    Island,
    Limits,
    LoadBlock,
    Precharge,
    PvInverterDevice,
    Rack,
    Safety,
    SerialPort,
    Site,
    Tls,
)
from bms.site.applications import APPLICATIONS
from bms.site.limits import OTHER_CHEMISTRIES
from bms.site.links import ModbusDevice
from bms.site.mapping import (
    MappedCommand,
    MappedConstant,
    MappedCurrent,
    MappedFeedback,
    MappedTemperatures,
    MappedVoltage,
    MappedVoltages,
    MappingFile,
)
from bms.site.north import Http, ModbusServer, Mqtt, MqttTls, North
from bms.site.own_function import CurvePoint, OwnFunction
from drivers.config.config_yaml import parse_strict
from drivers.config.settings_schema import expected

APPLICATION_PAGE = (Path(__file__).parents[2] / "docs" / "applications.md").read_text(encoding="utf-8")
APPLICATION_FIELDS = [
    (kind, name, field)
    for kind, application in APPLICATIONS.items()
    for name, field in application.settings.model_fields.items()
]
MAPPING_PAGE = (Path(__file__).parents[2] / "docs" / "mapping-file.md").read_text(encoding="utf-8")
MAPPING_MODELS = [MappingFile, MappedVoltages, MappedTemperatures, MappedCurrent, MappedVoltage, MappedFeedback,
                  MappedCommand, MappedConstant]  # fmt: skip
MAPPED = [(model, name, field) for model in MAPPING_MODELS for name, field in model.model_fields.items()]
FLEET_PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
FLEET_FIELDS = [
    (name, field)
    for model in (Fleet, FleetUnit)
    for name, field in model.model_fields.items()
    if name not in ModbusDevice.model_fields
]
PAGE = (Path(__file__).parents[2] / "docs" / "site-file.md").read_text(encoding="utf-8")
MODELS = [Site, AuxiliaryDevice, ContactorBlock, Rack, FoxBms, CurrentSensor, InsulationMonitor, CanBus, InverterDevice,
          GridMeterDevice, BatteryBus, IntertieDevice, Island, LoadBlock, Controller, Limits, Safety, FaultSetting,
          Precharge, Balancing, Tls,
          OwnFunction, CurvePoint, SerialPort, FastLane, ConverterLoop, PvInverterDevice]  # fmt: skip
NORTH_PAGE = (Path(__file__).parents[2] / "docs" / "north.md").read_text(encoding="utf-8")
NORTH_MODELS = {
    North: "north", ModbusServer: "north.modbus", Mqtt: "north.mqtt", MqttTls: "north.mqtt.tls", Http: "north.http",
}  # fmt: skip
NORTH_FIELDS = [(model, name, field) for model in NORTH_MODELS for name, field in model.model_fields.items()]
FIELDS = [(model, name, field) for model in MODELS for name, field in model.model_fields.items()]


def row(name: str, field: FieldInfo) -> str:
    """The row of one setting in the page's tables."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    cells = [f"`{name}`", expected(field.annotation, field), default(field), str(field.description)]
    return "| " + " | ".join([*cells, str(extra["source"])]) + " |"


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel) or field.default in (None, ()):
        return "its defaults" if isinstance(field.default, BaseModel) else "none"
    return f"`{field.default}`"


@pytest.mark.parametrize(
    ("model", "name", "field"), FIELDS, ids=[f"{model.__name__}.{name}" for model, name, _ in FIELDS]
)
def test_setting_is_on_the_page(model: type[BaseModel], name: str, field: FieldInfo) -> None:
    assert row(name, field) in PAGE


@pytest.mark.parametrize(
    ("model", "name", "field"), MAPPED, ids=[f"{model.__name__}.{name}" for model, name, _ in MAPPED]
)
def test_setting_of_a_mapping_is_on_its_page(model: type[BaseModel], name: str, field: FieldInfo) -> None:
    assert row(name, field) in MAPPING_PAGE


@pytest.mark.parametrize(("model", "name", "field"), NORTH_FIELDS)
def test_setting_of_the_north_side_is_in_its_section(model: type[BaseModel], name: str, field: FieldInfo) -> None:
    section = NORTH_PAGE.split(f"\n### `{NORTH_MODELS[model]}`\n")[1].split("\n#")[0]
    assert row(name, field) in section


def test_example_of_the_north_side_is_valid() -> None:
    example = NORTH_PAGE.split("```yaml\nnorth:\n")[1].split("```")[0]
    parse_strict(example, North, file="north.yaml", folder=Path("/"))


@pytest.mark.parametrize(("kind", "name", "field"), APPLICATION_FIELDS)
def test_setting_of_an_application_is_in_its_section(kind: str, name: str, field: FieldInfo) -> None:
    section = APPLICATION_PAGE.split(f"\n## `{kind}`\n")[1].split("\n## ")[0]
    assert row(name, field) in section


@pytest.mark.parametrize(("name", "field"), FLEET_FIELDS)
def test_setting_of_a_fleet_is_on_its_page(name: str, field: FieldInfo) -> None:
    assert row(name, field) in FLEET_PAGE


def test_example_of_a_fleet_is_valid() -> None:
    example = FLEET_PAGE.split("```yaml\n")[1].split("```")[0]
    assert len(parse_strict(example, Fleet, file="fleet.yaml", folder=Path("/")).units) == 2


@pytest.mark.parametrize("chemistry", sorted(OTHER_CHEMISTRIES))
def test_chemistry_is_on_the_page(chemistry: str) -> None:
    values = ", ".join(f"`{name}` {value:g}" for name, value in OTHER_CHEMISTRIES[chemistry].items())
    assert f"- `{chemistry}`: {values}." in PAGE


def test_example_on_the_page_is_a_valid_site() -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    assert parse_strict(example, Site, file="site.yaml", folder=Path("/")).cells == 832
