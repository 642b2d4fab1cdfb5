"""A box with a cache before its queries, in one process: what is asked goes to the cache as in a service, and each answer is compared
with the one that the records give at that very moment."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from appliance.config import CacheOptions, ViewOptions
from appliance.hybrid.cache.answering import CachedQueries
from appliance.hybrid.cache.building import Builder
from appliance.hybrid.cache.cache import Cache
from appliance.hybrid.cache.habits import Pays
from appliance.manifest import Segment
from appliance.observe.ladder import Ladder
from appliance.records import TS_TYPE, Batch, Format, Submission
from appliance.serving.explain import Explain
from appliance.serving.formats import open_database
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.running import Basis
from appliance.serving.snapshot import Snapshot, TableInfo, Wanted, WantedView
from appliance.serving.source import StateSource
from appliance.serving.state_tables import TABLES
from appliance.serving.writing import write_answer
from tests.clock import NOON_US
from tests.views.house import HOUR_US, House


class CacheHouse(House):
    """See the module. Parts are made of whatever is asked twice."""

    def __init__(self, root: Path, views: Mapping[str, ViewOptions] | None = None, *, ring: str = "64MiB", **options: Any) -> None:
        self.options = CacheOptions(**options)
        self.database = open_database()
        self.ids = itertools.count()
        self.meanwhile: Callable[[], None] = lambda: None
        """Called between the snapshot of a question and the end of its answer."""
        super().__init__(root, views or {}, ring=ring)

    def start(self) -> None:
        """With nothing kept: a cache does not outlive its process."""
        super().start()
        box = self.box
        self.cache = Cache(self.options, state=lambda: box.state, own={*TABLES, "_health"})
        queries = cast(Queries, EngineQueries(self))
        self.queries = CachedQueries(queries, self.cache, clock=self.clock)
        self.builder = Builder(self.cache, queries, clock=self.clock, ladder=Ladder(), pays=Pays(2, 0, 0.0))
        self.queries.on_asked = self.builder.asked
        self.queries.slicing = self.builder.habits.slicing_of
        self.cache.on_drop = self.builder.dropped

    def close(self) -> None:
        super().close()
        self.database.close()

    def come(self, rows: Sequence[tuple[float, str | None, int | None]], *, stream: str = "readings", column: str = "value") -> None:
        """Records: hours after noon, device, value; of any stream, the value in any column."""
        data = {
            "ts": pa.array([NOON_US + int(r[0] * HOUR_US) for r in rows], pa.int64()).cast(TS_TYPE),
            "device": pa.array([r[1] for r in rows], pa.string()).dictionary_encode(),
            column: pa.array([r[2] for r in rows], pa.int64()),
        }
        self.box.door.submit_blocking(Submission("http", Format.LP, (Batch(stream, ("device",), pa.record_batch(data)),)))

    def source_of(self, question: Question) -> Recording:
        """As ``Queries`` makes it."""
        plain = self.source()
        store = replace(plain._store, shelf=self.cache)
        return Recording(StateSource(store, with_parts=question.cache and not question.workload))

    def get(self, sql: str, **more: Any) -> tuple[list[dict[str, Any]], str]:
        """The rows as somebody gets them who asks over HTTP, and whether they were kept: ``hit`` or ``miss``."""

        async def run() -> tuple[bytes, str]:
            result = await self.queries.run(Question(sql=sql, id=f"q{next(self.ids)}", **more))
            return b"".join([piece async for piece in result]), result.cached

        body, cached = asyncio.run(run())
        return json.loads(body), cached

    def truth(self, sql: str, **more: Any) -> list[dict[str, Any]]:
        """The rows that the records give."""

        async def run() -> bytes:
            result = await EngineQueries(self).run(Question(sql=sql, id="truth", cache=False, **{"views": False, **more}))
            return b"".join([piece async for piece in result])

        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        try:
            rows: list[dict[str, Any]] = json.loads(asyncio.run(run()))
        finally:
            self.meanwhile = meanwhile
        return rows

    def same(self, sql: str, **more: Any) -> str:
        """Asks, compares with the records, and says whether it was kept."""
        found, cached = self.get(sql, **more)
        assert ordered(found) == ordered(self.truth(sql, **more)), (sql, cached)
        return cached

    def explain_of(self, sql: str) -> Explain:
        """How it is answered with the cache."""
        question = Question(sql=sql, id="explain")
        with self.engine.answer(question, self.source_of(question), now_us=self.clock.now_us()) as answer:
            for _ in answer.batches():
                pass
            return answer.explain()

    def build(self) -> None:
        """Does what the cache would do behind."""
        asyncio.run(self.builder.work())


class EngineQueries:
    """Answers as ``Queries`` does, with the engine of this process."""

    progress = cancel = None

    def __init__(self, house: CacheHouse) -> None:
        self._house = house

    async def run(self, question: Question) -> EngineResult:
        house, out = self._house, io.BytesIO()

        def write(piece: bytes) -> None:
            out.write(piece)

        source = house.source_of(question)
        now_us = house.clock.now_us()
        with house.engine.answer(question, source, now_us=now_us) as answer:
            explain = write_answer(answer, question, write, house.database)
            basis = replace(source.basis, names=answer.names, varies=answer.varies)
        house.meanwhile()
        return EngineResult(out.getvalue(), basis, explain, now_us)


@dataclass
class EngineResult:
    """As ``Result``."""

    body: bytes
    basis: Basis
    explain: Explain
    now_us: int
    spent_ms: float = 1_000.0
    notes: tuple[str, ...] = ()
    whole: bytes | None = None
    cached = ""
    id = "q"

    def __post_init__(self) -> None:
        self._left = [self.body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        pass


class Recording:
    """A provider that remembers what was pinned, as ``Queries`` does."""

    def __init__(self, source: StateSource) -> None:
        self._source = source
        self.basis = Basis(source.state)

    def lookup(self, names: Sequence[str]) -> Sequence[TableInfo]:
        return self._source.lookup(names)

    def pin(self, wanted: Sequence[Wanted], tables: Sequence[str], views: Sequence[WantedView] = ()) -> Snapshot:
        snapshot = self._source.pin(wanted, tables, views)
        behind = tuple((view, snapshot.views[view.view, view.version]) for view in views)
        self.basis = Basis(self._source.state, tuple(wanted), behind, tuple(tables))
        return snapshot

    def damaged(self, segment: Segment, reason: str) -> None:
        self._source.damaged(segment, reason)

    def damaged_view(self, path: str) -> None:
        self._source.damaged_view(path)


def ordered(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows in an order of their own; floats but for the last bits, which the order of addition decides."""
    return sorted(repr([(k, round(v, 9) if isinstance(v, float) else v) for k, v in row.items()]) for row in rows)
