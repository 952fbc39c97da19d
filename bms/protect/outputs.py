"""What the racks' outputs beside the contactors shall do: fire alarm, cooling, and which insulation monitor is on."""

from collections.abc import Iterable
from typing import NamedTuple

from bms.image import Image
from bms.protect.safety_faults import FIRE
from bms.site import Site
from drivers.readings import RackReading
from drivers.safety import CoolingRequest, InsulationState

WORKING = (InsulationState.SETTLING, InsulationState.ACTIVE)
HOT = frozenset({"charge_temperature_high_operating", "discharge_temperature_high_operating"})
"""In these the rack's cooling shall run, whatever its own control thinks."""

WORKING_OR_OFF = (*WORKING, InsulationState.OFF)


class RackOutputs(NamedTuple):
    """One rack's outputs."""

    fire_alarm: bool
    cooling: CoolingRequest
    insulation_on: bool


QUIET = RackOutputs(fire_alarm=False, cooling=CoolingRequest.AUTO, insulation_on=True)


class Outputs:
    """Call `step` once a tick; `racks` is what it decided last."""

    def __init__(self, site: Site) -> None:
        self._fire_cooling = CoolingRequest.ON if site.safety.fire_cooling == "on" else CoolingRequest.OFF
        self._wired = ["insulation" in rack.safety_inputs for rack in site.racks]
        self._names = [rack.name for rack in site.racks]
        self._decided: tuple[bool, set[str], list[int], int | None] = False, set(), [], None
        self.racks: tuple[RackOutputs, ...] = (QUIET,) * len(site.racks)

    def step(self, image: Image, faults: Iterable[tuple[str, str]]) -> tuple[RackOutputs, ...]:
        """`faults`: id and target of each active one."""
        found = set(faults)
        fire = any(fault_id in FIRE for fault_id, _ in found)
        hot = {target for fault_id, target in found if fault_id in HOT}
        connected = [index for index, rack in enumerate(image.racks) if rack.main_closed or rack.precharge_closed]
        chosen = self._choice(image.racks, connected)
        if (fire, hot, connected, chosen) != self._decided:
            self._decided = fire, hot, connected, chosen
            self.racks = tuple(
                RackOutputs(fire, self._cooling(fire, name in hot), not connected or index == chosen)
                for index, name in enumerate(self._names)
            )
        return self.racks

    def _cooling(self, fire: bool, hot: bool) -> CoolingRequest:
        if fire:
            return self._fire_cooling
        return CoolingRequest.ON if hot else CoolingRequest.AUTO

    def _choice(self, racks: tuple[RackReading, ...], connected: list[int]) -> int | None:
        """Apart, every rack's monitor watches its own rack. As soon as one rack connects, one monitor watches the DC
        bus, before the next rack joins it; it goes on as long as it is connected and works."""
        chosen = self._decided[3]
        if chosen is not None and chosen in connected and _works(racks[chosen]):
            return chosen
        wired = [index for index in connected if self._wired[index]]
        able = [index for index in wired if _works(racks[index])]
        return next(iter(able or wired), None)


def _works(rack: RackReading) -> bool:
    """OFF counts: it may not have heard the command yet."""
    return rack.safety.insulation_state in WORKING_OR_OFF
