"""A repeat is never missed: whatever comes in whatever order, over rolls, restarts, crashes and wrong clocks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.box import Box
from appliance.clock import US_PER_DAY, US_PER_S
from appliance.door.twins import FUTURE_US, FutureSpan, find_twins
from appliance.hot.series import SeriesTable
from appliance.manifest import Dirty
from appliance.records import Batch
from tests.clock import NOON_US, FakeClock
from tests.door.batches import batch, open_box, submission

CONFIG = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1us"\ndurability = "crash"\n'
BY_DEVICE = CONFIG + '[stream.s]\nidentity = ["device", "ts"]\n'
HOUR_US = 3600 * US_PER_S


@dataclass(frozen=True)
class Arrive:
    """One group: submissions of rows, each (device, room, event time)."""

    submissions: tuple[tuple[tuple[str, str, int], ...], ...]


@dataclass(frozen=True)
class ClockTo:
    now_us: int


@dataclass(frozen=True)
class Roll:
    share: float
    """How much of what is hot goes."""


@dataclass(frozen=True)
class Restart:
    clean: bool


Step = Arrive | ClockTo | Roll | Restart

FAR_US = NOON_US + 74 * 365 * US_PER_DAY
TIMES = st.sampled_from([NOON_US + d for d in (-US_PER_DAY, -1, 0, US_PER_S, HOUR_US // 2, HOUR_US + 1, 5 * US_PER_DAY)] + [FAR_US])
ROWS = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), TIMES)
STEPS = st.one_of(
    st.builds(Arrive, st.lists(st.lists(ROWS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=3).map(tuple)),
    st.builds(Roll, st.sampled_from([0.3, 1.0])),
    st.builds(Restart, st.booleans()),
    st.builds(ClockTo, st.sampled_from([0, NOON_US - US_PER_DAY, NOON_US, NOON_US + 3 * HOUR_US, NOON_US + 3650 * US_PER_DAY])),
)


@dataclass
class World:
    """A box and the flat list of what it has taken."""

    folder: Path
    text: str
    by: slice
    clock: FakeClock = field(default_factory=FakeClock)
    taken: list[tuple[str, str, int]] = field(default_factory=list)
    opened: int = 0
    box: Box | None = None

    def open(self) -> None:
        self.box = open_box(self.folder / str(self.opened), self.text, clock=self.clock)

    def follow(self, steps: list[Step]) -> None:
        """Checks after each step, and at the end sends everything again to a box that has just been opened."""
        for step in steps:
            self.do(step)
            self.check()
        self.do(Roll(1.0))
        self.do(Restart(clean=False))
        if self.taken:
            self.do(Arrive((tuple(dict.fromkeys(self.taken)),)))
        self.check()

    def do(self, step: Step) -> None:
        assert self.box is not None
        if isinstance(step, Arrive):
            found = [submission(_batch(rows)) for rows in step.submissions]
            box = self.box
            for future in box.writer.call(lambda _: [box.door.put(s) for s in found]).result(30):
                assert future.result(30).records
            self.taken += [row for rows in step.submissions for row in rows]
        elif isinstance(step, ClockTo):
            self.clock.now = step.now_us
        elif isinstance(step, Roll):
            state = self.box.state.get("s")
            if state is not None and state.hot_rows:
                mark = state.mark + max(1, int(state.hot_rows * step.share))
                self.box.writer.call(lambda c: c.commit_roll("s", (), mark=mark)).result(30)
        else:
            self.restart(clean=step.clean)

    def restart(self, *, clean: bool) -> None:
        """Not clean: on a copy of the files as a kill at this instant would leave them."""
        assert self.box is not None
        if not clean:
            shutil.copytree(self.folder / str(self.opened), self.folder / str(self.opened + 1))
            self.opened += 1
        self.box.close()
        self.open()

    def check(self) -> None:
        assert self.box is not None
        state = self.box.state.get("s")
        dirty = {} if state is None else state.dirty
        seen: set[tuple[object, ...]] = set()
        for seq, row in enumerate(self.taken, 1):
            identity = (*list(row)[self.by], row[2])
            if identity in seen:
                span = dirty.get(row[2] // US_PER_DAY)
                assert span is not None, f"record {seq} of {row} was there before, and its day is not dirty"
                assert span.ts_min <= row[2] <= span.ts_max, (seq, row, span)
                assert span.seq >= seq, (seq, row, span)
            seen.add(identity)


def _batch(rows: Sequence[tuple[str, str, int]]) -> Batch:
    return batch("s", [r[2] for r in rows], tags={"device": [r[0] for r in rows], "room": [r[1] for r in rows]}, x=[1] * len(rows))


@contextmanager
def world(text: str, by: slice) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        one = World(Path(folder), text, by)
        one.open()
        try:
            yield one
        finally:
            assert one.box is not None
            one.box.close()


@given(steps=st.lists(STEPS, min_size=2, max_size=10))
@settings(max_examples=30, deadline=None)
def test_no_repeat_is_missed_by_all_tags(steps: list[Step]) -> None:
    with world(CONFIG, slice(0, 2)) as one:
        one.follow(steps)


@given(steps=st.lists(STEPS, min_size=2, max_size=10))
@settings(max_examples=30, deadline=None)
def test_no_repeat_is_missed_by_a_configured_identity(steps: list[Step]) -> None:
    with world(BY_DEVICE, slice(0, 1)) as one:
        one.follow(steps)


@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    restarts=st.sets(st.integers(0, 5)),
    rolls=st.sets(st.integers(0, 5)),
)
@settings(max_examples=20, deadline=None)
def test_what_comes_in_order_makes_nothing_dirty(lengths: list[int], restarts: set[int], rolls: set[int]) -> None:
    with world(CONFIG, slice(0, 2)) as one:
        second = 0
        for i, length in enumerate(lengths):
            rows = [(device, "x", NOON_US + (second + k) * US_PER_S) for k in range(length) for device in "ab"]
            one.do(Arrive((tuple(rows),)))
            second += length
            if i in rolls:
                one.do(Roll(0.5))
            if i in restarts:
                one.do(Restart(clean=i % 2 == 0))
            assert one.box is not None
            assert one.box.state.streams["s"].dirty == {}


def test_one_record_from_the_year_2100_makes_nothing_else_dirty() -> None:
    with world(CONFIG, slice(0, 2)) as one:
        one.do(Arrive(((("a", "x", NOON_US), ("a", "x", FAR_US)),)))
        steps: list[Step] = [Roll(0.1), Restart(clean=True), Roll(1.0), Restart(clean=False)]
        for step in steps:
            one.do(step)
            one.clock.pass_s(1)
            one.do(Arrive(((("a", "x", one.clock.now),),)))
        assert one.box is not None
        assert set(one.box.state.streams["s"].dirty) == {FAR_US // US_PER_DAY}


def test_a_record_within_the_hour_ahead_is_remembered_over_a_restart_beside_one_from_the_future() -> None:
    soon = NOON_US + HOUR_US // 2
    with world(CONFIG, slice(0, 2)) as one:
        one.do(Arrive(((("a", "x", soon), ("b", "x", NOON_US + 5 * US_PER_DAY)),)))
        one.do(Roll(1.0))
        one.do(Restart(clean=True))
        one.do(Arrive(((("a", "x", soon),),)))
        one.check()


def test_a_span_names_each_day_and_its_highest_sequence() -> None:
    day = NOON_US // US_PER_DAY
    table = SeriesTable.empty()
    table.advance(np.array([1, 2], np.uint64), np.array([NOON_US, NOON_US], np.int64))
    ts = np.array([NOON_US, NOON_US - US_PER_DAY, NOON_US + 1, NOON_US - 5, NOON_US - US_PER_DAY + 7], np.int64)
    found = find_twins(np.array([1, 1, 1, 2, 2], np.uint64), ts, first_seq=10, table=table, future=None, now_us=NOON_US)
    assert found.dirty == (
        Dirty(day - 1, NOON_US - US_PER_DAY, NOON_US - US_PER_DAY + 7, 14),
        Dirty(day, NOON_US - 5, NOON_US, 13),
    )
    assert found.future is None
    assert found.reach.tolist() == ts.tolist()


def test_times_before_1970_lie_in_their_own_days() -> None:
    ts = np.array([-1, -1, -US_PER_DAY, -US_PER_DAY], np.int64)
    found = find_twins(np.array([1] * 4, np.uint64), ts, first_seq=1, table=SeriesTable.empty(), future=None, now_us=NOON_US)
    assert [d.day for d in found.dirty] == [-1]
    assert (found.dirty[0].ts_min, found.dirty[0].ts_max) == (-US_PER_DAY, -1)


def test_the_span_of_the_future_only_grows() -> None:
    edge = NOON_US + FUTURE_US
    ts = np.array([edge, edge + 1, edge + 9], np.int64)
    found = find_twins(np.array([1, 1, 1], np.uint64), ts, first_seq=1, table=SeriesTable.empty(), future=None, now_us=NOON_US)
    assert found.future == FutureSpan(edge + 1, edge + 9)
    assert (found.reach == ts).tolist() == [True, False, False]
    again = find_twins(np.array([2], np.uint64), ts[1:2] + 3, first_seq=4, table=SeriesTable.empty(), future=found.future, now_us=edge)
    assert again.future == found.future
    assert len(again.dirty) == 1
