"""A simulated storage converter on SunSpec models 1, 701, 702, 704 to 706, 711 to 715 and 802, as strict as a real
one."""

from collections.abc import Callable, Sequence

from drivers.sunspec import Value
from hil_rigs.devices.modbus_frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.reversion import Reversion
from hil_rigs.devices.sunspec_curves import grid_functions
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
    """Registers of one converter, for a ModbusServer. Needs a running loop: the reversion timers are on its clock.

    Each write that enables WSet restarts the timer of WSetRvrtTms whole seconds (0 = none). On expiry WSet becomes
    WSetRvrt and WSetEna becomes WSetEnaRvrt; a set-point that is not enabled means 0 W. VarSet goes the same way with
    its own points, and not enabled means the converter's own behaviour, by its grid functions; active power always goes
    first. `grid_forming` is the mode that it reports; `local_control` is a fault hook: somebody at the panel took over,
    and writes are refused with exception 4. `on_control` is called whenever a write or a reversion has set
    `set_power_w` or `told_to_run` anew."""

    def __init__(self, converter: Converter, battery: Callable[[], BatterySummary], serial: str = "1") -> None:
        self.local_control = False
        self.grid_forming = False
        self.on_control: Callable[[], None] = lambda: None
        self.faults = ReportingFaults()
        self._converter = converter
        self._reversion, self._reactive_reversion = Reversion(self._revert), Reversion(self._revert_reactive)
        self._controls = controls_model(self._reversion.remaining_s, self._reactive_reversion.remaining_s)
        self._control = control_model(lambda: self.local_control)
        self._functions = grid_functions(converter)
        models = [
            common_model("simulated converter", serial),
            measurement_model(converter, self.faults, lambda: self.grid_forming),
            capacity_model(converter),
            self._controls,
            storage_model(battery),
            dc_model(converter, self.faults, battery()),
            self._control,
            battery_model(battery, converter.rated_power_w),
            *(function.model for function in self._functions),
        ]
        self._map = SunSpecMap(models, self._check, self._written)
        power_w, reactive_var = converter.rated_power_w, converter.reactive_var_max
        set_points = {"WSet": power_w, "WSetPct": 100.0, "VarSet": reactive_var, "VarSetPct": 100.0}
        reverted = {f"{name}Rvrt": bound for name, bound in set_points.items()}
        self._bounds = {**set_points, **reverted, "AlarmReset": 1}

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
    def set_reactive_var(self) -> float | None:
        """Reactive set-point in effect, injected positive; None = none is enabled."""
        controls, converter = self._controls, self._converter
        if not controls.get("VarSetEna"):
            return None
        symbol, mode = controls.layout.symbol, controls.get("VarSetMod")
        if mode == symbol("VarSetMod", "VARS"):
            return controls.number("VarSet")
        of: dict[Value, float] = {
            symbol("VarSetMod", "W_MAX_PCT"): converter.rated_power_w,
            symbol("VarSetMod", "VAR_MAX_PCT"): converter.reactive_var_max,
            symbol("VarSetMod", "VA_MAX_PCT"): converter.apparent_power_va,
        }
        return controls.number("VarSetPct") / 100.0 * of[mode]

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
        """Stops the reversion timers: the device is switched off."""
        self._reversion.close()
        self._reactive_reversion.close()
        for function in self._functions:
            function.close()

    def _check(self, model: ServedModel, values: Values) -> None:
        if self.local_control:
            raise ModbusFault(DEVICE_FAILURE)
        for function in self._functions:
            if model is function.model:
                function.check(values)
        for name, value in values.items():
            bound = self._bounds.get(name)
            if bound is not None and isinstance(value, float | int) and abs(value) > bound:
                raise ModbusFault(ILLEGAL_VALUE)
        if "VarSetMod" in values and values["VarSetMod"] == model.layout.symbol("VarSetMod", "VAR_AVAIL_PCT"):
            raise ModbusFault(ILLEGAL_VALUE)  # not offered
        if values.get("VarSetPri") not in (None, 0):
            raise ModbusFault(ILLEGAL_VALUE)  # active power first, and nothing else
        if "OpCtl" in values and values["OpCtl"] not in (self._symbol("START"), self._symbol("STOP")):
            raise ModbusFault(ILLEGAL_VALUE)

    def _written(self, model: ServedModel, names: Sequence[str]) -> None:
        if model is self._controls:
            if "WSetEna" in names:
                self._restart(self._reversion, "WSet")
            if "VarSetEna" in names:
                self._restart(self._reactive_reversion, "VarSet")
            self._apply_set_point()
        if model is self._control:
            self._operate(names)
        for function in self._functions:
            if model is function.model:
                function.written(names)

    def _restart(self, reversion: Reversion, set_point: str) -> None:
        enabled = self._controls.get(f"{set_point}Ena")
        reversion.restart(self._controls.number(f"{set_point}RvrtTms") if enabled else 0.0)

    def _revert(self) -> None:
        self._put_reverted("WSet")

    def _revert_reactive(self) -> None:
        self._put_reverted("VarSet")

    def _put_reverted(self, set_point: str) -> None:
        names = [set_point + suffix for suffix in ("", "Pct", "Ena")]
        self._controls.put({name: self._controls.get(f"{name}Rvrt") for name in names})
        self._apply_set_point()

    def _apply_set_point(self) -> None:
        self._converter.set_power(self.set_power_w)
        self._converter.set_reactive(self.set_reactive_var)
        self.on_control()

    def _operate(self, names: Sequence[str]) -> None:
        if "AlarmReset" in names and self._control.get("AlarmReset") == 1:
            self._control.put({"AlarmReset": 0})
            self._converter.reset()
        if "OpCtl" in names:
            act = self._converter.start if self.told_to_run else self._converter.stop
            act()
            self.on_control()

    def _symbol(self, name: str) -> int:
        return self._control.layout.symbol("OpCtl", name)
