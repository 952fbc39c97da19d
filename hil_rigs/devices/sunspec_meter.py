"""A simulated three-phase meter on SunSpec model 1 and 203 (integers) or 213 (floats)."""

from collections.abc import Callable
from math import sqrt

from drivers.sunspec import Value
from drivers.sunspec.layout import load_layout
from hil_rigs.devices.sunspec_inverter_models import GRID_VOLTAGE_V, common_model
from hil_rigs.devices.sunspec_map import ServedModel, SunSpecMap, Values, scale_exponent

HEADROOM = 1.2
ROOT_3 = sqrt(3.0)
INTEGERS, FLOATS = 203, 213
"""In 16 bits the frequency of 203 has steps of 10 mHz at best; 213 shows what it is."""


class SunSpecMeterDevice:
    """Registers of one meter, for a ModbusServer; read-only. W is positive in import; in model 203 in steps of the
    finest power of ten that carries 1.2 times `power_w_max` in 16 bits (1.5 MW: 100 W). `voltage_pu` is per unit of
    the nominal 400 V. `shown_frequency_hz` and `shown_phase_v`, unless None, are what it shows instead of the
    grid's."""

    def __init__(
        self,
        power_w: Callable[[], float],
        frequency_hz: Callable[[], float],
        power_w_max: float,
        serial: str = "1",
        voltage_pu: Callable[[], float] = lambda: 1.0,
        model_id: int = INTEGERS,
    ) -> None:
        self._power_w, self._frequency_hz, self._voltage_pu = power_w, frequency_hz, voltage_pu
        self.shown_frequency_hz: float | None = None
        self.shown_phase_v: float | None = None
        line = "PhVph" if model_id == INTEGERS else "PPVph"
        self._names = (
            ("PhV", "PPV", "A"),
            ("PhVphA", f"{line}AB", "AphA"),
            ("PhVphB", f"{line}BC", "AphB"),
            ("PhVphC", f"{line}CA", "AphC"),
        )
        largest_w = HEADROOM * power_w_max
        scales: Values = {
            "A_SF": scale_exponent(largest_w / (ROOT_3 * GRID_VOLTAGE_V), "int16"),
            "V_SF": -1,
            "Hz_SF": -2,
            "W_SF": scale_exponent(largest_w, "int16"),
            "TotWh_SF": 0,
        }
        fixed = {"Evt": 0, **(scales if model_id == INTEGERS else {})}
        model = ServedModel(load_layout(model_id), fixed, live=self._live)
        self._map = SunSpecMap([common_model("simulated meter", serial), model])

    def read(self, address: int, count: int) -> list[int]:
        return self._map.read(address, count)

    def write(self, address: int, values: list[int]) -> None:
        self._map.write(address, values)

    def _live(self) -> Values:
        power_w, voltage_pu = self._power_w(), self._voltage_pu()
        phase_v = self.shown_phase_v
        if phase_v is None:
            phase_v = voltage_pu * GRID_VOLTAGE_V / ROOT_3
        frequency_hz = self._frequency_hz() if self.shown_frequency_hz is None else self.shown_frequency_hz
        line_v, current_a = phase_v * ROOT_3, abs(power_w) / (ROOT_3 * GRID_VOLTAGE_V)
        values: dict[str, Value] = {"W": power_w, "Hz": frequency_hz}
        for phase, line, current in self._names:
            values[phase], values[line], values[current] = phase_v, line_v, current_a
        return values
