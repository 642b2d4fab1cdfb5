"""What names stand for, and what is pinned of a stream: by sequence what is hot and cold, by time only what is skipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import QueryRefused, RetryLater
from appliance.hot.state import State
from appliance.records import Schema, TimeRange
from appliance.serving.snapshot import Side, Snapshot, Wanted
from appliance.serving.source import StateSource
from appliance.serving.transfer import pack, unpack
from tests.serving.world import World, at


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, "box")
    for n in range(10):
        made.commit([{"ts": at(n), "device": "ab"[n % 2], "value": float(n), "note": "x" * n}])
    made.roll(4, parts=2)
    return made


def named(world: World, *names: str) -> StateSource:
    """A source over streams of these names."""
    one = world.state().streams["readings"]
    streams = {n.lower(): replace(one, schema=Schema(n, one.schema.columns, 3)) for n in names}
    return StateSource(world.store_of(lambda: State(streams)))


def test_a_name_is_a_stream_or_one_side_of_it_in_any_case(world: World) -> None:
    source = named(world, "Room")
    found = source.lookup(["ROOM", "room_hot", "Room_Cold", "room_latest", "_STREAMS"])
    assert [(t.name, t.side, t.stream) for t in found] == [
        ("Room", Side.MERGED, "room"),
        ("Room_hot", Side.HOT, "room"),
        ("Room_cold", Side.COLD, "room"),
        ("Room_latest", Side.LATEST, "room"),
        ("_streams", Side.STATE, "_streams"),
    ]
    assert found[0].columns[0] == ("ts", "TIMESTAMP")
    assert found[0].columns[-1] == ("_seq", "BIGINT")


def test_a_stream_goes_before_a_side_of_another(world: World) -> None:
    (found,) = named(world, "room", "room_hot").lookup(["room_hot"])
    assert (found.side, found.stream) == (Side.MERGED, "room_hot")


@pytest.mark.parametrize(("asked", "hint"), [("rom", '"room"'), ("_stream", '"_streams"'), ("zzzzz", "SHOW TABLES")])
def test_an_unknown_name_is_refused_with_the_nearest(world: World, asked: str, hint: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        named(world, "room", "kitchen").lookup([asked])
    assert hint in str(refused.value)


def pinned(world: World, *, ring_from: int | None = None, **wanted: object) -> Snapshot:
    return world.source(ring_from=ring_from).pin([Wanted(stream="readings", **wanted)], [])  # type: ignore[arg-type]  # options by name


@pytest.mark.parametrize("ring_from", [None, 5, 8, 11])
def test_hot_rows_are_those_above_the_mark_wherever_they_lie(world: World, ring_from: int | None) -> None:
    pin = pinned(world, ring_from=ring_from).streams["readings"]
    assert sorted(h.first for h in pin.hot) == [5, 6, 7, 8, 9, 10]
    assert sum(f.rows for f in pin.files) == 4


def test_time_skips_chunks_and_files_and_counts_them(world: World) -> None:
    span = TimeRange(at(3), at(6))
    pin = pinned(world, since_us=span.since, until_us=span.until).streams["readings"]
    assert [h.first for h in pin.hot] == [5, 6]
    assert [f.ts_max for f in pin.files] == [at(3)]
    assert (pin.skipped.hot_rows, pin.skipped.cold_files, pin.skipped.cold_rows) == (4, 1, 2)


def test_hot_rows_are_cut_down_to_the_columns_wanted(world: World) -> None:
    pin = pinned(world, columns=("value",)).streams["readings"]
    assert {name for h in pin.hot for name in h.data.schema.names} == {"ts", "value"}


def test_the_identity_comes_along_where_twins_have_to_be_told_apart(world: World) -> None:
    world.commit([{"ts": at(1), "device": "b", "value": 7.0}])
    pin = pinned(world, columns=("value",)).streams["readings"]
    assert [(s.low, s.high) for s in pin.spans] == [(at(1), at(1))]
    assert {name for h in pin.hot for name in h.data.schema.names} == {"ts", "device", "room", "value"}
    assert pinned(world, columns=("value",), since_us=at(2)).streams["readings"].spans == ()


def test_a_side_that_is_not_wanted_is_not_touched(world: World) -> None:
    hot = pinned(world, cold=False).streams["readings"]
    cold = pinned(world, hot=False, ring_from=11).streams["readings"]
    assert (len(hot.files), hot.hot_rows) == (0, 6)
    assert (len(cold.files), cold.hot_rows) == (2, 0)
    assert pinned(world, since_us=5, until_us=5).streams["readings"].files == ()


def test_a_store_that_is_rolled_all_the_time_says_so(world: World) -> None:
    state = world.state(ring_from=11)
    world.roll(8)
    with pytest.raises(RetryLater):
        StateSource(world.store_of(lambda: state)).pin([Wanted(stream="readings")], [])


def test_a_snapshot_crosses_to_another_process_as_it_is(world: World) -> None:
    world.commit([{"ts": at(1), "device": "b", "value": 7.0}])
    world.lost.append(world.segments[0])
    source = world.source(ring_from=7)
    snapshot = source.pin([Wanted(stream="readings", latest=True)], ["_streams", "_segments"])
    found = unpack(*pack(snapshot))
    ours, theirs = snapshot.streams["readings"], found.streams["readings"]
    assert replace(theirs, hot=(), latest=None) == replace(ours, hot=(), latest=None)
    assert [(h.first, h.data.to_pylist()) for h in theirs.hot] == [(h.first, h.data.to_pylist()) for h in ours.hot]
    assert theirs.latest is not None
    assert theirs.latest.equals(ours.latest)
    assert {name: t.to_pylist() for name, t in found.tables.items()} == {name: t.to_pylist() for name, t in snapshot.tables.items()}
    assert unpack(*pack(Snapshot())) == Snapshot()
