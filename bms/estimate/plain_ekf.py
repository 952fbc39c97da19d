"""A plain extended Kalman filter over SoC and two RC pairs: the comparison that the textbooks teach."""

from math import exp, sqrt

from bms.estimate.plain_cell import STEP, PlainCell, PlainTables, place
from bms.estimate.replay import GAP_S
from kernels.cell_tables import CellTables

VOLTAGE_SIGMA_V = 0.02
CURRENT_SIGMA_PER_H = 0.01
"""White noise of the current, in shares of the capacity an hour."""
GAP_SIGMA_FRAC_PER_S = 1.0 / 36000.0
"""Over a gap sigma grows as if 0.1 C had flowed."""
SOC_FRAC_MIN, SOC_FRAC_MAX = -0.05, 1.05


class PlainEkf:
    """States: SoC and the currents behind the two pairs; no hysteresis, no sensor bias, white noise only (after G. L.
    Plett, Battery Management Systems vol. 2, 2015, ch. 3). An unknown start is 0.5 with sigma 0.3."""

    def __init__(self, cell: CellTables) -> None:
        self._cell = PlainCell(cell)
        self._capacity_as = 3600.0 * cell.capacity_ah
        self._noise_a = CURRENT_SIGMA_PER_H * cell.capacity_ah
        self.start()

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        sigma = 0.3 if soc_sigma_frac is None else soc_sigma_frac
        self._x = [0.5 if soc_frac is None else soc_frac, 0.0, 0.0]
        self._p = [[0.0] * 3 for _ in range(3)]
        self._p[0][0] = sigma**2
        self._current_a = 0.0

    @property
    def soc_frac(self) -> float:
        return self._x[0]

    @property
    def soc_sigma_frac(self) -> float:
        return sqrt(self._p[0][0])

    def step(self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float) -> None:
        mean_a = 0.5 * (self._current_a + current_a)
        if dt_s > GAP_S or mean_a != mean_a:
            self._x[1] = self._x[2] = 0.0
            self._p[0][0] += (GAP_SIGMA_FRAC_PER_S * dt_s) ** 2
        elif dt_s > 0.0:
            self._predict(mean_a, dt_s)
        self._current_a = current_a
        if voltage_v == voltage_v and current_a == current_a:
            self._update(voltage_v, current_a, self._cell.at(temperature_degc))

    def doubt(self, charge_sigma_ah: float) -> None:
        self._p[0][0] += (3600.0 * charge_sigma_ah / self._capacity_as) ** 2

    def _predict(self, current_a: float, dt_s: float) -> None:
        decay = [1.0, *(exp(-dt_s / tau_s) for tau_s in self._cell.pair_tau_s)]
        gain = [-dt_s / self._capacity_as, 1.0 - decay[1], 1.0 - decay[2]]
        for i in range(3):
            self._x[i] = decay[i] * self._x[i] + gain[i] * current_a
            for j in range(3):
                self._p[i][j] = decay[i] * decay[j] * self._p[i][j] + gain[i] * gain[j] * self._noise_a**2

    def _update(self, voltage_v: float, current_a: float, tables: PlainTables) -> None:
        predicted_v, slope = self._predicted(current_a, tables)
        p = self._p
        towards = [sum(p[i][j] * slope[j] for j in range(3)) for i in range(3)]
        spread = sum(towards[i] * slope[i] for i in range(3)) + VOLTAGE_SIGMA_V**2
        for i in range(3):
            self._x[i] += towards[i] / spread * (voltage_v - predicted_v)
            for j in range(3):
                p[i][j] -= towards[i] * towards[j] / spread
        self._x[0] = min(max(self._x[0], SOC_FRAC_MIN), SOC_FRAC_MAX)

    def _predicted(self, current_a: float, tables: PlainTables) -> tuple[float, list[float]]:
        """Terminal voltage and its derivative by the states."""
        j, part = place(self._x[0])
        k, share = place(max(self._x[0] - tables.lag_per_a * self._x[2], SOC_FRAC_MIN))
        ohms = [table[k] + share * (table[k + 1] - table[k]) for table in (tables.resistance_ohm, *tables.pair_ohm)]
        rise_v = tables.ocv_v[j + 1] - tables.ocv_v[j]
        drop_v = ohms[0] * current_a + ohms[1] * self._x[1] + ohms[2] * self._x[2]
        return tables.ocv_v[j] + part * rise_v - drop_v, [rise_v / STEP, -ohms[1], -ohms[2]]
