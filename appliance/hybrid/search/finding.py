"""The answer to one search: out of one pinned state, the best hits of all sources, and how many there are.

Nothing is missing and nothing is there twice because a segment's rows and a sequence above the mark are disjoint by themselves; what
may have twins is looked at by itself, and what was deleted is left out as anywhere else. An index only says which rows to look at.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from appliance.clock import Clock
from appliance.config import StreamOptions
from appliance.errors import RetryLater, StoreDamaged, UsageRefused
from appliance.hot.reader import HotReader
from appliance.hot.state import Chunk, State, StreamState
from appliance.hybrid.search.fresh import Candidates
from appliance.hybrid.search.language import Leaf, Query, parse
from appliance.hybrid.search.matching import masks_of
from appliance.hybrid.search.sealed.frames import Broken
from appliance.hybrid.search.snippets import snippet
from appliance.hybrid.search.sought import LIMIT_MAX, Matched, Sought
from appliance.hybrid.search.sources import Apart, Indexed, InMemory, InSegment, Source
from appliance.manifest import Deletion, Segment
from appliance.observe.search import Hit, SearchQuery
from appliance.records import Kind, TimeRange, fold
from appliance.roll.hot_rows import Moved, hot_chunks

log = logging.getLogger(__name__)
ATTEMPTS_MAX: Final = 20
NAMES_MAX: Final = 10
"""Names before the records."""
COUNTED_NS: Final = 15_000_000
"""Time that is spent on counting once the hits that are shown are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where searches look; the same for all."""

    root: Path
    state: Callable[[], State]
    """The newest published picture."""
    reader: Callable[[], AbstractContextManager[HotReader]]
    """A look at the hot store, of one instant."""
    options: Mapping[str, StreamOptions]
    """By the streams' names in the config."""
    clock: Clock
    index: Callable[[StreamState, Segment, Sequence[str]], Indexed | None] = lambda _stream, _segment, _fields: None
    """What there is of an index of a segment's fields; None: its texts are read."""
    fresh: Callable[[StreamState, tuple[str, ...], Query], Candidates | None] = lambda _stream, _fields, _query: None
    """Which hot records can fit; None: any."""
    names: Callable[[Query, State], Sequence[Hit]] = lambda _query, _state: ()
    """Names that fit, the best first."""
    broken: Callable[[Any, str], None] = lambda _index, _reason: None
    """Told of an index that can't be read; it is not offered again."""
    damaged: Callable[[Segment, str], None] = lambda _segment, _reason: None
    """Told of a live segment that can't be read; its records are left out."""


def fields_of(stream: StreamState, options: Mapping[str, StreamOptions]) -> tuple[str, ...]:
    """The text fields of a stream that are searched, as its schema names them."""
    said = next((o.search for name, o in options.items() if fold(name) == fold(stream.name)), None)
    texts = [c.name for c in stream.schema.fields if c.kind is Kind.TEXT]
    if said is None:
        return tuple(texts)
    wanted = {fold(name) for name in said}
    return tuple(n for n in texts if fold(n) in wanted)


@dataclass(frozen=True, slots=True, order=True)
class _Best:
    """One of the best records so far; the least is the first to go."""

    score: int
    ts: int
    stream: str
    seq: int
    source: int
    place: int
    of: int


def find(place: Place, asked: SearchQuery) -> tuple[list[Hit], int, bool, list[str]]:
    """Hits in order, how many there are, whether that was counted to its end, and what the answer lacks.

    Raises ``UsageRefused`` for what can't be asked, ``RetryLater`` where rolls keep coming in between.
    """
    query = parse(asked.text)
    if not 0 <= asked.limit <= LIMIT_MAX:
        raise UsageRefused(f"limit={asked.limit}: at most {LIMIT_MAX} hits are shown")
    for _attempt in range(ATTEMPTS_MAX):
        state = place.state()
        try:
            return _Search(place, asked, query, state).run()
        except Moved:
            continue
    raise RetryLater("the streams are rolled all the time; try again")


