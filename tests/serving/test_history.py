"""The records as the stream processor takes them, wherever they lie: each once, in the order of their sequences."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.repeats import untwinned
from appliance.hot.stream.values import Rows
from appliance.records import EVERYTHING, TimeRange
from appliance.serving import history as module
from appliance.serving.history import History
from tests.examples import examples
from tests.serving.world import VERSIONS, World, at, once, rows_of

DEVICES = ("a", "b", None)


def history(world: World, *, ring_from: int | None = None) -> History:
    store = world.store_of(lambda: world.state(ring_from=ring_from))
    return History(root=world.root, state=store.state, reader=store.reader, damaged=store.damaged)


def listed(rows: Rows) -> list[dict[str, Any]]:
    columns = rows.data.to_pylist()
    return [{**row, "ts": int(ts), "_seq": int(seq)} for row, ts, seq in zip(columns, rows.ts, rows.seqs, strict=True)]


def read(past: History, **wanted: Any) -> list[dict[str, Any]]:
    return [row for rows in past.rows("readings", **wanted) for row in listed(rows)]


@st.composite
def placed(draw: st.DrawFn) -> tuple[list[list[dict[str, Any]]], list[int], int | None, TimeRange, int, int]:
    """Batches, marks to roll to after each, where the ring begins, and what is asked for."""
    times = st.integers(0, 3 * 86_400).map(at)
    row = st.fixed_dictionaries({"ts": times, "device": st.sampled_from(DEVICES), "value": st.integers(0, 9)})
    batches = draw(st.lists(st.lists(row, min_size=1, max_size=6), min_size=1, max_size=6))
    total = sum(map(len, batches))
    rolls = draw(st.lists(st.integers(0, total), max_size=3))
    bounds = [draw(st.one_of(st.none(), times)) for _ in range(2)]
    return batches, rolls, draw(st.one_of(st.none(), st.integers(0, total))), TimeRange(*bounds), draw(st.integers(0, total)), total


@settings(max_examples=examples(60), deadline=None)
@given(placed())
def test_each_record_comes_once_in_order_wherever_it_lies(case: tuple[Any, ...]) -> None:
    batches, rolls, ring_from, span, after, total = case
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), "w", versions={3: VERSIONS[3]})
        for number, batch in enumerate(batches):
            world.commit(batch)
            if number < len(rolls):
                world.roll(min(rolls[number], len(world.rows)), parts=2)
        found = read(history(world, ring_from=ring_from), after_seq=after, up_to_seq=total - 1, span=span)
    wanted = [
        r
        for r in world.rows
        if after < r["_seq"] <= total - 1 and (span.since is None or r["ts"] >= span.since) and (span.until is None or r["ts"] < span.until)
    ]
    assert [(r["_seq"], r["ts"], r["device"], r["value"]) for r in found] == [(r["_seq"], r["ts"], r["device"], r["value"]) for r in wanted]


def test_columns_are_picked_and_those_that_came_later_are_not_there(tmp_path: Path) -> None:
    world = World(tmp_path, "w")
    world.commit([{"ts": at(1), "device": "a", "value": 1}], version=1)
    world.roll(1)
    world.commit([{"ts": at(2), "device": "a", "value": 2.5, "note": "n"}], version=2)
    found = read(history(world), columns={"value", "ok"})
    assert found == [{"ts": at(1), "value": 1.0, "_seq": 1}, {"ts": at(2), "value": 2.5, "_seq": 2}]


def test_what_the_ring_has_let_go_comes_from_the_store(tmp_path: Path) -> None:
    world = World(tmp_path, "w")
    for second in range(5):
        world.commit([{"ts": at(second), "device": "a", "value": second}])
    assert [r["value"] for r in read(history(world, ring_from=4), after_seq=1)] == [1, 2, 3, 4]


def test_a_segment_that_is_gone_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    world = World(tmp_path, "w")
    world.commit([{"ts": at(1), "device": "a", "value": 1}])
    world.roll(1)
    world.commit([{"ts": at(2), "device": "a", "value": 2}])
    (tmp_path / world.segments[0].path).unlink()
    assert [r["value"] for r in read(history(world))] == [2]
    assert world.damaged == [world.segments[0].path]


def test_no_stream_no_records(tmp_path: Path) -> None:
    assert list(history(World(tmp_path, "w")).rows("nothing", span=EVERYTHING)) == []


def test_more_rows_than_can_be_sorted_at_once_still_come_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SORTED_ROWS_MAX", 2)
    world = World(tmp_path, "w")
    world.commit([{"ts": at(60, day=day), "device": "a", "value": day} for day in (0, 1, 0, 1, 2)])
    world.roll(5)
    assert sorted(r["_seq"] for r in read(history(world))) == [1, 2, 3, 4, 5]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(DEVICES), st.one_of(st.none(), st.integers(0, 9))), max_size=12))
@settings(deadline=None)
def test_twins_are_one_as_everywhere(drawn: list[tuple[int, str | None, int | None]]) -> None:
    rows = [{"ts": at(second), "device": device, "value": value, "_seq": n + 1} for n, (second, device, value) in enumerate(drawn)]
    given_rows = Rows(rows_of(VERSIONS[3], rows), np.arange(1, len(rows) + 1, dtype=np.int64))
    merged = listed(untwinned(given_rows, ("device", "room"))) if rows else []
    wanted = once(rows, ("device", "room", "ts"), VERSIONS[3])
    assert {(r["ts"], r["device"]): r["value"] for r in merged} == {(r["ts"], r["device"]): r["value"] for r in wanted}
    assert all(isinstance(pa.scalar(r["_seq"]).as_py(), int) for r in merged)
