"""The installation: which version it is, and its check at the start: our four packages from one place, with compiled
kernels."""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any


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


def add_version(parser: argparse.ArgumentParser) -> None:
    """`--version`: the distribution's name and version, as its metadata says."""
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")


def program() -> str:
    """The distribution's name and version, as its metadata says."""
    from importlib.metadata import version

    return f"cellward {version('cellward')}"


class _Version(argparse.Action):
    """Looks only when asked: the metadata takes longer than the rest of the command line."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(program())
        parser.exit()


def _refuse(what: str) -> int:
    print(f"cellward: {what}", file=sys.stderr)
    return 2
