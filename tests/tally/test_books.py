"""The books of tallies, kept by what happens to records and not by what lies in the files."""

from __future__ import annotations

import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.box import Box
from appliance.cold.compaction import process, twins
from appliance.cold.compaction.job import Done, Job
from appliance.cold.compaction.process import run_job
from appliance.cold.files import Publisher
from appliance.cold.segments import read_tallies
from appliance.door.lake_commits import commit_compaction, commit_deletion, commit_retention, commit_tallies
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.manifest import Deletion
from appliance.records import TS_TYPE
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.tally import Tally, joined
from tests.clock import NOON_US, FakeClock
from tests.door.batches import at, batch, open_box, send
from tests.tally.books import Held, check_books

DAY_US = 86_400_000_000
TODAY = NOON_US // DAY_US
Books = dict[int, Tally | None]
Opens = Callable[[], Box]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "box"


@pytest.fixture
def opens(folder: Path) -> Iterator[Opens]:
    """Opens a box on ``folder``, after the one before was closed."""
    made: list[Box] = []

    def one() -> Box:
        for box in made:
            box.close()
        made[:] = [open_box(folder, clock=FakeClock())]
        (folder / "lake").mkdir(exist_ok=True)
        return made[0]

    yield one
    for box in made:
        box.close()


def stream_of(box: Box) -> StreamState:
    return box.state.streams["s"]


def roll(box: Box, until: int | None = None) -> None:
    """Everything, or up to a sequence."""
    state = stream_of(box)
    reader = box.reader()
    try:
        result = Roller(Publisher(box.folder, owner="roll"), node="n").build(
            RollStep("s", state.mark, until or state.last_seq, Reason.ASKED),
            folder=state.folder,
            identity=state.identity_columns(),
            rows=lambda s: HotRows(s.mark + 1, oldest_rows(state, reader, until=s.until), state.schema),
        )
    finally:
        reader.close()
    box.writer.call(lambda c: c.commit_roll("s", result.segments, mark=result.mark_to)).result(30)


def compact(box: Box) -> Done:
    """All segments into one, twins into one record, deleted ones left out."""
    state = stream_of(box)
    first, last = min(s.day for s in state.segments), max(s.day_last for s in state.segments)
    job = Job(
        folder=state.folder,
        node="n",
        stream="s",
        schema_version=state.schema.version,
        columns=state.schema.columns,
        identity=state.identity_columns(),
        day=first,
        days=last - first + 1,
        deletions=state.deletions,
        level=2,
        dedup=True,
        inputs=state.segments,
        rows_max=1000,
        memory_bytes=64 << 20,
    )
    done = run_job(job, root=box.folder, spill=box.folder / "spill", emit=lambda _event: None)
    commit = partial(
        commit_compaction,
        key="s",
        inputs=state.segments,
        outputs=done.outputs,
        clean_days=range(first, last + 1),
        up_to_seq=state.mark,
        changes=done.changes,
    )
    assert box.writer.call(commit).result(30)
    return done


def books_of(box: Box) -> Books:
    reader = box.reader()
    try:
        return reader.tallies(stream_of(box).id)
    finally:
        reader.close()


def rows_of(books: Books) -> dict[int, int | None]:
    return {day: None if t is None else t.rows for day, t in books.items()}


def changed(folder: Path, sql: str, *values: object) -> None:
    """What somebody else has done to the file meanwhile."""
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db, db:
        db.execute(sql, values)


def test_a_batch_that_the_mark_cuts_into_three_gives_all_of_it_piece_by_piece(opens: Opens, folder: Path) -> None:
    box = opens()
    send(box, batch("s", [at(0)], tags={"t": ["a"]}, x=[0.5]))
    send(box, batch("s", [at(n * 20_000) for n in range(9)], tags={"t": ["b"] * 9}, x=list(range(9))))
    assert rows_of(books_of(box)) == {}
    for until in (4, 7, 9):
        roll(box, until)
        assert sum(n or 0 for n in rows_of(books_of(box)).values()) == until
        box = opens()
        check_books(folder)
    roll(box)
    assert check_books(folder) == 3
    assert rows_of(books_of(box)) == {TODAY: 4, TODAY + 1: 4, TODAY + 2: 2}


