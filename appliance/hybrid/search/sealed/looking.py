"""Which rows of a packed run fit a query: words looked up in blocks and patterns. Pure but for the blocks that it is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from appliance.hybrid.search.language import All, Leaf, Node, Not, Query
from appliance.hybrid.search.sealed.frames import PLANES, Frames
from appliance.hybrid.search.words import I64, Mask

Bounds = tuple[Mask, Mask]
"""Rows that fit for certain, and those that may."""
Blocks = Callable[[bytes, bool], Sequence[bytes]]
"""(word, whether it is only the beginning) -> the bodies of the blocks in which it can stand."""
_JOIN: Final = b"\n"


class Run:
    """One packed run of rows. Raises ``Broken`` where it is not what was written."""

    def __init__(self, rows: int, common: bytes, head: Callable[[], bytes], blocks: Blocks) -> None:
        """``common`` are the common words, joined; ``head`` gives the patterns where they are needed."""
        self.rows = rows
        self._common, self._head, self._blocks = common, head, blocks
        self._pattern: tuple[I64, I64, I64] | None = None

    def scores(self, query: Query) -> tuple[I64, Mask | None] | None:
        """Of each row how many of the wanted words and phrases it may have (0: it doesn't fit), and in which rows phrases have to be looked
        up (None: in none). None where no row fits."""
        absent: set[Leaf] = set()
        for leaf in sorted(query.leaves, key=_rarity):
            if not all(self._is_there(word, is_prefix) for word, is_prefix in _said(leaf)):
                absent.add(leaf)
                if not _may_hold(query.root, absent):
                    return None
        found: dict[Leaf, Mask] = {}
        for leaf in query.leaves:
            found[leaf] = self._all_words(leaf) if leaf not in absent else np.zeros(self.rows, np.bool_)
        _, may = _bounds(query.root, found)
        if not may.any():
            return None
        many = np.zeros(self.rows, np.uint8)
        for leaf in query.wanted:
            many += found[leaf]
        phrases = [found[leaf] for leaf in query.leaves if len(leaf.words) > 1]
        doubtful = np.logical_or.reduce(phrases) & may if phrases else None
        return np.where(may, np.maximum(many, 1), 0), doubtful

    def _is_there(self, word: bytes, is_prefix: bool) -> bool:
        low, high = _range(self._common, word, is_prefix)
        return low < high or any(_range_in(Frames(body), word, is_prefix) for body in self._blocks(word, is_prefix))

    def _all_words(self, leaf: Leaf) -> Mask:
        """Rows that have each word of a leaf."""
        mask: Mask | None = None
        for word, is_prefix in _said(leaf):
            rows = self.rows_of(word, is_prefix=is_prefix)
            mask = rows if mask is None else mask & rows
            if not mask.any():
                break
        assert mask is not None
        return mask

    def rows_of(self, word: bytes, *, is_prefix: bool) -> Mask:
        """The rows in which a word stands, or one that begins so."""
        mask = np.zeros(self.rows, np.bool_)
        self._mark_common(word, is_prefix, mask)
        for body in self._blocks(word, is_prefix):
            _mark_listed(Frames(body), word, is_prefix, mask)
        return mask

    def _mark_common(self, word: bytes, is_prefix: bool, mask: Mask) -> None:
        low, high = _range(self._common, word, is_prefix)
        if low == high:
            return
        sizes, codes, of_row = self._patterns()
        pattern = np.repeat(np.arange(len(sizes)), sizes)[(codes >= low) & (codes < high)]
        has = np.zeros(len(sizes), np.bool_)
        has[pattern] = True
        np.logical_or(mask, has[of_row], out=mask)

    def _patterns(self) -> tuple[I64, I64, I64]:
        if self._pattern is None:
            head = Frames(self._head())
            of_row = head.numbers(2 * PLANES, self.rows)
            sizes = head.numbers(0, int(of_row.max()) + 1 if len(of_row) else 0).astype(np.int64)
            self._pattern = sizes, head.numbers(PLANES, int(sizes.sum())).astype(np.int64), of_row.astype(np.int64)
        return self._pattern


def _said(leaf: Leaf) -> list[tuple[bytes, bool]]:
    """Each word with whether only its beginning is said."""
    last = len(leaf.words) - 1
    return [(word, leaf.is_prefix and number == last) for number, word in enumerate(leaf.words)]


def _rarity(leaf: Leaf) -> tuple[bool, int]:
    """What is likely to be nowhere comes first: numbers and names, then long words."""
    word = max(leaf.words, key=len)
    return not any(48 <= b <= 57 for b in word), -len(word)


def _range_in(block: Frames, word: bytes, is_prefix: bool) -> bool:
    low, high = _range(block.section(0), word, is_prefix)
    return low < high


def _mark_listed(block: Frames, word: bytes, is_prefix: bool, mask: Mask) -> None:
    """Marks the rows that a block lists for a word."""
    words = block.section(0)
    low, high = _range(words, word, is_prefix)
    if low == high:
        return
    many = block.numbers(1, words.count(_JOIN) + 1).astype(np.int64)
    ends = np.cumsum(many)
    begin, end = int(ends[low] - many[low]), int(ends[high - 1])
    steps = block.numbers(1 + PLANES, int(ends[-1]))[begin:end].astype(np.int64)
    starts = ends[low:high] - many[low:high] - begin
    rows = np.cumsum(steps)
    rows -= np.repeat(np.append(0, rows)[starts], many[low:high])
    mask[rows] = True


def _range(words: bytes, word: bytes, is_prefix: bool) -> tuple[int, int]:
    """The numbers of the words, rising and joined, that are ``word`` or begin so: half-open."""
    if not words:
        return 0, 0
    if words.startswith(word) and (is_prefix or words[len(word) : len(word) + 1] in (b"", _JOIN)):
        at = 0
    else:
        at = words.find(_JOIN + word if is_prefix else _JOIN + word + _JOIN) + 1
        if at == 0 and not is_prefix and words.endswith(_JOIN + word):
            at = len(words) - len(word)
        if at == 0:
            return 0, 0
    low = words.count(_JOIN, 0, at)
    if not is_prefix:
        return low, low + 1
    high = low + 1
    after = words.find(_JOIN, at)
    while after >= 0 and words.startswith(word, after + 1):
        high += 1
        after = words.find(_JOIN, after + 1)
    return low, high


def _bounds(node: Node, found: dict[Leaf, Mask]) -> Bounds:
    """What a query says of rows of which it is known whether they have all words of each leaf, but not of phrases in which order."""
    if isinstance(node, Leaf):
        mask = found[node]
        return (mask, mask) if len(node.words) == 1 else (np.zeros(len(mask), np.bool_), mask)
    if isinstance(node, Not):
        sure, may = _bounds(node.of, found)
        return ~may, ~sure
    parts = [_bounds(n, found) for n in node.of]
    join = np.logical_and if isinstance(node, All) else np.logical_or
    return np.asarray(join.reduce([p[0] for p in parts])), np.asarray(join.reduce([p[1] for p in parts]))


def _may_hold(node: Node, absent: set[Leaf]) -> bool:
    """Whether the query can hold where these leaves are nowhere."""
    if isinstance(node, Leaf):
        return node not in absent
    if isinstance(node, Not):
        return True
    parts = [_may_hold(n, absent) for n in node.of]
    return all(parts) if isinstance(node, All) else any(parts)
