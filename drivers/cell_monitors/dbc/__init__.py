"""Any monitor that has a DBC file: a mapping says which signal is which cell."""

from drivers.cell_monitors.dbc.mapping import DbcMapping
from drivers.cell_monitors.dbc.monitor import DbcMonitor

__all__ = ["DbcMapping", "DbcMonitor"]
