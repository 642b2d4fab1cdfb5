"""A ``Runner`` over the service's query processes, for work that a person waits for: each question has the limits of a query."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.batching.work import Written
from appliance.errors import QueryRefused, UsageRefused
from appliance.hot.state import State
from appliance.records import EVERYTHING, TimeRange, fold
from appliance.serving.queries import Queries
from appliance.serving.question import Question

RESULT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one result; what a report shows is far smaller."""
TMP: Final = "tmp"


class QueryRunner:
    """Belongs to the event loop."""

    def __init__(self, queries: Queries, *, state: Callable[[], State], folder: Path) -> None:
        """``folder``: the data folder."""
        self._queries = queries
        self._state = state
        self._tmp = folder / TMP

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        """As ``Runner.table``."""
        content, _, _ = await self._ask(sql, "arrow", span)
        table = pa.ipc.open_stream(content).read_all()
        if table.num_rows > rows_max:
            raise QueryRefused(f"the query gives more than {rows_max} rows: ask for fewer")
        return table

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Written:
        """As ``Runner.file``; ``rows`` and ``schema`` are known only of ``arrow``."""
        before = self._state()
        content, notes, streams = await self._ask(sql, format, span)
        path = self._tmp / f"{secrets.token_hex(8)}.{format}"

        def write() -> None:
            self._tmp.mkdir(exist_ok=True)
            path.write_bytes(content)

        await asyncio.to_thread(write)
        found = pa.ipc.open_stream(content).read_all() if format == "arrow" else None
        read = {fold(s): before.streams[fold(s)].last_seq for s in streams if fold(s) in before.streams}
        rows, schema = (found.num_rows, found.schema) if found is not None else (0, pa.schema([]))
        return Written(path, rows, len(content), schema, read, before.version, notes)

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:  # noqa: ARG002 - as the protocol has it
        """Nobody who waits runs programs."""
        raise UsageRefused("programs run in batch only")

    async def _ask(self, sql: str, format: str, span: TimeRange) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
        """The answer, what it lacks, and the streams that it was read from."""
        question = Question(sql=sql, id=f"r-{secrets.token_hex(8)}", since_us=span.since, until_us=span.until, format=format)
        content = bytearray()
        async with aclosing(await self._queries.run(question)) as result:
            async for piece in result:
                content += piece
                if len(content) > RESULT_BYTES_MAX:
                    raise QueryRefused(f"the result is larger than {RESULT_BYTES_MAX >> 20} MiB: aggregate more")
            streams = tuple(s.stream for s in result.explain.streams) if result.explain is not None else ()
            return bytes(content), result.notes, streams
