"""A ``Runner`` over the service's query processes, for work that a person waits for: each question has the limits of a query."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.errors import QueryRefused, UsageRefused
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.handed import Handed
from appliance.serving.pool import TEMP
from appliance.serving.queries import Queries
from appliance.serving.question import Question

RESULT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one result; what a report shows is far smaller."""


class QueryRunner:
    """Belongs to the event loop."""

    def __init__(self, queries: Queries, *, folder: Path) -> None:
        """``folder``: the data folder."""
        self._queries = queries
        self._folder = folder

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        """As ``Runner.table``."""
        table = pa.ipc.open_stream(await self._ask(sql, span)).read_all()
        if table.num_rows > rows_max:
            raise QueryRefused(f"the query gives more than {rows_max} rows: ask for fewer")
        return table

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:
        """As ``Runner.file``."""
        question = Question(sql=sql, id=f"r-{secrets.token_hex(8)}", since_us=span.since, until_us=span.until, format=format)
        into = self._folder / TEMP / f"{question.id}.{format}"
        async with aclosing(await self._queries.run(question, into=into)) as result:
            async for _ in result:
                raise AssertionError("a result that goes to a file gives no pieces")
        found = result.handed
        assert found is not None, "a result that has been read to its end is there"
        return found

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:  # noqa: ARG002 - as the protocol has it
        """Nobody who waits runs programs."""
        raise UsageRefused("programs run in batch only")

    async def _ask(self, sql: str, span: TimeRange) -> bytes:
        """The answer as an Arrow stream."""
        question = Question(sql=sql, id=f"r-{secrets.token_hex(8)}", since_us=span.since, until_us=span.until, format="arrow")
        content = bytearray()
        async with aclosing(await self._queries.run(question)) as result:
            async for piece in result:
                content += piece
                if len(content) > RESULT_BYTES_MAX:
                    raise QueryRefused(f"the result is larger than {RESULT_BYTES_MAX >> 20} MiB: aggregate more")
        return bytes(content)
