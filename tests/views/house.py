"""A box with views, in one process: records come, rolls and refreshes are called by hand, and every answer is compared with the records.

The runner asks an engine of its own, as a query process does; a test may let records come between its snapshot and the commit.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from appliance.batching.views import ViewDesk
from appliance.batching.work import Context, Outcome, Run
from appliance.box import Box
from appliance.clock import US_PER_DAY
from appliance.cold.compaction.job import Job
from appliance.cold.compaction.plan import FINAL
from appliance.cold.compaction.process import run_job
from appliance.cold.files import Publisher, no_step
from appliance.config import ViewOptions, load_config
from appliance.derived import View
from appliance.door.lake_commits import commit_compaction, commit_deletion, commit_retention
from appliance.manifest import Deletion
from appliance.records import EVERYTHING, TS_TYPE, Batch, Format, Submission, TimeRange, fold
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.serving.engine import Engine
from appliance.serving.explain import Explain
from appliance.serving.folder import folder_source
from appliance.serving.handed import Handed
from appliance.serving.question import Question
from appliance.serving.snapshot import SnapshotProvider
from appliance.serving.source import StateSource, Store, pinned_reader
from appliance.serving.stand_in import Worth
from appliance.serving.state_tables import TABLES
from tests.clock import NOON_US, FakeClock

HOUR_US = 3_600_000_000
CONFIG = 'source = []\n[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\ndurability = "crash"\nring_max = "{ring}"\n'
HOURLY = (
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, device, count(*) AS n, sum(value) AS total, min(value) AS low, max(value) AS high"
    " FROM readings GROUP BY ALL"
)
DAILY = (
    "SELECT time_bucket(INTERVAL '1 day', bucket) AS bucket, sum(n) AS n, sum(total) AS total, max(high) AS high FROM hourly GROUP BY ALL"
)
Row = tuple[int, str | None, int]
"""Hours after noon times a million, device, value."""


def view(sql: str = HOURLY, *, bucket_s: float = 3600, **more: Any) -> ViewOptions:
    """Options of a view that settles at once."""
    return ViewOptions(bucket_s=bucket_s, sql=sql, settle_s=0.0, **more)


class House:
    """See the module. ``views`` are the config's; ``step`` is told each named step."""

    def __init__(
        self, root: Path, views: Mapping[str, ViewOptions] | None = None, *, ring: str = "64MiB", step: Callable[[str], None] = no_step
    ) -> None:
        self.root = root
        self.folder = root / "data"
        self.clock = FakeClock()
        self.step = step
        self.views = dict({"hourly": view()} if views is None else views)
        self.between: Callable[[], None] = lambda: None
        """Called between a refresh's snapshot and what follows."""
        (self.folder / "lake").mkdir(parents=True)
        (root / "box.toml").write_text(CONFIG.format(ring=ring))
        self.damaged: list[str] = []
        self._numbers = itertools.count()
        self.engine = self.make_engine()
        self.start()

    def make_engine(self) -> Engine:
        """What answers SQL: a view stands in wherever it can."""
        return Engine(
            root=self.folder,
            temp=self.root,
            temp_bytes_max=1 << 30,
            memory_max=512 << 20,
            threads=1,
            clock=self.clock,
            worth=Worth(0, 1e9),
        )

    def start(self) -> None:
        """Opens the box and what stands around it, as a start does."""
        self.box = Box(load_config(data_dir=self.folder, file=self.root / "box.toml"), clock=self.clock, step=self.step)
        self.box.start()
        box = self.box
        self.desk = ViewDesk(
            self.views,
            folder=self.folder,
            state=lambda: box.state,
            call=box.writer.call,
            clock=self.clock,
            leased=frozenset,
            step=self.step,
        )
        self.desk.clean()
        asyncio.run(self._configure())

    async def _configure(self) -> None:
        await self.desk.configure(self.views)
        await self.desk.define_all(self)

    def configure(self, views: Mapping[str, ViewOptions]) -> None:
        """As a reload does."""
        self.views = dict(views)
        asyncio.run(self._configure())

    def restart(self) -> None:
        self.box.close()
        self.start()

    def die(self) -> None:
        """As ``kill -9``: what is not on disk is gone. The files are copied, because this process goes on."""
        dead = self.folder.with_name("dead")
        self.folder.rename(dead)
        shutil.copytree(dead, self.folder, ignore=shutil.ignore_patterns("appliance.lock"))
        writer = self.box.writer
        if writer.failed is None:
            writer.close()
        shutil.rmtree(dead)
        self.start()

    def close(self) -> None:
        self.box.close()
        self.engine.close()

    def come(self, rows: Sequence[tuple[float, str | None, int | None]]) -> None:
        """Records: hours after noon, device, value."""
        data = {
            "ts": pa.array([NOON_US + int(r[0] * HOUR_US) for r in rows], pa.int64()).cast(TS_TYPE),
            "device": pa.array([r[1] for r in rows], pa.string()).dictionary_encode(),
            "value": pa.array([r[2] for r in rows], pa.int64()),
        }
        self.box.door.submit_blocking(Submission("http", Format.LP, (Batch("readings", ("device",), pa.record_batch(data)),)))

    def pass_hours(self, hours: float) -> None:
        self.clock.pass_s(hours * 3600)

    def roll(self, until: int | None = None) -> None:
        state = self.box.state.streams["readings"]
        if state.hot_rows == 0:
            return
        reader = self.box.reader()
        try:
            result = Roller(Publisher(self.folder, owner="roll"), node="n").build(
                RollStep("readings", state.mark, until or state.last_seq, Reason.ASKED),
                folder=state.folder,
                identity=state.identity_columns(),
                rows=lambda s: HotRows(s.mark + 1, oldest_rows(state, reader, until=s.until), state.schema),
            )
        finally:
            reader.close()
        self.box.commit_roll("readings", result.segments, mark=result.mark_to)

    def compact(self) -> None:
        """All segments become one a day, twins told apart, and what was deleted is gone from them."""
        state = self.box.state.streams["readings"]
        for day in sorted({s.day for s in state.segments if s.days == 1}):
            inputs = tuple(s for s in state.segments if s.day == day and s.days == 1)
            dirty = state.dirty.get(day)
            dedup = dirty is not None and dirty.seq <= state.mark
            job = Job(
                folder=state.folder,
                node="n",
                stream="readings",
                schema_version=state.schema.version,
                columns=state.schema.columns,
                identity=state.identity_columns(),
                day=day,
                days=1,
                deletions=state.deletions,
                level=FINAL,
                dedup=dedup,
                inputs=inputs,
                rows_max=1000,
                memory_bytes=64 << 20,
            )
            done = run_job(job, root=self.folder, spill=self.root / "spill", emit=lambda _event: None)
            if not done.untouched:
                days = range(day, day + 1) if dedup else None
                commit = partial(commit_compaction, key="readings", inputs=inputs, outputs=done.outputs, clean_days=days)
                assert self.box.writer.call(partial(commit, up_to_seq=state.mark, changes=done.changes)).result()

    def delete(self, since_us: int | None, until_us: int | None, device: str | None = "*") -> None:
        """As a person asks for it."""
        matching = {} if device == "*" else {"device": device}
        self.box.writer.call(lambda c: commit_deletion(c, Deletion(0, "readings", since_us, until_us, matching))).result()

    def expire(self, until_us: int) -> bool:
        """Records of whole days before a time go, as retention does it; False when it must not."""
        gone = [s for s in self.box.state.streams["readings"].segments if (s.day_last + 1) * US_PER_DAY <= until_us]
        return bool(gone) and self.box.writer.call(partial(commit_retention, key="readings", segments=gone, why="age")).result()

    def refresh(self, *names: str) -> list[Outcome]:
        """Runs the refresh of these views (none: of all)."""

        async def run() -> list[Outcome]:
            works = [w for w in self.desk.works() if not names or w.name in names]
            return [await w.run(self.context(w.name)) for w in works]

        return asyncio.run(run())

    def context(self, name: str) -> Context:
        return Context(Run(0, name, 0, "asked"), self, lambda _part, _what: None, lambda: False)

    def state(self, name: str = "hourly") -> View:
        return self.box.state.views[name]

    def source(self) -> StateSource:
        box = self.box
        return StateSource(
            Store(
                state=lambda: box.state,
                reader=lambda: pinned_reader(self.folder),
                latest=lambda stream: box.last_values(stream.name),
                tables=TABLES,
                hot_bytes_max=1 << 30,
                damaged=lambda segment, _reason: self.damaged.append(segment.path),
                damaged_view=lambda path: box.writer.call(lambda c: c.views.lose(path)).result(),
            )
        )

    def ask(self, sql: str, **more: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        rows: list[dict[str, Any]] = self.answered(sql, self.source(), **more)[0].to_pylist()
        return rows

    def explain(self, sql: str, **more: Any) -> Explain:
        return self.answered(sql, self.source(), **more)[1]

    def offline(self, sql: str) -> list[dict[str, Any]]:
        """The same from the folder, as another process reads it."""
        with folder_source(self.folder, on_damaged=lambda s, _r: self.damaged.append(s.path)) as source:
            rows: list[dict[str, Any]] = self.answered(sql, source)[0].to_pylist()
            return rows

    def answered(self, sql: str, source: SnapshotProvider, *, views: bool = False, **more: Any) -> tuple[pa.Table, Explain]:
        """``views`` says whether views may stand in for records."""
        with self.engine.answer(Question(sql=sql, id="q", views=views, **more), source, now_us=self.clock.now_us()) as answer:
            table = pa.Table.from_batches(list(answer.batches()), answer.schema)
            return table, answer.explain()

    def check_stand_in(self, sql: str, **more: Any) -> Explain:
        """Asks with and without views, which has to be the same, and tells how it was answered with them."""
        with_views, explain = self.answered(sql, self.source(), views=True, **more)
        without, plain = self.answered(sql, self.source(), **more)
        assert with_views.schema == without.schema, sql
        assert rows_of(with_views.to_pylist()) == rows_of(without.to_pylist()), sql
        assert with_views.num_rows == without.num_rows
        assert not plain.stood_in
        return explain

    def check(self, name: str = "hourly", *, sql: str | None = None) -> None:
        """The view is what its SQL gives over all records now, here and from the folder."""
        found = rows_of(self.ask(f"SELECT * FROM {name}"))
        assert found == rows_of(self.ask(sql or self.computed(name))), name

    def computed(self, name: str) -> str:
        """The SQL of a view down to the records."""
        version = self.state(name).active
        assert version is not None
        text = ""
        for definition in reversed((version.definition, *version.chain)):
            text = f'WITH "{definition.source}" AS ({text}) {definition.sql}' if text else definition.sql
        return f"SELECT * FROM ({text})"

    # the runner

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:  # noqa: ARG002 - as the protocol
        return self.answered(sql, self.source())[0]

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:  # noqa: ARG002 - as the protocol
        source = self.source()
        table, explain = self.answered(sql, source)
        path = self.folder / "tmp" / f"{next(self._numbers)}.{format}"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        self.between()
        read = {fold(s.stream): source.last_seq(fold(s.stream)) for s in explain.streams}
        return Handed(path, table.num_rows, path.stat().st_size, table.schema, read, source.version, explain.notes)

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:
        raise NotImplementedError


def rows_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows in an order of their own."""
    return sorted(repr(list(row.items())) for row in rows)
