"""A question over a stream has the same answer, by value, name and type, whether a view stands in for the records or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings

from appliance.clock import US_PER_DAY
from appliance.records import EVERYTHING
from appliance.serving.duck import Planner
from appliance.serving.explain import lines
from appliance.serving.plain_select import plain_select
from appliance.serving.stand_in import StandIns, Worth
from tests.clock import NOON_US
from tests.examples import examples
from tests.views.house import HOUR_US, House, view
from tests.views.questions import questions

WIDE: Final = (
    "SELECT date_trunc('hour', r.ts) AS bucket, device AS unit, upper(device) AS loud, count(*) AS n, count(value) AS present,"
    " sum(value) AS total, min(value) AS low, max(r.value) AS high, quantile_cont(value, 0.9) AS p90, sum(value * 2) AS twice,"
    " count(*) FILTER (WHERE value > 3) AS large, max(value) - min(value) AS spread FROM readings r GROUP BY ALL"
)
SOME: Final = "SELECT time_bucket(INTERVAL '15 minutes', ts) AS bucket, max(value) AS high FROM readings WHERE value > 3 GROUP BY 1"
QUARTERS: Final = {"wide": view(WIDE), "some": view(SOME, bucket_s=900)}
BETWEEN: Final = "ts >= '2026-11-21 07:20:00' AND ts < '2026-11-22 09:40:30.5'"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("stand-in"), {})
    made.come([(-99.0, "a", 1)])
    made.configure(QUARTERS)
    made.come([(q / 4 - 70, "abc"[q % 3] if q % 7 else None, None if q % 5 == 0 else q * 31 % 10) for q in range(290)])
    made.roll()
    made.refresh()
    made.come([(-30.3, "a", 8), (-30.25, "c", 9), (-55.0, "d", 2), (0.3, "a", 4)])
    made.delete(NOON_US - 50 * HOUR_US, NOON_US - 49 * HOUR_US, "a")
    made.pass_hours(0.5)
    yield made
    made.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM readings",
        "SELECT count(*), sum(value), avg(value) FROM readings WHERE device = 'nobody'",
        f"SELECT count(*), count(ts), count(value), sum(value), min(value) AS low, max(value), mean(value) FROM readings WHERE {BETWEEN}",
        "SELECT device, avg(value) AS value FROM readings WHERE ts >= now() - INTERVAL 2 DAYS GROUP BY device ORDER BY value DESC, device",
        f"SELECT time_bucket(INTERVAL '1 hour', ts) AS ts, max(value) FROM readings WHERE {BETWEEN} GROUP BY ALL ORDER BY ts",
        f"SELECT time_bucket(INTERVAL '6 hours', r.ts) AS t, r.device, sum(value * 2) FROM readings r WHERE {BETWEEN} GROUP BY 1, 2",
        "SELECT date_trunc('month', ts) AS m, ts::DATE AS d, hour(ts) AS h, count(*) FROM readings GROUP BY m, d, h",
        "SELECT extract(dow FROM ts), device || '!' AS d, max(value) FROM readings GROUP BY ALL HAVING count(*) > 3 AND d <> 'b!'",
        "SELECT time_bucket(INTERVAL '1 month', ts), count(*) FROM readings WHERE ts BETWEEN '2026-11-20' AND DATE '2026-11-22' GROUP BY 1",
        "SELECT count(*) FILTER (WHERE device = 'a'), avg(value) FILTER (WHERE device IS NULL) FROM readings",
        "SELECT count(*) FILTER (WHERE value > 3), device FROM readings WHERE device IN ('a', 'b') AND '2026-11-21' <= ts GROUP BY device",
        "SELECT time_bucket(INTERVAL '1 hour', ts), device, upper(device), quantile_cont(value, 0.9), 1 + (max(value) - min(value)) FROM"
        " readings GROUP BY ALL",
        f"SELECT date_trunc('hour', ts) h, device, upper(device) l, quantile_cont(value, 0.9) FROM readings WHERE {BETWEEN} GROUP BY ALL",
        "SELECT upper(device) AS who, count(DISTINCT device), max(device) FROM readings GROUP BY who",
        "SELECT DISTINCT device FROM readings",
        "SELECT CASE WHEN device = 'a' THEN 'A' ELSE 'other' END AS which, count(*) * 2.5 AS n FROM readings GROUP BY which ORDER BY ALL",
        "SELECT max(value) FROM readings WHERE value > 3",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, max(value) FROM readings WHERE ts < '2026-11-22' AND value > 3 GROUP BY h",
        "SELECT sum(value) FROM readings WHERE ts::DATE = DATE '2026-11-21'",
        "SELECT device FROM readings GROUP BY device ORDER BY count(*) DESC, device LIMIT 2",
    ],
)
def test_a_view_stands_in(house: House, sql: str) -> None:
    explain = house.check_stand_in(sql)
    assert explain.stood_in == ("some" if "value > 3" in sql and "FILTER" not in sql else "wide"), (explain.not_stood_in, sql)
    assert f"answered from the view {explain.stood_in} in place of the stream's records" in list(lines(explain))


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT median(value) FROM readings", "no column from which median could be made"),
        ("SELECT quantile_cont(value, 0.9), device FROM readings GROUP BY device", "no column from which quantile_cont could be made"),
        ("SELECT sum(DISTINCT value) FROM readings", "no column from which sum could be made"),
        ("SELECT min(value, 2) FROM readings", "no column from which min could be made"),
        ("SELECT sum(value) FILTER (WHERE value > 2) FROM readings", "value is no column that the view groups by"),
        ("SELECT min(ts), max(ts) FROM readings", "the time of each record"),
        ("SELECT sum(value) FROM readings WHERE value < 5", "value is no column that the view groups by"),
        ("SELECT count(*) FROM readings WHERE ts < '2026-11-21' OR device = 'a'", "the time of each record"),
        ("SELECT minute(ts), count(*) FROM readings GROUP BY 1", "finer than the view's buckets"),
        ("SELECT time_bucket(INTERVAL '90 minutes', ts), count(*) FROM readings GROUP BY 1", "finer than the view's buckets"),
        ("SELECT time_bucket(INTERVAL '1 hour', ts, INTERVAL '5 minutes'), count(*) FROM readings GROUP BY 1", "the time of each record"),
        ("SELECT ts, count(*) FROM readings GROUP BY ts", "the time of each record"),
        ("SELECT count(readings) FROM readings", "no column from which count could be made"),
        ("SELECT device, count(*) FROM readings GROUP BY ROLLUP (device)", "it groups in more than one way"),
        ("SELECT device, sum(count(*)) OVER () FROM readings GROUP BY device", "it holds a window"),
        ("SELECT count(*) FROM readings WHERE random() < 2", "another one for each record"),
        ("SELECT avg(value * 2) FROM readings", "takes the sum and the count of the very same"),
        ("SELECT value, count(*) FROM readings GROUP BY value", "value is no column that the view groups by"),
        ("SELECT device FROM readings", ""),
        ("SELECT count(*) FROM (SELECT * FROM readings)", ""),
        ("SELECT count(*) FROM readings_cold", ""),
        ("SELECT count(*) FROM readings a, readings b WHERE a._seq = b._seq", ""),
    ],
)
def test_records_are_read_where_no_view_can_say(house: House, sql: str, why: str) -> None:
    explain = house.check_stand_in(sql)
    assert not explain.stood_in
    assert why in explain.not_stood_in
    assert bool(why) == bool(explain.not_stood_in)


def test_only_edges_and_what_is_dirty_or_open_are_read_of_the_records(house: House) -> None:
    explain = house.check_stand_in(f"SELECT sum(value) FROM readings WHERE {BETWEEN}")
    (seen,) = explain.views
    assert len(seen.live) == 2, "two buckets that the bounds cut, and the dirty ones are before them"
    assert seen.live[0][0] == NOON_US - US_PER_DAY - (4 * 60 + 40) * 60_000_000
    assert sum(s.hot_rows for s in explain.streams) < 5


def test_the_bounds_of_a_question_cut_too(house: House) -> None:
    since, until = NOON_US - 40 * HOUR_US - 1_234_567, NOON_US - 3 * HOUR_US + 1
    assert house.check_stand_in("SELECT count(*), sum(value) FROM readings", since_us=since, until_us=until).stood_in == "wide"


def test_an_error_is_that_of_the_question_as_it_was_asked(house: House) -> None:
    for views in (True, False):
        with pytest.raises(Exception, match="Could not convert string 'a' to INT32"):
            house.ask("SELECT sum(value), device::INTEGER FROM readings GROUP BY 2 ORDER BY 2", views=views)


@pytest.mark.parametrize(
    "bound",
    [
        "now()",
        "now() - INTERVAL 3 HOURS",
        "current_timestamp - INTERVAL '1 day'",
        "current_date - INTERVAL 1 DAY",
        "today()",
        "'2026-11-21 10:20'",
        "TIMESTAMP '2026-11-21 10:20:30.123456'",
        "date_trunc('hour', now()) - INTERVAL '1 day 3 hours'",
        "'2026-11-21T10:20:30Z'",
    ],
)
def test_a_bound_is_what_duckdb_takes_it_for(house: House, bound: str) -> None:
    assert house.check_stand_in(f"SELECT count(*), max(value) FROM readings WHERE ts < {bound}").stood_in == "wide"
    assert house.check_stand_in(f"SELECT count(*), max(value) FROM readings WHERE {bound} >= ts").stood_in == "wide"


def test_no_view_is_looked_for_where_few_records_are_read(house: House) -> None:
    planner = Planner()
    stand_ins = StandIns(planner, Worth(records_min=100, share_max=1e9))
    (table,) = house.source().lookup(["readings"])
    for condition, pays in (("true", True), ("ts > now() - INTERVAL 1 HOUR", False), (f"ts > make_timestamp({NOON_US})", False)):
        sql = f"SELECT count(*) FROM readings WHERE {condition}"
        select = plain_select(planner.tree(sql))
        assert select is not None
        found, why = stand_ins.of(select, sql, table, bounds=EVERYTHING, now_us=NOON_US)
        assert (found is not None, why) == (pays, "")
    planner.close()


def test_sealed_buckets_do_not_bring_back_what_retention_removed(tmp_path: Path) -> None:
    house = House(tmp_path, {})
    house.come([(-99.0, "a", 1)])
    house.configure(QUARTERS)
    house.come([(q / 4 - 90, "a", q % 10) for q in range(350)])
    house.roll()
    house.refresh()
    assert house.expire(NOON_US - 36 * HOUR_US)
    house.come([(-80.0, "late", 5)])
    assert house.ask("SELECT count(*) AS n FROM wide WHERE bucket < '2026-11-21'")[0]["n"]
    for sql in (
        "SELECT count(*), sum(value) FROM readings",
        "SELECT device, max(value) FROM readings WHERE ts > '2026-11-19 05:05' GROUP BY 1",
    ):
        assert house.check_stand_in(sql).stood_in == "wide"
    house.close()


def test_a_view_whose_file_is_lost_stands_in_all_the_same(tmp_path: Path) -> None:
    house = House(tmp_path, {})
    house.come([(-20.0, "a", 1)])
    house.configure(QUARTERS)
    house.come([(q / 4 - 30, "a", q % 10) for q in range(100)])
    house.roll()
    house.refresh()
    for file in (house.folder / "views/wide").rglob("*.parquet"):
        file.unlink()
    assert house.check_stand_in("SELECT count(*), sum(value) FROM readings").stood_in == "wide"
    house.close()


@given(sql=questions())
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plain_question_has_the_same_answer(house: House, sql: str) -> None:
    house.check_stand_in(sql)
