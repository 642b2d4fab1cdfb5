"""Answers one question at a time: admit, look up, plan, pin, build the views, run. The flow of a query reads from top to bottom here.

Runs in a process of its own: a worker, or the command line. It knows nothing of sockets or formats: batches come out. One
thread asks; another may call ``interrupt`` and ``progress`` meanwhile. Nothing of a query stays behind after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from appliance.clock import Clock
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused, StoreDamaged
from appliance.serving.answer import Answer
from appliance.serving.constancy import Varies, varies
from appliance.serving.defects import REFUSALS, bad_view_files, defect
from appliance.serving.duck import BATCH_MEMORY_SHARE, MEMORY_SHARE, Planner, freeze_now, next_rows, open_runner, read
from appliance.serving.explain import Explain, Part
from appliance.serving.gate import admit, first_lines
from appliance.serving.hot_table import int64_array
from appliance.serving.newest import newest_of, stretches
from appliance.serving.plain_select import PlainSelect, plain_need, plain_select
from appliance.serving.prepared import Plans
from appliance.serving.pruning import Need
from appliance.serving.question import Question
from appliance.serving.snapshot import Side, SnapshotProvider, StreamPin, TableInfo
from appliance.serving.stage import Stage
from appliance.serving.stand_in import StandIns, Worth
from appliance.serving.statement import Statement
from appliance.serving.templates import Parsed, cut
from appliance.serving.views import with_columns
from appliance.serving.work import (
    Work,
    check_light,
    explained,
    known_columns,
    lost_note,
    need_of,
    on_side,
    reach_of_pin,
    views_of,
    wanted_of,
)

log = logging.getLogger(__name__)
BATCH_ROWS: Final = 16_384
"""Rows of a batch of the result: memory is bounded by a few of them."""
ATTEMPTS_MAX: Final = 3
"""Times that a query is started anew without segments that turned out to be damaged."""
SHOW_TABLES: Final = "SELECT name FROM _streams ORDER BY name"


class Engine:
    """The two databases and the state of one query."""

    def __init__(
        self,
        *,
        root: Path,
        temp: Path,
        temp_bytes_max: int,
        memory_max: int,
        threads: int,
        clock: Clock,
        is_batch: bool = False,
        worth: Worth | None = None,
    ) -> None:
        """``root`` is the data folder, ``temp`` an existing folder of this process's own for what doesn't fit into memory; what is batch
        work goes there sooner. ``worth`` says when a view may stand in for records; None: when it saves time."""
        self._root = root.absolute()
        self._clock = clock
        self._memory_max = memory_max
        self._planner = Planner()
        self._runner = open_runner(
            readable=[self._root / "lake", self._root / "views", self._root / "tables"],
            temp=temp.absolute(),
            temp_bytes_max=temp_bytes_max,
            memory_max=memory_max,
            threads=threads,
            share=BATCH_MEMORY_SHARE if is_batch else MEMORY_SHARE,
        )
        self._stopped = False
        self._stage = Stage(self._runner, self._planner, self._root)
        self._parsed = Parsed()
        self._plans = Plans(self._runner, self._planner)
        self._seen: tuple[Any, PlainSelect | None] | None = None
        """The tree of the last question, and what it is."""
        self._varies: tuple[Any, Varies] | None = None
        """The tree of the last question, and when its answer is another."""
        self._stand_ins = StandIns(self._planner, worth or Worth())
        self.is_worn = False
        """True after an error that may have harmed the databases: this engine should not be used again."""

    def interrupt(self) -> None:
        """Ends the query under way as soon as DuckDB looks up; may be called again and again, from another thread."""
        self._stopped = True
        self._planner.connection.interrupt()
        self._runner.interrupt()

    def progress(self) -> float | None:
        """Part of the scan that is done, 0 to 1; None when it is not known. From another thread."""
        percent = float(self._runner.query_progress())
        return percent / 100 if 0 <= percent <= 100 else None

    def warm(self) -> None:
        """Does once what each query does, so that the first one is as fast, and what that maps is there to be measured."""
        self._planner.needs("SELECT count(*) FROM warm", [TableInfo("warm", Side.STATE, "warm", (("ts", "TIMESTAMP"),))], now_us=0)
        self._runner.register("__warm", pa.Table.from_arrays([int64_array(np.zeros(1, np.int64))], names=["ts"]))
        self._runner.sql("SELECT ts, count(*) FROM __warm GROUP BY ts").to_arrow_table()
        self._runner.unregister("__warm")

    def close(self) -> None:
        self._planner.close()
        self._runner.close()

    @contextmanager
    def answer(self, question: Question, provider: SnapshotProvider, *, now_us: int) -> Iterator[Answer]:
        """The answer, with its first rows there: what is wrong with the SQL is raised here.

        ``now_us`` is what ``now()`` gives. Raises ``QueryRefused``, ``QueryCancelled``, or what the provider raises.
        """
        self._stopped = False
        work = self._prepare(question, provider, now_us)
        try:
            answer = self._start(work, provider)
            try:
                yield answer
            finally:
                answer.close()
        finally:
            self._undo(work)

    def _prepare(self, question: Question, provider: SnapshotProvider, now_us: int) -> Work:
        """Everything up to the pinned snapshot."""
        work = Work(question, now_us)
        with self.timed(work, "parse"):
            work.statement, work.text = self._admitted(question.sql)
            if work.statement.shows_tables:
                work.statement = admit(self._planner.connection, SHOW_TABLES)
            self._check()
        with self.timed(work, "names"):
            found = provider.lookup(work.statement.tables) if work.statement.tables else ()
            work.tables = self._with_columns([on_side(info, question.path) for info in found])
        with self.timed(work, "plan"):
            work.needs = self._needs(work)
            self._check()
        with self.timed(work, "pin"):
            self._pin(work, provider)
            self._leave_out_bad(work, provider, deep=False)
            work.notes += [note for view in work.snapshot.views.values() for note in view.lost]
            work.notes += [lost_note(s, "is missing or damaged") for pin in work.snapshot.streams.values() for s in pin.lost]
            self._check()
        check_light(work)
        return work

    def _admitted(self, sql: str) -> tuple[Statement, str]:
        """``admit``, which is asked once for texts that differ in their constants alone; and what they have in common, if it is cut."""
        parts = cut(sql)
        if parts is None:
            return admit(self._planner.connection, sql), ""
        found = self._parsed.get(sql, parts)
        if found is None:
            found = admit(self._planner.connection, sql)
            self._parsed.put(found, parts)
        return found, parts.text

    def _with_columns(self, tables: Sequence[TableInfo]) -> Sequence[TableInfo]:
        try:
            return with_columns(self._planner, tables)
        except duckdb.Error as e:
            raise self._worded(e) from None

    def _pin(self, work: Work, provider: SnapshotProvider) -> None:
        """The snapshot; files of views that are gone are told, and done without."""
        work.columns.clear()
        wanted, views = wanted_of(work), views_of(work)
        work.wanted = wanted
        own = [t.stream for t in work.tables if t.side in (Side.STATE, Side.FILE)]
        if wanted or own or views:
            try:
                snapshot = provider.pin(wanted, own, views)
            except QueryRefused:
                if work.stand_in is None:
                    raise
                self._read_records(work)  # the view has just got another definition
                return self._pin(work, provider)
            work.snapshot = known_columns(snapshot, work.tables)
            work.columns.clear()
        return None

    def _needs(self, work: Work) -> Mapping[str, Need] | None:
        """What the query can touch; None when that can't be found out. Raises ``QueryRefused`` where the SQL doesn't bind."""
        work.plain = self._plain_of(work.statement.tree)
        if work.plain is not None and len(work.tables) == 1:
            if work.question.views:
                self._find_stand_in(work, work.plain, work.tables[0])
            if work.stand_in is not None:
                return {work.stand_in.table.name: Need(work.stand_in.span, frozenset())}
            need = plain_need(work.plain, work.tables[0], now_us=work.now_us)
            if need is not None:
                return {work.tables[0].name: need}
        work.plain = None
        return self._planned_needs(work)

    def _plain_of(self, tree: Any) -> PlainSelect | None:
        """``plain_select``, which looks at a tree once for all statements that differ in their constants alone."""
        if self._seen is None or self._seen[0] is not tree:
            self._seen = (tree, plain_select(tree))
        return self._seen[1]

    def varies_of(self, statement: Statement) -> Varies:
        """``varies``, asked once for all statements that differ in their constants alone."""
        if self._varies is None or self._varies[0] is not statement.tree:
            self._varies = (statement.tree, varies(statement.tree))
        return self._varies[1]

    def _find_stand_in(self, work: Work, plain: PlainSelect, table: TableInfo) -> None:
        work.stand_in, work.not_stood_in = self._stand_ins.of(
            plain, work.statement.sql, table, bounds=work.question.span, now_us=work.now_us
        )
        if work.stand_in is not None:
            work.tables, work.plain = [work.stand_in.table], None

    def _read_records(self, work: Work) -> None:
        """Does without the view that was to stand in for them."""
        assert work.stand_in is not None
        work.tables = [work.stand_in.instead_of]
        work.question = replace(work.question, views=False)
        work.stand_in, work.source = None, ""
        work.needs = self._needs(work)

    def _planned_needs(self, work: Work) -> Mapping[str, Need] | None:
        """The same from a plan of DuckDB's."""
        sql = work.statement.sql
        try:
            return self._planner.needs(sql, work.tables, now_us=work.now_us)
        except ValueError as e:
            log.debug("query %s is not pruned: %s", work.question.id, e)
        except (duckdb.Error, MemoryError) as e:
            raise self._worded(e) from None
        try:
            self._planner.connection.execute(f"EXPLAIN {sql}").fetchall()
        except (duckdb.Error, MemoryError) as e:
            raise self._worded(e) from None
        return None

    def _start(self, work: Work, provider: SnapshotProvider) -> Answer:
        """Runs the query up to its first rows; segments that turn out to be bad are left out, and it starts anew."""
        for _attempt in range(ATTEMPTS_MAX):
            try:
                return self._newest(work) or self._all(work)
            except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as e:
                self._stage.forget()
                error = self._worded(e)
                if isinstance(e, REFUSALS) and work.stand_in is not None and not self.is_worn:
                    self._undo(work)
                    self._read_records(work)  # which fail as the SQL was written, or don't
                    self._pin(work, provider)
                    continue
                if isinstance(e, REFUSALS) and work.plain is not None:
                    self._planned_needs(work)  # words it for the SQL as it was written
                if isinstance(e, REFUSALS) or isinstance(error, QueryCancelled) or self.is_worn:
                    raise error from None
                self._undo(work)
                if not self._leave_out_bad(work, provider, deep=True):
                    raise error from None
        raise QueryRefused("segments are damaged faster than they can be left out; run: appliance verify")

    def _newest(self, work: Work) -> Answer | None:
        """The answer to a question for the newest rows, if a part of the records is enough for it."""
        table = work.tables[0] if work.plain is not None else None
        if work.plain is None or table is None or table.side is Side.LATEST or work.statement.explain:
            return None
        newest = newest_of(work.plain, frozenset(name.lower() for name, _ in table.columns))
        if newest is None:
            return None
        low, high, records = reach_of_pin(work.snapshot.streams[table.stream], need_of(work, table).span)
        for since_us in stretches(newest, low_us=low, high_us=high, records=records):
            work.since_us = since_us
            answer = self._all(work)
            if answer.first_rows >= newest.rows:
                return answer
            answer.close()
            self._undo(work)
        work.since_us = None
        return None

    def _all(self, work: Work) -> Answer:
        """The query with its first rows, over what its bounds leave."""
        with self.timed(work, "views"):
            if work.plain is None:
                freeze_now(self._runner, work.statement.sql, now_us=work.now_us)
            self._stage.show(work)
        with self.timed(work, "first rows"):
            return self._open(work)

    def _open(self, work: Work) -> Answer:
        planned = self._plans.opened(work, batch_rows=BATCH_ROWS)
        if planned is not None:
            return Answer(self, work, *planned)
        self._check()
        if work.plain is not None:
            freeze_now(self._runner, work.statement.sql, now_us=work.now_us)
        reader = read(self._runner, work.sql, batch_rows=BATCH_ROWS, is_select=not work.statement.explain)
        try:
            return Answer(self, work, reader, next_rows(reader))
        except BaseException:
            reader.close()  # an open result would block the connection
            raise

    def _undo(self, work: Work) -> None:
        """Takes away what was made for a query; what can't be taken away wears the engine out."""
        try:
            self._stage.clear(work)
        except duckdb.Error as e:
            log.debug("a query could not be tidied up after: %s", e)
            self.is_worn = True

    def next_batch(self, work: Work, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        """The next rows of a running query."""
        self._check()
        try:
            return next_rows(reader)
        except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as e:
            error = self._worded(e)
            if isinstance(error, QueryRefused) and not self.is_worn:
                for pin in work.snapshot.streams.values():
                    for segment in pin.files:
                        reason = defect(self._root, segment, deep=True)
                        if reason is not None:
                            raise StoreDamaged(reason, path=self._root / segment.path, hint="run: appliance verify") from None
            raise error from None

    def _leave_out_bad(self, work: Work, provider: SnapshotProvider, *, deep: bool) -> bool:
        """Whether any segment of the query had to be left out; each is told to the provider and in a note."""
        bad_views = bad_view_files(self._root, work.snapshot, deep=deep)
        if bad_views:
            for path in bad_views:
                provider.damaged_view(path)
            self._pin(work, provider)
            self._leave_out_bad(work, provider, deep=deep)
            return True
        streams: dict[str, StreamPin] = {}
        found = False
        for key, pin in work.snapshot.streams.items():
            bad = {s.path: reason for s in pin.files if (reason := defect(self._root, s, deep=deep)) is not None}
            for segment in pin.files:
                if segment.path in bad:
                    provider.damaged(segment, bad[segment.path])
                    work.notes.append(lost_note(segment, bad[segment.path]))
            streams[key] = replace(pin, files=tuple(s for s in pin.files if s.path not in bad)) if bad else pin
            found |= bool(bad)
        if found:
            work.snapshot = replace(work.snapshot, streams=streams)
        return found

    def _check(self) -> None:
        if self._stopped:
            raise QueryCancelled("the query was cancelled")

    def _worded(self, error: BaseException) -> ApplianceError:
        """A library's error as one of ours. Errors of a running result come through Arrow, with DuckDB's text."""
        text = first_lines(error)
        if self._stopped or isinstance(error, duckdb.InterruptException) or "INTERRUPT" in text[:40].upper():
            return QueryCancelled("the query was cancelled")
        if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory" in text or "bad_alloc" in text:
            self.is_worn = True
            limit = self._memory_max >> 20
            return QueryRefused(f"the query needs more memory than it may have ({limit} MiB, memory_max): ask for less at once")
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self.is_worn = True
            log.error("DuckDB failed: %s", error)
        return QueryRefused(text)

    @contextmanager
    def timed(self, work: Work, name: str) -> Iterator[None]:
        """Notes how long a step took."""
        start = self._clock.monotonic_ns()
        try:
            yield
        finally:
            work.parts.append(Part(name, (self._clock.monotonic_ns() - start) / 1e6))

    def explain(self, work: Work, rows: int) -> Explain:
        """What there is to say about a query so far."""
        return explained(work, rows)
