"""The newest answer of each panel: who decides which counts, and has it stored. Belongs to the event loop.

An answer is stored once, in one transaction with its history; it shows only after that. What its snapshot has seen decides which of
two answers is newer, so it doesn't matter which path they come from, in which order they are ready, or what the clock says. An answer
that says the same as the one before is not stored: it only moves on what has been checked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa

from appliance.batching.panels.answer import Answer, is_same, written
from appliance.batching.panels.history import records_of
from appliance.door.commit import Committer
from appliance.hot.panel_table import PanelEntry, drop_panels, put_panel
from appliance.hot.sql_types import sql_type
from appliance.records import Format, Receipt, Submission, fold

log = logging.getLogger(__name__)
SOURCE: Final = "panel"
"""Who brings the records of histories."""
Verdict = Literal["stored", "unchanged", "older"]


@dataclass(frozen=True, slots=True)
class Checked:
    """Up to where the newest answer is known to be true."""

    version: int = -1
    """``State.version`` of the snapshot; those of an earlier process count as older than any."""
    as_of_us: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A panel in memory."""

    entry: PanelEntry
    table: pa.Table | None
    """The newest answer, without ``_as_of``."""
    checked: Checked


class Book:
    """See the module. The only one who writes panels."""

    def __init__(
        self,
        entries: Mapping[str, PanelEntry],
        *,
        submit: Callable[[Submission], Awaitable[Receipt]],
        call: Callable[[Callable[[Committer], Any]], Future[Any]],
        publish: Callable[[str, Mapping[str, Any]], None],
        step: Callable[[str], None],
    ) -> None:
        """``entries`` as stored; ``submit`` is the door's, ``call`` the writer's; ``publish`` takes an event and its data."""
        self.kept = {key: Kept(entry, _table(entry), Checked(-1, entry.as_of_us, entry.seen)) for key, entry in entries.items()}
        """By folded name; the answers that are stored, never one that is not."""
        self._submit = submit
        self._call = call
        self._publish = publish
        self._step = step
        self._locks: dict[str, asyncio.Lock] = {}

    def newest(self, name: str) -> Kept | None:
        """What there is of a panel; None before anything was stored."""
        return self.kept.get(fold(name))

    async def configure(self, panels: Mapping[str, str]) -> None:
        """From now on these panels, name -> SQL. Of those with other SQL the newest answer goes, since it answers another question; numbers
        and as-ofs go on. Histories stay, also of panels that are gone."""
        async with AsyncExitStack() as held:
            for name in sorted({*(fold(n) for n in panels), *self.kept}):
                await held.enter_async_context(self._lock(name))  # an answer that is being stored is, or never will be
            await self._configure({fold(name): (name, sql) for name, sql in panels.items()})

    async def _configure(self, wanted: Mapping[str, tuple[str, str]]) -> None:
        gone = [kept.entry.name for key, kept in self.kept.items() if key not in wanted]
        changed: dict[str, PanelEntry] = {}
        for key, (name, sql) in wanted.items():
            known = self.kept.get(key)
            before = PanelEntry(name, sql, "", 0, 0, {}, 0, (), None) if known is None else known.entry
            if before.sql != sql:
                changed[key] = PanelEntry(name, sql, "", before.number, before.as_of_us, {}, 0, (), None)
            elif known is None or before.name != name:
                changed[key] = replace(before, name=name)
        if not gone and not changed:
            return

        def run(committer: Committer) -> None:
            with committer.store.transaction():
                drop_panels(committer.store.connection, gone)
                for entry in changed.values():
                    put_panel(committer.store.connection, entry)

        await asyncio.wrap_future(self._call(run))
        for name in gone:
            del self.kept[fold(name)]
        for key, entry in changed.items():
            self.kept[key] = Kept(entry, _table(entry), Checked(-1, entry.as_of_us, entry.seen))

    async def note_parts(self, name: str, parts: str | None) -> None:
        """The SQL of the view that holds a panel's closed part, so that a start knows it."""
        async with self._lock(name):
            known = self.newest(name)
            if known is None or known.entry.parts == parts:
                return
            entry = replace(known.entry, parts=parts)

            def run(committer: Committer) -> None:
                with committer.store.transaction():
                    put_panel(committer.store.connection, entry)

            await asyncio.wrap_future(self._call(run))
            self.kept[fold(name)] = replace(known, entry=entry)

    async def offer(self, name: str, sql: str, answer: Answer, *, version: int, history: bool) -> Verdict:
        """An answer to ``sql`` that a path has found at the snapshot ``version``. Durable and shown when this returns ``stored``.

        Who is cancelled meanwhile takes nothing back. Raises ``RetryLater`` where the store takes nothing now.
        """
        return await asyncio.shield(asyncio.ensure_future(self._offer(name, sql, answer, version=version, history=history)))

    async def _offer(self, name: str, sql: str, answer: Answer, *, version: int, history: bool) -> Verdict:
        async with self._lock(name):
            known = self.newest(name)
            if known is None or known.entry.sql != sql or _is_older(answer, version, known.checked):
                return "older"
            as_of_us = max(answer.as_of_us, known.checked.as_of_us + 1)
            checked = Checked(version, as_of_us, {**known.checked.seen, **answer.seen})
            if known.table is not None and is_same(known.table, answer.table):
                self.kept[fold(name)] = replace(known, checked=checked)
                return "unchanged"
            entry = replace(
                known.entry,
                path=answer.path,
                number=known.entry.number + 1,
                as_of_us=as_of_us,
                seen=checked.seen,
                rows=answer.table.num_rows,
                columns=tuple((f.name, sql_type(f.type)) for f in answer.table.schema),
                body=written(answer.table),
            )
            self._step("panels.found")
            receipt = await self._submit(_submission(entry, answer.table, history=history))
            self._step("panels.stored")
            self.kept[fold(name)] = Kept(entry, answer.table, checked)
        if receipt.rejected:
            log.warning("the history of the panel %s lacks %d rows: %s", name, len(receipt.rejected), receipt.rejected[0].reason)
        data = {"name": entry.name, "number": entry.number, "as_of_us": as_of_us, "path": entry.path, "rows": entry.rows}
        self._publish("panel", data)
        return "stored"

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(fold(name), asyncio.Lock())


def _is_older(answer: Answer, version: int, checked: Checked) -> bool:
    """Whether it has seen less than what the newest answer is known to be true for."""
    if version < checked.version or any(answer.seen.get(stream, seq) < seq for stream, seq in checked.seen.items()):
        return True
    return version == checked.version and answer.as_of_us <= checked.as_of_us


def _submission(entry: PanelEntry, table: pa.Table, *, history: bool) -> Submission:
    """The answer as the newest one, and the records of its history, in one transaction."""
    records = (records_of(entry.name, table, number=entry.number, as_of_us=entry.as_of_us),) if history else ()
    return Submission(f"{SOURCE}:{entry.name}", Format.LP, records, also=lambda db: put_panel(db, entry))


def _table(entry: PanelEntry) -> pa.Table | None:
    return None if entry.body is None else pa.ipc.open_stream(pa.py_buffer(entry.body)).read_all()
