"""A simulated meter behind any profile."""

from collections.abc import Callable
from math import sqrt

from drivers.profiles import Profile
from hil_rigs.devices.described_registers import HOLDING, INPUT, DescribedRegisters
from hil_rigs.devices.modbus_frames import ILLEGAL_ADDRESS, ModbusFault
from hil_rigs.plant.converter import GRID_VOLTAGE_V


class DescribedMeterDevice:
    """Registers of one meter, for a ModbusServer; read-only. `shown_frequency_hz`, unless None, is what it shows
    instead of the grid's."""

    def __init__(self, power_w: Callable[[], float], frequency_hz: Callable[[], float], profile: Profile) -> None:
        if profile.kind != "meter":
            raise ValueError(f"profile {profile.name} describes an {profile.kind}, expected a meter")
        self._power_w, self._frequency_hz = power_w, frequency_hz
        self.shown_frequency_hz: float | None = None
        self._phase_v = GRID_VOLTAGE_V / sqrt(3.0)
        self._registers = DescribedRegisters(profile)

    def read(self, address: int, count: int) -> list[int]:
        """Holding registers."""
        self._show()
        return self._registers.read(HOLDING, address, count)

    def read_input(self, address: int, count: int) -> list[int]:
        self._show()
        return self._registers.read(INPUT, address, count)

    def write(self, address: int, values: list[int]) -> None:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def show_voltage(self, phase_v: float) -> None:
        """The same on all phases, from now on."""
        self._phase_v = phase_v

    def _show(self) -> None:
        frequency_hz = self._frequency_hz() if self.shown_frequency_hz is None else self.shown_frequency_hz
        self._registers.put({"ac-power": self._power_w(), "frequency": frequency_hz, "voltage": self._phase_v})
