"""`hil latency`: what counts as the stop, what is varied and reported, and whether a short run keeps the limits."""

import argparse
import asyncio
import contextlib
import io
import json
import math
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.cell_monitors.native.layout import native_layout
from drivers.clock import now_ns
from hil_rigs.bench import Bench
from hil_rigs.cli import main
from hil_rigs.devices.rack_node import RackNode
from hil_rigs.latency.causes import CAUSES, Cause
from hil_rigs.latency.command import complaints, document, latency
from hil_rigs.latency.figures import Figures
from hil_rigs.latency.page import page
from hil_rigs.latency.sample import Disturbance, Sample, take_samples
from hil_rigs.latency.wire import WireWatch
from hil_rigs.rig import find_rig
from hil_rigs.world import run_virtual
from kernels.canbits import FrameEncoder

SET_POINT_AT, OPERATION_AT = 40299, 40406
STOP, START = [0], [1]
OPEN, PRECHARGING, CLOSED = (0.0, 0.0), (0.0, 1.0), (1.0, 0.0)
SEEDS, SAMPLES = 1, 8


def set_point(power_w: int) -> list[int]:
    """0 W by itself 1 s later."""
    return [1, 1, power_w >> 16, power_w & 0xFFFF, 0, 0, 0, 0, 1, 0, 1]


def in_world(test: Coroutine[Any, Any, None]) -> None:
    run_virtual(test, seed=1)


def running_bench() -> Bench:
    """A converter that was told to run at 100 kW."""
    bench = Bench(find_rig("latency"), 1)
    bench.inverter.write(OPERATION_AT, START)
    bench.inverter.write(SET_POINT_AT, set_point(100_000))
    return bench


def test_a_stop_is_zero_power_and_stop_whichever_comes_later() -> None:
    async def stopped(first: tuple[int, list[int]], second: tuple[int, list[int]]) -> None:
        bench = running_bench()
        watch = WireWatch(bench)
        watch.arm(racks=[0, 1], needs_stop=True)
        bench.inverter.write(*first)
        assert watch.stop_ns is None
        await asyncio.sleep(0.003)
        second_ns = now_ns()
        bench.inverter.write(*second)
        await asyncio.sleep(0.1)
        bench.inverter.write(*second)
        assert watch.stop_ns == second_ns
        bench.inverter.close()

    zero, stop = (SET_POINT_AT, set_point(0)), (OPERATION_AT, STOP)
    in_world(stopped(zero, stop))
    in_world(stopped(stop, zero))


def test_a_converter_that_hears_nothing_is_stopped_when_its_reversion_ends() -> None:
    async def reverted() -> None:
        bench = running_bench()
        watch = WireWatch(bench)
        written_ns = now_ns()
        await asyncio.sleep(0.2)
        watch.arm(racks=[0, 1], needs_stop=False)
        await asyncio.sleep(1.0)
        assert watch.stop_ns == written_ns + 1_000_000_000

    in_world(reverted())


def test_contactors_count_when_the_last_rack_has_its_opening_command_on_the_wire() -> None:
    async def opened() -> None:
        bench = Bench(find_rig("latency"), 1)
        watch = WireWatch(bench)
        layout = native_layout(26, 16)
        encoders = [FrameEncoder(layout.commands.frames) for _ in bench.buses]
        ports = [bus.attach(lambda _: None) for bus in bench.buses.values()]

        async def command(rack: int, main_and_precharge: tuple[float, float]) -> None:
            values = np.array([0.0] * 26 + [*main_and_precharge, 0.0])
            ports[rack].send(encoders[rack].encode(np.array([26]), values))
            await asyncio.sleep(0.01)

        await command(0, OPEN)
        watch.arm(racks=[0, 1], needs_stop=True)
        await command(0, CLOSED)
        await command(1, OPEN)
        await command(0, PRECHARGING)
        assert watch.opening_ns is None
        sent_ns = now_ns()
        await command(0, OPEN)
        await command(0, OPEN)
        opening_ns = watch.opening_ns
        assert opening_ns is not None
        assert sent_ns + 200_000 < opening_ns < sent_ns + 300_000  # one frame of 8 bytes at 500 kbit/s

    in_world(opened())


