"""Loads that follow the day: AI inference, industry, a factory in shifts, a home. Each is one seeded day, repeated."""

from collections.abc import Iterator
from math import pi

import numpy as np

from hil_rigs.plant.day import DAY_S, HOUR_S, DayLoad, Pulse, arrivals, pulses, slow_noise

INFERENCE_IDLE_FRAC = 0.35
"""What servers that answer nothing take: accelerators that hold a model in memory, fans, network."""
INFERENCE_MEAN, INFERENCE_SWING, INFERENCE_PEAK_HOUR = 0.55, 0.25, 15.0
BURSTS_PER_HOUR = 6.0

MACHINES, MACHINES_SHARE = 24, 0.85
MACHINE_ON_S, MACHINE_OFF_S = 400.0, 200.0
INDUSTRY_HOURS = (6.0, 22.0)
SOFT_START, SOFT_START_S = 3.0, 2.0
"""A machine on a soft starter takes so many times its power for so long."""

MOTORS, MOTORS_SHARE = 4, 0.4
DIRECT_START, DIRECT_START_S = 6.0, 4.0
"""A motor switched on directly takes six times its power while it comes up (IEC 60034-12, design N: up to 7)."""
FACTORY_SHIFTS = ((6.0, 14.0), (14.0, 22.0))
BREAK_AFTER_H, BREAK_H = 4.0, 0.5
PRESS_SHARE, PRESS_PERIOD_S, PRESS_ON_S = 0.3, 15.0, 4.0

HOME_RATED_W = 8000.0
STANDBY_W, FRIDGE_W, FRIDGE_ON_S, FRIDGE_OFF_S = 150.0, 120.0, 900.0, 1800.0
APPLIANCES = (
    (2200.0, 180.0, 6.0, (6, 9, 12, 16, 19)),
    (2500.0, 1800.0, 1.0, (11, 18)),
    (1800.0, 2400.0, 0.8, (10, 19)),
    (2000.0, 3000.0, 0.7, (13, 20)),
    (300.0, 7200.0, 2.0, (18, 20)),
    (1200.0, 600.0, 2.0, (7, 12, 19)),
)
"""Power (W), duration (s), uses a day and usual hours: kettle, oven, washing machine, dishwasher, light and screens,
microwave. Made up from data sheets, for a home of 8 kW."""


def inference(rated_w: float, rng: np.random.Generator, start_s: float) -> DayLoad:
    """Requests that follow the users' day, within seconds: tabulated every second, from idle to `rated_w`."""
    time_s = np.arange(0.0, DAY_S + 1.0)
    hours = time_s / HOUR_S
    busy = INFERENCE_MEAN + INFERENCE_SWING * np.cos(2.0 * pi * (hours - INFERENCE_PEAK_HOUR) / 24.0)
    busy += 0.05 * slow_noise(len(time_s), 1.0, 120.0, rng) + 0.03 * rng.standard_normal(len(time_s))
    for at_s in arrivals([BURSTS_PER_HOUR] * 24, rng):
        busy[int(at_s) : int(at_s + rng.uniform(5.0, 40.0))] += rng.uniform(0.1, 0.3)
    power_w = rated_w * (INFERENCE_IDLE_FRAC + (1.0 - INFERENCE_IDLE_FRAC) * np.clip(busy, 0.0, 1.0))
    power_w[-1] = power_w[0]
    return DayLoad(time_s, power_w, start_s)


def industry(rated_w: float, rng: np.random.Generator, start_s: float) -> DayLoad:
    """Machines that go on and off by themselves during the day, some of them at night, on soft starters. `rated_w` is
    what all of them take together with the rest; starts come on top."""
    sizes = rng.uniform(0.5, 1.5, MACHINES)
    powers_w = rated_w * MACHINES_SHARE * sizes / sizes.sum()
    runs = [pulse for i, power_w in enumerate(powers_w) for pulse in _machine(float(power_w), i < 3, rng)]
    return DayLoad(*pulses(runs, (1.0 - MACHINES_SHARE) * rated_w), start_s)


