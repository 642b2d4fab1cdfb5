"""How much of the machine the first pass takes: in a flood little, and each stream has its turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.hybrid.analysis.live import watch as watch_module
from appliance.hybrid.analysis.live.passing import (
    CATCHING_UP,
    FLOOD,
    FLOOD_ROWS_S,
    REST_S,
    REST_S_MAX,
    STEADY,
    Arrivals,
    Pace,
    pace,
    rest_s,
)
from appliance.hybrid.analysis.live.reading import PIECE_ROWS_MAX
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid_options import AnalysisOptions
from appliance.reconcile.past import make_history
from tests.door.batches import batch, open_box, send

S_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("rows_per_s", "waits", "expected"),
    [
        (0, False, STEADY),
        (0, True, CATCHING_UP),
        (FLOOD_ROWS_S - 1, False, STEADY),
        (FLOOD_ROWS_S, False, FLOOD),
        (FLOOD_ROWS_S, True, FLOOD),
    ],
)
def test_what_a_round_may_take(rows_per_s: float, waits: bool, expected: Pace) -> None:
    assert pace(rows_per_s, waits=waits) is expected


@pytest.mark.parametrize(
    ("took_s", "rests", "expected"), [(0, 9, REST_S), (0.1, 9, 0.9), (0.1, 1, REST_S), (0.3, 1, 0.3), (9, 1, REST_S_MAX)]
)
def test_the_rest_between_two_rounds(took_s: float, rests: float, expected: float) -> None:
    assert rest_s(took_s, rests) == pytest.approx(expected)


def test_a_flood_in_steady_state_takes_a_tenth() -> None:
    assert FLOOD.round_s_max / (FLOOD.round_s_max + rest_s(FLOOD.round_s_max, FLOOD.rests)) <= 0.101


def test_records_a_second_over_the_last_second_or_more() -> None:
    arrivals = Arrivals()
    assert arrivals.per_s(1_000_000, 0) == 0, "what was there at the start did not come now"
    assert arrivals.per_s(1_030_000, S_NS // 10) == 30_000, "a burst counts at once"
    assert arrivals.per_s(1_060_000, 2 * S_NS) == 30_000
    assert arrivals.per_s(1_060_001, 2 * S_NS + 1) == 30_000, "a pause between two bursts is no end of the flood"
    assert arrivals.per_s(1_060_002, 4 * S_NS) == pytest.approx(1)


def test_a_stream_of_many_records_lets_the_others_have_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "VALUES_MAX", 1)
    box = open_box(tmp_path)
    try:
        for stream, rows in (("many", 3_000), ("few", 1), ("more", 1_500)):
            send(box, batch(stream, range(1, rows + 1), x=[float(n) for n in range(rows)]))
        watch, past = Watch("w", AnalysisOptions()), make_history(box).rows
        watch.take_up(box.state)
        scored = [dict(next(watch.round(box.state, past, now_us=10**6, now_ns=0)).rows) for _ in range(6)]
    finally:
        box.close()
    piece = PIECE_ROWS_MAX
    assert scored == [{"many": piece}, {"few": 1}, {"more": piece}, {"many": piece}, {"more": 1_500 - piece}, {"many": 3_000 - 2 * piece}]


def test_a_round_goes_on_as_long_as_more_waits(tmp_path: Path) -> None:
    box = open_box(tmp_path)
    try:
        for stream, rows in (("many", 5_000), ("few", 1)):
            send(box, batch(stream, range(1, rows + 1), x=[float(n) for n in range(rows)]))
        watch, past = Watch("w", AnalysisOptions()), make_history(box).rows
        watch.take_up(box.state)
        parts = list(watch.round(box.state, past, now_us=10**6, now_ns=0))
        left = watch.waiting(box.state)
    finally:
        box.close()
    assert sum(part.rows.get("many", 0) for part in parts) == 5_000
    assert left == {"many": 0, "few": 0}
