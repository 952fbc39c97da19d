"""What all settings files share: frozen strict models whose fields carry unit and source, and checked relations."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = tuple[str | int, ...]

RELATION = "relation"
"""Type of the pydantic error that a broken relation becomes; its context is `expected`, `at` and `others`."""


LATER = "relations_later"
"""Context of a validation that leaves relations to `broken_in`, so that one mistake does not hide another."""


def about(unit: str, says: str, source: str = "", shape: str = "", usable: str = "", **bounds: Any) -> Any:
    """Field description for `Annotated`: unit ("" = none), meaning, source of the default, wording of a text's
    pattern, and a text that a validator accepts, where not any is one; `bounds` are pydantic's (gt, ge, lt, le,
    min_length, max_length, pattern)."""
    extra: dict[str, Any] = {"unit": unit, "source": source, "shape": shape, "usable": usable}
    return Field(description=says, json_schema_extra=extra, **bounds)


def beside_the_file(path: str, info: ValidationInfo) -> str:
    """Validator: a path inside a settings file is relative to that file's folder. It becomes absolute, since what is
    read here may be written into a file elsewhere."""
    return path if info.context is None else str(Path(info.context["folder"]).absolute() / path)


def name_or_beside(name: str, info: ValidationInfo) -> str:
    """Validator: what has a folder or ends in .yaml is a path relative to the file, everything else a shipped name."""
    return beside_the_file(name, info) if "/" in name or name.endswith((".yaml", ".yml")) else name


@dataclass(frozen=True, slots=True)
class Broken:
    """A relation that does not hold: where, what is wrong there, and the `others` it depends on (all relative to
    the model that checks)."""

    at: Loc
    got: object
    wrong: str
    expected: str
    others: tuple[Loc, ...] = ()

    def details(self) -> InitErrorDetails:
        context = {"wrong": self.wrong, "expected": self.expected, "at": self.at, "others": self.others}
        return InitErrorDetails(type=PydanticCustomError(RELATION, "{wrong}", context), loc=self.at, input=self.got)


def taken(at: Loc, got: object, wrong: str, other: Loc) -> Broken:
    """What must be one's own is that of another place as well."""
    return Broken(at, got, wrong, "one of its own", (other,))


class Settings(BaseModel):
    """Frozen, no unknown keys, no conversions between types, no NaN or infinity; relations hold once it exists."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    def broken_relations(self) -> Iterator[Broken]:
        """Relations between fields that do not hold; models override it."""
        yield from ()

    @model_validator(mode="after")
    def _check_relations(self, info: ValidationInfo) -> Self:
        if info.context is not None and info.context.get(LATER):
            return self
        broken = [relation.details() for relation in self.broken_relations()]
        if broken:
            raise ValidationError.from_exception_data(type(self).__name__, broken)
        return self

    def below(self, lower: str, upper: str, *, equal: bool = False) -> Iterator[Broken]:
        """Broken unless `lower` < `upper` (<= with `equal`); both are dotted paths. Points at the one that was
        written rather than left at its default."""
        low, high = self._operand(lower), self._operand(upper)
        if low.value < high.value or (equal and low.value == high.value):
            return
        if low.written or not high.written:
            yield low.broken(high, "above" if equal else "not below", "at most" if equal else "less than")
        else:
            yield high.broken(low, "below" if equal else "not above", "at least" if equal else "more than")

    def in_order(self, *names: str, equal: bool = False) -> Iterator[Broken]:
        """Broken for each neighbouring pair that does not rise."""
        for lower, upper in pairwise(names):
            yield from self.below(lower, upper, equal=equal)

    def _operand(self, path: str) -> "_Operand":
        value: Any = self
        written = True
        loc: Loc = tuple(int(part) if part.isdigit() else part for part in path.split("."))
        for part in loc:
            written = written and (isinstance(part, int) or part in value.model_fields_set)
            value = value[part] if isinstance(part, int) else getattr(value, part)
        return _Operand(loc, path, value, written)


def broken_in(settings: Settings, loc: Loc = ()) -> Iterator[tuple[Loc, Broken]]:
    """Every broken relation of a model and of those inside it, each with the place of the model that it is about."""
    for broken in settings.broken_relations():
        yield loc, broken
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        entries = [((*loc, name, i), each) for i, each in enumerate(value)] if isinstance(value, tuple) else []
        for place, each in entries or [((*loc, name), value)]:
            if isinstance(each, Settings):
                yield from broken_in(each, place)


@dataclass(frozen=True, slots=True)
class _Operand:
    loc: Loc
    path: str
    value: float
    written: bool

    def broken(self, other: "_Operand", wrong: str, expected: str) -> Broken:
        origin = f"{other.path}, {other.value:g}" + ("" if other.written else " by default")
        return Broken(self.loc, self.value, f"{wrong} {origin}", f"{expected} {other.value:g}", (other.loc,))
