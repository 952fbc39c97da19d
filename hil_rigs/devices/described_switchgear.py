"""A simulated switchgear behind any profile."""

from typing import Protocol

from drivers.profiles import Profile
from drivers.profiles.codec import flag_raw
from drivers.profiles.registers import Register
from drivers.profiles.roles import Role
from hil_rigs.devices.described_registers import DescribedDevice, Writes
from hil_rigs.devices.sunspec_inverter_models import GRID_VOLTAGE_V


class Switchgear(Protocol):
    """What the map needs of a switchgear: voltages per unit of the nominal 400 V, `phase_deg` NaN without both."""

    @property
    def closed(self) -> bool: ...

    @property
    def sync_ok(self) -> bool: ...

    @property
    def grid_voltage_pu(self) -> float: ...

    @property
    def grid_hz(self) -> float: ...

    @property
    def site_voltage_pu(self) -> float: ...

    @property
    def site_hz(self) -> float: ...

    @property
    def phase_deg(self) -> float: ...

    @property
    def blocks_closed(self) -> int: ...

    def command_intertie(self, close: bool) -> None: ...

    def command_synchroniser(self, on: bool) -> None: ...

    def command_blocks(self, blocks: int) -> None: ...


class DescribedSwitchgearDevice(DescribedDevice):
    """Registers of one switchgear, for a ModbusServer. What it was told last stays: it has no watchdog. ValueError for
    the profile of something else. `lies` is a fault hook: its auxiliary contact says the opposite."""

    def __init__(self, switchgear: Switchgear, profile: Profile) -> None:
        profile.must_be("switchgear")
        super().__init__(profile)
        self._switchgear, self._profile = switchgear, profile
        self.lies = False

    def _obey(self, written: Writes) -> None:
        for register, raw in written:
            self._registers.put_raw(register, raw)
            self._take(register, int(raw))

    def _take(self, register: Register, raw: int) -> None:
        if register.role == "sync-command":
            self._switchgear.command_synchroniser(raw == 1)
        if register.role == "blocks-command":
            self._switchgear.command_blocks(raw)
        if register.role != "command":
            return
        for close, steps in ((True, self._profile.start), (False, self._profile.stop)):
            stands = all(self._registers.raw(self._profile.named(step.to)) == step.raw for step in steps)
            if steps[-1].to == register.name and stands:
                self._switchgear.command_intertie(close)

    def _show(self) -> None:
        gear = self._switchgear
        self._registers.put(
            {
                "grid-voltage": gear.grid_voltage_pu * GRID_VOLTAGE_V,
                "grid-frequency": gear.grid_hz,
                "site-voltage": gear.site_voltage_pu * GRID_VOLTAGE_V,
                "site-frequency": gear.site_hz,
                "blocks-closed": float(gear.blocks_closed),
            }
        )
        self._show_angle(gear.phase_deg)
        self._show_flag("intertie-closed", gear.closed != self.lies)
        self._show_flag("sync-ok", gear.sync_ok)

    def _show_angle(self, phase_deg: float) -> None:
        register = self._profile.find("phase-angle")
        if register is None:
            return
        if phase_deg == phase_deg:
            self._registers.put({"phase-angle": phase_deg})
        elif register.absent_raw is not None:
            self._registers.put_raw(register, register.absent_raw)

    def _show_flag(self, role: Role, value: bool) -> None:
        register = self._profile.find(role)
        assert register is not None, "the profile was checked"
        self._registers.put_raw(register, flag_raw(register, value))
