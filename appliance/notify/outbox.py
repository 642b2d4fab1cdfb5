"""The outbox: takes durable messages and hands them over, each channel for itself, at least once, in order within a group.

The store holds every message until its outcome is written; here is a bounded beginning of what waits. A crash between hand-over and
``on_sent`` makes the message go once more, with the same idempotency key. Each attempt ends within the channel's time-out.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Final

from appliance.clock import Clock
from appliance.errors import UsageRefused
from appliance.hot.alerts.values import Item, Message, Tells
from appliance.notify.channel import Channel
from appliance.notify.lane import MESSAGES_MAX
from appliance.notify.worker import ChannelPicture, Wiring, Worker

CLOSE_S: Final = 2.0
TEST_RULE: Final = "test"


class Outbox:
    """The front of all channels. Any thread may call it; no call waits for a channel but ``test`` and ``close``."""

    def __init__(
        self, channels: Mapping[str, Channel], *, wiring: Wiring, clock: Clock, random: Random, messages_max: int = MESSAGES_MAX
    ) -> None:
        """``channels``: by name; ``messages_max``: how many messages of one channel are held in memory; ``random``: of the jitter."""
        self._wiring = wiring
        self._clock = clock
        self._random = random
        self._messages_max = messages_max
        self._lock = threading.Lock()
        self._is_started = False
        self._is_closed = False
        self._workers: dict[str, Worker] = {}
        for name, channel in channels.items():
            self._worker(name, channel)

    def start(self, waiting: Collection[str] = ()) -> None:
        """Begin with what the store holds. ``waiting``: names of channels that have messages there; those of channels that are no more
        become dead."""
        with self._lock:
            for name in waiting:
                if name not in self._workers:
                    self._worker(name, None)
            self._is_started = True
            for worker in self._workers.values():
                worker.start()

    def put(self, messages: Sequence[Message]) -> None:
        """Messages that are durable and have ids, in the order of their ids. Returns at once.

        One with the id of a message that was put before is what that has become: it takes its place, or, where that is under way or was,
        the store is asked what is left of it. Before ``start`` and after ``close`` they
        are left to the store.
        """
        by_channel: dict[str, list[Message]] = {}
        for message in messages:
            by_channel.setdefault(message.channel, []).append(message)
        with self._lock:
            if not self._is_started or self._is_closed:
                return
            workers = [(self._workers.get(name) or self._worker(name, None), found) for name, found in by_channel.items()]
        for worker, found in workers:
            worker.put(found)

    def reload(self, channels: Mapping[str, Channel]) -> None:
        """From the next attempt on these channels, while messages wait. What waits for a channel that is no more becomes dead; a channel
        whose options are the same is kept as it is."""
        with self._lock:
            for name, worker in self._workers.items():
                new = channels.get(name)
                old = worker.channel
                if new is not None and old is not None and (new.options, new.sender) == (old.options, old.sender):
                    continue
                worker.swap(new)
            for name, channel in channels.items():
                if name not in self._workers:
                    self._worker(name, channel)

    def wake(self) -> None:
        """Look at the clock again, now: it has been set."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.wake()

    def test(self, channel: str) -> str:
        """Send a test message for real and return what the other side said; past the queue and the rate.

        Raises ``UsageRefused`` when there is no such channel, ``Undelivered`` when it was not handed over.
        """
        with self._lock:
            worker = self._workers.get(channel)
            names = sorted(name for name, one in self._workers.items() if one.channel is not None)
        found = worker.channel if worker is not None else None
        if found is None:
            raise UsageRefused(f"there is no channel {channel!r}; the config has {', '.join(names) or 'none'}")
        message = sample_message(channel, node=found.sender.node, now_us=self._clock.now_us())
        return found.send(message, timeout_s=found.options.timeout_s).said

    def picture(self) -> tuple[ChannelPicture, ...]:
        """How each channel does, by name."""
        with self._lock:
            workers = sorted(self._workers.values(), key=lambda worker: worker.name)
        return tuple(worker.picture() for worker in workers)

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """End: what is under way has half the time to end by itself, then is interrupted. What waits stays in the store.

        False when a worker still hangs after ``timeout_s``; its thread ends with the process.
        """
        with self._lock:
            self._is_closed = True
            workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        hanging = self._joined(workers, timeout_s / 2)
        for worker in hanging:
            worker.interrupt()
        return not self._joined(hanging, timeout_s / 2)

    def _joined(self, workers: Sequence[Worker], timeout_s: float) -> list[Worker]:
        """Those that have not ended within the time, which is for all of them."""
        end_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        return [worker for worker in workers if not worker.join(max(0.0, (end_ns - self._clock.monotonic_ns()) / 1e9))]

    def _worker(self, name: str, channel: Channel | None) -> Worker:
        worker = Worker(
            name,
            channel,
            clock=self._clock,
            random=Random(self._random.getrandbits(64)),  # noqa: S311 - jitter
            wiring=self._wiring,
            messages_max=self._messages_max,
        )
        self._workers[name] = worker
        if self._is_started:
            worker.start()
        return worker


def sample_message(channel: str, *, node: str, now_us: int) -> Message:
    """What ``appliance alerts test`` sends: one firing alert of the rule ``test``, mildest severity, with a key of its own each time."""
    item = Item(
        rule=TEST_RULE,
        key=(),
        fire=now_us,
        tells=Tells.FIRING,
        at_us=now_us,
        summary=f"test of channel {channel} from {node}",
        labels={"rule": TEST_RULE, "severity": "info"},
        values={},
        severity="info",
        fired_us=now_us,
    )
    return Message(channel=channel, group=f"rule={TEST_RULE}", due_us=now_us, items=(item,))
