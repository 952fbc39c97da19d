"""Load power from the grid meter and the converter, although the two are never read at the same moment."""

from collections import deque
from dataclasses import dataclass
from math import exp

from bms.image import Image
from drivers.readings import InverterReading, MeterReading, SentPower

KEEP = 128


@dataclass(frozen=True, slots=True)
class SitePowers:
    """Grid (import +), battery (discharge +) and PV (generation +) as last read, load at the grid meter's time; None =
    too old, or no such device."""

    grid_w: float | None
    battery_w: float | None
    load_w: float | None
    pv_w: float | None = None


class BatteryPower:
    """Knows a converter's power at any recent time: the last reading before it, moved on by the set-points that went
    onto the wire since, which the converter follows with a first-order lag of `response_time_s`.

    Adding a grid power to a battery power of another moment would feed the battery's own steps back as load: a
    100 ms loop oscillates at full power on that.
    """

    def __init__(self, response_time_s: float) -> None:
        self.follows = True
        """Set-points say where it goes; without, only readings count (a converter that smooths by itself)."""
        self._response_ns = response_time_s * 1e9
        self._readings: deque[tuple[int, float]] = deque(maxlen=KEEP)
        self._sent: deque[tuple[int, float]] = deque(maxlen=KEEP)

    @property
    def newest(self) -> tuple[int, float] | None:
        """Time and power of the newest reading."""
        return self._readings[-1] if self._readings else None

    def see(self, inverter: InverterReading | None, sent: SentPower | None) -> None:
        """Take the converter's newest reading and the newest set-point that it acknowledged."""
        newest_ns = self._readings[-1][0] if self._readings else None
        if inverter is not None and inverter.at_ns != newest_ns and inverter.ac_power_w == inverter.ac_power_w:
            self._readings.append((inverter.at_ns, inverter.ac_power_w))
        if inverter is not None and inverter.grid_forming:
            self._sent.clear()  # the load decides its power, not what was sent before
        if not self.follows:
            self._sent.clear()
            return
        if sent is not None:
            self.note(sent)

    def note(self, sent: SentPower) -> None:
        """A set-point that was acknowledged; one that is not newer than the last is known already."""
        if not self._sent or self._sent[-1][0] < sent.at_ns:
            self._sent.append((sent.at_ns, sent.power_w))

    def at_w(self, at_ns: int) -> float:
        """The power at a recent time; ValueError before the first reading."""
        if not self._readings:
            raise ValueError("no reading of the converter yet")
        since_ns, power_w = next(
            (reading for reading in reversed(self._readings) if reading[0] <= at_ns), self._readings[0]
        )
        target_w, since = self._told_since(since_ns, power_w)
        for sent_ns, sent_w in since:
            if sent_ns >= at_ns:
                break
            power_w, since_ns = self._moved(power_w, target_w, sent_ns - since_ns), sent_ns
            target_w = sent_w
        return self._moved(power_w, target_w, max(at_ns - since_ns, 0))

    def told_w(self, at_ns: int) -> float | None:
        """The newest set-point that was sent before a recent time; None = none is known."""
        return next((power_w for sent_ns, power_w in reversed(self._sent) if sent_ns <= at_ns), None)

    def _told_since(self, since_ns: int, power_w: float) -> tuple[float, list[tuple[int, float]]]:
        """The set-point in force at `since_ns` (`power_w` where none is known), and those after it, oldest first."""
        since: list[tuple[int, float]] = []
        for sent in reversed(self._sent):
            if sent[0] <= since_ns:
                return sent[1], since[::-1]
            since.append(sent)
        return power_w, since[::-1]

    def _moved(self, power_w: float, target_w: float, for_ns: int) -> float:
        return target_w + (power_w - target_w) * exp(-for_ns / self._response_ns)


class SitePower:
    """Load power, from readings that are not of one moment. `battery` is what is known of the battery's power."""

    def __init__(
        self, meter_age_s_max: float, inverter_age_s_max: float, response_time_s: float, *, has_pv: bool = False
    ) -> None:
        self._has_pv = has_pv
        self._meter_age_ns_max = int(meter_age_s_max * 1e9)
        self._inverter_age_ns_max = int(inverter_age_s_max * 1e9)
        self.battery = BatteryPower(response_time_s)

    def see(self, image: Image) -> SitePowers:
        """Take this image's readings; call it every tick."""
        self.battery.see(image.inverter, image.sent)
        grid_w, battery_w = self._grid_w(image), self._battery_w(image.at_ns)
        pv_w, load_w = self._pv_w(image), None
        known = grid_w is not None and battery_w is not None and (pv_w is not None or not self._has_pv)
        if known and grid_w is not None and image.meter is not None:
            load_w = grid_w + self.battery.at_w(image.meter.at_ns) + (pv_w or 0.0)
        return SitePowers(grid_w, battery_w, load_w, pv_w)

    def _battery_w(self, now_ns: int) -> float | None:
        """Newest reading of the converter's power, None when too old."""
        newest = self.battery.newest
        return None if newest is None or now_ns - newest[0] > self._inverter_age_ns_max else newest[1]

    def _grid_w(self, image: Image) -> float | None:
        return self._fresh_w(image.meter, image.at_ns)

    def _pv_w(self, image: Image) -> float | None:
        metered_w = self._fresh_w(image.pv, image.at_ns)
        return None if metered_w is None else -metered_w

    def _fresh_w(self, meter: MeterReading | None, now_ns: int) -> float | None:
        """A meter's power, None when too old."""
        if meter is None or meter.power_w != meter.power_w or now_ns - meter.at_ns > self._meter_age_ns_max:
            return None
        return meter.power_w
