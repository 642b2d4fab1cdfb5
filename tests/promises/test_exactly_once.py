"""Exactly once in every answer: the merged view equals one flat list, for any order of what happens to the records."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.batch_options import RetentionOptions
from appliance.box import Box
from appliance.cold.compaction.job import Job
from appliance.cold.compaction.plan import FINAL, MERGED
from appliance.cold.compaction.process import run_job
from appliance.cold.compaction.units import units_of
from appliance.cold.files import Publisher
from appliance.cold.retention.plan import plan_retention
from appliance.config import load_config
from appliance.door.lake_commits import commit_compaction, commit_deletion, commit_purged, commit_retention
from appliance.hot.state import StreamState
from appliance.hot.stored_latest import latest_values
from appliance.manifest import Deletion
from appliance.records import TS_TYPE, Batch, Format, Submission
from appliance.roll.deleting import follow_deletions
from appliance.roll.expiring import hot_times
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.serving.engine import Engine
from appliance.serving.history import History
from appliance.serving.question import Question
from appliance.serving.source import StateSource, Store, pinned_reader
from appliance.serving.state_tables import TABLES
from tests.clock import NOON_US, FakeClock
from tests.tally.books import Held, check_books

DAY_US = 86_400_000_000
CONFIG = 'source = []\n[hot]\nring_max = "{ring}"\ncommit_every = "1ms"\ndurability = "crash"\n'
Key = tuple[str | None, int]
Fields = tuple[float | None, int | None]

records = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.integers(0, 5).map(lambda n: NOON_US - 2 * DAY_US + n * DAY_US // 2),
        st.one_of(st.none(), st.integers(0, 9).map(float)),
        st.one_of(st.none(), st.integers(0, 9)),
    ).filter(lambda r: r[2] is not None or r[3] is not None),
    min_size=1,
    max_size=6,
)


def batch_of(rows: list[tuple[str | None, int, float | None, int | None]]) -> Batch:
    """Records with a tag that may be absent and two fields, each of which may be."""
    data = {
        "ts": pa.array([r[1] for r in rows], pa.int64()).cast(TS_TYPE),
        "lane": pa.array([r[0] for r in rows], pa.string()).dictionary_encode(),
        "x": pa.array([r[2] for r in rows], pa.float64()),
        "n": pa.array([r[3] for r in rows], pa.int64()),
    }
    return Batch("s", ("lane",), pa.record_batch(data))


class Records(RuleBasedStateMachine):
    """A box through which records come in any order while it rolls, compacts, forgets its ring and restarts."""

    folder: Path
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="promise"))
        self.folder = self.root / "data"
        self.clock = FakeClock()
        self.flat: dict[Key, Fields] = {}
        self.is_latest_known = True
        """False between a deletion and the finding of the last values anew."""
        self.has_expired = False
        """From then on last values may outlive their records."""
        self.box: Box | None = None
        self.tallied: Held = {}

    @initialize(ring=st.sampled_from(["1KiB", "64MiB"]))
    def open(self, ring: str) -> None:
        self.config_file = self.root / "box.toml"
        self.config_file.write_text(CONFIG.format(ring=ring))
        (self.folder / "lake").mkdir(parents=True)
        self.start()
        self.records_come([("a", NOON_US, 0.0, 0)], 0)  # so that each column is there
        self.engine = Engine(root=self.folder, temp=self.root, temp_bytes_max=1 << 30, memory_max=256 << 20, threads=1, clock=self.clock)

    def start(self) -> None:
        self.box = Box(load_config(data_dir=self.folder, file=self.config_file), clock=self.clock)
        self.box.start()

    @property
    def live(self) -> Box:
        assert self.box is not None
        return self.box

    @property
    def stream(self) -> StreamState | None:
        return self.live.state.get("s")

    @rule(rows=records, seconds=st.integers(0, 3))
    def more_come(self, rows: list[tuple[str | None, int, float | None, int | None]], seconds: int) -> None:
        self.records_come(rows, seconds)

    def records_come(self, rows: list[tuple[str | None, int, float | None, int | None]], seconds: int) -> None:
        self.clock.pass_s(seconds)
        self.live.door.submit_blocking(Submission("http", Format.LP, (batch_of(rows),)))
        for lane, ts, x, n in rows:
            old = self.flat.get((lane, ts), (None, None))
            self.flat[lane, ts] = (old[0] if x is None else x, old[1] if n is None else n)

    @precondition(lambda self: self.stream is not None and self.stream.hot_rows > 0)
    @rule(data=st.data())
    def it_rolls(self, data: st.DataObject) -> None:
        state = self.stream
        assert state is not None
        until = data.draw(st.integers(state.mark + 1, state.last_seq))
        reader = self.live.reader()
        try:
            result = Roller(Publisher(self.folder, owner="roll"), node="n").build(
                RollStep("s", state.mark, until, Reason.ASKED),
                folder=state.folder,
                identity=state.identity_columns(),
                rows=lambda s: HotRows(s.mark + 1, oldest_rows(state, reader, until=s.until), state.schema),
            )
        finally:
            reader.close()
        self.live.writer.call(lambda c: c.commit_roll("s", result.segments, mark=result.mark_to)).result()

    @precondition(lambda self: self.stream is not None and len(self.stream.segments) > 0)
    @rule(data=st.data(), whole=st.booleans())
    def days_are_compacted(self, data: st.DataObject, whole: bool) -> None:
        """Some or all segments of one day, or of all days, whichever file they lie in."""
        state = self.stream
        assert state is not None
        units = units_of(state.segments)
        first = data.draw(st.integers(0, len(units) - 1))
        picked = units[first : data.draw(st.integers(first + 1, len(units)))]
        of_days = [s for unit in picked for s in unit.segments]
        inputs = of_days if whole else of_days[: data.draw(st.integers(1, len(of_days)))]
        days = range(min(s.day for s in inputs), max(s.day_last for s in inputs) + 1)
        dedup = len(inputs) == len(of_days) and any(d.seq <= state.mark for d in state.dirty.values() if d.day in days)
        job = Job(
            folder=state.folder,
            node="n",
            stream="s",
            schema_version=state.schema.version,
            columns=state.schema.columns,
            identity=state.identity_columns(),
            day=days.start,
            days=len(days),
            deletions=state.deletions,
            level=FINAL if whole else MERGED,
            dedup=dedup,
            inputs=tuple(inputs),
            rows_max=1000,
            memory_bytes=64 << 20,
        )
        done = run_job(job, root=self.folder, spill=self.root / "spill", emit=lambda _event: None)
        mark = state.mark
        if done.untouched:
            self.live.writer.call(partial(commit_purged, key="s", segments=inputs, purged=state.deletions[-1].id)).result()
            return
        clean = days if dedup else None
        commit = partial(
            commit_compaction, key="s", inputs=inputs, outputs=done.outputs, clean_days=clean, up_to_seq=mark, changes=done.changes
        )
        assert self.live.writer.call(commit).result()

    @precondition(lambda self: self.stream is not None)
    @rule(
        lane=st.sampled_from(["a", "b", None, "*"]),
        since=st.none() | st.integers(0, 5).map(lambda n: NOON_US - 2 * DAY_US + n * DAY_US // 2),
        until=st.none() | st.integers(0, 5).map(lambda n: NOON_US - 2 * DAY_US + n * DAY_US // 2),
    )
    def records_are_deleted(self, lane: str | None, since: int | None, until: int | None) -> None:
        matching = {} if lane == "*" else {"lane": lane}
        self.live.writer.call(lambda c: commit_deletion(c, Deletion(0, "s", since, until, matching))).result()
        for key in list(self.flat):
            inside = (since is None or key[1] >= since) and (until is None or key[1] < until)
            if inside and lane in ("*", key[0]):
                del self.flat[key]
        self.is_latest_known = False

    @precondition(lambda self: self.stream is not None and bool(self.stream.deletions))
    @rule()
    def deletions_are_followed(self) -> None:
        state = self.stream
        assert state is not None
        reader = self.live.reader()
        try:
            follow_deletions(self.live, self.history(), reader, cancelled=lambda: False)
        finally:
            reader.close()
        self.is_latest_known = True
        now = self.stream
        assert now is not None
        mark, segments = state.mark, state.segments
        assert all(d.up_to_seq > mark or any(d.concerns(s) for s in segments) for d in now.deletions)

    @precondition(lambda self: self.stream is not None and len(self.stream.segments) > 0)
    @rule(keep_days=st.integers(0, 3), disk=st.none() | st.integers(0, 20_000))
    def the_old_expires(self, keep_days: int, disk: int | None) -> None:
        """What goes was safe in the lake, is gone from the list too, and is written down."""
        state = self.stream
        assert state is not None
        reader = self.live.reader()
        try:
            hot = hot_times(reader, self.live.state)
        finally:
            reader.close()
        plan = plan_retention(
            [state],
            options=RetentionOptions(keep_s=keep_days * 86_400.0 or None, disk_bytes_max=disk),
            of_streams={},
            hot=hot,
            holds={},
            now_us=self.clock.now_us(),
        )
        for removal in plan.removals:
            days = range(removal.day, removal.day + removal.days)
            assert not any(day in days for day in state.dirty)
            assert self.live.writer.call(partial(commit_retention, key="s", segments=removal.segments, why=removal.why)).result()
            self.flat = {key: v for key, v in self.flat.items() if key[1] // DAY_US not in days}
            self.is_latest_known = False
            self.has_expired = True

    @rule()
    def it_restarts(self) -> None:
        self.live.close()
        self.start()

    @invariant()
    def the_merged_view_is_the_flat_list(self) -> None:
        if self.box is None or self.stream is None:
            return
        found = {(r["lane"], r["ts"]): (r["x"], r["n"]) for r in self.ask("SELECT lane, epoch_us(ts) AS ts, x, n FROM s")}
        assert found == self.flat
        assert self.ask("SELECT count(*) AS c FROM s") == [{"c": len(self.flat)}]

    @invariant()
    def the_last_values_are_those_of_the_flat_list(self) -> None:
        if self.box is None or self.stream is None:
            return
        newest: dict[str | None, int] = {}
        for lane, ts in self.flat:
            newest[lane] = max(ts, newest.get(lane, ts))
        rows = self.ask("SELECT lane, epoch_us(ts) AS ts, x, n FROM s_latest")
        found = {r["lane"]: (r["ts"], r["x"], r["n"]) for r in rows}
        wanted = {lane: (ts, *self.flat[lane, ts]) for lane, ts in newest.items()}
        if self.has_expired:
            return
        assert found == wanted if self.is_latest_known else all(one in self.values() for one in found.items())

    @invariant()
    def the_books_agree_with_what_lies_in_store_and_lake(self) -> None:
        """The table of tallies is the sum of the segments', each of which is that of its file; the batches' are those of the hot rows."""
        if self.box is None or self.stream is None:
            return
        check_books(self.folder, self.tallied)

    def values(self) -> list[tuple[str | None, tuple[int, float | None, int | None]]]:
        """Every record of the list."""
        return [(lane, (ts, *fields)) for (lane, ts), fields in self.flat.items()]

    def history(self) -> History:
        """The past as the housekeeper reads it."""
        box = self.live
        return History(
            root=self.folder,
            state=lambda: box.state,
            reader=lambda: pinned_reader(self.folder),
            damaged=lambda segment, reason: self.fail(f"{segment.path}: {reason}"),
        )

    def ask(self, sql: str) -> list[dict[str, Any]]:
        box = self.live
        source = StateSource(
            Store(
                state=lambda: box.state,
                reader=lambda: pinned_reader(self.folder),
                latest=lambda stream: box.last_values(stream.name),
                tables=TABLES,
                hot_bytes_max=1 << 30,
                damaged=lambda segment, reason: self.fail(f"{segment.path}: {reason}"),
            )
        )
        with self.engine.answer(Question(sql=sql, id="q"), source, now_us=self.clock.now_us()) as answer:
            rows: list[dict[str, Any]] = pa.Table.from_batches(list(answer.batches()), answer.schema).to_pylist()
        return rows

    def fail(self, what: str) -> None:
        raise AssertionError(what)

    def teardown(self) -> None:
        if self.box is not None:
            self.box.close()
            self.engine.close()
            self.offline_says_the_same()
        shutil.rmtree(self.root)

    def offline_says_the_same(self) -> None:
        """The folder alone, after the end, has the same last values as the box had."""
        from appliance.serving.folder import open_folder

        with open_folder(self.folder) as (reader, state):
            found = state.get("s")
            if found is not None and self.is_latest_known and not self.has_expired:
                assert latest_values(reader, found).num_rows == len({lane for lane, _ in self.flat})


TestRecords = pytest.mark.timeout(600)(Records.TestCase)
TestRecords.settings = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
