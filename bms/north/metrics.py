"""The status as Prometheus metrics (text format 0.0.4): each number under its own name, and each fault.

Source: Prometheus documentation, exposition formats.
"""

from collections.abc import Iterator, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS = {
    "overruns": "ticks that began late because one took too long",
    "frames": "CAN frames of the racks, rejected ones too",
    "frames_lost": "CAN frames rejected, or missed by their counters",
    "transactions": "Modbus transactions answered",
    "transactions_lost": "Modbus transactions unanswered or failed",
}
GAUGES = {
    "time_s": "time since the controller started, s",
    "grid_power_w": "grid power, W, import positive",
    "load_power_w": "load, W, consumption positive",
    "battery_power_w": "battery power, W, discharge positive",
    "requested_power_w": "what the applications asked of the battery, W, discharge positive",
    "sent_power_w": "what the converter was told, W, discharge positive",
    "charge_power_w_limit": "charge power allowed, W, magnitude",
    "discharge_power_w_limit": "discharge power allowed, W, magnitude",
    "soc_frac_min": "lowest estimated state of charge of all cells, 0 to 1",
    "soc_frac_mean": "mean estimated state of charge of all cells, 0 to 1",
    "soc_frac_max": "highest estimated state of charge of all cells, 0 to 1",
    "soc_sigma_frac_max": "largest standard deviation of an estimate, 0 to 1",
    "cell_voltage_v_min": "lowest cell voltage, V",
    "cell_voltage_v_max": "highest cell voltage, V",
    "cell_temperature_degc_min": "lowest cell temperature, degrees Celsius",
    "cell_temperature_degc_max": "highest cell temperature, degrees Celsius",
    "cells_bleeding": "cells that bleed",
    "tick_ms_p50": "computing time of a tick, median of the last ones, ms",
    "tick_ms_p99": "computing time of a tick, 99th percentile of the last ones, ms",
}


def metrics_text(status: Mapping[str, Any] | None) -> str:
    """Unknown numbers have no line. Without a status only `cellward_up` 0."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Mapping[str, Any] | None) -> Iterator[str]:
    yield from _head("up", "gauge", "1 = the controller says its status")
    if status is None:
        yield "cellward_up 0"
        return
    site = _quoted(status["site"])
    yield f"cellward_up{{site={site}}} 1"
    for name, meaning in COUNTERS.items():
        yield from _head(f"{name}_total", "counter", f"{meaning}, since the start")
        yield f"cellward_{name}_total{{site={site}}} {status[name]}"
    for name, meaning in GAUGES.items():
        if status[name] is not None:
            yield from _head(name, "gauge", meaning)
            yield f"cellward_{name}{{site={site}}} {status[name]!r}"
    yield from _head("mode", "gauge", "1 for the battery's mode")
    yield f"cellward_mode{{site={site},mode={_quoted(status['mode'])}}} 1"
    yield from _head("faults", "gauge", "active faults")
    yield f"cellward_faults{{site={site}}} {len(status['faults'])}"
    yield from _head("fault", "gauge", "1 for each active fault")
    for fault in sorted({text.partition(":")[0] for text in status["faults"]}):
        name, _, target = fault.partition(" (")
        yield f"cellward_fault{{site={site},fault={_quoted(name)},target={_quoted(target)}}} 1"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP cellward_{name} {meaning}"
    yield f"# TYPE cellward_{name} {kind}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
