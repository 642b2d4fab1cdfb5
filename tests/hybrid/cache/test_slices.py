"""Answers whose rows belong to one bucket of time each: only what has changed is found anew, and the answer is the one of the records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import iso
from appliance.hybrid.cache.slices import FORMATS, Slicing, completed, sliced
from appliance.serving.question import Question
from appliance.spans import Span, common, union, widened
from tests.clock import NOON_US
from tests.hybrid.cache.house import CacheHouse
from tests.views.house import HOUR_US

HOUR = "time_bucket(INTERVAL '1 hour', ts)"
MEDIANS = f"SELECT {HOUR} AS h, device, median(value) AS m FROM readings GROUP BY h, device ORDER BY h, device"
SLICED = (
    MEDIANS,
    f"SELECT device, {HOUR} AS h, count(DISTINCT value) AS n FROM readings GROUP BY ALL HAVING n > 0 ORDER BY 2 DESC, device",
    f"SELECT {HOUR}, quantile_cont(value, 0.9) AS q FROM readings WHERE device = 'a' GROUP BY 1",
    "SELECT ts::DATE AS day, avg(value) AS mean, list(DISTINCT device ORDER BY device) AS d FROM readings GROUP BY day ORDER BY ALL",
    "SELECT date_trunc('day', ts) AS day, max(value) - min(value) AS s FROM readings WHERE ts < '2026-11-22 11:30' GROUP BY 1 ORDER BY 1",
    f"SELECT {HOUR} AS h, device, value FROM readings WHERE value % 2 = 0 ORDER BY h DESC",
    "SELECT time_bucket(INTERVAL '7 days', ts) AS week, max(value) AS peak FROM readings GROUP BY week",
)
WHOLE = (
    f"{MEDIANS} LIMIT 5",
    f"SELECT {HOUR} AS h, median(value) AS m FROM readings GROUP BY h ORDER BY m",
    f"SELECT {HOUR} AS h, median(value) AS m, row_number() OVER (ORDER BY {HOUR}) AS n FROM readings GROUP BY h",
    f"SELECT h, median(m) AS m FROM (SELECT {HOUR} AS h, value AS m FROM readings) GROUP BY h",
    "SELECT time_bucket(INTERVAL '1 month', ts) AS t, median(value) AS m FROM readings GROUP BY t",
    "SELECT device, median(value) AS m FROM readings GROUP BY device",
    f"SELECT max({HOUR}) AS h, median(value) AS m FROM readings GROUP BY device",
    f"SELECT {HOUR} AS h, median(value) AS m FROM readings WHERE ts < now() GROUP BY h",
    f"SELECT {HOUR} AS h, device, median(value) AS m FROM readings GROUP BY GROUPING SETS ((h, device), (h))",
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CacheHouse]:
    made = CacheHouse(tmp_path)
    made.come([(n / 4 - 50, "abc"[n % 3], n % 17) for n in range(199)])
    made.roll()
    yield made
    made.close()


def learn(house: CacheHouse, *asked: str) -> None:
    """Asks until it is known how the answers are cut."""
    for sql in asked:
        house.get(sql)
        house.come([(-0.6, "a", 1)])
        house.get(sql)
    house.build()


def spans_asked(house: CacheHouse) -> list[tuple[int | None, int | None]]:
    """The bounds of all questions from now on."""
    found: list[tuple[int | None, int | None]] = []
    run = house.queries._queries.run

    async def noting(question):  # type: ignore[no-untyped-def]
        found.append((question.since_us, question.until_us))
        return await run(question)

    house.queries._queries.run = noting  # type: ignore[assignment,method-assign]
    return found


def test_only_buckets_with_changes_are_found_anew(house: CacheHouse) -> None:
    learn(house, MEDIANS)
    assert not house.cache.parts(), "none is needed"
    asked = spans_asked(house)
    house.come([(-0.4, "a", 3)])
    assert house.same(MEDIANS) == "completed"
    assert house.same(MEDIANS) == "hit"
    assert asked == [(NOON_US - HOUR_US, NOON_US)]
    house.come([(-20.4, "a", 3), (0.1, "b", 3)])
    assert house.same(MEDIANS) == "completed"
    assert asked[1:] == [(NOON_US - 21 * HOUR_US, NOON_US - 20 * HOUR_US), (NOON_US, NOON_US + HOUR_US)]
    assert house.cache.counts.partial_hits == 2
    house.roll()
    house.compact()
    assert house.same(MEDIANS) == "hit", "where records lie changes nothing"


def test_a_completed_answer_is_that_of_the_records(house: CacheHouse) -> None:
    house.come([(-24.0 * day, "b", day) for day in (*range(3, 30), *range(30, 120, 7))])
    learn(house, *SLICED)
    for sql in SLICED:
        house.same(sql)
    steps: tuple[Callable[[], None], ...] = (
        lambda: house.come([(-30.5, "b", 99), (-7.25, "a", 2)]),
        lambda: house.delete(NOON_US - 40 * HOUR_US, NOON_US - 39 * HOUR_US, "*"),
        lambda: house.come([(-30.5, "b", 4), (0.2, "a", 6), (-60.0, "a", 8)]),
        house.roll,
        lambda: house.come([(-0.2, None, 8)]),
    )
    for step in steps:
        step()
        for sql in SLICED:
            assert house.same(sql) in ("completed", "hit"), sql
            found, cached = house.get(sql)
            assert cached == "hit"
            if "ORDER BY" in sql and "value %" not in sql:
                assert json.dumps(found) == json.dumps(house.truth(sql)), "in their order"
    assert house.cache.counts.partial_hits >= 3 * len(SLICED)


def test_lines_are_cut_too_and_tables_are_not(house: CacheHouse) -> None:
    for format_, wanted in (("jsonl", "completed"), ("csv", "miss")):
        for _ in range(2):
            house.come([(-0.4, "a", 3)])
            lines_of(house, format_)
        house.build()
        house.come([(-0.4, "a", 4)])
        body, cached = lines_of(house, format_)
        assert cached == wanted
        assert format_ == "csv" or [json.loads(line) for line in body.splitlines()] == house.truth(MEDIANS)


def lines_of(house: CacheHouse, format_: str) -> tuple[bytes, str]:
    async def run() -> tuple[bytes, str]:
        result = await house.queries.run(Question(sql=MEDIANS, id="lines", format=format_))
        return b"".join([piece async for piece in result]), result.cached

    return asyncio.run(run())


def test_what_asks_for_more_than_buckets_one_by_one_is_found_as_a_whole(house: CacheHouse) -> None:
    learn(house, *WHOLE)
    for sql in WHOLE:
        house.same(sql)
    house.come([(-0.4, "a", 3)])
    for sql in WHOLE:
        assert house.same(sql) == "miss", sql


def test_records_that_come_while_an_answer_is_completed_are_in_it_or_in_the_next(house: CacheHouse) -> None:
    learn(house, MEDIANS)
    house.come([(-0.4, "a", 3)])
    house.meanwhile = lambda: house.come([(-0.3, "b", 1)])
    found, cached = house.get(MEDIANS)
    assert cached == "completed"
    assert found != house.truth(MEDIANS), "it is that of the moment at which it was asked"
    house.meanwhile = lambda: None
    assert house.same(MEDIANS) == "completed"
    house.come([(-0.2, "a", 3), (-21.3, "b", 100)])
    first = [lambda: house.come([(-20.3, "b", 1)]), lambda: None]
    house.meanwhile = lambda: first.pop(0)() if first else None
    assert house.get(MEDIANS)[1] == "completed"
    assert house.same(MEDIANS) in ("completed", "hit")


def test_a_column_more_means_that_the_question_is_looked_at_again(house: CacheHouse) -> None:
    learn(house, MEDIANS)
    house.come([(-0.3, "a", 1)], column="pressure")
    assert house.same(MEDIANS) == "miss"
    house.come([(-0.2, "a", 1)])
    assert house.same(MEDIANS) == "miss"
    house.build()
    house.come([(-0.1, "a", 1)])
    assert house.same(MEDIANS) == "completed"


def test_what_was_asked_with_other_bounds_gets_a_part_besides(house: CacheHouse) -> None:
    sums = f"SELECT {HOUR} AS h, max(value) AS peak FROM readings GROUP BY h"
    learn(house, sums)
    assert not house.cache.parts()
    house.get(sums, until_us=NOON_US)
    house.build()
    assert len(house.cache.parts()) == 1


def test_what_is_mostly_new_gets_a_part(house: CacheHouse) -> None:
    today = "SELECT ts::DATE AS day, count(*) AS n, max(value) AS peak FROM readings WHERE ts >= '2026-11-22' GROUP BY day ORDER BY day"
    learn(house, today)
    for number in range(3):
        assert not house.cache.parts()
        house.come([(-0.5, "a", number)])
        assert house.same(today) == "miss"
        house.build()
    assert len(house.cache.parts()) == 1
    house.come([(-0.4, "a", 9)])
    assert house.same(today) == "miss"
    assert house.explain_of(today).stood_in


Rows = dict[int, list[int]]
rows = st.dictionaries(st.integers(0, 30), st.lists(st.integers(0, 99), min_size=1, max_size=3), max_size=8)


def body_of(model: Rows, format_: str, order: int, spans: list[Span] | None = None) -> bytes:
    """The answer with these values in each hour."""
    begin, between, end = FORMATS[format_]
    found = [
        json.dumps({"v": value, "h": iso(NOON_US + hour * HOUR_US), "text": 'a,\n"}]'}).encode()
        for hour in sorted(model, reverse=order < 0)
        if spans is None or common(((NOON_US + hour * HOUR_US, NOON_US + hour * HOUR_US + 1),), spans)
        for value in model[hour]
    ]
    return begin + between.join(found) + (end if found or format_ == "json" else b"")


@settings(max_examples=60, deadline=None)
@given(old=rows, new=rows, format_=st.sampled_from(["json", "jsonl"]), order=st.sampled_from([1, -1]), more=st.lists(st.integers(0, 30)))
def test_cutting_and_putting_together_gives_the_new_answer_to_the_byte(
    old: Rows, new: Rows, format_: str, order: int, more: list[int]
) -> None:
    slicing = Slicing(1, HOUR_US, order, 1)
    changed = {hour for hour in {*old, *new} if old.get(hour) != new.get(hour)} | set(more)
    spans = union(widened([(NOON_US + h * HOUR_US, NOON_US + h * HOUR_US + 1) for h in sorted(changed)], HOUR_US))
    kept = sliced(body_of(old, format_, order), format_, slicing)
    assert kept is not None
    fresh = [(span, body_of(new, format_, order, [span])) for span in spans]
    found = completed(kept, fresh, format_, slicing)
    assert found is not None
    assert found.body == body_of(new, format_, order)
    again = sliced(found.body, format_, slicing)
    assert again is not None
    assert (found.starts.tolist(), found.ends.tolist()) == (again.starts.tolist(), again.ends.tolist())


def test_an_answer_that_is_not_what_was_promised_is_not_cut() -> None:
    body = body_of({1: [1], 2: [2]}, "json", 1)
    assert sliced(body, "json", Slicing(1, HOUR_US, 1, 1)) is not None
    assert sliced(body, "json", Slicing(1, HOUR_US, -1, 1)) is None, "they rise"
    assert sliced(body, "json", Slicing(0, HOUR_US, 1, 1)) is None, "these are no times"
    assert sliced(body, "json", Slicing(7, HOUR_US, 1, 1)) is None, "there is no such column"
    assert sliced(body, "json", Slicing(1, 5 * HOUR_US, 1, 1)) is None, "no bucket begins there"
    fresh = body_of({9: [1]}, "json", 1)
    kept = sliced(body, "json", Slicing(1, HOUR_US, 1, 1))
    assert kept is not None
    assert completed(kept, [((NOON_US, NOON_US + HOUR_US), fresh)], "json", Slicing(1, HOUR_US, 1, 1)) is None, "it lies elsewhere"
