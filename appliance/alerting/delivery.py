"""Between the outbox and the store: what became of a message is written by the writer before the next one goes."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from appliance.alerting.telling_meter import TellingMeter
from appliance.clock import Clock
from appliance.door.commit import Committer
from appliance.hot.alerts import outbox as store
from appliance.hot.alerts.tables import durable
from appliance.hot.alerts.values import Message
from appliance.hot.reader import HotReader
from appliance.notify.outbox import Outbox
from appliance.notify.worker import Wiring

T = TypeVar("T")
UNDERWAY_MAX: Final = 10_000
"""Messages whose way is timed at once."""


class Delivery:
    """What the workers of the outbox call. They may wait: each is the only one of its channel."""

    def __init__(
        self,
        *,
        call: Callable[[Callable[[Committer], Any]], Future[Any]],
        reader: Callable[[], AbstractContextManager[HotReader]],
        clock: Clock,
        step: Callable[[str], None],
        meter: TellingMeter,
    ) -> None:
        """``step`` is told each named step, for tests that stop there."""
        self._step = step
        self._call = call
        self._reader = reader
        self._clock = clock
        self._since_ns: OrderedDict[int, int] = OrderedDict()
        self.outbox: Outbox | None = None
        self.meter = meter

    def wiring(self) -> Wiring:
        """As the outbox wants it."""
        return Wiring(on_sent=self._sent, on_failed=self._failed, on_dead=self._dead, more=self._more)

    def note(self, messages: Sequence[Message], since_ns: int) -> None:
        """These messages were caused by a record that was committed at ``since_ns`` of the monotonic clock."""
        for message in messages:
            if message.id is not None:
                self._since_ns.setdefault(message.id, since_ns)
        while len(self._since_ns) > UNDERWAY_MAX:
            self._since_ns.popitem(last=False)

    def _sent(self, messages: tuple[Message, ...], at_us: int) -> None:
        self._step("alerts.handed_over")
        now_ns = self._clock.monotonic_ns()
        for message in messages:
            self.meter.note(message, self._since_ns.pop(message.id or 0, None), now_ns)
        self._settle(lambda db: [store.sent(db, m, now_us=at_us) for m in messages])
        self._step("alerts.confirmed")

    def _failed(self, messages: tuple[Message, ...], reason: str, due_us: int) -> None:
        def write(db: sqlite3.Connection) -> list[int | None]:
            for message in messages:
                assert message.id is not None
                store.failed(db, message.id, error=reason, due_us=due_us)
            return []

        self._settle(write)

    def _dead(self, messages: tuple[Message, ...], reason: str, age_max_us: int | None) -> None:
        now_us = self._clock.now_us()
        self._settle(lambda db: [store.dead(db, m, reason=reason, now_us=now_us, age_max_us=age_max_us) for m in messages])

    def _settle(self, write: Callable[[sqlite3.Connection], list[int | None]]) -> None:
        """Writes, and puts what has joined meanwhile back into the outbox."""

        def run(committer: Committer) -> list[Message]:
            db = committer.store.connection
            with durable(db), committer.store.transaction():
                left = write(db)
            return [m for i in left if i is not None and (m := store.load_message(db, i)) is not None]

        left = self._call(run).result()
        if left and self.outbox is not None:
            self.outbox.put(left)

    def _more(self, channel: str, after_id: int, limit: int) -> Sequence[Message]:
        with self._reader() as reader:
            found = reader.execute(
                "SELECT id FROM outbox WHERE state = 'waiting' AND channel = ? AND id > ? ORDER BY id LIMIT ?", (channel, after_id, limit)
            )
            messages = [store.load_message(reader, int(str(row[0]))) for row in found]
            return [m for m in messages if m is not None]