def test_same_seed_same_figures_and_every_sample_differs() -> None:
    first = take_samples("current", 3, 3)
    assert take_samples("current", 3, 3) == first
    assert [sample.cause for sample in first] == [
        "converter-runs-away-discharging",
        "converter-runs-away-charging",
        "overcurrent-that-stays",
    ]
    assert len({sample.stop_ms for sample in [*first, *take_samples("current", 4, 1)]}) == 4


def test_a_current_that_is_heard_no_more_does_not_delay_the_contactors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is there after ten damaged frames, much sooner than the last current is too old to count as known."""
    damaged = Cause("every-frame-damaged", lambda bench, rack, _: damage(bench.nodes[rack]))
    monkeypatch.setitem(CAUSES, "comms", (damaged,))
    samples = take_samples("comms", 1, 6)
    assert max(sample.stop_ms for sample in samples) < 40.0
    assert max(sample.contactor_ms for sample in samples) < 70.0


def damage(node: RackNode) -> None:
    node.faults.break_crc_frac = 1.0


def test_a_rack_that_hears_nothing_has_no_opening_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = next(cause for cause in CAUSES["comms"] if cause.name == "can-bus-broken")
    monkeypatch.setitem(CAUSES, "comms", (deaf,))
    found = Figures("comms", tuple(take_samples("comms", 1, 2)))
    assert found.errors == []
    assert math.isnan(found.most("contactor_ms"))
    assert math.isnan(found.most("opening_ms"))
    assert not math.isnan(found.most("stop_ms"))


def test_a_sample_without_a_stop_is_an_error_that_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CAUSES, "voltage", (Cause("nothing", lambda *_: None),))
    (sample,) = take_samples("voltage", 5, 1)
    assert sample.error == "no stop within 15 s"
    figures = Figures("voltage", (sample, Sample(6, 0, "other", stop_ms=80.0, contactor_ms=50.0, opening_ms=130.0)))
    assert not figures.within
    assert list(complaints(figures, ["--samples", "25"])) == [
        "error: voltage, nothing, sample 0 of seed 5: no stop within 15 s; "
        "replay: hil latency --seeds 1 --first 5 --samples 25"
    ]
    shown = json.loads(json.dumps(document(figures), allow_nan=False))
    assert (shown["samples"], shown["within"]) == (2, False)
    assert shown["errors"] == [{"seed": 5, "number": 0, "cause": "nothing", "error": "no stop within 15 s"}]
    assert shown["causes"]["nothing"] == {"samples": 1, "stop_ms_max": None, "contactor_ms_max": None}


def figures(fault_class: str, stops_ms: range) -> Figures:
    return Figures(
        fault_class,
        tuple(Sample(1, n, "any", stop_ms=float(n), contactor_ms=10.0, opening_ms=n + 10.0) for n in stops_ms),
    )


def test_percentiles_are_samples_and_the_highest_below_a_thousand() -> None:
    assert figures("voltage", range(1, 1001)).percentiles("stop_ms") == {"p50": 500.0, "p99": 990.0, "p999": 999.0}
    assert figures("voltage", range(1, 500)).percentiles("stop_ms") == {"p50": 250.0, "p99": 495.0, "p999": 499.0}


@pytest.mark.parametrize(
    ("fault_class", "limit_ms"),
    [("voltage", 200), ("current", 100), ("temperature", 1000), ("contactor", 300), ("comms", 1000)],
)
def test_a_limit_is_the_last_value_within(fault_class: str, limit_ms: int) -> None:
    assert figures(fault_class, range(limit_ms, limit_ms + 1)).within
    missed = figures(fault_class, range(limit_ms + 1, limit_ms + 2))
    assert not missed.within
    found = f"stop p99.9 is {limit_ms + 1}.0 ms, limit {limit_ms} ms"
    assert list(complaints(missed, ["--samples", "25"])) == [f"missed: {fault_class}: {found}; worst: any, seed 1"]


@pytest.mark.parametrize(("contactor_ms", "within"), [(100.0, True), (100.1, False), (math.nan, False)])
def test_contactor_commands_have_100_ms(contactor_ms: float, within: bool) -> None:
    assert Figures("voltage", (Sample(1, 0, "any", stop_ms=1.0, contactor_ms=contactor_ms),)).within is within


@pytest.mark.parametrize("words", [["--can-loss", "1.1"], ["--can-loss", "x"], ["--delay", "-0.1"]])
def test_a_disturbance_out_of_range_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["latency", *words])
    assert ended.value.code == 2
    assert f"argument {words[0]}: expected a number from 0 to 1, got {words[1]!r}" in capsys.readouterr().err


def test_a_delay_to_the_converter_counts_at_least_three_times_in_the_stop() -> None:
    """0 W goes out, its answer comes back, STOP goes out."""
    (calm,), (slow,) = take_samples("current", 1, 1), take_samples("current", 1, 1, Disturbance(delay_s=0.03))
    assert slow.stop_ms - calm.stop_ms > 3 * 30.0 - 30.0


def test_where_every_frame_is_lost_the_converter_is_stopped_and_no_opening_is_heard() -> None:
    (lost,) = take_samples("temperature", 1, 1, Disturbance(can_loss_frac=1.0))
    assert "opening of the contactors" in lost.error


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--first", "x"], ["--jobs", "0"], ["--samples", "1.5"]])
def test_bad_input_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["latency", *words])
    assert ended.value.code == 2
    assert f"argument {words[0]}: expected a whole number" in capsys.readouterr().err


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """A short run: every cause at least once."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["latency", "--seeds", f"{SEEDS}", "--samples", f"{SAMPLES}", "--json"])
    found: dict[str, Any] = json.loads(out.getvalue())
    assert status == (0 if all(each["within"] for each in found.values()) else 1)
    return found


