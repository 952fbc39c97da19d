"""The commands as child processes, for tests that kill, cut and stop them."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pyModbusTCP.client import ModbusClient

from bms.state.files import StateFiles
from bms.state.saved import SavedState, find_state

HIL = [sys.executable, "-m", "hil_rigs.cli"]
BMS = [sys.executable, "-m", "bms.cli"]
MODEL_701_W = 40000 + 2 + 68 + 10
"""Register of W: after the SunS marker and model 1 (68 registers), the tenth of model 701."""


class Process:
    """A child whose output is read line by line within a bound."""

    def __init__(self, *command: str) -> None:
        self.child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, start_new_session=True
        )
        self.lines: list[str] = []
        self._rest = b""

    def until(self, pattern: str, within_s: float = 40.0) -> str:
        """The first new line that matches; fails when none came in time."""
        end_s = time.monotonic() + within_s
        while (left_s := end_s - time.monotonic()) > 0:
            line = self._line(left_s)
            if line is not None and re.search(pattern, line):
                return line
        raise AssertionError(f"no line matching {pattern!r} within {within_s} s:\n" + "\n".join(self.lines))

    def end(self, number: int, within_s: float = 30.0) -> int:
        """Send a signal and return the exit status."""
        self.child.send_signal(number)
        return self.status(within_s)

    def status(self, within_s: float = 60.0) -> int:
        assert self.child.stdout is not None
        output, _ = self.child.communicate(timeout=within_s)
        self.lines += (self._rest + output).decode().splitlines()
        return self.child.returncode

    def _line(self, within_s: float) -> str | None:
        assert self.child.stdout is not None
        if b"\n" not in self._rest:
            ready, _, _ = select.select([self.child.stdout], [], [], within_s)
            data = os.read(self.child.stdout.fileno(), 65536) if ready else b""
            if not data and self.child.poll() is not None:
                raise AssertionError("ended early:\n" + "\n".join(self.lines))
            self._rest += data
        if b"\n" not in self._rest:
            return None
        line, self._rest = self._rest.split(b"\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def kill(self) -> None:
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        if self.child.stdout is not None and not self.child.stdout.closed:
            self.child.communicate()


class Rig(Process):
    """`hil serve demo`, ready, with the site file written."""

    def __init__(self, site: Path, *options: str) -> None:
        super().__init__(*HIL, "serve", "demo", "--write-site", str(site), *options)
        line = self.until("^inverter modbus tcp ")
        self.inverter_port = int(line.split()[3].split(":")[1])
        self.until("^ready$")

    def battery_w(self) -> float:
        """The converter's AC power as an independent client reads it (steps of 100 W)."""
        client = ModbusClient("127.0.0.1", self.inverter_port, unit_id=1, timeout=2.0, auto_open=True, auto_close=True)
        registers = client.read_holding_registers(MODEL_701_W, 1)
        assert registers is not None
        return float(registers[0] - 0x10000 if registers[0] >= 0x8000 else registers[0]) * 100.0


def wait_for_power(rig: Rig, above_w: float = 20e3, within_s: float = 60.0) -> None:
    end_s = time.monotonic() + within_s
    while abs(rig.battery_w()) < above_w:
        assert time.monotonic() < end_s, "no power flowed"
        time.sleep(0.05)


def saved(files: StateFiles) -> SavedState:
    """What the files say, which they do at every moment."""
    found = find_state(files)
    assert found.refusals == ()
    assert found.document is not None
    return found.document


def wait_until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.02)
