"""Where no terminal says how wide it is, a table is as wide as it needs."""

import pytest
from rich.table import Table

from hil_rigs.console import console


def row(text: str) -> Table:
    table = Table("criterion", "measured")
    table.add_row(text, "1")
    return table


def test_long_rows_of_a_table_stay_whole_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print(row("x" * 150))
    lines = capsys.readouterr().out.splitlines()
    assert f"│ {'x' * 150} │ 1        │" in lines
    assert {len(line) for line in lines} == {165}


def test_columns_are_as_many_as_somebody_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    console().print(row("x" * 150))
    assert {len(line) for line in capsys.readouterr().out.splitlines()} == {60}
