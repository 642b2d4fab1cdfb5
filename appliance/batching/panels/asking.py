"""Asks a panel's SQL in query processes of its path: one pool for hot, one for hybrid, so that neither waits for the other or for people's
queries. Belongs to the event loop; processes are started when they are needed and end when idle."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.batching.panels.answer import BYTES_MAX
from appliance.clock import Clock
from appliance.errors import QueryRefused
from appliance.observe.ladder import Ladder, Step
from appliance.observe.processes import Processes
from appliance.options import QueryOptions
from appliance.paths.needs import Path
from appliance.serving.explain import Explain
from appliance.serving.pool import Manner
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.source import Store
from appliance.serving.usage import Usage

IDLE_S: Final = 60.0
"""A process that has had nothing to do for so long is ended."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a question has found."""

    table: pa.Table
    seen: Mapping[str, int]
    version: int
    """``State.version`` of the snapshot."""
    now_us: int
    notes: tuple[str, ...]
    explain: Explain | None
    usage: Usage


class Asker:
    """See the module. Made once a service; no process is started before the first question."""

    def __init__(
        self, *, data_dir: FilePath, options: QueryOptions, clock: Clock, store: Store, processes: Processes, ladder: Ladder
    ) -> None:
        """``options`` are those of [query]: a panel's question has the same limits as a person's. ``processes`` is told of those that are
        started; where the box stands on the ``ladder`` says whether it asks at all."""
        own = _of_panels(options)
        self._ladder = ladder
        shared: Any = {"data_dir": data_dir, "options": own, "clock": clock, "store": store, "processes": processes, "threads": 1}
        self._pools: Mapping[str, Queries] = {
            "hot": Queries(**shared, manner=Manner("panel-hot", path="hot")),
            "hybrid": Queries(**shared, manner=Manner("panel-hybrid", path="hybrid")),
        }

    async def ask(self, sql: str, path: Path, *, now_us: int) -> Found:
        """The answer over all records; only hybrid looks for stored parts. Raises ``QueryRefused``, ``QueryCancelled``, ``RetryLater``."""
        self._ladder.check(Step.ANALYSIS_SHED if path == "hybrid" else Step.RECORDS_AND_ALERTS, f"{path} panels are not asked")
        used: list[Usage] = []
        question = Question(sql=sql, id=f"panel-{secrets.token_hex(8)}", format="arrow", views=path == "hybrid", now_us=now_us)
        content = bytearray()
        async with aclosing(await self._pools["hot" if path == "hot" else "hybrid"].run(question, on_usage=used.append)) as result:
            async for piece in result:
                content += piece
                if len(content) > 2 * BYTES_MAX:
                    raise QueryRefused(f"its answer is larger than {BYTES_MAX >> 20} MiB: aggregate more, or make a view of it")
        table = pa.ipc.open_stream(pa.py_buffer(bytes(content))).read_all()
        return Found(table, dict(result.read), result.version, result.now_us, result.notes, result.explain, sum(used, Usage()))

    async def tree(self, sql: str, path: Path) -> Any:
        """The parse tree of SQL, read in a process of this path, or what is wrong with it, as DuckDB's ``json_serialize_sql`` says it."""
        text = "'" + sql.replace("'", "''") + "'"
        return msgspec.json.decode(await self._text(f"SELECT json_serialize_sql({text}::VARCHAR)::VARCHAR", path))

    async def written(self, node: Any) -> str:
        """A SELECT_NODE as SQL. Raises ``QueryRefused`` for what is none."""
        tree = msgspec.json.encode({"error": False, "statements": [{"node": node, "named_param_map": []}]}).decode()
        text = "'" + tree.replace("'", "''") + "'"
        return await self._text(f"SELECT json_deserialize_sql({text}::JSON)", "hybrid")

    def leased(self) -> frozenset[str]:
        """Files that running questions read: they must stay."""
        return frozenset[str]().union(*(pool.leased() for pool in self._pools.values()))

    async def close(self) -> None:
        """Ends all questions and processes."""
        for pool in self._pools.values():
            await pool.close()

    async def _text(self, sql: str, path: Path) -> str:
        found = await self.ask(sql, path, now_us=0)
        return str(found.table.column(0)[0].as_py())


def _of_panels(options: QueryOptions) -> QueryOptions:
    """Of a pool of panels: one process, which stays a while."""
    return msgspec.structs.replace(options, workers_max=1, idle_s=IDLE_S)
