"""YAML text to plain values with a position for each: YAML 1.2 scalars, no duplicate keys, everything bounded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

DEPTH_MAX = 20
VALUES_MAX = 50_000
"""Values of one file with its aliases expanded; a site of 64 racks needs about 1,000."""
FILE_BYTES_MAX = 2_000_000
NUMBER_CHARACTERS_MAX = 30

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
"""The core schema of YAML 1.2.2, section 10.3.2: no yes/no/on/off, no sexagesimal numbers, no dates."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; line and column count from 1."""

    line: int
    column: int
    text: str


class ConfigErrors(Exception):  # noqa: N818 - it is many errors
    """All mistakes of one file; str() is one `file:line:column: text` a line, in the file's order."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(f"{file}:{p.line}:{p.column}: {p.text}" for p in self.problems))


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 and a bound on nesting."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            problem = f"nested deeper than {DEPTH_MAX} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class Dumper(yaml.SafeDumper):
    """SafeDumper that quotes every text which YAML 1.1 or 1.2 would read as something else."""


for _name, _pattern, _first in _SCALARS:
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def compose(text: str, file: str) -> Node:
    """The one document of `text` as nodes; ConfigErrors with the one place where it stops being YAML."""
    if len(text) > FILE_BYTES_MAX:
        raise _one(file, 1, 1, f"file too long (got {len(text)} characters), expected at most {FILE_BYTES_MAX}")
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _one(file, *_position(mark), _syntax(error, text)) from None
    except yaml.reader.ReaderError as error:
        line, column = _count(text[: error.position])
        character = f"character U+{int(error.character):04X}"
        raise _one(file, line, column, f"{character} is not allowed in YAML, expected text") from None
    except (ValueError, OverflowError):  # what PyYAML lets through from int() and chr()
        text = "not valid YAML (an escape or a directive with a number out of range), expected YAML 1.2"
        raise _one(file, 1, 1, text) from None
    if root is None or (isinstance(root, ScalarNode) and not root.value and root.style is None):
        raise _one(file, 1, 1, "file is empty, expected settings")
    return root


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab where YAML wants spaces, expected spaces"
    parts = ", ".join(part for part in (error.context, error.problem) if part)
    return f"not valid YAML ({parts}), expected YAML 1.2"


def _position(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _count(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _one(file: str, line: int, column: int, text: str) -> ConfigErrors:
    return ConfigErrors(file, [Problem(line, column, text)])


def decode(raw: bytes, file: str) -> str:
    """UTF-8 text, with or without byte order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _count(raw[: error.start].decode("latin-1"))
        wrong = f"not UTF-8 (got byte 0x{raw[error.start]:02X}), expected UTF-8 text"
        raise _one(file, line, column, wrong) from None


@dataclass(slots=True)
class Plain:
    """Builds plain values out of nodes; `problems` collects duplicate keys, tags and unusable scalars. The first
    of duplicate keys counts."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    _values: int = 0

    def value(self, node: Node, path: str = "", depth: int = 0) -> Any:
        self._values += 1
        if depth > DEPTH_MAX or self._values > VALUES_MAX:
            text = f"too many values behind aliases, expected at most {VALUES_MAX} values and {DEPTH_MAX} levels"
            raise _one(self.file, *_position(node.start_mark), text)
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(child, join(path, i), depth + 1) for i, child in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return self._problem(node, path, f"tag not allowed (got {_short(node.tag)}), expected a plain value")

    def _mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, child in node.value:
            if not isinstance(key, ScalarNode):
                self._problem(key, path, "key is not text (got a list or mapping), expected a name")
            elif key.value in values:
                wrong = f"duplicate key (got {key.value!r} again), expected once; first on line {first[key.value]}"
                self._problem(key, join(path, key.value), wrong)
            else:
                first[key.value] = key.start_mark.line + 1
                values[key.value] = self.value(child, join(path, key.value), depth + 1)
        return values

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        text, tag = node.value, node.tag.removeprefix(_TAG)
        if tag == "str":
            return text
        if len(text) <= NUMBER_CHARACTERS_MAX:
            for name, pattern, _ in _SCALARS:
                if name == tag and re.fullmatch(pattern, text):
                    return _convert(name, text)
        return self._problem(node, path, f"unusable value (got {text[:40]!r}), expected a plain value")

    def _problem(self, node: Node, path: str, text: str) -> None:
        line, column = _position(node.start_mark)
        self.problems.append(Problem(line, column, f"{path}: {text}" if path else text))


def _convert(name: str, text: str) -> object:
    if name == "null":
        return None
    if name == "bool":
        return text.lower() == "true"
    if name == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def join(path: str, part: str | int) -> str:
    """Dotted path."""
    return f"{path}.{part}" if path else str(part)


def key_position(node: Node, part: str | int) -> tuple[int, int] | None:
    """Position of the key (of the entry in a list) `part` of `node`; None if it is not there."""
    if isinstance(node, MappingNode):
        return next((_position(key.start_mark) for key, _ in node.value if key.value == part), None)
    found = child(node, part)
    return None if found is None else _position(found.start_mark)


def value_position(node: Node) -> tuple[int, int]:
    """Position of a value's first character."""
    return _position(node.start_mark)


def child(node: Node, part: str | int) -> Node | None:
    """The value at `part` of a mapping or list; None if it is not there."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        found: Node = node.value[part]
        return found
    return None
