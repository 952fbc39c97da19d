"""Checks of a scenario in the field's words, for example `within 200 ms: power_command_w == 0`; grammar: FORMS."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.config.near import near
from hil_rigs.report.summary import range_within
from hil_rigs.signals import EXTREMES, SIGNALS

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

FORMS = (
    "within TIME [of KIND | after TIME]: CONDITION",
    "never [after TIME]: CONDITION [for TIME]",
    "always [after TIME]: CONDITION",
    "at the end: CONDITION",
    "SIGNAL range <= VALUE in any TIME [after TIME]",
)
"""KIND is a kind of fault that the scenario injects (the first one if nothing is said); CONDITION is `SIGNAL < VALUE`
with <, <=, >, >=, == or !=, several joined by `and`; |SIGNAL| is its magnitude."""

TIMES_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
SCALES = {
    "W": {"mW": 1e-3, "W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9},
    "V": {"mV": 1e-3, "V": 1.0, "kV": 1e3},
    "A": {"mA": 1e-3, "A": 1.0, "kA": 1e3},
    "Hz": {"mHz": 1e-3, "Hz": 1.0},
    "degC": {"degC": 1.0, "°C": 1.0},
    "frac": {"%": 0.01},
    "s": {"ms": 1e-3, "s": 1.0, "min": 60.0},
    "var": {"var": 1.0, "kvar": 1e3, "Mvar": 1e6},
    "Wh": {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6},
    "": {},
}
ALIASES = {"grid": "grid_power_w", "load": "load_power_w", "battery": "battery_power_w"}
EQUAL_REL, EQUAL_ABS = 1e-9, 1e-9


class CheckError(ValueError):
    """A check that cannot be understood; `expected` says what could stand there."""

    def __init__(self, wrong: str, expected: str) -> None:
        super().__init__(f"{wrong}, expected {expected}")
        self.wrong, self.expected = wrong, expected


@dataclass(frozen=True, slots=True)
class Signals:
    """What is judged: `time_s[n]`, the sampled signals [n], and when which kind of fault was injected, in order."""

    time_s: Floats
    values: Mapping[str, Floats]
    injected: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check: as measured, in words."""

    measured: str
    passed: bool


class Check(Protocol):
    """`signals` are the names of what it needs; `needs` the kind of fault that it refers to ("" = any, None = no
    fault)."""

    @property
    def signals(self) -> frozenset[str]: ...

    @property
    def needs(self) -> str | None: ...

    def judge(self, signals: Signals) -> Finding: ...


