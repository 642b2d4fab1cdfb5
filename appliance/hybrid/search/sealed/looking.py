"""Which rows of a packed run fit a query: words looked up in blocks and patterns. Pure but for the blocks that it is handed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hybrid.search.language import All, Leaf, Node, Not, Query
from appliance.hybrid.search.sealed.frames import PLANES, Frames
from appliance.hybrid.search.words import I64, U8, Mask

Bounds = tuple[Mask, Mask]
"""Rows that fit for certain, and those that may."""
Blocks = Callable[[bytes, bool], Sequence[bytes]]
"""(word, whether it is only the beginning) -> the bodies of the blocks in which it can stand."""
Said = tuple[bytes, bool]
"""A word, and whether only its beginning is said."""
U16 = npt.NDArray[np.uint16]
_JOIN: Final = b"\n"
KEPT_BYTES_MAX: Final = 96 * 1024
"""Of the patterns of a run that are remembered; what has more patterns than that is unpacked for each query."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """Words of a block, by their numbers (half-open)."""

    block: Frames
    low: int
    high: int

    def rows(self) -> I64:
        """The rows that are listed for them; of several words one may come twice."""
        count = self.block.section(0).count(_JOIN) + 1
        many = self.block.numbers(1, count).astype(np.int64)
        ends = np.cumsum(many)
        begin, end = int(ends[self.low] - many[self.low]), int(ends[self.high - 1])
        steps = self.block.numbers(1 + PLANES, int(ends[-1]))[begin:end].astype(np.int64)
        starts = ends[self.low : self.high] - many[self.low : self.high] - begin
        rows = np.cumsum(steps)
        return np.asarray(rows - np.repeat(np.append(0, rows)[starts], many[self.low : self.high]), np.int64)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word stands: numbers of common words (half-open), and blocks that list rows for it."""

    low: int
    high: int
    listed: tuple[_Listed, ...]

    @property
    def is_there(self) -> bool:
        return self.low < self.high or bool(self.listed)

    @property
    def rows(self) -> I64:
        """The rows that blocks list, rising."""
        return np.unique(np.concatenate([listed.rows() for listed in self.listed])) if self.listed else np.empty(0, np.int64)


@dataclass(slots=True)
class Room:
    """Bytes that may be remembered of all runs together. From any thread."""

    bytes_max: int = 0
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> bool:
        """Whether so many more may be."""
        with self._lock:
            is_room = self.bytes + count <= self.bytes_max
            self.bytes += count if is_room else 0
            return is_room

    def give_back(self, count: int) -> None:
        """So many are not remembered any more."""
        with self._lock:
            self.bytes -= count


@dataclass(slots=True)
class Memory:
    """What is remembered of a run from one query to the next, so that most queries need not unpack it. Of one thread at a time."""

    patterns: tuple[I64, I64] | None = None
    """How many words each pattern has, and the words of all of them."""
    counts: I64 | None = None
    """In how many rows each pattern stands."""
    of_row: U16 | None = None
    """The pattern of each row."""
    room: Room = field(default_factory=Room)

    def forget(self) -> None:
        """Gives it all back."""
        if self.of_row is not None:
            self.room.give_back(self.of_row.nbytes)
        self.patterns = self.counts = self.of_row = None


