"""The command that ends a latched fault, as people can copy it."""

import shlex
import shutil
import sys
from pathlib import Path


class ResetWords:
    """Of one site file and folder of the state (None = that of the file), both as the controller was given them."""

    def __init__(self, site: Path, state: Path | None) -> None:
        self._words = [_bms(), "reset", str(site)]
        self._state = [] if state is None else ["--state", str(state)]

    def of(self, fault_id: str, target: str) -> str:
        """For this fault, as a shell takes it."""
        return shlex.join([*self._words, fault_id, "--target", target, *self._state])


def _bms() -> str:
    """With its folder where a shell would not find it, or find another one."""
    own, found = Path(sys.executable).parent / "bms", shutil.which("bms")
    if not own.exists() or (found is not None and Path(found).samefile(own)):
        return "bms"
    return str(own)