OPERATORS: dict[str, Callable[[Floats, float], Truths]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": lambda values, value: np.isclose(values, value, EQUAL_REL, EQUAL_ABS),
    "!=": lambda values, value: ~np.isclose(values, value, EQUAL_REL, EQUAL_ABS),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`signal` (its magnitude if `magnitude`) against a value in the signal's own unit."""

    signal: str
    magnitude: bool
    comparison: str
    value: float

    def holds(self, signals: Signals) -> Truths:
        values = signals.values[self.signal]
        return OPERATORS[self.comparison](np.abs(values) if self.magnitude else values, self.value)


@dataclass(frozen=True, slots=True)
class Condition:
    """All of its comparisons at the same time."""

    parts: tuple[Comparison, ...]

    @property
    def signals(self) -> frozenset[str]:
        return frozenset(part.signal for part in self.parts)

    def holds(self, signals: Signals) -> Truths:
        holds: Truths = np.logical_and.reduce([part.holds(signals) for part in self.parts])
        return holds


@dataclass(frozen=True, slots=True)
class Within:
    """The condition becomes true within a time of a fault (or of a moment), and may end again."""

    condition: Condition
    within_s: float
    kind: str = ""
    after_s: float | None = None

    @property
    def signals(self) -> frozenset[str]:
        return self.condition.signals

    @property
    def needs(self) -> str | None:
        return self.kind if self.after_s is None else None

    def judge(self, signals: Signals) -> Finding:
        start_s = self.after_s
        if start_s is None:
            start_s = next((at_s for kind, at_s in signals.injected if self.kind in ("", kind)), math.nan)
        if not start_s <= (signals.time_s[-1] if len(signals.time_s) else -math.inf):
            return Finding("the fault never came" if self.after_s is None else "the run ended before", False)
        found = np.flatnonzero(self.condition.holds(signals) & (signals.time_s >= start_s))
        if not len(found):
            return Finding("never", False)
        took_s = float(signals.time_s[found[0]]) - start_s
        return Finding(f"after {time_words(took_s)}", took_s <= self.within_s + 1e-9)


@dataclass(frozen=True, slots=True)
class Never:
    """The condition is not true for a time or longer without a break (0 = not at any moment)."""

    condition: Condition
    for_s: float = 0.0
    after_s: float = 0.0

    @property
    def signals(self) -> frozenset[str]:
        return self.condition.signals

    @property
    def needs(self) -> str | None:
        return None

    def judge(self, signals: Signals) -> Finding:
        judged = signals.time_s >= self.after_s
        if not judged.any():
            return Finding("the run ended before", False)
        time_s, holds = signals.time_s[judged], self.condition.holds(signals)[judged]
        start, length_s = longest_run(time_s, holds)
        if start is None:
            return Finding("never", True)
        measured = f"for {time_words(length_s)} from {time_s[start]:.2f} s on"
        return Finding(measured, self.for_s > 0.0 and length_s < self.for_s)


@dataclass(frozen=True, slots=True)
class Always:
    """The condition is true at every moment."""

    condition: Condition
    after_s: float = 0.0

    @property
    def signals(self) -> frozenset[str]:
        return self.condition.signals

    @property
    def needs(self) -> str | None:
        return None

    def judge(self, signals: Signals) -> Finding:
        judged = signals.time_s >= self.after_s
        broken = np.flatnonzero(~self.condition.holds(signals)[judged])
        if not judged.any():
            return Finding("the run ended before", False)
        if len(broken):
            return Finding(f"not at {signals.time_s[judged][broken[0]]:.2f} s", False)
        return Finding("always", True)


@dataclass(frozen=True, slots=True)
class AtEnd:
    """The condition is true in the last sample."""

    condition: Condition

    @property
    def signals(self) -> frozenset[str]:
        return self.condition.signals

    @property
    def needs(self) -> str | None:
        return None

    def judge(self, signals: Signals) -> Finding:
        words = ", ".join(f"{name} {signals.values[name][-1]:.6g}" for name in sorted(self.signals))
        return Finding(words, bool(self.condition.holds(signals)[-1]))


@dataclass(frozen=True, slots=True)
class Range:
    """A signal's largest difference within any window."""

    signal: str
    limit: float
    window_s: float
    after_s: float = 0.0

    @property
    def signals(self) -> frozenset[str]:
        return frozenset({self.signal})

    @property
    def needs(self) -> str | None:
        return None

    def judge(self, signals: Signals) -> Finding:
        judged = signals.time_s >= self.after_s
        if judged.sum() < 2:
            return Finding("the run ended before", False)
        largest = range_within(signals.time_s[judged], signals.values[self.signal][judged], self.window_s)
        return Finding(value_words(largest, SIGNALS[self.signal].unit), largest <= self.limit)


def longest_run(time_s: Floats, holds: Truths) -> tuple[int | None, float]:
    """Index where the longest unbroken stretch of True begins, and how long it lasts: up to the first sample that is
    False again, at the end up to the last sample. None without any."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], holds, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return None, 0.0
    lengths_s = time_s[np.minimum(ends, len(time_s) - 1)] - time_s[starts]
    worst = int(lengths_s.argmax())
    return int(starts[worst]), float(lengths_s[worst])


def parse_check(text: str) -> Check:
    """The check that the text describes. CheckError says what is wrong in it."""
    words = " ".join(text.split())
    for pattern, build in _FORMS:
        if (found := pattern.fullmatch(words)) is not None:
            return build(found)
    raise CheckError("no form of a check", " or ".join(f"`{form}`" for form in FORMS))


_TIME = r"(?P<{0}>[0-9.]+ ?[a-z]+)"
_AFTER = rf"(?: after {_TIME.format('after')})?"
_RANGE = re.compile(
    rf"(?P<signal>\S+) range <= (?P<value>-?[0-9][^ ]*(?: ?[^ 0-9]\S*)?) in any {_TIME.format('window')}{_AFTER}"
)
_WITHIN = re.compile(rf"within {_TIME.format('within')}(?: of (?P<kind>[a-z][a-z0-9-]*)|{_AFTER}): (?P<condition>.+)")
_NEVER = re.compile(rf"never{_AFTER}: (?P<condition>.+?)(?: for {_TIME.format('for')})?")
_ALWAYS = re.compile(rf"always{_AFTER}: (?P<condition>.+)")
_AT_END = re.compile(r"at the end: (?P<condition>.+)")
_COMPARISON = re.compile(r"(?P<bar>\|?)(?P<signal>[a-z][a-z0-9_]*)\|? (?P<op>[<>]=?|[=!]=) (?P<value>.+)")
_VALUE = re.compile(r"(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?) ?(?P<unit>\S*)")


def _range(found: re.Match[str]) -> Check:
    signal = _signal(found["signal"])
    return Range(signal, _value(found["value"], signal), _seconds(found["window"]), _after(found) or 0.0)


def _within(found: re.Match[str]) -> Check:
    return Within(_condition(found["condition"]), _seconds(found["within"]), found["kind"] or "", _after(found))


def _never(found: re.Match[str]) -> Check:
    for_s = _seconds(found["for"]) if found["for"] else 0.0
    return Never(_condition(found["condition"], of_any_cell=True), for_s, _after(found) or 0.0)


def _always(found: re.Match[str]) -> Check:
    return Always(_condition(found["condition"]), _after(found) or 0.0)


def _at_end(found: re.Match[str]) -> Check:
    return AtEnd(_condition(found["condition"]))


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Check]], ...] = (
    (_RANGE, _range),
    (_WITHIN, _within),
    (_NEVER, _never),
    (_ALWAYS, _always),
    (_AT_END, _at_end),
)


def _after(found: re.Match[str]) -> float | None:
    return _seconds(found["after"]) if found["after"] else None


def _condition(text: str, *, of_any_cell: bool = False) -> Condition:
    """A quantity of many cells means all of them, or with `of_any_cell` one of them."""
    return Condition(tuple(_comparison(part, of_any_cell) for part in text.split(" and ")))


def _comparison(text: str, of_any_cell: bool) -> Comparison:
    found = _COMPARISON.fullmatch(text.strip())
    if found is None:
        raise CheckError(f"no condition: {text.strip()!r}", "SIGNAL < VALUE, with <, <=, >, >=, == or !=")
    signal = found["signal"]
    if signal in EXTREMES:
        if found["op"] in ("==", "!="):
            raise CheckError(f"{signal} is one value of many cells", f"{signal}_max or {signal}_min with {found['op']}")
        signal += "_max" if found["op"].startswith(">") is of_any_cell else "_min"
    signal = _signal(signal)
    return Comparison(signal, bool(found["bar"]), found["op"], _value(found["value"], signal))


def _signal(name: str) -> str:
    name = ALIASES.get(name, name)
    if name not in SIGNALS:
        meant = near(name, [*SIGNALS, *EXTREMES])
        raise CheckError(f"no signal {name!r}", f"{meant} perhaps" if meant else f"one of {', '.join(SIGNALS)}")
    return name


def _value(text: str, signal: str) -> float:
    """In the signal's own unit; without a unit it is in that."""
    found, unit = _VALUE.fullmatch(text.strip()), SIGNALS[signal].unit
    scales = SCALES[unit]
    if found is None or (found["unit"] and found["unit"] not in scales):
        units = f", in {', '.join(scales)}" if scales else ""
        raise CheckError(f"no value of {signal}: {text.strip()!r}", f"a number{units}")
    return _scaled(found["number"], scales.get(found["unit"], 1.0))


def _seconds(text: str) -> float:
    found = _VALUE.fullmatch(text.strip())
    if found is None or found["unit"] not in TIMES_S:
        raise CheckError(f"no time: {text.strip()!r}", f"a number with {', '.join(TIMES_S)}")
    return _scaled(found["number"], TIMES_S[found["unit"]])


def _scaled(number: str, scale: float) -> float:
    """In decimals: 35 % is 0.35 to the last bit."""
    return float(Decimal(number) * Decimal(str(scale)))


def time_words(time_s: float) -> str:
    """`120 ms`, `3.25 s`: as short as it is exact to a step of the plant."""
    return f"{time_s * 1e3:.0f} ms" if time_s < 1.0 else f"{time_s:.2f} s"


def value_words(value: float, unit: str) -> str:
    """`98.3 kW`, `3.65 V`: three to four figures with the unit's usual prefix."""
    scales = {name: scale for name, scale in SCALES[unit].items() if name[0] in "kMG" and abs(value) >= scale}
    name, scale = max(scales.items(), key=lambda each: each[1]) if scales else (unit, 1.0)
    return f"{value / scale:.4g} {name}".rstrip()
