"""Views out of the published state: what their names stand for, and what a query that reads them needs of streams. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from appliance.derived import View, ViewVersion
from appliance.errors import QueryRefused
from appliance.hot.state import State, StreamState
from appliance.records import TimeRange, fold
from appliance.serving.snapshot import Behind, Offer, Side, TableInfo, ViewInfo, Wanted, WantedView, columns_of, hull
from appliance.serving.view_pins import ViewPin, pin_records, pin_view, stream_wants
from appliance.spans import FIRST, LAST, Span, union
from appliance.spans import hull as hull_of


def view_info(state: State, name: str) -> TableInfo | None:
    """The view of this name; ``NAME@NUMBER`` is one version of it. None: there is none.

    Raises ``QueryRefused`` with the reason when it can't be asked.
    """
    view = state.views.get(fold(name))
    if view is not None:
        return _info(state, view, view.active, view.name)
    plain, at, number = name.rpartition("@")
    view = state.views.get(fold(plain)) if at and number.isdigit() else None
    if view is None:
        return None
    return _info(state, view, view.version(int(number)), f"{view.name}@{number}")


def behind(state: State, stream: StreamState, parts: Iterable[Offer] = ()) -> Behind | None:
    """What may stand in for the records of a stream, ``parts`` among it; None: no view has anything of it ready."""
    key = fold(stream.name)
    offers = list(parts)
    for view in state.views.values():
        version = view.active
        if version is None or version.chain or version.definition.having or version.stream != key or version.used.closed_us == FIRST:
            continue
        info = _info(state, view, version, view.name)
        assert info.view is not None
        rows = sum({f.path: f.rows for f in version.files}.values())
        offers.append(Offer(view.name, fold(view.name), info.view, rows))
    if not offers:
        return None
    lows = [s.ts_min for s in stream.segments] or [c.ts_min for c in stream.ring[:1]]
    highs = [s.ts_max for s in stream.segments] + [c.ts_max for c in stream.ring[-1:]]
    return Behind(stream.cold_rows + stream.hot_rows, min(lows), max(highs), tuple(offers)) if lows and highs else None


def _info(state: State, view: View, version: ViewVersion | None, name: str) -> TableInfo:
    if version is None:
        raise QueryRefused(f"the view {name} can't be asked: {view.reason or 'it is being set up; try again'}")
    stream = state.get(version.stream)
    if stream is None:
        raise QueryRefused(f"the view {name} can't be asked: there is no stream {version.stream!r}")
    definitions = (version.definition, *version.chain)
    chain = tuple((d.source, d.sql) for d in definitions)
    info = ViewInfo(version.number, version.definition.bucket, version.definition.bucket_us, chain, columns_of(stream.schema))
    return TableInfo(name, Side.VIEW, fold(view.name), (), info)


def pin_views(state: State, wanted: Iterable[WantedView], *, bad: Collection[str]) -> dict[tuple[str, int], ViewPin]:
    """Each view over the hull of what is wanted of it. Raises ``QueryRefused`` for a version that has just gone."""
    found = {}
    for want in wanted:
        version = state.views[want.view].version(want.version) if want.view in state.views else None
        if version is None:
            raise QueryRefused(f"the view {want.view} has just got another definition; ask again")
        since = FIRST if want.since_us is None else want.since_us
        until = LAST if want.until_us is None else want.until_us
        pin = pin_records if want.of_records else pin_view
        found[want.view, want.version] = pin(state, version, ((since, until),) if since < until else (), bad=bad)
    return found


def with_views(wanted: Sequence[Wanted], pins: Iterable[ViewPin]) -> Sequence[Wanted]:
    """What is wanted of streams, directly and by views. Beside rows that are kept in memory few are wanted, best out of memory too."""
    pins = list(pins)
    found = {want.stream: want for want in wanted}
    from_memory = {p.stream for p in pins if p.kept} - {p.stream for p in pins if not p.kept}
    for stream, (spans, columns) in stream_wants(pins).items():
        low, high = hull_of(spans)
        span = TimeRange(None if low == FIRST else low, None if high == LAST else high)
        have = found.get(stream)
        if have is None:
            named = tuple(sorted(columns))
            found[stream] = Wanted(
                stream=stream, since_us=span.since, until_us=span.until, columns=named, together=stream in from_memory, spans=spans
            )
            continue
        whole = hull(have.span, span)
        reads = have.hot or have.cold
        found[stream] = msgspec.structs.replace(
            have,
            since_us=whole.since,
            until_us=whole.until,
            columns=None if have.columns is None else tuple(sorted({*have.columns, *columns})),
            hot=True,
            cold=True,
            spans=union([*spans, *(_span(have.span) if reads else ())]),
        )
    return list(found.values())


def _span(span: TimeRange) -> tuple[Span, ...]:
    if span.empty:
        return ()
    return ((FIRST if span.since is None else span.since, LAST if span.until is None else span.until),)
