"""The worker of one channel: one thread, the only one that changes the channel's lane while it holds the lock.

It sends without the lock, so a channel that hangs holds up nothing but itself. What became of a message is told when the lane knows it;
a store that can't write it down for now is asked again, and no further message goes until it has.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from appliance.clock import Clock
from appliance.errors import ApplianceError
from appliance.hot.alerts.values import Message
from appliance.notify.channel import Channel, Delivery, Undelivered
from appliance.notify.lane import MESSAGES_MAX, Bundle, Dead, Lane, Now, Pause

log = logging.getLogger(__name__)
AGAIN_S: Final = 1.0
"""Pause after the store could not be read or written."""
GONE: Final = "the channel is no longer in the config"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the outbox tells and asks of whoever keeps the messages. Called in the workers' threads; may take their time.

    An ``ApplianceError`` from them is tried again after ``AGAIN_S``; messages that went together are told together.
    """

    on_sent: Callable[[tuple[Message, ...], int], None]
    """(messages, wall clock in µs): the other side has them, in the state in which they are given: items that were stored since go
    on waiting."""
    on_failed: Callable[[tuple[Message, ...], str, int], None]
    """(messages, reason, wall clock in µs of the next try)."""
    on_dead: Callable[[tuple[Message, ...], str, int | None], None]
    """(messages, reason, µs): they are tried no more; what joined them less than the last ago goes on waiting (None: nothing does)."""
    more: Callable[[str, int, int], Sequence[Message]]
    """(channel, after_id, limit): the waiting messages with greater ids, ascending, at most ``limit``; fewer: there are no more."""


@dataclass(frozen=True, slots=True)
class ChannelPicture:
    """How one channel does."""

    name: str
    shown: str
    """The URL without what could be secret; "" for one that is gone."""
    state: str
    """``ok``, ``failing`` (the newest attempt did), ``limited`` (waits for its rate), ``gone`` (not in the config)."""
    waiting: int
    """In memory."""
    is_behind: bool
    """More may wait in the store."""
    sent: int
    failed: int
    """Attempts, since the start."""
    dead: int
    error: str
    """Of the newest attempt; "" when it went well."""


