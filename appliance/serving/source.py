"""Pins what a query needs out of the published state: hot chunks, segments, dirty spans, all of one instant.

Membership is by sequence: hot rows are those above the mark, taken from the ring and, below it, from SQLite. Both belong to
one instant because the rows in SQLite are read in one transaction that also shows the mark that the state has; a roll in
between would have raised it, and then everything is pinned anew. Time only skips what can't matter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.errors import QueryRefused, RetryLater
from appliance.hot.job_tables import TableEntry, load_tables
from appliance.hot.panel_table import AS_OF, PanelEntry, load_panels
from appliance.hot.reader import HotReader
from appliance.hot.state import Chunk, State, StreamState
from appliance.manifest import Segment
from appliance.records import TimeRange, fold
from appliance.serving.chunks import Cuts
from appliance.serving.routing import held_from, route
from appliance.serving.shelf import Shelf
from appliance.serving.snapshot import (
    HotRows,
    Offer,
    Side,
    Skipped,
    Snapshot,
    Span,
    StreamPin,
    TableInfo,
    Wanted,
    WantedView,
    columns_of,
    matched,
)
from appliance.serving.view_source import behind, pin_views, view_info, with_views
from appliance.spans import touches

PINS_MAX: Final = 20
"""Attempts at a pin that no roll crosses; a roll takes longer than a pin, so the second one nearly always holds."""
WORDS_BYTES_MAX: Final = 10_000
HELD_ROWS_MAX: Final = 200_000
"""Rows of segments that are handed over out of the ring at most: more are read faster where they lie."""
AT_ONCE_ROWS_MAX: Final = 50_000
"""Hot rows and segments of a stream that may be looked through on the event loop: some tenths of a millisecond."""
AT_ONCE_BYTES_MAX: Final = 512 * 1024
"""Hot rows that may go along with a question, before it is known to want them."""
_WORD: Final = re.compile(r'"([^"]+)"|([A-Za-z_][A-Za-z0-9_]*)')
SUFFIXES: Final = {"_hot": Side.HOT, "_cold": Side.COLD, "_latest": Side.LATEST}
_ENDS: Final = tuple(SUFFIXES)


@dataclass(frozen=True, slots=True)
class StateTable:
    """One of the appliance's own tables."""

    columns: tuple[tuple[str, str], ...]
    """Name and SQL type."""
    load: Callable[[State, HotReader], pa.Table]
    """Its rows; the reader shows one instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where a source reads from; the same for all queries."""

    state: Callable[[], State]
    """The newest published picture."""
    reader: Callable[[], AbstractContextManager[HotReader]]
    """A look at the hot store, of one instant."""
    latest: Callable[[StreamState], pa.Table]
    """One row a series, in the columns of ``Schema.lake``."""
    tables: Mapping[str, StateTable]
    """By folded name; they go before streams of the same name."""
    hot_bytes_max: int
    """Hot rows of a query that are handed over; more are refused."""
    damaged: Callable[[Segment, str], None]
    """Told of a live segment that can't be read, and why."""
    damaged_view: Callable[[str], None] = lambda _path: None
    """Told of a view's file that can't be read."""
    shelf: Shelf | None = None
    """Parts of earlier answers."""
    cuts: Cuts = field(default_factory=Cuts)
    """What is cut out of chunks of the ring, once for all queries."""


