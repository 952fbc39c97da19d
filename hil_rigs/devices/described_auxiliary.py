"""A simulated auxiliary device behind any profile: it shows what surrounds the racks, and drives the outputs."""

from collections.abc import Sequence
from typing import Any, Protocol

from drivers.auxiliary.described import FIELDS
from drivers.profiles import Profile
from drivers.profiles.codec import flag_raw
from drivers.profiles.roles import ROLES
from hil_rigs.devices.described_registers import DescribedDevice, Writes
from hil_rigs.devices.modbus_frames import ILLEGAL_VALUE, ModbusFault

HEALTHY = {"smoke_detected": False, "gas_detected": False, "fire_panel_alarm": False, "cooling_failed": False,
           "aux_on_battery": False, "fire_output_on": False}  # fmt: skip
"""Flags that are false where all is well; the others are true then."""
WORST = {"coolant_temperature_degc": max, "precharge_temperature_degc": max, "aux_supply_v": min,
         "aux_charge_frac": min}  # fmt: skip


class Surroundings(Protocol):
    """What it shows and drives; hil_rigs.plant.Enclosure is one, with a field for each of FIELDS."""

    def drive(self, fire_alarm: bool | None, cooling: bool | None) -> None: ...


class DescribedAuxiliaryDevice(DescribedDevice):
    """Registers of one device around several racks, for a ModbusServer: it shows the worst of them, and drives all.
    What it was told last stays: it has no watchdog. ValueError for the profile of something else."""

    def __init__(self, around: Sequence[Surroundings], profile: Profile) -> None:
        profile.must_be("auxiliary")
        super().__init__(profile)
        self._around, self._profile = around, profile
        cooling = profile.find("cooling-output")
        if cooling is not None:
            self._registers.put_raw(cooling, flag_raw(cooling, True))

    def _obey(self, written: Writes) -> None:
        """ModbusFault 3 for a value that is neither yes nor no."""
        if any(raw not in (*register.true_at, *register.false_at) for register, raw in written):
            raise ModbusFault(ILLEGAL_VALUE)
        told: dict[str, bool] = {}
        for register, raw in written:
            self._registers.put_raw(register, raw)
            told[register.role] = raw in register.true_at
        for surroundings in self._around:
            surroundings.drive(told.get("fire-output"), told.get("cooling-output"))

    def _show(self) -> None:
        for role, field in FIELDS.items():
            register = self._profile.find(role)
            if register is None:
                continue
            values = [getattr(each, field) for each in self._around]
            if ROLES[role].units:
                self._registers.put({role: WORST[field](values)})
            elif None not in values:
                self._registers.put_raw(register, flag_raw(register, self._worst(field, values)))
            elif register.absent_raw is not None:
                self._registers.put_raw(register, register.absent_raw)

    def _worst(self, field: str, values: list[Any]) -> bool:
        healthy = HEALTHY.get(field, True)
        return healthy if all(value is healthy for value in values) else not healthy
