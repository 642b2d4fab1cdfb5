"""When the processor rests: only after rounds of many records, never while many wait, never for long."""

from __future__ import annotations

import threading

import pytest

from appliance.hot.stream.resting import FLOOD_ROWS, LAG_ROWS_MAX, REST_S_MAX, SHARE, Rests, rest_s


@pytest.mark.parametrize(
    ("rows", "waiting", "took_s", "then_s"),
    [
        (0, 0, 0.01, 0.0),
        (FLOOD_ROWS - 1, 0, 0.01, 0.0),
        (FLOOD_ROWS, 0, 0.01, 0.01 * SHARE),
        (FLOOD_ROWS, LAG_ROWS_MAX, 0.01, 0.01 * SHARE),
        (FLOOD_ROWS, LAG_ROWS_MAX + 1, 0.01, 0.0),
        (100_000, 0, 10.0, REST_S_MAX),
    ],
)
def test_a_rest_follows_a_round_of_many_records_unless_many_wait(rows: int, waiting: int, took_s: float, then_s: float) -> None:
    assert rest_s(rows, waiting, took_s=took_s) == pytest.approx(then_s)


def test_who_calls_ends_the_rest_and_what_has_come_meanwhile_is_taken_with_it() -> None:
    rests, woken = Rests(), threading.Event()
    rests.after(FLOOD_ROWS, 0, took_ns=60_000_000_000)
    rests.call()
    woken.set()
    rests.wait(woken, 60.0)
    assert not woken.is_set()
