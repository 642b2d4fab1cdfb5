"""Makes parts of what is asked regularly, keeps them up, and computes answers again before anybody asks. Belongs to the event loop.

In a query process of its own that gives way to everything else, one piece of work at a time, and none while the ladder says so.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.batching.panels.parts import WIDTHS_US, NoParts, parts_of
from appliance.clock import US_PER_DAY, Clock
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused, RetryLater
from appliance.hot.state import StreamState
from appliance.hybrid.cache.answering import Asked
from appliance.hybrid.cache.cache import Cache
from appliance.hybrid.cache.changes import bounds
from appliance.hybrid.cache.habits import Habit, Habits, Pays
from appliance.hybrid.cache.kept import Kept, Key, key_of
from appliance.hybrid.cache.parts import Part, packed, sorted_by_bucket
from appliance.hybrid.cache.slices import NotSliced, Slicing, slicing_of
from appliance.observe.ladder import Ladder, Step
from appliance.records import fold
from appliance.serving.constancy import varies
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.running import Basis
from appliance.serving.snapshot import columns_of
from appliance.spans import FIRST, LAST, Span, fewer, floor_to, union

log = logging.getLogger(__name__)
WORKLOAD: Final = "_cache"
PAUSED_S: Final = 5.0
"""Between two looks at the ladder while it says that nothing is to be done."""
PART_IDLE_US: Final = 3_600 * 1_000_000
"""A part that nobody has used for so long is not kept up; whoever uses it again has it caught up."""
SPANS_MAX: Final = 4
"""Questions by which one part is caught up."""
OPEN_RECORDS_MAX: Final = 50_000
"""Records of a bucket that may be computed with each answer: some 3 ms."""
WARM_MAX: Final = 64
"""Answers that wait to be computed again; the oldest gives way."""


class Builder:
    """See the module."""

    def __init__(self, cache: Cache, queries: Queries, *, clock: Clock, ladder: Ladder, pays: Pays | None = None) -> None:
        """``queries`` are those of its own process; ``pays`` says of what parts are made (None: of what takes long)."""
        self._pays = pays or Pays()
        self._cache = cache
        self._queries = queries
        self._clock = clock
        self._ladder = ladder
        self.habits = Habits()
        self._wanted: OrderedDict[str, Habit] = OrderedDict()
        self._cold: OrderedDict[Key, Kept] = OrderedDict()
        self._uncut: dict[Key, tuple[Question, Slicing]] = {}
        self._wake = asyncio.Event()

    def asked(self, asked: Asked) -> None:
        """Somebody has got an answer."""
        habit = self.habits.note(asked.question, at_us=asked.at_us)
        if asked.explain is not None and not asked.explain.stood_in:
            habit.records, habit.cost_ms = asked.explain.records, asked.spent_ms
        self._note_slicing(asked, habit)
        is_new = habit.pays(self._pays) and not habit.is_known
        if is_new or (habit.wants_part(self._pays) and not self._cache.has_part(habit.part)):
            self._wanted[habit.question.sql] = habit
            self._wake.set()

    def _note_slicing(self, asked: Asked, habit: Habit) -> None:
        """An answer that has just been kept is to be cut; where the stream has got other columns somebody has to look again how."""
        if habit.slicing is None or asked.basis is None:
            return
        streams = [asked.basis.state.streams.get(want.stream) for want in asked.basis.wanted]
        if any(s is None or s.schema.version != habit.slicing.schema_version for s in streams):
            habit.slicing, habit.is_known, habit.wholes = None, False, 0
            return
        habit.wholes += 1
        self._cut_soon(asked.question)

    def _cut_soon(self, question: Question) -> None:
        slicing = self.habits.slicing_of(question)
        if slicing is not None:
            self._uncut[key_of(question)] = question, slicing
            self._wake.set()

    def dropped(self, kept: Kept) -> None:
        """An answer is no longer true. From any thread that holds the cache's lock."""
        if self._cache.options.warm and self.habits.is_worth_warming(kept, now_us=self._clock.now_us()):
            self._cold[key_of(kept.question)] = kept
            while len(self._cold) > WARM_MAX:
                self._cold.popitem(last=False)

    def moved(self) -> None:
        """Records have been rolled, segments or files of views have been made anew: what is asked regularly is brought up to that."""
        self._wake.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._ladder.step < Step.BATCH_PAUSED:
                await self.work()
            else:
                asyncio.get_running_loop().call_later(PAUSED_S, self._wake.set)

    async def work(self) -> None:
        """All that is to be done now."""
        while self._wanted:
            _, habit = self._wanted.popitem(last=False)
            await self._tried(self._make(habit), habit)
        while self._uncut:
            _, (question, slicing) = self._uncut.popitem()
            await asyncio.to_thread(self._cache.cut, question, slicing)
        for part in self._cache.parts():
            if self._cache.options.warm and self._clock.now_us() - part.used_us <= PART_IDLE_US:
                await self._tried(self._catch_up(part), None)
        while self._cold:
            _, kept = self._cold.popitem(last=False)
            await self._tried(self._warm(kept), None)

    async def _tried(self, work: Coroutine[None, None, None], habit: Habit | None) -> None:
        try:
            await work
        except (RetryLater, QueryCancelled) as e:
            log.debug("it is tried again when it is asked again: %s", e)
        except (ApplianceError, NoParts) as e:
            if habit is not None:
                habit.no_part = str(e)
            log.info("nothing is kept ready of a question: %s", e)
        except Exception:
            log.exception("a part of an answer could not be made")
            if habit is not None:
                habit.no_part = "making it failed; the log says why"

    async def _make(self, habit: Habit) -> None:
        """Finds out how its answers are cut, and makes a part of it where that is of use.

        Raises ``NoParts`` where its answer can't be put together from sums, and what queries raise.
        """
        question = habit.question
        tree = msgspec.json.decode(await self._text(f"SELECT json_serialize_sql({_literal(question.sql)}::VARCHAR)::VARCHAR"))
        is_new, habit.is_known = not habit.is_known, True
        if tree.get("error") is not False:
            raise NoParts("it can't be read")
        stream = self._stream_of(tree)
        columns = {fold(c.name): c.name for c in stream.schema.columns}
        if is_new:
            self._look_how(habit, tree, columns, stream.schema.version)
        if not habit.wants_part(self._pays) or self._cache.has_part(habit.part):
            return
        found = parts_of(tree, columns, widths_us=widths_us(stream))
        if varies(found.node) != "never":
            raise NoParts("what it takes of each record changes with the time")
        whole = msgspec.json.encode({"error": False, "statements": [{"node": found.node, "named_param_map": []}]}).decode()
        sql = await self._text(f"SELECT json_deserialize_sql({_literal(whole)}::JSON)")
        same = [p for p in self._cache.parts(fold(stream.name)) if p.sql == sql and p.base == columns_of(stream.schema)]
        if same:
            habit.part = same[0].number
            return
        width_us = round(found.bucket_s * 1e6)
        low, high = FIRST, closed_us(stream, width_us, now_us=self._clock.now_us())
        table, basis = await self._rows(sql, (low, high))
        mentioned = sql.lower()
        part = Part(
            number=self._cache.next_number(),
            stream=fold(stream.name),
            source=stream.name,
            sql=sql,
            asked=question.sql,
            width_us=width_us,
            base=columns_of(basis.state.streams[fold(stream.name)].schema),
            columns=tuple(c.name for c in stream.schema.columns if c.name.lower() in mentioned),
            table=sorted_by_bucket(packed(table)),
            low=low,
            high=high,
            version=basis.state.version,
            cost_ms=habit.cost_ms,
            made_us=self._clock.now_us(),
            used_us=self._clock.now_us(),
        )
        if part.bytes > self._cache.part_bytes_max:
            raise NoParts("what would have to be kept is more than [cache] memory_bytes_max allows")
        if self._cache.add_part(part, basis.state):
            habit.part = part.number
            log.info("a part is kept of a question that is asked again and again: %d rows, %d bytes", part.table.num_rows, part.bytes)

    def _look_how(self, habit: Habit, tree: Any, columns: Mapping[str, str], schema_version: int) -> None:
        """Finds out how its answers are cut."""
        try:
            habit.slicing = slicing_of(tree, columns, schema_version=schema_version)
            self._cut_soon(habit.question)
        except NotSliced as e:
            log.debug("answers to a question that is asked again and again can't be cut: %s", e)

    async def _catch_up(self, part: Part) -> None:
        """Computes what is dirty and what is closed by now."""
        stream = self._cache.newest().streams.get(part.stream)
        if stream is None:
            return
        high = max(part.high, closed_us(stream, part.width_us, now_us=self._clock.now_us()))
        for span in fewer(union([*part.dirty, (part.high, high)]), SPANS_MAX):
            table, basis = await self._rows(part.sql, span)
            if not self._cache.refresh_part(part, table, (span,), basis.state):
                return

    async def _warm(self, kept: Kept) -> None:
        """Computes an answer again."""
        if self._cache.is_kept(kept.question, now_us=self._clock.now_us()):
            return
        question = kept.question
        body, basis, asked_us = await self._answer(_asked_by_cache(question, format_=question.format, views=question.views))
        cost_ms, now_us = kept.cost_ms, self._clock.now_us()
        self._cache.keep(question, basis, body, cost_ms=cost_ms, asked_us=asked_us, now_us=now_us, warmed=True)

    async def _rows(self, sql: str, span: Span) -> tuple[pa.Table, Basis]:
        since, until = None if span[0] == FIRST else span[0], None if span[1] == LAST else span[1]
        body, basis, _ = await self._answer(_asked_by_cache(Question(sql=sql, id="", since_us=since, until_us=until), format_="arrow"))
        return pa.ipc.open_stream(pa.py_buffer(body)).read_all(), basis

    async def _answer(self, question: Question) -> tuple[bytes, Basis, int]:
        """Bytes, what they were found from, and what ``now()`` gave."""
        content = io.BytesIO()
        async with aclosing(await self._queries.run(question)) as result:
            async for piece in result:
                content.write(piece)
                if content.tell() > self._cache.options.memory_bytes_max:
                    raise QueryRefused("what would have to be kept is more than [cache] memory_bytes_max allows")
            if result.notes or (result.explain is not None and result.explain.notes) or result.basis is None:
                raise QueryRefused("the answer lacks something, and is not kept")
            return content.getvalue(), result.basis, result.now_us

    async def _text(self, sql: str) -> str:
        body, _, _ = await self._answer(_asked_by_cache(Question(sql=sql, id=""), format_="arrow"))
        return str(pa.ipc.open_stream(pa.py_buffer(body)).read_all().column(0)[0].as_py())

    def _stream_of(self, tree: object) -> StreamState:
        """The only stream that a tree reads. Raises ``NoParts``."""
        names = list(_tables(tree))
        state = self._cache.newest()
        stream = state.get(names[0]) if len(names) == 1 and fold(names[0]) not in state.views else None
        if stream is None:
            raise NoParts("it reads more than one stream, or a view")
        return stream