class StateSource:
    """The ``SnapshotProvider`` of one query: names and rows come from one picture."""

    def __init__(self, store: Store, *, with_parts: bool = False) -> None:
        """``with_parts``: what is kept of earlier answers may stand in for records."""
        self._store = store
        self._shelf = store.shelf if with_parts else None
        self._state = store.state()
        self._bad: set[str] = set()

    @property
    def state(self) -> State:
        """The picture itself."""
        return self._state

    @property
    def version(self) -> int:
        """``State.version`` of what was pinned last, or of what names are looked up in."""
        return self._state.version

    def last_seq(self, stream: str) -> int:
        """The highest sequence that a stream (by folded name) has in that picture."""
        return self._state.streams[stream].last_seq

    def lookup(self, names: Sequence[str]) -> list[TableInfo]:
        return [self._info(name) for name in names]

    def seen(self, sql: str) -> tuple[TableInfo, ...]:
        """What the words of a short SQL text stand for, those that are names of tables; a guess that saves a question."""
        words = {fold(a or b) for a, b in _WORD.findall(sql)} if len(sql) <= WORDS_BYTES_MAX else set()
        return tuple(self._info(word) for word in sorted(words) if self._is_table(word))

    def _is_table(self, key: str) -> bool:
        return (
            key in self._store.tables
            or key in self._state.streams
            or (key.endswith(_ENDS) and any(key.endswith(s) and key[: -len(s)] in self._state.streams for s in SUFFIXES))
        )

    def damaged(self, segment: Segment, reason: str) -> None:
        self._store.damaged(segment, reason)

    def damaged_view(self, path: str) -> None:
        self._bad.add(path)
        self._store.damaged_view(path)

    def pin(self, wanted: Sequence[Wanted], tables: Sequence[str], views: Sequence[WantedView] = ()) -> Snapshot:
        for _attempt in range(PINS_MAX):
            snapshot = self._pin(wanted, tables, views)
            if snapshot is not None:
                return snapshot
            self._state = self._store.state()
        raise RetryLater("the hot store is rolled all the time; try again")

    def pin_at_once(self, wanted: Sequence[Wanted]) -> Snapshot | None:
        """``pin`` of what lies in memory and is little; None where it isn't, or where a stream is not there."""
        state = self._state.streams
        if any(w.stream not in state or w.latest or self._reads_store(w) for w in wanted):
            return None
        if any(state[w.stream].hot_rows + len(state[w.stream].segments) > AT_ONCE_ROWS_MAX for w in wanted):
            return None
        snapshot = self._pin(wanted, (), ())
        small = snapshot is not None and sum(pin.hot_bytes for pin in snapshot.streams.values()) <= AT_ONCE_BYTES_MAX
        return snapshot if small else None

    def _info(self, name: str) -> TableInfo:
        key = fold(name)
        if key in self._store.tables:
            return TableInfo(key, Side.STATE, key, self._store.tables[key].columns)
        info = view_info(self._state, name)
        if info is not None:
            return info
        state = self._state.get(name)
        if state is not None:
            return TableInfo(state.name, Side.MERGED, key, columns_of(state.schema), behind=behind(self._state, state, self._parts_of(key)))
        for suffix, side in SUFFIXES.items():
            state = self._state.get(name[: -len(suffix)]) if key.endswith(suffix) else None
            if state is not None:
                return TableInfo(state.name + suffix, side, fold(state.name), columns_of(state.schema))
        with self._store.reader() as reader:
            panel, made = load_panels(reader, name).get(key), load_tables(reader)
        if panel is not None:
            return panel_info(panel)
        if key in made:
            return TableInfo(made[key].name, Side.FILE, key, made[key].columns)
        raise QueryRefused(f'there is no stream or table "{name[:80]}"{self._nearest(key, made)}')

    def _parts_of(self, key: str) -> Sequence[Offer]:
        return () if self._shelf is None else self._shelf.offers(self._state, key)

    def _nearest(self, key: str, made: Mapping[str, TableEntry]) -> str:
        streams = {k: s.name for k, s in self._state.streams.items()}
        views = {k: v.name for k, v in self._state.views.items()}
        names = {**{k: t.name for k, t in made.items()}, **views, **streams, **{t: t for t in self._store.tables}}
        close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
        if close:
            return f'; did you mean "{names[close[0]]}"?'
        return "; SHOW TABLES lists what there is" if names else "; there is none yet"

    def _pin(self, wanted: Sequence[Wanted], tables: Sequence[str], views: Sequence[WantedView]) -> Snapshot | None:
        """None when a roll came between the state and the look at the hot store, or a part is of a later picture."""
        parts = [view for view in views if self._shelf is not None and self._shelf.has(view.view)]
        pins = pin_views(self._state, [view for view in views if view not in parts], bad=self._bad)
        kept: dict[tuple[str, int], pa.Table] = {}
        for part in parts:
            assert self._shelf is not None, "only a shelf has parts"
            found = self._shelf.pin(self._state, part)
            if found is None:
                return None
            pins[part.view, part.version], kept[part.view, part.version] = found
        wanted = with_views(wanted, pins.values())
        room = self._store.hot_bytes_max
        streams: dict[str, StreamPin] = {}
        with ExitStack() as stack:
            reader: HotReader | None = None
            if tables or any(self._reads_store(w) for w in wanted):
                reader = stack.enter_context(self._store.reader())
            for want in wanted:
                state = self._state.streams[want.stream]
                if reader is not None and self._reads_store(want) and reader.mark(state) != state.mark:
                    return None
                pin = pin_stream(state, want, reader, bytes_max=room, cuts=self._store.cuts)
                room -= pin.hot_bytes
                streams[want.stream] = pin if not want.latest else replace(pin, latest=self._store.latest(state))
            loaded = self._loaded(tables, reader) if reader is not None else {}
            files = self._files([n for n in tables if n not in loaded], reader) if reader is not None else {}
        return Snapshot(streams, loaded, files, pins, kept)

    def _loaded(self, names: Sequence[str], reader: HotReader) -> dict[str, pa.Table]:
        """The appliance's own tables, and the newest answers of panels."""
        found = {n: self._store.tables[n].load(self._state, reader) for n in names if n in self._store.tables}
        panels = load_panels(reader) if len(found) < len(names) else {}
        return found | {n: panels[n].table for n in names if n not in found and n in panels and panels[n].body is not None}

    def _files(self, names: Sequence[str], reader: HotReader) -> Mapping[str, str]:
        """Where tables that jobs have made lie now. Raises ``RetryLater`` for one that has gone since the look-up."""
        made = load_tables(reader) if names else {}
        gone = [n for n in names if n not in made]
        if gone:
            raise RetryLater(f"the table {gone[0]!r} has just gone; ask again")
        return {n: made[n].path for n in names}

    def _reads_store(self, want: Wanted) -> bool:
        state = self._state.streams[want.stream]
        return want.hot and state.ring_first > state.mark + 1