class _Search:
    """One search of one state."""

    def __init__(self, place: Place, asked: SearchQuery, query: Query, state: State) -> None:
        self._place, self._asked, self._query = place, asked, query
        self._state = state
        self._notes: list[str] = []
        self._best: list[_Best] = []
        self._total = 0
        self._is_whole = True

    def run(self) -> tuple[list[Hit], int, bool, list[str]]:
        pairs = self._newest_first()
        for number, (sought, source) in enumerate(pairs):
            if self._is_settled(source):  # and so is all that comes after it, since it is older
                self._count(pairs, number)
                break
            self._take(number, sought, source, is_counted=False)
        hits = self._shown(pairs)
        found = () if _is_narrow(self._asked) else self._place.names(self._query, self._state)
        names = [name for name in found if not name.again or self._has_records(name)]
        shown = list(names[: min(NAMES_MAX, self._asked.limit)])
        return [*shown, *hits][: self._asked.limit], self._total + len(names), self._is_whole, self._notes

    def _newest_first(self) -> list[tuple[Sought, Source]]:
        streams = [(s, f) for s in _streams(self._state, self._asked.streams) if (f := fields_of(s, self._place.options))]
        pairs = [pair for stream, fields in streams for pair in self._sources(stream, fields)]
        return sorted(pairs, key=lambda pair: pair[1].span[1], reverse=True)

    def _has_records(self, template: Hit) -> bool:
        """Whether a text of a template is left: a word of what was deleted is found nowhere, though a template was learned from it."""
        asked = SearchQuery(text=template.again, streams=(template.stream,), limit=1)
        stream = self._state.get(template.stream)
        if stream is None or not fields_of(stream, self._place.options):  # nobody may search its records, so nobody can tell
            return stream is not None
        return _Search(self._place, asked, parse(template.again), self._state).finds_any()

    def finds_any(self) -> bool:
        """Whether there is a record at all that fits."""
        pairs = self._newest_first()
        for number, (sought, source) in enumerate(pairs):
            self._take(number, sought, source, is_counted=False)
            if self._best:
                return True
        return False

    def _count(self, pairs: Sequence[tuple[Sought, Source]], first: int) -> None:
        """How many there are in the sources from ``first`` on: what is known without looking, then what time allows to look at."""
        start_ns = self._place.clock.monotonic_ns()
        left = sorted(range(first, len(pairs)), key=lambda number: not pairs[number][1].is_counted(pairs[number][0]))
        for number in left:
            if self._place.clock.monotonic_ns() - start_ns > COUNTED_NS:
                self._is_whole = False
                return
            self._take(number, *pairs[number], is_counted=True)

    def _is_settled(self, source: Source) -> bool:
        """Whether nothing in the source can be among the hits."""
        if len(self._best) < self._asked.limit:
            return False
        if not self._best:
            return True
        worst = self._best[0]
        best = (len(self._query.wanted) if self._asked.order == "rank" else 0, source.span[1])
        return best < (worst.score, worst.ts)

    def _sources(self, stream: StreamState, fields: tuple[str, ...]) -> Iterator[tuple[Sought, Source]]:
        """Where this stream's records lie that can count."""
        place, span = self._place, TimeRange(self._asked.since_us, self._asked.until_us)
        identity = stream.identity_columns()
        dirty = [(d.ts_min, d.ts_max) for d in stream.dirty.values() if span.overlaps(d.ts_min, d.ts_max)]
        apart = joined(dirty) if identity is not None else ()
        where = tags_of(self._asked.where)
        deletions = tuple(d for d in stream.deletions)
        sought = Sought(query=self._query, schema=stream.schema, fields=fields, span=span, where=where, deletions=deletions, apart=apart)
        chunks = self._chunks(stream)
        for segment in stream.segments:
            if span.overlaps(segment.ts_min, segment.ts_max) and not any(a <= segment.ts_min and segment.ts_max <= b for a, b in apart):
                mine = sought.narrowed(segment.ts_min, segment.ts_max, first=segment.first, deletions=_still(deletions, segment))
                yield mine, InSegment(place.root, segment, place.index(stream, segment, fields))
        for segment in stream.lost:
            if span.overlaps(segment.ts_min, segment.ts_max):
                self._notes.append(f"{segment.describe()} is missing or damaged")
        fresh = place.fresh(stream, fields, self._query) if chunks else None
        is_exact = len(self._query.wanted) == len(self._query.leaves) and all(len(leaf.words) == 1 for leaf in self._query.leaves)
        for chunk in chunks:
            if not span.overlaps(chunk.ts_min, chunk.ts_max):
                continue
            mine = sought.narrowed(chunk.ts_min, chunk.ts_max, first=chunk.first)
            if fresh is None or not fresh.first <= chunk.first <= chunk.last <= fresh.last:
                yield mine, InMemory(chunk)
            elif len(only := fresh.seqs[slice(*np.searchsorted(fresh.seqs, (chunk.first, chunk.last + 1)).tolist())]):
                yield mine, InMemory(chunk, only, is_exact)
        for low, high in apart:
            assert identity is not None
            files = tuple(s for s in stream.segments if s.ts_min <= high and s.ts_max >= low)
            hot = tuple(c for c in chunks if c.ts_min <= high and c.ts_max >= low)
            yield sought, Apart(place.root, low, high, files, hot, identity)

    def _chunks(self, stream: StreamState) -> list[Chunk]:
        if stream.hot_rows == 0:
            return []
        if stream.ring_first <= stream.mark + 1:
            return stream.hot_chunks()
        with self._place.reader() as reader:
            return hot_chunks(stream, reader)

    def _take(self, number: int, sought: Sought, source: Source, *, is_counted: bool) -> None:
        """What counts in a source; ``is_counted`` where only how many."""
        try:
            many = source.count(sought) if is_counted else None
            if many is not None:
                self._total += many
                return
            for matched in source.matches(sought):
                self._total += len(matched.places)
                self._keep(number, sought.schema.stream, matched)
        except StoreDamaged as e:
            self._lost(source, e)
        except Broken as e:
            assert isinstance(source, InSegment)
            self._place.broken(source.index, str(e))
            raise Moved from e

    def _lost(self, source: Source, error: StoreDamaged) -> None:
        """A file that can't be read. Raises ``Moved`` where it has only been replaced."""
        segments = (source.segment,) if isinstance(source, InSegment) else source.segments if isinstance(source, Apart) else ()
        live = {s.path for stream in self._place.state().streams.values() for s in stream.segments}
        if any(s.path not in live for s in segments):
            raise Moved from error
        for segment in segments:
            if (self._place.root / segment.path) == error.path:
                self._place.damaged(segment, str(error))
        self._notes.append(str(error))

    def _keep(self, number: int, stream: str, matched: Matched) -> None:
        """Of these the best, as far as they are better than what is kept."""
        limit, scores = self._asked.limit, matched.scores
        key = scores if self._asked.order == "rank" else np.zeros(len(scores), np.int64)
        order = np.lexsort((matched.seqs, matched.ts, key))[::-1][:limit]
        for i in order.tolist():
            best = _Best(int(key[i]), int(matched.ts[i]), stream, int(matched.seqs[i]), number, int(matched.places[i]), int(scores[i]))
            if len(self._best) < limit:
                heapq.heappush(self._best, best)
            elif best > self._best[0]:
                heapq.heapreplace(self._best, best)
            else:
                break

    def _shown(self, pairs: Sequence[tuple[Sought, Source]]) -> list[Hit]:
        by_source: dict[int, list[_Best]] = {}
        for best in self._best:
            by_source.setdefault(best.source, []).append(best)
        hits: dict[_Best, Hit] = {}
        for number, bests in by_source.items():
            sought, source = pairs[number]
            names = ["ts", *sought.schema.tags, *sought.fields, "_seq"]
            try:
                rows = source.rows([b.place for b in bests], names)
            except StoreDamaged as e:
                self._lost(source, e)
                continue
            for best, row in zip(bests, rows, strict=True):
                hits[best] = _hit(sought, best, row, self._query)
        return [hits[best] for best in sorted(self._best, reverse=True) if best in hits]


