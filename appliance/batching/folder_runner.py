"""A ``Runner`` over a data folder, in the calling process: for a report where no service runs. The process should be one that ends soon."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from appliance.clock import Clock
from appliance.errors import QueryRefused, UsageRefused
from appliance.hot.state import State
from appliance.manifest import Segment
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.engine import Engine
from appliance.serving.folder import HOT_BYTES_MAX, folder_source, open_folder
from appliance.serving.handed import Handed
from appliance.serving.limits import AddressSpace, without_unused
from appliance.serving.question import Question
from appliance.serving.source import StateSource


class FolderRunner:
    """One engine for all questions."""

    def __init__(self, engine: Engine, source: StateSource, state: State, temp: Path, clock: Clock) -> None:
        self._engine = engine
        self._source = source
        self._state = state
        self._temp = temp
        self._clock = clock
        self._count = 0

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        """As ``Runner.table``."""
        table, _, _ = await asyncio.to_thread(self._ask, sql, span)
        if table.num_rows > rows_max:
            raise QueryRefused(f"the query gives more than {rows_max} rows: ask for fewer")
        return table

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:
        """As ``Runner.file``, for ``arrow`` alone."""
        assert format == "arrow", "a report asks for nothing else"
        table, notes, streams = await asyncio.to_thread(self._ask, sql, span)
        self._count += 1
        path = self._temp / f"{self._count}.arrow"
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
        read = {name: self._state.streams[name].last_seq for name in streams}
        return Handed(path, table.num_rows, path.stat().st_size, table.schema, read, self._state.version, notes)

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:  # noqa: ARG002 - as the protocol has it
        """Nothing is run from a folder."""
        raise UsageRefused("programs run in the service only")

    def _ask(self, sql: str, span: TimeRange) -> tuple[pa.Table, tuple[str, ...], tuple[str, ...]]:
        question = Question(sql=sql, id="report", since_us=span.since, until_us=span.until, format="arrow")
        with self._engine.answer(question, self._source, now_us=self._clock.now_us()) as answer:
            table = pa.Table.from_batches(list(answer.batches()), schema=answer.schema)
            explain = answer.explain()
        return table, explain.notes, tuple(s.stream.lower() for s in explain.streams if s.stream.lower() in self._state.streams)


@contextmanager
def folder_runner(folder: Path, *, memory_max: int, threads: int, clock: Clock) -> Iterator[tuple[FolderRunner, State]]:
    """A runner, and the picture of the folder. Raises as ``open_folder``."""
    without_unused()
    pa.set_memory_pool(pa.system_memory_pool())
    with ExitStack() as stack:
        temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appliance-report-")))
        source = stack.enter_context(folder_source(folder, on_damaged=_only_noted))
        _, state = stack.enter_context(open_folder(folder))
        room = shutil.disk_usage(temp).free // 2
        engine = Engine(root=folder, temp=temp, temp_bytes_max=room, memory_max=memory_max, threads=threads, clock=clock)
        stack.callback(engine.close)
        engine.warm()
        AddressSpace(memory_max=memory_max).allow(extra_bytes=HOT_BYTES_MAX)
        yield FolderRunner(engine, source, state, temp, clock), state


def _only_noted(segment: Segment, reason: str) -> None:
    """The folder is not changed; the note of the answer says it."""