def test_integers_that_become_floats_change_records_and_it_is_said(opens: Opens, folder: Path) -> None:
    """Beyond 2**53 they get another value, on either side of the mark."""
    box = opens()
    send(box, batch("s", [at(1), at(2)], tags={"t": ["a", "b"]}, n=[2**60 + 1, 7]))
    roll(box)
    send(box, batch("s", [at(3), at(4), at(5)], tags={"t": ["a", "b", "c"]}, n=[2**62 + 3, 2**63 - 1, -5]))
    send(box, batch("s", [at(6)], tags={"t": ["a"]}, n=[1.5]))
    before = books_of(box)
    roll(box, 4)  # within a batch of integers
    check_books(folder)
    roll(box)
    check_books(folder)
    done = compact(box)
    assert {day: t.rows for day, t in done.changes.items()} == {TODAY: 0}
    check_books(folder)
    assert rows_of(books_of(box)) == {TODAY: 6}
    assert before != books_of(box)


def test_twins_made_one_deletion_and_retention_take_off_what_they_say(opens: Opens, folder: Path) -> None:
    box = opens()
    for turn in range(3):
        send(box, batch("s", [at(1), at(DAY_US / 1e6)], tags={"t": ["a", None]}, x=[turn, turn], **{f"y{turn}": ["u", "v"]}))
        roll(box)
    assert rows_of(books_of(box)) == {TODAY: 3, TODAY + 1: 3}
    check_books(folder)
    done = compact(box)
    assert {day: t.rows for day, t in done.changes.items()} == {TODAY: -2, TODAY + 1: -2}
    assert rows_of(books_of(box)) == {TODAY: 1, TODAY + 1: 1}
    check_books(folder)
    send(box, batch("s", [at(DAY_US / 1e6 + n) for n in range(4)], tags={"t": ["a", "b", "a", "b"]}, x=[1, 2, 3, 4]))
    roll(box)
    box.writer.call(lambda c: commit_deletion(c, Deletion(0, "s", None, None, {"t": "a"}))).result(30)
    assert rows_of(books_of(box)) == {TODAY: 1, TODAY + 1: 5}  # hidden, and there still
    compact(box)
    assert rows_of(books_of(box)) == {TODAY + 1: 3}
    check_books(folder)
    gone = stream_of(box).segments
    assert box.writer.call(lambda c: commit_retention(c, "s", gone, why="old")).result(30)
    assert books_of(box) == {}


NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9), st.sampled_from([0.5, -0.0, 1e300]))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"), st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(-2, 2), NUMBERS), min_size=1, max_size=5)
        ),
        st.tuples(st.just("roll"), st.floats(0, 1)),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("delete"), st.sampled_from(["a", "b", None])),
        st.tuples(st.just("restart"), st.none()),
    ),
    min_size=4,
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_the_books_agree_with_store_and_lake(steps: list[tuple[str, Any]]) -> None:
    """Integers and floats by turns, late twins, cuts anywhere."""
    with tempfile.TemporaryDirectory(prefix="books") as place:
        folder = Path(place) / "box"
        box, held = open_box(folder, clock=FakeClock()), Held()
        try:
            send(box, batch("s", [at(0)], tags={"t": ["a"]}, n=[1]))
            for step, what in steps:
                box = taken(box, step, what)
                check_books(folder, held)
        finally:
            box.close()