def test_json_has_every_class_with_its_percentiles_and_causes(measured: dict[str, Any]) -> None:
    assert list(measured) == ["voltage", "current", "temperature", "contactor", "comms"]
    for name, found in measured.items():
        for figure in ("stop_ms", "contactor_ms"):
            values = found[figure]
            assert list(values) == ["p50", "p99", "p999"]
            assert 0.0 <= values["p50"] <= values["p99"] <= values["p999"] == found["max_ms"][figure[:-3]]
        assert (found["samples"], found["errors"]) == (SEEDS * SAMPLES, [])
        assert found["causes"].keys() == {cause.name for cause in CAUSES[name]}
        assert sum(each["samples"] for each in found["causes"].values()) == SEEDS * SAMPLES


@pytest.mark.parametrize(
    ("fault_class", "least_ms"),
    [("voltage", 40.0), ("current", 20.0), ("temperature", 280.0), ("contactor", 100.0)],
)
def test_stops_keep_their_limits_and_never_come_before_the_debounce(
    measured: dict[str, Any], fault_class: str, least_ms: float
) -> None:
    found = measured[fault_class]
    assert least_ms < found["stop_ms"]["p50"] <= found["stop_ms"]["p999"] <= found["limit_ms"]["stop"]


def test_lost_comms_stop_within_their_limit(measured: dict[str, Any]) -> None:
    stops_ms = {name: each["stop_ms_max"] for name, each in measured["comms"]["causes"].items()}
    assert max(stops_ms.values()) <= 1000.0
    assert stops_ms["commands-lost"] > 800.0 - 100.0  # the age that opens, less the period of the commands
    assert stops_ms["current-lost"] > 100.0 - 10.0  # the age that opens, less the period of the frame
    assert stops_ms["inverter-silent"] > 900.0


def test_contactors_are_commanded_within_100_ms_of_a_low_current(measured: dict[str, Any]) -> None:
    assert max(found["contactor_ms"]["p999"] for found in measured.values()) <= 100.0


def test_the_page_shows_every_class_its_causes_and_what_missed() -> None:
    shown = page([figures("voltage", range(151, 251)), figures("comms", range(1, 101))])
    assert "100 samples a class, 1 seed." in shown
    assert "| voltage | stop | 200.0 | 249.0 | 250.0 | 250.0 | 200 **missed** |  |\n" in shown
    assert "| voltage | opening | 210.0 | 259.0 | 260.0 | 260.0 |  | about 1200 |\n" in shown
    assert "| comms | contactor | 10.0 | 10.0 | 10.0 | 10.0 | 100 |  |\n" in shown
    assert "| comms | any | 100 | 100.0 | 10.0 |\n" in shown


def test_a_page_in_no_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        latency(argparse.Namespace(markdown=tmp_path / "nowhere" / "latency.md"))
