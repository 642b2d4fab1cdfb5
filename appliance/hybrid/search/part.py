"""Search of a running service: where it looks, what asks it, and the upkeep of its indexes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from appliance.batching.reconciling import Reconciliation
from appliance.batching.work import Work
from appliance.box import Box
from appliance.cold.lake import Damage
from appliance.config import Config
from appliance.errors import ApplianceError, RetryLater, UsageRefused
from appliance.hot.state import State, StreamState
from appliance.hybrid.search.checking import DIFFERS, make_check, make_repair
from appliance.hybrid.search.finding import Place, fields_of, find
from appliance.hybrid.search.fresh import Fresh
from appliance.hybrid.search.language import Query
from appliance.hybrid.search.names import Names
from appliance.hybrid.search.pictures import index_rows
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.hybrid.search.sealing import NAME, Sealing
from appliance.manifest import Segment
from appliance.observe.search import Found, Hit, SearchPicture, SearchQuery
from appliance.observe.status import Problem
from appliance.reconcile.start import put_aside
from appliance.serving.source import pinned_reader

log = logging.getLogger(__name__)
AT_ONCE_MAX: Final = 2
"""Searches at once: each holds a processor, and some megabytes of texts."""
WAIT_S: Final = 10.0
TIMES_KEPT: Final = 1_000
LOOK_S: Final = 0.25
"""Between two looks for hot records to index."""
SEAL_LOOKS: Final = 20
"""Between two looks for segments to index, in looks."""
REST_LOOKS: Final = 480
"""Without a search in so many looks indexes are closed."""
RETRY_S: Final = 15.0


class Search:
    """A ``Part``. ``find``, ``picture`` and ``rebuild`` may be called from any thread."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        ask: Callable[[str], Awaitable[object]],
        reconciliation: Reconciliation,
        templates: Callable[[], Sequence[tuple[str, str, int | None]]] = tuple,
    ) -> None:
        """``ask`` has the queue run the work of a name; ``reconciliation`` looks at the indexes too from now on; ``templates`` are those
        of analysed texts.

        Removes the index of hot records of the last process.
        """
        self._box, self._ask = box, ask
        self._enabled, streams = config.search.enabled, config.streams
        self.shelf = Shelf(box.folder)

        def fields(stream: StreamState) -> tuple[str, ...]:
            return fields_of(stream, streams)

        self._fields = fields
        self._fresh = Fresh(box.folder, fields=fields)
        self.sealing = Sealing(
            self.shelf, state=lambda: box.state, fields=fields, memory_bytes=config.search.memory_bytes_max, batch=config.batch
        )
        self._place = Place(
            root=box.folder,
            state=lambda: box.state,
            reader=lambda: pinned_reader(box.folder),
            options=streams,
            clock=box.clock,
            index=self.shelf.index,
            fresh=self._fresh.candidates,
            names=self._names,
            broken=self.shelf.broken,
            damaged=lambda segment, reason: put_aside(box, Damage(segment, reason)),
        )
        reconciliation.checks.append(make_check(self.shelf, fields))
        reconciliation.repairs[DIFFERS] = make_repair(self.shelf, self.sealing.hurry)
        self._named = Names(lambda stream: box.last_values(stream.name), box.clock, templates)
        self._room = threading.BoundedSemaphore(AT_ONCE_MAX)
        self._task: asyncio.Task[None] | None = None
        self._queries = self._rested = 0
        self._times_ms: deque[float] = deque(maxlen=TIMES_KEPT)

    async def start(self) -> None:
        """See ``Part``."""
        if self._enabled:
            self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """See ``Part``."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._fresh.close()

    def reload(self, config: Config) -> None:
        """See ``Part``; what is indexed is fixed at the start."""

    def problems(self) -> Sequence[Problem]:
        """See ``Part``."""
        now_us = self._box.clock.now_us()
        hint = "what they hold is found all the same, by reading it; appliance reconcile says whether they are whole"
        many = len(self.sealing.failed)
        return (Problem("WARN", f"{many} segments can't be indexed for search", now_us, hint),) if many else ()

    def works(self, config: Config) -> Sequence[Work]:
        """See ``Part``."""
        return (self.sealing,) if config.search.enabled else ()

    async def _follow(self) -> None:
        """Keeps the indexes up: hot records several times a second, segments every few seconds."""
        looks = 0
        swept: Mapping[str, Sequence[Segment]] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                while any(self._fresh.is_due(s) for s in self._box.state.streams.values()):
                    if not await asyncio.to_thread(self._index_hot):
                        break
                looks += 1
                if looks % REST_LOOKS == 0:
                    self._rest()
                swept = await self._tidied(swept)
                is_time = looks % SEAL_LOOKS == 0 or self.sealing.is_hurried
                if is_time and await asyncio.to_thread(self.sealing.is_due, self._box.clock.monotonic_ns()):
                    await self._ask(NAME)
            except (ApplianceError, sqlite3.Error, OSError) as e:
                log.warning("the search index could not be kept up and is tried again: %s", e)
                await asyncio.sleep(RETRY_S)
            except Exception:  # a defect must not end it for good: what is not indexed is found by reading it
                log.exception("the search index could not be kept up, by a defect")
                await asyncio.sleep(RETRY_S)

    def _rest(self) -> None:
        """Gives back what searching has in memory, when nobody has searched since the last time."""
        if self._rested != self._queries:
            self._rested = self._queries
        else:
            self.shelf.close()

    async def _tidied(self, swept: Mapping[str, Sequence[Segment]]) -> Mapping[str, Sequence[Segment]]:
        """Indexes go as soon as their segments do; ``swept`` are those that there were at the last look."""
        now = {key: stream.segments for key, stream in self._box.state.streams.items()}
        if any(swept.get(key) is not segments for key, segments in now.items()):
            await self.sealing.tidy()
        return now

    def _index_hot(self) -> bool:
        """One round over all streams; whether there is more to do at once."""
        more = [self._fresh.follow(stream) for stream in self._box.state.streams.values()]
        return any(more)

    def _names(self, query: Query, state: State) -> Sequence[Hit]:
        with pinned_reader(self._box.folder) as reader:
            return self._named.find(query, state, reader)

    def find(self, asked: SearchQuery) -> Found:
        """The answer of now. Raises ``UsageRefused``, or ``RetryLater`` while too many search."""
        if not self._enabled:
            raise UsageRefused("search is switched off: [search] enabled = false")
        if not self._room.acquire(timeout=WAIT_S):
            raise RetryLater(f"{AT_ONCE_MAX} searches are under way; try again", after_s=1)
        try:
            start_ns = self._box.clock.monotonic_ns()
            hits, total, is_whole, notes = find(self._place, asked)
            took_ms = (self._box.clock.monotonic_ns() - start_ns) / 1e6
        finally:
            self._room.release()
        self._queries += 1
        self._times_ms.append(took_ms)
        return Found(hits=tuple(hits), total=total, is_whole=is_whole, took_ms=took_ms, notes=tuple(notes))

    def picture(self) -> SearchPicture:
        """All indexes as they are now."""
        times = sorted(self._times_ms)
        rows = index_rows(self._box.state, self.shelf, self._fields, hot=self._fresh.indexed)
        return SearchPicture(indexes=rows, queries=self._queries, p50_ms=_share(times, 0.5), p99_ms=_share(times, 0.99))

    def rebuild(self, stream: str | None) -> str:
        """Has the indexes of a stream (None: of all) made anew from the records. Raises ``UsageRefused`` for an unknown one."""
        found = self._box.state.get(stream) if stream is not None else None
        if stream is not None and found is None:
            raise UsageRefused(f"there is no stream {stream[:80]!r}")
        streams = [found] if found is not None else list(self._box.state.streams.values())
        gone = sum(self.shelf.drop(one) for one in streams)
        self.sealing.failed.clear()
        self.sealing.hurry()
        return f"{gone} indexes were removed and are made anew in batch; what they held is read from the records meanwhile"


def _share(times: Sequence[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(len(times) * share))] if times else None
