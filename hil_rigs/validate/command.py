"""`hil validate-plant`: the plant's cell against PyBaMM's, on the same circuit and beside porous electrodes."""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from hil_rigs.console import console
from hil_rigs.validate.circuit import STEP_S, circuit_of, profiles
from hil_rigs.validate.electrochemistry import FIT_TAU_S, PARAMETERS, PorousCell, fitted
from hil_rigs.validate.solve import Solved, by_plant, by_pybamm, pybamm_version

CELL = "lfp-280ah"
VOLTAGE_RMS_V_MAX = 1e-3
CHARGE_FRAC_MAX = ENERGY_FRAC_MAX = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """One profile: how far the plant is from PyBaMM. Charge by the SoC at the end, as a share of the capacity; energy
    as a share of what passed the terminals in both directions."""

    profile: str
    duration_s: float
    voltage_rms_v: float
    voltage_error_v_max: float
    charge_error_frac: float
    energy_error_frac: float

    @property
    def passed(self) -> bool:
        return (
            self.voltage_rms_v <= VOLTAGE_RMS_V_MAX
            and abs(self.charge_error_frac) <= CHARGE_FRAC_MAX
            and abs(self.energy_error_frac) <= ENERGY_FRAC_MAX
        )


def compared(profile: str, current_a: Sequence[float], ours: Solved, theirs: Solved) -> Row:
    """Both solved for the same current."""
    error_v, amperes = ours.voltage_v - theirs.voltage_v, np.asarray(current_a)
    return Row(
        profile=profile,
        duration_s=len(amperes) * STEP_S,
        voltage_rms_v=float(np.sqrt(np.mean(error_v**2))),
        voltage_error_v_max=float(np.abs(error_v).max()),
        charge_error_frac=ours.soc_frac - theirs.soc_frac,
        energy_error_frac=float(error_v @ amperes / (theirs.voltage_v @ np.abs(amperes))),
    )


def validate_plant(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a figure of the same circuit misses its bound; those of porous electrodes have none."""
    version = pybamm_version()
    same, porous = same_circuit(), porous_electrodes()
    if arguments.markdown is not None:
        arguments.markdown.write_text(page(same, porous, version), encoding="utf-8")
    if arguments.json:
        judged = [asdict(row) | {"model": "thevenin", "passed": row.passed} for row in same]
        reported = [asdict(row) | {"model": "dfn", "passed": None} for row in porous]
        print(json.dumps([*judged, *reported], indent=2))
    else:
        _print(f"The plant's cell against PyBaMM {version}: the same circuit", HEADS, map(_judged, same))
        _print("The same against porous electrodes (no bound)", HEADS[:-1], map(_cells, porous))
    return 0 if all(row.passed for row in same) else 1


def same_circuit() -> list[Row]:
    circuit = circuit_of(CELL)
    return [
        compared(name, current_a.tolist(), by_plant(circuit, soc, current_a), by_pybamm(circuit, soc, current_a))
        for name, (soc, current_a) in profiles(circuit.capacity_ah).items()
    ]


def porous_electrodes() -> list[Row]:
    cell = PorousCell()
    given = profiles(cell.capacity_ah)
    seen = {name: cell.solve(soc, current_a) for name, (soc, current_a) in given.items()}
    circuit = fitted(cell, seen)
    return [
        compared(name, current_a.tolist(), by_plant(circuit, soc, current_a), seen[name])
        for name, (soc, current_a) in given.items()
    ]


HEADS = ("profile", "length", "voltage RMS", "voltage at most", "charge", "energy", "")


def _judged(row: Row) -> tuple[str, ...]:
    return (*_cells(row), "pass" if row.passed else "FAIL")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.profile,
        f"{row.duration_s / 60:.0f} min",
        f"{row.voltage_rms_v * 1e3:.2g} mV",
        f"{row.voltage_error_v_max * 1e3:.2g} mV",
        f"{abs(row.charge_error_frac):.1g}",
        f"{abs(row.energy_error_frac):.1g}",
    )


def _print(title: str, heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*row)
    console().print(table)


PAGE = """\
# The plant's cells against PyBaMM

`hil validate-plant --markdown docs/plant.md` makes this page anew, in about a minute; it needs PyBaMM
(`pip install 'cellward[validation]'`), which nothing else does.

## The same circuit

The same equivalent circuit, solved by the cell of the simulated plants and by PyBaMM {version}'s Thevenin model:
the open-circuit curve of the shipped `{cell}`, R0 and three RC pairs at constant temperature, currents that hold for
{step:g} s.
Required: voltage RMS at most {rms:g} mV, charge and energy within {frac:g}. What PyBaMM's circuit lacks (hysteresis, a
resistance that follows temperature and SoC, entropy, bleeding) is held against closed forms in
`tests/kernels/test_cellsim.py`.

{same}
## Porous electrodes

PyBaMM's Doyle-Fuller-Newman model of an LFP/graphite cell (its parameters `{parameters}`, isothermal) beside the
plant's cell with three RC pairs of {taus} s. The open-circuit curve is that of the electrodes in equilibrium; the
size of the resistances is fitted to the pulses and how they follow the SoC to the constant current, the drive-like
profile is not fitted to. No bound: this is how far a circuit is from diffusion in particles and electrolyte, mostly
where the graphite changes its stage. An estimator that is judged on a simulated rig is judged on a cell that is no
easier to know than the circuit; accuracy on cells that exist is in [accuracy.md](accuracy.md).

{porous}"""


def page(same: Sequence[Row], porous: Sequence[Row], version: str) -> str:
    """docs/plant.md."""
    return PAGE.format(
        version=version,
        cell=CELL,
        step=STEP_S,
        rms=VOLTAGE_RMS_V_MAX * 1e3,
        frac=max(CHARGE_FRAC_MAX, ENERGY_FRAC_MAX),
        same=_table(HEADS, map(_judged, same)),
        parameters=PARAMETERS,
        taus=", ".join(f"{tau_s:g}" for tau_s in FIT_TAU_S),
        porous=_table(HEADS[:-1], map(_cells, porous)),
    )


def _table(heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (heads, ("---",) * len(heads), *rows))
