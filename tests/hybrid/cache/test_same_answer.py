"""A cached answer is the one that the records give, whatever came, moved or went since it was kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from tests.clock import NOON_US
from tests.hybrid.cache.house import CacheHouse
from tests.hybrid.cache.plain import BACK, HOURS, SUMS, PlainHouse
from tests.views.house import HOUR_US, view

QUESTIONS = (
    "SELECT device, count(*) AS n, sum(value) AS total, avg(value) AS mean FROM readings GROUP BY ALL",
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, device, max(value) AS peak FROM readings"
    " WHERE ts >= '2026-11-21 13:10' AND ts < '2026-11-22 09:30' GROUP BY ALL",
    "SELECT device, count(*) AS n FROM readings WHERE ts >= now() - INTERVAL '5 hours' GROUP BY ALL",
    "SELECT count(*) AS n, min(value) AS low FROM readings WHERE ts < '2026-11-22'",
    "SELECT count(*) AS n FROM readings WHERE ts >= current_date",
    "SELECT ts, device, value FROM readings ORDER BY ts DESC, device LIMIT 3",
    "SELECT * FROM readings WHERE ts >= '2026-11-21 18:00' AND ts < '2026-11-21 21:00'",
    "SELECT device, value FROM readings_latest",
    "SELECT count(*) AS n FROM readings_cold",
    "SELECT count(*) AS n, max(value) AS high FROM readings_hot",
    "SELECT * FROM hourly",
    "SELECT sum(n) AS n FROM hourly WHERE bucket >= '2026-11-22'",
    "SELECT a.device, count(*) AS n FROM readings a JOIN readings_cold b ON a.device = b.device GROUP BY ALL",
    "SELECT name, hot_rows FROM _streams",
    "SELECT random() < 2 AS yes, count(*) AS n FROM readings",
)
row = st.tuples(st.integers(-100, 4).map(lambda q: q / 4), st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 9))
span = st.tuples(st.integers(-30, 0), st.integers(1, 12))
step = st.one_of(
    st.lists(row, min_size=1, max_size=4),
    st.sampled_from(["roll", "refresh", "compact", "hour", "die", "build", "expire", "meanwhile"]),
    span,
    st.integers(0, len(QUESTIONS) - 1),
)
ALWAYS = (0, 1, 3, 6, 11)
"""Asked after each step, so that they are kept when the next one comes; the first two have parts."""


def do(house: CacheHouse, what: Any) -> None:
    match what:
        case "hour":
            house.pass_hours(1)
        case "expire":
            house.expire(NOON_US - US_PER_DAY)
        case "meanwhile":
            house.come([(-2.2, "b", 1)])
            house.meanwhile = lambda: house.come([(-3.1, "a", 5), (0.1, "b", 7)])
        case str():
            getattr(house, what)()
        case (int() as since, int() as hours):
            house.delete(NOON_US + since * HOUR_US, NOON_US + (since + hours) * HOUR_US, "a" if hours % 2 else "*")
        case list():
            house.come(what)
        case int():
            house.get(QUESTIONS[what])  # records that come meanwhile are not in it, and it must not be given again then
            house.meanwhile = lambda: None
            house.same(QUESTIONS[what])


@settings(
    max_examples=int(os.environ.get("CACHE_EXAMPLES", "1")),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(step, min_size=8, max_size=20), ring=st.sampled_from(["1KiB", "64MiB"]))
def test_any_interleaving_gives_the_answer_of_the_records(steps: list[Any], ring: str) -> None:
    root = Path(tempfile.mkdtemp(prefix="cache"))
    house = CacheHouse(root, {"hourly": view()}, ring=ring)
    try:
        house.come([(-29.0, "a", 1), (-5.0, "b", 2), (-0.5, "a", 3)])
        house.configure(house.views)
        for what in ("roll", "build", *steps):
            do(house, what)
            for number in ALWAYS:
                do(house, number)
        for sql in QUESTIONS:
            house.same(sql)
        house.build()
        for sql in QUESTIONS:
            house.same(sql)
    finally:
        house.close()
        shutil.rmtree(root)


NIGHT = {"since_us": NOON_US - 20 * HOUR_US, "until_us": NOON_US - 5 * HOUR_US - 7}
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    (HOURS, {}),
    (BACK, {}),
    (HOURS, NIGHT),
    (SUMS, {}),
    (SUMS, NIGHT),
    (SUMS, {"path": "hot"}),
    (SUMS, {"path": "cold"}),
)
plain_step = st.one_of(
    st.lists(row, min_size=1, max_size=3),
    st.tuples(row, row),
    st.sampled_from(["roll", "roll", "compact", "expire"]),
    span,
)


def do_plainly(house: PlainHouse, what: Any) -> None:
    match what:
        case "expire":
            house.expire(NOON_US - US_PER_DAY)
        case str():
            getattr(house, what)()
        case (int() as since, int() as hours):
            house.delete(NOON_US + since * HOUR_US, NOON_US + (since + hours) * HOUR_US, "a" if hours % 2 else "*")
        case list():
            house.come(what)
        case tuple():
            for sql, more in ASKED:
                house.come([(-0.1, "b", 1), (-3.2, "a", 2)])
                before, meanwhile = ([(*r[:2], next(house.ids))] for r in what)  # another value each time
                house.before, house.meanwhile = [partial(house.come, before)], [partial(house.come, meanwhile)]
                house.get(sql, **more)  # what comes meanwhile is in it or not, and it must not be given again
                house.before, house.meanwhile = [], []
                house.same(sql, **more)


@settings(
    max_examples=int(os.environ.get("CACHE_EXAMPLES", "20")),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(plain_step, min_size=6, max_size=12), ring=st.sampled_from(["1KiB", "64MiB"]))
def test_whatever_comes_moves_or_goes_no_kept_or_completed_answer_is_another_than_the_records_give(steps: list[Any], ring: str) -> None:
    root = Path(tempfile.mkdtemp(prefix="cache"))
    house = PlainHouse(root, ring=ring)
    try:
        house.come([(n / 2 - 60, "ab"[n % 2], n % 7) for n in range(120)])
        house.roll()
        house.come([(-29.0, "a", 1), (-5.0, "b", 2), (-0.5, "a", 3)])
        for what in (None, *steps):
            if what is not None:
                do_plainly(house, what)
            for sql, more in ASKED:
                house.same(sql, **more)
                assert house.same(sql, **more) == "hit"
    finally:
        house.close()
        shutil.rmtree(root)
