"""The leave-out plans over the measured cells: a log is never judged by a model that was made from it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hil_rigs.evaluate.cases import Begin, Case, Fold, Limits, Plan, Recorded
from hil_rigs.evaluate.regulation import regulation_plan

ON_AT_FRAC = 0.65
"""Where an LFP cell is switched on: in the middle of its plateau."""
NCA_LIMITS = {
    "25 °C": Limits(0.8, 0.24),
    "10 °C": Limits(1.2, 0.48),
    "0 °C": Limits(1.5, 0.57),
    "-10 °C": Limits(2.0, 0.54),
    "25 °C, 10 Hz": Limits(0.8, 0.24),
}
NCA_DRIVES = {
    "the mixed cycles": ("cycle_1", "cycle_2"),
    "US06": ("us06",),
    "highway and city": ("hwfet", "hwfta", "udds"),
}
LFP_LIMITS = {
    "from full": Limits(1.5, 0.75),
    "on at 65 %, unknown": Limits(5.0, 3.2, 15.0),
    "on at 65 %, told": Limits(1.5, 0.71),
    "C/30": Limits(5.5, 5.5),
}


def plans(data: Path, regulation_h: float = 48.0) -> list[Plan]:
    """All plans. Files that are not in `data` are named in the plan's `absent`, and it has no folds then."""
    made = (_panasonic(data), _a123(data), _aboutenergy(data), _dmegc(data), _e2(data))
    return [*(_checked(plan) for plan in made), regulation_plan(data, regulation_h)]


def _checked(plan: Plan) -> Plan:
    sources = [source for fold in plan.folds for source in (*fold.sources, *(case.source for case in fold.cases))]
    paths = dict.fromkeys(source.path for source in sources if isinstance(source, Recorded) and not source.there)
    if not paths:
        return plan
    return Plan(plan.name, plan.says, plan.chemistry, plan.nominal_ah, plan.groups, (), tuple(paths))


def _panasonic(data: Path) -> Plan:
    folder = data / "cells/panasonic_ncr18650pf"
    base = _recorded(folder, ("char_c20_ocv_25c", *(f"char_hppc_{degc}" for degc in ("25c", "10c", "0c", "n10c"))))
    there = {"25c": ("cycle_1", "cycle_2", "hwfta", "us06"), "10c": ("cycle_1", "hwfet", "us06"),
             "0c": ("cycle_1", "hwfet", "udds", "us06"), "n10c": ("cycle_1", "hwfet", "us06")}  # fmt: skip
    drives = [(cycle, degc) for degc, cycles in there.items() for cycle in cycles]
    folds = []
    for name, left_out in NCA_DRIVES.items():
        kept = [f"drive_{cycle}_{degc}" for cycle, degc in drives if cycle not in left_out]
        cases = [_nca_case(folder, cycle, degc) for cycle, degc in drives if cycle in left_out]
        if "us06" in left_out:
            cases.append(Case("25 °C, 10 Hz", Recorded(folder / "drive_us06_25c_native10hz.parquet"), Begin.OFF))
        folds.append(Fold(f"without {name}", tuple(cases), (*base, *_recorded(folder, kept))))
    says = (
        "drive cycles; each kind of cycle is left out of the model at all temperatures at once. From full, 30 % off. "
        "The reference counts the tester's current, which reads some 9 mA too negative: 1 % of SoC in 3 h, by cycle "
        "more or less than the model has learned"
    )
    return Plan("Panasonic NCR18650PF, NCA", says, "nca", 2.9, NCA_LIMITS, tuple(folds))


def _nca_case(folder: Path, cycle: str, degc: str) -> Case:
    group = f"{degc.removesuffix('c').replace('n', '-')} °C"
    return Case(group, Recorded(folder / f"drive_{cycle}_{degc}.parquet"), Begin.OFF, plotted=cycle == "us06")


