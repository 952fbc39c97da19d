"""A simulated three-phase meter on SunSpec models 1 and 203."""

from collections.abc import Callable
from math import sqrt

from drivers.sunspec.layout import load_layout
from hil_rigs.devices.sunspec_inverter_models import common_model
from hil_rigs.devices.sunspec_map import ServedModel, SunSpecMap, Values, scale_exponent
from hil_rigs.plant.converter import GRID_VOLTAGE_V

HEADROOM = 1.2


class SunSpecMeterDevice:
    """Registers of one meter, for a ModbusServer; read-only. W is positive in import, in steps of the finest power of
    ten that carries 1.2 times `power_w_max` in 16 bits (1.5 MW: 100 W). `shown_frequency_hz`, unless None, is
    what it shows instead of the grid's."""

    def __init__(
        self,
        power_w: Callable[[], float],
        frequency_hz: Callable[[], float],
        power_w_max: float,
        serial: str = "1",
    ) -> None:
        self._power_w, self._frequency_hz = power_w, frequency_hz
        self.shown_frequency_hz: float | None = None
        largest_w = HEADROOM * power_w_max
        fixed: Values = {
            "A_SF": scale_exponent(largest_w / (sqrt(3.0) * GRID_VOLTAGE_V), "int16"),
            "V_SF": -1,
            "Hz_SF": -2,
            "W_SF": scale_exponent(largest_w, "int16"),
            "TotWh_SF": 0,
            "Evt": 0,
        }
        self._model = ServedModel(load_layout(203), fixed, live=self._live)
        self.show_voltage(GRID_VOLTAGE_V / sqrt(3.0))
        self._map = SunSpecMap([common_model("simulated meter", serial), self._model])

    def read(self, address: int, count: int) -> list[int]:
        return self._map.read(address, count)

    def write(self, address: int, values: list[int]) -> None:
        self._map.write(address, values)

    def show_voltage(self, phase_v: float) -> None:
        """The same on all phases, from now on."""
        self._model.put(
            {
                **dict.fromkeys(("PhV", "PhVphA", "PhVphB", "PhVphC"), phase_v),
                **dict.fromkeys(("PPV", "PhVphAB", "PhVphBC", "PhVphCA"), phase_v * sqrt(3.0)),
            }
        )

    def _live(self) -> Values:
        power_w = self._power_w()
        return {
            "W": power_w,
            "Hz": self._frequency_hz() if self.shown_frequency_hz is None else self.shown_frequency_hz,
            **dict.fromkeys(("A", "AphA", "AphB", "AphC"), abs(power_w) / (sqrt(3.0) * GRID_VOLTAGE_V)),
        }
