"""`hil identify`: cell parameters from measurements."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from bms.estimate.log import TEMPERATURE_DEGC, Log, read_runs
from bms.estimate.log_charge import capacity_doubt, wrong_unit
from bms.estimate.log_sign import contradiction
from hil_rigs.identify import IdentifiedCell, IdentifyError, identify_cell
from hil_rigs.identify.chemistry import CHEMISTRIES
from hil_rigs.identify.covered import measured_degc
from hil_rigs.identify.fit_report import write_fit_report
from hil_rigs.identify.possible import taken_logs
from hil_rigs.identify.soc_range import percent
from hil_rigs.identify.tables import write_cell
from kernels.cell_tables import CellTables


def identify_command(arguments: argparse.Namespace) -> int:
    """Exit status 0. IdentifyError, LogError or OSError for bad input, before anything is written."""
    out = Path(arguments.out)
    _check_folder(out, arguments.report)
    logs = _read(arguments.files, arguments.charge_positive)
    _check_sign(logs, arguments.nominal_ah, arguments.charge_positive)
    logs, slips = taken_logs(logs, CHEMISTRIES[arguments.chemistry], arguments.nominal_ah)
    _check_units(logs, arguments.nominal_ah)
    doubts = [doubt for log in logs if (doubt := capacity_doubt(log, arguments.nominal_ah, "--nominal-ah"))]
    _warn([*slips, *doubts[:1], *_absent(logs)])
    with Console(stderr=True).status(f"fitting {len(logs)} runs"):
        found = identify_cell(logs, nominal_ah=arguments.nominal_ah, chemistry=arguments.chemistry, name=out.stem)
    _warn(found.warnings)
    warnings = [*slips, *doubts, *_absent(logs), *found.warnings]
    write_cell(found.tables, out, found.bases, found.soc_spans)
    report = None if arguments.report is None else write_fit_report(found, arguments.report)
    if arguments.json:
        where = {"cell": str(out), "report": None if report is None else str(report)}
        print(json.dumps({**summary(found), **where, "warnings": warnings}))
    else:
        _show(found, out, report)
    return 0


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"WARNING: {warning}", file=sys.stderr)


def summary(found: IdentifiedCell) -> dict[str, object]:
    """What was found in short, with its uncertainties; resistances are the sum of R0 and all pairs at half charge."""
    tables = found.tables
    return {
        "runs": [run.name for run in found.runs],
        "capacity_ah": tables.capacity_ah,
        "capacity_sigma_frac": tables.capacity_sigma_frac,
        "residual_mv": 1e3 * found.solution.residual_v,
        "tau_s": tables.rc_tau_s.tolist(),
        "measured_degc": measured_degc(found.runs),
        "measured_soc": found.soc_spans,
        "temperatures": [{**row, "basis": basis} for row, basis in zip(_rows(tables), found.bases, strict=True)],
    }


def _rows(tables: CellTables) -> list[dict[str, float]]:
    half = tables.ocv_v.shape[1] // 2
    ohm = tables.resistance_ohm[:, half] + tables.rc_resistance_ohm[:, :, half].sum(axis=0)
    return [
        {
            "temperature_degc": float(degc),
            "resistance_ohm": float(ohm[t]),
            "resistance_sigma_frac": float(tables.resistance_sigma_frac[t]),
            "ocv_sigma_v": float(np.median(tables.ocv_sigma_v[t, 20:-20])),
            "hysteresis_v": float(tables.hysteresis_v[t, half]),
            "coulombic_efficiency": float(tables.coulombic_efficiency[t]),
        }
        for t, degc in enumerate(tables.temperature_degc)
    ]


def _read(files: list[Path], charge_positive: bool) -> list[Log]:
    return [log for file in files for log in read_runs(file, charge_positive=charge_positive)]


def _absent(logs: list[Log]) -> list[str]:
    names = dict.fromkeys(str(log.path) for log in logs if not log.temperature_measured)
    return [f"{', '.join(names)}: no temperature_c, taken as {TEMPERATURE_DEGC:g} degC throughout"] if names else []


def _check_units(logs: list[Log], nominal_ah: float) -> None:
    for log in logs:
        wrong = wrong_unit(log, nominal_ah, "--nominal-ah")
        if wrong is not None:
            raise IdentifyError(wrong)


def _check_sign(logs: list[Log], nominal_ah: float, charge_positive: bool) -> None:
    told = "no --charge-positive" if charge_positive else "positive on discharge, or --charge-positive"
    for log in logs:
        what = contradiction(log, nominal_ah)
        if what is not None:
            run = f" run {log.run}" if log.run else ""
            raise IdentifyError(f"{log.path}{run}: current_a has the other sign: {what}, expected {told}")


def _check_folder(out: Path, report: Path | None) -> None:
    if not out.parent.is_dir():
        raise IdentifyError(f"--out {out}: no such folder {out.parent}")
    if out.is_dir():
        raise IdentifyError(f"--out {out}: is a folder, expected a file")
    if report is not None and report.exists() and not report.is_dir():
        raise IdentifyError(f"--report {report}: is not a folder")


def _show(found: IdentifiedCell, out: Path, report: Path | None) -> None:
    tables = found.tables
    print(f"{out}: {tables.capacity_ah:.3f} Ah ± {100 * tables.capacity_sigma_frac:.1f} %")
    print(f"residual {1e3 * found.solution.residual_v:.1f} mV (weighted RMS over all runs)")
    print("   degC   R total mOhm      ±%   OCV ± mV   hysteresis mV   efficiency   basis")
    for row, basis in zip(_rows(tables), found.bases, strict=True):
        print(
            f"{row['temperature_degc']:7.1f}{1e3 * row['resistance_ohm']:15.3f}"
            f"{100 * row['resistance_sigma_frac']:8.1f}"
            f"{1e3 * row['ocv_sigma_v']:11.1f}{1e3 * row['hysteresis_v']:16.1f}"
            f"{row['coulombic_efficiency']:13.3f}   {basis}"
        )
    low, high = measured_degc(found.runs)
    print(f"measured from {low:.1f} to {high:.1f} degC (the middle 90 % of each run); rows beyond are extrapolated")
    print(f"measured SoC: {percent(found.soc_spans)}; elsewhere the OCV is the chemistry's usual one")
    if report is not None:
        print(f"report: {report}")