def _a123(data: Path) -> Plan:
    folder = data / "restricted/cells/a123_26650_lfp"
    temperatures = ("n25c", "n5c", "5c", "25c", "45c")
    runs = {degc: _recorded(folder, (f"dyn_{degc}", f"char_ocv_dis_{degc}", f"char_ocv_chg_{degc}"))
            for degc in temperatures}  # fmt: skip
    folds = []
    for left_out, (dynamic, *slow) in runs.items():
        kept = tuple(run for degc, others in runs.items() if degc != left_out for run in others)
        on_at = Recorded(dynamic.path, soc_frac_max=ON_AT_FRAC)
        cases = (
            Case("from full", dynamic, Begin.OFF, plotted=left_out == "25c"),
            Case("on at 65 %, unknown", on_at, Begin.UNKNOWN, plotted=left_out in ("25c", "5c")),
            Case("on at 65 %, told", on_at, Begin.TOLD),
            *(Case("C/30", run, Begin.OFF) for run in slow),
        )
        folds.append(Fold(f"without {left_out}", cases, kept))
    says = "dynamic runs of 10 h and C/30 charges and discharges at -25 to 45 °C; the model is made at the other four"
    return Plan("A123 26650, LFP", says, "lfp", 2.3, LFP_LIMITS, tuple(folds))


def _aboutenergy(data: Path) -> Plan:
    folder = data / "cells/aboutenergy_lfp_18650_2ah"
    sources = _recorded(folder, ("char_cc_co20_25c", "char_cc_co2_25c", "char_cc_1c_25c"))
    drive = Recorded(folder / "drive_wltp_like_25c.parquet")
    on_at = Recorded(drive.path, soc_frac_max=ON_AT_FRAC)
    cases = (Case("drive cycle", drive, Begin.OFF, plotted=True), Case("on at 65 %, unknown", on_at, Begin.UNKNOWN))
    says = "a drive cycle at 25 °C; the model is made from discharges at C/20, C/2 and 1C alone"
    groups = {case.group: Limits() for case in cases}
    return Plan("About:Energy 18650, LFP", says, "lfp", 2.0, groups, (Fold("constant current", cases, sources),))


def _dmegc(data: Path) -> Plan:
    folder = data / "cells/dmegc_inr18650_2p6ah"
    kinds = ("c20_ocv", "cc_0p5c", "cc_1c", "cc_2c", "pulse")
    sources = _recorded(folder, [f"r1_char_{kind}_25c" for kind in kinds])
    groups = {"r1": "same cell", "r2": "another cell of the type"}
    cases = tuple(
        Case(group, Recorded(folder / f"{cell}_drive_random_walk_25c.parquet", run=run), Begin.OFF, plotted=run == "1")
        for cell, group in groups.items()
        for run in ("1", "11", "21", "31", "41")
    )
    says = "random discharges, 10 s a row; the model is made from C/20, constant current and pulses of one cell"
    return Plan("DMEGC INR18650, NMC", says, "nmc", 2.6, dict.fromkeys(groups.values(), Limits()),
                (Fold("characterisation", cases, sources),))  # fmt: skip


def _e2(data: Path) -> Plan:
    folder = data / "restricted/cells/e2_pouch_nmc_5ah"
    dynamic = folder / "dyn_25c.parquet"
    sources = (*_recorded(folder, ("char_ocv_dis_25c", "char_ocv_chg_25c")), Recorded(dynamic, soc_frac_min=0.5))
    case = Case("second half", Recorded(dynamic, soc_frac_max=0.5), Begin.OFF, plotted=True)
    says = "a dynamic run at 25 °C, its half below 50 % SoC; the model is made from the other half and C/30 curves"
    return Plan("E2 pouch, NMC", says, "nmc", 5.0, {case.group: Limits()}, (Fold("first half", (case,), sources),))


def _recorded(folder: Path, names: Sequence[str] | Iterable[str]) -> tuple[Recorded, ...]:
    return tuple(Recorded(folder / f"{name}.parquet") for name in names)