def taken(box: Box, step: str, what: Any) -> Box:
    """The box after a step; one that has nothing to do does nothing."""
    state = stream_of(box)
    if step == "send":
        kind = pa.float64() if any(isinstance(n, float) for _, _, n in what) else pa.int64()
        numbers = pa.array([float(n) if kind == pa.float64() else n for _, _, n in what], kind)
        times = [at(half * DAY_US / 2e6) for _, half, _ in what]
        send(box, batch("s", times, tags={"t": [t for t, _, _ in what]}, n=numbers, note=[f"{n}" for _, _, n in what]))
    elif step == "roll" and state.hot_rows:
        roll(box, state.mark + 1 + int(what * (state.hot_rows - 1)))
    elif step == "compact" and state.segments:
        compact(box)
    elif step == "delete":
        box.writer.call(lambda c: commit_deletion(c, Deletion(0, "s", None, None, {"t": what}))).result(30)
    elif step == "restart":
        box.close()
        box = open_box(box.folder, clock=FakeClock())
    return box


def test_the_books_do_not_learn_from_the_files_what_these_should_hold(opens: Opens) -> None:
    """A record that is changed, or lost, on its way from the store into the lake is missed."""
    box = opens()
    send(box, batch("s", [at(0), at(1)], x=[1, 2]))
    state = stream_of(box)
    data = pa.table({"ts": pa.array([at(0), at(1)], TS_TYPE), "x": [1, 3]}, schema=state.schema.arrow)
    result = Roller(Publisher(box.folder, owner="roll"), node="n").build(
        RollStep("s", 0, 2, Reason.ASKED), folder="s", identity=state.identity_columns(), rows=lambda _s: HotRows(1, data, state.schema)
    )
    box.writer.call(lambda c: c.commit_roll("s", result.segments, mark=2)).result(30)
    (segment,) = stream_of(box).segments
    assert rows_of(books_of(box)) == {TODAY: 2}
    assert books_of(box) != segment.tallies == read_tallies(box.folder / segment.path)


def test_what_is_set_aside_stays_in_the_books(opens: Opens) -> None:
    box = opens()
    send(box, batch("s", [at(1), at(DAY_US / 1e6)], x=[1, 2]))
    roll(box)
    before = books_of(box)
    lost = stream_of(box).segments[0]
    box.set_aside("s", lost, state="missing", reason="is missing")
    assert books_of(box) == before
    box = opens()
    state = stream_of(box)
    assert before == joined(s.tallies or {} for s in (*state.segments, *state.lost))


