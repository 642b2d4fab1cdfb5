"""From the config's SQL of a view to a version that is stored: bound in a query process, understood here, committed by the writer.

What it finds wrong becomes the view's reason, which every surface shows; the service runs on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from appliance.batching.work import Runner
from appliance.cold.batch.views.definition import ViewRefused, define
from appliance.config import ViewOptions
from appliance.derived import Definition, Used, View, ViewVersion
from appliance.door.commit import Committer
from appliance.errors import QueryRefused, RetryLater
from appliance.hot.state import State
from appliance.records import fold

log = logging.getLogger(__name__)
SUFFIXES = ("_hot", "_cold", "_latest")


class Waits(RetryLater):
    """It can't be defined yet; the text says what it waits for."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a view reads."""

    stream: str
    """Folded."""
    chain: tuple[Definition, ...]


async def finished(future: Future[Any]) -> Any:
    """What a future of the writer gives."""
    return await asyncio.wrap_future(future)


class Definer:
    """Brings the stored definitions in line with the config's. Belongs to the event loop."""

    def __init__(self, *, state: Callable[[], State], call: Callable[[Callable[[Committer], Any]], Future[Any]]) -> None:
        """``call`` is ``Writer.call``."""
        self._state = state
        self._call = call
        self._trees: dict[str, Any] = {}
        self.options: Mapping[str, ViewOptions] = {}
        """Of all views, by name."""

    async def define(self, name: str, runner: Runner) -> ViewVersion:
        """The version that the config's SQL means now: the newest one if it still does, else a new one.

        Raises ``ViewRefused`` or ``Waits`` with the reason, which is noted as the view's.
        """
        try:
            version = await self._define(name, self.options[name], runner)
        except (ViewRefused, Waits, QueryRefused) as e:
            reason = str(e)
            known = self._state().views.get(fold(name))
            if known is None or known.reason != reason:
                log.log(logging.INFO if isinstance(e, Waits) else logging.WARNING, "the view %s can't be used: %s", name, reason)
            await finished(self._call(lambda c: c.views.note(name, reason)))
            raise ViewRefused(reason) if isinstance(e, QueryRefused) else e from None
        if self._state().views[fold(name)].reason is not None:
            await finished(self._call(lambda c: c.views.note(name, None)))
        return version

    async def _define(self, name: str, options: ViewOptions, runner: Runner) -> ViewVersion:
        bucket_us = round(options.bucket_s * 1e6)
        sql = options.sql.strip().rstrip(";").strip()
        tree = await self._tree(sql, runner)
        definition = define(name, sql, tree, bucket_us=bucket_us)
        source = self._source(definition)
        definition = define(name, sql, tree, bucket_us=bucket_us, source_is_view=bool(source.chain))
        columns = await _columns(definition, source, runner)
        known = self._state().views.get(fold(name)) or View(name)
        newest = known.building or known.active
        reads = self._reads((definition, *source.chain)[-1], source.stream)
        if newest is not None and _is_same(newest, definition, source, columns, reads):
            return newest
        used = Used(0, "view", name, source.stream, bucket_us)
        version = ViewVersion(0, 0, definition, source.chain, columns, reads, "", used)
        keeps = known.active is not None and known.active.columns == columns
        made: ViewVersion = await finished(self._call(lambda c: c.views.define(version, keep_sealed=keeps)))
        log.info("the view %s has got version %d", name, made.number)
        return made

    async def _tree(self, sql: str, runner: Runner) -> Any:
        if sql not in self._trees:
            text = "'" + sql.replace("'", "''") + "'"
            table = await runner.table(f"SELECT json_serialize_sql({text}::VARCHAR)::VARCHAR AS tree")
            self._trees[sql] = msgspec.json.decode(table.column(0)[0].as_py())
        return self._trees[sql]

    def _source(self, definition: Definition) -> Source:
        """The stream below, and the views between. Raises ``ViewRefused`` or ``Waits``."""
        state, name = self._state(), definition.source
        views = {fold(n): n for n in self.options}
        if fold(name) == fold(definition.name):
            raise ViewRefused("it reads itself")
        if fold(name) in views:
            return self._view_source(definition, state.views.get(fold(name)) or View(views[fold(name)]))
        if name.startswith("_"):
            raise ViewRefused(f"it reads {name}, one of the appliance's own tables, which are no streams")
        if state.get(name) is not None:
            return Source(fold(name), ())
        for suffix in SUFFIXES:
            if fold(name).endswith(suffix) and state.get(name[: -len(suffix)]) is not None:
                raise ViewRefused(f"it reads {name}, one side of a stream: a view is of the whole stream {name[: -len(suffix)]}")
        raise Waits(f"it waits for the stream {name!r}, which is not there yet", after_s=60)

    def _view_source(self, definition: Definition, source: View) -> Source:
        version = source.building or source.active
        if version is None:
            raise Waits(f"it waits for the view {source.name}" + (f": {source.reason}" if source.reason else ""), after_s=60)
        chain = (version.definition, *version.chain)
        if fold(definition.name) in {fold(d.name) for d in chain}:
            raise ViewRefused(f"it reads {source.name}, which reads it in the end")
        if definition.bucket_us % version.definition.bucket_us:
            raise ViewRefused(f"its buckets are no multiple of those of {source.name}: one of those could lie in two of its own")
        return Source(version.stream, chain)

    def _reads(self, lowest: Definition, stream: str) -> tuple[tuple[str, str], ...]:
        known = self._state().streams[stream].schema.by_fold
        return tuple((c, str(known[c].kind)) for c in lowest.columns_read if c in known)


async def _columns(definition: Definition, source: Source, runner: Runner) -> tuple[tuple[str, str], ...]:
    """Name and Arrow type of each column.

    Raises ``QueryRefused`` where the SQL doesn't bind, ``ViewRefused`` for a bucket that is no time.
    """
    text = _with_chain(definition, source.chain)
    table = await runner.table(f"SELECT * FROM (\n{text}\n) LIMIT 0")
    schema: pa.Schema = table.schema
    if schema.field(definition.bucket).type != pa.timestamp("us"):
        raise ViewRefused(f"its column bucket is of type {schema.field(definition.bucket).type}, not a time")
    return tuple((f.name, str(f.type)) for f in schema)


def _with_chain(definition: Definition, chain: tuple[Definition, ...]) -> str:
    """Its SQL over the SQL of the views below, down to the stream."""
    if not chain:
        return definition.sql
    name = definition.source.replace('"', '""')
    return f'WITH "{name}" AS (\n{_with_chain(chain[0], chain[1:])}\n)\n{definition.sql}'


def _is_same(
    version: ViewVersion,
    definition: Definition,
    source: Source,
    columns: tuple[tuple[str, str], ...],
    reads: tuple[tuple[str, str], ...],
) -> bool:
    return (
        version.definition.identity == definition.identity
        and [d.identity for d in version.chain] == [d.identity for d in source.chain]
        and version.stream == source.stream
        and version.columns == columns
        and version.reads == reads
    )
