"""AI smoothing: the range of the grid's power in any 5 s, by the ERCOT proposal for large electronic loads.

That is 10 MW at 150 MW, on the table of one training iteration (hil_rigs/loads/ai-training.csv) and on real recordings
(`--load`). 150 MW are judged on a bench without wires at steps of 1 ms that runs the deployed dispatch and the fast
lane's law, 1.5 MW (100 kW) by the deployed controller on the simulated wire. Every row says which it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.site import ConverterLoop, FastLane, Site
from bms.smoothing_way import Way
from hil_rigs.comply.fast_bench import FastCurves, FastSite, Smoother, run_fast
from hil_rigs.comply.quick_site import QuickBattery, QuickCurves, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.load_spec import AiTraining, LoadSpec
from hil_rigs.plant.ai_load import AiJitter, AiTrainingLoad, GpuSmoothing
from hil_rigs.plant.build import build_load
from hil_rigs.plant.load import Load, LoadProfile
from hil_rigs.report.summary import summarise_power
from hil_rigs.rig import RigFile
from hil_rigs.rig_plant import load_config
from hil_rigs.run import Outcome, simulate

Floats = NDArray[np.float64]

RATED_W = 150e6
RANGE_FRAC = 10.0 / 150.0
LANE_RANGE_FRAC = 15.0 / 150.0
"""What a loop over the network can do with raw steps; behind GPU smoothing and inside the converter it is 10 MW."""
DRIFT_FRAC_A_DAY = 0.02

SETTLE_S, FULL_S, SHORT_S = 30.0, 600.0, 53.0
"""The short form judges one iteration and 5 s."""
WIRE_S = 120.0
BENCH_S, BENCH_SHORT_S, BENCH_SETTLE_S = 200.0, 45.0, 20.0
START_S = 14.2
"""Where the iteration passes its mean, so that the filter of the load starts where it will stay."""
JOB_W, JOB_AHEAD_S, JOB_AT_S = 100e6, 5.0, 30.0
DAY_S, SHORT_DRIFT_S = 86_400.0, 900.0
LEARNED_S = 145.0
"""Six starts of an iteration, and one of them forecast."""
LEARNED_JITTER_FRAC_MAX = 0.002
DROPS, TABLE = AiJitter(0.0, 0.0, drop_frac=1.0), AiJitter(0.0, 0.0, drop_frac=0.0)
"""The table as it is, and with a drop to 0.25 within 50 ms in every iteration."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the 150 MW bench; `limit_frac` of rated, None = better than no battery."""

    name: str
    smoother: Smoother
    gpu: bool
    jitter: AiJitter
    lag_s: float
    limit_frac: float | None


CASES = (
    Case("ticks of 100 ms behind GPU smoothing", Smoother.TICKS, True, TABLE, 0.03, RANGE_FRAC),
    Case("converter's loop of 1 ms, lag 10 ms", Smoother.CONVERTER, False, TABLE, 0.01, RANGE_FRAC),
    Case("fast lane of 10 ms, lag 30 ms", Smoother.LANE, False, TABLE, 0.03, LANE_RANGE_FRAC),
    Case("ticks behind GPU smoothing, drops in 50 ms", Smoother.TICKS, True, DROPS, 0.03, None),
    Case("converter's loop, drops in 50 ms", Smoother.CONVERTER, False, DROPS, 0.01, None),
    Case("fast lane, drops in 50 ms", Smoother.LANE, False, DROPS, 0.03, None),
)


def judge(order: Order) -> Judged:
    wire = _on_the_wire(order)
    if order.load is None:
        runs = [(case, _bench(case, _table_w(case, order), RATED_W)) for case in CASES]
    else:
        runs = _recorded(order, order.load)
    rows = [*wire.rows, *(_row(case, curves, RATED_W) for case, curves in runs), _drift(order), *_announced()]
    if not order.short and order.load is None:
        rows += [*_learned(order), *_faster_on_the_wire(order)]
    charts = [
        Chart(f"150 MW bench: {case.name}" if order.load is None else f"bench: {case.name}", "W", curves.time_s,
              {"grid": curves.grid_w, "load": curves.load_w, "battery": curves.battery_w})
        for case, curves in runs
    ]  # fmt: skip
    return Judged(rows, [*wire.charts, *charts])


