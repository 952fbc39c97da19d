"""`hil bench`: rows that say what was compared, as table, JSON and page. How long anything takes is not tested."""

import json
import logging
import math
from pathlib import Path

import pytest

from hil_rigs.benchmarks import command, measure
from hil_rigs.benchmarks.cells import Sizes, bytes_of_a_step
from hil_rigs.benchmarks.measure import Row, Work
from hil_rigs.cli import main

TINY = Sizes(strings=2, cells=20, racks=2, budget_s=0.0)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", TINY)
    monkeypatch.setattr(measure, "TURN_S", 0.0)


@pytest.mark.usefixtures("bench")
def test_bench_prints_a_table_alone_and_writes_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own, which would swallow the drivers' messages
    document, page = tmp_path / "bench.json", tmp_path / "bench.md"
    assert main(["bench", "--quick", "--json", str(document), "--markdown", str(page)]) == 0
    rows = json.loads(document.read_text())
    assert [set(row) for row in rows] == [{"row", "ours", "unit", "peer", "peer_value", "ratio"}] * len(rows)
    assert len({row["row"] for row in rows}) == len(rows)
    for row in rows:
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["peer_value"] / row["ours"])
        assert f"| {row['row']} |" in page.read_text()
    for word in (
        "40 cells, 1 thread",
        "by threshold",
        "CAN frames",
        "one by one",
        "8 saturated CAN buses",
        "mean cell",
        "read 60 registers",
        "answers after 2 s",
        "peer is dead",
        "virtual time: rig container",
        "virtual time: rig residential",
    ):
        assert any(word in row["row"] for row in rows)
    printed = capsys.readouterr()
    assert "ratio" in printed.out
    assert not printed.err


def test_a_row_scales_to_its_unit_and_to_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr(measure, "perf_counter", lambda: float(next(seconds)))
    row = measure.compared("a", Work(int, 4), "ms/step", "b", Work(int, 2), 0.0)
    assert row == Row("a", 250.0, "ms/step", "b", 500.0, 2.0)


def test_bytes_of_a_step_are_those_of_the_state_that_it_touches() -> None:
    assert bytes_of_a_step(1) == 15 * 4 + 12 * 4 + 8 + 4 + 4


def test_the_page_names_the_machine() -> None:
    page = command.page([Row("r", 1.25, "ms", "p", 123.4, math.pi)], TINY)
    assert "| r | 1.25 ms | p | 123 ms | 3.14 |" in page
    assert "cores, instruction set" in page


def test_bench_into_a_missing_folder_is_refused_before_anything_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(command, "all_rows")
    assert main(["bench", "--quick", "--json", str(tmp_path / "none" / "bench.json")]) == 2
    assert "No such file" in capsys.readouterr().err
