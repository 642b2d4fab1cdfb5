"""``GET /api/events``: what happens, as server-sent events, from now on or from where a reader has left off.

A reader's place is the newest transition of an alert that it was sent (``a123``; with a stream ``a123.4567``, the sequence of its newest
record). Transitions are never missing and never told twice: what a slow reader's queue had no room for, and what happened while it was
away, is read from the store. For the rest a gap is told by the event ``missed``: topic -> how many (null: not known). One who reads
nothing costs his queue and the socket's buffer, until the connection's time limit ends it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from appliance.errors import UsageRefused
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import Desk
from appliance.serving.http.tail import LOOK_EVERY_S, Follower, rows_as_json
from appliance.serving.push import ALERTS, TOPICS, Event, Subscriber, place_of, transition_event

HEARTBEAT_S: Final = 15.0
"""A comment is sent after this time without an event, so that both sides notice when the other is gone."""
RETRY_MS: Final = 2_000
"""After which a client should connect again."""
PAGE_ROWS: Final = 500
"""Transitions read from the store at once."""
PIECE_BYTES: Final = 32 * 1024
"""Events are joined up to about this size before they are handed to the socket."""
RECORDS: Final = "records"
"""Under what a gap in the stream's records is told."""
_PLACE: Final = re.compile(r"a([0-9]{1,18})(?:\.([0-9]{1,18}))?")


async def events(desk: Desk, request: Request) -> Response:
    """``GET /api/events[?topics=alerts,sessions][&stream=NAME]``, resumed by ``Last-Event-ID`` or ``last_event_id``.

    Without topics and stream all topics are told; with a stream alone, its records.
    """
    context, query = desk.ready(), request.query_params
    stream = query.get("stream") or None
    topics = _topics(query.get("topics"), has_stream=stream is not None)
    after = _place(query.get("last_event_id") or request.headers.get("last-event-id"))
    subscriber = context.hub.subscribe(topics)
    try:
        feed = Feed(context, subscriber, stream, after)
        await feed.begin()
    except BaseException:
        subscriber.close()
        raise
    return EndlessResponse(_told(desk, feed), subscriber, media_type="text/event-stream")


