"""Each stream is read on the sides that can matter and no others, exactly under late data, and the rule that decided is told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.hot.state import ALL_TAGS
from appliance.manifest import Segment
from appliance.serving.engine import Engine
from appliance.serving.explain import StreamExplain, lines
from appliance.serving.routing import HEAVY_BYTES, HEAVY_RECORDS, RULES, Route, held_from, is_heavy, route
from tests.examples import examples
from tests.serving.asking import ask, flat, rows
from tests.serving.world import World, at

NUMBERS = itertools.count()
COUNT = "SELECT count(*) AS n, sum(_seq) AS s FROM readings"


def world(root: Path, identity: tuple[str, ...] | None = ALL_TAGS) -> World:
    return World(root, f"routed{next(NUMBERS)}", identity)


def expected_route(*, hot_wanted: bool, cold_wanted: bool, empty: bool, hot: bool, cold: bool, lost: bool, in_memory: bool) -> Route:
    """The same decision as one table, the first line that holds."""
    table: list[tuple[bool, Route]] = [
        (not hot_wanted and not cold_wanted and empty, Route("none", "nothing-in-range")),
        (not hot_wanted and not cold_wanted, Route("none", "last-values")),
        (not cold_wanted, Route("hot", "asked")),
        (not hot_wanted, Route("cold", "asked")),
        (empty, Route("none", "nothing-in-range")),
        (lost and hot, Route("merged", "both-sides")),
        (lost, Route("cold", "nothing-hot-in-range")),
        (not hot and not cold, Route("none", "nothing-in-range")),
        (not cold, Route("hot", "no-segment-in-range")),
        (in_memory, Route("hot", "still-in-memory")),
        (not hot, Route("cold", "nothing-hot-in-range")),
        (True, Route("merged", "both-sides")),
    ]
    return next(found for holds, found in table if holds)


def test_every_combination_of_facts_has_its_side_and_rule() -> None:
    seen = set()
    for facts in itertools.product((False, True), repeat=7):
        given_ = dict(zip(("hot_wanted", "cold_wanted", "empty", "hot", "cold", "lost", "in_memory"), facts, strict=True))
        found = route(**given_)
        assert found == expected_route(**given_), given_
        seen.add(found.rule)
    assert seen == set(RULES), "each rule decides something"


def segment(first: int, last: int, rows_: int | None = None) -> Segment:
    rows_ = last - first + 1 if rows_ is None else rows_
    return Segment(1, "s", 1, f"{first}", first, last, rows_, 0, 1, 1, "", 1, 0)


@pytest.mark.parametrize(
    ("segments", "ring_first", "mark", "found"),
    [
        ([], 1, 0, 1),
        ([segment(1, 10)], 1, 10, 1),
        ([segment(1, 10), segment(11, 20)], 11, 20, 11),
        ([segment(1, 10), segment(11, 20)], 5, 20, 11),  # one of them is only partly in the ring
        ([segment(1, 10), segment(11, 20)], 21, 20, 21),
        ([segment(1, 20, 10), segment(2, 19, 10)], 1, 20, 1),  # two days of one roll
        ([segment(1, 20, 10), segment(2, 19, 9)], 1, 20, 21),  # a twin was dropped
        ([segment(1, 10), segment(21, 30)], 1, 30, 31),  # something has gone
        ([segment(1, 20, 15), segment(5, 25, 10)], 3, 25, 26),  # days of one roll, the older rows of one outside the ring
        ([segment(1, 20, 15), segment(5, 25, 10), segment(26, 30)], 3, 30, 26),
    ],
)
def test_the_ring_stands_in_for_segments_only_row_for_row(segments: Sequence[Segment], ring_first: int, mark: int, found: int) -> None:
    assert held_from(segments, ring_first=ring_first, mark=mark) == found


def test_what_is_heavy_is_said_by_what_is_read() -> None:
    assert not is_heavy(records=HEAVY_RECORDS, cold_bytes=HEAVY_BYTES)
    assert is_heavy(records=HEAVY_RECORDS + 1, cold_bytes=0)
    assert is_heavy(records=0, cold_bytes=HEAVY_BYTES + 1)


@pytest.fixture
def three_days(root: Path) -> World:
    """Two days in segments, the third hot, and nothing of what was rolled in the ring."""
    w = world(root)
    for day in range(3):
        w.commit([{"ts": at(n, day), "device": "a", "value": float(n)} for n in range(10)])
    w.roll(20)
    return w


def read(
    engine: Engine, w: World, sql: str, *, ring_from: int | None = None, since_us: int | None = None, until_us: int | None = None
) -> StreamExplain:
    """How the one stream was read; the answer is checked against the flat list."""
    found, explain = ask(engine, w.source(ring_from=ring_from), sql, since_us=since_us, until_us=until_us)
    if since_us is None and until_us is None:
        assert rows(found) == rows(flat(w.flat(), sql))
    (stream,) = explain.streams
    assert any(f"({stream.rule})" in line for line in lines(explain))
    return stream


def test_a_range_within_what_is_hot_opens_no_segment(engine: Engine, three_days: World) -> None:
    stream = read(engine, three_days, f"{COUNT} WHERE ts >= make_timestamp({at(2, 2)})")
    assert (stream.read, stream.rule, stream.cold_files, stream.hot_rows) == ("hot", "no-segment-in-range", 0, 10)
    assert read(engine, three_days, COUNT, since_us=at(0, 2)).rule == "no-segment-in-range"


def test_a_range_that_ends_before_anything_hot_reads_segments_alone(engine: Engine, three_days: World) -> None:
    stream = read(engine, three_days, f"{COUNT} WHERE ts < make_timestamp({at(0, 1)})")
    assert (stream.read, stream.rule, stream.cold_files, stream.hot_rows) == ("cold", "nothing-hot-in-range", 1, 0)
    assert read(engine, three_days, COUNT, until_us=at(0, 2)).rule == "nothing-hot-in-range"


def test_a_late_record_makes_its_range_merged(engine: Engine, three_days: World) -> None:
    three_days.commit([{"ts": at(3.5), "device": "b", "value": 1.0}])
    stream = read(engine, three_days, f"{COUNT} WHERE ts < make_timestamp({at(9)})")
    assert (stream.read, stream.rule) == ("merged", "both-sides")
    assert read(engine, three_days, f"{COUNT} WHERE ts >= make_timestamp({at(2, 2)})").rule == "no-segment-in-range"


def test_a_record_of_the_future_in_a_segment_is_not_forgotten(engine: Engine, root: Path) -> None:
    w = world(root)
    w.commit([{"ts": at(0, 5), "device": "a", "value": 1.0}])
    w.roll(1)
    w.commit([{"ts": at(0, 2), "device": "a", "value": 2.0}])
    assert read(engine, w, f"{COUNT} WHERE ts >= make_timestamp({at(0, 2)})").rule == "both-sides"


def test_where_nothing_can_lie_nothing_is_read(engine: Engine, three_days: World) -> None:
    stream = read(engine, three_days, f"{COUNT} WHERE ts >= make_timestamp({at(0, 9)})")
    assert (stream.read, stream.rule, stream.cold_files, stream.hot_rows) == ("none", "nothing-in-range", 0, 0)


def test_what_was_just_rolled_is_read_out_of_memory(engine: Engine, three_days: World) -> None:
    sql = f"{COUNT} WHERE ts >= make_timestamp({at(5, 1)})"
    stream = read(engine, three_days, sql, ring_from=11)
    assert (stream.read, stream.rule, stream.cold_files, stream.hot_rows) == ("hot", "still-in-memory", 0, 20)
    assert read(engine, three_days, sql, ring_from=21).rule == "both-sides"
    assert read(engine, three_days, COUNT, ring_from=11).rule == "both-sides", "an older segment is needed as well"


def test_a_side_that_is_asked_for_stays_what_it_is(engine: Engine, three_days: World) -> None:
    for sql, side in (("SELECT count(*) FROM readings_hot", "hot"), ("SELECT count(*) FROM readings_cold", "cold")):
        _, explain = ask(engine, three_days.source(ring_from=1), sql)
        assert [(s.read, s.rule) for s in explain.streams] == [(side, "asked")]
    found, _ = ask(engine, three_days.source(ring_from=1), "SELECT (SELECT count(*) FROM readings_hot), (SELECT count(*) FROM readings)")
    assert [c.to_pylist() for c in found.columns] == [[10], [30]]


def test_a_lost_segment_is_not_passed_over(engine: Engine, three_days: World) -> None:
    three_days.lost, three_days.segments = three_days.segments[1:], three_days.segments[:1]
    found, explain = ask(engine, three_days.source(ring_from=1), f"{COUNT} WHERE ts >= make_timestamp({at(0, 1)})")
    assert found.to_pylist()[0]["n"] == 10
    assert (explain.streams[0].rule, explain.streams[0].lost_files) == ("both-sides", 1)
    assert explain.notes


def test_a_segment_without_its_twin_is_not_replaced_by_the_ring(engine: Engine, root: Path) -> None:
    """Compaction has dropped the older of two and the day is clean: the ring still has both."""
    w = world(root)
    w.commit([{"ts": at(0), "device": "a", "value": 1.0}, {"ts": at(0), "device": "a", "value": 2.0}])
    w.roll(2)
    w.segments = [replace(w._write(w.segments[0].day, [w.rows[1]]), first=1)]  # as compaction leaves it
    w.dirty.clear()
    assert read(engine, w, COUNT.replace("sum(_seq)", "max(_seq)"), ring_from=1).rule == "nothing-hot-in-range"


STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=1, max_size=5),
        st.integers(1, 100),
    ),
    min_size=1,
    max_size=8,
)
"""Records at some hour of a device, or a roll of so many percent of what is hot."""


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, identity=st.sampled_from([ALL_TAGS, None]), ring=st.integers(0, 20), low=st.integers(-1, 30), width=st.integers(1, 32))
def test_any_range_of_any_history_answers_like_the_flat_list(
    root: Path, engine: Engine, steps: list[list[tuple[int, str]] | int], identity: tuple[str, ...] | None, ring: int, low: int, width: int
) -> None:
    w = world(root, identity)
    for step in steps:
        if isinstance(step, int):
            w.roll(w.mark + (len(w.rows) - w.mark) * step // 100)
        else:
            w.commit([{"ts": at(3_600 * hour), "device": device, "value": float(n)} for n, (hour, device) in enumerate(step)])
    if not w.rows:
        return
    since, until = at(3_600 * low), at(3_600 * (low + width))
    sql = f"SELECT * FROM readings WHERE ts >= make_timestamp({since}) AND ts < make_timestamp({until})"
    stream = read(engine, w, sql, ring_from=ring)
    assert stream.read != "hot" or stream.cold_files == 0
    assert stream.read != "cold" or stream.hot_rows == 0
    assert stream.read != "none" or (stream.hot_rows, stream.cold_files) == (0, 0)
