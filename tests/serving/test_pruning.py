"""Which event times a query can touch, out of its SQL; and that leaving out the rest changes no answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.records import EVERYTHING, TimeRange
from appliance.serving import pruning
from appliance.serving.duck import Planner
from appliance.serving.engine import Engine
from appliance.serving.snapshot import NOTHING, Side, TableInfo, columns_of
from tests.examples import examples
from tests.serving.asking import NOW_US, ask, flat, rows
from tests.serving.world import VERSIONS, World, at

HOUR = 3600 * US_PER_S
COLUMNS = columns_of(VERSIONS[3])
TABLES = [TableInfo(name, Side.MERGED, name, COLUMNS) for name in ("readings", "other", "readings_cold")]


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    made = Planner()
    yield made
    made.close()


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * US_PER_S


def span(planner: Planner, sql: str, table: str = "readings") -> TimeRange | None:
    """The range of a table; None where it is not read at all."""
    need = planner.needs(sql, TABLES, now_us=NOW_US).get(table)
    return None if need is None else need.span


def holds(found: TimeRange | None, wanted: TimeRange) -> bool:
    """Whether nothing of ``wanted`` is left out."""
    assert found is not None
    low = found.since is None or (wanted.since is not None and found.since <= wanted.since)
    return low and (found.until is None or (wanted.until is not None and found.until >= wanted.until))


EXACT = {
    "ts >= '2026-01-02'": ("2026-01-02", None),
    "ts > '2026-01-02' AND ts <= '2026-01-03'": ("2026-01-02T00:00:00.000001", "2026-01-03T00:00:00.000001"),
    "ts BETWEEN '2026-01-02' AND '2026-01-03'": ("2026-01-02", "2026-01-03T00:00:00.000001"),
    "'2026-01-02' <= ts AND '2026-01-03' > ts": ("2026-01-02", "2026-01-03"),
    "ts = '2026-01-02'": ("2026-01-02", "2026-01-02T00:00:00.000001"),
    "ts IN ('2026-01-05', '2026-01-02')": ("2026-01-02", "2026-01-05T00:00:00.000001"),
    "ts >= '2026-01-02T00:00:00Z'": ("2026-01-02", None),
    "ts >= DATE '2026-01-02'": ("2026-01-02", None),
    "ts >= now() - INTERVAL 1 HOUR": ("2026-01-02T11:00:00", None),
    "ts >= current_timestamp - INTERVAL '12 hours'": ("2026-01-02", None),
    "ts >= today()": ("2026-01-02", None),
    "ts >= current_date - 1": ("2026-01-01", None),
    "ts >= date_trunc('day', now())": ("2026-01-02", None),
    "date_trunc('day', ts) = '2026-01-02'": ("2026-01-02", "2026-01-03"),
    "ts::date = '2026-01-02'": ("2026-01-02", "2026-01-03"),
    "year(ts) = 2026": ("2026-01-01", "2027-01-01"),
    "NOT (ts < '2026-01-02')": ("2026-01-02", None),
    "ts >= '2026-01-02' AND device = 'a'": ("2026-01-02", None),
    "ts >= '2026-01-02' AND (value > 3 OR device = 'a')": ("2026-01-02", None),
    "ts >= '2026-01-02' OR ts >= '2026-01-04'": ("2026-01-02", None),
    "(ts >= '2026-01-02' AND device = 'a') OR (ts >= '2026-01-04' AND device = 'b')": ("2026-01-02", None),
    "(ts BETWEEN '2026-01-02' AND '2026-01-03') OR (ts BETWEEN '2026-01-05' AND '2026-01-06')": (
        "2026-01-02",
        "2026-01-06T00:00:00.000001",
    ),
    "ts >= '2026-01-02' AND ts <> '2026-01-05'": ("2026-01-02", None),
    "time_bucket(INTERVAL '1 hour', ts) >= '2026-01-02'": ("2026-01-02", None),
    "time_bucket(INTERVAL '1 hour', ts) < '2026-01-02'": (None, "2026-01-02T01:00:00"),
    "epoch_us(ts) >= 1767312000000000": ("2026-01-02", None),
}
"""Condition -> since and until that it comes to."""


@pytest.mark.parametrize("condition", EXACT)
def test_a_condition_on_time_bounds_the_scan(planner: Planner, condition: str) -> None:
    since, until = EXACT[condition]
    wanted = TimeRange(None if since is None else _micros(since), None if until is None else _micros(until))
    assert span(planner, f"SELECT device, value FROM readings WHERE {condition}") == wanted


ROUGH = {
    "ts >= '2026-01-02T00:00:00Z'::timestamptz": TimeRange(since=us("2026-01-02")),
    "ts::date >= '2026-01-02'": TimeRange(since=us("2026-01-02")),
    "ts::date BETWEEN '2026-01-02' AND '2026-01-04'": TimeRange(us("2026-01-02"), us("2026-01-05")),
    "epoch_ms(ts) BETWEEN 1767312000000 AND 1767398400000": TimeRange(us("2026-01-02"), us("2026-01-03") + 1000),
}
"""Condition -> a range that must be held, and that may be left by two days at most."""


@pytest.mark.parametrize("condition", ROUGH)
def test_a_rounded_condition_bounds_the_scan_with_room_to_spare(planner: Planner, condition: str) -> None:
    wanted = ROUGH[condition]
    found = span(planner, f"SELECT device FROM readings WHERE {condition}")
    assert found is not None
    assert holds(found, wanted)
    assert wanted.since is not None
    assert found.since is not None
    assert wanted.since - found.since <= 2 * US_PER_DAY
    assert wanted.until is None or (found.until is not None and found.until - wanted.until <= 2 * US_PER_DAY)


UNBOUNDED = [
    "SELECT count(*) FROM readings",
    "SELECT * FROM readings WHERE device = 'a'",
    "SELECT * FROM readings WHERE ts >= '2026-01-02' OR device = 'a'",
    "SELECT * FROM readings WHERE NOT (ts >= '2026-01-02' AND device = 'a')",
    "SELECT * FROM readings WHERE ts <> '2026-01-02'",
    "SELECT * FROM readings WHERE ts IS DISTINCT FROM '2026-01-02'",
    "SELECT * FROM readings WHERE CASE WHEN device = 'a' THEN ts >= '2026-01-02' ELSE true END",
    "SELECT * FROM readings WHERE coalesce(ts >= '2026-01-02', true)",
    "SELECT * FROM readings WHERE ts + INTERVAL 1 HOUR * value > '2026-01-02'",
    "SELECT * FROM readings WHERE hour(ts) = 3",
    "SELECT * FROM readings WHERE strftime(ts, '%H') = '03'",
    "SELECT * FROM readings WHERE ts::VARCHAR > '2026'",
    "SELECT * FROM readings WHERE time_bucket(INTERVAL '1 month', ts) > '2026-01-02' OR random() < 0.5",
    "SELECT * FROM readings WHERE ts > (SELECT max(ts) FROM other)",
    "SELECT * FROM readings WHERE ts > '2026-01-02'::TIMESTAMP - INTERVAL 1 DAY * _seq",
    "SELECT (SELECT max(ts) FROM readings) FROM other WHERE ts > '2026-01-02'",
    "SELECT r.ts FROM readings r LEFT JOIN other o ON o.device = r.device AND r.ts > '2026-01-02'",
    "SELECT r.ts FROM readings r LEFT JOIN other o ON o.device = r.device AND o.ts > '2026-01-02'",
    "SELECT r.ts FROM readings r FULL JOIN other o ON o.device = r.device AND r.ts > '2026-01-02'",
    "SELECT * FROM (SELECT * FROM readings LIMIT 10) WHERE ts > '2026-01-02'",
    "SELECT * FROM (SELECT *, lag(value) OVER (ORDER BY ts) FROM readings) WHERE ts > '2026-01-02'",
    "SELECT * FROM (SELECT DISTINCT ON (device) * FROM readings ORDER BY ts) WHERE ts > '2026-01-02'",
    "SELECT device, max(ts) AS last FROM readings GROUP BY device HAVING last > '2026-01-02'",
    "SELECT ts, count(*) FILTER (WHERE ts > '2026-01-02') FROM readings GROUP BY ts",
    "SELECT * FROM readings WHERE ts > '2026-01-02' UNION ALL SELECT * FROM readings",
    "WITH r AS MATERIALIZED (SELECT * FROM readings) SELECT (SELECT count(*) FROM r), (SELECT count(*) FROM r WHERE ts > '2026-01-02')",
    "SELECT * FROM readings a JOIN readings b USING (device) WHERE a.ts > '2026-01-02'",
    "SELECT * FROM readings USING SAMPLE 10 ROWS",
    "SELECT * FROM (SELECT ts - INTERVAL 1 DAY * value AS ts FROM readings) WHERE ts > '2026-01-02'",
    "SELECT * FROM (SELECT note::TIMESTAMP AS ts FROM readings) WHERE ts > '2026-01-02'::timestamptz",
    "SUMMARIZE readings",
]


@pytest.mark.parametrize("sql", UNBOUNDED)
def test_what_no_condition_bounds_is_read_whole(planner: Planner, sql: str) -> None:
    assert span(planner, sql) == EVERYTHING


BOUNDED = [
    "WITH r AS (SELECT * FROM readings) SELECT * FROM r WHERE ts >= '2026-01-02'",
    "SELECT * FROM (SELECT device AS d, ts AS t FROM readings) WHERE t >= '2026-01-02'",
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS b, avg(value) FROM readings GROUP BY ALL HAVING b >= '2026-01-02'",
    "SELECT * FROM readings r JOIN other o ON r.device = o.device AND r.ts = o.ts WHERE o.ts >= '2026-01-02'",
    "SELECT * FROM readings r, range(3) t(i) WHERE r.ts >= '2026-01-02'",
    "SELECT * FROM readings r, (VALUES (1)) t(i) WHERE r.ts >= '2026-01-02'",
    "SELECT * FROM readings WHERE ts >= '2026-01-02' ORDER BY ts DESC LIMIT 5",
    "SELECT *, row_number() OVER (PARTITION BY device ORDER BY ts DESC) AS n FROM readings WHERE ts >= '2026-01-02' QUALIFY n = 1",
    "SELECT * FROM readings WHERE ts >= '2026-01-02' UNION ALL SELECT * FROM readings WHERE ts >= '2026-01-03'",
    "WITH r AS MATERIALIZED (SELECT * FROM readings WHERE ts >= '2026-01-02') SELECT * FROM r a JOIN r b USING (ts)",
    "WITH RECURSIVE r AS (SELECT ts, 1 AS n FROM readings WHERE ts >= '2026-01-02' UNION ALL SELECT ts, n + 1 FROM r WHERE n < 3) FROM r",
    "SELECT * FROM other o LEFT JOIN readings r ON o.device = r.device AND r.ts >= '2026-01-02'",
    "SELECT (SELECT max(value) FROM readings WHERE ts >= '2026-01-02') FROM other",
    "FROM readings SELECT count(*) WHERE ts >= '2026-01-02'",
    "WITH r AS (SELECT * FROM readings WHERE ts >= '2026-01-02') SELECT (SELECT count(*) FROM r), (SELECT max(value) FROM r WHERE ok)",
    "PIVOT (FROM readings WHERE ts >= '2026-01-02') ON device IN ('a', 'b') USING sum(value)",
    "SELECT * FROM readings r ASOF JOIN other o ON r.device = o.device AND r.ts >= o.ts WHERE r.ts >= '2026-01-02'",
]


@pytest.mark.parametrize("sql", BOUNDED)
def test_a_condition_around_or_beside_the_stream_reaches_its_scan(planner: Planner, sql: str) -> None:
    found = span(planner, sql)
    assert found is not None
    assert found.since == us("2026-01-02")


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM readings WHERE false", "SELECT * FROM readings WHERE ts > '2026-02-01' AND ts < '2026-01-01'", "DESCRIBE readings"],
)
def test_what_can_have_no_rows_is_not_read(planner: Planner, sql: str) -> None:
    found = span(planner, sql)
    assert found is None or found.empty


def test_each_table_has_a_range_of_its_own(planner: Planner) -> None:
    sql = "SELECT * FROM readings r JOIN other o USING (device) WHERE r.ts >= '2026-01-02' AND o.ts < '2026-01-05'"
    assert span(planner, sql) == TimeRange(since=us("2026-01-02"))
    assert span(planner, sql, "other") == TimeRange(until=us("2026-01-05"))


def test_only_columns_that_are_used_are_wanted(planner: Planner) -> None:
    needs = planner.needs("SELECT avg(value) FROM readings WHERE ts >= '2026-01-02' AND device = 'a'", TABLES, now_us=NOW_US)
    assert needs["readings"].columns == {"ts", "device", "value"}
    assert planner.needs("SELECT count(*) FROM readings", TABLES, now_us=NOW_US)["readings"].columns == frozenset()
    assert planner.needs("SELECT * FROM readings", TABLES, now_us=NOW_US)["readings"].columns == {name for name, _ in COLUMNS}


def test_a_plan_of_an_unknown_form_is_said_and_not_guessed_at() -> None:
    scan = {"type": "LOGICAL_GET", "qname": {"path": ["seq_scan"]}}
    for plan in (None, {"error": True, "error_message": "no"}, {"error": False, "plans": [scan]}, {"error": False}):
        with pytest.raises(ValueError, match=r"plan|no"):
            pruning.needs(plan)


def test_a_filter_of_an_unknown_kind_bounds_nothing() -> None:
    column = {"index": 0, "child_indexes": []}
    filters = [{"key": 0, "value": {"filter_type": "SOMETHING_NEW"}}]
    scan = {
        "type": "LOGICAL_GET",
        "children": [],
        "qname": {"path": ["seq_scan"]},
        "function_data": {"table": "t"},
        "names": ["ts"],
        "column_indexes": [column],
        "table_filters": {"filters": filters},
        "table_filters_by_projection": True,
    }
    assert pruning.needs({"error": False, "plans": [scan]})["t"] == pruning.Need(EVERYTHING, frozenset({"ts"}))


def test_the_empty_range_adds_nothing_to_a_hull() -> None:
    from appliance.serving.snapshot import hull

    assert hull(NOTHING, TimeRange(1, 2)) == TimeRange(1, 2)
    assert hull(TimeRange(5, 6), TimeRange(1, 2)) == TimeRange(1, 6)
    assert hull(TimeRange(5), TimeRange(None, 2)) == EVERYTHING


def _micros(text: str) -> int:
    parsed = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return us(text) + parsed.microsecond


NUMBERS = itertools.count()
MOMENTS = st.integers(0, 95).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC).timestamp() + n * 3600)
TEXTS = MOMENTS.map(lambda s: datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%d %H:%M:%S"))
COMPARED = st.sampled_from(["<", "<=", "=", ">=", ">", "<>"])
ATOMS = st.one_of(
    st.builds(lambda c, t: f"ts {c} TIMESTAMP '{t}'", COMPARED, TEXTS),
    st.builds(lambda c, t: f"TIMESTAMP '{t}' {c} ts", COMPARED, TEXTS),
    st.builds(lambda c, t: f"ts {c} '{t}+00'::timestamptz", COMPARED, TEXTS),
    st.builds(lambda c, t: f"ts::date {c} '{t[:10]}'", COMPARED, TEXTS),
    st.builds(lambda u, c, t: f"date_trunc('{u}', ts) {c} '{t}'", st.sampled_from(["hour", "day", "week"]), COMPARED, TEXTS),
    st.builds(
        lambda w, c, t: f"time_bucket(INTERVAL '{w}', ts) {c} '{t}'",
        st.sampled_from(["1 hour", "90 minutes", "1 day", "1 month"]),
        COMPARED,
        TEXTS,
    ),
    st.builds(lambda c, s: f"epoch_ms(ts) {c} {int(s * 1000)}", COMPARED, MOMENTS),
    st.builds(lambda c, s: f"epoch(ts) {c} {int(s)}", COMPARED, MOMENTS),
    st.builds(lambda a, b: f"ts BETWEEN '{a}' AND '{b}'", TEXTS, TEXTS),
    st.builds(lambda a, b: f"ts NOT BETWEEN '{a}' AND '{b}'", TEXTS, TEXTS),
    st.builds(lambda a, b: f"ts IN ('{a}', '{b}')", TEXTS, TEXTS),
    st.builds(lambda n: f"ts > now() - to_hours({n})", st.integers(-20, 40)),
    st.builds(lambda d: f"device = '{d}'", st.sampled_from("abc")),
    st.builds(lambda v: f"value > {v}", st.integers(0, 20)),
    st.sampled_from(["note IS NULL", "ts IS NOT NULL", "hour(ts) = 3", "ok", "device IN ('a', 'b')"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}) AND ({b})", inner, inner),
        st.builds(lambda a, b: f"({a}) OR ({b})", inner, inner),
        st.builds(lambda a: f"NOT ({a})", inner),
        st.builds(lambda a, b: f"CASE WHEN {a} THEN {b} ELSE device = 'a' END", inner, inner),
        st.builds(lambda a: f"coalesce({a}, false)", inner),
    ),
    max_leaves=5,
)
SHAPES = [
    "SELECT * FROM readings WHERE {0}",
    "SELECT count(*) AS n, sum(value) AS v FROM readings WHERE {0}",
    "SELECT device, min(ts), max(_seq) FROM readings WHERE {0} GROUP BY device HAVING count(*) > 1",
    "WITH r AS (SELECT * FROM readings WHERE {0}) SELECT _seq FROM r WHERE {1}",
    "WITH r AS MATERIALIZED (FROM readings) SELECT _seq FROM r WHERE {0} UNION ALL SELECT _seq + 1000 FROM r WHERE {1}",
    "SELECT _seq FROM readings WHERE {0} UNION SELECT -_seq FROM readings WHERE {1}",
    "SELECT a._seq, b._seq FROM readings a LEFT JOIN (SELECT * FROM readings WHERE {0}) b ON a.device = b.device AND a.ts = b.ts",
    "SELECT a._seq FROM readings a JOIN readings b ON a._seq = b._seq + 1 WHERE b._seq IN (SELECT _seq FROM readings WHERE {0})",
    "SELECT _seq, v FROM (SELECT *, sum(value) OVER (ORDER BY _seq) AS v FROM readings WHERE {0}) WHERE {1}",
    "SELECT * FROM (SELECT DISTINCT ON (device) * FROM readings WHERE {0} ORDER BY ts, _seq) WHERE {1}",
    "SELECT _seq FROM readings WHERE {0} ORDER BY _seq LIMIT 3",
    "SELECT (SELECT count(*) FROM readings WHERE {0}) AS n, (SELECT max(ts) FROM readings WHERE {1}) AS t",
    "SELECT _seq FROM readings r WHERE EXISTS (SELECT 1 FROM readings o WHERE o.device = r.device AND o._seq < r._seq AND ({0}))",
    "SELECT count(*) FILTER (WHERE {0}) AS n, max(value) AS v FROM readings WHERE {1}",
    "SELECT r._seq, i FROM readings r, range(2) t(i) WHERE {0}",
]


@pytest.fixture(scope="module")
def spread(root: Path, engine: Engine) -> World:  # the engine makes the folder of the lake
    """Four days of records: some hot in the ring, some hot in the store, some in segments of two a day."""
    w = World(root, "spread")
    for n in range(96):
        w.commit([{"ts": at(n * 3600 + 7 * k), "device": "abc"[k], "value": float((n * 7 + k) % 23), "ok": n % 3 == 0} for k in range(3)])
    w.roll(200, parts=2)
    w.commit([{"ts": at(30 * 3600), "device": "a", "note": "again"}])
    return w


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.sampled_from(SHAPES), first=CONDITIONS, second=CONDITIONS, ring=st.sampled_from([None, 250, 999]))
def test_the_pruned_answer_is_the_whole_one(engine: Engine, spread: World, shape: str, first: str, second: str, ring: Any) -> None:
    sql = shape.format(first, second)
    found, explain = ask(engine, spread.source(ring_from=ring), sql)
    assert explain.pruned
    assert rows(found) == rows(flat(spread.flat(), sql)), sql


def test_a_narrow_range_opens_only_files_that_can_matter(engine: Engine, spread: World) -> None:
    sql = "SELECT count(*) AS n FROM readings WHERE ts >= '2026-01-02 01:00:00' AND ts < '2026-01-02 02:00:00'"
    for segment in spread.segments:
        if segment.day != spread.segments[0].day + 1:
            (spread.root / segment.path).rename(spread.root / f"{segment.path}.away")
    try:
        found, explain = ask(engine, spread.source(), sql)
    finally:
        for segment in spread.segments:
            if (away := spread.root / f"{segment.path}.away").exists():
                away.rename(spread.root / segment.path)
    assert found.to_pylist() == [{"n": 3}]
    stream = explain.streams[0]
    assert (stream.cold_files, stream.cold_files_skipped) == (2, len(spread.segments) - 2)
    assert (stream.hot_rows, stream.hot_rows_skipped) == (0, spread.state().streams["readings"].hot_rows)
    assert explain.notes == ()
