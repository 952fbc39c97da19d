"""A SunSpec model of our own: what was asked of the battery, what came of it, and every input that can be told.

SunSpec has a power set-point, but no word for what held it back, and none for the inputs of other applications.
"""

from collections.abc import Sequence
from math import isfinite

from bms.north.site_models import whole_seconds
from bms.north.site_now import SiteNorth
from bms.north.wire_requests import WireRequests
from bms.requests import Source
from drivers.clock import now_ns
from drivers.serve.sunspec_map import ServedModel, Values
from drivers.sunspec import Value
from drivers.sunspec.layout import ModelLayout, Point

MODEL_ID = 64900
"""Of those that SunSpec leaves to makers (64001 and above); none that it lists."""

POINTS = (
    ("ID", "uint16", 1),
    ("L", "uint16", 1),
    ("Local", "uint16", 1),
    ("Inputs", "uint16", 1),
    ("Requested", "float32", 2),
    ("Sent", "float32", 2),
    ("ChargeLimit", "float32", 2),
    ("DischargeLimit", "float32", 2),
    ("ClippedBy", "string", 16),
    ("ClipReason", "string", 32),
    ("Refusal", "string", 64),
)
INPUT_POINTS = (
    ("Name", "string", 24),
    ("Value", "float32", 2),
    ("ForS", "uint32", 2),
    ("LeftS", "uint32", 2),
    ("Holder", "uint16", 1),
    ("Pad", "pad", 1),
)
"""Of each input in their sorted order. A write of Value and ForS together tells it for so many seconds (0 = as long as
there is a sign of life); a ForS of 0xFFFFFFFE withdraws it."""

WITHDRAW = 0xFFFF_FFFE
HOLDERS = {None: 0, Source.OPERATOR: 1, Source.MODBUS: 2, Source.MQTT: 3, Source.REST: 4}


def input_layout(inputs: int) -> ModelLayout:
    """The model with so many inputs: `In[0].Value` is the first one's."""
    names = [*POINTS, *((f"In[{k}].{name}", kind, size) for k in range(inputs) for name, kind, size in INPUT_POINTS)]
    points: dict[str, Point] = {}
    offset = 0
    for name, kind, size in names:
        writable = name.endswith((".Value", ".ForS"))
        points[name] = Point(name, offset, size, kind, None, writable, {})
        offset += size
    return ModelLayout(MODEL_ID, points, offset)


def _named(names: Sequence[str]) -> dict[str, Value]:
    named: dict[str, Value] = {f"In[{k}].Name": name for k, name in enumerate(names)}
    return {**named, **{f"In[{k}].ForS": 0 for k in range(len(names))}}


class InputModel:
    """The model and its writes."""

    def __init__(self, north: SiteNorth, requests: WireRequests) -> None:
        self._north, self._requests, self._names = north, requests, list(north.requests.names)
        layout = input_layout(len(self._names))
        fixed: Values = {"Inputs": len(self._names), **_named(self._names)}
        writable = [point.name for point in layout.points.values() if point.writable]
        self.model = ServedModel(layout, fixed, writable, self._live)

    def check(self, model: ServedModel, values: Values) -> None:
        """Before a write is in the registers. ModbusFault refuses it."""
        if model is not self.model:
            return
        for k, name in enumerate(self._names):
            value, for_s = values.get(f"In[{k}].Value"), values.get(f"In[{k}].ForS")
            if for_s == WITHDRAW:
                self._requests.withdraw(name)
            elif value is not None:
                own_s = self.model.get(f"In[{k}].ForS") if for_s is None else for_s
                self._requests.ask(name, float(value), float(own_s or 0))

    def _live(self) -> Values:
        requests, now = self._north.requests, self._north.newest()
        values: dict[str, Value] = {"Local": int(requests.local), "Refusal": self._requests.refusal[:128]}
        if now is not None:
            values |= {
                "Requested": now.wish.requested_power_w,
                "Sent": now.decision.power_w,
                "ChargeLimit": now.limits.charge_power_w,
                "DischargeLimit": now.limits.discharge_power_w,
                "ClippedBy": now.decision.clipped_by[:32],
                "ClipReason": now.decision.clip_reason[:64],
            }
        for k, name in enumerate(self._names):
            value = requests.value(name, now_ns())
            values[f"In[{k}].Value"] = value if value is not None and isfinite(value) else None
            values[f"In[{k}].LeftS"] = whole_seconds(requests.left_s(name, now_ns()))
            values[f"In[{k}].Holder"] = HOLDERS[requests.holder(name)]
        return values
