"""The smoothing loop inside a converter: parameters pushed, read back and verified over a connection of their own."""

import asyncio
from dataclasses import dataclass
from math import isnan, nan

from drivers.clock import now_ns
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.profiles.codec import encode, nearest_raw
from drivers.profiles.profile import Profile
from drivers.profiles.reader import RoleReader
from drivers.profiles.roles import LOOP, Role
from drivers.readings import LinkHealth
from drivers.session import Sessions


@dataclass(frozen=True, slots=True)
class LoopParameters:
    """What the loop shall do. It holds the grid's power at a first-order filter of what the site takes
    (`filter_time_s`), moved by at most `ramp_w_per_s`; `gain` times the rest goes to the battery, within the two power
    limits (magnitudes), on top of the set-point."""

    enabled: bool
    filter_time_s: float = nan
    ramp_w_per_s: float = nan
    gain: float = nan
    charge_power_w_max: float = nan
    discharge_power_w_max: float = nan

    def values(self) -> dict[Role, float]:
        """SI values by role; the enabling register apart."""
        return {
            "loop-filter-time": self.filter_time_s,
            "loop-ramp": self.ramp_w_per_s,
            "loop-gain": self.gain,
            "loop-charge-power-max": self.charge_power_w_max,
            "loop-discharge-power-max": self.discharge_power_w_max,
        }


OFF = LoopParameters(enabled=False)
"""Disabled; the other registers stay as they are."""


class OwnLoop:
    """Keeps the loop of one converter at the newest parameters, as long as those last.

    What changed is written at once, then all of it is read back every `period_s`. `mismatch` says what the device shows
    otherwise than it was told (empty = nothing); `confirmed` are the parameters that it showed last as they were told,
    None from a change on until then, and without a connection.
    """

    def __init__(self, link: ModbusLink, profile: Profile, period_s: float) -> None:
        self.confirmed: LoopParameters | None = None
        self.mismatch = ""
        self._link, self._profile, self._period_s = link, profile, period_s
        self._reader = RoleReader(profile, LOOP)
        self._sessions = Sessions(f"own loop {link.name}", link, self._session)
        self._told: LoopParameters = OFF
        self._expires_ns = 0
        self._written: dict[Role, float] = {}
        self._wake = asyncio.Event()

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the device, one line; None while there is one."""
        return self._sessions.fault

    def tell(self, parameters: LoopParameters, expires_ns: int) -> None:
        """Takes effect at once; nothing is written after `expires_ns`."""
        self._expires_ns = expires_ns
        if parameters != self._told:
            self._told, self.confirmed = parameters, None
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        self._written, self.confirmed = {}, None
        self._sessions.opened()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._push_and_verify(self._told)
                except LinkDown:
                    raise
                except LinkError as error:
                    self.confirmed, self.mismatch = None, str(error)
                await self._wait()
        finally:
            self.confirmed = None

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._period_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _push_and_verify(self, told: LoopParameters) -> None:
        """A loop that is to be off is off before anything else is written."""
        if now_ns() < self._expires_ns:
            for role, raw in self._raws(told).items():
                if self._written.get(role) != raw:
                    await self._write(role, raw)
        shown = await self._read_back()
        wrong = [role for role, raw in self._raws(told).items() if shown.get(role) != raw]
        if told is not self._told:
            return
        self.confirmed = None if wrong else told
        self.mismatch = ", ".join(f"{role} shows {shown.get(role)}, told {self._raws(told)[role]}" for role in wrong)
        for role in wrong:
            self._written.pop(role, None)

    def _raws(self, told: LoopParameters) -> dict[Role, float]:
        raws = {role: self._raw(role, value) for role, value in told.values().items() if not isnan(value)}
        return {**raws, "loop-enable": float(told.enabled)}

    def _raw(self, role: Role, value: float) -> float:
        register = self._profile.find(role)
        assert register is not None, "the profile was checked"
        return nearest_raw(register, value)

    async def _write(self, role: Role, raw: float) -> None:
        register = self._profile.find(role)
        assert register is not None, "the profile was checked"
        assert register.write is not None, "the profile was checked"
        registers = encode(register, raw, self._profile.word_order)
        await self._link.write_registers(register.address, registers, self._expires_ns, function=register.write)
        self._written[role] = raw

    async def _read_back(self) -> dict[Role, float | None]:
        said = await self._reader.read(self._link)
        return {role: said.raw(role) for role in LOOP}
