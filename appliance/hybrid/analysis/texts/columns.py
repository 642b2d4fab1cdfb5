"""A shape as columns: words, signs and what varies, each by itself, so that two shapes can be compared place by place. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from appliance.hybrid.analysis.texts.masks import VARIES

Columns = tuple[str, ...]
"""The columns of one shape; joined they are its text, with each space as one."""
COLUMNS_MAX: Final = 200
"""Columns that are looked at; what follows is one ``<*>``."""
_PERIOD_MAX: Final = 6
_REMEMBERED: Final = 4_096
_SHORT: Final = 32
_COLUMN: Final = re.compile(r"\s+|<\*>|\.{2,}|[=:,;(){}\[\]\"'|]|(?:[^\s=:,;(){}\[\]\"'|<.]|<(?!\*>)|\.(?!\.))+(?:<\*>)?")
_NAME: Final = re.compile(r"\w[._/@\\$-]+\w")
_PATH: Final = re.compile(r"\w[./@\\$]+\w")
_SIGNS: Final = frozenset(" =:,;(){}[]\"'|")
_SEPARATORS: Final = frozenset((" ", ",", ";", "|"))
SWITCHES: Final = frozenset(("true", "false", "yes", "no", "on", "off", "enabled", "disabled"))
NOTHINGS: Final = frozenset(("null", "none", "nil", "n/a", "nan", "-", "--", "unknown", "undefined"))


def columns_of(shape: str) -> Columns:
    """The columns of a shape. What repeats and varies is there once: a list of two and a list of nine look the same."""
    columns = [" " if column.isspace() else column for column in _COLUMN.findall(shape.strip())]
    if VARIES in shape:
        columns = _without_repeats(columns)
    return tuple(columns) if len(columns) <= COLUMNS_MAX else (*columns[:COLUMNS_MAX], VARIES)


def _without_repeats(columns: list[str]) -> list[str]:
    found: list[str] = []
    varies = False
    for column in columns:
        found.append(column)
        varies = varies or VARIES in column
        if varies and column not in _SEPARATORS:
            _fold_repeat(found)
        if len(found) > COLUMNS_MAX:
            break
    return found


def _fold_repeat(found: list[str]) -> None:
    """Takes away the newest columns where they say what those before them said, with or without separators between."""
    for period in range(1, min(_PERIOD_MAX, len(found) // 2) + 1):
        begin = len(found) - period
        if found[begin] in _SEPARATORS or not any(VARIES in column for column in found[begin:]):
            continue
        end = begin
        while end > period and found[end - 1] in _SEPARATORS:
            end -= 1
        if found[begin:] == found[end - period : end]:
            del found[end:]
            return


def text_of(columns: Columns) -> str:
    """The template as a person reads it."""
    return "".join(columns)


def is_word(column: str) -> bool:
    """Whether it says something: has a letter and nothing that varies."""
    return _is_short_word(column) if len(column) <= _SHORT else _has_letter(column)


@lru_cache(_REMEMBERED)
def _is_short_word(column: str) -> bool:
    return _has_letter(column)


def _has_letter(column: str) -> bool:
    return VARIES not in column and any(c.isalpha() for c in column)


def is_name(column: str) -> bool:
    """Whether it is put together as names are (``a.b``, ``x_y``, ``me@host``), which words are not."""
    return bool(_NAME.search(column))


def is_path(column: str) -> bool:
    """Whether it is a name that says where something is to be found (``a.b.c``, ``a/b``, ``me@host``)."""
    return bool(_PATH.search(column))


def is_sign(column: str) -> bool:
    """Whether it only separates."""
    return column in _SIGNS or (column.startswith("..") and not column.strip("."))


def is_keyed(columns: Columns, place: int) -> bool:
    """Whether the column is the value of ``key=``."""
    place -= 1
    while place >= 0 and columns[place] in (" ", '"', "'"):
        place -= 1
    return place >= 0 and columns[place] == "="
