"""Start-up check of the installation: our four packages must come from one place, with compiled kernels."""

import importlib.util
import sys
from pathlib import Path


def require_siblings() -> None:
    """End the program with one clear line (exit status 2) when another package shadows one of ours (PyPI has a
    `kernels` of its own) or the compiled kernels are missing."""
    home = Path(__file__).resolve().parents[1]
    for name in ("drivers", "kernels"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if found != home:
            sys.exit(_refuse(f"package {name!r} comes from {found}, expected {home}: use a venv of its own"))
    from kernels.loaded import require_compiled

    try:
        require_compiled()
    except ImportError as error:
        sys.exit(_refuse(str(error)))


def _refuse(what: str) -> int:
    print(f"cellward: {what}", file=sys.stderr)
    return 2
