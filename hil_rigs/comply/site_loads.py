"""Seeded loads and PV of a factory and a home over days, and measured ones where their data is."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil_rigs.comply.quick_site import OfTime

Floats = NDArray[np.float64]

DAY_S = 86_400.0
MONDAY_S = 1_782_691_200.0
"""Midnight UTC of Monday, 29 June 2026."""


def of_time(power_w: Floats, step_s: float) -> OfTime:
    """The function of time through samples from 0 on, linear between them; the last holds on."""
    last = len(power_w) - 1

    def at(time_s: float) -> float:
        place = min(max(time_s / step_s, 0.0), float(last))
        number = min(int(place), last - 1)
        share = place - number
        return float(power_w[number] * (1.0 - share) + power_w[number + 1] * share)

    return at


def factory_load(days: int, step_s: float, peak_w: float, rng: np.random.Generator) -> Floats:
    """A factory from Monday on: one shift that starts and ends not quite on time, a break at noon, days of different
    output, four machines that come and go as they like, and a load that wanders by 3 %."""
    count = int(days * DAY_S / step_s) + 1
    time_s = np.arange(count) * step_s
    hour, day = time_s / 3600.0 % 24.0, (time_s // DAY_S).astype(int)
    power_w = np.full(count, 0.25 * peak_w)
    for number in range(days):
        today = day == number
        start, end = 8.0 + rng.normal(0.0, 0.15), 17.5 + rng.normal(0.0, 0.3)
        output = rng.uniform(0.75, 1.0) if number % 7 < 5 else 0.15
        shift = np.clip((hour[today] - start) / 0.4, 0.0, 1.0) * np.clip((end - hour[today]) / 0.5, 0.0, 1.0)
        noon = 1.0 - 0.35 * np.clip(1.0 - np.abs(hour[today] - 12.4) / 0.45, 0.0, 1.0)
        power_w[today] += 0.55 * peak_w * output * shift * noon
    shift_hours = (hour > 7.0) & (hour < 19.0)
    for _ in range(4):
        power_w += 0.08 * peak_w * _on_and_off(count, step_s, rng) * shift_hours
    return power_w * (1.0 + 0.03 * wander(count, step_s, 300.0, rng))


def household_load(days: int, step_s: float, mean_w: float, rng: np.random.Generator) -> Floats:
    """Homes from midnight on: a base load, mornings and evenings, and appliances that come and go in steps."""
    count = int(days * DAY_S / step_s) + 1
    hour = np.arange(count) * step_s / 3600.0 % 24.0
    busy = np.exp(-0.5 * ((hour - 7.5) / 1.0) ** 2) + 1.5 * np.exp(-0.5 * ((hour - 19.5) / 1.8) ** 2)
    power_w = mean_w * (0.4 + 0.9 * busy)
    for size in (1.5, 1.0, 0.6, 0.6):
        power_w += size * mean_w * _on_and_off(count, step_s, rng) * (busy > 0.2)
    return np.asarray(np.maximum(power_w * (1.0 + 0.1 * wander(count, step_s, 60.0, rng)), 0.0), np.float64)


def pv_power(days: int, step_s: float, rated_w: float, rng: np.random.Generator) -> Floats:
    """PV from midnight on, days of 14 hours: each day as cloudy as it likes, clouds that take up to 80 % in half a
    minute, as a PV plant of some hectares sees them."""
    count = int(days * DAY_S / step_s) + 1
    time_s = np.arange(count) * step_s
    sun = np.maximum(np.sin((time_s / 3600.0 % 24.0 - 5.0) / 14.0 * math.pi), 0.0) ** 1.2
    clear, place, cloud = np.ones(count), 0, False
    while place < count:
        cloudy = 0.2 + 0.8 * ((time_s[place] // DAY_S * 0.618) % 1.0)
        length = int(rng.exponential(180.0 * cloudy if cloud else 240.0 / cloudy) / step_s) + 1
        clear[place : place + length] = 1.0 - rng.uniform(0.3, 0.8) if cloud else 1.0
        place, cloud = place + length, not cloud
    edge = max(1, round(30.0 / step_s))
    smooth = np.convolve(np.pad(clear, (edge, edge), mode="edge"), np.ones(edge) / edge, mode="same")[edge:-edge]
    return np.asarray(rated_w * 0.95 * sun * smooth, np.float64)


def wander(count: int, step_s: float, time_constant_s: float, rng: np.random.Generator) -> Floats:
    """An Ornstein-Uhlenbeck process of variance 1."""
    keep = math.exp(-step_s / time_constant_s)
    push = math.sqrt(1.0 - keep * keep) * rng.standard_normal(count)
    values, value = np.empty(count), 0.0
    for number in range(count):
        value = keep * value + push[number]
        values[number] = value
    return values


def _on_and_off(count: int, step_s: float, rng: np.random.Generator) -> Floats:
    """On for a quarter of an hour, off for 40 minutes, on average."""
    state, place, on = np.zeros(count), 0, False
    while place < count:
        length = int(rng.exponential(900.0 if on else 2400.0) / step_s) + 6
        state[place : place + length] = float(on)
        place, on = place + length, not on
    return state


def measured(file: str, column: str) -> Floats | None:
    """A column of the measured site data, where CELLWARD_DATA has it."""
    folder = os.environ.get("CELLWARD_DATA")
    path = Path(folder or "") / "site" / file
    if folder is None or not path.is_file():
        return None
    import pyarrow.parquet as pq

    return np.asarray(pq.read_table(path, columns=[column])[column].to_numpy(), np.float64)
