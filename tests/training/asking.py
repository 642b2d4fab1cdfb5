"""A ``Runner`` over the queries of the service: for what runs without the queue."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.batching.program import Program
from appliance.batching.work import Limits
from appliance.errors import QueryRefused
from appliance.hot.state import State
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.handed import Handed
from appliance.serving.http.context import Answers
from appliance.serving.question import Question

TMP: Final = "tmp"


class AskingRunner:
    """On the event loop."""

    def __init__(self, answers: Answers, folder: Path, state: Callable[[], State]) -> None:
        self._answers = answers
        self._folder = folder
        self._state = state

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        """As ``Runner.table``."""
        written = await self.file(sql, format="arrow", span=span)
        try:
            with pa.memory_map(str(written.path)) as source:
                found = pa.ipc.open_stream(source).read_all()
        finally:
            written.path.unlink()
        if found.num_rows > rows_max:
            raise QueryRefused(f"the query gives {found.num_rows:,} rows, more than {rows_max:,}")
        return found

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:
        """As ``Runner.file``."""
        state = self._state()
        query = secrets.token_hex(8)
        folder = self._folder / TMP
        folder.mkdir(exist_ok=True)
        path = folder / f"{query}.{format}"
        answer = await self._answers.run(Question(sql=sql, id=query, format=format, since_us=span.since, until_us=span.until))
        try:
            with path.open("xb") as file:
                async for piece in answer:
                    file.write(piece)
                file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            await answer.aclose()
        read = {key: s.last_seq for key, s in state.streams.items()}
        return Handed(path, 0, path.stat().st_size, pa.schema([]), read, state.version, answer.notes)

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:
        """As ``Runner.program``, within the limits of [batch]."""
        limits = Limits(memory_max=256 << 20, threads=1, time_max_s=600, disk_bytes_max=1 << 30)
        return await Program(command, folder=self._folder, limits=limits).run(input)