def test_a_compaction_that_loses_or_changes_a_record_is_refused(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    box = opens()
    for n in range(2):
        send(box, batch("s", [at(n), at(n + 10)], tags={"t": ["a", "b"]}, x=[n, 0.5]))
        roll(box)
    real = twins.fold_twins
    for mend in (lambda t: t.slice(1), lambda t: t.set_column(2, "x", t.column("x").take([0] * t.num_rows))):
        monkeypatch.setattr(process, "fold_twins", lambda tables, *more, mend=mend: (mend(t) for t in real(tables, *more)))
        with pytest.raises(AssertionError, match="differ from the inputs"):
            compact(box)
    monkeypatch.undo()
    compact(box)


def test_a_manifest_that_is_wrong_about_a_tally_stops_no_compaction(opens: Opens, folder: Path) -> None:
    box = opens()
    send(box, batch("s", [at(0), at(1)], tags={"t": ["a", "b"]}, x=[1, 2]))
    roll(box)
    box.close()
    changed(folder, """UPDATE segment SET tallies = '{"1":[1,1]}'""")
    box = opens()
    compact(box)
    check_books(folder)


def test_what_is_from_before_is_not_known_until_each_file_of_its_day_was_read(opens: Opens, folder: Path) -> None:
    box = opens()
    send(box, batch("s", [at(0), at(DAY_US / 1e6)], x=[1, 2]))
    roll(box)
    wanted = books_of(box)
    send(box, batch("s", [at(1), at(2)], x=[3, 4]))
    box.close()
    changed(folder, "UPDATE segment SET tallies = NULL")
    changed(folder, "UPDATE batch SET tally = NULL")
    changed(folder, "UPDATE tally SET rows = NULL, sum = NULL")
    box = opens()
    assert books_of(box) == {TODAY: None, TODAY + 1: None}
    reader = box.reader()
    assert reader.hot_tallies(stream_of(box)) is None
    assert [b.tallies for b in reader.batch_tallies(1)] == [None]
    reader.close()
    send(box, batch("s", [at(3)], x=[5]))
    roll(box, 4)
    roll(box)
    assert rows_of(books_of(box)) == {TODAY: None, TODAY + 1: None}
    segments = stream_of(box).segments
    some = {s.id: read_tallies(folder / s.path) for s in segments[:1]}
    box.writer.call(lambda c: commit_tallies(c, "s", some)).result(30)
    assert rows_of(books_of(box)) == {TODAY: 4, TODAY + 1: None}
    every = {s.id: read_tallies(folder / s.path) for s in segments}
    box.writer.call(lambda c: commit_tallies(c, "s", every)).result(30)
    assert books_of(box)[TODAY + 1] == wanted[TODAY + 1]
    held = stream_of(box).segments
    check_books(folder)
    assert stream_of(opens()).segments == held


def test_old_days_become_known_as_they_are_compacted_or_expire(opens: Opens, folder: Path) -> None:
    box = opens()
    send(box, batch("s", [at(0), at(DAY_US / 1e6)], x=[1, 2]))
    roll(box)
    box.close()
    changed(folder, "UPDATE segment SET tallies = NULL")
    changed(folder, "UPDATE tally SET rows = NULL, sum = NULL")
    box = opens()
    first, _ = stream_of(box).segments
    assert box.writer.call(lambda c: commit_retention(c, "s", [first], why="old")).result(30)
    assert books_of(box) == {TODAY + 1: None}
    compact(box)
    assert check_books(folder) == 1


def test_a_batch_that_is_damaged_and_cut_makes_its_days_unknown_and_stops_no_roll(opens: Opens, folder: Path) -> None:
    """The ring has its records still; what was in the cut piece nobody can tell."""
    box = opens()
    send(box, batch("s", [at(n) for n in range(4)], x=[1, 2, 3, 4]))
    changed(folder, "UPDATE batch SET body = zeroblob(length(body))")
    roll(box, 2)
    assert books_of(box) == {TODAY: None}


@pytest.mark.parametrize("number", [3])
def test_a_box_of_an_earlier_version_has_no_tallies_and_gets_them(tmp_path: Path, number: int) -> None:
    place = tmp_path / "box"
    with tarfile.open(Path(__file__).parents[1] / "golden" / f"box-{number}.tar.gz") as tar:
        tar.extractall(place, filter="data")
    (stream, batches, hot), rows = before(place), sum(1 for _ in (place / "lake").rglob("*.parquet"))
    assert rows
    assert (batches, hot) == ([], None)
    assert all(s.tallies is None for s in stream.segments)
    box = open_box(place)
    try:
        key = stream.name
        reader = box.reader()
        books, batches = reader.tallies(stream.id), reader.batch_tallies(stream.id)
        reader.close()
        assert set(books) == {s.day for s in stream.segments}
        assert set(books.values()) == {None}
        assert batches
        assert all(b.tallies is None for b in batches)
        found = {s.id: read_tallies(place / s.path) for s in stream.segments}
        box.writer.call(lambda c: commit_tallies(c, key, found)).result(30)
        reader = box.reader()
        assert reader.tallies(stream.id) == joined(found.values())
        reader.close()
    finally:
        box.close()


def before(place: Path) -> tuple[StreamState, list[Any], Any]:
    """What a reader finds in a folder that nobody has brought to this form."""
    reader = HotReader(place)
    try:
        (stream,) = reader.load_state().streams.values()
        assert reader.tallies(stream.id) == {}
        return stream, reader.batch_tallies(stream.id), reader.hot_tallies(stream)
    finally:
        reader.close()
