"""What a string's bleed resistors may do: the limits that the choice over many strings and its twin share."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class BleedLimits:
    """A cell bleeds when its SoC stands out and is known well enough, and nothing gets too hot.

    `on_above_frac` above the string's lowest cell starts, `off_above_frac` keeps a cell bleeding. `module_cells_max`
    is what a board's heat sink carries, `string_cells_max` what the cabinet does. A resistor may be on for `duty_max`
    of the time, seen over about `duty_s`, 1 = always; one that reached it rests until `duty_restart`. ValueError for
    numbers that cannot be."""

    on_above_frac: float
    off_above_frac: float
    sigma_frac_max: float
    voltage_v_min: float
    temperature_degc_max: float
    module_cells_max: int
    string_cells_max: int
    duty_max: float = 1.0
    duty_restart: float = 1.0
    duty_s: float = 600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not np.isfinite(getattr(self, field.name)):
                raise ValueError(f"{field.name}: got {getattr(self, field.name)}, expected a finite value")
        for name in ("module_cells_max", "string_cells_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected 0 or more")
        if not 0 < self.duty_restart <= self.duty_max <= 1:
            raise ValueError(f"duty_restart: got {self.duty_restart}, expected above 0 and at most duty_max, at most 1")
        if self.duty_s <= 0:
            raise ValueError(f"duty_s: got {self.duty_s}, expected above 0")
