"""Late records, as stories: what each does to sessions that are open, closed, or no longer remembered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import SessionAggregate
from appliance.hot.stream.values import Scalar
from appliance.hot.stream.windows.aggregates import Function
from tests.hot.stream.sessions.model import Record
from tests.hot.stream.sessions.rounds import Fed, feed, vector

SUM = (SessionAggregate("sum", Function.SUM, 0),)
Story = Sequence[int | tuple[int, float]]


def records_of(story: Story) -> list[Record]:
    return [Record(0, at, seq, (value,)) for seq, (at, value) in enumerate(e if isinstance(e, tuple) else (e, 1.0) for e in story)]


def told(story: Story, *, longest: int = 10_000, lateness: int = 1_000) -> Fed:
    """One key's records through a gap of 10, in one round; in rounds of one it must be the same."""
    records = records_of(story)
    fed = feed(SessionTracker(10, longest, SUM), records, lateness, [])
    single = feed(SessionTracker(10, longest, SUM), records, lateness, range(len(records)))
    assert single.rows == fed.rows
    assert single.late == fed.late
    return fed


def check(fed: Fed, *sessions: tuple[int, int, int], late: Sequence[int] = ()) -> None:
    """``sessions`` are (start, end, records)."""
    assert sorted((start, row[0], row[1]) for (_key, start), row in fed.rows.items()) == sorted(sessions)
    assert [ts for _key, ts, _seq in fed.late] == list(late)


def test_within_the_open_session_it_joins() -> None:
    check(told([0, 8, 3, 16]), (0, 16, 4))


def test_before_the_open_session_it_moves_the_start() -> None:
    check(told([20, 25, 11]), (11, 25, 3))


def test_between_two_sessions_it_makes_them_one() -> None:
    check(told([0, 5, 19, 20, 12]), (0, 20, 5))


def test_near_the_one_before_only_it_joins_that_one() -> None:
    check(told([0, 5, 30, 9]), (0, 9, 3), (30, 30, 1))


def test_a_gap_away_from_all_it_is_a_session_of_its_own() -> None:
    check(told([0, 40, 20]), (0, 0, 1), (20, 20, 1), (40, 40, 1))


def test_old_records_delivered_later_make_their_sessions() -> None:
    check(told([1_000, 2_000, 0, 5, 9, 40, 45, 3_000]), (0, 9, 3), (40, 45, 2), (1_000, 1_000, 1), (2_000, 2_000, 1), (3_000, 3_000, 1))


def test_old_records_between_live_ones_make_their_sessions() -> None:
    fed = told([1_000, 2_000, 0, 2_005, 5, 2_010, 9, 40, 2_015, 45])
    check(fed, (0, 9, 3), (40, 45, 2), (1_000, 1_000, 1), (2_000, 2_015, 4))


def test_after_a_delivery_of_old_records_the_newest_closed_session_is_remembered_again() -> None:
    fed = told([1_000, 2_000, 0, 3_000, 2_005])
    check(fed, (0, 0, 1), (1_000, 1_000, 1), (2_000, 2_005, 2), (3_000, 3_000, 1))


def test_a_second_delivery_does_not_touch_what_the_first_made() -> None:
    """The first delivery ended at 40; what lies at 5 is a place of which nothing is known any more."""
    check(told([1_000, 2_000, 0, 20, 40, 5]), (0, 0, 1), (20, 20, 1), (40, 40, 1), (1_000, 1_000, 1), (2_000, 2_000, 1), late=[5])


def test_what_belongs_to_a_forgotten_session_is_told() -> None:
    check(told([0, 5, 20, 40, 3]), (0, 5, 2), (20, 20, 1), (40, 40, 1), late=[3])


def of_keys(*rows: tuple[int, int]) -> list[Record]:
    return [Record(key, ts, seq, (1.0,)) for seq, (key, ts) in enumerate(rows)]


