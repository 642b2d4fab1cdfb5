"""A view at one instant: which rows come out of its files, and for which buckets its SQL runs over the records. Pure values.

What is not dirty below ``closed_us`` is read; all the rest is computed. A view on a view computes over the answer of that one,
as long as it is still the one that it was defined on; else over the SQL that that one had, down to the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from appliance.derived import Definition, ViewFile, ViewVersion
from appliance.hot.state import State, StreamState
from appliance.records import fold
from appliance.spans import EVERYTHING, FIRST, LAST, Span, ceil_to, common, fewer, floor_to, union, widened, without

LIVE_SPANS_MAX: Final = 256
"""More spans than this are joined over the smallest gaps: clean buckets are computed too then, to the same answer."""


class Shown(msgspec.Struct, frozen=True):
    """A file and the spans whose rows are taken out of it; none: all."""

    file: ViewFile
    spans: tuple[Span, ...]


class ViewPin(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer of a view over some spans is made of."""

    name: str
    sql: str
    source: str
    """As its SQL writes it."""
    bucket: str
    width_us: int
    files: tuple[Shown, ...]
    live: tuple[Span, ...]
    """Buckets that are computed; none: nothing is."""
    below: ViewPin | None
    """Where the records for ``live`` come from; None: from the stream."""
    stream: str
    """Folded."""
    stream_spans: tuple[Span, ...]
    """Event times of the records that are read."""
    columns: tuple[str, ...]
    """Those of the stream that may be used."""
    kept: tuple[Span, ...] = ()
    """Buckets whose rows are kept in memory."""
    lost: tuple[str, ...] = ()
    """What the answer lacks: files of sealed buckets that are missing."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Its files and those of the views that it computes from."""
        return (*(s.file.path for s in self.files), *(self.below.paths if self.below is not None else ()))

    @property
    def all_files(self) -> tuple[ViewFile, ...]:
        """As ``paths``."""
        return (*(s.file for s in self.files), *(self.below.all_files if self.below is not None else ()))


def pin_view(state: State, version: ViewVersion, spans: Sequence[Span], *, bad: Collection[str]) -> ViewPin:
    """The answer over buckets that start in ``spans``; ``bad`` files are done without. Raises ``KeyError`` when the stream is gone."""
    width = version.definition.bucket_us
    wanted = union((ceil_to(low, width), ceil_to(high, width)) for low, high in spans)
    fits = _fits(version, state.streams[version.stream])
    files = [f for f in version.files if f.path not in bad] if fits else []
    lost = [f for f in version.files if f.path in bad and f.low < version.used.sealed_us] if fits else []
    live = common(version.live() if fits else without(EVERYTHING, ((FIRST, version.used.sealed_us),)), wanted)
    missing = common(union((f.low, f.high) for f in version.files if f.path in bad), wanted)
    live = union([*live, *without(missing, ((FIRST, version.used.sealed_us),))])
    live = common(fewer(live, LIVE_SPANS_MAX), without(wanted, ((FIRST, version.used.sealed_us),)))
    shown = _shown(files, without(wanted, live))
    return _pin(state, version.definition, version.chain, version.stream, live, shown, bad, tuple(_lost_words(f) for f in lost))


def pin_records(state: State, version: ViewVersion, spans: Sequence[Span], *, bad: Collection[str]) -> ViewPin:
    """What the view's SQL gives over the records in ``spans``, and over no others. Raises ``KeyError`` when the stream is gone.

    Whole buckets that are stored and clean come out of files. Computed are, besides what is dirty or open: buckets that an end of a
    span cuts, sealed ones, since there files hold more than the records, and where segments can't be read, since there they do too.
    """
    width = version.definition.bucket_us
    stream = state.streams[version.stream]
    fits = _fits(version, stream)
    files = [f for f in version.files if f.path not in bad] if fits else []
    cut = [(edge - 1, edge + 1) for span in spans for edge in span if edge not in (FIRST, LAST) and floor_to(edge, width) != edge]
    unread = [(s.ts_min, s.ts_max + 1) for s in stream.lost]
    live = union(
        [
            *(version.live() if fits else EVERYTHING),
            (FIRST, version.used.sealed_us),
            *((f.low, f.high) for f in version.files if f.path in bad),
            *widened([*cut, *unread], width),
        ]
    )
    live = common(fewer(common(live, widened(spans, width)), LIVE_SPANS_MAX), spans)
    return _pin(state, version.definition, version.chain, version.stream, live, _shown(files, without(spans, live)), bad, ())


def _pin(
    state: State,
    definition: Definition,
    chain: Sequence[Definition],
    stream: str,
    live: tuple[Span, ...],
    shown: tuple[Shown, ...],
    bad: Collection[str],
    lost: tuple[str, ...],
) -> ViewPin:
    below = _below(state, chain, stream, live, bad) if chain and live else None
    return ViewPin(
        name=definition.name,
        sql=definition.sql,
        source=definition.source,
        bucket=definition.bucket,
        width_us=definition.bucket_us,
        files=shown,
        live=live,
        below=below,
        stream=stream,
        stream_spans=live if not chain else below.stream_spans if below is not None else (),
        columns=_named(state, stream, definition) if not chain else below.columns if below is not None else (),
        lost=lost + (below.lost if below is not None else ()),
    )


def _named(state: State, stream: str, definition: Definition) -> tuple[str, ...]:
    """The columns of the stream that a definition mentions, as the stream writes them."""
    known = state.streams[stream].schema.by_fold
    return tuple(known[c].name for c in definition.columns_read if c in known)


def _below(state: State, chain: Sequence[Definition], stream: str, live: tuple[Span, ...], bad: Collection[str]) -> ViewPin:
    """The view that another is made of: its answer of now, or, when it has changed since, its old SQL over the records."""
    source = state.views.get(fold(chain[0].name))
    version = source.active if source is not None else None
    if version is not None and (version.definition, *version.chain) == tuple(chain):
        return pin_view(state, version, live, bad=bad)
    return _pin(state, chain[0], chain[1:], stream, live, (), bad, ())


def _shown(files: Sequence[ViewFile], clean: Sequence[Span]) -> tuple[Shown, ...]:
    """Each file once, with what is taken out of it."""
    entries: dict[str, list[ViewFile]] = {}
    for f in files:
        entries.setdefault(f.path, []).append(f)
    found = []
    for same in entries.values():
        held = union((f.low, f.high) for f in same)
        mine = common(clean, held)
        if mine:
            found.append(Shown(same[0], () if mine == held and same[0].whole else mine))
    return tuple(found)


def _fits(version: ViewVersion, stream: StreamState) -> bool:
    """Whether the columns that it reads are of the kinds that they were: else what is stored may be of another type."""
    kinds = {key: c.kind for key, c in stream.schema.by_fold.items()}
    return all(kinds.get(name) == kind for name, kind in version.reads)


def _lost_words(f: ViewFile) -> str:
    return f"{f.rows} rows of sealed buckets are not in this answer: {f.path} is missing or damaged"


def stream_wants(pins: Iterable[ViewPin]) -> dict[str, tuple[tuple[Span, ...], frozenset[str]]]:
    """Stream -> the spans and the columns that views read of it."""
    found: dict[str, tuple[tuple[Span, ...], frozenset[str]]] = {}
    for pin in pins:
        if pin.stream_spans:
            spans, columns = found.get(pin.stream, ((), frozenset()))
            found[pin.stream] = (union([*spans, *pin.stream_spans]), columns | set(pin.columns))
    return found
