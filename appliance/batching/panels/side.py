"""The panels of a running service as the wiring sees them: understood, put on their paths, moved by a reload. Belongs to the event loop.

A move changes nobody's answer: the path that a panel leaves asks no more, an answer of it that is still on its way is offered like any
other, and the path that it comes to asks at once. What counts the ``Book`` decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from appliance.alerting.rulebook import refused_at
from appliance.background import Background, begin_from_thread
from appliance.batching.panels.asking import Asker
from appliance.batching.panels.book import Book
from appliance.batching.panels.definition import Meaning, PanelRefused, understand
from appliance.batching.panels.live import Live
from appliance.batching.panels.panel import Panel
from appliance.batching.panels.parts import NoParts, parts_of
from appliance.batching.panels.work import PanelWork
from appliance.batching.work import Work
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config, ViewOptions
from appliance.errors import ApplianceError, QueryCancelled, RetryLater, UsageRefused
from appliance.hot.panel_table import load_panels
from appliance.observe.panels import PanelPicture, PanelRow
from appliance.observe.status import Problem
from appliance.panel_options import PanelOptions
from appliance.paths.defaults import needs_of
from appliance.paths.needs import Path
from appliance.records import fold
from appliance.serving.panel_rows import json_rows
from appliance.serving.source import Store, pinned_reader

log = logging.getLogger(__name__)
WAIT_S: Final = 30.0
PARTS_RECORDS_MIN: Final = 200_000
"""Records of a question from which on a stored part pays (``serving.stand_in.Worth``)."""
AGAIN_S: Final = 5.0
"""After query processes could not be had."""


@dataclass(frozen=True, slots=True)
class _Understood:
    """SQL that was looked at."""

    meaning: Meaning | None
    reason: str


class Panels:
    """See the module. ``prepare``, ``start`` and ``stop`` on the event loop; ``reload`` and ``check`` from another thread."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        store: Store,
        clock: Clock,
        path_of: Callable[[str], Path],
        ask: Callable[[str], Awaitable[None]],
        works_changed: Callable[[], Awaitable[None]],
        publish: Callable[[str, Mapping[str, Any]], None],
        step: Callable[[str], None],
        parts_records_min: int = PARTS_RECORDS_MIN,
    ) -> None:
        """Reads the hot store. ``path_of`` says where a workload of the config in force runs; ``ask`` has a piece of batch work run now,
        and ``works_changed`` has the queue look at ``works`` and ``views`` again; ``publish`` takes an event and its data."""
        self._box = box
        self._config = config
        self._clock = clock
        self._path_of = path_of
        self._ask = ask
        self._works_changed = works_changed
        self._parts_records_min = parts_records_min
        self._panels: dict[str, Panel] = {}
        self._views: dict[str, ViewOptions] = {}
        self._understood: dict[str, _Understood] = {}
        self._background = Background()
        self._changing = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._live: Live | None = None
        with pinned_reader(box.folder) as reader:
            entries = load_panels(reader)
        self.book = Book(entries, submit=box.door.submit, call=box.writer.call, publish=publish, step=step)
        self._asker = Asker(data_dir=box.folder, options=config.query, clock=clock, store=store, processes=box.processes, ladder=box.ladder)

    async def prepare(self) -> None:
        """Before anybody asks: names the panels that there are, and the views of their closed parts."""
        options = _options(self._config)
        await self.book.configure({name: o.sql for name, o in options.items()})
        for name in options:
            kept = self.book.newest(name)
            if kept is not None and kept.entry.parts is not None:
                self._views[f"{name}.parts"] = _stored_view(kept.entry.parts)
        self._panels = {name: self._made(name, o) for name, o in options.items()}

    async def start(self) -> None:
        """From now on answers are kept up."""
        self._loop = asyncio.get_running_loop()
        self._live = Live(
            asker=self._asker,
            book=self.book,
            state=lambda: self._box.state,
            clock=self._clock,
            note_latency=lambda name, stage, ms: self._box.latencies.note(name, stage, ms, at_us=self._clock.now_us()),
            note_cost=lambda name, path, spent: self._box.costs.note(name, path, spent, at_us=self._clock.now_us()),
            after=self._after,
        )
        self._box.door.listeners.append(self._live.committed)
        self._background.begin(self._begin(list(self._panels.values()), is_start=True), "the start of panels")

    async def stop(self) -> None:
        """Asks no more."""
        await self._background.stop()
        if self._live is not None:
            await self._live.stop(self._panels.values())
        await self._asker.close()

    def check(self, config: Config) -> None:
        """Whether the SQL of each panel can be understood. Raises ``ConfigRefused`` with the place; from any thread but the loop's.

        What it means is found out when it is asked: its streams may be still to come.
        """
        if self._loop is None:
            return
        for name, options in _options(config).items():
            found = asyncio.run_coroutine_threadsafe(self._understand(name, options.sql, "hybrid"), self._loop).result(WAIT_S)
            if found is not None and found.meaning is None:
                raise refused_at(config, f"workload.{name}.sql: {found.reason}", key=f"workload.{name}.sql")

    def reload(self, config: Config) -> None:
        """From now on these panels, on the paths that their needs put them on; from any thread but the loop's."""
        self._config = config
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._reload(config), self._loop).result(WAIT_S)

    def rows(self) -> list[PanelRow]:
        """One row a panel, by name."""
        return [self._row(panel) for _, panel in sorted(self._panels.items())]

    def picture(self, name: str) -> PanelPicture:
        """One panel with its newest answer. Raises ``UsageRefused`` for one that isn't there."""
        panel = next((p for n, p in self._panels.items() if fold(n) == fold(name)), None)
        if panel is None:
            raise UsageRefused(f"there is no panel {name[:80]!r}; GET /api/panels lists them")
        kept = self.book.newest(panel.name)
        table = None if kept is None else kept.table
        columns = () if kept is None else kept.entry.columns
        return PanelPicture(panel=self._row(panel), columns=columns, answer=tuple(json_rows(table or pa.table({}))))

    def problems(self) -> tuple[Problem, ...]:
        """Panels that have no newer answer; from any thread."""
        hint = "appliance query 'FROM _panels'; GET /api/panels"
        return tuple(
            Problem("WARN", f"the panel {p.name} has no newer answer: {p.reason[:200]}", 0, hint)
            for p in list(self._panels.values())
            if p.reason and (p.meaning is None or ((kept := self.book.newest(p.name)) is not None and kept.table is not None))
        )

    def _row(self, panel: Panel) -> PanelRow:
        return panel.row(self.book.newest(panel.name), parts=panel.parts if panel.parts in self._views else None)

    def works(self, config: Config) -> Sequence[Work]:
        """Those on the cold path that a config has, for the queue."""
        names = _options(config)
        return [PanelWork(p, self.book, look_at=self._look_at) for n, p in self._panels.items() if n in names and p.path == "cold"]

    def views(self) -> Mapping[str, ViewOptions]:
        """The views of closed parts, for batch to keep."""
        return dict(self._views)

    def leased(self) -> frozenset[str]:
        """Files that running questions read: they must stay. From any thread."""
        return self._asker.leased()

    def moved(self) -> None:
        """Workloads may have moved without a change of the config; from any thread."""
        if self._loop is not None:
            begin_from_thread(self._loop, self._reload(self._config), "the move of panels")

    def _made(self, name: str, options: PanelOptions) -> Panel:
        return Panel(name, options, self._path_of(name), needs_of(name, options).freshness_s)

    async def _reload(self, config: Config) -> None:
        async with self._changing:
            options = _options(config)
            made = {name: self._made(name, o) for name, o in options.items()}
            same = {n for n, p in made.items() if (old := self._panels.get(n)) is not None and _is_same(old, p)}
            leaving = [p for n, p in self._panels.items() if n not in same]
            assert self._live is not None, "panels are reloaded once they have started"
            await self._live.stop(leaving)
            await self.book.configure({name: o.sql for name, o in options.items()})
            for panel in leaving:
                if panel.name not in made or made[panel.name].options.sql != panel.options.sql:
                    await self._forget_parts(panel)
            self._panels = {name: self._panels[name] if name in same else panel for name, panel in made.items()}
            await self._works_changed()
        self._background.begin(self._begin([p for n, p in self._panels.items() if n not in same], is_start=False), "the start of panels")

    async def _begin(self, panels: Sequence[Panel], *, is_start: bool) -> None:
        """Understands panels, and has their paths ask them."""
        waiting = list(panels)
        while waiting:
            for panel in waiting:
                await self._look_at(panel)
                if panel.meaning is not None and self._panels.get(panel.name) is panel:
                    await self._entrust(panel, is_start=is_start)
            waiting = [p for p in waiting if p.meaning is None and not p.reason]
            if waiting:
                await asyncio.sleep(AGAIN_S)

    async def _look_at(self, panel: Panel) -> None:
        """Gives a panel its meaning, or the reason why it has none; neither where no process could be had to read it."""
        found = await self._understand(panel.name, panel.options.sql, panel.path)
        if found is None or panel.meaning is not None:
            return
        panel.meaning = found.meaning
        if found.meaning is None:
            origin = self._config.origins.get(f"workload.{panel.name}.sql", "config")
            panel.reason = f"{origin}: {found.reason}"
            log.warning("the panel %s can't be used: %s", panel.name, panel.reason)

    async def _entrust(self, panel: Panel, *, is_start: bool) -> None:
        assert self._live is not None, "panels are asked once they have started"
        if panel.path != "cold":
            self._live.start(panel)
            return
        kept = self.book.newest(panel.name)
        if is_start and kept is not None and kept.table is not None and kept.entry.path == "cold":
            return  # the queue knows when it is due
        try:
            await self._ask(panel.name)
        except ApplianceError as e:
            panel.reason = str(e)

    async def _understand(self, name: str, sql: str, path: Path) -> _Understood | None:
        """What SQL means; None where no process could be had to read it."""
        key = f"{fold(name)}\n{sql}"
        if key not in self._understood:
            try:
                self._understood[key] = _Understood(understand(name, sql, await self._asker.tree(sql, path)), "")
            except PanelRefused as e:
                self._understood[key] = _Understood(None, str(e))
            except (RetryLater, QueryCancelled) as e:
                log.info("panels are looked at again later: %s", e)
                return None
            except ApplianceError as e:
                self._understood[key] = _Understood(None, str(e))
        return self._understood[key]

    def _after(self, panel: Panel) -> None:
        """A panel has been asked: one that reads much as hybrid gets a stored part."""
        if (
            panel.running == "hybrid"
            and panel.read >= self._parts_records_min
            and panel.parts not in self._views
            and not panel.parts_reason
        ):
            panel.parts_reason = "it is being made"
            self._background.begin(self._store_parts(panel), f"the stored part of the panel {panel.name}")

    async def _store_parts(self, panel: Panel) -> None:
        """Defines the view of a panel's closed part, which batch refreshes from then on."""
        assert panel.meaning is not None
        try:
            stream = self._box.state.get(next(iter(panel.meaning.tables), ""))
            if stream is None or len(panel.meaning.tables) != 1:
                raise NoParts("it reads more than one stream, or a view")
            parts = parts_of(panel.meaning.tree, {fold(c.name): c.name for c in stream.schema.columns})
            sql = await self._asker.written(parts.node)
        except (NoParts, ApplianceError) as e:
            panel.parts_reason = str(e)
            return
        async with self._changing:
            if self._panels.get(panel.name) is not panel:
                return
            stored = f"{parts.bucket_s:g} {sql}"
            await self.book.note_parts(panel.name, stored)
            self._views[panel.parts] = _stored_view(stored)
            panel.parts_reason = ""
            await self._works_changed()
            log.info("the panel %s has got a stored part", panel.name)

    async def _forget_parts(self, panel: Panel) -> None:
        if self._views.pop(panel.parts, None) is not None:
            await self.book.note_parts(panel.name, None)
            await self._works_changed()


def _options(config: Config) -> dict[str, PanelOptions]:
    return {name: w for name, w in config.workloads.items() if isinstance(w, PanelOptions)}


def _is_same(a: Panel, b: Panel) -> bool:
    return a.options == b.options and a.path == b.path and a.freshness_s == b.freshness_s


def _stored_view(stored: str) -> ViewOptions:
    """From what ``note_parts`` keeps: the width of a bucket in seconds, and the SQL."""
    width, _, sql = stored.partition(" ")
    return ViewOptions(bucket_s=float(width), sql=sql, every_s=60.0)