class Worker:
    """Hands one channel's messages over."""

    def __init__(
        self, name: str, channel: Channel | None, *, clock: Clock, random: Random, wiring: Wiring, messages_max: int = MESSAGES_MAX
    ) -> None:
        """``channel`` None: there is none (any more), and what waits for it is dead."""
        self.name = name
        self._channel = channel
        self._clock = clock
        self._wiring = wiring
        self._lane = Lane(random, messages_max=messages_max)
        self._changed = threading.Condition()
        self._is_stopping = False
        self._retired: list[Channel] = []
        """Channels to be closed when nothing is under way on them."""
        self._sent = self._failed = self._dead = 0
        self._error = ""
        self._thread = threading.Thread(target=self._run, name=f"notify-{name}", daemon=True)  # noqa: TID251 - its owner

    @property
    def channel(self) -> Channel | None:
        return self._channel

    def start(self) -> None:
        self._thread.start()

    def put(self, messages: Sequence[Message]) -> None:
        """Durable messages of this channel, in the order of their ids."""
        with self._changed:
            self._lane.put(messages, self._now())
            self._changed.notify_all()

    def swap(self, channel: Channel | None) -> None:
        """From the next attempt on this one; an attempt that is under way goes to its end."""
        with self._changed:
            before, self._channel = self._channel, channel
            if before is not None and before is not channel:
                self._retired.append(before)
            self._changed.notify_all()

    def wake(self) -> None:
        """Look at the clock again."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Begin to end: what is under way may end by itself."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """End what is under way."""
        with self._changed:
            channels = [*self._retired, *([self._channel] if self._channel is not None else [])]
        for channel in channels:
            channel.close()

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended within the time."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def picture(self) -> ChannelPicture:
        with self._changed:
            channel, lane = self._channel, self._lane
            limited = lane.is_limited(self._now())
            state = "gone" if channel is None else "failing" if self._error else "limited" if limited else "ok"
            shown = channel.shown if channel is not None else ""
            counts = (self._sent, self._failed, self._dead)
            return ChannelPicture(self.name, shown, state, len(lane), lane.is_behind, *counts, self._error)

    # --- in the worker's thread

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._step()
            except Exception:  # a defect must not silence the channel; it is in the log with its traceback
                log.exception("notify.%s: a defect; the channel goes on", self.name)
                self._wait(AGAIN_S)
        self._close_retired()
        channel = self._channel
        if channel is not None:
            channel.close()

    def _step(self) -> None:
        """Wait for something to do, and do it."""
        self._close_retired()
        with self._changed:
            if self._is_stopping:
                return
            again = self._lane.again()
            limit, after = self._lane.wants(), self._lane.last_id
            channel = self._channel
            step = None if limit or again else self._next(channel)
            if isinstance(step, Pause):
                self._changed.wait(step.seconds)
                return
        if step is None:
            self._fetch(again, after, limit)
        elif isinstance(step, Dead):
            self._bury(step)
        else:
            assert channel is not None
            self._hand_over(channel, step)

    def _next(self, channel: Channel | None) -> Bundle | Dead | Pause:
        if channel is not None:
            return self._lane.next(channel.options, self._now())
        left = self._lane.clear()
        return Dead(left, GONE) if left else Pause(None)

    def _fetch(self, again: Sequence[int], after: int, limit: int) -> None:
        """What the store has now of messages that changed under way, and what was left to it."""
        try:
            changed = [message for one in again for message in self._wiring.more(self.name, one - 1, 1) if message.id == one]
            found = self._wiring.more(self.name, after, limit) if limit else None
        except ApplianceError as error:
            log.warning("notify.%s: the waiting messages can't be read: %s", self.name, error)
            self._wait(AGAIN_S)
            with self._changed:
                self._lane.ask_again(again)
            return
        with self._changed:
            for message in changed:
                self._lane.restore(message, self._now())
            if found is not None:
                self._lane.catch_up(found, is_all=len(found) < limit, now=self._now())

    def _hand_over(self, channel: Channel, bundle: Bundle) -> None:
        try:
            self._attempt(channel, bundle)
        except Undelivered as failure:
            if not self._is_stopping or not failure.retry:
                self._not_delivered(bundle, failure)
            return
        now = self._now()
        with self._changed:
            self._lane.delivered(bundle, now)
            self._sent += len(bundle.messages)
            self._error = ""
        self._tell(lambda: self._wiring.on_sent(bundle.messages, now.us))

    def _attempt(self, channel: Channel, bundle: Bundle) -> Delivery:
        try:
            return channel.send(bundle.message, timeout_s=channel.options.timeout_s)
        except ApplianceError:
            raise
        except Exception as error:
            log.exception("notify.%s: a defect in sending", self.name)
            raise Undelivered(f"a defect of the appliance: {type(error).__name__}", retry=True) from error

    def _not_delivered(self, bundle: Bundle, failure: Undelivered) -> None:
        now = self._now()
        with self._changed:
            next_ns = self._lane.failed(bundle, failure, now)
            self._failed += 1
            self._error = failure.reason
        if next_ns is None:
            self._bury(Dead(bundle.messages, failure.reason))
            return
        next_us = now.us + (next_ns - now.ns) // 1000
        self._tell(lambda: self._wiring.on_failed(bundle.messages, failure.reason, next_us))

    def _bury(self, dead: Dead) -> None:
        with self._changed:
            self._dead += len(dead.messages)
        self._tell(lambda: self._wiring.on_dead(dead.messages, dead.reason, dead.age_max_us))

    def _tell(self, call: Callable[[], None]) -> None:
        """Until it is written down. When the outbox ends before that, the message goes once more after the next start."""
        while True:
            try:
                call()
            except ApplianceError as error:
                log.warning("notify.%s: what became of a message can't be written down yet: %s", self.name, error)
                self._wait(AGAIN_S)
                if not self._is_stopping:
                    continue
            return

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)

    def _close_retired(self) -> None:
        with self._changed:
            retired, self._retired = self._retired, []
        for channel in retired:
            with contextlib.suppress(OSError):  # its messages are handed over by the channel in its place
                channel.close()

    def _now(self) -> Now:
        return Now(self._clock.now_us(), self._clock.monotonic_ns())
