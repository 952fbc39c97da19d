"""The driver of a SunSpec PV inverter that is told to give less: model 704 (WMaxLimPct), or the older 123 (WMaxLimPct).

The inverter's own reversion timer ends a limit that nobody renews: 704 then takes `WMaxLimPctRvrt`, the share that the
site wants without the gateway; 123 goes back to no limit (SunSpec models 704 and 123, definitions of the points).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, isnan, nan

from drivers.clock import now_ns
from drivers.commands import PvCommand
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.readings import LinkHealth
from drivers.session import Sessions
from drivers.sunspec import MappedModel, SunSpecError, Value, discover, open_model

FULL_PCT = 100.0


@dataclass(frozen=True, slots=True)
class PvDevice:
    """What one connection learned: the model that limits, and the rated power in W."""

    controls: MappedModel
    rated_power_w: float
    block: Callable[[MappedModel, float, float, int], dict[str, Value]]

    def write(self, power_w_max: float, revert_frac: float, reversion_s: int) -> tuple[int, list[int]]:
        """Address and registers of one limit, rounded down to the register's step."""
        pct = min(max(FULL_PCT * power_w_max / self.rated_power_w, 0.0), FULL_PCT)
        return self.controls.encode(self.block(self.controls, pct, FULL_PCT * revert_frac, reversion_s))


class SunSpecPvInverter:
    """Keeps a PV inverter at the newest limit, as long as that lasts, and writes it each `write_period_s`; nothing is
    written before the first. `run` works for ever, through every loss of the device."""

    def __init__(
        self, link: ModbusLink, write_period_s: float = 0.2, reversion_s: int = 60, revert_frac: float = 0.0
    ) -> None:
        self._link = link
        self._sessions = Sessions(f"PV inverter {link.name}", link, self._session)
        self._write_period_s, self._reversion_s, self._revert_frac = write_period_s, reversion_s, revert_frac
        self._command: PvCommand | None = None
        self.rated_power_w = nan

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the device, one line; None while there is one."""
        return self._sessions.fault

    def command(self, command: PvCommand) -> None:
        """Written with the next period. ValueError when the power is not a number of at least 0."""
        if isnan(command.power_w_max) or command.power_w_max < 0.0:
            raise ValueError(f"PV limit must be at least 0 W, got {command.power_w_max}")
        self._command = command

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        device = await open_pv(self._link)
        self.rated_power_w = device.rated_power_w
        self._sessions.opened()
        pace = Pace(self._write_period_s)
        while True:
            await self._write(device)
            await pace.next()

    async def _write(self, device: PvDevice) -> None:
        command = self._command
        if command is None or now_ns() >= command.expires_ns:
            return
        address, registers = device.write(command.power_w_max, self._revert_frac, self._reversion_s)
        try:
            await self._link.write_registers(address, registers, command.expires_ns)
        except LinkDown:
            raise
        except LinkError:
            return  # counted by the link, and written again with the next period


async def open_pv(link: ModbusLink) -> PvDevice:
    """Finds model and rating. SunSpecError without a model that limits, or without a rating; link errors pass."""
    where = await discover(link)
    newer = 704 in where
    controls = await open_model(link, where.find(704, 123))
    rating = await open_model(link, where.find(702) if newer else where.find(120))
    rated_w = rating.values["WMaxRtg" if newer else "WRtg"]
    if not isinstance(rated_w, float | int) or rated_w <= 0.0:
        raise SunSpecError("the PV inverter does not say its rated power, which its limit is a share of")
    if controls.scales["WMaxLimPct_SF"] is None:
        raise SunSpecError("no scale factor WMaxLimPct_SF: the PV inverter takes no limit")
    return PvDevice(controls, float(rated_w), _block_704 if newer else _block_123)


def _block_704(model: MappedModel, pct: float, revert_pct: float, reversion_s: int) -> dict[str, Value]:
    enabled = model.layout.symbol("WMaxLimPctEna", "ENABLED")
    return {
        "WMaxLimPctEna": enabled,
        "WMaxLimPct": _down(model, pct),
        "WMaxLimPctRvrt": _down(model, revert_pct),
        "WMaxLimPctEnaRvrt": enabled,
        "WMaxLimPctRvrtTms": reversion_s,
    }


def _block_123(model: MappedModel, pct: float, revert_pct: float, reversion_s: int) -> dict[str, Value]:
    return {
        "WMaxLimPct": _down(model, pct),
        "WMaxLimPct_WinTms": model.values["WMaxLimPct_WinTms"],
        "WMaxLimPct_RvrtTms": reversion_s,
        "WMaxLimPct_RmpTms": model.values["WMaxLimPct_RmpTms"],
        "WMaxLim_Ena": model.layout.symbol("WMaxLim_Ena", "ENABLED"),
    }


def _down(model: MappedModel, pct: float) -> float:
    """To the register's step at or below: a limit is not rounded up."""
    scale = model.scales["WMaxLimPct_SF"] or 0
    step = 10.0**scale
    return floor(pct / step + 1e-9) * step
