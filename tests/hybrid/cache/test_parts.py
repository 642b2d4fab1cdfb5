"""Parts of answers: what is closed is kept, what came since is computed, and the answer is the one of the records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.clock import US_PER_DAY
from appliance.hybrid.cache import building
from appliance.hybrid.cache.side import is_moved
from appliance.observe.ladder import Standing, Step
from tests.clock import NOON_US
from tests.hybrid.cache.house import CacheHouse
from tests.views.house import HOUR_US, view

HOURS = "SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, device, avg(value) AS mean, count(*) AS n FROM readings GROUP BY ALL ORDER BY n"
DEVICES = "SELECT device, max(value) AS high FROM readings WHERE ts >= now() - INTERVAL '20 hours' GROUP BY device"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CacheHouse]:
    made = CacheHouse(tmp_path)
    made.come([(n / 4 - 50, "abc"[n % 3], n % 17) for n in range(199)])
    made.roll()
    yield made
    made.close()


def kept(house: CacheHouse, sql: str) -> None:
    """Asks until a part is made, and goes on asking."""
    for _ in range(2):
        house.get(sql)
        house.get(sql)
        house.build()
    assert [part.asked for part in house.cache.parts()] == [sql]


def test_only_what_came_since_is_read(house: CacheHouse) -> None:
    kept(house, HOURS)
    house.come([(-0.4, "a", 3)])
    assert house.same(HOURS) == "miss"
    explain = house.explain_of(HOURS)
    assert explain.stood_in == "kept part 1"
    assert explain.views[0].kept
    assert explain.views[0].live == ((NOON_US - HOUR_US, None),), "the bucket that is not closed"
    assert not any(s.cold_files for s in explain.streams), "which is still in memory"
    assert house.cache.counts.partial_hits == 1


def test_what_changes_in_a_closed_bucket_is_computed_until_it_has_been_caught_up(house: CacheHouse) -> None:
    kept(house, HOURS)
    (part,) = house.cache.parts()
    house.come([(-30.5, "b", 99), (-7.25, "c", 1)])
    house.delete(NOON_US - 40 * HOUR_US, NOON_US - 38 * HOUR_US, "a")
    assert house.same(HOURS) == "miss"
    assert len(house.explain_of(HOURS).views[0].live) == 4
    house.build()
    assert not part.dirty
    assert house.same(HOURS, until_us=NOON_US - HOUR_US) == "miss"
    assert len(house.explain_of(HOURS).views[0].live) == 1
    house.pass_hours(2)
    house.come([(1.5, "a", 1)])
    assert house.same(HOURS) == "miss"
    house.build()
    assert part.high == NOON_US + HOUR_US, "it grows with the newest record"
    assert house.same(HOURS) == "hit", "which changes no answer"


def test_one_part_serves_other_ranges_and_coarser_questions(house: CacheHouse) -> None:
    kept(house, HOURS)
    others = (
        "SELECT device, avg(value) AS mean FROM readings WHERE ts >= '2026-11-20 23:30' AND ts < '2026-11-22 07:10' GROUP BY device",
        "SELECT ts::DATE AS day, count(*) AS n FROM readings GROUP BY day ORDER BY day",
        "SELECT time_bucket(INTERVAL '6 hours', ts) AS t, avg(value) AS mean FROM readings WHERE device = 'b' GROUP BY t",
    )
    for sql in others:
        assert house.same(sql) == "miss"
        assert house.explain_of(sql).stood_in == "kept part 1", sql
    for sql in ("SELECT median(value) AS m FROM readings", "SELECT minute(ts) AS m, count(*) AS n FROM readings GROUP BY m"):
        assert house.same(sql) == "miss"
        assert not house.explain_of(sql).stood_in, sql


def test_a_question_about_now_gets_its_part_and_is_never_kept_whole(house: CacheHouse) -> None:
    kept(house, DEVICES)
    for hours in (0.0, 0.3, 5.0):
        house.pass_hours(hours)
        assert house.same(DEVICES) == "miss"
        assert house.explain_of(DEVICES).stood_in == "kept part 1"
    assert not house.cache.answers()


def test_a_bucket_may_be_as_wide_as_a_day_where_a_day_is_little(house: CacheHouse) -> None:
    kept(house, DEVICES)
    (part,) = house.cache.parts()
    assert part.width_us == US_PER_DAY
    assert part.table.num_rows == 3 * 2, "a row for each device and closed day"


def test_what_asks_for_more_than_sums_or_changes_with_the_time_gets_no_part(house: CacheHouse) -> None:
    for sql in (
        "SELECT quantile_cont(value, 0.5) AS m FROM readings",
        "SELECT device, count(*) AS n FROM readings WHERE value < epoch(now()) GROUP BY device",
        "SELECT count(*) AS n FROM readings_cold",
        "SELECT count(*) AS n FROM readings a JOIN readings b USING (device)",
    ):
        for _ in range(3):
            house.same(sql)
        house.build()
        assert not house.cache.parts(), sql


def test_a_part_goes_with_the_columns_it_was_made_of_and_is_made_again(house: CacheHouse) -> None:
    kept(house, HOURS)
    house.come([(-0.3, "a", 1)], column="pressure")
    assert house.same(HOURS) == "miss"
    assert not house.cache.parts()
    house.same(HOURS)
    house.same(HOURS)
    house.build()
    assert house.same(HOURS, until_us=NOON_US) == "miss"
    assert house.explain_of(HOURS).stood_in == "kept part 2"


def test_parts_are_bounded(tmp_path: Path) -> None:
    house = CacheHouse(tmp_path, memory_bytes_max=16_000)
    house.come([(n / 100 - 50, f"{n % 50}", n % 17) for n in range(5000)])
    for _ in range(3):
        house.get(HOURS)
    house.build()
    assert not house.cache.parts()
    assert house.cache.bytes <= 16_000
    house.close()


def test_what_is_asked_regularly_is_computed_again_before_anybody_asks(house: CacheHouse) -> None:
    sql = "SELECT quantile_cont(value, 0.5) AS m FROM readings WHERE ts < '2026-11-22'"
    for _ in range(4):
        house.same(sql)
    house.pass_hours(1)
    house.come([(-20.0, "a", 16)])
    house.cache.look()
    house.build()
    assert house.cache.counts.warmed == 1
    assert house.same(sql) == "hit"


def test_what_rolls_and_refreshes_bring_is_an_event_and_what_commits_bring_is_none(tmp_path: Path) -> None:
    house = CacheHouse(tmp_path, {"hourly": view()})
    house.come([(-29.0, "a", 1), (-5.0, "b", 2)])
    house.configure(house.views)

    def moves(what: Callable[[], object]) -> bool:
        before = house.box.state
        what()
        return is_moved(before, house.box.state)

    assert moves(house.roll)
    assert moves(house.refresh)
    assert not moves(lambda: house.come([(-4.0, "a", 2)]))
    assert moves(house.roll)
    assert moves(house.compact)
    assert not moves(lambda: house.delete(NOON_US - HOUR_US, NOON_US))
    house.refresh()
    assert moves(lambda: house.expire(NOON_US - US_PER_DAY // 2))
    house.close()


async def test_the_builder_works_at_an_event_and_not_while_batch_is_paused(house: CacheHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    monkeypatch.setattr(house.builder, "work", work)
    monkeypatch.setattr(building, "PAUSED_S", 0.0)
    task = asyncio.get_running_loop().create_task(house.builder.run())
    house.builder._ladder.standing = Standing(step=Step.BATCH_PAUSED)
    house.builder.moved()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not done.is_set()
    house.builder._ladder.standing = Standing()
    await asyncio.wait_for(done.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
