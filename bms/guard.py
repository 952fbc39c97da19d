"""The last word: recomputes from the raw image whether a decision may go out, sharing no code with the limits."""

from dataclasses import dataclass

from bms.decision import Contactors, Decision
from bms.image import Image
from drivers.readings import Floats, RackReading, Times

STOP_AFTER_S = 4.0
"""A hard limit crossed for so long while the battery is still wanted connected stops the converter and opens: longer
than protection and its bounded wait for opening need."""


@dataclass(frozen=True, slots=True)
class HardLimits:
    """Maximum-level limits, as plain numbers."""

    cell_voltage_v_min: float
    cell_voltage_v_max: float
    temperature_degc_max: float
    charge_current_a_max: float
    discharge_current_a_max: float
    cell_data_age_s_max: float
    current_age_s_max: float


class Guard:
    """Narrows decisions, never widens them. `stopped` stays once it had to stop the battery itself."""

    def __init__(self, limits: HardLimits) -> None:
        self._limits = limits
        self._crossed_s = 0.0
        self.stopped = ""

    def reset(self) -> None:
        """Somebody judged the battery after a stop; a limit that is still crossed stops it again."""
        self._crossed_s = 0.0
        self.stopped = ""

    def step(self, image: Image, wish: Decision, dt_s: float) -> Decision:
        """The decision that may be sent, narrowed where the raw image demands it."""
        reason = self._crossed(image, wish)
        active = wish.run or any(wanted is not None and wanted.main_closed for wanted in wish.contactors)
        self._crossed_s = self._crossed_s + dt_s if reason and active else 0.0
        if self._crossed_s > STOP_AFTER_S and not self.stopped:
            self.stopped = reason
        if self.stopped:
            opened: tuple[Contactors | None, ...] = tuple(Contactors(False, False) for _ in wish.contactors)
            return wish._replace(
                power_w=0.0, run=False, contactors=opened, clipped_by="guard", clip_reason=self.stopped
            )
        return self._narrow(image, wish, reason)

    def _narrow(self, image: Image, wish: Decision, reason: str) -> Decision:
        low_w, high_w = self._window(image, wish, reason)
        power_w = wish.power_w
        if low_w <= power_w <= high_w:
            return wish
        narrowed_w = min(max(power_w, low_w), high_w) if power_w == power_w else 0.0
        return wish._replace(power_w=narrowed_w, clipped_by="guard", clip_reason=reason or "power window")

    def _window(self, image: Image, wish: Decision, reason: str) -> tuple[float, float]:
        if reason or not wish.run or image.rating is None or not image.rating.known:
            return 0.0, 0.0
        low_w, high_w = -image.rating.charge_power_w_max, image.rating.discharge_power_w_max
        for rack, wanted in zip(image.racks, wish.contactors, strict=True):
            if _apart(rack, wanted):
                continue
            if not _highest(rack.voltage_v) < self._limits.cell_voltage_v_max:
                low_w = 0.0
            if not _lowest(rack.voltage_v) > self._limits.cell_voltage_v_min:
                high_w = 0.0
        return low_w, high_w

    def _crossed(self, image: Image, wish: Decision) -> str:
        """The first hard limit that a rack crosses that is, or may be, connected; empty when none."""
        for number, (rack, wanted) in enumerate(zip(image.racks, wish.contactors, strict=True), 1):
            if _apart(rack, wanted):
                continue
            reason = self._rack_crossed(rack, image.at_ns)
            if reason:
                return f"rack {number}: {reason}"
        return ""

    def _rack_crossed(self, rack: RackReading, now_ns: int) -> str:
        limits = self._limits
        if now_ns - _lowest(rack.voltage_at_ns) > limits.cell_data_age_s_max * 1e9:
            return "cell data too old"
        if now_ns - rack.current_at_ns > limits.current_age_s_max * 1e9:
            return "current too old"
        if not -limits.charge_current_a_max <= rack.current_a <= limits.discharge_current_a_max:
            return "current above maximum"
        if not _highest(rack.temperature_degc) <= limits.temperature_degc_max:
            return "temperature above maximum"
        return ""


def _apart(rack: RackReading, wanted: Contactors | None) -> bool:
    """The rack is open by its own word, or nobody says and nobody wants it closed."""
    return rack.main_closed is False or (rack.main_closed is None and (wanted is None or not wanted.main_closed))


def _lowest(values: Floats | Times) -> float:
    """values.min(), NaN if one is NaN, at a third of its cost."""
    return values.item(values.argmin())


def _highest(values: Floats) -> float:
    """values.max(), likewise."""
    return values.item(values.argmax())
