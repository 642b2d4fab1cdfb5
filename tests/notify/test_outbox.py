"""The outbox with real channels and real servers: at least once, in order, nobody held up by somebody else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from appliance.clock import US_PER_S, Clock, SystemClock
from appliance.errors import RetryLater, UsageRefused
from appliance.hot.alerts.values import Message, Tells
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered
from appliance.notify.channel_of import channel_of
from appliance.notify.outbox import Outbox
from appliance.notify.worker import GONE, Wiring
from appliance.workload_options import NotifyOptions
from tests.clock import FakeClock
from tests.notify.hook import Hook, drips, hangs, hangs_up, says
from tests.notify.messages import item, message
from tests.notify.shelf import Shelf
from tests.ports import free_port
from tests.running import wait_for

Make = Callable[..., Outbox]
LONG_AGO_S = -20 * 365 * 86_400.0
"""Due whatever the machine's own clock says."""
FOR_EVER_S = 1e10


class Fake(Channel):
    """Does what it is told."""

    def __init__(self, action: Callable[[Message], None], name: str = "ops", options: NotifyOptions | None = None) -> None:
        super().__init__(Sender("box-1", name), options or NotifyOptions(url="fake:"), "fake:")
        self.action = action

    def send(self, message: Message, *, timeout_s: float) -> Delivery:  # noqa: ARG002 - as told
        self.action(message)
        return Delivery("done")


def channel(url: str, name: str = "ops", **options: float) -> Channel:
    return channel_of(name, NotifyOptions(url=url, **options), data_dir=Path("/nonexistent"), node="box-1")  # type: ignore[arg-type]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Make]:
    """Outboxes that are started, and closed at the end."""
    made: list[Outbox] = []

    def make_one(shelf: Shelf, *channels: Channel, clock: Clock = clock, wiring: Wiring | None = None, messages_max: int = 1_000) -> Outbox:
        named: Mapping[str, Channel] = {one.name: one for one in channels}
        outbox = Outbox(named, wiring=wiring or shelf.wiring(), clock=clock, random=Random(1), messages_max=messages_max)
        made.append(outbox)
        outbox.start({stored.channel for stored in shelf.waiting.values()})
        return outbox

    yield make_one
    for outbox in made:
        outbox.close()


def keys(hook: Hook) -> list[str]:
    """The devices of all alerts, in the order in which they came."""
    return [str(told["key"][0]) for request in hook.requests for told in request.json["items"]]


def test_what_the_store_holds_goes_at_the_start_and_what_is_put_after(make: Make) -> None:
    shelf = Shelf(message(item("d1"), id=1))
    with Hook() as hook:
        outbox = make(shelf, channel(hook.url))
        wait_for(lambda: shelf.sent == [1], what="the stored message")
        outbox.put(shelf.keep([message(item("d2"), id=2)]))
        wait_for(lambda: shelf.sent == [1, 2], what="the new message")
    assert keys(hook) == ["d1", "d2"]
    assert not shelf.waiting


def test_what_was_handed_over_but_not_written_down_goes_again_with_the_same_key(make: Make) -> None:
    shelf = Shelf(message(id=1))
    with Hook() as hook:
        shelf.is_crashed = True
        before = make(shelf, channel(hook.url))
        wait_for(lambda: len(hook.requests) == 1, what="the first hand-over")
        before.close()
        shelf.is_crashed = False
        make(shelf, channel(hook.url))
        wait_for(lambda: shelf.sent == [1], what="the second")
    assert len({request.key for request in hook.requests}) == 1
    assert len(hook.requests) == 2


@pytest.mark.parametrize("misbehaviour", [hangs, drips])
def test_a_channel_that_hangs_delays_no_other(misbehaviour: Callable[[Hook, object], bool], make: Make) -> None:
    shelf = Shelf(message(id=1, channel="slow"), message(id=2, channel="fast"))
    with Hook(misbehaviour) as slow, Hook() as fast:
        make(shelf, channel(slow.url, "slow", timeout_s=100), channel(fast.url, "fast"))
        wait_for(lambda: shelf.sent == [2], what="the other channel's message")
        wait_for(lambda: len(slow.requests) == 1, what="the hanging attempt")
        assert 1 in shelf.waiting


