"""What has changed of a stream drops exactly the kept answers that it can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.clock import US_PER_DAY
from appliance.hybrid.cache.changes import NOTHING, changes
from appliance.manifest import Dirty
from appliance.records import TimeRange
from appliance.spans import EVERYTHING
from tests.clock import NOON_US
from tests.hybrid.cache.house import CacheHouse
from tests.views.house import HOUR_US, view

MORNING = "SELECT count(*) AS n FROM readings WHERE ts >= '2026-11-22 06:00' AND ts < '2026-11-22 09:00'"
YESTERDAY = "SELECT device, sum(value) AS total FROM readings WHERE ts >= '2026-11-21' AND ts < '2026-11-22' GROUP BY ALL"
ALL = "SELECT count(*) AS n FROM readings"
HOT = "SELECT count(*) AS n FROM readings_hot"
COLD = "SELECT count(*) AS n FROM readings_cold"
LATEST = "SELECT device, value FROM readings_latest"
VIEW = "SELECT sum(n) AS n FROM hourly WHERE bucket < '2026-11-22'"
DATE = "SELECT count(*) AS n FROM readings WHERE ts >= current_date"
KEPT = (MORNING, YESTERDAY, ALL, HOT, COLD, LATEST, VIEW, DATE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CacheHouse]:
    made = CacheHouse(tmp_path, {"hourly": view()})
    made.come([(-30.0, "a", 1), (-14.0, "b", 2), (-5.0, "a", 3)])
    made.configure(made.views)
    made.roll()
    made.refresh()
    made.come([(-20.0, "a", 4), (-4.0, "b", 5), (-1.0, "a", 6)])
    yield made
    made.close()


def late(house: CacheHouse) -> None:
    house.come([(-13.5, "c", 7)])


def newest(house: CacheHouse) -> None:
    house.come([(-0.5, "c", 7)])


def repeated(house: CacheHouse) -> None:
    house.come([(-5.0, "a", 9)])


def deleted(house: CacheHouse) -> None:
    house.delete(NOON_US - 6 * HOUR_US, NOON_US - 4 * HOUR_US - 1, "a")


def rolled_and_compacted(house: CacheHouse) -> None:
    house.roll()
    house.compact()


def rolled(house: CacheHouse) -> None:
    house.roll()


def refreshed(house: CacheHouse) -> None:
    house.refresh()


def passed(house: CacheHouse) -> None:
    house.pass_hours(13)


def expired(house: CacheHouse) -> None:
    assert house.expire(NOON_US - US_PER_DAY // 2)


def other_stream(house: CacheHouse) -> None:
    house.come([(-0.1, "a", 1)], stream="others")


STEPS: tuple[tuple[Callable[[CacheHouse], None], set[str]], ...] = (
    (late, {YESTERDAY, ALL, HOT, LATEST, VIEW}),
    (newest, {ALL, HOT, LATEST, DATE}),
    (repeated, {MORNING, ALL, HOT, LATEST, DATE}),
    (refreshed, set()),
    (other_stream, set()),
    (rolled, {HOT, COLD, LATEST}),
    (newest, {ALL, HOT, LATEST, DATE}),
    (rolled_and_compacted, {HOT, COLD, LATEST}),
    (deleted, {MORNING, ALL, HOT, COLD, LATEST, DATE}),
    (passed, {DATE}),
)


def test_what_changes_drops_just_what_it_can_change(house: CacheHouse) -> None:
    for sql in KEPT:
        assert house.same(sql) == "miss"
    for place, (what, gone) in enumerate(STEPS):
        assert {sql for sql in KEPT if house.same(sql) == "miss"} == set(), "all are kept"
        what(house)
        assert {sql for sql in KEPT if house.same(sql) == "miss"} == gone, (place, what)


CHANGING = (
    "SELECT count(*) AS n FROM readings WHERE ts > now() - INTERVAL 1 HOUR",
    "SELECT current_timestamp AS t, count(*) AS n FROM readings",
    "SELECT random() AS r, count(*) AS n FROM readings",
    "SELECT uuid() AS u FROM readings",
    "SELECT count(*) AS n FROM readings TABLESAMPLE 50%",
    "SELECT name FROM _streams",
    "EXPLAIN SELECT count(*) FROM readings",
    "SHOW TABLES",
    "SELECT x.n FROM (SELECT count(*) AS n FROM readings WHERE ts > ago(INTERVAL 1 HOUR)) x",
)


def test_what_may_be_another_answer_each_time_is_not_kept(house: CacheHouse) -> None:
    for sql in CHANGING:
        assert [house.get(sql)[1] for _ in range(2)] == ["miss", "miss"], sql
        assert not house.cache.answers(), sql


def test_other_bounds_sides_formats_and_views_are_other_questions(house: CacheHouse) -> None:
    asked: list[dict[str, object]] = [{}, {"since_us": NOON_US - HOUR_US}, {"until_us": NOON_US}, {"path": "hot"}, {"views": False}]
    assert [house.same(ALL, **more) for more in asked] == ["miss"] * len(asked)
    assert [house.same(ALL, **more) for more in asked] == ["hit"] * len(asked)
    assert house.get(ALL, cache=False)[1] == ""


def test_what_comes_while_an_answer_is_found_is_in_the_next_one(house: CacheHouse) -> None:
    house.meanwhile = lambda: house.come([(-0.2, "b", 1)])
    assert house.get(ALL)[0] == [{"n": 6}]
    house.meanwhile = lambda: house.come([(-30.2, "b", 1)])
    assert house.same(MORNING) == "miss"
    house.meanwhile = lambda: None
    assert house.same(ALL) == "miss"
    assert house.same(MORNING) == "hit", "which has nothing to do with it"


def test_a_name_that_stands_for_something_else_is_another_answer(house: CacheHouse) -> None:
    assert house.same(LATEST) == "miss"
    house.come([(-1.0, "x", 99)], stream="readings_latest")
    assert house.same(LATEST) == "miss"
    assert house.get(LATEST)[0] == [{"device": "x", "value": 99}]


def test_a_view_with_another_definition_is_another_answer(house: CacheHouse) -> None:
    assert house.same(VIEW) == "miss"
    house.configure({"hourly": view(house.views["hourly"].sql.replace("count(*) AS n", "count(*) + 1 AS n"))})
    house.refresh()
    assert house.same(VIEW) == "miss"


def test_a_column_more_is_another_answer(house: CacheHouse) -> None:
    sql = "SELECT * FROM readings WHERE ts < '2026-11-22'"
    assert house.same(sql) == "miss"
    house.come([(-1.0, "a", 1)], column="pressure")
    assert house.same(sql) == "miss"


def test_memory_is_bounded_and_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    house = CacheHouse(tmp_path, memory_bytes_max=20_000, answer_bytes_max=15_000)
    house.come([(n / 100 - 5, "a", n) for n in range(400)])
    large = "SELECT ts, value, {} AS k FROM readings LIMIT 150"
    for k in range(5):
        house.same(large.format(k))
        assert house.cache.bytes <= 20_000
    assert house.same(large.format(4)) == "hit"
    assert house.same(large.format(0)) == "miss"
    assert house.cache.counts.evicted
    assert house.same("SELECT * FROM readings") == "miss"
    assert house.same("SELECT * FROM readings") == "miss", "it is larger than an answer may be"
    house.close()


def test_a_hit_asks_nobody(house: CacheHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = house.get(ALL)

    def nobody(*_args: object, **_more: object) -> None:
        raise AssertionError("a query was asked")

    monkeypatch.setattr(house.queries._queries, "run", nobody)
    assert house.get(ALL) == (found, "hit")


def test_changes_say_where(house: CacheHouse) -> None:
    def of(what: Callable[[CacheHouse], None]) -> tuple[object, ...]:
        before = house.box.state.streams["readings"]
        what(house)
        found = changes(before, house.box.state.streams["readings"])
        return found.everything, [ts.tolist() for ts in found.times], found.spans, bool(found.moved)

    assert of(rolled_and_compacted) == (False, [], (), True)
    house.refresh()
    assert of(expired)[2] == ((NOON_US - 30 * HOUR_US, NOON_US - 14 * HOUR_US + 1),), "where segments are gone"
    assert of(late) == (False, [[NOON_US - int(13.5 * HOUR_US)]], (), False)
    assert of(deleted) == (False, [], ((NOON_US - 6 * HOUR_US, NOON_US - 4 * HOUR_US - 1),), False)
    assert of(rolled) == (False, [], (), True)
    assert of(lambda h: h.come([(0.0, "a", 1)], column="p"))[0]
    state = house.box.state.streams["readings"]
    assert changes(state, state) is NOTHING
    doubted = replace(state, dirty={1: Dirty(1, 5, 9, 1)})
    assert changes(state, doubted).spans == ((5, 10),), "a repair has found that there may be twins"
    assert changes(None, state).touch(TimeRange(0, 0))
    assert changes(state, None).buckets(HOUR_US) == EVERYTHING
