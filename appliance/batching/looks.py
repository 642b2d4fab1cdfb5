"""What passes there have been, which segments are due, and the picture of agreement made of it. Any thread may ask.

What a pass of every few seconds saw stays in memory; that of the slow ones is written down with the segments that were looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from appliance.box import Box
from appliance.clock import US_PER_DAY, US_PER_S
from appliance.hot import divergences
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.manifest import Segment
from appliance.observe.consistency import ConsistencyPicture, FindingRow, PassRow, StreamRow, ViewDirt
from appliance.observe.status import Problem
from appliance.serving.view_rows import view_rows

HOUR_S: Final = 3_600.0
WEEK_US: Final = 7 * US_PER_DAY
DUE_US: Final = 6 * US_PER_DAY
"""A segment that has waited so long is looked at with the next pass: so none waits longer than a week."""
PARTS_BYTES: Final = 128 << 20
"""Of files that one process looks at; then what it saw is noted."""
KINDS: Final = ("hot", "newest", "all", "full")
OPEN_ROWS_MAX: Final = 200
REPAIR_ROWS_MAX: Final = 50
HISTORY_DAYS: Final = 30
_HOT: Final = ("hot.sqlite", "memory")


class Looks:
    """The newest pass of each kind."""

    def __init__(self, box: Box) -> None:
        """Blocks for the hot store."""
        self._box = box
        self._lock = threading.Lock()
        reader = box.reader()
        try:
            self._passes: dict[str, PassRow] = dict(divergences.passes(reader))
        finally:
            reader.close()
        self._begun_ns: dict[str, int] = {}
        self._failed: dict[str, Problem] = {}
        self._done: dict[str, PassRow] = {}

    def begin(self, kind: str) -> PassRow:
        """A pass begins; hand what is returned to ``end`` or ``fail``."""
        row = PassRow(kind=kind, state="running", started_us=self._box.clock.now_us())
        with self._lock:
            self._begun_ns[kind] = self._box.clock.monotonic_ns()
            self._passes[kind] = row
        return row

    def progress(self, row: PassRow, share: float) -> None:
        """How far it is."""
        with self._lock:
            self._passes[row.kind] = msgspec.structs.replace(row, progress=share, took_s=self._took_s(row.kind))

    def end(self, row: PassRow, *, records: int, segments: int, bytes_: int, found: int, keep: bool) -> None:
        """It is over; ``keep``: write it down. Blocks then for the writer."""
        took_s = self._took_s(row.kind)
        done = msgspec.structs.replace(
            row,
            state="done",
            took_s=round(took_s, 3),
            records=records,
            segments=segments,
            bytes=bytes_,
            rate=round(records / took_s, 1) if took_s else 0.0,
            found=found,
        )
        with self._lock:
            self._passes[row.kind] = self._done[row.kind] = done
            self._failed.pop(row.kind, None)
        if keep:
            self._box.writer.call(lambda c: divergences.note_pass(c.store.connection, done))

    def fail(self, row: PassRow, error: Exception) -> None:
        """It could not be done."""
        said = str(error)
        with self._lock:
            self._passes[row.kind] = msgspec.structs.replace(row, state="failed", took_s=round(self._took_s(row.kind), 3), error=said)
            what = f"reconciliation ({row.kind}) failed: {said}"
            self._failed[row.kind] = Problem("WARN", what, self._box.clock.now_us(), "it is tried again")

    def fail_kind(self, kind: str, error: Exception) -> None:
        """As ``fail``, of the newest pass of that kind."""
        self.fail(self._passes.get(kind) or PassRow(kind=kind, state="failed", started_us=self._box.clock.now_us()), error)

    def problems(self) -> tuple[Problem, ...]:
        """Passes that could not be done."""
        return tuple(self._failed.values())

    def passes(self) -> list[PassRow]:
        """The newest of each kind."""
        return [self._passes[kind] for kind in KINDS if kind in self._passes]

    def looked(self) -> dict[int, tuple[str, int]]:
        """Segment id -> hash and time of its last look. Reads the store."""
        reader = self._box.reader()
        try:
            return divergences.looked(reader)
        finally:
            reader.close()

    def picture(self, wrong: Sequence[FindingRow], *, next_s: Mapping[str, float]) -> ConsistencyPicture:
        """Everything at this instant; ``next_s`` is how often each kind of pass comes."""
        now_us = self._box.clock.now_us()
        state = self._box.state
        reader = self._box.reader()
        try:
            looked = divergences.looked(reader)
            repairs = divergences.over(reader, limit=REPAIR_ROWS_MAX)
            history = divergences.days(reader, since_us=now_us - HISTORY_DAYS * US_PER_DAY)
            streams = tuple(self._stream(reader, s, looked, wrong, now_us) for _, s in sorted(state.streams.items()))
        finally:
            reader.close()
        return ConsistencyPicture(
            at_us=now_us,
            is_consistent=not wrong,
            passes=tuple(_with_next(p, next_s) for p in self.passes()),
            open=tuple(sorted(wrong, key=lambda r: -r.id))[:OPEN_ROWS_MAX],
            open_total=len(wrong),
            repairs=tuple(repairs),
            history=tuple(history),
            streams=streams,
            dirty_views=tuple(
                ViewDirt(name=v.name, dirty_buckets=v.dirty_buckets, fresh_until_us=v.fresh_until_us)
                for v in view_rows(state)
                if v.dirty_buckets
            ),
        )

    def _stream(
        self, reader: HotReader, s: StreamState, looked: Mapping[int, tuple[str, int]], wrong: Sequence[FindingRow], now_us: int
    ) -> StreamRow:
        mine = [r for r in wrong if r.stream == s.name]
        is_hot = [r.where.startswith(_HOT) and not r.where.endswith("tally") for r in mine]
        times = [looked[g.id][1] if g.id in looked else None for g in s.segments]
        known = [t for t in times if t is not None]
        books = reader.tallies(s.id)
        differ = any(r.kind == "books differ" for r in mine)
        return StreamRow(
            name=s.name,
            hot_rows=s.hot_rows,
            cold_rows=s.cold_rows,
            hot_ok=False if any(is_hot) else True if "hot" in self._done else None,
            cold_ok=False if not all(is_hot) else True if "newest" in self._done else None,
            books="differ" if differ else "unknown" if None in books.values() else "agree",
            segments=len(s.segments),
            segments_due=sum(t is None or now_us - t > WEEK_US for t in times),
            oldest_look_us=min(known) if known and len(known) == len(times) else None,
            dirty_days=len(s.dirty),
            open=len(mine),
        )

    def _took_s(self, kind: str) -> float:
        return (self._box.clock.monotonic_ns() - self._begun_ns.get(kind, self._box.clock.monotonic_ns())) / 1e9


def segments_due(segments: Iterable[Segment], looked: Mapping[int, tuple[str, int]], *, now_us: int, every_s: float) -> list[Segment]:
    """Which segments the next pass looks at, those that have waited longest first. Pure.

    Whatever was never looked at under its hash, or has waited for ``DUE_US``; and at least as much as spreads the whole lake evenly over
    that time at one pass every ``every_s``.
    """

    def last(segment: Segment) -> int:
        sha256, at_us = looked.get(segment.id, ("", 0))
        return at_us if sha256 == segment.sha256 else 0

    waiting = sorted(segments, key=lambda s: (last(s), s.id))
    share = sum(s.bytes for s in waiting) * every_s * US_PER_S / DUE_US
    picked, size = [], 0
    for segment in waiting:
        if now_us - last(segment) < DUE_US and size >= share:
            break
        picked.append(segment)
        size += segment.bytes
    return picked


def parts_of(segments: Sequence[Segment], *, bytes_max: int) -> list[tuple[Segment, ...]]:
    """Neighbours put together up to so many bytes; each has at least one. Pure."""
    parts: list[list[Segment]] = []
    size = 0
    for segment in segments:
        if not parts or size + segment.bytes > bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(segment)
        size += segment.bytes
    return [tuple(p) for p in parts]


def _with_next(row: PassRow, next_s: Mapping[str, float]) -> PassRow:
    every_s = next_s.get(row.kind)
    return row if every_s is None else msgspec.structs.replace(row, next_us=row.started_us + round((row.took_s + every_s) * US_PER_S))