def _on_the_wire(order: Order) -> Judged:
    """The deployed controller, judged at the plant's own steps."""
    duration_s = _once_s(order, SHORT_S if order.short else FULL_S)
    outcome = simulate(order.rig, seed=order.seed, duration_s=duration_s, load=order.load)
    curves = outcome.curves
    grid_w, load_w = _ranges_w(outcome)
    judged = curves.time_s >= SETTLE_S
    limit_w = RANGE_FRAC * (_rated_w(order.load or order.rig.load) or float(curves.load_power_w[judged].max()))
    return Judged(
        rows=[
            Row("grid range in any 5 s", f"<= {limit_w / 1e3:.1f} kW", f"{grid_w / 1e3:.1f} kW", grid_w <= limit_w),
            Row("range without battery", "more", f"{load_w / 1e3:.1f} kW", load_w > grid_w),
            Row("who smooths, by the record", Way.TICKS, _way(outcome), _way(outcome) == Way.TICKS),
            Row("faults", "none", ", ".join(trip.fault_id for trip in outcome.trips) or "none", not outcome.trips),
        ],
        charts=[
            Chart("power", "W", curves.time_s,
                  {"grid": curves.grid_power_w, "load": curves.load_power_w, "battery": curves.battery_power_w}),
        ],
    )  # fmt: skip


def _way(outcome: Outcome) -> str:
    """What the controller itself found to be true, before its orderly end."""
    said = [str(way) for way in outcome.recorder.table()["smoothing_way"].to_pylist() if way]
    return said[-1] if said else "nobody"


def _once_s(order: Order, wanted_s: float) -> float:
    """A recording is played once: where it begins anew its power jumps as that of its site never did. One that is too
    short to be judged within repeats all the same."""
    if order.load is None:
        return wanted_s
    load = build_load(load_config(order.load), np.random.default_rng(order.seed))
    once_s = load.period_s if isinstance(load, LoadProfile) else wanted_s
    return min(wanted_s, once_s - 1.0) if once_s > SHORT_S else wanted_s


def _ranges_w(outcome: Outcome) -> tuple[float, float]:
    """Of grid and load within any 5 s, once the controller has settled."""
    curves = outcome.curves
    judged = curves.time_s >= SETTLE_S
    grid = summarise_power(curves.time_s[judged], curves.grid_power_w[judged])
    load = summarise_power(curves.time_s[judged], curves.load_power_w[judged])
    return grid.range_5s_w, load.range_5s_w


def _rated_w(load: LoadSpec) -> float | None:
    """Of the load, where it says so: a recording has only its peak."""
    return load.rated_power_w * load.scale if isinstance(load, AiTraining) else None


def _table_w(case: Case, order: Order) -> Floats:
    gpu = GpuSmoothing() if case.gpu else None
    load = AiTrainingLoad(RATED_W, np.random.default_rng(order.seed), gpu, case.jitter, horizon_s=BENCH_S + 60.0)
    return _each_ms(load.power_w, BENCH_SHORT_S if order.short else BENCH_S, START_S)


def _each_ms(power_w: Callable[[float], float], duration_s: float, start_s: float = 0.0) -> Floats:
    return np.array([power_w(start_s + number * 1e-3) for number in range(round(duration_s * 1e3))], np.float64)


def _recorded(order: Order, load: LoadSpec) -> list[tuple[Case, FastCurves]]:
    """A recording is raw or not as it is; its peak is what the site is built for."""
    recording = build_load(load_config(load), np.random.default_rng(order.seed))
    power_w = _each_ms(recording.power_w, _once_s(order, BENCH_SHORT_S if order.short else BENCH_S))
    cases = [replace(case, name=case.name.split(",")[0], limit_frac=None) for case in CASES[1:3]]
    return [(case, _bench(case, power_w, float(np.abs(power_w).max()))) for case in cases]


def _settings(rated_w: float) -> GridSmoothing:
    """The grid may move by 8 % of rated in 10 s; the battery's SoC comes back with a thirtieth of rated."""
    return GridSmoothing(
        kind="grid-smoothing",
        ramp_w_per_s_max=0.008 * rated_w,
        grid_power_w_max=1.2 * rated_w,
        smoothing_time_s=180.0,
        soc_return_power_w_max=rated_w / 30.0,
    )


