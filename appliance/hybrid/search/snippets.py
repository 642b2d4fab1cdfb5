"""The text around what fits, with the places of the words in it. Pure; for the few hits that are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from appliance.hybrid.search.language import Leaf
from appliance.hybrid.search.matching import leaf_places
from appliance.hybrid.search.words import WORD_BYTES_MAX, split, words_of

CHARS_MAX: Final = 200
SHORT: Final = 2_000
"""Characters up to which a text is looked through word by word; longer ones by column."""
BEFORE: Final = 60
"""Characters that are shown before the first word that fits."""
LOOKED_MAX: Final = 100_000
"""Characters of a text that is not plain ASCII that are looked through for places."""
_PIECE: Final = re.compile(r"[^\W_]+")
Span = tuple[int, int]


def snippet(text: str, leaves: Sequence[Leaf]) -> tuple[str, tuple[Span, ...]]:
    """At most ``CHARS_MAX`` characters of ``text`` around the first place that fits, and half-open places of words in them.

    Characters that would move a terminal's cursor or change its direction of writing are shown as spaces.
    """
    found = places(text, leaves)
    start = max(0, found[0][0] - BEFORE) if found and found[0][1] > CHARS_MAX else 0
    shown = "".join(c if c.isprintable() else " " for c in text[start : start + CHARS_MAX])
    marks = tuple((a - start, min(b - start, len(shown))) for a, b in found if a >= start and a - start < len(shown))
    return shown, marks


def places(text: str, leaves: Sequence[Leaf]) -> list[Span]:
    """Where the words of ``leaves`` stand in ``text``: half-open pairs of characters, rising, not overlapping."""
    if text.isascii() and len(text) > SHORT:
        of = split(pa.array([text], pa.string()))
        numbers = sorted({int(at) + i for leaf in leaves for at in leaf_places(leaf, of).tolist() for i in range(len(leaf.words))})
        return [(int(of.begin[n]), _end(text, int(of.begin[n]), int(of.size[n]))) for n in numbers]
    if text.isascii():
        spans = [piece.span() for piece in _PIECE.finditer(text)]
        found = [text[a:b].lower().encode()[:WORD_BYTES_MAX] for a, b in spans]
        kept = {at + i for leaf in leaves for at in range(len(found)) if _follows(leaf, found, at) for i in range(len(leaf.words))}
        return [spans[n] for n in sorted(kept)]
    words = [(piece.start(), piece.end(), words_of(piece.group())) for piece in _PIECE.finditer(text[:LOOKED_MAX])]
    return [(a, b) for a, b, inside in words if any(_stands(word, inside) for leaf in leaves for word in _said(leaf))]


def _follows(leaf: Leaf, words: Sequence[bytes], at: int) -> bool:
    """Whether what the leaf says stands at a place."""
    last = len(leaf.words) - 1
    for step, said in enumerate(leaf.words):
        if at + step >= len(words):
            return False
        word = words[at + step]
        if not (word.startswith(said) if leaf.is_prefix and step == last else word == said):
            return False
    return True


def _end(text: str, begin: int, size: int) -> int:
    """Where the word ends, also one that is longer than what counts of it."""
    end = begin + size
    while end < len(text) and text[end].isalnum():
        end += 1
    return end


def _said(leaf: Leaf) -> list[tuple[bytes, bool]]:
    return [(word, leaf.is_prefix and i == len(leaf.words) - 1) for i, word in enumerate(leaf.words)]


def _stands(word: tuple[bytes, bool], inside: Sequence[bytes]) -> bool:
    said, is_prefix = word
    return any(one.startswith(said) if is_prefix else one == said for one in inside)
