"""One file for each application: its settings, its class and an `APPLICATION` that joins them. A file that is put here
is found by itself; a broken one stops the import with a word."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import Application


@dataclass(frozen=True, slots=True)
class ApplicationKind:
    """An application: the class of its settings, and what makes it from them. `holds_grid`: it tells a fast lane which
    grid power to hold."""

    settings: type[ApplicationSettings]
    make: Callable[[Any], Application]
    holds_grid: bool = False

    @property
    def kind(self) -> str:
        """The word for it in a site file."""
        return str(get_args(self.settings.model_fields["kind"].annotation)[0])


def discover() -> dict[str, ApplicationKind]:
    """Every application by its kind. RuntimeError names a file without one, or with a kind that is taken."""
    found: dict[str, ApplicationKind] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        name = f"{__name__}.{module.name}"
        application = getattr(importlib.import_module(name), "APPLICATION", None)
        if not isinstance(application, ApplicationKind):
            raise RuntimeError(f"{name}: expected APPLICATION = ApplicationKind(settings, make)")
        if application.kind in found:
            raise RuntimeError(f"{name}: kind {application.kind!r} is taken")
        found[application.kind] = application
    return found
