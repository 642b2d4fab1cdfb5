"""Values that are kept one by one: none is lost, none is another's, and there are never more than allowed."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.sessions.arena import PAGE, Arena
from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import SessionAggregate
from appliance.hot.stream.values import Scalar
from appliance.hot.stream.windows.aggregates import Function
from tests.examples import examples
from tests.hot.stream.sessions.rounds import vector

OWNERS = 6
_STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, OWNERS - 1), min_size=1, max_size=150)),
    st.tuples(st.just("move"), st.lists(st.integers(0, OWNERS - 1), min_size=2, max_size=2, unique=True)),
    st.tuples(st.just("release"), st.lists(st.integers(0, OWNERS - 1), unique=True)),
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(_STEPS, max_size=12))
def test_each_owner_has_its_values_and_no_other(steps: list[tuple[str, list[int]]]) -> None:
    arena, wanted, next_value = Arena(), defaultdict[int, list[int]](list), 0
    arena.grow(OWNERS)
    for what, owners in steps:
        if what == "append":
            values = np.arange(next_value, next_value + len(owners))
            next_value += len(owners)
            arena.append(np.array(owners), values)
            for owner, value in zip(owners, values.tolist(), strict=True):
                wanted[owner].append(value)
        elif what == "move":
            arena.move(owners[0], owners[1])
            wanted[owners[1]] += wanted.pop(owners[0], [])
        else:
            arena.release(np.array(owners, dtype=np.intp))
            for owner in owners:
                wanted.pop(owner, None)
        asked = [4, 0, 5, 1, 3, 2]
        counts, found = arena.gather(np.array(asked))
        assert counts.tolist() == [len(wanted[o]) for o in asked]
        parts = np.split(found, np.cumsum(counts)[:-1])
        assert [sorted(p.tolist()) for p in parts] == [sorted(wanted[o]) for o in asked]
        assert arena.values < sum(map(len, wanted.values())) + PAGE * (next_value + 1)


def test_pages_are_used_again() -> None:
    arena = Arena()
    arena.grow(2)
    for owner in [0, 1] * 50:
        arena.append(np.full(1_000, owner), np.arange(1_000))
        arena.release(np.array([owner]))
    assert arena.values == 0
    assert arena.bytes < 3 * 8 * 1_000


def tracked(function: Function, parameter: float | None = None, *, values_max: int = 100, total: int = 10_000) -> SessionTracker:
    asked = (SessionAggregate("x", function, 0, parameter),)
    return SessionTracker(10, 10**9, asked, values_max=values_max, values_total_max=total)


def taken(tracker: SessionTracker, values: list[Scalar], *, key: int = 0, argument: int = 0, cut: int = 7, after: int = 0) -> Scalar:
    """One key's values, each at its place in time, in rounds of ``cut``; what its open session has then."""
    for start in range(0, len(values), cut):
        some = values[start : start + cut]
        seqs = np.arange(after + start, after + start + len(some))
        tracker.take(np.full(len(some), key), seqs, seqs, (vector(some, argument),), np.full(len(some), -1_000))
    rows = tracker.open_sessions()
    return rows.vectors[0].at(rows.ids.tolist().index(key))


@pytest.mark.parametrize("cut", [1, 7, 1_000])
def test_a_quantile_of_more_values_than_allowed_is_null(cut: int) -> None:
    at_limit: list[Scalar] = [float(i) for i in range(100)]
    assert taken(tracked(Function.QUANTILE, 0.5), at_limit, cut=cut) == 49.5
    above = tracked(Function.QUANTILE, 0.5)
    assert taken(above, [*at_limit, 1.0], cut=cut) is None
    fresh = tracked(Function.QUANTILE, 0.5)
    assert fresh.load(0, dict(above.dump())[0])
    assert taken(fresh, [2.0], after=101) is None
    assert above.bytes < 200_000


@pytest.mark.parametrize("cut", [1, 7, 1_000])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_of_different_values_only_those_that_differ_count_towards_the_limit(cut: int, argument: int) -> None:
    kind = {0: float, 1: int, 2: str}[argument]
    at_limit: list[Scalar] = [kind(i % 100) for i in range(900)]
    tracker = tracked(Function.DISTINCT)
    assert taken(tracker, at_limit, argument=argument, cut=cut) == 100
    assert taken(tracked(Function.DISTINCT), [*at_limit, kind(100)], argument=argument, cut=cut) is None
    fresh = tracked(Function.DISTINCT)
    assert fresh.load(0, dict(tracker.dump())[0])
    assert taken(fresh, [kind(7)], argument=argument, after=900) == 100
    assert taken(fresh, [kind(100)], argument=argument, after=901) is None


def test_above_the_limit_of_all_sessions_those_that_need_more_have_none() -> None:
    tracker = tracked(Function.QUANTILE, 0.5, total=1_000)
    found = [taken(tracker, [float(i) for i in range(90)], key=key, cut=90) for key in range(20)]
    assert found[:8] == [44.5] * 8
    assert found[-1] is None
    tracker.advance(10**6)
    tracker.take(np.array([0]), np.array([10**7]), np.array([10**7]), (vector([1.0], 0),), np.array([10**7]))
    assert tracker.open_sessions().vectors[0].at(0) == 1.0
    assert tracker.bytes < 500_000


def test_what_is_held_does_not_grow_with_what_has_passed() -> None:
    tracker = SessionTracker(10, 10**9, (SessionAggregate("q", Function.QUANTILE, 0, 0.9), SessionAggregate("d", Function.DISTINCT, 0)))
    rng = np.random.default_rng(5)
    held = []
    for number in range(30):
        ids = np.repeat(np.arange(20), 50)
        ts = 1_000 * number + np.tile(np.arange(50), 20) * rng.choice([1, 20], 1_000)
        ts = np.sort(ts.reshape(20, 50), axis=1).ravel()
        values = vector(rng.normal(size=1_000).tolist(), 0)
        tracker.take(ids, ts, np.arange(1_000) + 1_000 * number, (values,), np.maximum.accumulate(ts))
        held.append(tracker.bytes)
    assert max(held[10:]) <= 1.5 * max(held[:10])
