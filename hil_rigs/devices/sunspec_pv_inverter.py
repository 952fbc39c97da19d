"""A simulated PV inverter on SunSpec models 1, 701, 702 and 704 whose power can be limited; strict as a real one."""

import asyncio
from collections.abc import Sequence
from math import ceil
from typing import Protocol

from drivers.sunspec.layout import load_layout
from hil_rigs.devices.modbus_frames import ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.sunspec_inverter_models import (
    AcSide,
    ReportingFaults,
    capacity_model,
    common_model,
    measurement_model,
)
from hil_rigs.devices.sunspec_map import ServedModel, SunSpecMap, Values

LIMIT_POINTS = ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")


class Limited(AcSide, Protocol):
    """Generation that takes a power limit, per unit of rated."""

    def limit(self, limit_frac: float) -> None: ...


class SunSpecPvInverterDevice:
    """Registers of one PV inverter, for a ModbusServer. Needs a running loop: the reversion timer is on its clock.

    WMaxLimPct binds as long as WMaxLimPctEna is ENABLED. Each write that enables it restarts the timer of
    WMaxLimPctRvrtTms whole seconds (0 = none); on expiry WMaxLimPct becomes WMaxLimPctRvrt and WMaxLimPctEna becomes
    WMaxLimPctEnaRvrt. Everything else is read-only; a limit above 100 % is refused with exception 3."""

    def __init__(self, pv: Limited, serial: str = "1") -> None:
        self.faults = ReportingFaults()
        self._pv = pv
        self._reversion: asyncio.TimerHandle | None = None
        layout = load_layout(704)
        disabled = layout.symbol("WMaxLimPctEna", "DISABLED")
        fixed: Values = {
            "WMaxLimPct_SF": -1,
            "WMaxLimPctEna": disabled,
            "WMaxLimPct": 100.0,
            "WMaxLimPctRvrt": 100.0,
            "WMaxLimPctEnaRvrt": disabled,
            "WMaxLimPctRvrtTms": 0,
        }
        remaining = "WMaxLimPctRvrtRem"
        self._controls = ServedModel(layout, fixed, LIMIT_POINTS, lambda: {remaining: ceil(self._remaining_s())})
        models = [
            common_model("simulated PV inverter", serial),
            measurement_model(pv, self.faults, lambda: False),
            capacity_model(pv, ("MAX_W",)),
            self._controls,
        ]
        self._map = SunSpecMap(models, self._check, self._written)

    def read(self, address: int, count: int) -> list[int]:
        return self._map.read(address, count)

    def write(self, address: int, values: list[int]) -> None:
        self._map.write(address, values)

    def close(self) -> None:
        """Stops the reversion timer: the device is switched off."""
        if self._reversion is not None:
            self._reversion.cancel()
            self._reversion = None

    def _check(self, model: ServedModel, values: Values) -> None:
        for name in ("WMaxLimPct", "WMaxLimPctRvrt"):
            value = values.get(name)
            if isinstance(value, float | int) and value > 100.0:
                raise ModbusFault(ILLEGAL_VALUE)

    def _written(self, model: ServedModel, names: Sequence[str]) -> None:
        if "WMaxLimPctEna" in names:
            self._restart_reversion()
        self._apply()

    def _restart_reversion(self) -> None:
        self.close()
        delay_s = self._controls.number("WMaxLimPctRvrtTms")
        if self._controls.get("WMaxLimPctEna") and delay_s > 0:
            loop = asyncio.get_running_loop()
            self._reversion = loop.call_at(loop.time() + delay_s, self._revert)

    def _revert(self) -> None:
        self._reversion = None
        reverts = {"WMaxLimPct": "WMaxLimPctRvrt", "WMaxLimPctEna": "WMaxLimPctEnaRvrt"}
        self._controls.put({name: self._controls.get(to) for name, to in reverts.items()})
        self._apply()

    def _apply(self) -> None:
        enabled = self._controls.get("WMaxLimPctEna")
        self._pv.limit(self._controls.number("WMaxLimPct") / 100.0 if enabled else 1.0)

    def _remaining_s(self) -> float:
        return 0.0 if self._reversion is None else self._reversion.when() - asyncio.get_running_loop().time()