class EndlessResponse(StreamingResponse):
    """An answer that goes on until its reader leaves or the service ends; whichever comes, its place becomes free."""

    def __init__(self, content: AsyncIterator[bytes], subscriber: Subscriber, *, media_type: str) -> None:
        super().__init__(content, media_type=media_type, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._subscriber = subscriber

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._subscriber.close()


class Feed:
    """One reader's way through transitions, other events and records. The event loop's."""

    def __init__(self, context: HttpContext, subscriber: Subscriber, stream: str | None, after: tuple[int, int | None] | None) -> None:
        self.subscriber = subscriber
        self._context = context
        self._after = after
        self._alert = 0
        """The newest transition that was told, or that there was at the beginning."""
        self._records = Follower(stream, context.state(), after=after[1] if after is not None else None) if stream is not None else None
        self._record = self._records.place if self._records is not None else 0

    @property
    def wait_s(self) -> float:
        """How long nothing may be looked at: records don't call."""
        return LOOK_EVERY_S if self._records is not None else HEARTBEAT_S

    async def begin(self) -> None:
        """Finds the place to start from. The reader subscribes before, so that nothing falls in between."""
        newest = await asyncio.to_thread(self._context.alerts.history, limit=1)
        self._alert = newest[0].id if newest else 0

    async def first(self) -> AsyncIterator[bytes]:
        """The place at which it starts, and what happened while the reader was away."""
        newest, self._alert = self._alert, self._alert if self._after is None else min(self._after[0], self._alert)
        yield b"retry: %d\nid: %s\n\n" % (RETRY_MS, self._id())
        if self._after is None:
            return
        gone: dict[str, int | None] = {topic: None for topic in TOPICS if topic in self.subscriber.topics and topic != ALERTS}
        if self._after[0] > newest and ALERTS in self.subscriber.topics:
            gone[ALERTS] = None  # the store is younger than the reader's place: a backup was put back
        if self._records is not None and self._after[1] != self._record:
            gone[RECORDS] = None
        if gone:
            yield self._missed(gone)
        if ALERTS in self.subscriber.topics:
            async for piece in self._stored():
                yield piece

    async def new(self) -> AsyncIterator[bytes]:
        """What has come since the last call, event by event."""
        taken = self.subscriber.take()
        for event in taken.events:
            if event.topic == ALERTS and event.id is not None:
                async for piece in self._transition(event, int(event.id[1:])):
                    yield piece
            else:
                yield self._frame(event.name, event.data)
        if ALERTS in taken.missed:
            async for piece in self._stored():
                yield piece
        missed = {topic: count for topic, count in taken.missed.items() if topic != ALERTS}
        if missed:
            yield self._missed(missed)
        if self._records is not None:
            for piece in self._new_records(self._records):
                yield piece

    async def _transition(self, event: Event, alert: int) -> AsyncIterator[bytes]:
        """The next one is told as it is; where others belong before it, they are in the store; an older one was told already."""
        if alert > self._alert + 1:
            async for piece in self._stored():
                yield piece
        if alert > self._alert:
            self._alert = alert
            yield self._frame(event.name, event.data)

    async def _stored(self) -> AsyncIterator[bytes]:
        """Transitions behind the place, from the store. Those that it no longer has are told as missed."""
        while True:
            rows = await asyncio.to_thread(self._context.alert_events_after, self._alert, PAGE_ROWS)
            if rows and rows[0].id > self._alert + 1:
                yield self._missed({ALERTS: rows[0].id - self._alert - 1})
            for row in rows:
                self._alert = row.id
                event = transition_event(row)
                yield self._frame(event.name, event.data)
            if len(rows) < PAGE_ROWS:
                return

    def _new_records(self, records: Follower) -> Iterable[bytes]:
        for seen in records.look(self._context.state()):
            if seen.data is None:
                self._record += seen.missed
                yield self._missed({RECORDS: seen.missed})
            else:
                for row, data in enumerate(rows_as_json(seen.stream, seen.first, seen.data, with_stream=False)):
                    self._record = seen.first + row
                    yield self._frame("record", data)

    def _missed(self, counts: Mapping[str, int | None]) -> bytes:
        return self._frame("missed", msgspec.json.encode(counts))

    def _frame(self, name: str, data: bytes) -> bytes:
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (self._id(), name.encode("ascii"), data)

    def _id(self) -> bytes:
        return (place_of(self._alert) if self._records is None else f"{place_of(self._alert)}.{self._record}").encode("ascii")


async def _told(desk: Desk, feed: Feed) -> AsyncIterator[bytes]:
    """The bytes of the answer: all that ``feed`` has, as it comes, and a comment when nothing comes for long."""
    async for piece in _joined(feed.first()):
        yield piece
    quiet_since_ns = desk.clock.monotonic_ns()
    while not feed.subscriber.is_over:
        async for piece in _joined(feed.new()):
            yield piece
            quiet_since_ns = desk.clock.monotonic_ns()
        quiet_s = (desk.clock.monotonic_ns() - quiet_since_ns) / 1e9
        await feed.subscriber.wait(max(0.0, min(feed.wait_s, HEARTBEAT_S - quiet_s)))
        if desk.clock.monotonic_ns() - quiet_since_ns >= HEARTBEAT_S * 1e9:
            yield b": all is well\n\n"
            quiet_since_ns = desk.clock.monotonic_ns()


async def _joined(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces."""
    held: list[bytes] = []
    size = 0
    async for frame in frames:
        held.append(frame)
        size += len(frame)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _topics(asked: str | None, *, has_stream: bool) -> tuple[str, ...]:
    if asked is None:
        return () if has_stream else TOPICS
    topics = tuple(t.strip() for t in asked.split(",") if t.strip())
    for topic in topics:
        if topic not in TOPICS:
            raise UsageRefused(f"there is no topic {topic[:40]!r}; there are: {', '.join(TOPICS)}")
    return topics


def _place(text: str | None) -> tuple[int, int | None] | None:
    """Transition and record (None: none) of an event's id; None without one."""
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise UsageRefused(f"{text[:40]!r} is no id of an event here; they look like a123")
    return int(found[1]), None if found[2] is None else int(found[2])
