"""What there is of indexes, as surfaces show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.hot.state import State, StreamState
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.observe.search import IndexRow

FEW: Final = 100_000
"""Records without an index that are no news: they are read in a tenth of a second."""


def index_rows(
    state: State, shelf: Shelf, fields: Callable[[StreamState], tuple[str, ...]], *, hot: Callable[[StreamState], int]
) -> tuple[IndexRow, ...]:
    """One a stream with texts, by name; ``hot`` says how many hot records of a stream are indexed."""
    return tuple(_row(s, shelf, fields(s), hot(s)) for _, s in sorted(state.streams.items()) if fields(s))


def _row(stream: StreamState, shelf: Shelf, fields: tuple[str, ...], hot: int) -> IndexRow:
    found = [(segment, shelf.index(stream, segment, fields)) for segment in stream.segments]
    sealed = [index for _, index in found if index is not None]
    waiting = sum(segment.rows for segment, index in found if index is None)
    return IndexRow(
        stream=stream.name,
        fields=fields,
        hot_records=hot,
        sealed_records=sum(i.facts.rows for i in sealed),
        files=len(sealed),
        bytes=sum(i.size for i in sealed),
        text_bytes=sum(i.facts.text_bytes for i in sealed) if sealed else None,
        state="building" if waiting > FEW else "ok",
        behind_s=0.0,
        note=f"{waiting} records in segments are read, not looked up" if waiting else "",
    )
