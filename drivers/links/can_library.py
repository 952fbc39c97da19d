"""python-can and cantools as everybody here imports them: without python-can's MDF4 log files, which nobody here uses
and which would bring asammdf and pandas into every start (a third of a second)."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _absent(package: str) -> Iterator[None]:
    """Inside, importing this package fails as if it were not installed; one that is loaded already stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with _absent("asammdf"):
    import can
    import cantools
    from can.interfaces import VALID_INTERFACES
    from cantools.database.can import Database, Message, Signal
    from cantools.database.errors import Error as DbcError

__all__ = ["VALID_INTERFACES", "Database", "DbcError", "Message", "Signal", "can", "cantools"]
