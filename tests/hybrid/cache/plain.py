"""A box with a cache before questions that need no SQL: each answer is read off the records of one picture by a few lines of Python.

So hundreds of questions cost what one of SQL does, and what is tried is the cache alone: what it keeps, drops and completes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import iso
from appliance.config import CacheOptions
from appliance.hiding import hidden_rows
from appliance.hot.state import State
from appliance.hybrid.cache.answering import CachedQueries
from appliance.hybrid.cache.cache import Cache
from appliance.hybrid.cache.changes import bounds
from appliance.hybrid.cache.slices import Slicing
from appliance.roll.hot_rows import hot_chunks
from appliance.serving.engine import Engine
from appliance.serving.explain import Explain
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.running import Basis
from appliance.serving.snapshot import Wanted
from appliance.spans import floor_to
from tests.views.house import HOUR_US, House

HOURS, BACK, SUMS = "hours", "hours, the newest first", "sums"
"""The questions: sums by hour and device, in both orders, and by device."""
Record = tuple[int, str | None, int | None, int]
"""Time, device, value, sequence."""


class PlainHouse(House):
    """See the module."""

    def __init__(self, root: Path, *, ring: str = "64MiB") -> None:
        self.ids = itertools.count()
        self.before: list[Callable[[], None]] = []
        """Of these one is called, and forgotten, before the picture of a question is taken."""
        self.meanwhile: list[Callable[[], None]] = []
        """The same between the picture and the end of the answer."""
        self._tables: dict[str, Any] = {}
        self._seen: tuple[State, dict[str, Sequence[Record]]] = State({}), {}
        super().__init__(root, {}, ring=ring)

    def make_engine(self) -> Engine:
        return cast(Engine, _NoEngine())

    def start(self) -> None:
        super().start()
        box = self.box
        self.cache = Cache(CacheOptions(), state=lambda: box.state)
        self.queries = CachedQueries(cast(Queries, self), self.cache, clock=self.clock)
        self.queries.slicing = self.slicing

    progress = cancel = None

    def slicing(self, question: Question) -> Slicing | None:
        version = self.box.state.streams["readings"].schema.version
        return {HOURS: Slicing(0, HOUR_US, 1, version), BACK: Slicing(1, HOUR_US, -1, version)}.get(question.sql)

    async def run(self, question: Question) -> _Result:
        """As ``Queries.run``."""
        if self.before:
            self.before.pop()()
        state, side = self.box.state, question.path
        body = self.answer(state, question)
        if self.meanwhile:
            self.meanwhile.pop()()
        wanted = Wanted(
            stream="readings",
            since_us=question.since_us,
            until_us=question.until_us,
            hot=side != "cold",
            cold=side != "hot",
            together=side == "merged",
        )
        return _Result(body, Basis(state, (wanted,), names=("readings",), varies="never"), self.clock.now_us())

    def answer(self, state: State, question: Question) -> bytes:
        since, until = bounds(question.span)
        records = self.records(state, question.path)
        found: dict[tuple[Any, ...], list[int]] = {}
        for ts, device, value, _ in records:
            if since <= ts < until:
                key = (device,) if question.sql == SUMS else (floor_to(ts, HOUR_US), device)
                found.setdefault(key, []).append(value or 0)
        order = sorted(found, key=lambda k: (k[0] if question.sql == HOURS else -k[0] if question.sql == BACK else 0, k[-1] or ""))
        rows = [_row(question.sql, key, found[key]) for key in order]
        return (b"[" + b",\n".join(json.dumps(row).encode() for row in rows) + b"]\n") if rows else b"[]\n"

    def records(self, state: State, side: str) -> Sequence[Record]:
        """What is to be seen of a picture: each record once, its newest value that is there."""
        if self._seen[0] is not state:
            self._seen = state, {}
        found = self._seen[1]
        if side not in found:
            found[side] = self._records(state, side)
        return found[side]

    def _records(self, state: State, side: str) -> Sequence[Record]:
        stream = state.streams["readings"]
        tables = [self._read(s.path) for s in stream.segments] if side != "hot" else []
        if side != "cold" and stream.hot_rows:
            reader = self.box.reader()
            try:
                for chunk in hot_chunks(stream, reader):
                    seqs = pa.array(np.arange(chunk.first, chunk.last + 1))
                    tables.append(
                        pa.table({"ts": chunk.data["ts"], "device": chunk.data["device"], "value": chunk.data["value"], "_seq": seqs})
                    )
            finally:
                reader.close()
        rows: list[Record] = []
        for table in tables:
            seqs = np.asarray(table.column("_seq").to_numpy(), np.int64)
            hidden = hidden_rows(table, seqs, stream.deletions)
            times = table.column("ts").cast(pa.int64()).to_pylist()
            values = table.column("value").to_pylist()
            found = list(zip(times, table.column("device").to_pylist(), values, seqs.tolist(), strict=True))
            rows += found if hidden is None else [record for record, is_hidden in zip(found, hidden, strict=True) if not is_hidden]
        once: dict[tuple[int, str | None], Record] = {}
        for ts, device, value, seq in sorted(rows, key=lambda record: record[3]):
            before = once.get((ts, device))
            once[ts, device] = ts, device, before[2] if value is None and before is not None else value, seq
        return list(once.values())

    def _read(self, path: str) -> Any:
        if path not in self._tables:
            self._tables[path] = pq.ParquetFile(self.folder / path).read(["ts", "device", "value", "_seq"])
        return self._tables[path]

    def get(self, sql: str, **more: Any) -> tuple[bytes, str]:
        """As somebody gets it who asks over HTTP, and whether it was kept."""

        async def run() -> tuple[bytes, str]:
            result = await self.queries.run(Question(sql=sql, id=f"q{next(self.ids)}", **more))
            return b"".join([piece async for piece in result]), result.cached

        return asyncio.run(run())

    def same(self, sql: str, **more: Any) -> str:
        """Asks, compares with the records, and says whether it was kept."""
        found, cached = self.get(sql, **more)
        assert found == self.answer(self.box.state, Question(sql=sql, id="truth", **more)), (sql, more, cached)
        return cached


@dataclass
class _Result:
    body: bytes
    basis: Basis
    now_us: int
    spent_ms: float = 1.0
    notes: tuple[str, ...] = ()
    whole: bytes | None = None
    cached = ""
    id = "q"

    def __post_init__(self) -> None:
        self.explain = _EXPLAIN
        self._left = [self.body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        pass


class _NoEngine:
    def close(self) -> None:
        pass


_EXPLAIN = Explain(id="q", path="merged", streams=(), tables=(), rows=0, parts=(), notes=(), pruned=True)


def _row(sql: str, key: tuple[Any, ...], values: Sequence[int]) -> Mapping[str, Any]:
    said = {"n": len(values), "total": sum(values)}
    if sql == SUMS:
        return {"device": key[0], **said}
    hour = {"hour": iso(key[0]).replace(".000000", "")}
    return {**hour, "device": key[1], **said} if sql == HOURS else {"device": key[1], **hour, **said}
