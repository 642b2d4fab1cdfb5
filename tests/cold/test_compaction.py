"""One job: the same records in fewer files, in order, in the newest schema, each identity once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cold.compaction import process
from appliance.cold.compaction.job import Done, Event, Job, Writing
from appliance.cold.compaction.process import regroup, run_job
from appliance.cold.layout import sort_columns
from appliance.cold.segments import check_segment, read_facts
from appliance.errors import RetryLater, StoreDamaged
from appliance.manifest import Segment
from appliance.records import Column, Kind, Schema
from appliance.tally import joined
from tests.cold.making import ALL_TAGS, BUSY, MIDNIGHT, Lake, Row, by_seq, files_below, fold_by_hand, read_rows
from tests.cold.test_layout import key
from tests.examples import examples

MIB = 1 << 20


def job_of(
    lake: Lake, *, inputs: Sequence[Segment] | None = None, dedup: bool = False, memory_bytes: int = 32 * MIB, rows_max: int = 10**6
) -> Job:
    taken = tuple(lake.segments if inputs is None else inputs)
    return Job(
        folder="readings",
        node="box-1",
        stream=lake.schema.stream,
        schema_version=lake.schema.version,
        columns=lake.schema.columns,
        identity=lake.identity,
        day=taken[0].day,
        level=2,
        dedup=dedup,
        inputs=taken,
        rows_max=rows_max,
        memory_bytes=memory_bytes,
    )


def run(lake: Lake, job: Job) -> Done:
    events: list[Event] = []
    done = run_job(job, root=lake.root, spill=lake.root / "spill", emit=events.append)
    assert [e.path for e in events if isinstance(e, Writing)] == [s.path for s in done.outputs]
    return done


def check(lake: Lake, done: Done, *, dedup: bool) -> None:
    """The outputs hold what the inputs held, sorted, each as the manifest will say."""
    rows = read_rows(lake.root, done.outputs)
    expected = lake.expected()
    if dedup:
        assert lake.identity is not None
        expected = fold_by_hand(expected, lake.identity)
    assert by_seq(rows) == by_seq(expected)
    assert done.folded == len(lake.rows) - len(rows)
    order = (*sort_columns(lake.schema, lake.identity), "_seq")
    assert rows == sorted(rows, key=lambda r: key(r, order))
    for segment in done.outputs:
        assert check_segment(lake.root, segment, deep=True) is None
        held = [r for r in rows if segment.first <= r["_seq"] <= segment.last]
        assert segment.rows <= len(held)
        facts = read_facts(lake.root / segment.path)
        assert facts.schema == lake.schema
        assert facts.sorted_by == order[:-1]
    assert len(files_below(lake.root)) == len(lake.segments) + len(done.outputs), "the inputs stay"


device = st.none() | st.sampled_from(["a", "b", "ä"])
readings = st.fixed_dictionaries(
    {
        "ts": st.integers(0, 5).map(lambda n: MIDNIGHT + n),
        "device": device,
        "room": device,
        "value": st.none() | st.sampled_from([0.0, 1.5, -2.25]),
        "count": st.none() | st.integers(-3, 3),
        "ok": st.none() | st.booleans(),
        "note": st.none() | st.sampled_from(["", "x", "long " * 20]),
    }
)


@pytest.mark.parametrize("identity", [ALL_TAGS, ("device", "ts"), ("ts",), ("count", "ok", "device", "ts"), ("note", "ts"), None])
@settings(max_examples=15, deadline=None, suppress_health_check=BUSY)
@given(rolls=st.lists(st.lists(readings, min_size=1, max_size=12), min_size=1, max_size=5))
def test_any_rolls_become_one_sorted_segment_with_each_identity_once(
    tmp_path_factory: pytest.TempPathFactory, identity: tuple[str, ...] | None, rolls: list[list[Row]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"), identity=identity)
    for rows in rolls:
        lake.roll(rows)
    dedup = identity is not None
    check(lake, run(lake, job_of(lake, dedup=dedup)), dedup=dedup)


def random_rows(count: int, *, seed: int, devices: int = 40) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "ts": MIDNIGHT + rng.randrange(2_000) * 1000,
            "device": f"d{rng.randrange(devices)}",
            "value": rng.random() if rng.random() < 0.8 else None,
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("dedup", [False, True])
@pytest.mark.parametrize(("memory_bytes", "rows"), [(1, 20), (50_000, 400), (32 * MIB, 400)])
def test_memory_sets_the_size_of_the_slices_and_nothing_else(tmp_path: Path, memory_bytes: int, rows: int, dedup: bool) -> None:
    lake = Lake(tmp_path)
    for seed in range(6):
        lake.roll(random_rows(rows, seed=seed))
    check(lake, run(lake, job_of(lake, dedup=dedup, memory_bytes=memory_bytes)), dedup=dedup)


def test_folding_again_with_later_twins_gives_what_folding_all_at_once_would(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll([{"ts": MIDNIGHT, "device": "a", "value": 1.0, "note": "old"}, {"ts": MIDNIGHT, "device": "a", "count": 2}])
    first = run(lake, job_of(lake, dedup=True))
    later = lake.roll([{"ts": MIDNIGHT, "device": "a", "value": 3.0}])
    second = run(lake, job_of(lake, inputs=[*first.outputs, *later], dedup=True))
    (row,) = read_rows(tmp_path, second.outputs)
    assert row == {"ts": MIDNIGHT, "device": "a", "room": None, "value": 3.0, "count": 2, "ok": None, "note": "old", "_seq": 3}


def test_an_endless_run_of_twins_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for _ in range(5):
        lake.roll([{"ts": MIDNIGHT, "device": "stuck", "count": i} for i in range(2_000)])
    done = run(lake, job_of(lake, dedup=True, memory_bytes=100_000))
    assert [r["_seq"] for r in read_rows(tmp_path, done.outputs)] == [10_000]
    assert done.folded == 9_999


def test_inputs_of_older_schemas_come_out_in_the_newest(tmp_path: Path) -> None:
    old = Schema("readings", (Column("Device", Kind.TAG), Column("count", Kind.INT), Column("gone", Kind.TEXT)))
    lake = Lake(tmp_path, old, identity=None)
    lake.roll([{"ts": MIDNIGHT + 1, "Device": "b", "count": 2**53 + 1, "gone": "kept"}, {"ts": MIDNIGHT, "Device": "a", "count": 7}])
    newest = [
        Column("device", Kind.TAG),
        Column("Room", Kind.TAG),
        Column("COUNT", Kind.FLOAT),
        Column("gone", Kind.TEXT),
        Column("new", Kind.BOOL),
    ]
    lake.evolve(*newest)
    lake.roll([{"ts": MIDNIGHT, "device": "a", "Room": "r", "COUNT": 0.5, "new": True}])
    done = run(lake, job_of(lake))
    rows = [tuple(r.values()) for r in read_rows(tmp_path, done.outputs)]
    assert rows == [
        (MIDNIGHT, "a", None, 7.0, None, None, 2),
        (MIDNIGHT, "a", "r", 0.5, None, True, 3),
        (MIDNIGHT + 1, "b", None, 2.0**53, "kept", None, 1),
    ]
    assert done.outputs[0].schema_version == 2
    assert pq.ParquetFile(tmp_path / done.outputs[0].path).schema_arrow.names == lake.schema.lake.names


def test_an_identity_that_widened_to_float_still_finds_its_twins(tmp_path: Path) -> None:
    lake = Lake(tmp_path, Schema("readings", (Column("count", Kind.INT), Column("note", Kind.TEXT))), identity=("count", "ts"))
    lake.roll(
        [{"ts": MIDNIGHT + 1, "count": 2**53 + 1, "note": "a"}, {"ts": MIDNIGHT, "count": 2**53, "note": "b"}, {"ts": MIDNIGHT, "count": 7}]
    )
    lake.evolve(Column("count", Kind.FLOAT), Column("note", Kind.TEXT))
    lake.roll([{"ts": MIDNIGHT + 1, "count": float(2**53)}, {"ts": MIDNIGHT, "count": 7.0, "note": "c"}])
    done = run(lake, job_of(lake, dedup=True))
    rows = [(r["ts"] - MIDNIGHT, r["count"], r["note"], r["_seq"]) for r in read_rows(tmp_path, done.outputs)]
    assert rows == [(0, 7.0, "c", 5), (0, 2.0**53, "b", 2), (1, 2.0**53, "a", 4)]


@pytest.mark.parametrize("before", [("room", "ts"), None])
def test_files_from_before_the_identity_was_changed_are_sorted_anew(tmp_path: Path, before: tuple[str, ...] | None) -> None:
    lake = Lake(tmp_path, identity=before)
    lake.roll(random_rows(300, seed=1))
    lake.identity = ("value", "ts")
    lake.roll(random_rows(300, seed=1))
    check(lake, run(lake, job_of(lake, dedup=True)), dedup=True)
    assert not (tmp_path / "spill").exists() or not list((tmp_path / "spill").iterdir())


@pytest.mark.parametrize("before", [None, ALL_TAGS])
def test_the_bits_of_every_value_come_through_merging_and_sorting(tmp_path: Path, before: tuple[str, ...] | None) -> None:
    """The outputs are refused unless their tallies are those of the inputs."""
    lake = Lake(tmp_path, identity=("device", "ts") if before is None else before)
    odd: list[dict[str, Any]] = [{"value": v} for v in (-0.0, 0.0, float("inf"), float("-inf"), float("nan"), 5e-324, 2.0**53)]
    odd += [{"count": n} for n in (0, -(2**63), 2**63 - 1, 2**53 + 1)] + [{"note": text} for text in ("", "\0", "ü" * 40)] + [{"ok": False}]
    for n in range(2):
        lake.roll([{"ts": MIDNIGHT + i, "device": "ab"[i % 2], "room": str(n), **more} for i, more in enumerate(odd)])
    lake.identity = ALL_TAGS
    done = run(lake, job_of(lake))
    assert [s.rows for s in done.outputs] == [2 * len(odd)]
    assert done.changes == {}
    assert joined(s.tallies or {} for s in done.outputs) == joined(s.tallies or {} for s in lake.segments)


def test_rows_that_neither_memory_nor_disk_can_sort_say_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.cold.compaction.sort._MEMORY_MIN", 1 << 20)
    lake = Lake(tmp_path, identity=("note", "ts"))
    lake.roll([{"ts": MIDNIGHT + i, "note": f"{i:0400d}"} for i in range(10_000)])
    before = files_below(tmp_path)
    with pytest.raises(RetryLater, match="no room to sort"):
        run(lake, job_of(lake, memory_bytes=1))
    assert files_below(tmp_path) == before


def test_a_large_day_is_divided_and_the_parts_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GROUP_ROWS", 100)
    lake = Lake(tmp_path)
    for seed in range(3):
        lake.roll(random_rows(500, seed=seed))
    done = run(lake, job_of(lake, rows_max=400))
    assert [s.rows for s in done.outputs] == [400, 400, 400, 300]
    assert len({s.path for s in done.outputs}) == 4
    check(lake, done, dedup=False)


def test_the_name_of_what_replaces_is_never_that_of_what_is_replaced(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(random_rows(50, seed=1))
    names = {lake.segments[0].path}
    inputs: Sequence[Segment] = lake.segments
    for generation in range(1, 5):
        inputs = run(lake, job_of(lake, inputs=inputs)).outputs
        names.add(inputs[0].path)
        assert len(names) == generation + 1


def test_a_damaged_input_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(random_rows(200, seed=1))
    bad = lake.roll(random_rows(200, seed=2))[0]
    path = tmp_path / bad.path
    path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    before = files_below(tmp_path)
    with pytest.raises(StoreDamaged) as caught:
        run_job(job_of(lake), root=tmp_path, spill=tmp_path / "spill", emit=lambda _e: None)
    assert caught.value.path == path
    assert files_below(tmp_path) == before


def test_a_failure_on_the_way_removes_the_outputs_already_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GROUP_ROWS", 100)
    lake = Lake(tmp_path)
    lake.roll(random_rows(500, seed=1))
    before = files_below(tmp_path)
    told = []

    def emit(event: Event) -> None:
        if isinstance(event, Writing):
            told.append(event.path)
            if len(told) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job_of(lake, rows_max=100), root=tmp_path, spill=tmp_path / "spill", emit=emit)
    assert files_below(tmp_path) == before


@settings(max_examples=examples(50), deadline=None, suppress_health_check=BUSY)
@given(sizes=st.lists(st.integers(0, 30), max_size=12), rows_max=st.integers(1, 40), bytes_max=st.integers(1, 400))
def test_regrouping_keeps_rows_and_fills_up_to_a_limit(sizes: list[int], rows_max: int, bytes_max: int) -> None:
    rows = iter(range(10_000))
    tables = [pa.table({"n": pa.array([next(rows) for _ in range(size)], pa.int64())}) for size in sizes]
    groups = list(regroup(tables, rows_max=rows_max, bytes_max=bytes_max))
    assert [v for g in groups for v in g.column("n").to_pylist()] == list(range(sum(sizes)))
    limit = max(1, min(rows_max, bytes_max // 8))
    assert [g.num_rows for g in groups[:-1]] == [limit] * (len(groups) - 1)
    assert all(0 < g.num_rows <= limit for g in groups)
