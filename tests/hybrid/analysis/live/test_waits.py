"""Since when records wait to be scored: those that came later have not waited longer because older ones still do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.live.waits import MARKS_MAX, Waits


def test_what_came_later_waits_since_later() -> None:
    waits = Waits()
    waits.note("a", 100, 1)
    waits.note("a", 300, 5)
    waits.note("b", 10, 3)
    assert [waits.since("a", seq) for seq in (0, 99, 100, 299, 300)] == [1, 1, 5, 5, None]
    assert waits.since("b", 0) == 3
    assert waits.since("c", 0) is None


def test_what_was_scored_is_forgotten() -> None:
    waits = Waits()
    waits.note("a", 100, 1)
    waits.note("a", 300, 5)
    assert waits.oldest("a") == 1
    waits.forget({"a": 100, "unknown": 7})
    assert waits.oldest("a") == 5
    waits.forget({"a": 300})
    assert waits.oldest("a") is None
    assert waits.since("a", 0) is None


def test_a_word_without_new_records_says_nothing() -> None:
    waits = Waits()
    waits.note("a", 100, 1)
    waits.note("a", 100, 9)
    assert waits.since("a", 0) == 1
    assert waits.since("a", 100) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=3 * MARKS_MAX), st.data())
def test_no_record_is_said_to_have_come_later_than_it_did(counts: list[int], data: st.DataObject) -> None:
    waits, came, scored = Waits(), [0], 0
    for at, count in enumerate(counts, 1):
        came += [at] * count
        waits.note("a", len(came) - 1, at)
        if data.draw(st.booleans()):
            scored = data.draw(st.integers(scored, len(came) - 1))
            waits.forget({"a": scored})
    for seq in range(scored, len(came) - 1):
        since = waits.since("a", seq)
        assert since is not None
        assert since <= came[seq + 1]
