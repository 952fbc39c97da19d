"""The process image: the newest reading of every device, frozen once a tick so that nothing changes during it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.readings import InverterRating, InverterReading, MeterReading, RackReading, SentPower, SwitchgearReading


@dataclass(frozen=True, slots=True)
class Image:
    """What every device said last, as it stood at `at_ns`. None = that device has not spoken yet."""

    at_ns: int
    racks: tuple[RackReading, ...]
    inverter: InverterReading | None
    rating: InverterRating | None
    meter: MeterReading | None
    sent: SentPower | None = None
    """Newest set-point that the converter acknowledged."""
    commanded_power_w: float | None = None
    """Set-point that the previous tick decided."""
    pv: MeterReading | None = None
    """Of the meter of the site's PV: generation is negative."""
    switchgear: SwitchgearReading | None = None
    """Between site and grid."""
    commanded_reactive_var: float | None = None
    """Reactive set-point that the previous tick decided (injected positive); None = whatever the converter does."""


class ProcessImage:
    """Collects readings; racks are read when frozen, since their monitors keep the newest values themselves."""

    def __init__(self, racks: Sequence[Callable[[], RackReading]]) -> None:
        self._racks = tuple(racks)
        self._inverter: InverterReading | None = None
        self._meter: MeterReading | None = None
        self._pv: MeterReading | None = None
        self._switchgear: SwitchgearReading | None = None

    def put_inverter(self, reading: InverterReading) -> None:
        self._inverter = reading

    def put_meter(self, reading: MeterReading) -> None:
        self._meter = reading

    def put_pv(self, reading: MeterReading) -> None:
        self._pv = reading

    def put_switchgear(self, reading: SwitchgearReading) -> None:
        self._switchgear = reading

    def freeze(
        self,
        now_ns: int,
        rating: InverterRating | None,
        sent: SentPower | None,
        commanded_power_w: float | None,
        commanded_reactive_var: float | None = None,
    ) -> Image:
        racks = tuple(read() for read in self._racks)
        return Image(
            now_ns, racks, self._inverter, rating, self._meter, sent, commanded_power_w, self._pv, self._switchgear,
            commanded_reactive_var,
        )  # fmt: skip