def test_the_start_of_a_closed_session_does_not_move() -> None:
    """Closed by the watermark, which another key's record has moved."""
    tracker = SessionTracker(10, 10_000, SUM)
    fed = feed(tracker, of_keys((0, 20), (1, 500), (0, 15), (0, 25), (0, 22)), 0, [2, 3])
    assert {k: row[:2] for k, row in fed.rows.items()} == {(0, 20): (25, 3), (1, 500): (500, 1)}
    assert fed.late == [(0, 15, 2)]
    assert tracker.late == 1


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [2, 3], [1, 2, 3]])
def test_nor_does_it_when_the_session_was_closed_within_a_round_and_went_on(cuts: list[int]) -> None:
    fed = feed(SessionTracker(10, 10_000, SUM), of_keys((0, 100), (1, 112), (0, 108), (0, 95)), 0, cuts)
    assert {k: row[:2] for k, row in fed.rows.items()} == {(0, 100): (108, 2), (1, 112): (112, 1)}
    assert fed.late == [(0, 95, 3)]


@pytest.mark.parametrize("cuts", [[], [2], [2, 4], [1, 2, 3, 4]])
def test_nor_does_it_when_that_happened_in_a_round_in_which_all_sessions_went_on(cuts: list[int]) -> None:
    fed = feed(SessionTracker(10, 10_000, SUM), of_keys((0, 100), (1, 105), (1, 112), (0, 108), (0, 95)), 0, cuts)
    assert {k: row[:2] for k, row in fed.rows.items()} == {(0, 100): (108, 2), (1, 105): (112, 2)}
    assert fed.late == [(0, 95, 4)]


def test_nor_does_it_when_the_session_has_become_one_with_a_closed_one() -> None:
    check(told([0, 5, 19, 20, 12, -5]), (0, 20, 5), late=[-5])


def test_a_correction_is_given_with_the_same_identity() -> None:
    tracker = SessionTracker(10, 10_000, SUM)
    fed = feed(tracker, records_of([(0, 1.0), (5, 2.0), (40, 4.0), (9, 8.0)]), 1_000, [1, 2, 3])
    assert fed.rows[0, 0] == (9, 3, 0, 3, 11.0)
    assert fed.given == 3, "the first of the two sessions twice, the second once"


def test_a_session_may_last_as_long_as_the_longest_and_no_longer() -> None:
    check(told([0, 5, 10, 15, 20], longest=15), (0, 15, 4), (20, 20, 1))
    check(told([0, 5, 10, 15, 20], longest=14), (0, 10, 3), (15, 20, 2))


def test_no_late_record_makes_a_session_too_long() -> None:
    check(told([20, 29, 12], longest=15), (20, 29, 2), late=[12])
    check(told([0, 8, 19, 25, 14], longest=20), (0, 14, 3), (19, 25, 2))
    check(told([0, 8, 19, 25, 14], longest=25), (0, 25, 5))


def test_a_record_within_a_forgotten_session_is_told_though_the_current_one_is_near() -> None:
    """Parted by ``longest`` at 6, then 0..5 was forgotten for a session far before."""
    story = [0, 5, 6, 8, -30]
    check(told([*story, 4], longest=5), (0, 5, 2), (6, 8, 2), (-30, -30, 1), late=[4])


def test_a_record_behind_the_start_of_a_forgotten_session_is_told_though_the_one_before_is_near() -> None:
    """At -20 the one before is a session that grows towards the forgotten one at 0."""
    story = [0, 2, 100, -20, -11, -4]
    check(told([*story, 3]), (0, 2, 2), (100, 100, 1), (-20, -4, 3), late=[3])


def test_a_sum_goes_on_from_both_parts_in_any_cut() -> None:
    """Floats don't add up the same in another order: what comes after the joining is added to the sum of both."""
    story = [(0, 1e16), (5, 1.0), (19, 1.0), (12, 1.0), (13, 1.0), (21, -1e16), (14, 3.0)]
    fed = told(story)
    assert fed.rows[0, 0][-1] == (1e16 + 1.0 + 1.0) + 1.0 + 1.0 - 1e16 + 3.0


@pytest.mark.parametrize("value", ["x", True])
def test_a_column_that_changes_its_kind_is_a_defect_of_the_caller(value: Scalar) -> None:
    tracker = SessionTracker(10, 100, SUM)
    one = np.array([0])
    tracker.take(one, one, one, (vector([1.0], 0),), one)
    with pytest.raises(TypeError, match="the caller checks kinds"):
        tracker.take(one, one, one, (vector([value], 2 if isinstance(value, str) else 3),), one)
