"""SunSpec models 705, 706, 711 and 712 of a simulated converter: sets to write, adopt, enable and revert.

Set 1 is what is in force and read-only, set 2 may be written. A request to adopt a set that makes no sense ends in
FAILED and changes nothing. After RvrtTms the set that RvrtCrv or RvrtCtl names is adopted; 0 = the function ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.sunspec.layout import load_layout
from hil_rigs.devices.modbus_frames import ILLEGAL_VALUE, ModbusFault
from hil_rigs.devices.reversion import Reversion
from hil_rigs.devices.sunspec_inverter_models import Converter
from hil_rigs.devices.sunspec_map import ServedModel, Values
from hil_rigs.plant.grid_support import DroopLaw, Line

POINTS, SETS = 6, 2
SCALES = {"V_SF": -2, "W_SF": -1, "DeptRef_SF": -1, "RspTms_SF": -1, "Db_SF": -3, "K_SF": -3}
"""All of those that a model has."""
SHARE_PCT_MAX = 100.0


@dataclass(frozen=True, slots=True)
class FunctionNames:
    """How a model calls its sets, what adopts them, and its curve's points (empty: it has none)."""

    sets: str
    adopt: str
    reverts_to: str
    x: str = ""
    y: str = ""


NAMES = {
    705: FunctionNames("Crv", "AdptCrv", "RvrtCrv", "V", "Var"),
    706: FunctionNames("Crv", "AdptCrv", "RvrtCrv", "V", "W"),
    711: FunctionNames("Ctl", "AdptCtl", "RvrtCtl"),
    712: FunctionNames("Crv", "AdptCrv", "RvrtCrv", "W", "Var"),
}


class ServedFunction:
    """One of the models. `apply(None)` is called when the function ends, with its law when that is in force."""

    def __init__(self, model_id: int, converter: Converter, apply: Callable[[Line | DroopLaw | None], None]) -> None:
        self._names, self._converter, self._apply = NAMES[model_id], converter, apply
        self._reversion = Reversion(self._revert)
        names = self._names
        counts = {"NPt": POINTS, "NCrv": SETS} if names.x else {"NCtl": SETS}
        layout = load_layout(model_id, **counts)
        scales: Values = {name: SCALES[name] for name, point in layout.points.items() if point.type == "sunssf"}
        general: Values = {
            **counts,
            "Ena": 0,
            f"{names.adopt}Req": 0,
            f"{names.adopt}Rslt": layout.symbol(f"{names.adopt}Rslt", "COMPLETED"),
            "RvrtTms": 0,
            "RvrtRem": 0,
            names.reverts_to: 0,
        }
        sets: dict[str, float | int] = {}
        for k in range(SETS):
            of_set = {name for name in layout.points if name.startswith(f"{names.sets}[{k}].")}
            sets |= {name: 0 for name in of_set if not name.endswith("VRefAuto")}
            sets[f"{names.sets}[{k}].ReadOnly"] = 1 if k == 0 else 0
            sets |= {name: 100.0 for name in of_set if name.endswith("].VRef")}
        fixed: dict[str, float | int | str | None] = {**scales, **general}
        fixed |= {name: float(value) if layout.points[name].scale else value for name, value in sets.items()}
        writable = ["Ena", f"{names.adopt}Req", "RvrtTms", names.reverts_to]
        writable += [name for name in sets if name.startswith(f"{names.sets}[1].") and layout.points[name].writable]
        self.model = ServedModel(layout, fixed, writable, lambda: {"RvrtRem": round(self._reversion.remaining_s())})

    def check(self, values: Values) -> None:
        """ModbusFault 3 for what no set can be; whether points make a curve is asked when they are adopted."""
        for name in (f"{self._names.adopt}Req", self._names.reverts_to):
            number = values.get(name)
            if isinstance(number, int) and number > SETS:
                raise ModbusFault(ILLEGAL_VALUE)

    def written(self, names: Sequence[str]) -> None:
        request = f"{self._names.adopt}Req"
        if request in names:
            self._adopt(int(self.model.number(request)))
        if "Ena" in names:
            self._reversion.restart(self.model.number("RvrtTms") if self.model.get("Ena") else 0.0)
        self._follow()

    def close(self) -> None:
        self._reversion.close()

    def _adopt(self, number: int) -> None:
        result, makes_sense = f"{self._names.adopt}Rslt", number >= 1 and self._makes_sense(number - 1)
        if makes_sense:
            to, of = f"{self._names.sets}[0].", f"{self._names.sets}[{number - 1}]."
            own = {name.removeprefix(of) for name in self.model.layout.points if name.startswith(of)} - {"ReadOnly"}
            self.model.put({to + name: self.model.get(of + name) for name in own})
        self.model.put({result: self.model.layout.symbol(result, "COMPLETED" if makes_sense else "FAILED")})

    def _makes_sense(self, k: int) -> bool:
        if not self._names.x:
            droops = [self.model.number(f"Ctl[{k}].{name}") for name in ("KOf", "KUf")]
            return min(droops) > 0.0
        points = self._points(k)
        rising = all(before[0] < after[0] for before, after in pairwise(points))
        return len(points) >= 2 and rising and all(abs(y) <= SHARE_PCT_MAX for _, y in points)

    def _points(self, k: int) -> list[tuple[float, float]]:
        """In percent; none when the set claims more than it has."""
        x, y, count = self._names.x, self._names.y, int(self.model.number(f"Crv[{k}].ActPt"))
        return [
            (self.model.number(f"Crv[{k}].Pt[{i}].{x}"), self.model.number(f"Crv[{k}].Pt[{i}].{y}"))
            for i in range(count if count <= POINTS else 0)
        ]

    def _revert(self) -> None:
        number = int(self.model.number(self._names.reverts_to))
        if number >= 1:
            self._adopt(number)
        else:
            self.model.put({"Ena": 0})
        self._follow()

    def _follow(self) -> None:
        sensible = self.model.get("Ena") and self._makes_sense(0)
        self._apply(self._law() if sensible else None)

    def _law(self) -> Line | DroopLaw:
        def said(name: str) -> float:
            return self.model.number(f"{self._names.sets}[0].{name}")

        if not self._names.x:
            return DroopLaw(said("DbOf"), said("DbUf"), said("KOf"), said("KUf"), said("RspTms"))
        whole = self._whole(int(said("DeptRef")))
        unit = self._converter.rated_power_w if self._names.x == "W" else 1.0
        points = tuple((x / 100.0 * unit, y / 100.0 * whole) for x, y in self._points(0))
        return Line(points, said("RspTms") if "Crv[0].RspTms" in self.model.layout.points else 0.0)

    def _whole(self, share_of: int) -> float:
        """What 100 % are."""
        symbols = {value: name for name, value in self.model.layout.points["Crv[0].DeptRef"].symbols.items()}
        whole = {"VAR_MAX_PCT": self._converter.reactive_var_max, "VA_MAX_PCT": self._converter.apparent_power_va}
        return whole.get(symbols[share_of], self._converter.rated_power_w)


def grid_functions(converter: Converter) -> list[ServedFunction]:
    """Models 705, 706, 711 and 712; what they say is done by the converter's `support`."""
    attributes = {705: "volt_var", 706: "volt_watt", 711: "droop", 712: "watt_var"}

    def applying(attribute: str) -> Callable[[Line | DroopLaw | None], None]:
        return lambda law: setattr(converter.support, attribute, law)

    return [ServedFunction(model_id, converter, applying(name)) for model_id, name in attributes.items()]