class Run:
    """One packed run of rows. Raises ``Broken`` where it is not what was written."""

    def __init__(self, rows: int, common: bytes, head: Callable[[], bytes], blocks: Blocks, memory: Memory | None = None) -> None:
        """``common`` are the common words, joined; ``head`` gives the patterns where they are needed."""
        self._memory = memory or Memory()
        self.rows = rows
        self._common, self._blocks, self._get_head = common, blocks, head
        self._head: Frames | None = None
        self._pattern = self._memory.patterns
        self._of_row: I64 | None = None

    def scores(self, query: Query) -> tuple[U8, Mask | None] | None:
        """Of each row how many of the wanted words and phrases it may have (0: it doesn't fit), and in which rows phrases have to be looked
        up (None: in none). None where no row fits.

        Words that are all common are looked for among the patterns, of which there are few, and only what fits is looked up row by row.
        """
        found = self._fitting(query)
        if found is None or not found[2]:
            return None if found is None else found[:2]
        many, doubtful, _ = found
        of_row = self._rows()
        return many[of_row], doubtful[of_row] if doubtful is not None else None

    def count(self, query: Query) -> int:
        """How many rows ``scores`` is not 0 of."""
        found = self._fitting(query)
        if found is None:
            return 0
        many, _, by_pattern = found
        return int(self._counts()[many > 0].sum()) if by_pattern else int(np.count_nonzero(many))

    def _fitting(self, query: Query) -> tuple[U8, Mask | None, bool] | None:
        """``scores`` of rows, or of patterns where the last is True."""
        absent: set[Leaf] = set()
        places: dict[Said, _Place] = {}
        for leaf in sorted(query.leaves, key=_rarity):
            places |= {said: self._place(*said) for said in _said(leaf) if said not in places}
            if not all(places[said].is_there for said in _said(leaf)):
                absent.add(leaf)
                if not _may_hold(query.root, absent):
                    return None
        few = None if absent else self._few(query, places)
        if few is not None:
            many = np.zeros(self.rows, np.uint8)
            many[few] = len(query.wanted)
            return (many, None, False) if len(few) else None
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
        return many, doubtful, by_pattern

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
            has = self._pattern_mask(place)
            mask = has if by_pattern else has[self._rows()]
        for listed in place.listed:
            mask[listed.rows()] = True
        return mask

    def _few(self, query: Query, places: Mapping[Said, _Place]) -> I64 | None:
        """The rows that have all of some words, of which one at least is rare: looked for among the rows of that one. None: it is asked
        for something else."""
        leaves = query.root.of if isinstance(query.root, All) else (query.root,)
        if not all(isinstance(leaf, Leaf) and len(leaf.words) == 1 for leaf in leaves):
            return None
        rare = sorted((place.rows for place in places.values() if place.low == place.high), key=len)
        if not rare:
            return None
        rows = rare[0]
        for others in rare[1:]:
            rows = rows[np.isin(rows, others, assume_unique=True)]
        for place in places.values():
            if place.low < place.high and len(rows):
                has = self._pattern_mask(place)[self._rows()[rows]]
                rows = rows[has | np.isin(rows, place.rows, assume_unique=True)]
        return rows

    def _pattern_mask(self, place: _Place) -> Mask:
        """The patterns in which one of the common words of a place stands."""
        sizes, codes = self._patterns()
        has = np.zeros(len(sizes), np.bool_)
        has[np.repeat(np.arange(len(sizes)), sizes)[(codes >= place.low) & (codes < place.high)]] = True
        return has

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
            if sum(part.nbytes for part in self._pattern) <= KEPT_BYTES_MAX:
                self._memory.patterns = self._pattern
        return self._pattern

    def _counts(self) -> I64:
        """In how many rows each pattern stands."""
        if self._memory.counts is not None:
            return self._memory.counts
        sizes, _ = self._patterns()
        counts = np.bincount(self._rows(), minlength=len(sizes)).astype(np.int64)
        if self._memory.patterns is not None:
            self._memory.counts = counts
        return counts

    def _rows(self) -> U16 | I64:
        """The pattern of each row."""
        if self._memory.of_row is not None:
            return self._memory.of_row
        if self._of_row is None:
            found = self._frames().numbers(2 * PLANES, self.rows)
            if len(self._patterns()[0]) <= np.iinfo(np.uint16).max and self._memory.room.take(2 * self.rows):
                self._memory.of_row = found.astype(np.uint16)
                return self._memory.of_row
            self._of_row = found.astype(np.int64)
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
