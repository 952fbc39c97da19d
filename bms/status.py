"""A small picture of the running controller for people: the live screen, plain lines and scripts."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """One moment of the controller. NaN means not known."""

    time_s: float
    site: str
    mode: str
    rack_modes: dict[str, str]
    grid_power_w: float
    load_power_w: float
    battery_power_w: float
    requested_power_w: float
    sent_power_w: float
    clipped_by: str
    clip_reason: str
    soc_frac_min: float
    soc_frac_mean: float
    soc_frac_max: float
    soc_sigma_frac_max: float
    cell_voltage_v_min: float
    cell_voltage_v_max: float
    cell_temperature_degc_min: float
    cell_temperature_degc_max: float
    cells_bleeding: int
    balance_reason: str
    charge_power_w_limit: float
    discharge_power_w_limit: float
    charge_reason: str
    discharge_reason: str
    faults: list[str]
    """The worst first, by what they do."""
    state_fault: str
    """Why the state is not saved; empty = it is."""
    tick_ms_p50: float
    tick_ms_p99: float
    overruns: int
    frames: int
    frames_lost: int
    transactions: int
    transactions_lost: int
    smoothing_way: str = ""
    """Who smooths the grid's power; empty = nobody."""
    lane_age_ms: float = float("nan")
    lane_jitter_ms: float = float("nan")
    load_range_w_5s: float = float("nan")
    grid_range_w_5s: float = float("nan")
    strip: str = ""
    """Which racks are out for their strip, and which waits why; empty = none."""
    told: str = ""
    """Inputs that hold and who told them, as `power_w=50000:modbus`, joined by commas."""
    north_fault: str = ""
    """What is wrong with the broker or port that others reach the site by; empty = nothing."""
    record_fault: str = ""
    """Why rows of the record are lost; empty = none is, or nobody records."""


def status_document(status: Status) -> dict[str, Any]:
    """As JSON has it, which knows no NaN: what is not known is None."""
    return {name: _json_value(value) for name, value in asdict(status).items()}


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
