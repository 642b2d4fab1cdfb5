"""A store of messages for the outbox, as the wiring is one: what is written here outlives an outbox."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from appliance.hot.alerts.values import Message
from appliance.notify.worker import Wiring


class Shelf:
    """Messages by id, and what became of them. ``is_dead`` after a crash: nothing is written any more."""

    def __init__(self, *messages: Message) -> None:
        self._lock = threading.Lock()
        self.waiting: dict[int, Message] = {}
        self.sent: list[int] = []
        self.dead: list[tuple[int, str]] = []
        self.failures: list[tuple[tuple[int, ...], str, int]] = []
        """(ids, reason, next try)."""
        self.is_crashed = False
        self.keep(messages)

    def keep(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Makes messages durable."""
        with self._lock:
            for message in messages:
                assert message.id is not None
                self.waiting[message.id] = message
        return messages

    def wiring(self) -> Wiring:
        return Wiring(on_sent=self._on_sent, on_failed=self._on_failed, on_dead=self._on_dead, more=self.more)

    def more(self, channel: str, after_id: int, limit: int) -> Sequence[Message]:
        with self._lock:
            found = sorted(one for one, message in self.waiting.items() if one > after_id and message.channel == channel)
            return [self.waiting[one] for one in found[:limit]]

    def _on_sent(self, messages: tuple[Message, ...], _at_us: int) -> None:
        self.sent += self._taken(messages)

    def _on_failed(self, messages: tuple[Message, ...], reason: str, next_us: int) -> None:
        self.failures.append((tuple(message.id or 0 for message in messages), reason, next_us))

    def _on_dead(self, messages: tuple[Message, ...], reason: str, _age_max_us: int | None) -> None:
        self.dead += [(one, reason) for one in self._taken(messages)]

    def _taken(self, messages: tuple[Message, ...]) -> list[int]:
        with self._lock:
            if self.is_crashed:
                return []
            return [message.id for message in messages if message.id is not None and self.waiting.pop(message.id, None) is not None]