def _machine(power_w: float, at_night: bool, rng: np.random.Generator) -> Iterator[Pulse]:
    first_h, last_h = (0.0, 24.0) if at_night else INDUSTRY_HOURS
    at_s = first_h * HOUR_S + rng.exponential(MACHINE_OFF_S)
    while at_s < last_h * HOUR_S:
        end_s = min(at_s + max(rng.exponential(MACHINE_ON_S), 10.0), DAY_S)
        yield from _started(at_s, end_s, power_w, SOFT_START, SOFT_START_S)
        at_s = end_s + max(rng.exponential(MACHINE_OFF_S), 5.0)


def _started(start_s: float, end_s: float, power_w: float, times: float, for_s: float) -> Iterator[Pulse]:
    yield Pulse(start_s, end_s, power_w)
    yield Pulse(start_s, min(start_s + for_s, end_s), (times - 1.0) * power_w)


def factory(rated_w: float, rng: np.random.Generator, start_s: float) -> DayLoad:
    """Shifts with a break: large motors switched on directly at their beginning, a press in every quarter of a minute,
    and the rest. `rated_w` is what all take together; starts come on top."""
    rest_share = 1.0 - MOTORS_SHARE - PRESS_SHARE
    found: list[Pulse] = []
    for from_h, to_h in FACTORY_SHIFTS:
        halves = ((from_h, from_h + BREAK_AFTER_H), (from_h + BREAK_AFTER_H + BREAK_H, to_h))
        for begin_s, end_s in ((begin * HOUR_S, end * HOUR_S) for begin, end in halves):
            found.append(Pulse(begin_s, end_s, (rest_share - 0.1) * rated_w, 60.0))
            for motor in range(MOTORS):
                on_s = begin_s + 120.0 * motor + rng.uniform(0.0, 60.0)
                power_w = MOTORS_SHARE / MOTORS * rated_w
                found += _started(on_s, end_s - rng.uniform(0.0, 60.0), power_w, DIRECT_START, DIRECT_START_S)
            found += _presses(begin_s + 600.0, end_s - 120.0, PRESS_SHARE * rated_w, rng)
    return DayLoad(*pulses(found, 0.1 * rated_w), start_s)


def _presses(begin_s: float, end_s: float, power_w: float, rng: np.random.Generator) -> Iterator[Pulse]:
    at_s = begin_s
    while at_s + PRESS_ON_S < end_s:
        yield Pulse(at_s, at_s + PRESS_ON_S, power_w * rng.uniform(0.8, 1.0), 0.3)
        at_s += PRESS_PERIOD_S + rng.normal(0.0, 0.3)


def home(rated_w: float, rng: np.random.Generator, start_s: float) -> DayLoad:
    """Appliances by their hours, a refrigerator all day, and what is never off. `rated_w` sizes the home against one
    of 8 kW; not all of it is ever on at once."""
    scale = rated_w / HOME_RATED_W
    found = [
        Pulse(float(at_s), float(at_s) + duration_s * rng.uniform(0.7, 1.3), power_w * scale)
        for power_w, duration_s, uses, usual in APPLIANCES
        for at_s in arrivals(_rates(uses, usual), rng)
    ]
    at_s = rng.uniform(0.0, FRIDGE_OFF_S)
    while at_s < DAY_S:
        found.append(Pulse(at_s, at_s + FRIDGE_ON_S, FRIDGE_W * scale))
        at_s += FRIDGE_ON_S + FRIDGE_OFF_S * rng.uniform(0.8, 1.2)
    return DayLoad(*pulses(found, STANDBY_W * scale), start_s)


def _rates(uses: float, usual: tuple[int, ...]) -> list[float]:
    """Uses an hour: mostly within an hour of the usual ones, hardly at other times."""
    weights = [1.0 if min(abs(hour - at) for at in usual) <= 1 else 0.02 for hour in range(24)]
    return [uses * weight / sum(weights) for weight in weights]
