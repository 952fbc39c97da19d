"""What is allowed in a site file and yet worth a second look, in words: `bms check` says it."""

from collections.abc import Iterator

import numpy as np

from bms.profile_check import KEEPS_ON
from bms.site import Limits, Site
from kernels.parameters import CellParameters, load_cell


def site_warnings(site: Site) -> list[str]:
    """A line each. They refuse nothing: a data sheet may know better, and a gateway must start with the file it has."""
    found = [] if site.inverter.reverts else [f"inverter {site.inverter.profile}: {KEEPS_ON}"]
    found += _unusual(site.limits)
    for name in dict.fromkeys(rack.cell for rack in site.racks):
        found += _trips_at_rest(site.limits, load_cell(name))
    return found


def _unusual(limits: Limits) -> Iterator[str]:
    """Opening limits beyond those of the chemistry, which are of data-sheet class."""
    usual = Limits.model_validate({"chemistry": limits.chemistry})
    expected = f"usual for {limits.chemistry} cells; the contactors open later than that: compare the data sheet"
    if limits.cell_voltage_v_max > usual.cell_voltage_v_max:
        yield (
            f"limits.cell_voltage_v_max: WARNING: {limits.cell_voltage_v_max:g} V is above the "
            f"{usual.cell_voltage_v_max:g} V {expected}"
        )
    if limits.cell_voltage_v_min < usual.cell_voltage_v_min:
        yield (
            f"limits.cell_voltage_v_min: WARNING: {limits.cell_voltage_v_min:g} V is below the "
            f"{usual.cell_voltage_v_min:g} V {expected}"
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
