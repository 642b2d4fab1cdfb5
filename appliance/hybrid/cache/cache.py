"""The cache itself: all that is kept, compared with each newer picture before any of it is given.

Whoever asks, from any thread, holds its lock: a look and a comparison of what has changed since the last look, which is once a commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from appliance.clock import US_PER_DAY
from appliance.config import CacheOptions
from appliance.errors import QueryRefused
from appliance.hot.state import State, StreamState
from appliance.hybrid.cache.changes import Changes, changes
from appliance.hybrid.cache.depends import Depends, depends_of
from appliance.hybrid.cache.kept import Kept, Shelves
from appliance.hybrid.cache.parts import NAME, Part
from appliance.hybrid.cache.slices import SPANS_MAX, Slices, Slicing, are_few, completed, sliced
from appliance.serving.question import Question
from appliance.serving.running import Basis
from appliance.serving.snapshot import Offer, WantedView
from appliance.serving.view_pins import ViewPin
from appliance.spans import Span, common, fewer, without


@dataclass(slots=True)
class Counts:
    """Since the start."""

    hits: int = 0
    partial_hits: int = 0
    misses: int = 0
    invalidated: int = 0
    evicted: int = 0
    warmed: int = 0
    saved_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Growing:
    """An answer that is to be completed."""

    kept: Kept
    slices: Slices
    spans: tuple[Span, ...]
    """The buckets that have to be found anew."""
    state: State
    """The picture in which all others are true."""


class Cache:
    """See the module; it is the ``Shelf`` of every snapshot that people's questions pin."""

    def __init__(self, options: CacheOptions, *, state: Callable[[], State], own: Collection[str] = ()) -> None:
        """``own`` are the folded names of the appliance's own tables, which change without a picture."""
        self.options = options
        self._state = state
        self._own = own
        self._seen = State({})
        self._lock = threading.RLock()
        self._shelves = Shelves()
        self._parts: dict[int, Part] = {}
        self._made = 0
        self.counts = Counts()
        self.on_drop: Callable[[Kept], None] = lambda _kept: None
        """Told of each answer that is no longer true; must return at once."""

    def find(self, question: Question, *, now_us: int) -> Kept | None:
        """The answer, if it is the one that the records give now."""
        with self._lock:
            self._look()
            found = self._shelves.get(question)
            if found is not None and not found.holds_at(now_us):
                self._shelves.drop(found)
                found = None
            if found is None or found.dirty:
                return None
            found.hits, found.used_us = found.hits + 1, now_us
            self.counts.hits += 1
            self.counts.saved_ms += found.cost_ms
            return found

    def missed(self) -> None:
        """Takes note that an answer had to be found as a whole."""
        with self._lock:
            self.counts.misses += 1

    def is_kept(self, question: Question, *, now_us: int) -> bool:
        """Whether ``find`` would have it; nothing is counted."""
        with self._lock:
            self._look()
            found = self._shelves.get(question)
            return found is not None and found.holds_at(now_us) and not found.dirty

    def keep(
        self,
        question: Question,
        basis: Basis,
        body: bytes,
        *,
        cost_ms: float,
        asked_us: int,
        now_us: int,
        warmed: bool = False,
        slicing: Slicing | None = None,
    ) -> str:
        """Keeps an answer that was found from ``basis`` when it was asked at ``asked_us``; why not, or empty.

        ``slicing`` says how it can be cut where only some of its buckets change.
        """
        if basis.varies == "always":
            return "it gives another answer each time (now(), random(), …)"
        if len(body) > self.options.answer_bytes_max or not self.options.memory_bytes_max:
            return "it is larger than [cache] answer_bytes_max"
        depends = depends_of(basis, self._own)
        if depends is None:
            return "it reads the appliance's own tables"
        with self._lock:
            self._look()
            then, now = basis.state.streams, self._seen.streams
            later = [on for on in depends.streams if then.get(on.stream) is not now.get(on.stream)]
            if any(on.is_touched(self._between(basis.state, on.stream)) for on in later):
                return "records have come meanwhile"
            if not depends.holds(self._seen, self._own):
                return "its names stand for something else by now"
            day = asked_us // US_PER_DAY if basis.varies == "daily" else None
            kept = Kept(question, body, depends, day, cost_ms, now_us, warmed, used_us=now_us)
            kept.slicing = slicing if basis.varies == "never" and _is_of(slicing, basis.state, depends) else None
            self._shelves.put(kept)
            self.counts.warmed += warmed
            self._make_room()
        return ""

    def growing(self, question: Question, *, now_us: int) -> Growing | None:
        """An answer that holds but for some buckets, where it pays to find just these; None: there is none. Cuts it, if it was not yet."""
        with self._lock:
            self._look()
            kept = self._shelves.get(question)
            if kept is None or not kept.dirty or kept.slicing is None or not kept.holds_at(now_us):
                return None
            if kept.slices is None:
                slices = sliced(kept.body, question.format, kept.slicing)
                if slices is None:
                    self._drop([kept])
                    return None
                self._shelves.cut(kept, slices, dirty=kept.dirty)
            assert kept.slices is not None
            spans = fewer(kept.dirty, SPANS_MAX)
            return Growing(kept, kept.slices, spans, self._seen) if are_few(kept.slices, spans) else None

    def cut(self, question: Question, slicing: Slicing) -> None:
        """Cuts an answer beforehand: one of megabytes takes some milliseconds, which nobody should wait for. From any thread."""
        with self._lock:
            self._look()
            kept = self._shelves.get(question)
            if kept is None or kept.slices is not None or kept.day is not None or not _is_of(slicing, self._seen, kept.depends):
                return
            kept.slicing, body = slicing, kept.body
        slices = sliced(body, question.format, slicing)
        with self._lock:
            if slices is not None and kept.body is body and self._shelves.get(question) is kept:
                self._shelves.cut(kept, slices, dirty=kept.dirty)
                self._make_room()

    def grow(self, growing: Growing, fresh: Sequence[tuple[bytes, State]], *, spent_ms: float, now_us: int) -> bytes | None:
        """The answer with the rows of its spans as they are in each of these pictures (rising): that of the last one. None where other
        buckets have changed meanwhile, or the stream's columns."""
        kept, slicing, last = growing.kept, growing.kept.slicing, fresh[-1][1]
        assert slicing is not None, "what grows is cut"
        (stream,) = {on.stream for on in kept.depends.streams}
        before = zip(growing.spans, (state for _, state in fresh), strict=True)
        if not kept.depends.holds(last, self._own) or _others(growing.state, last, stream, slicing, growing.spans):
            return None
        if any(common(_buckets(state, last, stream, slicing), (span,)) for span, state in before):
            return None
        found = completed(growing.slices, list(zip(growing.spans, (b for b, _ in fresh), strict=True)), kept.question.format, slicing)
        with self._lock:
            self._look()
            if found is None:
                self._shelves.drop(kept)
                return None
            self.counts.partial_hits += 1
            self.counts.saved_ms += max(0.0, kept.cost_ms - spent_ms)
            kept.hits, kept.used_us = kept.hits + 1, now_us
            after = self._between(last, stream)
            if self._shelves.get(kept.question) is kept and not after.everything:
                self._shelves.cut(kept, found, dirty=after.buckets(slicing.width_us))
                self._make_room()
            return found.body

    def look(self) -> None:
        """Compares what is kept with the newest picture; after each commit soon, so that room is given back at once."""
        with self._lock:
            self._look()

    def add_part(self, part: Part, state: State) -> bool:
        """Keeps a part, whose rows are of ``state``; False where it is too large, or its stream has other columns by now."""
        with self._lock:
            self._look()
            found = self._between(state, part.stream)
            if found.everything or part.bytes > self.part_bytes_max:
                return False
            part.touch(found.buckets(part.width_us))
            self._parts[part.number] = part
            self._make_room()
            return part.number in self._parts

    def refresh_part(self, part: Part, fresh: pa.Table, spans: Sequence[Span], state: State) -> bool:
        """Takes in rows of some buckets as they are in ``state``; False where the part has gone meanwhile."""
        with self._lock:
            self._look()
            found = self._between(state, part.stream)
            if found.everything or part.number not in self._parts:
                return False
            part.replace(fresh, spans, version=state.version)
            part.touch(found.buckets(part.width_us))
            self._make_room()
            return part.number in self._parts

    @property
    def part_bytes_max(self) -> int:
        """Of one part."""
        return self.options.memory_bytes_max // 2

    def has_part(self, number: int) -> bool:
        """Whether a part is kept."""
        with self._lock:
            return number in self._parts

    def newest(self) -> State:
        """The newest picture."""
        return self._state()

    def next_number(self) -> int:
        """Of a part; never used again."""
        with self._lock:
            self._made += 1
            return self._made

    def parts(self, stream: str | None = None) -> list[Part]:
        """Those that are kept, of one stream (folded) or of all."""
        with self._lock:
            return [p for p in self._parts.values() if stream is None or p.stream == stream]

    def answers(self) -> list[Kept]:
        """Those that are kept."""
        with self._lock:
            return list(self._shelves)

    def used_part(self, key: str, *, spent_ms: float, now_us: int) -> Part | None:
        """Notes that an answer was put together from a part; None where it has gone since."""
        with self._lock:
            self.counts.partial_hits += 1
            part = self._parts.get(int(key.removeprefix(NAME)))
            if part is not None:
                part.hits, part.used_us = part.hits + 1, now_us
                self.counts.saved_ms += max(0.0, part.cost_ms - spent_ms)
            return part

    @property
    def bytes(self) -> int:
        """Memory of all that is kept, about."""
        with self._lock:
            return self._shelves.bytes + sum(p.bytes for p in self._parts.values())

    # the shelf of snapshots

    def offers(self, state: State, stream: str) -> Sequence[Offer]:
        """As ``Shelf`` has it."""
        with self._lock:
            if not self._parts:
                return ()  # and the picture is not held on to where no commit will have it let go
            self._look(state)
            return [p.offer() for p in self._parts.values() if p.stream == stream]

    def has(self, key: str) -> bool:
        """As ``Shelf`` has it."""
        return key.startswith(NAME)

    def pin(self, state: State, want: WantedView) -> tuple[ViewPin, pa.Table] | None:
        """As ``Shelf`` has it."""
        with self._lock:
            self._look(state)
            part = self._parts.get(int(want.view.removeprefix(NAME)))
            if part is None:
                raise QueryRefused("what was kept of an earlier answer has just gone; ask again")
            return None if part.version > state.version else part.pin(want)

    # below, whoever calls holds the lock

    def _look(self, state: State | None = None) -> None:
        """Brings all that is kept up to the newest picture, or to ``state`` if that is newer than what was seen."""
        state = self._state() if state is None else state
        before = self._seen
        if state.version <= before.version:
            return
        self._seen = state
        for stream in {*self._shelves.streams, *(p.stream for p in self._parts.values())}:
            old, new = before.streams.get(stream), state.streams.get(stream)
            if old is not new:
                self._follow(stream, changes(old, new))
        if state.views is not before.views or len(state.streams) != len(before.streams):
            self._drop(kept for kept in self._shelves if not kept.depends.holds(state, self._own))

    def _follow(self, stream: str, found: Changes) -> None:
        self._drop(
            kept
            for kept in self._shelves.of_stream(stream)
            if any(on.stream == stream and on.is_touched(found) for on in kept.depends.streams) and not kept.outlives(found)
        )
        for part in [p for p in self._parts.values() if p.stream == stream]:
            if found.everything:
                del self._parts[part.number]
                self.counts.invalidated += 1
            else:
                part.touch(found.buckets(part.width_us))

    def _drop(self, some: Iterable[Kept]) -> None:
        for kept in list(some):
            self._shelves.drop(kept)
            self.counts.invalidated += 1
            self.on_drop(kept)

    def _between(self, state: State, stream: str) -> Changes:
        """What has changed of a stream from a picture to the one that was seen last."""
        old: StreamState | None = state.streams.get(stream)
        return changes(old, self._seen.streams.get(stream))

    def _make_room(self) -> None:
        """Parts go where they alone are more than may be kept: the one that was not used for longest first."""
        bytes_max = self.options.memory_bytes_max
        held = sum(p.bytes for p in self._parts.values())
        while held > bytes_max // 4 * 3 and self._parts:
            oldest = min(self._parts.values(), key=lambda p: p.used_us)
            held -= oldest.bytes
            del self._parts[oldest.number]
            self.counts.evicted += 1
        self.counts.evicted += self._shelves.make_room(max(0, bytes_max - held))


def _is_of(slicing: Slicing | None, state: State, depends: Depends) -> bool:
    """Whether it was found for the columns that the only stream has."""
    streams = [state.streams.get(on.stream) for on in depends.streams]
    return slicing is not None and all(s is not None and s.schema.version == slicing.schema_version for s in streams)


def _buckets(before: State, now: State, stream: str, slicing: Slicing) -> tuple[Span, ...]:
    """The buckets that have changed from one picture to a later one."""
    return changes(before.streams.get(stream), now.streams.get(stream)).buckets(slicing.width_us)


def _others(before: State, now: State, stream: str, slicing: Slicing, spans: Sequence[Span]) -> bool:
    """Whether any buckets have changed outside of some spans."""
    return bool(without(_buckets(before, now, stream, slicing), spans))