def _bench(case: Case, load_w: Floats, rated_w: float, settings: GridSmoothing | None = None) -> FastCurves:
    settings = settings or _settings(rated_w)
    site = FastSite(
        load_w, settings, case.smoother, power_w_max=0.8 * rated_w, energy_wh=2.0 * rated_w, lag_s=case.lag_s
    )
    return run_fast(site)


def _learned(order: Order) -> list[Row]:
    """Ticks of 100 ms on raw steps, led by the last iteration: far better at exact repetition, left alone at 1 %."""
    return [_learned_row(order, 0.0, 1.0 / 3.0), _learned_row(order, 0.01, 1.0)]


def _learned_row(order: Order, period_frac: float, share_max: float) -> Row:
    load = AiTrainingLoad(RATED_W, np.random.default_rng(order.seed), jitter=AiJitter(period_frac, 0.0, 0.0))
    power_w, left_w = _each_ms(load.power_w, BENCH_S, START_S), []
    for jitter_frac_max in (0.0, LEARNED_JITTER_FRAC_MAX):
        settings = _settings(RATED_W).model_copy(update={"feed_forward_jitter_frac_max": jitter_frac_max})
        left_w.append(_range_w(_bench(CASES[0], power_w, RATED_W, settings), LEARNED_S)[0])
    return Row(f"ticks led by the last iteration, {period_frac:.0%} jitter: range in any 5 s, bench of 1 ms",
               f"<= {_mw(share_max * left_w[0])}, {'a third of ' if share_max < 1.0 else ''}what they leave alone",
               _mw(left_w[1]), left_w[1] <= share_max * left_w[0])  # fmt: skip


def _range_w(curves: FastCurves, from_s: float) -> tuple[float, float]:
    """Of grid and load within any 5 s."""
    judged = curves.time_s >= from_s
    grid = summarise_power(curves.time_s[judged], curves.grid_w[judged])
    load = summarise_power(curves.time_s[judged], curves.load_w[judged])
    return grid.range_5s_w, load.range_5s_w


def _row(case: Case, curves: FastCurves, rated_w: float) -> Row:
    grid_w, load_w = _range_w(curves, BENCH_SETTLE_S)
    limit_w = load_w if case.limit_frac is None else case.limit_frac * rated_w
    required = f"< {_mw(load_w)}, without battery" if case.limit_frac is None else f"<= {_mw(limit_w)}"
    passed = grid_w < limit_w if case.limit_frac is None else grid_w <= limit_w
    measured = f"{_mw(grid_w)} of {_mw(load_w)}"
    return Row(f"{case.name}: range in any 5 s, bench of 1 ms", required, measured, passed)


def _mw(power_w: float) -> str:
    return f"{power_w / 1e6:.1f} MW" if power_w >= 1e6 else f"{power_w / 1e3:.1f} kW"


def _drift(order: Order) -> Row:
    """On the site without wires: what smoothing and losses do to the SoC in a day."""
    duration_s = SHORT_DRIFT_S if order.short else DAY_S
    rng = np.random.default_rng(order.seed)
    load: Load = AiTrainingLoad(RATED_W, rng, jitter=AiJitter())
    start_s, rated_w = START_S, RATED_W
    if order.load is not None:
        load, start_s = build_load(load_config(order.load), rng), 0.0
        rated_w = load.power_w_max
    battery = QuickBattery(0.8 * rated_w, 0.8 * rated_w, energy_wh=2.0 * rated_w, soc_frac=0.55)
    site = QuickSite([_settings(rated_w)], battery, load_w=lambda t_s: load.power_w(start_s + t_s))
    curves = run_quick(site, duration_s)
    drift_frac = abs(float(curves.soc_frac[-1]) - battery.soc_frac)
    span = "a day" if duration_s == DAY_S else f"{duration_s / 60:.0f} min"
    return Row(f"SoC drift in {span}, site without wires", f"<= {DRIFT_FRAC_A_DAY * 100:.0f} %",
               f"{drift_frac * 100:.2f} %", drift_frac <= DRIFT_FRAC_A_DAY)  # fmt: skip