def test_order_and_key_stay_through_every_kind_of_failure(make: Make, clock: FakeClock) -> None:
    shelf = Shelf(message(item("d1"), id=1))
    with Hook(says(500, keep=False), hangs_up, says(503, keep=False), hangs, says(429, headers="Retry-After: 9\r\n")) as hook:
        outbox = make(shelf, channel(hook.url, timeout_s=2))
        for failure in range(1, 6):
            wait_for(lambda count=failure: len(shelf.failures) == count, what=f"failure {failure}")  # type: ignore[misc]
            outbox.put(shelf.keep([message(item(f"later{failure}"), id=failure + 1)]))
            clock.pass_s(301)
            outbox.wake()
        wait_for(lambda: len(shelf.sent) == 6, what="everything")
    assert [request.json["items"][0]["key"][0] for request in hook.requests[:6]] == ["d1"] * 6
    assert len({request.key for request in hook.requests[:6]}) == 1
    assert keys(hook)[6:] == [f"later{n}" for n in range(1, 6)]
    assert shelf.sent == [1, 2, 3, 4, 5, 6]


def test_retry_after_is_waited_for(make: Make, clock: FakeClock) -> None:
    shelf = Shelf(message(id=1))
    with Hook(says(429, headers="Retry-After: 7\r\n")) as hook:
        outbox = make(shelf, channel(hook.url))
        wait_for(lambda: shelf.failures, what="the refusal")
        assert shelf.failures[0][2] == clock.now_us() + 7 * US_PER_S
        clock.pass_s(6.9)
        outbox.wake()
        other = Shelf(message(id=1))
        make(other, Fake(lambda _: None))
        wait_for(lambda: other.sent, what="another outbox, so that this one had its turn")
        assert len(hook.requests) == 1
        clock.pass_s(0.2)
        outbox.wake()
        wait_for(lambda: shelf.sent == [1], what="the second attempt")


def test_a_server_that_is_not_there_for_a_while_gets_it_all_when_it_is(make: Make, clock: FakeClock) -> None:
    port = free_port()
    shelf = Shelf(*(message(item(f"d{n}"), id=n, group=str(n)) for n in range(1, 6)))
    outbox = make(shelf, channel(f"json://127.0.0.1:{port}/"))
    wait_for(lambda: len(shelf.failures) >= 5, what="refused connections")
    assert all("refused" in reason for _, reason, _ in shelf.failures)
    with Hook(port=port) as hook:
        clock.pass_s(3_600)
        outbox.wake()
        wait_for(lambda: len(shelf.sent) == 5, what="all messages")
    assert sorted(keys(hook)) == ["d1", "d2", "d3", "d4", "d5"]


def test_a_fire_that_ends_while_nobody_is_there_is_one_message(make: Make, clock: FakeClock) -> None:
    port = free_port()
    shelf = Shelf(message(id=1))
    outbox = make(shelf, channel(f"json://127.0.0.1:{port}/"))
    wait_for(lambda: shelf.failures, what="a refused connection")
    outbox.put(shelf.keep([message(item(tells=Tells.RESOLVED, at_s=60), id=2)]))
    with Hook(port=port) as hook:
        clock.pass_s(600)
        outbox.wake()
        wait_for(lambda: shelf.sent == [1, 2], what="both messages")
    assert [told["state"] for told in hook.requests[0].json["items"]] == ["resolved"]
    assert len(hook.requests) == 1


def test_a_failure_for_good_is_a_dead_letter_with_its_reason(make: Make) -> None:
    shelf = Shelf(message(item("d1"), id=1, group="a"), message(item("d2"), id=2, group="b"))
    with Hook(says(404, body=b"no such hook")) as hook:
        make(shelf, channel(hook.url))
        wait_for(lambda: shelf.sent == [2], what="the message behind it")
    assert shelf.dead == [(1, "HTTP 404 Not Found: no such hook")]


def test_what_is_too_old_is_a_dead_letter(make: Make, clock: FakeClock) -> None:
    shelf = Shelf(message(id=1))
    outbox = make(shelf, channel(f"json://127.0.0.1:{free_port()}/", age_max_s=3_600))
    wait_for(lambda: shelf.failures, what="a refused connection")
    clock.pass_s(3_600)
    outbox.wake()
    wait_for(lambda: shelf.dead, what="its death")
    assert shelf.dead[0][1].startswith("not handed over within 1h (age_max); the last attempt: json://127.0.0.1:")


