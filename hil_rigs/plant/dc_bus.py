"""The DC link that joins racks and converter: its voltage, and each rack's share of the current."""

from collections.abc import Sequence
from math import exp, sqrt

from hil_rigs.plant.rack import RackPlant

IDLE_CURRENT_A = 5.0
"""Up to this the racks feed no load together: the losses of a converter that runs at 0 W, some kW at hundreds of volts,
and the link's bleed resistor."""


class DcBus:
    """Link capacitor with a bleed resistor, fed by racks through their main or precharge path.

    Every step treats racks as sources (emf behind a resistance) and the converter as constant power, and moves the
    capacitor exactly over the step: the same formula gives precharge (seconds), inrush and shared load (below a
    millisecond), and no step length makes it unstable. Circulating currents between racks come out by themselves.

    `racks_power_w` is what the racks' emf delivered in the last step, their own resistance included; `circulated_s` for
    how long the racks together have neither fed a load nor been fed: what they carry, they carry for each other."""

    def __init__(self, racks: Sequence[RackPlant], capacitance_f: float = 0.020, bleed_ohm: float = 5000.0) -> None:
        self.racks = tuple(racks)
        self.capacitance_f = capacitance_f
        self.bleed_s = 1.0 / bleed_ohm
        self.voltage_v = 0.0
        self.converter_current_a = 0.0
        self.racks_power_w = 0.0
        self.circulated_s = 0.0

    def step(self, dt_s: float, converter_power_w: float, feed_a: float = 0.0) -> None:
        """Advance by `dt_s` with the converter taking `converter_power_w` (discharge positive) from the link, or
        feeding it with the constant current `feed_a` instead; sets every rack's mean current over the step and the link
        voltage at its end."""
        racks_s = short_circuit_a = 0.0
        sources, behind_main = [], False
        for rack in self.racks:
            path_s, emf_v = rack.path_conductance_s, rack.emf_v
            sources.append((rack, path_s, emf_v))
            racks_s += path_s
            short_circuit_a += path_s * emf_v
            behind_main = behind_main or rack.main.closed
        conductance_s = self.bleed_s + racks_s
        current_a = -feed_a
        if feed_a == 0.0:
            current_a = self._converter_current_a(conductance_s, short_circuit_a, converter_power_w, behind_main)
        settled_v = (short_circuit_a - current_a) / conductance_s
        steps = conductance_s * dt_s / self.capacitance_f
        decay = exp(-steps)
        mean_v = settled_v + (self.voltage_v - settled_v) * (1.0 - decay) / steps
        self.voltage_v = max(settled_v + (self.voltage_v - settled_v) * decay, 0.0)
        self.converter_current_a = current_a
        together_a = short_circuit_a - (conductance_s - self.bleed_s) * mean_v
        self.circulated_s = self.circulated_s + dt_s if abs(together_a) <= IDLE_CURRENT_A else 0.0
        self._share(sources, mean_v)

    def _converter_current_a(
        self, conductance_s: float, short_circuit_a: float, power_w: float, behind_main: bool
    ) -> float:
        """Current of a constant power: at the voltage it settles to behind a closed main; otherwise it only moves
        the capacitor, so at the voltage there is now."""
        if power_w == 0.0:
            return 0.0
        if behind_main:
            # root of G v^2 - I v + P = 0; beyond the maximum power the link stays at half its open voltage
            root_a = sqrt(max(short_circuit_a**2 - 4 * conductance_s * power_w, 0.0))
            return (short_circuit_a - root_a) / 2
        return power_w / self.voltage_v if self.voltage_v > 1.0 else 0.0

    def _share(self, sources: Sequence[tuple[RackPlant, float, float]], mean_v: float) -> None:
        """Each rack's current at the link's mean voltage over the step."""
        racks_power_w, link_v = 0.0, self.voltage_v
        for rack, path_s, emf_v in sources:
            rack.current_a = current_a = path_s * (emf_v - mean_v)
            rack.link_voltage_v = link_v
            rack.circulated_s = self.circulated_s
            racks_power_w += emf_v * current_a
        self.racks_power_w = racks_power_w
