"""The hub: any thread publishes and never waits, a queue has a limit, and the order holds."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.errors import RetryLater
from appliance.serving.push import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, SESSIONS, Hub


def numbers(events: object) -> list[int]:
    return [json.loads(event.data)["n"] for event in events]  # type: ignore[attr-defined]


async def test_what_many_threads_publish_arrives_whole_and_in_each_thread_s_order() -> None:
    hub = Hub()
    subscriber = hub.subscribe([SESSIONS])

    def publish(thread: int) -> None:
        for n in range(100):
            hub.publish(SESSIONS, "update", {"n": thread * 1_000 + n}, None)

    with ThreadPoolExecutor(8) as pool:
        done = asyncio.gather(*(asyncio.get_running_loop().run_in_executor(pool, publish, thread) for thread in range(8)))
        seen: list[int] = []
        while len(seen) < 800:
            await subscriber.wait(10)
            seen += numbers(subscriber.take().events)
        await done
    for thread in range(8):
        assert [n % 1_000 for n in seen if n // 1_000 == thread] == list(range(100))


async def test_a_full_queue_counts_what_comes_later_until_it_is_emptied() -> None:
    hub = Hub()
    subscriber = hub.subscribe([SESSIONS])
    for n in range(QUEUE_EVENTS_MAX + 5):
        hub.publish(SESSIONS, "update", {"n": n}, None)
    taken = subscriber.take()
    assert (numbers(taken.events), taken.missed) == (list(range(QUEUE_EVENTS_MAX)), {SESSIONS: 5})
    hub.publish(SESSIONS, "update", {"n": -1}, None)
    again = subscriber.take()
    assert (numbers(again.events), again.missed) == ([-1], {})


async def test_large_events_fill_a_queue_by_their_bytes() -> None:
    hub = Hub()
    subscriber = hub.subscribe([SESSIONS])
    for n in range(5):
        hub.publish(SESSIONS, "update", {"n": n, "text": "x" * (QUEUE_BYTES_MAX // 3)}, None)
    taken = subscriber.take()
    assert (numbers(taken.events), taken.missed) == ([0, 1], {SESSIONS: 3})


async def test_the_end_calls_those_who_wait_and_takes_nobody_more() -> None:
    hub = Hub()
    subscriber = hub.subscribe([])
    waiting = asyncio.create_task(subscriber.wait(60))
    await asyncio.get_running_loop().run_in_executor(None, hub.close)
    await waiting
    assert subscriber.is_over
    with pytest.raises(RetryLater):
        hub.subscribe([])


def test_publishing_after_the_loop_has_ended_reaches_nobody_and_breaks_nothing() -> None:
    hub = Hub()

    async def forgotten() -> None:
        hub.subscribe([SESSIONS])

    asyncio.run(forgotten())
    hub.publish(SESSIONS, "update", {}, None)
    assert hub.subscribers == 1


def test_a_topic_that_nobody_knows_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        Hub().publish("sesions", "update", {}, None)