def widths_us(stream: StreamState) -> Sequence[int]:
    """Widths of buckets that pay: what is not closed has to be computed each time, so that of a day only where that is little."""
    low = min((*(s.ts_min for s in stream.segments), *(c.ts_min for c in stream.ring)), default=0)
    high = max((*(s.ts_max for s in stream.segments), *(c.ts_max for c in stream.ring)), default=0)
    of_day = (stream.cold_rows + stream.hot_rows) * US_PER_DAY // max(US_PER_DAY, high - low)
    return (*WIDTHS_US, US_PER_DAY) if of_day <= OPEN_RECORDS_MAX else WIDTHS_US


def closed_us(stream: StreamState, width_us: int, *, now_us: int) -> int:
    """The end of the buckets that are over: before the one of the newest record, records from the future left aside."""
    newest = max((*(s.ts_max for s in stream.segments), *(c.ts_max for c in stream.ring)), default=FIRST + width_us)
    return floor_to(min(newest, now_us), width_us)


def _asked_by_cache(question: Question, *, format_: str, views: bool = True) -> Question:
    since, until = bounds(question.span)
    return Question(
        sql=question.sql,
        id=f"cache-{secrets.token_hex(8)}",
        since_us=None if since == FIRST else since,
        until_us=None if until == LAST else until,
        path=question.path,
        views=views,
        format=format_,
        cache=False,
        workload=WORKLOAD,
    )


def _tables(tree: object) -> Sequence[str]:
    """Names of tables, each time that it stands there."""
    found, stack = [], [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE":
                found.append(str(node["table_name"]))
            stack.extend(node.values())
    return found


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
