"""What is saved of a site, as types, and how it is read back."""

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from bms.state.files import Found, StateFiles, StateRefusedError, read

Count = Annotated[int, Field(ge=0)]
Sum = Annotated[float, Field(ge=0)]


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(slots=True)
class RackCounters:
    """Throughput and closings of one rack's contactors since the first start; charge and discharge apart."""

    charged_ah: Sum = 0.0
    discharged_ah: Sum = 0.0
    charged_wh: Sum = 0.0
    discharged_wh: Sum = 0.0
    contactor_closings: Count = 0


@dataclass(frozen=True, slots=True)
class LatchedFault:
    """A fault that stays until it is reset; `since` is wall-clock time, as utc_text gives it."""

    id: str
    target: str
    detail: str
    since: str

    def __str__(self) -> str:
        return f"{self.id} ({self.target}: {self.detail}) since {self.since}"


@dataclass(frozen=True, slots=True)
class SavedState:
    """The document's content. `soc` is what the estimator of each rack wants to find again, None = SoC unknown."""

    saved_at: str
    starts: Count
    trips: dict[str, Count]
    latched: tuple[LatchedFault, ...]
    soc: dict[str, dict[str, Any] | None]
    racks: dict[str, RackCounters]
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each application wants to find again."""


_SAVED = TypeAdapter(SavedState)


def parse_state(document: dict[str, Any]) -> SavedState:
    """StateRefusedError naming the first thing that is wrong."""
    try:
        return _SAVED.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise StateRefusedError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def find_state(files: StateFiles) -> Found[SavedState]:
    """The newest state that can be believed."""
    return read(files, parse_state)
