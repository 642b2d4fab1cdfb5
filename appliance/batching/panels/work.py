"""A panel on the cold path: a piece of work for the queue of batch work, which says when, in which order and within which limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path as FilePath

import pyarrow as pa

from appliance.batch_options import Priority
from appliance.batching.panels.answer import Answer, settled
from appliance.batching.panels.book import Book
from appliance.batching.panels.panel import Panel
from appliance.batching.work import Context, Limits, Outcome, When
from appliance.errors import JobFailed


class PanelWork:
    """See ``work.Work``. Its runs come twice in each freshness, so that half of it is left for the queue and the run."""

    kind = "panel"
    priority: Priority = "normal"
    limits: Limits | None = None
    retries = 3
    notify: Sequence[str] = ()

    def __init__(self, panel: Panel, book: Book, *, look_at: Callable[[Panel], Awaitable[None]]) -> None:
        """``look_at`` understands the panel, or gives it the reason why that can't be."""
        self.name = panel.name
        self._panel = panel
        self._book = book
        self._look_at = look_at

    @property
    def when(self) -> When:
        return When(every_s=max(1.0, self._panel.freshness_s / 2))

    async def run(self, context: Context) -> Outcome:
        """Its answer, offered like that of any path."""
        panel = self._panel
        if panel.meaning is None:
            await self._look_at(panel)
        if panel.meaning is None:
            raise JobFailed(f"the panel {panel.name} can't be asked: {panel.reason or 'no process could be had to read it'}")
        sql = panel.options.sql
        found = await context.runner.file(sql, format="arrow")
        table = await asyncio.to_thread(_taken, found.path)
        table = settled(table, is_ordered=panel.meaning.is_ordered, rows_max=panel.options.rows_max)
        answer = Answer(table, found.now_us, dict(found.read), "cold", found.notes)
        verdict = await self._book.offer(panel.name, sql, answer, version=found.version, history=panel.options.history)
        panel.reason, panel.notes = "", found.notes
        words = {"stored": "a new answer", "unchanged": "unchanged", "older": "a newer answer was there"}[verdict]
        return Outcome(f"{words}, {table.num_rows:,} rows", table.num_rows)


def _taken(path: FilePath) -> pa.Table:
    """The result in a file, which goes."""
    try:
        return pa.ipc.open_stream(path.read_bytes()).read_all()
    finally:
        path.unlink(missing_ok=True)
