"""What goes first, what is tried again and when, and what ``:day`` stands for: tables."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.clock import US_PER_S
from appliance.cold.batch.queue import AGE_US, Again, Queued, Standing, after_failure, after_interruption, choose, next_look, rests_until
from appliance.cold.batch.text import file_name, names_day, with_day
from appliance.names import result_format

NOW = 1_000_000 * US_PER_S


def run(id_: int, name: str = "", **more: Any) -> Queued:
    given = {"kind": "job", "due_us": NOW, "reason": "schedule", "priority": "normal", "queued_us": NOW, **more}
    return Queued(id=id_, name=name or f"n{id_}", **given)


@pytest.mark.parametrize(
    ("runs", "jobs_max", "expected"),
    [
        ([], 1, []),
        ([run(1), run(2)], 1, [1]),
        ([run(1), run(2, due_us=NOW - 1)], 2, [2, 1]),
        ([run(1), run(2, priority="high"), run(3, priority="low")], 3, [2, 1, 3]),
        # no job twice at once
        ([run(1, "a", is_running=True), run(2, "a"), run(3)], 3, [3]),
        ([run(1, "a"), run(2, "a")], 2, [1]),
        # the limit counts what runs
        ([run(1, is_running=True), run(2)], 1, []),
        # one that is urgent goes besides, and first
        ([run(1, is_running=True), run(2, kind="analysis", priority="high")], 1, [2]),
        ([run(1), run(2, kind="analysis", priority="high")], 1, [2, 1]),
        ([run(1, kind="analysis", priority="high", is_running=True), run(2, kind="analysis", priority="high"), run(3)], 1, [3]),
        ([run(1, is_running=True), run(2, kind="analysis", priority="low")], 1, []),
        # what has failed waits
        ([run(1, not_before_us=NOW + 1), run(2, not_before_us=NOW)], 2, [2]),
        # what has waited for long goes before what came later with a higher priority, but never before its time
        ([run(1, priority="low", queued_us=NOW - 2 * AGE_US, due_us=NOW - 2 * AGE_US), run(2, priority="high")], 1, [1]),
        ([run(1, priority="low", queued_us=NOW - AGE_US + 1), run(2)], 1, [2]),
    ],
)
def test_what_goes_first(runs: list[Queued], jobs_max: int, expected: list[int]) -> None:
    assert [r.id for r in choose(runs, jobs_max=jobs_max, now_us=NOW)] == expected


@pytest.mark.parametrize(
    ("attempt", "retries", "failures", "may_retry", "jitter", "after_s", "wait_s"),
    [
        (1, 3, 0, True, 0.0, 0, 15),
        (2, 3, 0, True, 0.0, 0, 60),
        (3, 3, 0, True, 0.0, 0, 240),
        (4, 3, 0, True, 0.0, 0, None),
        (9, 99, 0, True, 0.0, 0, 3600),
        (1, 3, 0, True, 1.0, 0, 18.75),
        (1, 3, 0, True, 0.0, 120, 120),
        (1, 0, 0, True, 0.0, 0, None),
        (1, 3, 0, False, 0.0, 0, None),
        (1, 3, 1, True, 0.0, 0, None),  # it failed for good before: one attempt a run
    ],
)
def test_what_is_tried_again(
    attempt: int, retries: int, failures: int, may_retry: bool, jitter: float, after_s: float, wait_s: float | None
) -> None:
    found = after_failure(
        run(1, attempt=attempt),
        retries=retries,
        standing=Standing(failures),
        may_retry=may_retry,
        now_us=NOW,
        jitter=jitter,
        after_s=after_s,
    )
    assert found == (None if wait_s is None else Again(NOW + round(wait_s * US_PER_S)))


def test_what_fails_for_a_week_rests_longer_and_longer_and_at_most_an_hour() -> None:
    now_us, runs = 0, 0
    while now_us < 7 * 86_400 * US_PER_S:
        runs += 1
        until_us = rests_until(Standing(runs, now_us), now_us=now_us)
        assert until_us is not None
        now_us = until_us
    assert runs < 200
    assert rests_until(Standing(0, NOW), now_us=NOW) is None
    assert rests_until(Standing(3, NOW), now_us=NOW + 3_600 * US_PER_S) is None
    assert rests_until(Standing(3, NOW + 10**15), now_us=NOW) is None  # the clock has been set back


def test_an_interrupted_run_begins_at_once_and_later_when_it_keeps_being_interrupted() -> None:
    waits = [(after_interruption(run(1, interrupted=n), now_us=NOW) - NOW) // US_PER_S for n in range(6)]
    assert waits == [0, 15, 60, 240, 960, 3600]


def test_the_queue_looks_when_something_is_due() -> None:
    def look(runs: list[Queued], *dues: int | None) -> int:
        return next_look(runs, dues, now_us=NOW, at_most_us=100)

    assert look([]) == 100
    assert look([], None, NOW + 5) == 5
    assert look([], NOW - 5) == 0
    assert look([run(1, not_before_us=NOW + 7), run(2), run(3, is_running=True, not_before_us=NOW + 1)], NOW + 9) == 7


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :day", "SELECT DATE '2026-11-21'"),
        ("WHERE ts >= :day AND ts < :DAY + 1", "WHERE ts >= DATE '2026-11-21' AND ts < DATE '2026-11-21' + 1"),
        ("SELECT ':day', \":day\", 'it''s :day', x::day, :days -- :day\n", None),
        ("/* :day */ SELECT $$ :day $$, $a$ :day $a$", None),
    ],
)
def test_the_day_stands_where_it_is_a_value(sql: str, expected: str | None) -> None:
    assert with_day(sql, "2026-11-21") == (sql if expected is None else expected)
    assert names_day(sql) == (expected is not None)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a.parquet", "parquet"),
        ("x/means-{date}.CSV", "csv"),
        ("a.jsonl", "jsonl"),
        ("../a.csv", "below reports"),
        ("/a.csv", "below reports"),
        ("a.xlsx", "must end in one of"),
        ("a", "must end in one of"),
        ("{day}.csv", "only {date}"),
    ],
)
def test_a_result_lies_below_reports_in_a_format_that_is_known(file: str, expected: str) -> None:
    if expected.isalpha():
        assert result_format(file) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            result_format(file)


def test_a_file_is_called_by_its_day() -> None:
    assert file_name("x/{date}.csv", "2026-11-21") == "x/2026-11-21.csv"
