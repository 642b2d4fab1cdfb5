"""One option's value: from what stands in the file or the environment to its type, and in words. Pure functions.

A value that doesn't fit raises ``ValueError`` whose text goes on after the option's name: "must be …, found …".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from appliance.options import SECONDS_MAX
from appliance.units import parse_duration, parse_size, show_duration, show_size

SHOWN_CHARS_MAX = 60
"""Of a value that is refused, no more than this is repeated."""


def read_value(kind: Any, raw: Any, *, secret: bool = False) -> Any:
    """A TOML value as ``kind``, an option's annotation; texts with a unit are parsed. ``secret`` keeps it out of the error."""
    found = "" if secret else f", found {shown(raw)}"
    value = raw
    unit = unit_of(kind)
    if unit is not None and isinstance(raw, str):
        try:
            value = parse_duration(raw) if unit == "duration" else parse_size(raw)
        except ValueError as error:
            raise ValueError(f"must be {expected(kind)}{found}: {error}") from None
    try:
        return msgspec.convert(value, kind, strict=True)
    except (msgspec.ValidationError, OverflowError):
        raise ValueError(f"must be {expected(kind)}{found}") from None


def from_text(kind: Any, text: str) -> Any:
    """A variable's text as the TOML value it stands for: lists are separated by commas, numbers and true/false are bare."""
    bare = _bare(kind)
    if any(get_origin(option) is tuple for option in bare) and not (text == "none" and len(bare) > 1):
        return [part.strip() for part in text.split(",") if part.strip()]
    if bool in bare:
        return {"true": True, "false": False}.get(text, text)
    if int in bare or float in bare:
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            return text
    return text


def written(kind: Any, value: Any) -> str:
    """An option's value as the config file would hold it; ``unset`` where there is none."""
    if value is None:
        return "unset"
    unit = unit_of(kind)
    if unit is not None:
        return quoted(show_duration(value) if unit == "duration" else show_size(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{quoted(k)} = {quoted(v)}' for k, v in value.items())} }}" if value else "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(quoted(element) for element in value)}]"
    return quoted(value) if isinstance(value, str) else str(value)


def expected(kind: Any) -> str:
    """What an option takes, in words: ``a duration above 0, such as "20ms"``."""
    words = [_expected_one(option) for option in options_of(kind)]
    return " or ".join(words)


def shown(raw: Any) -> str:
    """A value of the file as a person wrote it, in one line."""
    if isinstance(raw, str):
        return quoted(raw if len(raw) <= SHOWN_CHARS_MAX else raw[:SHOWN_CHARS_MAX] + "…")
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        odd = next((element for element in raw if not isinstance(element, str)), None)
        return "a list" if odd is None else f"a list with {shown(odd)}"
    text = str(raw)
    return text if len(text) <= SHOWN_CHARS_MAX else f"a value of {len(text)} digits"


def quoted(text: str) -> str:
    """A text as TOML writes it on one line."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def unit_of(kind: Any) -> Literal["duration", "size"] | None:
    """Whether an option takes texts with a unit, and of which kind."""
    for option in options_of(kind):
        meta = meta_of(option)
        if meta is not None and meta.extra:
            unit: Literal["duration", "size"] = meta.extra["unit"]
            return unit
    return None


def options_of(kind: Any) -> tuple[Any, ...]:
    """The members of a union but None."""
    members = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    return tuple(member for member in members if member is not NoneType)


def _bare(kind: Any) -> tuple[Any, ...]:
    return tuple(get_args(option)[0] if get_origin(option) is Annotated else option for option in options_of(kind))


def is_table(kind: Any) -> bool:
    """Whether an option takes names with a text each."""
    return get_origin(kind) is Mapping


def is_fraction(kind: Any) -> bool:
    """Whether an option takes numbers that are not whole, and no unit."""
    return unit_of(kind) is None and float in _bare(kind)


def meta_of(kind: Any) -> msgspec.Meta | None:
    """The bounds and the unit of an option's annotation; None where it has none."""
    return next((part for part in get_args(kind) if isinstance(part, msgspec.Meta)), None)


def _expected_one(kind: Any) -> str:
    if get_origin(kind) is Literal:
        choices = [quoted(choice) if isinstance(choice, str) else str(choice) for choice in get_args(kind)]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    if get_origin(kind) is tuple:
        return "a list of texts"
    if is_table(kind):
        return "a table of texts"
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a text"
    meta = meta_of(kind)
    assert meta is not None, kind
    unit = unit_of(kind)
    what = {"duration": "a duration", "size": "a size", None: "a number" if is_fraction(kind) else "a whole number"}[unit]
    example = {"duration": ', such as "20ms" or "5min"', "size": ', such as "64MiB"', None: ""}[unit]
    return f"{what} {_bounds(meta, unit)}{example}"


def _bounds(meta: msgspec.Meta, unit: Literal["duration", "size"] | None) -> str:
    def written(bound: float) -> str:
        return show_duration(bound) if unit == "duration" else show_size(int(bound)) if unit == "size" else f"{bound:.15g}"

    low = "above 0" if meta.gt is not None else f"of at least {written(meta.ge or 0)}"
    said = meta.le is not None and meta.le != SECONDS_MAX
    return f"{low} and at most {written(meta.le or 0)}" if said else low
