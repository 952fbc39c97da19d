"""Keeps a curve in force inside a SunSpec converter, over a connection of its own: written, adopted, read back."""

from drivers.links.modbus import ModbusLink
from drivers.polled import PolledDevice
from drivers.sunspec import DeviceMap, discover
from drivers.sunspec.curves import Curve, Droop, FunctionRefused, adopt, in_force


class OwnFunction(PolledDevice):
    """Hands `curve` to the converter at each new connection, and looks once a `verify_s` whether it is still in force.
    It has no end of its own: it works on when nobody speaks to the converter. `fault` is why it is not in force."""

    def __init__(self, link: ModbusLink, curve: Curve, verify_s: float) -> None:
        super().__init__("function of the inverter", link, verify_s)
        self._curve = curve
        self._found: DeviceMap | None = None
        self._confirmed: Curve | Droop | None = None
        self._refused: str | None = None

    @property
    def fault(self) -> str | None:
        """Why the curve is not in force, one line; None while it is."""
        if self._refused is not None:
            return self._refused
        return super().fault or (None if self._confirmed is not None else "not told yet")

    async def _begin(self) -> None:
        self._confirmed = None
        self._found = await discover(self._link)

    async def _round(self) -> None:
        assert self._found is not None, "the session has begun"
        try:
            shown = await in_force(self._link, self._found, self._curve.kind)
            if self._confirmed is None or shown != self._confirmed:
                self._confirmed = None
                await adopt(self._link, self._found, self._curve)
                self._confirmed = await in_force(self._link, self._found, self._curve.kind)
            self._refused = None
        except FunctionRefused as refused:
            self._confirmed, self._refused = None, str(refused)