def panel_info(panel: PanelEntry) -> TableInfo:
    """A panel's name. Raises ``QueryRefused`` before its first answer."""
    if panel.body is None:
        raise QueryRefused(f"the panel {panel.name} has no answer yet; GET /api/panels says why")
    return TableInfo(panel.name, Side.STATE, fold(panel.name), (*panel.columns, (AS_OF, "TIMESTAMP")))


def pin_stream(state: StreamState, want: Wanted, reader: HotReader | None, *, bytes_max: int, cuts: Cuts) -> StreamPin:
    """One stream cut down to what is wanted; ``reader`` is there when hot rows lie outside the ring."""
    span = want.span
    spans = _spans(state, span) if want.hot or want.cold else ()
    files = tuple(s for s in state.segments if _needs(want, s.ts_min, s.ts_max)) if want.cold and not span.empty else ()
    lost = tuple(s for s in state.lost if _needs(want, s.ts_min, s.ts_max)) if want.cold and not span.empty else ()
    identity = state.identity_columns()
    deletions = tuple(d for d in state.deletions if not span.intersect(TimeRange(d.since_us, d.until_us)).empty)
    columns = (
        None
        if want.columns is None
        else frozenset((*want.columns, *((identity or ()) if spans else ()), *matched(state.schema, deletions)))
    )
    held = _held(state, want, files) if not lost else None
    chunks = _chunks(state, span, reader) if held is None else state.ring_chunks(after=held - 1, span=span)
    needed = (c for c in chunks if _needs(want, c.ts_min, c.ts_max))
    hot = tuple(_hot(needed, columns, state, bytes_max, cuts)) if want.hot and not span.empty else ()
    hot_rows = sum(h.data.num_rows for h in hot)
    way = route(
        hot_wanted=want.hot,
        cold_wanted=want.cold,
        empty=span.empty,
        hot=hot_rows > 0,
        cold=bool(files),
        lost=bool(lost),
        in_memory=held is not None,
    )
    files = files if held is None else ()
    return StreamPin(
        schema=state.schema,
        versions={f.schema_version: state.schemas[f.schema_version] for f in files},
        identity=identity,
        hot=hot,
        files=files,
        spans=spans,
        lost=lost,
        deletions=deletions,
        skipped=Skipped(
            hot_rows=max(0, state.hot_rows - hot_rows),
            cold_files=len(state.segments) - len(files),
            cold_rows=state.cold_rows - sum(f.rows for f in files),
        ),
        route=way,
    )


def _held(state: StreamState, want: Wanted, files: Sequence[Segment]) -> int | None:
    """The sequence from which on the ring answers in place of all of ``files``; None where it can't, or there are none."""
    if not want.together or not files or state.ring_first > min(s.first for s in files) or sum(s.rows for s in files) > HELD_ROWS_MAX:
        return None
    from_seq = held_from(state.segments, ring_first=state.ring_first, mark=state.mark)
    return from_seq if from_seq <= min(s.first for s in files) else None


def _needs(want: Wanted, ts_min: int, ts_max: int) -> bool:
    """Whether what lies in a closed span of event times can matter."""
    return want.span.overlaps(ts_min, ts_max) and (not want.spans or touches(want.spans, ts_min, ts_max))


@contextmanager
def pinned_reader(folder: Path) -> Iterator[HotReader]:
    """A reader of its own, of one instant."""
    reader = HotReader(folder)
    try:
        with reader.pinned():
            yield reader
    finally:
        reader.close()


def _chunks(state: StreamState, span: TimeRange, reader: HotReader | None) -> Iterator[Chunk]:
    if reader is not None and state.ring_first > state.mark + 1:
        yield from reader.iterate(state, after_seq=state.mark, before_seq=state.ring_first, span=span)
    yield from state.hot_chunks(span)


def _hot(chunks: Iterable[Chunk], columns: frozenset[str] | None, state: StreamState, bytes_max: int, cuts: Cuts) -> Iterator[HotRows]:
    """The rows of chunks in the columns wanted. Raises ``QueryRefused`` above ``bytes_max``."""
    size = 0
    for chunk in chunks:
        data, data_bytes = cuts.cut(chunk.data, columns)
        size += data_bytes
        if size > bytes_max:
            raise QueryRefused(
                f"the hot rows of stream {state.name!r} are more than a query may be handed at once ({bytes_max >> 20} MiB):"
                " ask for fewer columns or a shorter time range, or wait for the next roll"
            )
        yield HotRows(chunk.first, data, data_bytes)


def _spans(state: StreamState, span: TimeRange) -> tuple[Span, ...]:
    if state.identity is None or span.empty:
        return ()
    touched = (d for d in state.dirty.values() if span.overlaps(d.ts_min, d.ts_max))
    return tuple(sorted((Span(d.ts_min, d.ts_max) for d in touched), key=lambda s: s.low))
