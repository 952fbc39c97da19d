"""foxBMS 2 as a rack's monitor: its frames as on the bus of a foxBMS 2 master or of the CAN front end that feeds one.

Layout: foxBMS 2 v1.11.0, tools/dbc/foxbms.dbc and src/app/driver/can (github.com/foxBMS/foxbms-2)."""

from drivers.cell_monitors.foxbms.monitor import FoxBmsMonitor

__all__ = ["FoxBmsMonitor"]
