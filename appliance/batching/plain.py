"""A runner over the service's own query processes, with their limits."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pyarrow as pa

from appliance.batching.work import Written
from appliance.errors import QueryRefused, UsageRefused
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.queries import Queries, Result
from appliance.serving.question import Question

_numbers = count(1)


class PlainRunner:
    """See ``work.Runner``."""

    def __init__(self, queries: Queries, *, folder: Path, name: str) -> None:
        """``name`` begins the names of its queries and files."""
        self._queries = queries
        self._folder = folder
        self._name = name

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        result = await self._ask(sql, "arrow", span)
        body = bytearray()
        try:
            async for piece in result:
                body += piece
        finally:
            await result.aclose()
        table = pa.ipc.open_stream(bytes(body)).read_all()
        if table.num_rows > rows_max:
            raise QueryRefused(f"the result has more than {rows_max} rows")
        return table

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Written:
        result = await self._ask(sql, format, span)
        path = self._folder / "tmp" / f"{self._name}-{os.getpid()}-{next(_numbers)}.{format}"
        try:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            with path.open("wb") as out:
                async for piece in result:
                    await asyncio.to_thread(out.write, piece)
                await asyncio.to_thread(_sync, out)
            explain = result.explain
            assert explain is not None, "the result has been read to its end"
            schema, size = await asyncio.to_thread(_facts, path, format)
            return Written(path, explain.rows, size, schema, {}, result.version, result.notes)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            await result.aclose()

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:  # noqa: ARG002 - as the protocol has it
        raise UsageRefused(f"no program can be run here: {command[0]}")

    async def _ask(self, sql: str, format_: str, span: TimeRange) -> Result:
        question = Question(sql=sql, id=f"{self._name}-{next(_numbers)}", format=format_, since_us=span.since, until_us=span.until)
        return await self._queries.run(question)


def _sync(out: io.BufferedWriter) -> None:
    out.flush()
    os.fsync(out.fileno())


def _facts(path: Path, format_: str) -> tuple[pa.Schema, int]:
    size = path.stat().st_size
    if format_ != "parquet":
        return pa.schema([]), size
    import pyarrow.parquet as pq

    return pq.read_schema(path), size
