"""Which rows of a packed run fit a query: words looked up in blocks and patterns. Pure but for the blocks that it is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.search.language import All, Leaf, Node, Not, Query
from appliance.hybrid.search.sealed.frames import PLANES, Frames
from appliance.hybrid.search.words import I64, U8, Mask

Bounds = tuple[Mask, Mask]
"""Rows that fit for certain, and those that may."""
Blocks = Callable[[bytes, bool], Sequence[bytes]]
"""(word, whether it is only the beginning) -> the bodies of the blocks in which it can stand."""
Said = tuple[bytes, bool]
"""A word, and whether only its beginning is said."""
_JOIN: Final = b"\n"


@dataclass(frozen=True, slots=True)
class _Listed:
    """Words of a block, by their numbers (half-open)."""

    block: Frames
    low: int
    high: int

    def mark(self, mask: Mask) -> None:
        """Marks the rows that are listed for them."""
        count = self.block.section(0).count(_JOIN) + 1
        many = self.block.numbers(1, count).astype(np.int64)
        ends = np.cumsum(many)
        begin, end = int(ends[self.low] - many[self.low]), int(ends[self.high - 1])
        steps = self.block.numbers(1 + PLANES, int(ends[-1]))[begin:end].astype(np.int64)
        starts = ends[self.low : self.high] - many[self.low : self.high] - begin
        rows = np.cumsum(steps)
        mask[rows - np.repeat(np.append(0, rows)[starts], many[self.low : self.high])] = True


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word stands: numbers of common words (half-open), and blocks that list rows for it."""

    low: int
    high: int
    listed: tuple[_Listed, ...]

    @property
    def is_there(self) -> bool:
        return self.low < self.high or bool(self.listed)


class Run:
    """One packed run of rows. Raises ``Broken`` where it is not what was written."""

    def __init__(self, rows: int, common: bytes, head: Callable[[], bytes], blocks: Blocks) -> None:
        """``common`` are the common words, joined; ``head`` gives the patterns where they are needed."""
        self.rows = rows
        self._common, self._blocks, self._get_head = common, blocks, head
        self._head: Frames | None = None
        self._pattern: tuple[I64, I64] | None = None
        self._of_row: I64 | None = None

    def scores(self, query: Query) -> tuple[U8, Mask | None] | None:
        """Of each row how many of the wanted words and phrases it may have (0: it doesn't fit), and in which rows phrases have to be looked
        up (None: in none). None where no row fits.

        Words that are all common are looked for among the patterns, of which there are few, and only what fits is looked up row by row.
        """
        absent: set[Leaf] = set()
        places: dict[Said, _Place] = {}
        for leaf in sorted(query.leaves, key=_rarity):
            places |= {said: self._place(*said) for said in _said(leaf) if said not in places}
            if not all(places[said].is_there for said in _said(leaf)):
                absent.add(leaf)
                if not _may_hold(query.root, absent):
                    return None
        by_pattern = not any(place.listed for place in places.values())
        found: dict[Leaf, Mask] = {}
        for leaf in query.leaves:
            masks = [self._mask(places[said], by_pattern=by_pattern) for said in _said(leaf)] if leaf not in absent else []
            found[leaf] = np.logical_and.reduce(masks) if masks else np.zeros(self._length(by_pattern), np.bool_)
        _, may = _bounds(query.root, found)
        if not may.any():
            return None
        many = np.zeros(len(may), np.uint8)
        for leaf in query.wanted:
            many += found[leaf]
        many = np.where(may, np.maximum(many, 1), 0).astype(np.uint8)
        phrases = [found[leaf] for leaf in query.leaves if len(leaf.words) > 1]
        doubtful: Mask | None = np.asarray(np.logical_or.reduce(phrases) & may, np.bool_) if phrases else None
        if by_pattern:
            of_row = self._rows()
            return many[of_row], doubtful[of_row] if doubtful is not None else None
        return many, doubtful

    def _place(self, word: bytes, is_prefix: bool) -> _Place:
        low, high = _range(self._common, word, is_prefix)
        if low < high and not is_prefix:
            return _Place(low, high, ())
        bodies = [Frames(body) for body in self._blocks(word, is_prefix)]
        found = [_Listed(body, *_range(body.section(0), word, is_prefix)) for body in bodies]
        return _Place(low, high, tuple(listed for listed in found if listed.low < listed.high))

    def _length(self, by_pattern: bool) -> int:
        return len(self._patterns()[0]) if by_pattern else self.rows

    def _mask(self, place: _Place, *, by_pattern: bool) -> Mask:
        """The patterns, or the rows, in which a word stands."""
        mask = np.zeros(self._length(by_pattern), np.bool_)
        if place.low < place.high:
            sizes, codes = self._patterns()
            has = mask if by_pattern else np.zeros(len(sizes), np.bool_)
            has[np.repeat(np.arange(len(sizes)), sizes)[(codes >= place.low) & (codes < place.high)]] = True
            if not by_pattern:
                mask = has[self._rows()]
        for listed in place.listed:
            listed.mark(mask)
        return mask

    def _frames(self) -> Frames:
        if self._head is None:
            self._head = Frames(self._get_head())
        return self._head

    def _patterns(self) -> tuple[I64, I64]:
        """How many words each pattern has, and the words of all of them."""
        if self._pattern is None:
            head = self._frames()
            count = max(1, *(len(head.section(plane)) for plane in range(PLANES)))  # one pattern without words leaves nothing
            sizes = head.numbers(0, count).astype(np.int64)
            self._pattern = sizes, head.numbers(PLANES, int(sizes.sum())).astype(np.int64)
        return self._pattern

    def _rows(self) -> I64:
        """The pattern of each row."""
        if self._of_row is None:
            self._of_row = self._frames().numbers(2 * PLANES, self.rows).astype(np.int64)
        return self._of_row


def _said(leaf: Leaf) -> list[Said]:
    """Each word with whether only its beginning is said."""
    last = len(leaf.words) - 1
    return [(word, leaf.is_prefix and number == last) for number, word in enumerate(leaf.words)]


def _rarity(leaf: Leaf) -> tuple[bool, int]:
    """What is likely to be nowhere comes first: numbers and names, then long words."""
    word = max(leaf.words, key=len)
    return not any(48 <= b <= 57 for b in word), -len(word)


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
