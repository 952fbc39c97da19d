"""Power requests over SunSpec: 704's set-point with its reversion, and 715's heartbeat, as inputs of `remote-power`."""

from collections.abc import Sequence

from bms.north.site_models import seconds, whole_seconds
from bms.north.site_now import SiteNorth
from bms.north.wire_requests import WireRequests
from drivers.serve.frames import ILLEGAL_VALUE, ModbusFault
from drivers.serve.sunspec_map import ServedModel, Values
from drivers.sunspec import load_layout

SET_POINT_POINTS = (
    "WSetEna",
    "WSetMod",
    "WSet",
    "WSetRvrt",
    "WSetPct",
    "WSetPctRvrt",
    "WSetEnaRvrt",
    "WSetRvrtTms",
)
ASKING = frozenset({"WSetEna", "WSetMod", "WSet", "WSetPct"})
"""A write of one of these is a request, as long as the set-point is enabled."""


class RemoteSetPoint:
    """Models 704 and 715. A set-point that is enabled is the input of `remote-power` for WSetRvrtTms, or without that
    for as long as there is a sign of life; then it becomes what the reversion points say. What the site's desk
    refuses is refused on the wire, and nothing is changed. A share (WSetPct) is of model 702's WMax, as SunSpec has it.
    """

    def __init__(self, north: SiteNorth, requests: WireRequests) -> None:
        self._north, self._requests = north, requests
        self._bounds = north.remote_power
        layout = load_layout(704)
        self._symbol = layout.symbol
        fixed: Values = {
            "WSet_SF": 0,
            "WSetPct_SF": -1,
            "WSetEna": layout.symbol("WSetEna", "DISABLED"),
            "WSetMod": layout.symbol("WSetMod", "WATTS"),
            "WSetEnaRvrt": layout.symbol("WSetEnaRvrt", "DISABLED"),
            **dict.fromkeys(("WSet", "WSetRvrt", "WSetPct", "WSetPctRvrt"), 0.0),
            "WSetRvrtTms": 0,
            "WSetRvrtRem": 0,
        }
        served = self._bounds is not None
        self.controls = ServedModel(layout, fixed if served else {}, SET_POINT_POINTS if served else (), self._live)
        control = load_layout(715)
        self.control = ServedModel(
            control,
            {"ControllerHb": 0, "OpCtl": control.symbol("OpCtl", "START")},
            ("ControllerHb", "OpCtl"),
            self._live_control,
        )

    def check(self, model: ServedModel, values: Values) -> None:
        """Before a write is in the registers. ModbusFault refuses it."""
        if model is self.controls:
            self.controls.put(self._live())
            self._check_set_point({**{name: self.controls.get(name) for name in SET_POINT_POINTS}, **values}, values)
        if model is self.control and "OpCtl" in values:
            operation = self.control.layout.symbol
            if values["OpCtl"] not in (operation("OpCtl", "START"), operation("OpCtl", "STOP")):
                raise ModbusFault(ILLEGAL_VALUE)

    def written(self, model: ServedModel, names: Sequence[str]) -> None:
        """A write is in the registers."""
        if model is self.controls and "WSetEna" in names and not self._enabled(self.controls.get("WSetEna")):
            self._withdraw()
        if model is self.control and "ControllerHb" in names:
            self._requests.alive()
        stop = self.control.layout.symbol("OpCtl", "STOP")
        if model is self.control and "OpCtl" in names and self.control.get("OpCtl") == stop:
            self._withdraw()

    def _check_set_point(self, wanted: Values, written: Values) -> None:
        """`wanted`: all points as they would be."""
        assert self._bounds is not None, "nothing is writable without them"
        low_w, high_w = -self._bounds.charge_power_w_max, self._bounds.discharge_power_w_max
        watts = [value for name, value in written.items() if name in ("WSet", "WSetRvrt")]
        shares = [value for name, value in written.items() if name in ("WSetPct", "WSetPctRvrt")]
        if not all(low_w <= _number(value) <= high_w for value in watts):
            raise self._requests.refused(f"set-point: expected {low_w:g} to {high_w:g} W", ILLEGAL_VALUE)
        if not all(abs(_number(value)) <= 100.0 for value in shares):
            raise self._requests.refused("set-point: expected -100 to 100 %", ILLEGAL_VALUE)
        if self._enabled(wanted["WSetEna"]) and ASKING & written.keys():
            reverts = self._power_w(wanted, "Rvrt") if self._enabled(wanted["WSetEnaRvrt"]) else None
            own_s = _number(wanted["WSetRvrtTms"])
            self._requests.ask(self._bounds.input, self._power_w(wanted), own_s, reverts if own_s else None)

    def _power_w(self, points: Values, suffix: str = "") -> float:
        if points["WSetMod"] == self._symbol("WSetMod", "WATTS"):
            return _number(points[f"WSet{suffix}"])
        assert self._bounds is not None
        most_w = max(self._bounds.charge_power_w_max, self._bounds.discharge_power_w_max)
        return _number(points[f"WSetPct{suffix}"]) / 100.0 * most_w

    def _withdraw(self) -> None:
        if self._bounds is not None:
            self._requests.withdraw(self._bounds.input)
        self.controls.put({"WSetEna": self._symbol("WSetEna", "DISABLED")} if self._bounds is not None else {})

    def _live(self) -> Values:
        """What holds, whatever was written once: it may have ended, or reverted."""
        if self._bounds is None:
            return {}
        held_w = self._requests.value(self._bounds.input)
        if held_w is None:
            return {"WSetEna": self._symbol("WSetEna", "DISABLED"), "WSetRvrtRem": 0}
        most_w = max(self._bounds.charge_power_w_max, self._bounds.discharge_power_w_max)
        return {
            "WSetEna": self._symbol("WSetEna", "ENABLED"),
            "WSet": held_w,
            "WSetPct": 100.0 * held_w / most_w,
            "WSetRvrtRem": whole_seconds(self._requests.own_left_s(self._bounds.input)),
        }

    def _live_control(self) -> Values:
        symbol = self.control.layout.symbol("LocRemCtl", "LOCAL" if self._north.requests.local else "REMOTE")
        return {"LocRemCtl": symbol, "DERHb": seconds()}

    def _enabled(self, value: object) -> bool:
        return value == self._symbol("WSetEna", "ENABLED")


def _number(value: object) -> float:
    assert isinstance(value, float | int)
    return value
