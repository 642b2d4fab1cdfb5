"""The cache of a running service as the wiring sees it: follows commits, has its work done, says how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from appliance.batching.work import Work
from appliance.box import Box
from appliance.config import Config
from appliance.hot.state import State
from appliance.hybrid.cache.answering import CachedQueries
from appliance.hybrid.cache.building import Builder
from appliance.hybrid.cache.cache import Cache
from appliance.observe.cache import CachePicture, CacheRow
from appliance.observe.status import Problem
from appliance.serving.pool import Manner
from appliance.serving.queries import Queries
from appliance.serving.query_meter import QueryMeter
from appliance.serving.source import Store

ROWS_MAX: Final = 100
SQL_SHOWN: Final = 200
IDLE_S: Final = 60.0
"""The process that makes parts is ended when it has had nothing to do for so long."""


class CachePart:
    """See the module. ``queries`` is what HTTP asks in place of those that it was given."""

    def __init__(self, box: Box, config: Config, cache: Cache, *, queries: Queries, store: Store) -> None:
        self._box = box
        self.cache = cache
        own = msgspec.structs.replace(config.query, workers_max=1, idle_s=IDLE_S)
        manner = Manner("cache", is_batch=True, path="cold")
        note = QueryMeter(box).note
        self._pool = Queries(
            data_dir=box.folder,
            options=own,
            clock=box.clock,
            store=store,
            processes=box.processes,
            threads=1,
            manner=manner,
            on_end=note,
        )
        self.queries = CachedQueries(queries, cache, clock=box.clock, latencies=box.latencies)
        self.builder = Builder(cache, self._pool, clock=box.clock, ladder=box.ladder)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_called = False
        self._seen = box.state

    async def start(self) -> None:
        """Follows commits from now on."""
        if not self.cache.options.memory_bytes_max:
            return
        self._loop = asyncio.get_running_loop()
        self.queries.on_asked = self.builder.asked
        self.queries.slicing = self.builder.habits.slicing_of
        self.cache.on_drop = self.builder.dropped
        self._box.writer.on_publish.append(self._published)
        self._task = self._loop.create_task(self.builder.run())

    async def stop(self) -> None:
        """Keeps nothing: it can all be made again."""
        if self._task is not None:
            self._box.writer.on_publish.remove(self._published)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._pool.close()

    def reload(self, config: Config) -> None:
        """Takes effect at the next start."""

    def problems(self) -> Sequence[Problem]:
        """None: without it everything is only slower."""
        return ()

    def works(self, config: Config) -> Sequence[Work]:  # noqa: ARG002 - as the protocol
        """None in the queue: what it does is small, and done in a process of its own that gives way."""
        return ()

    def leased(self) -> frozenset[str]:
        """Files that its questions read: they must stay. From any thread."""
        return self._pool.leased()

    def picture(self) -> CachePicture:
        """The cache since the start; from any thread."""
        counts, answers, parts = self.cache.counts, self.cache.answers(), self.cache.parts()
        rows = [
            CacheRow(
                sql=kept.question.sql[:SQL_SHOWN],
                kind="answer",
                streams=tuple(dict.fromkeys(on.stream for on in kept.depends.streams)),
                bytes=kept.bytes,
                hits=kept.hits,
                made_us=kept.made_us,
                used_us=kept.used_us,
                cost_ms=kept.cost_ms,
                warmed=kept.warmed,
            )
            for kept in answers
        ]
        rows += [
            CacheRow(
                sql=part.asked[:SQL_SHOWN],
                kind="part",
                streams=(part.stream,),
                bytes=part.bytes,
                hits=part.hits,
                made_us=part.made_us,
                used_us=part.used_us,
                cost_ms=part.cost_ms,
                warmed=True,
            )
            for part in parts
        ]
        rows.sort(key=lambda row: row.hits * row.cost_ms, reverse=True)
        return CachePicture(
            entries=len(rows),
            bytes=self.cache.bytes,
            bytes_max=self.cache.options.memory_bytes_max,
            hits=counts.hits,
            partial_hits=counts.partial_hits,
            misses=counts.misses,
            invalidated=counts.invalidated,
            evicted=counts.evicted,
            warmed=counts.warmed,
            saved_s=counts.saved_ms / 1e3,
            rows=tuple(rows[:ROWS_MAX]),
        )

    def _published(self, _state: State) -> None:
        """In the writer's thread: the loop looks soon, once however many pictures there are."""
        if not self._is_called and self._loop is not None:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._is_called = False
        self.cache.look()
        before, self._seen = self._seen, self._box.state
        if is_moved(before, self._seen):
            self.builder.moved()


def is_moved(before: State, now: State) -> bool:
    """Whether segments of streams or files of views have come or gone from one picture to a later one."""
    if any(key not in before.streams or before.streams[key].segments is not s.segments for key, s in now.streams.items()):
        return True
    return now.views is not before.views and _files(before) != _files(now)


def _files(state: State) -> list[str]:
    return [file.path for view in state.views.values() if view.active is not None for file in view.active.files]
