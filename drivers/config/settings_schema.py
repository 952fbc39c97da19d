"""Words for what a settings field takes, read off the models, so that messages and the manual cannot disagree."""

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as bounds
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from drivers.config.settings import Loc


def known_keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """Keys that the mapping at `loc` may have; `loc` as pydantic gives it, with the tags of unions."""
    found = _models(_walk(model, loc)[0])
    return [name for each in found for name in each.model_fields]


def expected_at(model: type[BaseModel], loc: Loc) -> str:
    """What the field at `loc` takes, in words: type, bounds, unit."""
    annotation, info = _walk(model, loc)
    return expected(annotation, info)


def usable_at(model: type[BaseModel], loc: Loc) -> Any:
    """Plain data that the field at `loc` takes by itself: a stand-in that lets the rest be checked."""
    return _usable(*_walk(model, loc))


def expected(annotation: Any, info: FieldInfo | None) -> str:
    """What a field with this annotation takes, in words."""
    kind, shape, unit = _bare(annotation), _extra(info, "shape"), _extra(info, "unit")
    found = list(_models(kind))
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of {_range(info)}{'mappings' if found else 'values'}"
    if len(found) > 1:
        return "a mapping with kind " + _one_of([tag for each in found for tag in _tags(each)])
    if found:
        required = [name for name, field in found[0].model_fields.items() if field.is_required()]
        return f"a mapping with at least {', '.join(required)}" if required else "a mapping"
    if kind is str:
        return shape or f"text of {_range(info)}characters"
    return _NAMES[kind] + _bounds(info) + (f", in {unit}" if unit not in ("", "frac") else "")


_NAMES = {float: "a number", int: "a whole number", bool: "true or false"}


def _extra(info: FieldInfo | None, name: str) -> str:
    extra = info.json_schema_extra if info is not None else None
    return str(extra.get(name, "")) if isinstance(extra, dict) else ""


def _one_of(choices: Sequence[object]) -> str:
    words = ", ".join(repr(choice) for choice in choices)
    return words if len(choices) == 1 else f"one of {words}"


def limits_of(info: FieldInfo | None) -> dict[str, float]:
    """The bounds of a field by pydantic's names: gt, ge, lt, le, min_length, max_length."""
    found: dict[str, float] = {}
    for entry in info.metadata if info is not None else ():
        found |= {name: getattr(entry, name) for name, kind in _BOUNDS.items() if isinstance(entry, kind)}
    return found


_BOUNDS: dict[str, type] = {
    "gt": bounds.Gt,
    "ge": bounds.Ge,
    "lt": bounds.Lt,
    "le": bounds.Le,
    "min_length": bounds.MinLen,
    "max_length": bounds.MaxLen,
}
_WORDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def _bounds(info: FieldInfo | None) -> str:
    found = limits_of(info)
    if "ge" in found and "le" in found:
        return f" from {found['ge']:g} to {found['le']:g}"
    parts = [f"{word} {found[name]:g}" for name, word in _WORDS.items() if name in found]
    return f" {' and '.join(parts)}" if parts else ""


def _range(info: FieldInfo | None) -> str:
    """How many entries or characters, with a trailing space."""
    found = limits_of(info)
    least, most = found.get("min_length"), found.get("max_length")
    if least is not None and most is not None:
        return f"{least:g} to {most:g} "
    return f"at most {most:g} " if most is not None else ""


def _usable(annotation: Any, info: FieldInfo | None) -> Any:
    kind, found, models = _bare(annotation), limits_of(info), list(_models(annotation))
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is tuple:
        return [_usable(get_args(kind)[0], None)] * int(found.get("min_length", 0))
    if models:
        fields = models[0].model_fields.items()
        return {name: _usable(field.annotation, field) for name, field in fields if field.is_required()}
    if kind in (int, float):
        return kind(found.get("le", found.get("ge", 1)))
    return (_extra(info, "usable") or "x") if kind is str else None


def _walk(model: type[BaseModel], loc: Loc) -> tuple[Any, FieldInfo | None]:
    """Annotation and description at `loc`; stays where it is at a part that is neither field, index nor tag."""
    annotation: Any = model
    info: FieldInfo | None = None
    for part in loc:
        found = list(_models(annotation))
        if isinstance(part, int):
            annotation = (get_args(_bare(annotation)) or (Any,))[0]
            info = next((each for each in get_args(annotation) if isinstance(each, FieldInfo)), None)
        elif len(found) > 1:
            chosen = [each for each in found if part in _tags(each)]
            if chosen:
                annotation = chosen[0]
            elif part in found[0].model_fields:  # the tag's own field, before any variant is chosen
                annotation, info = Literal[tuple(tag for each in found for tag in _tags(each))], None
        elif found and part in found[0].model_fields:
            info = found[0].model_fields[part]
            annotation = info.annotation
    return annotation, info


def _bare(annotation: Any) -> Any:
    """Without Annotated and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        rest = [each for each in get_args(annotation) if each is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings models that an annotation names, also inside unions and lists."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple):
        for each in get_args(annotation):
            yield from _models(each)


def _tags(model: type[BaseModel]) -> Iterator[str]:
    """The value of a model's `kind`, where it has one."""
    info = model.model_fields.get("kind")
    if info is not None and get_origin(info.annotation) is Literal:
        yield from get_args(info.annotation)
