"""Names that are searched besides records: streams, values of tags, alerts, incidents, and templates of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import Clock
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState
from appliance.hybrid.search.language import Query
from appliance.hybrid.search.matching import fitting
from appliance.hybrid.search.snippets import snippet
from appliance.hybrid.search.words import words_of
from appliance.observe.search import Hit
from appliance.records import fold

SHOWN_MAX: Final = 10
"""Names among the hits: they stand before the records, and may not push them all out."""
VALUES_MAX: Final = 50_000
"""Values of one tag; further ones are not searched by name."""
STALE_NS: Final = 2_000_000_000
"""Values of tags may be as old as that."""
TEMPLATES_STALE_NS: Final = 5_000_000_000
"""And templates, which whoever mines them has to put down."""
ROWS_MAX: Final = 20_000
PIECES_MAX: Final = 6
"""Phrases of a search for a template's texts; the longest say most."""
PIECE_CHARS_MAX: Final = 200
_VARIES: Final = re.compile(r"[^\W_]*<\*>[^\W_]*")
_ALERTS: Final = f"SELECT rule, '', rule || ' ' || key || ' ' || reason, since_us FROM alert LIMIT {ROWS_MAX}"
_INCIDENTS: Final = f"SELECT '#' || id, '', '#' || id || ' ' || summary, since_us FROM incident ORDER BY id DESC LIMIT {ROWS_MAX}"
_TEMPLATES: Final = f"SELECT DISTINCT template, stream, template, NULL FROM incident_member WHERE template IS NOT NULL LIMIT {ROWS_MAX}"
_TABLES: Final = (("alert", "alert", _ALERTS), ("incident", "incident", _INCIDENTS), ("incident_member", "template", _TEMPLATES))
Row = tuple[str, str, str, int | None]
"""Name, stream, the text that is searched, time."""


@dataclass(slots=True)
class Names:
    """See the module. Owner: whoever searches; one thread at a time may be at it, others wait for nothing but the same work."""

    latest: Callable[[StreamState], pa.Table]
    """One row a series."""
    clock: Clock
    templates: Callable[[], Sequence[tuple[str, str, int | None]]] = tuple
    """Those that are known now, besides those that incidents speak of: stream, text, time of the newest."""
    _known: tuple[int, list[Row]] | None = None
    _values: dict[str, tuple[tuple[int, int], int, list[Row]]] = field(default_factory=dict)

    def find(self, query: Query, state: State, reader: HotReader) -> list[Hit]:
        """Names that fit, streams first; at most ``SHOWN_MAX`` of each kind."""
        streams: list[Row] = [(s.name, s.name, s.name, None) for s in state.streams.values()]
        found = list(_fitting("stream", streams, query))
        tags = [row for stream in state.streams.values() for row in self._tags(stream)]
        found += _fitting("tag", tags, query)
        there = {str(row[0]) for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, kind, sql in _TABLES:
            rows: list[Any] = reader.execute(sql) if table in there else []
            found += _fitting(kind, [*self._templates(), *rows] if kind == "template" else rows, query)
        return list({(hit.kind, hit.stream, hit.name): hit for hit in reversed(found)}.values())[::-1]

    def _templates(self) -> list[Row]:
        now_ns = self.clock.monotonic_ns()
        if self._known is None or now_ns - self._known[0] >= TEMPLATES_STALE_NS:
            self._known = now_ns, [(text, stream, text, last_us) for stream, text, last_us in self.templates()]
        return self._known[1]

    def _tags(self, stream: StreamState) -> list[Row]:
        """The values of the tags of a stream; the tag's name is the first word of what is searched."""
        key, now_ns = fold(stream.name), self.clock.monotonic_ns()
        what = (stream.last_seq, len(stream.deletions))
        held = self._values.get(key)
        if held is not None and (held[0] == what or now_ns - held[1] < STALE_NS):
            return held[2]
        rows: list[Row] = []
        if stream.schema.tags and stream.last_seq:
            table = self.latest(stream)
            for tag in stream.schema.tags:
                values = pc.unique(table.column(tag)).slice(0, VALUES_MAX).to_pylist() if tag in table.column_names else []
                rows += [(f"{tag}={value}", stream.name, value, None) for value in values if value is not None]
        self._values[key] = what, now_ns, rows
        return rows


def _fitting(kind: str, rows: list[Row], query: Query) -> Iterator[Hit]:
    if not rows:
        return
    mask = fitting(query, [pa.array([row[2] for row in rows], pa.string())])
    for at in mask.nonzero()[0][:SHOWN_MAX].tolist():
        name, stream, text, ts_us = rows[at]
        shown, marks = snippet(text, query.wanted)
        tags: Mapping[str, str] = {name.partition("=")[0]: text} if kind == "tag" else {}
        again = search_of(text) if kind == "template" else ""
        yield Hit(kind=kind, stream=stream, name=name, ts_us=ts_us, seq=None, tags=tags, snippet=shown, marks=marks, rank=1.0, again=again)


def search_of(template: str) -> str:
    """The search that finds the texts of a template: what stands between its ``<*>``, word by word, as phrases; empty: nothing does.

    A word that ``<*>`` is a part of is left out: what is there in a text is another word.
    """
    pieces = [piece.replace('"', " ").strip() for piece in _VARIES.split(template)]
    said = [_cut(piece) for piece in dict.fromkeys(pieces) if words_of(piece)]
    return " ".join(f'"{piece}"' for piece in sorted(said, key=len, reverse=True)[:PIECES_MAX])


def _cut(piece: str) -> str:
    """Its beginning, up to a space."""
    return piece if len(piece) <= PIECE_CHARS_MAX else piece[:PIECE_CHARS_MAX].rpartition(" ")[0] or piece[:PIECE_CHARS_MAX]
