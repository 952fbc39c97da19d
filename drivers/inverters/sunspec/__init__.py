"""Storage converters that serve the SunSpec DER models 701, 702, 704, 714 and 715 over Modbus TCP."""

from drivers.inverters.sunspec.driver import SunSpecInverter

__all__ = ["SunSpecInverter"]
