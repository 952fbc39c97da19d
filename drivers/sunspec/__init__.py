"""SunSpec information models as data: where a point is, how it is scaled, and which models a device serves."""

from drivers.sunspec.discover import DeviceMap, ModelAddress, discover
from drivers.sunspec.layout import ModelLayout, Point, SunSpecError, load_layout
from drivers.sunspec.model import MappedModel, open_model
from drivers.sunspec.points import Value

__all__ = [
    "DeviceMap",
    "MappedModel",
    "ModelAddress",
    "ModelLayout",
    "Point",
    "SunSpecError",
    "Value",
    "discover",
    "load_layout",
    "open_model",
]