def _still(deletions: tuple[Deletion, ...], segment: Segment) -> tuple[Deletion, ...]:
    """Those whose records a segment may still hold."""
    return tuple(d for d in deletions if d.concerns(segment))


def _is_narrow(asked: SearchQuery) -> bool:
    """Whether only records of some kind are asked for."""
    return bool(asked.streams or asked.where) or asked.since_us is not None or asked.until_us is not None


def _streams(state: State, wanted: Sequence[str]) -> list[StreamState]:
    """In the order of their names. Raises ``UsageRefused`` for one that is not there."""
    for name in wanted:
        if state.get(name) is None:
            raise UsageRefused(f"there is no stream {name[:80]!r}")
    keys = {fold(name) for name in wanted} or set(state.streams)
    return [state.streams[key] for key in sorted(keys)]


def tags_of(where: Iterable[str]) -> dict[str, str | None]:
    """Tag -> value out of ``TAG=VALUE``; None stands for records without it. Raises ``UsageRefused``."""
    found: dict[str, str | None] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageRefused(f"where={text[:80]!r}: write TAG=VALUE")
        found[name] = value or None
    return found


def joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Closed spans, rising, those that touch made one."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        else:
            result.append((low, high))
    return tuple(result)


def _hit(sought: Sought, best: _Best, row: Mapping[str, Any], query: Query) -> Hit:
    texts = {f: str(row[f]) for f in sought.fields if row.get(f) is not None}
    name = _fitting_field(texts, query.wanted)
    words, marks = snippet(texts.get(name, ""), query.wanted)
    return Hit(
        kind="record",
        stream=sought.schema.stream,
        name=name,
        ts_us=best.ts,
        seq=best.seq,
        tags={t: row.get(t) for t in sought.schema.tags},
        snippet=words,
        marks=marks,
        rank=best.of / max(1, len(query.wanted)),
    )


def _fitting_field(texts: Mapping[str, str], leaves: Sequence[Leaf]) -> str:
    """The field in which most of the words and phrases are; of equal ones the first."""
    if len(texts) <= 1:
        return next(iter(texts), "")
    many = {name: sum(bool(m[0]) for m in masks_of(leaves, [pa.array([text], pa.string())]).values()) for name, text in texts.items()}
    return max(many, key=lambda name: many[name])