def test_above_the_rate_messages_wait_and_go_together(make: Make, clock: FakeClock) -> None:
    shelf = Shelf()
    with Hook() as hook:
        outbox = make(shelf, channel(hook.url, rate_max=1))
        outbox.put(shelf.keep([message(item("d0"), id=1)]))
        wait_for(lambda: shelf.sent == [1], what="the first")
        for n in range(2, 6):
            outbox.put(shelf.keep([message(item(f"d{n}"), id=n)]))
        wait_for(lambda: outbox.picture()[0].state == "limited", what="the limit")
        clock.pass_s(60)
        outbox.wake()
        wait_for(lambda: shelf.sent == [1, 2, 3, 4, 5], what="the others")
    assert [len(request.json["items"]) for request in hook.requests] == [1, 4]


def test_a_flood_goes_through_a_small_memory_in_order(make: Make) -> None:
    shelf = Shelf(*(message(item(str(n)), id=n, group=str(n % 7)) for n in range(1, 301)))
    told: list[Message] = []
    outbox = make(shelf, Fake(told.append, options=NotifyOptions(url="fake:", rate_max=100_000)), messages_max=8)
    outbox.put(shelf.keep([message(item(str(n)), id=n, group=str(n % 7)) for n in range(301, 401)]))
    wait_for(lambda: len(shelf.sent) == 400, what="all")
    for group in range(7):
        numbers = [int(one.key[0] or 0) for sent in told if sent.group == str(group) for one in sent.items]
        assert numbers == sorted(numbers)
        assert len(numbers) in (57, 58)


def test_a_message_that_grows_under_way_is_told_whole(make: Make) -> None:
    shelf = Shelf(message(item("a"), id=1))
    under_way, go_on = threading.Event(), threading.Event()
    told: list[Message] = []

    def take(sent: Message) -> None:
        told.append(sent)
        under_way.set()
        go_on.wait(20)

    outbox = make(shelf, Fake(take))
    assert under_way.wait(20)
    rest = message(item("b"), id=2)  # what the store makes of the items that joined, when the first part is written down
    shelf.waiting = {2: rest}
    outbox.put([message(item("a"), item("b"), id=1), rest])
    go_on.set()
    wait_for(lambda: len(told) == 2, what="the rest")
    assert [one.key for sent in told for one in sent.items] == [("a",), ("b",)]


def test_a_store_that_can_not_write_for_now_is_asked_again_and_nothing_is_sent_twice(make: Make) -> None:
    shelf = Shelf(message(id=1))
    tries: list[int] = []

    def on_sent(messages: tuple[Message, ...], at_us: int) -> None:
        tries.append(at_us)
        if len(tries) == 1:
            raise RetryLater("the disk is full")
        shelf.wiring().on_sent(messages, at_us)

    with Hook() as hook:
        make(shelf, channel(hook.url), wiring=replace(shelf.wiring(), on_sent=on_sent))
        wait_for(lambda: shelf.sent == [1], what="the second try to write")
    assert len(hook.requests) == 1


def test_a_store_that_can_not_be_read_for_now_is_asked_again(make: Make) -> None:
    shelf = Shelf(message(id=1))
    tries: list[int] = []

    def more(name: str, after_id: int, limit: int) -> list[Message]:
        tries.append(limit)
        if len(tries) == 1:
            raise RetryLater("not yet")
        return list(shelf.more(name, after_id, limit))

    make(shelf, Fake(lambda _: None), wiring=replace(shelf.wiring(), more=more))
    wait_for(lambda: shelf.sent == [1], what="the message")


