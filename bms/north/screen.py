"""The live terminal screen: its own process, fed one JSON status a line, so that drawing never delays a tick."""

import json
import math
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bms.priority import step_back

WIDE_COLUMNS = 110
RESETS_MAX = 3
"""So many commands are shown; all of them are in `bms status`."""

MODE_STYLES = {
    "running": "bold green",
    "fault": "bold white on red",
    "stopping": "bold yellow",
    "maintenance": "bold yellow",
}


def main() -> None:
    """Draw until standard input ends. Signals from the terminal are the controller's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step_back()
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it draws from a background process group: the shell's is in front
    console = Console()
    with _without_control_echo(), Live(console=console, auto_refresh=False, transient=False) as live:
        for line in sys.stdin:
            live.update(picture(json.loads(line), console.width, "Ctrl-C stops safely"), refresh=True)


@contextmanager
def _without_control_echo() -> Iterator[None]:
    """The terminal prints ^C where the cursor stands, which would shift the picture by a line."""
    if not sys.stdout.isatty():
        yield
        return
    terminal = sys.stdout.fileno()
    before = termios.tcgetattr(terminal)
    changed = [*before]
    changed[3] &= ~termios.ECHOCTL
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def picture(status: dict[str, Any], width: int, hint: str = "") -> Group:
    """One frame of the screen, with a hint at its end; below WIDE_COLUMNS the two halves stand one above the other."""
    title = f"cellward  {status['site']}   {status['time_s']:.1f} s"
    mode = Text(f" {status['mode'].upper()} ", style=MODE_STYLES.get(status["mode"], "bold"))
    parts = [
        mode,
        _beside(_powers(status), _cells(status), width),
        _faults(status),
        *_state(status),
        _footer(status, hint),
    ]
    return Group(Panel(Group(*parts), title=title), *_resets(status))


def _beside(left: Table, right: Table, width: int) -> Group | Table:
    if width < WIDE_COLUMNS:
        return Group(left, right)
    body = Table.grid(padding=(0, 3), expand=True)
    body.add_column()
    body.add_column()
    body.add_row(left, right)
    return body


def _powers(status: dict[str, Any]) -> Table:
    table = _table("Power")
    table.add_row("grid", _kw(status["grid_power_w"]), "import +")
    table.add_row("load", _kw(status["load_power_w"]), "consumption +")
    table.add_row("battery", _kw(status["battery_power_w"]), "discharge +")
    table.add_row("set-point", _kw(status["sent_power_w"]), _clip(status))
    table.add_row("may charge", _kw(status["charge_power_w_limit"]), status["charge_reason"])
    table.add_row("may discharge", _kw(status["discharge_power_w_limit"]), status["discharge_reason"])
    if status.get("told"):
        table.add_row("inputs", "", status["told"])
    if status.get("smoothing_way"):
        table.add_row("range in 5 s", _kw(status["grid_range_w_5s"]), _smoothing(status))
    return table


def _cells(status: dict[str, Any]) -> Table:
    table = _table("Cells")
    low, mean, high = (status[f"soc_frac_{which}"] for which in ("min", "mean", "max"))
    table.add_row("SoC", f"{100 * low:.1f} / {100 * mean:.1f} / {100 * high:.1f} %", "min / mean / max")
    table.add_row("SoC sigma", f"{100 * status['soc_sigma_frac_max']:.1f} %", "least certain cell")
    low_v, high_v = status["cell_voltage_v_min"], status["cell_voltage_v_max"]
    table.add_row("voltage", f"{low_v:.3f} - {high_v:.3f} V", f"spread {1e3 * (high_v - low_v):.0f} mV")
    cold, hot = status["cell_temperature_degc_min"], status["cell_temperature_degc_max"]
    table.add_row("temperature", f"{cold:.1f} - {hot:.1f} °C", "")
    table.add_row("bleeding", f"{status['cells_bleeding']} cells", status["balance_reason"])
    racks = ", ".join(f"{name} {mode}" for name, mode in status["rack_modes"].items())
    table.add_row("racks", racks, status["strip"])
    return table


def _faults(status: dict[str, Any]) -> Text:
    if not status["faults"]:
        return Text("faults: none", style="dim")
    return Text("faults: " + "; ".join(status["faults"]), style="bold red")


def _resets(status: dict[str, Any]) -> list[Text]:
    """How latched faults end, once their cause is known and gone; outside of the frame, so that it can be copied."""
    return [Text(f"reset: {command}", overflow="fold") for command in status.get("resets", [])[:RESETS_MAX]]


def _state(status: dict[str, Any]) -> list[Text]:
    """Only when nothing is saved, rows of the record are lost, or nobody outside can be reached."""
    said = (("state: ", "state_fault"), ("record: ", "record_fault"), ("", "north_fault"))
    return [Text(f"{what}{status[key]}", style="bold yellow") for what, key in said if status.get(key)]


def _footer(status: dict[str, Any], hint: str) -> Text:
    return Text(
        f"tick p50 {status['tick_ms_p50']:.2f} ms  p99 {status['tick_ms_p99']:.2f} ms  overruns {status['overruns']}   "
        f"CAN frames {status['frames']} (lost {status['frames_lost']})   "
        f"Modbus {status['transactions']} (lost {status['transactions_lost']})   {hint}".rstrip(),
        style="dim",
    )


def plain_line(status: dict[str, Any]) -> str:
    """The same in one line, for logs and pipes."""
    low, mean, high = (_shown(100 * status[f"soc_frac_{which}"], ".1f") for which in ("min", "mean", "max"))
    spread = _shown(1e3 * (status["cell_voltage_v_max"] - status["cell_voltage_v_min"]), ".0f")
    fields = [
        f"{status['time_s']:9.1f} s",
        f"{status['mode']:11s}",
        f"grid {_kw(status['grid_power_w'])}",
        f"load {_kw(status['load_power_w'])}",
        f"battery {_kw(status['battery_power_w'])}",
        f"SoC {low}/{mean}/{high} %",
        f"spread {spread} mV",
        f"clip {_clip(status) or '-'}",
        *([f"inputs {status['told']}"] if status.get("told") else []),
        f"faults {_in_short(status['faults'])}",
        *([f"state {status['state_fault']}"] if status["state_fault"] else []),
        *([f"record {status['record_fault']}"] if status.get("record_fault") else []),
        *([status["north_fault"]] if status.get("north_fault") else []),
        f"tick p99 {status['tick_ms_p99']:.2f} ms",
        f"overruns {status['overruns']}",
    ]
    return "  ".join(fields)


def _in_short(faults: list[str]) -> str:
    """A fault that brings others with it still leaves one line that can be read."""
    if len(faults) < 2:
        return faults[0] if faults else "-"
    return f"{len(faults)}, worst {faults[0]}, all: bms status"


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold cyan", box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim")
    return table


def _shown(value: float, form: str) -> str:
    """A dash for what nobody said yet."""
    return "-" if math.isnan(value) else format(value, form)


def _kw(power_w: float) -> str:
    return "-" if math.isnan(power_w) else f"{round(power_w / 1e3, 1) + 0.0:.1f} kW"  # no -0.0


def _smoothing(status: dict[str, Any]) -> str:
    """Who smooths, from which range of the load, and how well the fast lane keeps its time."""
    text = f"{status['smoothing_way']}; load {_kw(status['load_range_w_5s'])}"
    if math.isnan(status["lane_age_ms"]):
        return text
    return f"{text}; age {status['lane_age_ms']:.1f} ms, jitter {status['lane_jitter_ms']:.1f} ms"


def _clip(status: dict[str, Any]) -> str:
    if not status["clipped_by"]:
        return ""
    return ": ".join(part for part in (status["clipped_by"], status["clip_reason"]) if part)


if __name__ == "__main__":
    main()
