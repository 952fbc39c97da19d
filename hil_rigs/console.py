"""What tables are printed to."""

import os
import sys

from rich.console import Console

WIDE = 10_000
"""Columns where nothing wraps: a table takes no more than it needs."""


def console() -> Console:
    """Of stdout: as wide as the terminal, or as COLUMNS says; without either a table is as wide as it needs."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=WIDE)
