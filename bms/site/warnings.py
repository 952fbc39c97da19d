"""What is allowed in a site file and yet worth a second look, in words: `bms check` says it."""

from collections.abc import Iterator

import numpy as np

from bms.profile_check import KEEPS_ON
from bms.site.file import Site
from bms.site.limits import Limits
from bms.site.rack import word_periods
from kernels.parameters import CellParameters, load_cell

OPENING = (
    ("cell_voltage_v_max", "V", True),
    ("cell_voltage_v_min", "V", False),
    ("charge_temperature_degc_max", "degC", True),
    ("charge_temperature_degc_min", "degC", False),
    ("discharge_temperature_degc_max", "degC", True),
    ("discharge_temperature_degc_min", "degC", False),
)
"""Limits of the maximum level: whether beyond is above."""

SLOWING = (
    "cell_data_age_s_max", "temperature_age_s_max", "current_age_s_max",
    "voltage_debounce_s", "current_debounce_s", "temperature_debounce_s",
)  # fmt: skip
SLOW = 4.0
"""So many times as long as usual is told; not where a rack's monitor speaks so seldom."""

STRONG_PER_H = 4.0
"""A rack's current by its cells' capacity from which it is told."""


def site_warnings(site: Site) -> list[str]:
    """A line each. They refuse nothing: a data sheet may know better, and a gateway must start with the file it has."""
    found = [] if site.inverter.reverts else [f"inverter {site.inverter.profile}: {KEEPS_ON}"]
    found += [*_unusual(site), *_strong(site)]
    for name in dict.fromkeys(rack.cell for rack in site.racks):
        found += _trips_at_rest(site.limits, load_cell(name))
    return found


def _unusual(site: Site) -> Iterator[str]:
    """Opening limits beyond those of the chemistry, which are of data-sheet class, and what makes protection slow."""
    limits, usual = site.limits, Limits.model_validate({"chemistry": site.limits.chemistry})
    opens_later = f"usual for {limits.chemistry} cells; the contactors open later than that: compare the data sheet"
    for name, unit, above in OPENING:
        is_v, usual_v = getattr(limits, name), getattr(usual, name)
        if is_v > usual_v if above else is_v < usual_v:
            side = "above" if above else "below"
            yield f"limits.{name}: WARNING: {is_v:g} {unit} is {side} the {usual_v:g} {unit} {opens_later}"
    spoken = {name for rack in site.racks for name in word_periods(rack)}
    for name in SLOWING:
        is_s, usual_s = getattr(limits, name), getattr(usual, name)
        if is_s > SLOW * usual_s and name not in spoken:
            slower = f"{is_s / usual_s:.0f} times the usual {usual_s:g} s: what is wrong is found so much later"
            yield f"limits.{name}: WARNING: {is_s:g} s is {slower}"


def _strong(site: Site) -> Iterator[str]:
    """Currents that no cell for storage is built for."""
    for use in ("charge", "discharge"):
        name, most_a = f"rack_{use}_current_a_max", site.limits.rack_current_a(use, "maximum")
        for cell in dict.fromkeys(rack.cell for rack in site.racks):
            capacity_ah = load_cell(cell).capacity_ah
            if most_a > STRONG_PER_H * capacity_ah:
                yield (
                    f"limits.{name}: WARNING: {most_a:g} A is {most_a / capacity_ah:.1f} times the {capacity_ah:g} Ah "
                    f"of {cell} in an hour: compare the data sheet"
                )


def _trips_at_rest(limits: Limits, cell: CellParameters) -> Iterator[str]:
    """Opening limits that the cell's own curve crosses within the SoC that the site may use: they open for nothing."""
    soc = np.linspace(0.0, 1.0, len(cell.ocv_v))
    for name, bound, at_soc, beyond in (
        ("cell_voltage_v_max", limits.cell_voltage_v_max, limits.soc_frac_max, "above"),
        ("cell_voltage_v_min", limits.cell_voltage_v_min, limits.soc_frac_min, "below"),
    ):
        rest_v = float(np.interp(at_soc, soc, cell.ocv_v))
        if rest_v > bound if beyond == "above" else rest_v < bound:
            yield (
                f"limits.{name}: WARNING: {bound:g} V, and {cell.name} rests {beyond} it, at {rest_v:.3f} V, at the "
                f"{100 * at_soc:g} % of limits.{name.replace('cell_voltage_v', 'soc_frac')}: the contactors open there"
            )
