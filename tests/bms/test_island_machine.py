"""The machine between grid, island and dark: its ways, and 240,000 random ticks that reach no forbidden state."""

import random

import pytest

from bms.island import TABLE, IslandInputs, IslandMachine, IslandMode, IslandOrders
from bms.site import Island, LoadBlock

M = IslandMode
DT_S = 0.02
SETTINGS = Island(
    blocks=(
        LoadBlock(name="critical", bit=0, power_w=300e3),
        LoadBlock(name="cooling", bit=1, power_w=60e3),
        LoadBlock(name="offices", bit=2, power_w=80e3, soc_frac_min=0.3),
    ),
    frequency_hz_nominal=60, voltage_v_nominal=400.0, settle_s=5.0,
)  # fmt: skip
ON_GRID = IslandInputs(
    heard=True, closed=True, sync_ok=False, agree=True, grid_good=True, grid_bad=False, live=True, dead=False,
    blocks_closed=7, forming=False, stopped=False, racks_online=True, power_w=0.0, capability_w=500e3, soc_frac=0.5,
)  # fmt: skip
ALONE = ON_GRID._replace(closed=False, grid_good=False, grid_bad=True, agree=False, forming=True, power_w=350e3)
DARK = ALONE._replace(live=False, dead=True, blocks_closed=0, forming=False, stopped=True, power_w=0.0)


class Run:
    """The machine with its past: modes it was in, faults it named."""

    def __init__(self) -> None:
        self.machine = IslandMachine(SETTINGS)
        self.modes: list[IslandMode] = [M.UNKNOWN]
        self.faults: list[str] = []
        self.orders = IslandOrders(M.UNKNOWN, False, False, 0, False, False)

    def run(self, seconds: float, it: IslandInputs, **changes: object) -> "Run":
        """Load blocks obey at once."""
        for _ in range(round(seconds / DT_S)):
            given = it._replace(**changes)
            if "blocks_closed" not in changes and self.machine.mode is not M.UNKNOWN:
                given = given._replace(blocks_closed=self.orders.blocks)
            self.orders = self.machine.step(given, DT_S)
            self.faults += [fault for fault, _ in self.machine.faults]
            if self.orders.mode is not self.modes[-1]:
                self.modes.append(self.orders.mode)
        return self


def on_grid() -> Run:
    return Run().run(0.5, ON_GRID)


def islanded() -> Run:
    return on_grid().run(0.5, ALONE)


def dark() -> Run:
    return Run().run(0.5, DARK)


def test_converter_that_stands_when_the_grid_goes_is_not_started_onto_the_loads() -> None:
    run = on_grid().run(0.04, DARK, blocks_closed=7)
    assert (run.orders.mode, run.orders.run, run.faults) == (M.DARK, False, ["island_not_formed"])


def test_controller_that_comes_back_waits_for_the_converters_word() -> None:
    run = Run().run(1.0, ALONE, forming=False, blocks_closed=3)
    assert (run.orders.mode, run.orders.run) == (M.UNKNOWN, False)
    run.run(0.1, ALONE)
    assert (run.orders.mode, run.orders.run) == (M.ISLAND, True)


def test_outage_and_return() -> None:
    run = islanded()
    run.run(4.9, ALONE, grid_good=True, grid_bad=False)
    assert run.modes == [M.UNKNOWN, M.GRID, M.FORMING, M.SHEDDING, M.ISLAND]
    assert (run.orders.close, run.orders.synchronise, run.orders.blocks) == (False, False, 7)
    run.run(0.3, ALONE, grid_good=True)
    assert (run.orders.mode, run.orders.close, run.orders.synchronise) == (M.SYNCING, False, True)
    run.run(0.5, ALONE, grid_good=True, agree=True, sync_ok=True)
    assert (run.orders.mode, run.orders.close) == (M.CLOSING, True)
    run.machine.follow(0.0, 350e3, DT_S)
    run.run(0.5, ON_GRID)
    assert run.orders.mode is M.RETURNING
    powers_w = [run.machine.follow(0.0, 999.0, 1.0) for _ in range(15)]
    assert powers_w[:2] == [325e3, 300e3]
    assert powers_w[-1] == 0.0
    run.run(0.1, ON_GRID)
    assert (run.orders.mode, run.faults) == (M.GRID, [])


def test_dip_that_the_switch_bears_is_borne_and_then_left() -> None:
    run = on_grid().run(0.4, ON_GRID, grid_bad=True, grid_good=False)
    assert (run.orders.mode, run.orders.close) == (M.DIP, True)
    run.run(0.2, ON_GRID, grid_bad=True, grid_good=False)
    assert (run.orders.mode, run.orders.close) == (M.OPENING, False)


