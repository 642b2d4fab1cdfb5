"""Rules between two streams: each record of one is looked at together with the newest of the other with the same key, near in time.

By column: the rows of a round and the newest row of each key before it are merged by time, and of each stream the newest one is
carried along. Owned by the processor's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.stream.expression import Column, ExpressionRefused, columns_to_vectors
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.repeats import joined
from appliance.hot.stream.rules import BoundRule, RuleRefused
from appliance.hot.stream.values import I64, Key, Mask, Points, Rows, Signal, Vector
from appliance.hot.stream.watch import Times, Watch
from appliance.records import fold


@dataclass(slots=True)
class Side:
    """One of the two streams: the newest row of each key, and the rows of the round."""

    stream: str
    """Folded."""
    columns: tuple[str, ...]
    """Those that the condition looks at, folded."""
    newest: Rows | None = None
    waiting: list[Rows] = field(default_factory=list)

    def add(self, rows: Rows, by: Sequence[str]) -> None:
        """Rows of the round, cut down to what matters."""
        wanted = {"ts", *self.columns, *(fold(b) for b in by)}
        self.waiting.append(Rows(rows.data.select([n for n in rows.data.schema.names if fold(n) in wanted]), rows.seqs))

    def take(self, keys: KeySpace) -> tuple[Rows, I64, Mask] | None:
        """The newest rows and those of the round as one, the keys of them, and which are new; None when there are none at all."""
        parts = [*([self.newest] if self.newest is not None else []), *self.waiting]
        if not parts:
            return None
        rows = joined(parts)
        is_new = np.arange(len(rows)) >= (0 if self.newest is None else len(self.newest))
        self.waiting = []
        ids = keys.ids(rows.data)
        order = np.lexsort((rows.seqs, rows.ts, ids))
        k = ids[order]
        last = order[np.append(k[1:] != k[:-1], True)[: len(k)]]
        self.newest = Rows(rows.data.take(pa.array(np.sort(last))), rows.seqs[np.sort(last)])
        return rows, ids, is_new


@dataclass(slots=True)
class Join:
    """One rule between two streams."""

    watch: Watch
    keys: KeySpace
    within_us: int
    left: Side
    """The stream of the rule."""
    right: Side
    expected: dict[Key, dict[str, int]] = field(default_factory=dict)
    """Levels of alerts that are stored of keys that have not come yet."""
    _seen: int = 0

    def grow(self) -> None:
        """Makes room for all keys that there are."""
        self.watch.levels.grow(len(self.keys))
        for number in range(self._seen, len(self.keys)) if self.expected else ():
            for level in self.expected.pop(self.keys.key(number), {}).values():
                self.watch.levels.put(number, level)
        self._seen = len(self.keys)

    def add(self, stream: str, rows: Rows) -> None:
        """Records of one of the two streams; those of others are passed over."""
        for side in (self.left, self.right):
            if side.stream == stream:
                side.add(rows, self.keys.by)

    def know(self, stream: str, rows: Rows) -> None:
        """Records of a stream that were evaluated before; the newest of each key counts."""
        self.add(stream, rows)
        side = self.left if self.left.stream == stream else self.right
        side.take(self.keys)
        self.grow()

    def round(self, watermark_us: int) -> list[Signal]:
        """The signals of the records that were added; ``watermark_us`` is that of the rule's stream."""
        if not (self.left.waiting or self.right.waiting):
            return []
        left, right = self.left.take(self.keys), self.right.take(self.keys)
        self.grow()
        if left is None or right is None:
            return []
        points, rows = self._pairs(left, right)
        if not len(points):
            return []
        vectors = self._vectors(left[0], right[0], rows)
        times = Times(np.full(1, watermark_us), watermark_us)
        return [f.signal for f in self.watch.take(points, vectors, times, self.keys.key, {})]

    def _pairs(self, left: Taken, right: Taken) -> tuple[Points, tuple[Places, Places]]:
        """Where a new record has a partner: the point, and the rows of both."""
        rows, side = [left[0], right[0]], [np.zeros(len(left[0]), np.int64), np.ones(len(right[0]), np.int64)]
        key, new = np.concatenate((left[1], right[1])), np.concatenate((left[2], right[2]))
        ts, seqs = np.concatenate([r.ts for r in rows]), np.concatenate([r.seqs for r in rows])
        of, place = np.concatenate(side), np.concatenate([np.arange(len(r)) for r in rows])
        order = np.lexsort((seqs, of, new, ts, key))
        order = order[key[order] >= 0]
        k = key[order]
        begin = np.maximum.accumulate(np.where(np.append(True, k[1:] != k[:-1])[: len(k)], np.arange(len(k)), 0))
        newest = [np.maximum.accumulate(np.where(of[order] == s, np.arange(len(k)), -1)) for s in (0, 1)]
        both = (newest[0] >= begin) & (newest[1] >= begin) & new[order]
        at = np.flatnonzero(both)
        mine, theirs = order[newest[0][at]], order[newest[1][at]]
        near = np.flatnonzero(np.abs(ts[mine] - ts[theirs]) <= self.within_us)
        at, mine, theirs = at[near], mine[near], theirs[near]
        row = np.zeros(len(at), np.int64)
        return Points(k[at], row, ts[order[at]], seqs[mine], ()), (place[mine], place[theirs])

    def _vectors(self, left: Rows, right: Rows, rows: tuple[Places, Places]) -> list[Vector]:
        found = []
        for term in self.watch.rule.terms:
            assert isinstance(term, Column)
            of, places = (right, rows[1]) if term.stream == self.right.stream else (left, rows[0])
            found.append(columns_to_vectors(of.data, (term.name,))[0].take(places))
        return found


Places = npt.NDArray[np.intp]
Taken = tuple[Rows, I64, Mask]


def make_join(rule: BoundRule, watch: Watch, *, keys_max: int) -> Join:
    """A rule that was bound to both streams. Raises ``RuleRefused`` for a condition that needs more than the two records."""
    options = rule.parsed.options
    assert options.stream is not None
    assert options.join is not None
    assert options.within_s is not None
    for term in rule.terms:
        if not isinstance(term, Column):
            refused = ExpressionRefused(f"{term} can't be had of two streams; compare columns of the two records", column=term.at)
            raise RuleRefused(f"workload.{rule.name}.when {refused}")
    mine, other = fold(options.stream), fold(options.join)
    left = tuple(t.name for t in rule.terms if isinstance(t, Column) and t.stream != other)
    right = tuple(t.name for t in rule.terms if isinstance(t, Column) and t.stream == other)
    return Join(watch, KeySpace(rule.by, keys_max), round(options.within_s * 1e6), Side(mine, left), Side(other, right))


def fed(joins: Sequence[Join], stream: str) -> Iterator[Join]:
    """The joins that a stream is part of."""
    return (j for j in joins if stream in (j.left.stream, j.right.stream))
