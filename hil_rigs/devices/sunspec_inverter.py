"""A simulated storage converter on SunSpec models 1, 701, 702, 704, 713, 714, 715 and 802, as strict as a real one."""

import asyncio
from collections.abc import Callable, Sequence

from hil_rigs.devices.modbus_frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.sunspec_inverter_models import (
    BatterySummary,
    Converter,
    ReportingFaults,
    battery_model,
    capacity_model,
    common_model,
    control_model,
    controls_model,
    dc_model,
    measurement_model,
    storage_model,
)
from hil_rigs.devices.sunspec_map import ServedModel, SunSpecMap, Values


class SunSpecInverterDevice:
    """Registers of one converter, for a ModbusServer. Needs a running loop: the reversion timer is on its clock.

    Each write that enables WSet restarts the timer of WSetRvrtTms whole seconds (0 = none). On expiry WSet becomes
    WSetRvrt and WSetEna becomes WSetEnaRvrt; a set-point that is not enabled means 0 W. `grid_forming` is the mode
    that it reports; `local_control` is a fault hook: somebody at the panel took over, and writes are refused with
    exception 4. `on_control` is called whenever a write or a reversion has set `set_power_w` or `told_to_run` anew.
    """

    def __init__(self, converter: Converter, battery: Callable[[], BatterySummary], serial: str = "1") -> None:
        self.local_control = False
        self.grid_forming = False
        self.on_control: Callable[[], None] = lambda: None
        self.faults = ReportingFaults()
        self._converter = converter
        self._reversion: asyncio.TimerHandle | None = None
        self._controls = controls_model(self._remaining_s)
        self._control = control_model(lambda: self.local_control)
        models = [
            common_model("simulated converter", serial),
            measurement_model(converter, self.faults, lambda: self.grid_forming),
            capacity_model(converter.rated_power_w),
            self._controls,
            storage_model(battery),
            dc_model(converter, self.faults),
            self._control,
            battery_model(battery, converter.rated_power_w),
        ]
        self._map = SunSpecMap(models, self._check, self._written)

    @property
    def set_power_w(self) -> float:
        """Set-point in effect, discharge positive."""
        controls = self._controls
        if not controls.get("WSetEna"):
            return 0.0
        if controls.get("WSetMod") == controls.layout.symbol("WSetMod", "WATTS"):
            return controls.number("WSet")
        return controls.number("WSetPct") / 100.0 * self._converter.rated_power_w

    @property
    def cap_w(self) -> float | None:
        """Magnitude of a set-point that is enabled, which binds a grid-forming converter too; None = none."""
        return abs(self.set_power_w) if self._controls.get("WSetEna") else None

    @property
    def told_to_run(self) -> bool:
        """The last operation written is START."""
        return self._control.get("OpCtl") == self._symbol("START")

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
        if self.local_control:
            raise ModbusFault(DEVICE_FAILURE)
        bounds = {"WSet": self._converter.rated_power_w, "WSetPct": 100.0, "AlarmReset": 1}
        bounds |= {"WSetRvrt": bounds["WSet"], "WSetPctRvrt": bounds["WSetPct"]}
        for name, value in values.items():
            if name in bounds and isinstance(value, float | int) and abs(value) > bounds[name]:
                raise ModbusFault(ILLEGAL_VALUE)
        if "OpCtl" in values and values["OpCtl"] not in (self._symbol("START"), self._symbol("STOP")):
            raise ModbusFault(ILLEGAL_VALUE)

    def _written(self, model: ServedModel, names: Sequence[str]) -> None:
        if model is self._controls:
            if "WSetEna" in names:
                self._restart_reversion()
            self._apply_set_point()
        if model is self._control:
            self._operate(names)

    def _restart_reversion(self) -> None:
        self.close()
        delay_s = self._controls.number("WSetRvrtTms")
        if self._controls.get("WSetEna") and delay_s > 0:
            loop = asyncio.get_running_loop()
            self._reversion = loop.call_at(loop.time() + delay_s, self._revert)

    def _revert(self) -> None:
        self._reversion = None
        reverts = {"WSet": "WSetRvrt", "WSetPct": "WSetPctRvrt", "WSetEna": "WSetEnaRvrt"}
        self._controls.put({name: self._controls.get(to) for name, to in reverts.items()})
        self._apply_set_point()

    def _apply_set_point(self) -> None:
        self._converter.set_power(self.set_power_w)
        self.on_control()

    def _operate(self, names: Sequence[str]) -> None:
        if "AlarmReset" in names and self._control.get("AlarmReset") == 1:
            self._control.put({"AlarmReset": 0})
            self._converter.reset()
        if "OpCtl" in names:
            act = self._converter.start if self.told_to_run else self._converter.stop
            act()
            self.on_control()

    def _remaining_s(self) -> float:
        return 0.0 if self._reversion is None else self._reversion.when() - asyncio.get_running_loop().time()

    def _symbol(self, name: str) -> int:
        return self._control.layout.symbol("OpCtl", name)