def test_load_above_what_can_be_given_is_shed_last_block_first_and_comes_back_when_it_fits() -> None:
    run = on_grid().run(0.1, ALONE, capability_w=300e3)
    assert run.orders.blocks == 0b011
    run.run(0.4, ALONE, capability_w=300e3)
    assert run.orders.blocks == 0b001
    run.run(5.0, ALONE, power_w=250e3, capability_w=330e3)
    assert run.orders.blocks == 0b001, "250 and 60 kW are more than 90 % of 330 kW"
    run.run(1.9, ALONE, power_w=250e3, capability_w=400e3)
    assert run.orders.blocks == 0b011
    assert run.faults == []


def test_island_that_went_dark_while_it_shed_is_dark_a_second_later() -> None:
    run = on_grid().run(0.1, ALONE, capability_w=300e3)
    assert run.orders.mode is M.SHEDDING
    went = ALONE._replace(live=False, dead=True, racks_online=False, capability_w=300e3)
    run.run(0.9, went)
    run.run(0.2, went, power_w=0.0)
    assert (run.orders.mode, run.faults) == (M.DARK, ["island_not_formed"])


def test_low_soc_sheds_the_block_that_says_so() -> None:
    run = islanded().run(0.1, ALONE, soc_frac=0.29)
    assert run.orders.blocks == 0b011
    run.run(5.0, ALONE, soc_frac=0.34, power_w=100e3)
    assert run.orders.blocks == 0b011
    run.run(5.0, ALONE, soc_frac=0.36, power_w=100e3)
    assert run.orders.blocks == 0b111


def test_black_start_in_its_order() -> None:
    run = Run().run(5.0, DARK, racks_online=False)
    assert (run.orders.mode, run.orders.run, run.orders.blocks) == (M.DARK, False, 0)
    run.run(0.9, DARK)
    assert (run.orders.mode, run.orders.run) == (M.DEAD_BUS, False)
    run.run(0.2, DARK)
    assert (run.orders.mode, run.orders.run) == (M.STARTING, True)
    run.run(1.0, DARK, stopped=False)
    assert run.orders.blocks == 0
    run.run(0.1, ALONE, power_w=0.0)
    assert run.orders.blocks == 0b001
    run.run(2.1, ALONE, power_w=250e3)
    assert run.orders.blocks == 0b011
    run.run(2.1, ALONE, power_w=300e3)
    assert (run.orders.mode, run.orders.blocks, run.faults) == (M.ISLAND, 0b111, [])


def test_grid_that_is_back_feeds_a_dark_site_with_its_blocks_open() -> None:
    run = Run().run(5.2, DARK, grid_good=True, grid_bad=False)
    assert (run.orders.mode, run.orders.close, run.orders.run) == (M.DEAD_CLOSE, True, False)
    run.run(0.1, ON_GRID, stopped=True)
    assert (run.orders.mode, run.orders.blocks) == (M.RETURNING, 0b001)


NAMED = {
    "intertie_lost": (islanded, 1.0, ALONE._replace(heard=False), M.ISLAND),
    "intertie_stuck_closed": (on_grid, 2.0, ON_GRID._replace(grid_bad=True, grid_good=False), M.OPENING),
    "island_not_formed": (on_grid, 8.2, DARK._replace(stopped=False), None),
    "island_overload": (islanded, 9.0, ALONE._replace(power_w=600e3), M.ISLAND),
    "block_not_following": (islanded, 1.5, ALONE._replace(blocks_closed=1), M.ISLAND),
    "sync_timeout": (islanded, 65.2, ALONE._replace(grid_good=True), M.ISLAND),
    "intertie_not_closing": (islanded, 7.6, ALONE._replace(grid_good=True, agree=True, sync_ok=True), M.ISLAND),
    "dead_bus_not_dead": (dark, 11.0, DARK._replace(live=True, dead=False), M.DARK),
    "black_start_no_battery": (Run, 121.0, DARK._replace(racks_online=False), M.DARK),
    "black_start_failed": (Run, 60.0, DARK._replace(stopped=True), M.LOCKED),
}


@pytest.mark.parametrize("fault", NAMED)
def test_what_takes_too_long_has_a_name(fault: str) -> None:
    start, seconds, it, mode = NAMED[fault]
    changes = {"blocks_closed": it.blocks_closed} if fault == "block_not_following" else {}
    run = start().run(seconds, it, **changes)
    assert fault in run.faults
    assert mode in (None, run.orders.mode)


