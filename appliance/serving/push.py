"""Push: what happens is handed to those who follow, and nobody ever waits for a subscriber.

``Hub.publish`` may be called from any thread and returns at once: each subscriber has a queue with a limit, and what finds no room in it
is counted instead. The subscriber is told the count in place of what it has missed. The queues are emptied on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import msgspec

from appliance.errors import RetryLater
from appliance.observe.alerts import TransitionRow

ALERTS: Final = "alerts"
SESSIONS: Final = "sessions"
JOBS: Final = "jobs"
DIVERGENCE: Final = "divergence"
PANELS: Final = "panels"
HEALTH: Final = "health"
ANALYSIS: Final = "analysis"
TOPICS: Final = (ALERTS, SESSIONS, JOBS, DIVERGENCE, PANELS, HEALTH, ANALYSIS)
"""What can be followed; every event belongs to one of them."""
TRANSITION: Final = "transition"
"""The event of a step in the life of an alert; its data is a ``TransitionRow``."""
SUBSCRIBERS_MAX: Final = 32
QUEUE_EVENTS_MAX: Final = 1_000
QUEUE_BYTES_MAX: Final = 1024 * 1024
"""Of one subscriber's queue; so all subscribers together hold at most 32 MiB."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, encoded once for all who are told."""

    topic: str
    name: str
    data: bytes
    """JSON on one line."""
    id: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a subscriber has not seen yet, in the order of happening."""

    events: Sequence[Event]
    missed: Mapping[str, int]
    """Topic -> events that found no room; they happened after ``events``."""


class Subscriber:
    """One who follows: a queue that any thread fills and the event loop empties. Made by ``Hub.subscribe``."""

    def __init__(self, hub: Hub, topics: frozenset[str]) -> None:
        self.topics = topics
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._lock = Lock()
        self._queue: deque[Event] = deque()
        self._bytes = 0
        self._missed: dict[str, int] = {}
        self._is_called = False

    @property
    def is_over(self) -> bool:
        """Whether the hub has ended."""
        return self._hub.is_closed

    def put(self, event: Event) -> bool:
        """From any thread: queues or counts it; whether there was room. After the first that finds none, all are counted until
        ``take``, so that the order holds."""
        with self._lock:
            has_room = not self._missed and len(self._queue) < QUEUE_EVENTS_MAX and self._bytes + len(event.data) <= QUEUE_BYTES_MAX
            if has_room:
                self._queue.append(event)
                self._bytes += len(event.data)
            else:
                self._missed[event.topic] = self._missed.get(event.topic, 0) + 1
        self.call()
        return has_room

    def call(self) -> None:
        """From any thread: ends a ``wait``."""
        with self._lock:
            is_called, self._is_called = self._is_called, True
        if not is_called:
            with suppress(RuntimeError):  # the loop has ended, and the subscriber with it
                self._loop.call_soon_threadsafe(self._news.set)

    def take(self) -> Taken:
        """Everything that has come since the last call."""
        self._news.clear()
        with self._lock:
            taken = Taken(tuple(self._queue), self._missed)
            self._queue.clear()
            self._bytes, self._missed, self._is_called = 0, {}, False
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to take, the hub ends, or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout_s)

    def close(self) -> None:
        """Follows no more; a second call does nothing."""
        self._hub.leave(self)


class Hub:
    """Hands events to the subscribers. Any thread may publish; following and closing belong to the event loop."""

    def __init__(self, *, subscribers_max: int = SUBSCRIBERS_MAX) -> None:
        self.subscribers_max = subscribers_max
        self.missed = 0
        """Events that found no room in a queue, since the start."""
        self.is_closed = False
        self._lock = Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    @property
    def subscribers(self) -> int:
        """How many follow now."""
        return len(self._subscribers)

    def publish(self, topic: str, event: str, data: Mapping[str, Any], id: str | None) -> None:
        """Tells whoever follows ``topic``; with nobody there it costs nothing. ``data`` becomes JSON, ``id`` is the place of a
        transition (``place_of``) and None for anything else."""
        assert topic in TOPICS, topic
        if self._is_wanted(topic):
            self._hand_out(Event(topic, event, msgspec.json.encode(data), id))

    def publish_transitions(self, rows: Iterable[TransitionRow]) -> None:
        """Tells of steps in the life of alerts, which must be durable already: a subscriber that misses one reads it from the store."""
        if self._is_wanted(ALERTS):
            for row in rows:
                self._hand_out(transition_event(row))

    def subscribe(self, topics: Iterable[str]) -> Subscriber:
        """A new subscriber of ``topics`` (none: it only takes a place and is told of the end). Raises ``RetryLater`` when there are too
        many, or after the end."""
        if self.is_closed:
            raise RetryLater("stopping", after_s=1)
        if len(self._subscribers) >= self.subscribers_max:
            raise RetryLater(f"{self.subscribers_max} readers follow already; no more are taken", after_s=10)
        subscriber = Subscriber(self, frozenset(topics))
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """It is told nothing more."""
        with self._lock:
            self._subscribers = tuple(f for f in self._subscribers if f is not subscriber)

    def close(self) -> None:
        """Ends what follows, and takes nobody any more."""
        self.is_closed = True
        for subscriber in self._subscribers:
            subscriber.call()

    def _is_wanted(self, topic: str) -> bool:
        return any(topic in f.topics for f in self._subscribers)

    def _hand_out(self, event: Event) -> None:
        for subscriber in self._subscribers:
            if event.topic in subscriber.topics and not subscriber.put(event):
                with self._lock:
                    self.missed += 1


def topic_of(event: str) -> str:
    """Under which topic batch work tells an event."""
    return {DIVERGENCE: DIVERGENCE, "panel": PANELS}.get(event, JOBS)


def transition_event(row: TransitionRow) -> Event:
    """The event of a transition, the same whether it is told at once or read from the store later."""
    return Event(ALERTS, TRANSITION, msgspec.json.encode(row), place_of(row.id))


def place_of(alert_id: int) -> str:
    """The id of an event: the newest transition up to there, ``a123``."""
    return f"a{alert_id}"
