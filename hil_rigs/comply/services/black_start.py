"""Black start of a dark site: electronics on their UPS, racks precharge, the bus is proven dead, the converter forms,
load blocks come in order, the grid is joined in step.

IEEE 1547-2018, table 5, bounds what is joined: 10 deg, 0.1 Hz, 3 %. No standard bounds the order or the time.
"""

import numpy as np

from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.grid_spec import GridPoint, GridPoints
from hil_rigs.rig import RigFile
from hil_rigs.run import Outcome, simulate

BACK_S, BACK_FULL_S = 27.0, 180.0
"""When the grid is there again."""
RETURN_S = 24.0
UNSERVED_S = 0.020
SIGNALS = (
    "contactors_closed", "site_voltage_pu", "load_blocks_closed", "intertie_closed", "critical_low_s", "ups_left_wh",
    "wrong_closings",
)  # fmt: skip
GRID_ALARMS = {"grid_voltage_low", "grid_frequency_low"}
CHECK = "dead bus check"


def judge(order: Order) -> Judged:
    """The deployed controller on the simulated wire; every step at the plant, but for the check, which is its own."""
    back_s = BACK_S if order.short else BACK_FULL_S
    rig = dark_until(order.rig, back_s)
    outcome = simulate(rig, seed=order.seed, duration_s=back_s + RETURN_S, load=order.load, signals=SIGNALS)
    curves, signals = outcome.curves, outcome.signals
    lines = {"grid": curves.grid_power_w, "load": curves.load_power_w, "battery": curves.battery_power_w}
    return Judged(
        rows=[*_steps(rig, outcome), *_bounds(outcome)],
        charts=[
            Chart("power", "W", curves.time_s, lines),
            Chart("voltage", "pu", curves.time_s, {"site": signals["site_voltage_pu"]}),
        ],
    )


def dark_until(rig: RigFile, back_s: float) -> RigFile:
    """The rig with a grid that is gone until then."""
    points = tuple(GridPoint(time_s=time_s, voltage_pu=pu) for time_s, pu in ((0.0, 0.0), (back_s, 0.0), (back_s, 1.0)))
    return rig.model_copy(update={"grid": GridPoints(kind="points", points=points, nominal_hz=rig.grid.nominal_hz)})


def _steps(rig: RigFile, outcome: Outcome) -> list[Row]:
    """One row a step: when, and that it is not before the one above it."""
    signals, blocks = outcome.signals, ["critical"]
    if rig.microgrid is not None:
        blocks += [block.name for block in rig.microgrid.blocks]
    closed = signals["load_blocks_closed"].astype(int)
    steps = [
        ("rack on the DC link", _first(outcome, signals["contactors_closed"] > 0)),
        ("dead-bus check, at least 1 s", _check_s(outcome)),
        ("converter makes the voltage", _first(outcome, signals["site_voltage_pu"] > 0.9)),
        *((f"block {name} closed", _first(outcome, closed >> bit & 1 == 1)) for bit, name in enumerate(blocks)),
        ("grid joined", _first(outcome, signals["intertie_closed"] == 1.0)),
    ]
    rows, before_s = [], 0.0
    for name, at_s in steps:
        measured = "never" if np.isnan(at_s) else f"at {at_s:.2f} s"
        rows.append(Row(name, f"after {before_s:.2f} s", measured, bool(at_s >= before_s)))
        before_s = at_s
    return rows


def _bounds(outcome: Outcome) -> list[Row]:
    signals, time_s = outcome.signals, outcome.curves.time_s
    served_s = _first(outcome, (signals["load_blocks_closed"].astype(int) & 1 == 1))
    after = time_s > served_s
    low_s = float(signals["critical_low_s"][after].max(initial=0.0)) if after.any() else np.inf
    dead = signals["site_voltage_pu"] < 0.9
    early = int(np.count_nonzero(dead & (signals["load_blocks_closed"] > 0)))
    wrong, left_wh = float(signals["wrong_closings"][-1]), float(signals["ups_left_wh"].min())
    named = sorted({trip.fault_id for trip in outcome.trips})
    return [
        Row("blocks closed without voltage", "never", f"{early * 10} ms", early == 0),
        Row("critical load below 0.9 pu once it is served", f"<= {UNSERVED_S * 1e3:.0f} ms", f"{low_s * 1e3:.0f} ms",
            low_s <= UNSERVED_S),
        Row("joined outside 10 deg, 0.1 Hz, 3 %", "never", f"{wrong:.0f} times", wrong == 0),
        Row("UPS of the electronics", "> 0 Wh left", f"{left_wh:.0f} Wh", left_wh > 0.0),
        Row("faults named", "the grid's only", ", ".join(named) or "none", set(named) <= GRID_ALARMS),
    ]  # fmt: skip


def _first(outcome: Outcome, true: np.ndarray) -> float:
    """When it was true first; NaN = never."""
    return float(outcome.curves.time_s[int(true.argmax())]) if true.any() else np.nan


def _check_s(outcome: Outcome) -> float:
    """When the controller began to check that the bus is dead; NaN if it did for less than a second."""
    rows = outcome.recorder.table().to_pydict()
    checks = [at_s for at_s, mode in zip(rows["time_s"], rows["mode"], strict=True) if str(mode).endswith(CHECK)]
    return checks[0] if checks and checks[-1] - checks[0] > 0.95 else np.nan


SERVICE = Service(
    "black-start", "a dark site from its racks to all load blocks and back to the grid", ("microgrid-dark",), judge
)