def test_reset_counts_black_starts_anew() -> None:
    run = Run().run(60.0, DARK)
    run.machine.reset()
    run.run(0.2, DARK)
    assert run.orders.mode in (M.DEAD_BUS, M.STARTING)


def test_silent_switchgear_is_told_nothing_and_an_attempt_to_close_is_over() -> None:
    run = islanded().run(6.0, ALONE, grid_good=True, agree=True, sync_ok=True)
    assert run.orders.mode is M.CLOSING
    run.run(0.02, ALONE, heard=False)
    assert (run.orders.mode, run.orders.close, run.orders.intertie_heard) == (M.ISLAND, False, False)


BOUNDED_S = {
    M.DIP: 0.6, M.OPENING: 1.1, M.FORMING: 8.1, M.SHEDDING: 8.1, M.SYNCING: 60.1, M.CLOSING: 2.1, M.RETURNING: 120.1,
    M.DEAD_BUS: 10.1, M.STARTING: 8.1, M.ENERGISING: 120.1, M.DEAD_CLOSE: 2.1,
}  # fmt: skip


def test_every_mode_has_rules_and_all_but_five_are_bounded() -> None:
    assert set(TABLE) == set(M)
    assert set(M) - set(BOUNDED_S) == {M.UNKNOWN, M.GRID, M.ISLAND, M.DARK, M.LOCKED}


HASTY = SETTINGS.model_copy(
    update={
        "settle_s": 0.6,
        "dead_bus_s": 0.3,
        "retry_s": 0.2,
        "sync_hold_s": 0.1,
        "block_step_s": 0.2,
        "form_s_max": 0.8,
    }
)
GOOD = {"grid_good": True, "grid_bad": False}
SITUATIONS = (
    ON_GRID, ALONE, ALONE._replace(**GOOD), ALONE._replace(**GOOD, agree=True, sync_ok=True), DARK,
    DARK._replace(**GOOD), DARK._replace(stopped=False), ON_GRID._replace(grid_good=False, grid_bad=True),
)  # fmt: skip
WORDS = ("heard", "closed", "sync_ok", "agree", "grid_good", "grid_bad", "live", "dead", "forming", "stopped")


def drawn(rng: random.Random, blocks: int) -> IslandInputs:
    """A situation in which one word of the switchgear or the converter may be wrong."""
    it = rng.choice(SITUATIONS)
    if rng.random() < 0.4:
        word = rng.choice(WORDS)
        it = it._replace(**{word: not getattr(it, word)})
    return it._replace(
        power_w=rng.choice([0.0, 200e3, 400e3, 600e3]), capability_w=rng.choice([0.0, 300e3, 500e3]),
        blocks_closed=rng.choice([blocks] * 4 + [0, 1, 7]), soc_frac=rng.random(), racks_online=rng.random() < 0.9,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_random_events_reach_no_forbidden_state(seed: int) -> None:
    rng = random.Random(seed)
    machine, it, before = IslandMachine(HASTY), ON_GRID, IslandOrders(M.UNKNOWN, False, False, 0, False, False)
    in_mode_s, safe_s, seen = 0.0, 0.0, {M.UNKNOWN}
    for _ in range(60_000):
        if rng.random() < 0.02:
            it = drawn(rng, before.blocks)
        orders = machine.step(it, DT_S)
        safe = it.heard and it.dead and not it.closed and not it.blocks_closed and it.stopped
        safe_s = safe_s + DT_S if safe else 0.0
        in_mode_s = 0.0 if orders.mode is not before.mode or not it.heard else in_mode_s + DT_S
        seen.add(orders.mode)
        if orders.close and orders.intertie_heard and not it.closed and not before.close:
            assert (it.agree and it.sync_ok) or (safe_s > 0.3 and it.grid_good), (
                "two sources out of step are not joined"
            )
        if orders.close and orders.intertie_heard and not it.closed:
            assert orders.mode is M.CLOSING or not orders.run, "a converter that forms is joined in step only"
        if orders.run and not before.run and not it.closed and not (it.live and it.forming):
            assert safe_s > 0.3, "nothing is started onto a bus that is not proven dead"
        if orders.blocks & ~before.blocks and before.mode is not M.UNKNOWN:
            assert it.live, "no load block is closed onto a bus without voltage"
        if orders.mode in BOUNDED_S and orders.mode is not M.OPENING:
            assert in_mode_s <= BOUNDED_S[orders.mode]
        before = orders
    assert seen == set(M)