def test_a_defect_in_a_channel_is_logged_and_tried_again(make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(message(id=1))
    tries: list[Message] = []

    def fail_once(sent: Message) -> None:
        tries.append(sent)
        if len(tries) == 1:
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        outbox = make(shelf, Fake(fail_once))
        wait_for(lambda: shelf.failures, what="the failure")
        clock.pass_s(301)
        outbox.wake()
        wait_for(lambda: shelf.sent == [1], what="the second attempt")
    assert shelf.failures[0][1] == "a defect of the appliance: ZeroDivisionError"
    assert "Traceback" in caplog.text


def test_a_reload_swaps_a_channel_while_messages_wait(make: Make, clock: FakeClock) -> None:
    shelf = Shelf(message(id=1))
    outbox = make(shelf, channel(f"json://127.0.0.1:{free_port()}/"))
    wait_for(lambda: shelf.failures, what="a refused connection")
    with Hook() as hook:
        outbox.reload({"ops": channel(hook.url), "new": channel(hook.url, "new")})
        clock.pass_s(301)
        outbox.wake()
        wait_for(lambda: shelf.sent == [1], what="the message on the new channel")
        outbox.put(shelf.keep([message(id=2, channel="new")]))
        wait_for(lambda: shelf.sent == [1, 2], what="the message of the channel that came")


def test_what_waits_for_a_channel_that_goes_is_dead_and_it_may_come_back(make: Make) -> None:
    shelf = Shelf(message(id=1), message(id=2, channel="never was"))
    outbox = make(shelf, channel(f"json://127.0.0.1:{free_port()}/"))
    wait_for(lambda: shelf.failures and shelf.dead, what="a refused connection")
    outbox.reload({})
    wait_for(lambda: len(shelf.dead) == 2, what="both dead")
    assert sorted(shelf.dead) == [(1, GONE), (2, GONE)]
    told: list[Message] = []
    outbox.reload({"ops": Fake(told.append)})
    outbox.put(shelf.keep([message(id=3)]))
    wait_for(lambda: shelf.sent == [3], what="the message after its return")


def test_a_reload_without_a_change_keeps_the_channel(make: Make) -> None:
    first, second = Fake(lambda _: None), Fake(lambda _: None)
    outbox = make(Shelf(), first)
    outbox.reload({"ops": second})
    shelf: list[Message] = []
    first.action = shelf.append
    outbox.test("ops")
    assert len(shelf) == 1


def test_close_ends_what_hangs_and_leaves_it_to_the_store(make: Make) -> None:
    shelf = Shelf(message(id=1, due_s=LONG_AGO_S), message(id=2, channel="command", due_s=LONG_AGO_S))
    with Hook(hangs) as hook:
        outbox = make(shelf, channel(hook.url, timeout_s=100, age_max_s=FOR_EVER_S), sleeping("sleep 1000"), clock=SystemClock())
        wait_for(lambda: hook.requests, what="the hanging attempt")
        assert outbox.close(timeout_s=2)
    assert sorted(shelf.waiting) == [1, 2]
    assert not shelf.failures


def sleeping(line: str) -> Channel:
    options = NotifyOptions(url=f"exec:{line}", timeout_s=100, age_max_s=FOR_EVER_S)
    return channel_of("command", options, data_dir=Path("/"), node="box-1")


def test_close_does_not_wait_for_what_can_not_be_ended(make: Make) -> None:
    shelf = Shelf(message(id=1, due_s=LONG_AGO_S))
    under_way, end = threading.Event(), threading.Event()

    def hang(_: Message) -> None:
        under_way.set()
        end.wait(60)

    outbox = make(shelf, Fake(hang, options=NotifyOptions(url="fake:", age_max_s=FOR_EVER_S)), clock=SystemClock())
    assert under_way.wait(20)
    assert not outbox.close(timeout_s=0.1)
    end.set()


def test_after_close_what_is_put_is_left_to_the_store(make: Make) -> None:
    shelf = Shelf()
    told: list[Message] = []
    outbox = make(shelf, Fake(told.append))
    assert outbox.close()
    outbox.put([message(id=1)])
    assert not told


def test_a_test_message_is_sent_for_real_and_says_what_came_back(make: Make) -> None:
    with Hook(says(200, body=b"thanks"), says(401)) as hook:
        outbox = make(Shelf(), channel(hook.url))
        assert outbox.test("ops") == "HTTP 200 OK: thanks"
        with pytest.raises(Undelivered, match="HTTP 401"):
            outbox.test("ops")
        with pytest.raises(UsageRefused, match="the config has ops"):
            outbox.test("opps")
    assert hook.requests[0].json["items"][0]["rule"] == "test"


def test_the_picture_says_how_each_channel_does(make: Make) -> None:
    shelf = Shelf(message(id=1), message(id=2, channel="down"))
    with Hook() as hook:
        outbox = make(shelf, channel(hook.url), channel(f"json://user:hunter2@127.0.0.1:{free_port()}/secret", "down"))
        wait_for(lambda: shelf.sent and shelf.failures, what="both")
        wait_for(lambda: not outbox.picture()[1].is_behind, what="the store to be read")
        down, ops = outbox.picture()
    assert (down.name, down.state, down.waiting, down.failed) == ("down", "failing", 1, 1)
    assert (ops.name, ops.state, ops.waiting, ops.sent, ops.error) == ("ops", "ok", 0, 1, "")
    assert "hunter2" not in repr(down)
    assert "secret" not in repr(down)
