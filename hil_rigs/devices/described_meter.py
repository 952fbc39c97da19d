"""A simulated meter behind any profile."""

from collections.abc import Callable
from math import sqrt

from drivers.profiles import Profile
from hil_rigs.devices.described_registers import DescribedDevice, Writes
from hil_rigs.devices.modbus_frames import ILLEGAL_ADDRESS, ModbusFault
from hil_rigs.devices.sunspec_inverter_models import GRID_VOLTAGE_V


class DescribedMeterDevice(DescribedDevice):
    """Registers of one meter, for a ModbusServer; read-only. `voltage_pu` is per unit of the nominal 400 V.
    `shown_frequency_hz` and `shown_phase_v`, unless None, are what it shows instead of the grid's."""

    def __init__(
        self,
        power_w: Callable[[], float],
        frequency_hz: Callable[[], float],
        profile: Profile,
        voltage_pu: Callable[[], float] = lambda: 1.0,
    ) -> None:
        profile.must_be("meter")
        super().__init__(profile)
        self._power_w, self._frequency_hz, self._voltage_pu = power_w, frequency_hz, voltage_pu
        self.shown_frequency_hz: float | None = None
        self.shown_phase_v: float | None = None

    def _obey(self, written: Writes) -> None:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def _show(self) -> None:
        frequency_hz = self._frequency_hz() if self.shown_frequency_hz is None else self.shown_frequency_hz
        phase_v = self._voltage_pu() * GRID_VOLTAGE_V / sqrt(3.0) if self.shown_phase_v is None else self.shown_phase_v
        self._registers.put({"ac-power": self._power_w(), "frequency": frequency_hz, "voltage": phase_v})
