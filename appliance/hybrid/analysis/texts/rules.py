"""When texts that differ in one place are one template: by what stands there, how many there are, and how much else they share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from appliance.hybrid.analysis.texts.columns import NOTHINGS, Columns, is_keyed, is_name, is_sign, is_word
from appliance.hybrid.analysis.texts.masks import VARIES

FEW: Final = 4
"""Different words in one place that may each be a kind of its own (a state, a verb); a fifth shows that the place varies."""
FEW_BESIDE_TWO: Final = 6
"""As ``FEW``, with only two words besides: what stands there is more of what is said."""
FEW_BESIDE_ONE: Final = 12
"""As ``FEW``, with one word besides, or at the beginning, which says what the text is about."""
WORDS_BESIDE_PATHS: Final = 3
"""Words beside which paths and the like (``a.b.c``) are values at once: the words say what is told, the path of what."""
SHARED_NAMES: Final = 3
"""Words in one place that are known to vary elsewhere, from which on it varies here too: the names of the same things."""


def one_template(columns: Columns, place: int, values: Sequence[str], names: Collection[str]) -> list[int] | None:
    """Which of the texts that differ only at ``place`` are one template there, by their indexes in ``values``; None: none.

    ``columns`` is one of them; ``names``: words that were found to vary elsewhere.
    """
    words = sum(1 for i, column in enumerate(columns) if i != place and is_word(column))
    if not words:
        return None
    if len(values) > few(columns, place, words):
        return list(range(len(values)))
    if may_be_names(columns, place) and sum(value in names for value in values) >= SHARED_NAMES:
        return list(range(len(values)))
    masked = [i for i, value in enumerate(values) if VARIES in value]
    if VARIES in values:
        masked += [i for i, v in enumerate(values) if VARIES not in v and (v.lower() in NOTHINGS or is_name(v) or v in names)]
    return masked if len(masked) > 1 else None


def may_be_names(columns: Columns, place: int) -> bool:
    """Whether words at ``place`` that vary elsewhere too are names of things: not the values of a key, nor what the text begins with."""
    words = sum(1 for i, column in enumerate(columns) if i != place and is_word(column))
    return words > 1 and not is_keyed(columns, place) and any(is_word(column) for column in columns[:place])


def few(columns: Columns, place: int, words: int) -> int:
    """How many different columns at ``place`` may each be a template of its own, beside so many words."""
    first = not any(is_word(column) for column in columns[:place])
    if words == 1 or first:
        return FEW_BESIDE_ONE
    return FEW_BESIDE_TWO if words == 2 else FEW


def is_detail(columns: Columns, place: int) -> bool:
    """Whether what stands at ``place`` is less than what the text is about: enough is said besides."""
    words = sum(1 for i, column in enumerate(columns) if i != place and is_word(column))
    return words > 0 and few(columns, place, words) == FEW


def may_vary(column: str) -> bool:
    """Whether texts that differ in it can be one template: a word, a name or what varies; never a sign."""
    return not is_sign(column)
