"""One panel as it runs: what it is, where, and how it does. Owned by the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from appliance.batching.panels.book import Kept
from appliance.batching.panels.definition import Meaning
from appliance.batching.panels.pace import Asked
from appliance.hot.state import State
from appliance.observe.panels import PanelRow
from appliance.panel_options import PanelOptions
from appliance.paths.needs import Path
from appliance.records import TimeRange, fold
from appliance.serving.explain import Explain

Stamp = tuple[tuple[int, int, int, int], ...]
"""Of each stream that is read: what changes when its records do."""


@dataclass(slots=True)
class Panel:
    """See the module."""

    name: str
    options: PanelOptions
    path: Path
    """That its needs have put it on."""
    freshness_s: float
    meaning: Meaning | None = None
    """None: not understood (yet)."""
    reason: str = ""
    """Why there is no newer answer; empty: nothing is wrong."""
    notes: tuple[str, ...] = ()
    """What the newest answer lacks."""
    is_in_hot: bool = True
    """Whether the records of its last question all lay in hot."""
    streams: frozenset[str] = frozenset()
    """Folded names of the streams that are watched for it."""
    seen: Stamp = ()
    asked: Asked | None = None
    since_ns: int | None = None
    """When the oldest records were committed that the newest question has not seen."""
    read: int = 0
    """Records that the last question has looked at."""
    parts_reason: str = ""
    """Why it has no stored part."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    ready_ms: float | None = None
    """From the commit of the oldest new record to the newest answer that it made."""

    @property
    def running(self) -> Path:
        """The path that its next answer comes by: hot only while what it reads lies there."""
        return "hybrid" if self.path == "hot" and not self.is_in_hot else self.path

    @property
    def parts(self) -> str:
        """What the view of its closed part is called."""
        return f"{self.name}.parts"

    def row(self, kept: Kept | None, *, parts: str | None) -> PanelRow:
        """As surfaces show it."""
        entry = None if kept is None else kept.entry
        has = entry is not None and entry.body is not None
        return PanelRow(
            name=self.name,
            path=self.path,
            running=self.running,
            freshness_s=self.freshness_s,
            state="waiting" if self.reason and not has else "failing" if self.reason else "ok" if has else "new",
            reason=self.reason,
            notes=self.notes,
            made_by=entry.path if entry is not None and has else "",
            number=0 if entry is None else entry.number,
            as_of_us=entry.as_of_us if entry is not None and has else None,
            checked_us=kept.checked.as_of_us if kept is not None and has else None,
            seen={} if kept is None else dict(kept.checked.seen),
            rows=0 if entry is None else entry.rows,
            records=self.read,
            ready_ms=self.ready_ms,
            parts=parts,
            parts_reason=self.parts_reason,
            history=f"{self.name}_history" if self.options.history else None,
            sql=self.options.sql,
        )


def stamp(state: State, streams: frozenset[str]) -> Stamp:
    """What changes when records of these streams come, go or are deleted."""
    found = []
    for key in sorted(streams):
        stream = state.streams.get(key)
        if stream is not None:
            deletion = max((d.id for d in stream.deletions), default=0)
            found.append((stream.id, stream.last_seq, stream.cold_rows + stream.hot_rows, deletion))
    return tuple(found)


def lies_in_hot(state: State, explain: Explain) -> bool:
    """Whether all that a question could touch is in memory or in the hot store: each segment of its time ranges is still in the ring."""
    for part in explain.streams:
        stream = state.streams.get(fold(part.stream))
        span = TimeRange(part.since_us, part.until_us)
        if stream is None or span.empty:
            continue
        if any(span.overlaps(s.ts_min, s.ts_max) and s.first < stream.ring_first for s in stream.segments):
            return False
    return True


def records_read(explain: Explain) -> int:
    """Records that a question has looked at."""
    return sum(part.hot_rows + part.cold_rows for part in explain.streams)
