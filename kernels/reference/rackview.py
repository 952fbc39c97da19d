"""What a tick asks of a rack's cells as array expressions: what kernels.rackview must equal."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.checks import Floats
from kernels.frame_plan import NEVER_NS

Times = NDArray[np.int64]


def rack_extremes(
    voltage_v: Floats, temperature_degc: Floats, voltage_at_ns: Times, temperature_at_ns: Times
) -> tuple[float, float, int, int, float, float, int, int, int, int]:
    """See kernels.rackview.rack_extremes."""
    if {temperature_degc.size, voltage_at_ns.size, temperature_at_ns.size} != {voltage_v.size} or not voltage_v.size:
        raise ValueError("voltages, temperatures and their times: expected the same number of each, at least 1")
    return *_ends(voltage_v), *_ends(temperature_degc), int(voltage_at_ns.min()), int(temperature_at_ns.min())


def _ends(values: Floats) -> tuple[float, float, int, int]:
    least, most = int(values.argmin()), int(values.argmax())  # both end at the first NaN
    return float(values[least]), float(values[most]), least, most


def group_maxima(values: Floats, first: Times, into: Floats) -> None:
    """See kernels.rackview.group_maxima."""
    if into.size != first.size:
        raise ValueError(f"into: got {into.size} places, expected {first.size}")
    ends = [*first.tolist()[1:], values.size]
    for k, (start, end) in enumerate(zip(first.tolist(), ends, strict=True)):
        if not 0 <= start < end <= values.size:
            raise ValueError(f"first[{k}]: got {start}, expected a group before {end} within {values.size} values")
    into[:] = [values[start:end].max() for start, end in zip(first.tolist(), ends, strict=True)]


class CellTaker:
    """See kernels.rackview.CellTaker."""

    def __init__(
        self,
        values: Floats,
        at_ns: Times,
        voltage: ArrayLike,
        voltage_frame: ArrayLike,
        temperature: ArrayLike,
        temperature_frame: ArrayLike,
    ) -> None:
        self._values, self._at_ns = values, at_ns
        self._voltage = _indices("voltage", voltage, values)
        self._voltage_frame = _indices("voltage_frame", voltage_frame, at_ns)
        self._temperature = _indices("temperature", temperature, values)
        self._temperature_frame = _indices("temperature_frame", temperature_frame, at_ns)

    def take(self) -> tuple[Floats, Times, Floats, Times]:
        voltage_v, temperature_degc = self._values[self._voltage], self._values[self._temperature]
        voltage_at_ns = np.where(np.isnan(voltage_v), NEVER_NS, self._at_ns[self._voltage_frame])
        temperature_at_ns = np.where(np.isnan(temperature_degc), NEVER_NS, self._at_ns[self._temperature_frame])
        for taken in (voltage_v, voltage_at_ns, temperature_degc, temperature_at_ns):
            taken.flags.writeable = False
        return voltage_v, voltage_at_ns, temperature_degc, temperature_at_ns


def _indices(name: str, indices: ArrayLike, column: Floats | Times) -> Times:
    array = np.array(indices, np.int64)
    wrong = array[(array < 0) | (array >= column.size)].tolist()
    if wrong or not array.size:
        raise ValueError(f"{name}: got {wrong[:1]}, expected indices of 0 to {column.size - 1}, at least one")
    return array
