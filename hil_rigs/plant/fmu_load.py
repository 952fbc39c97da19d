"""A load, or what the sun offers, that an FMU computes."""

from pathlib import Path

from hil_rigs.plant.fmu import Fmu
from hil_rigs.plant.load_file import LoadFileError

OUTPUT = "power_w"
STEP_S = 0.01
"""Of one call of the FMU: the plant's own step."""


class FmuLoad:
    """The FMU's output `power_w` (W, positive for what the part is for), times `scale`, held for STEP_S. Ask with times
    that do not go back. LoadFileError as of an Fmu, and when it says more than `power_w_max`."""

    def __init__(self, path: Path, power_w_max: float, scale: float = 1.0) -> None:
        self.power_w_max = power_w_max * scale
        self._scale, self._steps = scale, 0
        self._fmu = Fmu(path, (OUTPUT,))
        self._power_w = self._read()

    def power_w(self, t_s: float) -> float:
        while (self._steps + 1) * STEP_S <= t_s + 1e-9:
            self._fmu.step(STEP_S)
            self._steps += 1
            self._power_w = self._read()
        return self._power_w

    def _read(self) -> float:
        power_w = self._fmu.values()[OUTPUT] * self._scale
        if not abs(power_w) <= self.power_w_max:
            raise LoadFileError(
                f"{self._fmu.path}: {OUTPUT} is {power_w:g} W at {self._steps * STEP_S:.2f} s, expected at most "
                f"{self.power_w_max:g} W"
            )
        return power_w