def _announced() -> list[Row]:
    """On the site without wires: a job of 100 MW that starts on an idle site, announced or not."""
    said, silent = (_started(announced=announced) for announced in (True, False))
    ramp_w, step_s = _settings(RATED_W).ramp_w_per_s_max, float(said.time_s[1] - said.time_s[0])
    before = said.time_s < JOB_AT_S
    moved_w = float(np.abs(np.diff(said.grid_w[before])).max()) / step_s
    ahead_w = float(said.grid_w[before][-1] - silent.grid_w[before][-1])
    most_w, unsaid_w = float(said.battery_w.max()), float(silent.battery_w.max())
    name = f"start of {_mw(JOB_W)} announced {JOB_AHEAD_S:g} s ahead, site without wires"
    return [
        Row(f"{name}: most power of the battery", f"< {_mw(unsaid_w)}, unannounced", _mw(most_w), most_w < unsaid_w),
        Row(f"{name}: grid ahead of the start", f"> 0 MW, at most {ramp_w / 1e6:.1f} MW/s",
            f"{_mw(ahead_w)} at {moved_w / 1e6:.1f} MW/s", ahead_w > 0.0 and moved_w <= 1.001 * ramp_w),
    ]  # fmt: skip


def _started(*, announced: bool) -> QuickCurves:
    def told(now_s: float) -> dict[str, float]:
        start_in_s = JOB_AT_S - now_s
        return {"job_power_w": JOB_W, "job_start_in_s": start_in_s} if -1.0 < start_in_s <= JOB_AHEAD_S else {}

    battery = QuickBattery(0.8 * RATED_W, 0.8 * RATED_W, energy_wh=2.0 * RATED_W, soc_frac=0.55)
    idle_w = 0.2 * RATED_W
    site = QuickSite(
        [_settings(RATED_W)], battery, load_w=lambda now_s: idle_w + JOB_W * (now_s >= JOB_AT_S),
        inputs=told if announced else lambda _: {},
    )  # fmt: skip
    return run_quick(site, 2.0 * JOB_AT_S)


def _faster_on_the_wire(order: Order) -> list[Row]:
    """Raw steps and drops, with the jitter of a real job, at 1.5 MW; the plant in steps of 1 ms, and a converter that
    can carry the swing."""
    raw = AiTraining(kind="ai-training", rated_power_w=1.5e6)
    plant = order.rig.plant.model_copy(update={"inverter_power_w": 1.2e6, "step_s": 0.001, "inverter_lag_s": 0.01})
    told = plant.model_copy(update={"inverter_profile": "pcs-holding-s32"})
    lane = _wire_row("fast lane of 10 ms", order.rig.model_copy(update={"plant": plant}), raw, order.seed,
                     Way.LANE, {"fast_lane": FastLane(period_s=0.01)})  # fmt: skip
    loop = _wire_row("converter's loop", order.rig.model_copy(update={"plant": told}), raw, order.seed,
                     Way.CONVERTER, {"converter_loop": ConverterLoop()})  # fmt: skip
    return [lane, loop]


def _wire_row(name: str, rig: RigFile, load: LoadSpec, seed: int, way: Way, given: dict[str, object]) -> Row:
    def adjust(site: Site) -> Site:
        inverter = site.inverter.model_copy(update={"response_time_s": rig.plant.inverter_lag_s})
        return site.model_copy(update={**given, "applications": (_settings(1.5e6),), "inverter": inverter})

    outcome = simulate(rig, seed=seed, duration_s=WIRE_S, load=load, adjust=adjust)
    grid_w, load_w = _ranges_w(outcome)
    faults = ", ".join(trip.fault_id for trip in outcome.trips)
    measured = f"{_mw(grid_w)} by {_way(outcome)}{f', faults {faults}' if faults else ''}"
    return Row(f"{name}, raw load with jitter and drops: range in any 5 s, wire at 1 ms",
               f"< {_mw(load_w)}, without battery, by {way}", measured,
               grid_w < load_w and not faults and _way(outcome) == way)  # fmt: skip


SERVICE = Service("ai-smoothing", "a slow, capped version of an AI training load at the grid meter", ("demo",), judge)
