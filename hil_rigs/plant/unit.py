"""A storage unit as a whole: a converter on an aggregated battery whose voltage rises with its charge."""

from dataclasses import dataclass

from hil_rigs.plant.converter import ConverterPlant, ConverterState, parameters_for_link

NOMINAL_V = 1300.0
VOLTAGE_SPAN_FRAC = 0.1
"""Of nominal: from empty to full."""


@dataclass(slots=True)
class UnitPlant:
    """`energy_wh` between empty and full. `losses` are the converter's; the battery's own are part of its energy."""

    converter: ConverterPlant
    energy_wh: float
    soc_frac: float

    @property
    def dc_voltage_v(self) -> float:
        return NOMINAL_V * (1.0 + VOLTAGE_SPAN_FRAC * (self.soc_frac - 0.5))

    @property
    def dc_current_a(self) -> float:
        return self.converter.dc_power_w / self.dc_voltage_v

    def step(self, dt_s: float) -> None:
        """Advance; an empty or full battery trips its converter, as its own management would."""
        converter = self.converter
        converter.step(dt_s)
        self.soc_frac -= converter.dc_power_w * dt_s / 3600.0 / self.energy_wh
        if not 0.0 < self.soc_frac < 1.0 and converter.state is ConverterState.RUNNING:
            converter.stop()
        self.soc_frac = min(max(self.soc_frac, 0.0), 1.0)
        converter.settle(self.dc_voltage_v, self.dc_current_a)


def make_unit(rated_power_w: float, energy_wh: float, soc_frac: float, frequency_hz: float = 60.0) -> UnitPlant:
    """A unit at rest, its DC link live."""
    converter = ConverterPlant(parameters_for_link(NOMINAL_V, rated_power_w), frequency_hz)
    unit = UnitPlant(converter, energy_wh, soc_frac)
    converter.settle(unit.dc_voltage_v, 0.0)
    return unit
