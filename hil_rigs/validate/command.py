"""`hil validate-plant`: the plant's cell against PyBaMM's on the same equivalent circuit, as a table and a page."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from hil_rigs.validate.circuit import STEP_S, circuit_of, profiles
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
    """Exit status 1 when a figure misses its bound."""
    version = pybamm_version()
    circuit = circuit_of(CELL)
    rows = [
        compared(name, current_a.tolist(), by_plant(circuit, soc, current_a), by_pybamm(circuit, soc, current_a))
        for name, (soc, current_a) in profiles(circuit.capacity_ah).items()
    ]
    if arguments.markdown is not None:
        arguments.markdown.write_text(page(rows, version), encoding="utf-8")
    if arguments.json:
        print(json.dumps([asdict(row) | {"passed": row.passed} for row in rows], indent=2))
    else:
        _print(rows, version)
    return 0 if all(row.passed for row in rows) else 1


HEADS = ("profile", "length", "voltage RMS", "voltage at most", "charge", "energy", "")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.profile,
        f"{row.duration_s / 60:.0f} min",
        f"{row.voltage_rms_v * 1e3:.1g} mV",
        f"{row.voltage_error_v_max * 1e3:.1g} mV",
        f"{abs(row.charge_error_frac):.1g}",
        f"{abs(row.energy_error_frac):.1g}",
        "pass" if row.passed else "FAIL",
    )


def _print(rows: Sequence[Row], version: str) -> None:
    table = Table(title=f"The plant's cell against PyBaMM {version}", title_justify="left")
    for head in HEADS:
        table.add_column(head)
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table)


PAGE = """\
# The plant's cells against PyBaMM

`hil validate-plant --markdown docs/plant.md` makes this page anew, in less than a minute; it needs PyBaMM
(`pip install 'cellward[validation]'`), which nothing else does.

The same equivalent circuit, solved by the cell of the simulated plants and by PyBaMM {version}'s Thevenin model:
the open-circuit curve of the shipped `{cell}`, R0 and three RC pairs at constant temperature, currents that hold for
{step:g} s.
Required: voltage RMS at most {rms:g} mV, charge and energy within {frac:g}. What PyBaMM's circuit lacks (hysteresis, a
resistance that follows the temperature, bleeding) is held against closed forms in `tests/kernels/test_cellsim.py`.

"""


def page(rows: Sequence[Row], version: str) -> str:
    """docs/plant.md."""
    head = PAGE.format(
        version=version, cell=CELL, step=STEP_S, rms=VOLTAGE_RMS_V_MAX * 1e3, frac=max(CHARGE_FRAC_MAX, ENERGY_FRAC_MAX)
    )
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADS, ("---",) * len(HEADS), *map(_cells, rows))]
    return head + "\n".join(lines) + "\n"
