"""A third-party low-voltage battery as a rack: it protects its own cells and says what may be done with it."""

from drivers.cell_monitors.low_voltage.monitor import LowVoltageBattery

__all__ = ["LowVoltageBattery"]
