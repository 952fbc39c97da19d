"""The native rack monitor: every cell voltage each 50 ms on one 500 kbit/s CAN bus, defined in rack_monitor.dbc."""

from drivers.cell_monitors.native.monitor import NativeRackMonitor

__all__ = ["NativeRackMonitor"]
