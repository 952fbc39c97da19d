"""A rig and its controller as processes, with the north side open on free ports, for peers of others."""

import re
import signal
import socket
from pathlib import Path

from tests.e2e.processes import BMS, Process, Rig

APPLICATIONS = """applications:
- {kind: remote-power, charge_power_w_max: 100e+3, discharge_power_w_max: 80e+3}
- {kind: signal-following, product: agc, signal: agc_w, unit: W, discharge_power_w: 20e+3}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NorthSite:
    """`hil serve demo` and `bms run`, whose site file has `north` as its last part; running once made."""

    def __init__(self, folder: Path, north: str) -> None:
        self.file = folder / "site.yaml"
        self.rig = Rig(self.file)
        text = re.sub(r"applications:\n(?:[ -].*\n)+", APPLICATIONS, self.file.read_text())
        self.file.write_text(f"{text}north:\n{north}")
        self.controller = Process(*BMS, "run", str(self.file), "--plain")
        self.controller.until("running")

    def end(self) -> int:
        """In order; both are gone after it. The controller's exit status."""
        try:
            return self.controller.end(signal.SIGINT)
        finally:
            self.controller.kill()
            self.rig.kill()
