"""A grid that an FMU computes, of a network that answers to the site or of a recording elsewhere."""

from pathlib import Path

from hil_rigs.plant.fmu import Fmu
from hil_rigs.plant.load_file import LoadFileError

FREQUENCY, VOLTAGE, IMPORT = "frequency_hz", "voltage_pu", "import_w"
FREQUENCY_HZ = 0.0, 100.0
VOLTAGE_PU = 0.0, 2.0
"""What it may say."""


class FmuGrid:
    """A GridSource: the FMU's outputs `frequency_hz` and, where it has one, `voltage_pu` (per unit of nominal, else 1),
    once it was told `import_w`, what the site draws, where it wants to know. LoadFileError as of an Fmu, and for what
    no grid can be."""

    def __init__(self, path: Path) -> None:
        self._fmu = Fmu(path, (FREQUENCY,), may_say=(VOLTAGE,), may_hear=(IMPORT,))

    def step(self, time_s: float, dt_s: float, import_w: float) -> tuple[float, float]:
        self._fmu.tell(IMPORT, import_w)
        self._fmu.step(dt_s)
        said = self._fmu.values()
        frequency_hz = self._within(FREQUENCY, said[FREQUENCY], FREQUENCY_HZ)
        return frequency_hz, self._within(VOLTAGE, said.get(VOLTAGE, 1.0), VOLTAGE_PU)

    def _within(self, name: str, value: float, bounds: tuple[float, float]) -> float:
        low, high = bounds
        if not low <= value <= high:
            at_s = self._fmu.time_s
            raise LoadFileError(f"{self._fmu.path}: {name} is {value:g} at {at_s:.2f} s, expected {low:g} to {high:g}")
        return value
