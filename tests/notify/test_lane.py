"""The queue of one channel as tables of events: order, retries, age, rate, bounds. No thread; the time is what the test says."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from appliance.clock import US_PER_S
from appliance.hot.alerts.values import Message, Tells
from appliance.notify.bodies import message_key
from appliance.notify.channel import Undelivered
from appliance.notify.lane import LOOK_S_MAX, Bundle, Dead, Lane, Now, Pause
from appliance.workload_options import NotifyOptions
from tests.clock import NOON_US
from tests.notify.messages import item, message

OPTIONS = NotifyOptions(url="journal:")
DOWN = Undelivered("connection refused", retry=True)
BUSY = Undelivered("HTTP 500", retry=True, answered=True)
NEVER = Undelivered("HTTP 404", retry=False, answered=True)


def now(seconds: float = 0) -> Now:
    return Now(NOON_US + round(seconds * US_PER_S), round(seconds * 1e9))


def lane(*messages: Message, messages_max: int = 1_000, at_s: float = 0) -> Lane:
    """One that knows all that the store has, and has been given these."""
    made = Lane(Random(1), messages_max=messages_max)
    made.catch_up((), is_all=True, now=now(at_s))
    made.put(messages, now(at_s))
    return made


def goes(one: Lane, at_s: float = 0, options: NotifyOptions = OPTIONS) -> Bundle:
    step = one.next(options, now(at_s))
    assert isinstance(step, Bundle), step
    return step


def ids(found: Bundle | Dead) -> list[int | None]:
    return [one.id for one in found.messages]


def pause(one: Lane, at_s: float = 0, options: NotifyOptions = OPTIONS) -> float | None:
    step = one.next(options, now(at_s))
    assert isinstance(step, Pause), step
    return step.seconds


def deliver_all(one: Lane, at_s: float = 0, options: NotifyOptions = OPTIONS) -> list[list[int | None]]:
    """What goes when all goes well."""
    found = []
    while isinstance(step := one.next(options, now(at_s)), Bundle):
        one.delivered(step, now(at_s))
        found.append(ids(step))
    return found


def test_nothing_waits_for_ever() -> None:
    assert pause(lane()) is None


def test_a_message_goes_at_once_and_once() -> None:
    assert deliver_all(lane(message(id=1))) == [[1]]


def test_a_message_that_is_not_due_waits() -> None:
    one = lane(message(id=1, due_s=2))
    assert pause(one, 0) == 2
    assert deliver_all(one, 2) == [[1]]


def test_a_message_is_due_when_the_wall_clock_is_set_past_it() -> None:
    one = lane(message(id=1, due_s=86_400))
    assert pause(one, 1) == LOOK_S_MAX
    assert isinstance(one.next(OPTIONS, Now(now(86_400).us, now(2).ns)), Bundle)


def test_groups_go_the_gravest_first_then_the_oldest() -> None:
    one = lane(
        message(item("a", severity="info"), id=1, group="a"),
        message(item("b", severity="critical"), id=2, group="b"),
        message(item("c", severity="critical"), id=3, group="c"),
    )
    assert deliver_all(one) == [[2], [3], [1]]


def test_what_waits_in_a_group_goes_together() -> None:
    one = lane(message(item("a"), id=1), message(item("b"), id=2, group="other"), message(item("c"), id=3))
    assert deliver_all(one) == [[1, 3], [2]]


def test_no_more_go_together_than_can_be_listed() -> None:
    one = lane(*(message(*(item(f"{n}.{k}") for k in range(30)), id=n) for n in range(1, 8)))
    assert deliver_all(one) == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_fire_that_is_over_before_it_was_told_is_one_message() -> None:
    one = lane(message(item(), id=1), message(item(tells=Tells.RESOLVED, at_s=9), id=2))
    bundle = goes(one)
    assert ids(bundle) == [1, 2]
    assert [told.tells for told in bundle.message.items] == [Tells.RESOLVED]


def test_a_failed_message_goes_again_as_it_was_with_the_same_key() -> None:
    one = lane(message(item("a"), id=1))
    first = goes(one)
    one.failed(first, BUSY, now())
    one.put([message(item("b"), id=2)], now())
    again = goes(one, 5)
    assert ids(again) == [1]
    assert message_key(again.message) == message_key(first.message)
    one.delivered(again, now(5))
    assert deliver_all(one, 5) == [[2]]


def test_a_failed_message_whose_alert_is_over_becomes_one_message_with_its_end() -> None:
    one = lane(message(item("a"), id=1))
    one.failed(goes(one), DOWN, now())
    one.put([message(item("a", Tells.RESOLVED, at_s=2), id=2)], now(2))
    assert ids(goes(one, 5)) == [1, 2]


def test_a_failed_group_holds_only_itself_back() -> None:
    one = lane(message(item("a"), id=1, group="a"))
    one.failed(goes(one), BUSY, now())
    one.put([message(item("a2"), id=2, group="a"), message(item("b"), id=3, group="b")], now())
    assert deliver_all(one) == [[3]]


@pytest.mark.parametrize("seed", range(5))
def test_retries_come_ever_later_and_never_later_than_5_min(seed: int) -> None:
    one = Lane(Random(seed))
    one.catch_up([message(id=1)], is_all=True, now=now())
    at_s = 0.0
    for attempt in range(1, 15):
        next_ns = one.failed(goes(one, at_s), BUSY, now(at_s))
        assert next_ns is not None
        wait_s = next_ns / 1e9 - at_s
        assert wait_s + 1e-6 >= 0.1
        assert wait_s <= min(300.0, 2.0 ** (attempt - 1)) + 1e-6
        if wait_s > 0.2:
            assert pause(one, at_s + wait_s - 0.1) == pytest.approx(0.1, abs=1e-3)
        at_s = next_ns / 1e9


def test_retry_after_holds_the_whole_channel() -> None:
    one = lane(message(item("a"), id=1, group="a"), message(item("b"), id=2, group="b"))
    one.failed(goes(one), Undelivered("HTTP 429", retry=True, after_s=30, answered=True), now())
    one.put([message(item("c"), id=3, group="c")], now())
    assert pause(one, 29) == pytest.approx(1)
    assert deliver_all(one, 30) == [[1], [2], [3]]


def test_a_failure_for_good_is_gone_and_the_next_goes_on() -> None:
    one = lane(message(item("a"), id=1))
    assert one.failed(goes(one), NEVER, now()) is None
    one.put([message(item("b"), id=2)], now())
    assert deliver_all(one) == [[2]]


def test_after_an_outage_the_first_success_sends_all_at_once() -> None:
    groups = [message(item(str(n)), id=n, group=str(n)) for n in range(1, 5)]
    one = lane(*groups)
    at_s = 0.0
    for _ in range(40):
        step = one.next(OPTIONS, now(at_s))
        assert not isinstance(step, Dead)
        if isinstance(step, Bundle):
            one.failed(step, DOWN, now(at_s))
        else:
            at_s += step.seconds or 0
    while not isinstance(step := one.next(OPTIONS, now(at_s)), Bundle):
        assert isinstance(step, Pause)
        at_s += step.seconds or 0
    one.delivered(step, now(at_s))
    assert len(deliver_all(one, at_s)) == 3


def test_too_old_is_dead_with_the_last_reason() -> None:
    options = NotifyOptions(url="journal:", age_max_s=60)
    one = lane(message(id=1))
    one.failed(goes(one, 0, options), Undelivered("HTTP 500", retry=True, after_s=1_000), now())
    step = one.next(options, now(60))
    assert isinstance(step, Dead)
    assert (ids(step), step.reason) == ([1], "not handed over within 1min (age_max); the last attempt: HTTP 500")
    assert len(one) == 0


def test_the_age_of_what_was_stored_before_the_start_counts() -> None:
    options = NotifyOptions(url="journal:", age_max_s=3_600)
    one = lane(message(item("a"), id=1, group="a", due_s=-3_601), message(item("b"), id=2, group="b", due_s=-3_599))
    step = one.next(options, now())
    assert isinstance(step, Dead)
    assert ids(step) == [1]
    assert ids(goes(one, 0, options)) == [2]


@pytest.mark.parametrize("step_s", [-86_400 * 365, 86_400 * 365])
def test_a_step_of_the_wall_clock_neither_kills_nor_wakes(step_s: int) -> None:
    one = lane(message(id=1))
    next_ns = one.failed(goes(one), Undelivered("x", retry=True, after_s=20), now())
    assert next_ns == 20 * 10**9
    stepped = Now(NOON_US + step_s * US_PER_S, 19 * 10**9)
    assert isinstance(one.next(OPTIONS, stepped), Pause)
    assert isinstance(one.next(OPTIONS, Now(stepped.us, 20 * 10**9)), Bundle)


def test_above_the_rate_messages_wait_and_go_together() -> None:
    options = NotifyOptions(url="journal:", rate_max=2)
    one = lane()
    for second in range(10):
        one.put([message(item(str(second)), id=second + 1)], now(second))
        if second < 2:
            assert deliver_all(one, second, options) == [[second + 1]]
    assert one.is_limited(now(10))
    assert pause(one, 58, options) == pytest.approx(2)
    assert deliver_all(one, 60, options) == [list(range(3, 11))]


def test_attempts_that_nobody_answered_do_not_count_towards_the_rate() -> None:
    options = NotifyOptions(url="journal:", rate_max=1)
    one = lane(message(item("a"), id=1, group="a"), message(item("b"), id=2, group="b"))
    one.failed(goes(one, 0, options), DOWN, now())
    assert ids(goes(one, 0, options)) == [2]
    one.failed(goes(one, 0, options), BUSY, now())
    assert isinstance(one.next(options, now(10)), Pause)


def fetch(one: Lane, store: Sequence[Message], at_s: float = 0) -> None:
    """What the worker does when the lane wants more."""
    while limit := one.wants():
        found = [stored for stored in store if (stored.id or 0) > one.last_id][:limit]
        one.catch_up(found, is_all=len(found) < limit, now=now(at_s))


def test_a_long_queue_stays_in_the_store_and_comes_in_order() -> None:
    store = [message(item(str(n)), id=n, group=str(n)) for n in range(1, 26)]
    one = Lane(Random(1), messages_max=4)
    one.put(store, now())
    told: list[int | None] = []
    while True:
        fetch(one, store)
        assert len(one) <= 4
        step = one.next(OPTIONS, now())
        if not isinstance(step, Bundle):
            break
        one.delivered(step, now())
        told += ids(step)
    assert told == list(range(1, 26))


def test_what_is_put_while_the_store_is_read_is_not_missed() -> None:
    one = Lane(Random(1), messages_max=4)
    assert one.wants() == 4
    one.put([message(id=1)], now())
    one.catch_up((), is_all=True, now=now())
    assert one.is_behind
    fetch(one, [message(id=1)])
    assert deliver_all(one) == [[1]]
    assert not one.is_behind


def test_what_is_put_twice_goes_once() -> None:
    one = lane(message(id=1), message(id=1))
    assert deliver_all(one) == [[1]]


def test_a_message_that_grows_while_it_waits_goes_as_it_has_become() -> None:
    one = lane(message(item("a"), id=1, due_s=1))
    one.put([message(item("a"), item("b"), id=1, due_s=1)], now())
    assert len(goes(one, 1).message.items) == 2


def test_a_message_that_grows_under_way_is_read_again() -> None:
    one = lane(message(item("a"), id=1))
    bundle = goes(one)
    one.put([message(item("a"), item("b"), id=1)], now())
    one.delivered(bundle, now())
    assert one.again() == [1]
    assert one.again() == []
    one.restore(message(item("b"), id=1), now())
    assert [told.key for told in goes(one).message.items] == [("b",)]


def test_a_message_that_grows_after_it_went_is_read_again() -> None:
    one = lane(message(item("a"), id=1), message(item("c"), id=2, group="c"))
    assert len(deliver_all(one)) == 2
    one.put([message(item("a"), item("b"), id=1)], now())
    assert one.again() == [1]


def test_a_message_that_failed_before_the_start_is_tried_again_alone_and_when_it_was_to_be() -> None:
    stored = message(item("a"), id=1, due_s=30)
    if not hasattr(stored, "attempts"):
        pytest.skip("messages don't say how often they failed")
    import dataclasses

    failed = dataclasses.replace(stored, attempts=3, created_us=NOON_US - 50 * US_PER_S)
    one = lane(failed, message(item("b"), id=2))
    assert pause(one, 0) == LOOK_S_MAX
    assert ids(goes(one, 30)) == [1]
    step = one.next(NotifyOptions(url="journal:", age_max_s=60), now(10))
    assert isinstance(step, Dead)
    assert ids(step) == [1]


def test_all_is_given_back_when_the_channel_goes() -> None:
    one = lane(message(item("a"), id=1), message(item("b"), id=2, group="b"))
    assert [left.id for left in one.clear()] == [1, 2]
    assert pause(one) is None
