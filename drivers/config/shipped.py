"""Files that come with the package (rigs, scenarios): found by name or by path, listed, never silently broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from drivers.config.config_yaml import ConfigErrors, load_strict
from drivers.config.near import hint
from drivers.config.settings import RELATION, Settings, about, name_or_beside


class Shipped(Settings):
    """A settings file with a name and one line about it."""

    name: Annotated[
        str,
        about(
            "", "its name; a shipped file is called the same", pattern=r"^[a-z][a-z0-9-]{0,47}$", shape="a short name"
        ),
    ]
    says: Annotated[str, about("", "what it is, in one line", shape="one line of text", pattern=r"^\S[^\n]{0,199}$")]


File = TypeVar("File", bound=Shipped)


class UnknownNameError(ValueError):
    """Neither a shipped name nor a file; the message is one line."""


def find(folder: Path, name_or_path: str, model: type[File]) -> File:
    """The shipped file of that name, or else the file at that path.

    Raises UnknownNameError, or ConfigErrors for what is wrong in the file."""
    names = shipped_names(folder)
    if name_or_path in names:
        return _load(folder / f"{name_or_path}.yaml", model)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return load_strict(path, model)
    what = model.__name__.removesuffix("File").lower()
    raise UnknownNameError(f"no {what} named {name_or_path!r}: {hint(name_or_path, names, 'a file or ')}")


def known_name(name: str, info: ValidationInfo, read: Callable[[str], object], what: str, right: str) -> str:
    """What a validator of such a name does: `read` it when a settings file is loaded, and say in one line what is wrong
    with it. `what` it should name, and what a file of it should be (`right`)."""
    if info.context is None:
        return name
    name = name_or_beside(name, info)
    try:
        read(name)
    except UnknownNameError as error:
        context = {"wrong": str(error), "expected": f"name or path of a {what}"}
        raise PydanticCustomError(RELATION, "{wrong}", context) from None
    except ConfigErrors as errors:
        first = errors.problems[0]
        wrong = f"{errors.file}:{first.line}:{first.column}: {first.text}"
        more = f" and {len(errors.problems) - 1} more" if len(errors.problems) > 1 else ""
        raise PydanticCustomError(RELATION, "{wrong}", {"wrong": wrong + more, "expected": right}) from None
    return name


def shipped(folder: Path, model: type[File]) -> list[File]:
    """All files of a folder, by name. ConfigErrors of the first broken one."""
    return [_load(folder / f"{name}.yaml", model) for name in shipped_names(folder)]


def shipped_names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _load(path: Path, model: type[File]) -> File:
    file = load_strict(path, model)
    if file.name != path.stem:
        raise UnknownNameError(f"{path}: is named {file.name!r}, expected {path.stem!r} like the file")
    return file
