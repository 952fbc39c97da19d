"""docs/profiles.md says for every setting of a profile what the model says, and its example is a right profile."""

import textwrap
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from drivers.config.config_yaml import parse_strict
from drivers.profiles import Profile, shipped_profiles
from drivers.profiles.maps import AlarmMap, StateMap
from drivers.profiles.parts import FixedRating, Listens, Reverts, Step
from drivers.profiles.registers import Register
from tests.bms.test_site_docs import row

PAGE = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
MODELS = [Profile, Register, StateMap, AlarmMap, FixedRating, Reverts, Listens, Step]
FIELDS = [(model, name, field) for model in MODELS for name, field in model.model_fields.items()]


@pytest.mark.parametrize(("model", "name", "field"), FIELDS, ids=[f"{each[0].__name__}.{each[1]}" for each in FIELDS])
def test_setting_is_on_the_page(model: type, name: str, field: FieldInfo) -> None:
    assert row(name, field) in PAGE


def test_example_on_the_page_is_a_right_profile() -> None:
    example = textwrap.dedent(PAGE.split("```yaml\n")[1].split("```")[0])
    assert parse_strict(example, Profile, file="my-pcs.yaml", folder=Path()).name == "my-pcs"


def test_shipped_profiles_are_on_the_page() -> None:
    for profile in shipped_profiles():
        assert f"| `{profile.name}` | {profile.says} |" in PAGE
