"""Random events on two racks: limits stay within the rating and the guard within the hard limits, whatever comes.

RANDOM_EVENTS=1000000 in the environment runs a million of them in some minutes."""

import math
import os
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bms.controller import hard_limits
from bms.decision import Contactors, Decision
from bms.estimate.held_current import HeldCurrents, HeldLimit
from bms.guard import OPEN_AFTER_S, STOP_AFTER_S, Guard
from bms.image import Image
from bms.protect.limits import RISE_PER_S, PowerLimiter, RackState
from bms.protect.protection import Protected
from bms.site import Limits
from bms.summary import summarise_rack
from drivers.readings import InverterRating, RackReading

SEEDS = range(1, 6)
EVENTS = int(os.environ.get("RANDOM_EVENTS", "50000")) // len(SEEDS)
RATED_W = 500e3
LIMITS = Limits(pack_charge_current_a_max=450.0, pack_discharge_current_a_max=450.0)
UNKNOWN = (math.nan, math.inf, -math.inf)
CELL_V = (3.3, 3.3, 3.3, 3.3, 3.45, 3.5, 3.65, 3.66, 4.2, 2.8, 2.5, 2.49, 0.0, math.nan)
DEGC = (25.0, 25.0, 25.0, 10.0, 50.0, 58.0, 58.5, 60.0, 60.5, -5.0, -5.5, -25.0, -25.5, math.nan)
CURRENT_A = (0.0, 100.0, -100.0, 5.0, -5.0, 240.0, -240.0, 280.0, -280.0, 281.0, -281.0, *UNKNOWN)
AGE_NS = (0, 0, 0, 10_000_000, 99_000_000, 101_000_000, 251_000_000, 1_001_000_000, 2**60)
SOC = (0.5, 0.5, 0.0, 0.05, 0.94, 0.95, 1.0, math.nan)
HELD_A = (math.nan, 0.0, 50.0, 252.0, 1e9)
RATINGS = (RATED_W, RATED_W, RATED_W, 100e3, 0.0, math.nan, None)


