"""Files that are no settings at all: one clear line each, in bounded time, and never another exception."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.config.config_yaml import ConfigErrors, Problem, dump_yaml, load_strict, parse_strict
from drivers.config.settings import Settings


class Inner(Settings):
    count: int = 1


class Outer(Settings):
    text: str = ""
    level: float = 0.0
    switch: bool = False
    inner: Inner = Inner()


def parse(text: str) -> Outer:
    return parse_strict(text, Outer, file="f.yaml", folder=Path("/"))


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines)


NO_SETTINGS = [
    ("", "f.yaml:1:1: file is empty, expected settings"),
    ("# only a comment\n", "f.yaml:1:1: file is empty, expected settings"),
    ("--- ~", "f.yaml:1:5: not a mapping (got nothing), expected a mapping"),
    ("- 1", "f.yaml:1:1: not a mapping (got a list of 1), expected a mapping"),
    ("words", "f.yaml:1:1: not a mapping (got 'words'), expected a mapping"),
    ("inner:\n\tcount: 1", "f.yaml:2:1: a tab where YAML wants spaces, expected spaces"),
    ("text: [1", "f.yaml:1:9: not valid YAML (while parsing a flow sequence, expected ',' or ']', but got "
     "'<stream end>'), expected YAML 1.2"),
    ("text: a\n---\ntext: b", "f.yaml:2:1: not valid YAML (expected a single document in the stream, but found another "
     "document), expected YAML 1.2"),
    ("text: *nobody", "f.yaml:1:7: not valid YAML (found undefined alias 'nobody'), expected YAML 1.2"),
    ("text: \x07", "f.yaml:1:7: character U+0007 is not allowed in YAML, expected text"),
    ('text: "\\UFFFFFFFF"', "f.yaml:1:1: not valid YAML (an escape or a directive with a number out of range), "
     "expected YAML 1.2"),
    ("[" * 100_000, "f.yaml:1:21: not valid YAML (nested deeper than 20 levels), expected YAML 1.2"),
    ("text: &a [*a]", "f.yaml:1:7: too many values behind aliases, expected at most 50000 values and 20 levels"),
    (bomb(), "f.yaml:1:34: too many values behind aliases, expected at most 50000 values and 20 levels"),
    ("x" * 2_000_001, "f.yaml:1:1: file too long (got 2000001 characters), expected at most 2000000"),
    ("text: !!python/name:os.system x", "f.yaml:1:7: text: unusable value (got 'x'), expected a plain value"),
    ("inner: !!set {count}", "f.yaml:1:8: inner: tag not allowed (got !!set), expected a plain value"),
    ("? [text]\n: 1", "f.yaml:1:3: key is not text (got a list or mapping), expected a name"),
    ("inner: {<<: {count: 2}}", "f.yaml:1:9: inner.<<: unknown key (got '<<'), expected one of count"),
    ("inner: {count: 99999999999999999999999999999999}", "f.yaml:1:16: inner.count: unusable value (got "
     "'99999999999999999999999999999999'), expected a plain value"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), NO_SETTINGS, ids=[text[:20] for text, _ in NO_SETTINGS])
def test_one_clear_line(text: str, line: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text)
    assert str(caught.value) == line


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_strict(tmp_path / "none.yaml", Outer)
    line = f"{tmp_path}/none.yaml:1:1: cannot be read (got 'No such file or directory'), expected a readable file"
    assert str(caught.value) == line
    with pytest.raises(ConfigErrors, match=r":1:1: cannot be read \(got 'Is a directory'\), expected a readable file"):
        load_strict(tmp_path, Outer)


def test_what_is_no_regular_file_is_refused_instead_of_awaited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", tmp_path / "pipe"):
        with pytest.raises(ConfigErrors) as caught:
            load_strict(path, Outer)
        assert str(caught.value) == f"{path}:1:1: is a pipe, a socket or a device, expected a regular file"


def test_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"level: 1\ntext: caf\xe9\n")
    with pytest.raises(ConfigErrors) as caught:
        load_strict(path, Outer)
    assert str(caught.value) == f"{path}:2:10: not UTF-8 (got byte 0xE9), expected UTF-8 text"


def test_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbflevel: 1\n")
    assert load_strict(path, Outer).level == 1.0


SCALARS = [
    ("text: on", Outer(text="on")),
    ("text: 2026-11-22", Outer(text="2026-11-22")),
    ("text: 12:30", Outer(text="12:30")),
    ("text: '7'", Outer(text="7")),
    ("text: !!str 7", Outer(text="7")),
    ("text: =", Outer(text="=")),
    ("switch: true", Outer(switch=True)),
    ("switch: False", Outer(switch=False)),
    ("level: 1e3", Outer(level=1000.0)),
    ("level: -.5E-1", Outer(level=-0.05)),
    ("level: 7", Outer(level=7.0)),
    ("inner: {count: 010}", Outer(inner=Inner(count=10))),
    ("inner: {count: 0o10}", Outer(inner=Inner(count=8))),
    ("inner: {count: 0x1F}", Outer(inner=Inner(count=31))),
    ("inner: {count: -3}", Outer(inner=Inner(count=-3))),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[text for text, _ in SCALARS])
def test_scalars_are_those_of_yaml_1_2(text: str, expected: Outer) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["switch: yes", "switch: on", "switch: 1", "level: 1_000", "inner: {count: 1:30}"])
def test_scalars_of_yaml_1_1_are_refused(text: str) -> None:
    with pytest.raises(ConfigErrors):
        parse(text)


WORDS = "text level switch inner count 1 1.5 .nan true ~ &a *a !x --- é \\U \ud800 \x00"
PIECES = st.sampled_from([*WORDS.split(" "), *"{}[]'\"#|>%\t\n", ": ", "  ", "- ", ", ", "? ", " "])


@settings(deadline=None, max_examples=500)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_gives_settings_or_errors_with_a_place(text: str) -> None:
    problems = problems_of(text)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
    assert all("\n" not in problem.text for problem in problems)


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        parse(text)
    except ConfigErrors as errors:
        return errors.problems
    return ()


@settings(deadline=None)
@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**18), 10**18))
def test_written_settings_read_back_equal(text: str, level: float, count: int) -> None:
    original = Outer(text=text, level=level, inner=Inner(count=count))
    assert parse(dump_yaml(original)) == original
