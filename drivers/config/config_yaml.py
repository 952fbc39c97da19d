"""Settings files that fail with every mistake at once, each on its own line with the place and what was expected."""

import copy
import stat
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import Node

from drivers.config.config_words import in_words, show
from drivers.config.settings import LATER, Broken, Loc, Settings, broken_in
from drivers.config.settings_schema import usable_at
from drivers.config.yaml_nodes import (
    FILE_BYTES_MAX,
    ConfigErrors,
    Dumper,
    Plain,
    Problem,
    child,
    compose,
    decode,
    join,
    key_position,
    value_position,
)

__all__ = ["ConfigErrors", "Problem", "dump_yaml", "in_words", "load_strict", "parse_strict"]

Model = TypeVar("Model", bound=Settings)


def load_strict(path: str | Path, model: type[Model]) -> Model:
    """The settings file as `model`. Names of files inside it are relative to its folder (given to validators as
    context `folder`).

    Raises ConfigErrors, whose text is one `file:line:col: dotted.path: what is wrong (got VALUE), expected ...`
    for each mistake. A relation between fields is judged as soon as the fields that it needs are right by
    themselves and no key above it is missing."""
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ConfigErrors(str(path), [Problem(1, 1, "is a pipe, a socket or a device, expected a regular file")])
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        text = f"cannot be read (got {error.strerror!r}), expected a readable file"
        raise ConfigErrors(str(path), [Problem(1, 1, text)]) from None
    return parse_strict(decode(raw, str(path)), model, file=str(path), folder=path.parent)


def parse_strict(text: str, model: type[Model], *, file: str, folder: Path) -> Model:
    """Like load_strict, for text that stands in `file`."""
    root = compose(text, file)
    plain = Plain(file)
    data = plain.value(root)
    settings, errors, replaced = _validate(model, data, {"folder": folder, LATER: True})
    found = [_problem(model, root, details) for details in errors]
    if settings is not None:
        found += [_relation(root, *each) for each in broken_in(settings) if _stands(*each, replaced)]
    told = {(problem.line, problem.column) for problem in plain.problems}
    problems = plain.problems + [problem for problem in found if (problem.line, problem.column) not in told]
    if settings is None or problems:
        raise ConfigErrors(file, problems)
    return settings


def dump_yaml(settings: BaseModel, first: tuple[str, ...] = ()) -> str:
    """YAML text that parse_strict reads back to an equal model, the keys `first` in front; absent optional values
    are left out."""
    values = settings.model_dump(mode="json", exclude_none=True)
    ordered = {name: values[name] for name in (*first, *values)}
    return yaml.dump(ordered, Dumper=Dumper, sort_keys=False, width=110)


def _validate(model: type[Model], data: Any, context: dict[str, Any]) -> tuple[Model | None, list[Any], set[Loc]]:
    """The model, pydantic's errors and the places of the wrong values, for which the model holds usable ones."""
    try:
        return model.model_validate(data, context=context), [], set()
    except ValidationError as error:
        errors: list[Any] = [each for each in error.errors(include_url=False) if not _short_by_errors(each)]
    paths = [(_path_in(data, details["loc"]), details) for details in errors]
    data = copy.deepcopy(data)
    replaced = {path for path, details in paths if _replace(model, data, path, details)}
    try:
        return model.model_validate(data, context=context), errors, replaced
    except ValidationError:
        return None, errors, replaced


def _short_by_errors(details: Any) -> bool:
    """A list that pydantic calls too short only because it left out the entries that have errors of their own."""
    return details["type"] == "too_short" and bool(len(details["input"]) >= details["ctx"]["min_length"])


def _path_in(data: Any, loc: Loc) -> Loc:
    """`loc` without the tags of unions, which pydantic inserts and which are no keys of the file."""
    path: Loc = ()
    for part in loc:
        if isinstance(data, dict) and part not in data and part in _texts(data):
            continue
        path += (part,)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return path


def _texts(data: dict[str, Any]) -> list[str]:
    return [value for value in data.values() if isinstance(value, str)]


def _replace(model: type[BaseModel], data: Any, path: Loc, details: Any) -> bool:
    """Removes an unknown key, puts a usable value in the place of any other wrong one. False if it cannot."""
    for part in path[:-1]:
        if not isinstance(data, dict | list):
            return False
        data = data[part]  # type: ignore[index]
    if not path or not isinstance(data, dict | list):
        return False
    if details["type"] == "extra_forbidden":
        del data[path[-1]]  # type: ignore[arg-type]
    else:
        data[path[-1]] = usable_at(model, details["loc"])  # type: ignore[index]
    return True


def _stands(loc: Loc, broken: Broken, replaced: set[Loc]) -> bool:
    """Whether a broken relation depends on nothing that was replaced, be it a value or one inside of it."""
    operands = [loc + each for each in (broken.at, *broken.others)]
    return not any(each[: len(gone)] == gone[: len(each)] for each in operands for gone in replaced)


def _problem(model: type[BaseModel], root: Node, details: Any) -> Problem:
    kind, loc = details["type"], details["loc"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        loc = (*loc, details["ctx"]["discriminator"].strip("'"))
    line, column, path = _position(root, loc, at_key=kind == "extra_forbidden")
    text = in_words(model, {**details, "loc": loc})
    return Problem(line, column, f"{path}: {text}" if path else text)


def _relation(root: Node, loc: Loc, broken: Broken) -> Problem:
    """Stands at the first of its values that the file has."""
    path = ".".join(map(str, loc + broken.at))
    written = next((each for each in (broken.at, *broken.others) if _is_written(root, loc + each)), broken.at)
    line, column, _ = _position(root, loc + written, at_key=False)
    return Problem(line, column, f"{path}: {broken.wrong} (got {show(broken.got)}), expected {broken.expected}")


def _position(root: Node, loc: Loc, at_key: bool) -> tuple[int, int, str]:
    """Line, column and dotted path of `loc`; where the key is absent, the key of its parent."""
    node, path = root, ""
    place = value_position(root)
    for i, part in enumerate(loc):
        found = child(node, part)
        if found is None:
            if i < len(loc) - 1 and _is_tag(node, part):
                continue
            return *place, ".".join([path, *map(str, loc[i:])]).lstrip(".")
        place = key_position(node, part) or place
        node, path = found, join(path, part)
    return *(place if at_key else value_position(node)), path


def _is_written(root: Node, loc: Loc) -> bool:
    node: Node | None = root
    for part in loc:
        node = child(node, part) if node is not None else None
    return node is not None


def _is_tag(node: Node, part: str | int) -> bool:
    values = node.value if isinstance(node.value, list) else []
    return any(isinstance(entry, tuple) and entry[1].value == part for entry in values)
