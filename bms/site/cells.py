"""What has to hold between the racks' cells and the limits of a site file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drivers.config.settings import Broken
from kernels.parameters import load_cell

if TYPE_CHECKING:
    from bms.site import Site

FITTING = {"lfp": ("lfp",), "nmc": ("nmc", "nca", "lmo"), "zinc": ("zinc",)}
"""Chemistries of cells by the one whose limits they keep: nmc, nca and lmo cells on graphite all end at 4.2 V."""


def broken_cells(site: "Site") -> Iterator[Broken]:
    """Broken for each cell file, where it stands first, whose chemistry the limits are not made for."""
    first: dict[str, int] = {}
    for i, rack in enumerate(site.racks):
        first.setdefault(rack.cell, i)
    fitting = FITTING[site.limits.chemistry]
    for name, i in first.items():
        chemistry = _chemistry(name)
        if chemistry is None or chemistry in fitting:
            continue
        wrong = f"its chemistry does not fit the limits for {site.limits.chemistry}"
        expected = f"a cell of {', '.join(fitting)}"
        right = next((limits for limits, cells in FITTING.items() if chemistry in cells), None)
        if right is not None:
            expected += f", or limits.chemistry {right}"
        yield Broken(("racks", i, "cell"), chemistry, wrong, expected, (("limits", "chemistry"),))


def _chemistry(cell: str) -> str | None:
    """None for a cell that cannot be read: that is said where it stands."""
    try:
        return load_cell(cell).chemistry
    except (ValueError, OSError):
        return None
