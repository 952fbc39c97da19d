"""One file for each service, with a `SERVICE`. A file that is put here is found by itself; a broken one stops the
import with a word."""

import importlib
import pkgutil

from hil_rigs.comply.service import Service


def services() -> dict[str, Service]:
    """Every service by its name. RuntimeError names a file without one, or with a name that is taken."""
    found: dict[str, Service] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        name = f"{__name__}.{module.name}"
        service = getattr(importlib.import_module(name), "SERVICE", None)
        if not isinstance(service, Service):
            raise RuntimeError(f"{name}: expected SERVICE = Service(...)")
        if service.name in found:
            raise RuntimeError(f"{name}: service {service.name!r} is taken")
        found[service.name] = service
    return dict(sorted(found.items()))
