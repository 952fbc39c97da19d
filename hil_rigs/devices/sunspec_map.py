"""The maps of simulated SunSpec devices are those of drivers.serve.sunspec_map."""

from drivers.serve.sunspec_map import BASE, ServedModel, SunSpecMap, Values, scale_exponent

__all__ = ["BASE", "ServedModel", "SunSpecMap", "Values", "scale_exponent"]
