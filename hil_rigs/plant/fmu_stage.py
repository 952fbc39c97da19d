"""A converter's power stage, computed by an FMU: what it makes of its set-points."""

from pathlib import Path
from typing import NamedTuple

from hil_rigs.plant.fmu import Fmu
from hil_rigs.plant.load_file import LoadFileError

POWER, REACTIVE, LOSS = "power_w", "reactive_var", "loss_w"
HEARD = ("power_set_w", "reactive_set_var", "running", "dc_voltage_v", "grid_voltage_pu", "grid_frequency_hz")
OVER_RATED_MAX = 2.0
"""Most that it may say, over the converter's rated power."""


class StageInputs(NamedTuple):
    """What it may hear, in the order of HEARD."""

    power_set_w: float = 0.0
    reactive_set_var: float = 0.0
    running: float = 0.0
    dc_voltage_v: float = 0.0
    grid_voltage_pu: float = 0.0
    grid_frequency_hz: float = 0.0


class StageOutputs(NamedTuple):
    """AC power (discharge positive), reactive power (injected positive), and what is lost beside the AC power; None =
    by the converter's own efficiency."""

    power_w: float
    reactive_var: float
    loss_w: float | None


class FmuStage:
    """The FMU's output `power_w`, and where it has them `reactive_var` (else 0) and `loss_w`, at least 0; it hears
    those of HEARD that it wants to know. LoadFileError as of an Fmu, and for more than twice the rating."""

    def __init__(self, path: Path, rated_power_w: float) -> None:
        self._most_w = OVER_RATED_MAX * rated_power_w
        self._fmu = Fmu(path, (POWER,), may_say=(REACTIVE, LOSS), may_hear=HEARD)

    def step(self, dt_s: float, inputs: StageInputs) -> StageOutputs:
        for name, value in zip(HEARD, inputs, strict=True):
            self._fmu.tell(name, value)
        self._fmu.step(dt_s)
        said = self._fmu.values()
        loss_w = self._within(LOSS, said[LOSS], 0.0) if LOSS in said else None
        power_w = self._within(POWER, said[POWER], -self._most_w)
        return StageOutputs(power_w, self._within(REACTIVE, said.get(REACTIVE, 0.0), -self._most_w), loss_w)

    def _within(self, name: str, value: float, low: float) -> float:
        if not low <= value <= self._most_w:
            at_s = self._fmu.time_s
            expected = f"expected {low:g} to {self._most_w:g}"
            raise LoadFileError(f"{self._fmu.path}: {name} is {value:g} at {at_s:.2f} s, {expected}")
        return value
