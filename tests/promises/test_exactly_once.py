"""Exactly once in every answer: the merged view equals one flat list, for any order of what happens to the records."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.box import Box
from appliance.cold.compaction.job import Job
from appliance.cold.compaction.plan import FINAL, MERGED
from appliance.cold.compaction.process import run_job
from appliance.cold.files import Publisher
from appliance.config import load_config
from appliance.hot.state import StreamState
from appliance.records import TS_TYPE, Batch, Format, Submission
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.serving.engine import Engine
from appliance.serving.folder import latest_values
from appliance.serving.question import Question
from appliance.serving.source import StateSource, Store, pinned_reader
from appliance.serving.state_tables import TABLES
from tests.clock import NOON_US, FakeClock

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
        self.box: Box | None = None

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
    def a_day_is_compacted(self, data: st.DataObject, whole: bool) -> None:
        state = self.stream
        assert state is not None
        day = data.draw(st.sampled_from(sorted({s.day for s in state.segments})))
        of_day = [s for s in state.segments if s.day == day]
        inputs = of_day if whole else of_day[: data.draw(st.integers(1, len(of_day)))]
        dirty = state.dirty.get(day)
        dedup = len(inputs) == len(of_day) and dirty is not None and dirty.seq <= state.mark
        job = Job(
            folder=state.folder,
            node="n",
            stream="s",
            schema_version=state.schema.version,
            columns=state.schema.columns,
            identity=state.identity_columns(),
            day=day,
            level=FINAL if whole else MERGED,
            dedup=dedup,
            inputs=tuple(inputs),
            rows_max=1000,
            memory_bytes=64 << 20,
        )
        done = run_job(job, root=self.folder, spill=self.root / "spill", emit=lambda _event: None)
        mark = state.mark
        committed = self.live.writer.call(
            lambda c: c.commit_compaction("s", inputs, done.outputs, clean_day=day if dedup else None, up_to_seq=mark)
        ).result()
        assert committed

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
        assert {r["lane"]: (r["ts"], r["x"], r["n"]) for r in rows} == {lane: (ts, *self.flat[lane, ts]) for lane, ts in newest.items()}

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
            if found is not None:
                assert latest_values(reader, found).num_rows == len({lane for lane, _ in self.flat})


TestRecords = pytest.mark.timeout(600)(Records.TestCase)
TestRecords.settings = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
