"""What a demo refuses before it begins, and its end: why there is nothing to compare, where there is nothing."""

from pathlib import Path

import pytest

from hil_rigs.cli import main
from hil_rigs.demo_summary import print_summary, summary_document
from hil_rigs.rig import find_rig
from hil_rigs.run import simulate
from hil_rigs.serve import write_truth


def test_short_demo_and_one_whose_rig_died_say_which_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # whoever runs the tests may have a width of its own
    record, truth = tmp_path / "demo.parquet", tmp_path / "truth.parquet"
    outcome = simulate(find_rig("demo"), seed=1, duration_s=1.0)
    outcome.recorder.write(record)
    died = "no comparison of the grid with and without battery: the rig's process died and left no powers of the plant"
    document = summary_document(truth, record, 1)
    assert (document["grid"], document["grid_reason"]) == (None, died)
    print_summary(truth, record)
    assert capsys.readouterr().out.startswith(died)
    write_truth(truth, outcome.curves, start_ns=0)
    document = summary_document(truth, record, 0)
    assert document["grid"] is None
    assert document["grid_reason"] == (
        "too short to compare the grid with and without battery: the limits rise for the first 20 s"
    )


def test_fault_that_would_not_come_before_the_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "demo.parquet"
    assert main(["demo", "--duration", "20", "--fault", "meter-lost@20", "--record", str(record)]) == 2
    refused = "fault 'meter-lost@20': not before the run's end, expected less than 20 s\n"
    assert (capsys.readouterr().err, record.exists()) == (refused, False)
