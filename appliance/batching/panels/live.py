"""Keeps the answers of hot and hybrid panels up: woken by commits, asked at their pace. One task a panel; belongs to the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from appliance.batching.panels.answer import Answer, settled
from appliance.batching.panels.asking import Asker, Found
from appliance.batching.panels.book import Book
from appliance.batching.panels.pace import LOOK_S, NS, Asked, due_ns
from appliance.batching.panels.panel import Panel, lies_in_hot, records_read, stamp
from appliance.clock import Clock
from appliance.errors import ApplianceError
from appliance.hot.state import State
from appliance.observe.costs import Spent
from appliance.paths.needs import Path
from appliance.records import fold

log = logging.getLogger(__name__)
READY: Final = "ready"
"""The stage that is measured: from the commit of records to the answer that has seen them."""
NoteLatency = Callable[[str, str, float], None]
"""(workload, stage, ms)"""
NoteCost = Callable[[str, Path, Spent], None]
"""(workload, path, what it has used)"""


class Live:
    """See the module. ``committed`` may be called by any thread, the rest by the loop alone."""

    def __init__(
        self,
        *,
        asker: Asker,
        book: Book,
        state: Callable[[], State],
        clock: Clock,
        note_latency: NoteLatency,
        note_cost: NoteCost,
        after: Callable[[Panel], None],
    ) -> None:
        """``after`` is told of each panel that has been asked; it returns at once."""
        self._asker = asker
        self._book = book
        self._state = state
        self._clock = clock
        self._note_latency = note_latency
        self._note_cost = note_cost
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._panels: tuple[Panel, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._is_called = False

    def start(self, panel: Panel) -> None:
        """From now on its answer is kept up."""
        assert panel.meaning is not None, "a panel is understood before it is asked"
        panel.streams |= panel.meaning.tables
        self._panels = (*self._panels, panel)
        self._watch()
        panel.task = self._loop.create_task(self._keep_up(panel))

    async def stop(self, panels: Iterable[Panel]) -> None:
        """Asks these no more; an answer that is being stored is."""
        ending = {id(p): p.task for p in panels if p.task is not None}
        self._panels = tuple(p for p in self._panels if id(p) not in ending)
        self._watch()
        for task in ending.values():
            task.cancel()
        await asyncio.gather(*ending.values(), return_exceptions=True)

    def committed(self, counts: Mapping[str, int]) -> None:
        """The door's word of a commit; returns at once."""
        if not self._is_called and any(fold(stream) in self._watched for stream in counts):
            self._is_called = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop has ended, and the panels with it
                log.debug("a commit came after the end")

    def _wake(self) -> None:
        """Those whose records have changed are behind from now on."""
        self._is_called = False
        state, now_ns = self._state(), self._clock.monotonic_ns()
        for panel in self._panels:
            if panel.since_ns is None and stamp(state, panel.streams) != panel.seen:
                panel.since_ns = now_ns
                panel.wake.set()

    def _watch(self) -> None:
        self._watched = frozenset[str]().union(*(p.streams for p in self._panels))

    async def _keep_up(self, panel: Panel) -> None:
        assert panel.meaning is not None
        while True:
            now_ns = self._clock.monotonic_ns()
            if panel.since_ns is None and stamp(self._state(), panel.streams) != panel.seen:
                panel.since_ns = now_ns
            due = due_ns(
                panel.asked,
                freshness_s=panel.freshness_s,
                is_behind=panel.since_ns is not None,
                is_timed=panel.meaning.is_timed,
                now_ns=now_ns,
            )
            if due is not None and due <= now_ns:
                await self._ask(panel)
                continue
            pause_s = LOOK_S if due is None else min(LOOK_S, (due - now_ns) / NS)
            panel.wake.clear()
            if panel.since_ns is not None:
                await asyncio.sleep(pause_s)  # further commits change nothing
                continue
            try:
                await asyncio.wait_for(panel.wake.wait(), pause_s)
            except TimeoutError:
                continue

    async def _ask(self, panel: Panel) -> None:
        """One question, and what comes of it; what is wrong is the panel's reason."""
        started_ns, since_ns, path = self._clock.monotonic_ns(), panel.since_ns, panel.running
        seen, panel.since_ns = stamp(self._state(), panel.streams), None
        try:
            await self._answer(panel, path)
            panel.reason, failures = "", 0
            panel.seen = seen
        except ApplianceError as e:
            if panel.reason != str(e):
                log.info("the panel %s has no newer answer: %s", panel.name, e)
            panel.reason, failures = str(e), 1 + (panel.asked.failures if panel.asked is not None else 0)
        except Exception:  # a defect in one panel must not end its task for good
            log.exception("the panel %s could not be asked, by a defect", panel.name)
            panel.reason, failures = "it could not be asked, by a defect; the log says more", 1
        now_ns = self._clock.monotonic_ns()
        panel.asked = Asked(started_ns, now_ns, failures)
        if since_ns is not None and not failures:
            panel.ready_ms = (now_ns - since_ns) / 1e6
            self._note_latency(panel.name, READY, panel.ready_ms)
        elif failures and panel.since_ns is None:
            panel.since_ns = since_ns
        self._after(panel)

    async def _answer(self, panel: Panel, path: Path) -> None:
        assert panel.meaning is not None
        newest = self._book.newest(panel.name)
        as_of_us = max(self._clock.now_us(), 0 if newest is None else newest.checked.as_of_us + 1)
        found = await self._asker.ask(panel.options.sql, path, now_us=as_of_us)
        self._learn(panel, found, path)
        table = settled(found.table, is_ordered=panel.meaning.is_ordered, rows_max=panel.options.rows_max)
        answer = Answer(table, found.now_us, found.seen, path, found.notes)
        await self._book.offer(panel.name, panel.options.sql, answer, version=found.version, history=panel.options.history)
        panel.notes = found.notes

    def _learn(self, panel: Panel, found: Found, path: Path) -> None:
        """What a question tells about its panel."""
        if not frozenset(found.seen) <= panel.streams:
            panel.streams |= frozenset(found.seen)
            self._watch()
        if found.explain is not None:
            panel.read = records_read(found.explain)
            if not found.explain.stood_in:  # else it says where the rest lies, not all
                panel.is_in_hot = not found.explain.views and lies_in_hot(self._state(), found.explain)
        used = found.usage
        self._note_cost(panel.name, path, Spent(used.cpu_s, used.read_bytes, used.disk_bytes, panel.read, used.memory_bytes, runs=1))
