"""The part of a site file that says what the battery is used for: any application's settings, told apart by `kind`."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bms.dispatch.applications import discover
from bms.dispatch.settings import ApplicationSettings

APPLICATIONS = discover()

if TYPE_CHECKING:
    Application = ApplicationSettings
else:
    _SETTINGS: tuple[Any, ...] = tuple(application.settings for application in APPLICATIONS.values())
    Application = Annotated[reduce(or_, _SETTINGS), Field(discriminator="kind")] if len(_SETTINGS) > 1 else _SETTINGS[0]
