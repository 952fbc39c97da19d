"""What surrounds a rack's cells as it really is: loops, detectors, supply, cooling and the insulation to earth."""

from collections.abc import Sequence
from dataclasses import dataclass

from hil_rigs.plant.rack import RackPlant


@dataclass(slots=True)
class Enclosure:
    """Healthy by default; set at any time. None or NaN: that input shows nothing. `fire_output_stuck` and
    `cooling_stuck` are relays that do not follow."""

    interlock_closed: bool | None = True
    emergency_stop_released: bool | None = True
    smoke_detected: bool | None = False
    gas_detected: bool | None = False
    fire_panel_alarm: bool | None = False
    door_closed: bool | None = True
    fuse_intact: bool | None = True
    cooling_running: bool | None = True
    cooling_failed: bool | None = False
    fire_output_on: bool | None = False
    aux_supply_v: float = 24.0
    coolant_temperature_degc: float = 22.0
    precharge_temperature_degc: float = 25.0
    aux_on_battery: bool | None = False
    aux_charge_frac: float = 1.0
    insulation_kohm: float = 20_000.0
    fire_output_stuck: bool = False
    cooling_stuck: bool = False

    @property
    def cools(self) -> bool:
        """Cooling that says nothing runs."""
        return self.cooling_running is not False and self.cooling_failed is not True

    def drive(self, fire_alarm: bool | None, cooling: bool | None) -> None:
        """Set the output to the fire panel and the cooling; None leaves as it is."""
        if fire_alarm is not None and not self.fire_output_stuck:
            self.fire_output_on = fire_alarm
        if cooling is not None and not self.cooling_stuck:
            self.cooling_running = cooling


def bus_insulation_kohm(enclosures: Sequence[Enclosure], racks: Sequence[RackPlant], index: int) -> float:
    """What a monitor at this rack measures: the rack's own insulation, and in parallel that of all racks to which its
    closed main contactor connects it."""
    if not racks[index].main_closed:
        return enclosures[index].insulation_kohm
    joined = [each.insulation_kohm for each, rack in zip(enclosures, racks, strict=True) if rack.main_closed]
    return 1.0 / sum([1.0 / max(kohm, 1e-3) for kohm in joined])
