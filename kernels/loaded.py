"""Refuses to start on anything but compiled kernels that belong to this very package: there is no slow fallback."""

from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

COMPILED = ("balance", "bank", "canbits", "cellsim", "limits", "plausible", "rackview", "ramp", "series", "timeline")


def require_compiled() -> None:
    """Raises ImportError with one clear line when a compiled kernel is missing, broken or from another build."""
    for name in COMPILED:
        _require(name)


def _require(name: str) -> None:
    try:
        module = import_module(f"kernels.{name}")
    except ImportError as error:
        raise ImportError(f"kernels.{name}: the compiled kernel cannot be loaded ({error}); {_REMEDY}") from None
    path = Path(module.__file__ or "")
    if not path.name.endswith(tuple(EXTENSION_SUFFIXES)):
        raise ImportError(f"kernels.{name}: {path} is not a compiled extension; {_REMEDY}")
    if path.parent != Path(__file__).parent:
        raise ImportError(f"kernels.{name}: {path} is not beside {Path(__file__).parent}; {_REMEDY}")


_REMEDY = "install cellward into a virtual environment of its own (pip install -e . in a source tree)"
