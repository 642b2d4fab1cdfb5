"""What is computed on texts: once for each distinct text of a dictionary, then taken by code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Texts: TypeAlias = tuple[str, ...]
Codes: TypeAlias = Any
"""int32, an array or a single one; may hold anything where the row is null."""
Ranks: TypeAlias = npt.NDArray[np.int32]
Unify: TypeAlias = Callable[[Texts, Texts], tuple[Texts, Ranks, Ranks]]


def by_text(function: Callable[[str], bool | int], kind: type[np.generic]) -> Callable[[Codes, Texts], Any]:
    """``function`` of each row's text, as ``kind``; the table of the newest dictionary is kept for when the same one comes again."""
    newest: tuple[Texts | None, npt.NDArray[Any]] = (None, np.empty(0, kind))

    def of(codes: Codes, texts: Texts) -> Any:
        nonlocal newest
        known, table = newest
        if known is not texts:
            table = padded([function(text) for text in texts], kind)
            newest = (texts, table)
        return table.take(codes, mode="clip")

    return of


def mapped(function: Callable[[str], str]) -> Callable[[Codes, Texts], tuple[Codes, Texts]]:
    """``function`` of each row's text; texts that become the same share a code."""
    newest: tuple[Texts | None, npt.NDArray[np.int32], Texts] = (None, np.empty(0, np.int32), ())

    def of(codes: Codes, texts: Texts) -> tuple[Codes, Texts]:
        nonlocal newest
        known, table, made = newest
        if known is not texts:
            places: dict[str, int] = {}
            table = padded([places.setdefault(function(text), len(places)) for text in texts], np.int32)
            made = tuple(places)
            newest = (texts, table, made)
        return table.take(codes, mode="clip"), made

    return of


def unifying() -> Unify:
    """Gives two dictionaries one in common, sorted, with the place in it of each of their texts; the newest pair's is kept."""
    newest: tuple[Texts | None, Texts | None, tuple[Texts, Ranks, Ranks]] = (None, None, ((), np.empty(0, np.int32), np.empty(0, np.int32)))

    def of(left: Texts, right: Texts) -> tuple[Texts, Ranks, Ranks]:
        nonlocal newest
        known_left, known_right, made = newest
        if known_left is not left or known_right is not right:
            union = tuple(sorted({*left, *right}))
            places = {text: place for place, text in enumerate(union)}
            made = (union, padded([places[t] for t in left], np.int32), padded([places[t] for t in right], np.int32))
            newest = (left, right, made)
        return made

    return of


def code_of(text: str, texts: Texts) -> int:
    """The code of a text; -1, which no row that is not null has, when it isn't there."""
    try:
        return texts.index(text)
    except ValueError:
        return -1


def like(pattern: str) -> Callable[[str], bool]:
    """Whether a text is like an SQL pattern.

    Each part between two ``%`` is looked for once, leftmost first, and never given up again (atomic groups): that finds a match whenever
    there is one, and takes time in proportion to text times pattern, whatever the pattern.
    """
    first, *parts = (re.escape(part).replace("_", ".") for part in pattern.split("%"))
    if not parts:
        expression = first
    else:
        *middle, last = parts
        expression = first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}"
    matches = re.compile(expression, re.DOTALL).fullmatch
    return lambda text: matches(text) is not None


def padded(values: list[Any], kind: type[np.generic]) -> npt.NDArray[Any]:
    """A table with a zero at its end, so that the codes of null rows, whatever they are, hit something."""
    table = np.zeros(len(values) + 1, kind)
    table[: len(values)] = values
    return table