class World:
    """Two racks, a converter and what the applications want; each event changes one thing."""

    def __init__(self, seed: int, rack: Callable[..., RackReading], image: Callable[..., Image]) -> None:
        self.rng = random.Random(seed)
        self._healthy = rack
        self.racks = [rack(), rack()]
        self.now = image()
        self.soc, self.held_a, self.soh = [0.5, 0.5], [math.nan, math.nan], [math.nan, math.nan]
        self.online = [True, True]
        self.protected = Protected((), (), False, False, False, False, False)
        self.contactors: list[Contactors | None] = [Contactors(True, False)] * 2
        self.power_w, self.run, self.dt_s = 0.0, True, 0.02
        self._events = [self._voltage, self._temperature, self._reading, self._age, self._estimate, self._battery,
                        self._wish, self._converter, self._heal]  # fmt: skip

    def event(self) -> None:
        self.rng.choice(self._events)(self.rng.randrange(2))

    def image(self) -> Image:
        now = self.now
        return Image(now.at_ns, tuple(self.racks), now.inverter, now.rating, now.meter)

    def states(self) -> list[RackState]:
        return [
            RackState(summarise_rack(rack, self.now.at_ns), self.soc[k], self.soc[k], 0.00025, rack.rack_voltage_v,
                      self.online[k], k + 1, self.soh[k],
                      HeldCurrents(HeldLimit(self.held_a[k], 0), HeldLimit(self.held_a[k], 1)))
            for k, rack in enumerate(self.racks)
        ]  # fmt: skip

    def decision(self) -> Decision:
        return Decision(self.power_w, self.run, tuple(self.contactors), (None, None), "", "")

    def _voltage(self, k: int) -> None:
        self.racks[k].voltage_v[self.rng.randrange(4)] = self.rng.choice(CELL_V)

    def _temperature(self, k: int) -> None:
        self.racks[k].temperature_degc[self.rng.randrange(4)] = self.rng.choice(DEGC)

    def _reading(self, k: int) -> None:
        choice = self.rng.choice
        what = choice(("current_a", "rack_voltage_v", "main_closed"))
        value = {"current_a": choice(CURRENT_A), "rack_voltage_v": choice((1330.0, 1330.0, 0.0, *UNKNOWN[:1])),
                 "main_closed": choice((True, True, True, False, None))}[what]  # fmt: skip
        self.racks[k] = self.racks[k]._replace(**{what: value})

    def _age(self, k: int) -> None:
        at_ns = self.now.at_ns - self.rng.choice(AGE_NS)
        which = self.rng.randrange(3)
        if which == 0:
            self.racks[k] = self.racks[k]._replace(current_at_ns=at_ns)
        else:
            (self.racks[k].voltage_at_ns if which == 1 else self.racks[k].temperature_at_ns)[0] = at_ns

    def _estimate(self, k: int) -> None:
        self.soc[k], self.held_a[k] = self.rng.choice(SOC), self.rng.choice(HELD_A)
        self.soh[k] = self.rng.choice((math.nan, 1.0, 0.7))

    def _battery(self, k: int) -> None:
        choice = self.rng.choice
        self.online[k] = choice((True, True, False))
        self.contactors[k] = choice((Contactors(True, False), Contactors(True, False), Contactors(False, False), None))
        flags = {name: self.rng.random() < 0.2 for name in ("blocks_charge", "blocks_discharge", "zero_power")}
        self.protected = self.protected._replace(**flags)

    def _wish(self, k: int) -> None:
        self.power_w = self.rng.choice((0.0, 1e5, -1e5, 6e5, -6e5, *UNKNOWN))

    def _converter(self, k: int) -> None:
        self.run = self.rng.random() < 0.9
        self.dt_s = self.rng.choice((0.02, 0.1, 0.5, 1.0))
        rated_w = self.rng.choice(RATINGS)
        rating = None if rated_w is None else InverterRating(rated_w, rated_w)
        self.now = Image(self.now.at_ns, (), self.now.inverter, rating, self.now.meter)

    def _heal(self, k: int) -> None:
        """Without it almost nothing would ever be allowed."""
        for index in (0, 1):
            self.racks[index] = self._healthy(rack_voltage_v=1330.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_events(seed: int, rack: Callable[..., RackReading], image: Callable[..., Image]) -> None:
    world, limiter = World(seed, rack, image), PowerLimiter(LIMITS)
    guard, crossed_s, stopped_s, passed, stops = Guard(hard_limits(LIMITS, 2)), 0.0, None, 0, 0
    before_w, before = (0.0, 0.0), set[tuple[int, str]]()
    for number in range(EVENTS):
        world.event()
        limits = limiter.step(world.states(), world.protected, world.now.rating, world.dt_s)
        now_w = (limits.charge_power_w, limits.discharge_power_w)
        assert _limits_are_sound(world, now_w, before_w), (seed, number, limits)
        before_w = now_w
        wish = world.decision()
        sent = guard.step(world.image(), wish, world.dt_s)
        beyond, active = _beyond(world), wish.run or any(each and each.main_closed for each in wish.contactors)
        crossed_s = crossed_s + world.dt_s if beyond and active else 0.0
        if stopped_s is not None:
            stopped_s += world.dt_s
        elif crossed_s > STOP_AFTER_S:
            stopped_s = 0.0
        assert _guard_is_sound(world, sent, beyond, stopped_s, before), (seed, number, sent)
        before = _closed(sent.contactors)
        passed += sent.power_w != 0.0
        if stopped_s is not None and world.rng.random() < 0.01:
            guard, crossed_s, stopped_s, stops = Guard(hard_limits(LIMITS, 2)), 0.0, None, stops + 1
            before = set()
    assert passed > EVENTS / 200
    assert stops > EVENTS / 2000


def _limits_are_sound(world: World, now_w: tuple[float, float], before_w: tuple[float, float]) -> bool:
    rating = world.now.rating
    rated_w = rating.charge_power_w_max if rating is not None and rating.known else 0.0
    blocked = (world.protected.blocks_charge, world.protected.blocks_discharge)
    nothing = world.protected.zero_power or not any(world.online)
    return all(
        0.0 <= power_w <= (0.0 if block or nothing else rated_w)
        and power_w <= earlier_w + RISE_PER_S * world.dt_s * rated_w + 1e-6
        for power_w, earlier_w, block in zip(now_w, before_w, blocked, strict=True)
    )


def _connected(world: World) -> list[RackReading]:
    pairs = zip(world.racks, world.contactors, strict=True)
    return [r for r, wanted in pairs if r.main_closed or (r.main_closed is None and wanted and wanted.main_closed)]


def _forbids(rack: RackReading) -> tuple[bool, bool]:
    """Whether any cell forbids charging, or discharging; an absent value does both."""
    v, t = rack.voltage_v, rack.temperature_degc
    absent = bool(np.isnan(v).any() or np.isnan(t).any())
    charge = absent or bool(((v >= 3.65) | (t > 58.0) | (t < -5.0)).any())
    return charge, absent or bool(((v <= 2.5) | (t > 60.0) | (t < -25.0)).any())


def _beyond(world: World) -> bool:
    racks, now_ns = _connected(world), world.now.at_ns
    for rack in racks:
        charge, discharge = _forbids(rack)
        old = (now_ns - rack.voltage_at_ns.min() > 250_000_000 or now_ns - rack.temperature_at_ns.min() > 10**9
               or now_ns - rack.current_at_ns > 100_000_000)  # fmt: skip
        hot = not np.all(rack.temperature_degc <= 60.0)
        flows = (charge and rack.current_a < -5.6) or (discharge and rack.current_a > 5.6)
        if old or hot or flows or not abs(rack.current_a) <= 280.0:
            return True
    return not abs(sum(rack.current_a for rack in racks)) <= 450.0


def _closed(contactors: Sequence[Contactors | None]) -> set[tuple[int, str]]:
    each = [(index, wanted) for index, wanted in enumerate(contactors) if wanted is not None]
    main = {(index, "main") for index, wanted in each if wanted.main_closed}
    return main | {(index, "precharge") for index, wanted in each if wanted.precharge_closed}


def _guard_is_sound(
    world: World, sent: Decision, beyond: bool, stopped_s: float | None, before: set[tuple[int, str]]
) -> bool:
    if stopped_s is not None:
        nothing = not sent.run and sent.power_w == 0.0
        if stopped_s > OPEN_AFTER_S:
            return nothing and set(sent.contactors) == {Contactors(False, False)}
        told = [each is not None for each in sent.contactors] == [each is not None for each in world.contactors]
        return nothing and told and _closed(sent.contactors) == _closed(world.contactors) & before
    rating = world.now.rating
    rated_w = rating.charge_power_w_max if rating is not None and rating.known else 0.0
    forbids = [_forbids(rack) for rack in _connected(world)]
    low_w = 0.0 if beyond or not sent.run or any(charge for charge, _ in forbids) else -rated_w
    high_w = 0.0 if beyond or not sent.run or any(discharge for _, discharge in forbids) else rated_w
    return low_w <= sent.power_w <= high_w and sent.contactors == tuple(world.contactors)
