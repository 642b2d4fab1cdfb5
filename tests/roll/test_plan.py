"""What is rolled, when, and how much at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.options import RollOptions
from appliance.roll.plan import HotStream, Reason, next_roll_ns, plan_roll
from tests.cold.making import BUSY

S = 1_000_000_000
OPTIONS = RollOptions(every_s=300.0, rows_max=1_000)


def hot(name: str, rows: int, *, mark: int = 0, oldest_s: int = 0) -> HotStream:
    return HotStream(name, mark, mark + rows, oldest_s * S)


@pytest.mark.parametrize(
    ("stream", "now_s", "expected"),
    [
        (hot("s", 0), 10_000, None),
        (hot("s", 1), 299, None),
        (hot("s", 1), 300, (1, Reason.EVERY)),
        (hot("s", 999, mark=50), 10, None),
        (hot("s", 1_000, mark=50), 10, (1_050, Reason.ROWS)),
        (hot("s", 5_000, mark=50), 10, (1_050, Reason.ROWS)),
        (hot("s", 5_000, mark=50), 999, (1_050, Reason.ROWS)),
        (hot("s", 7, oldest_s=100), 399, None),
        (hot("s", 7, oldest_s=100), 400, (7, Reason.EVERY)),
    ],
)
def test_a_stream_is_rolled_when_it_is_full_or_old(stream: HotStream, now_s: int, expected: tuple[int, Reason] | None) -> None:
    plan = plan_roll([stream], options=OPTIONS, now_ns=now_s * S)
    assert [(s.until, s.reason) for s in plan.steps] == ([expected] if expected else [])
    assert bool(plan) == (expected is not None)


def test_asked_and_closing_take_what_is_there() -> None:
    streams = [hot("a", 5), hot("b", 9), hot("empty", 0)]
    asked = plan_roll(streams, options=OPTIONS, now_ns=0, asked={"a", "empty", "unknown"})
    assert [str(s) for s in asked.steps] == ["a: 5 records (1 to 5), asked"]
    closing = plan_roll(streams, options=OPTIONS, now_ns=0, closing=True)
    assert [(s.stream, s.reason) for s in closing.steps] == [("b", Reason.CLOSING), ("a", Reason.CLOSING)]


def test_the_next_roll_is_that_of_the_oldest_record() -> None:
    assert next_roll_ns([hot("a", 1, oldest_s=50), hot("b", 1, oldest_s=20), hot("c", 0)], options=OPTIONS) == 320 * S
    assert next_roll_ns([hot("c", 0)], options=OPTIONS) is None


streams_of = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10_000), st.integers(0, 1000)).map(lambda t: hot("s", t[1], mark=t[0], oldest_s=t[2])),
    max_size=8,
)


@settings(deadline=None, suppress_health_check=BUSY)
@given(streams=streams_of, now_s=st.integers(0, 2_000), rows_max=st.integers(50, 5_000), closing=st.booleans())
def test_any_backlog_is_rolled_in_bounded_steps_without_a_gap(streams: list[HotStream], now_s: int, rows_max: int, closing: bool) -> None:
    options = RollOptions(every_s=300.0, rows_max=rows_max)
    held = {f"s{i}": HotStream(f"s{i}", s.mark, s.last_seq, s.oldest_ns) for i, s in enumerate(streams)}
    for _ in range(201):
        plan = plan_roll(held.values(), options=options, now_ns=now_s * S, closing=closing)
        if not plan:
            break
        assert len({s.stream for s in plan.steps}) == len(plan.steps)
        for step in plan.steps:
            before = held[step.stream]
            assert before.mark == step.mark < step.until <= before.last_seq
            assert step.rows_max <= rows_max
            held[step.stream] = HotStream(before.stream, step.until, before.last_seq, before.oldest_ns)
    for left in held.values():
        assert left.rows == 0 or (not closing and left.rows < rows_max and now_s * S - left.oldest_ns < 300 * S)
