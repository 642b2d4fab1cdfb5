"""How long it takes until somebody has been told, and what is told, by rule."""

from __future__ import annotations

from appliance.box import Box
from appliance.hot.alerts.values import Message, Tells
from appliance.observe.costs import Spent
from appliance.observe.latencies import ALERTS
from appliance.observe.latency import LatencyWindow


class TellingMeter:
    """Told by the workers of the outbox, each message that was handed over."""

    def __init__(self, box: Box) -> None:
        self._clock = box.clock
        self._latencies = box.latencies
        self._costs = box.costs
        self.handed_over = LatencyWindow()
        """From the commit of the record that caused it until the other side had the message."""

    def note(self, message: Message, since_ns: int | None, now_ns: int) -> None:
        """The other side has it; ``since_ns``: when the record that caused it was committed, None where none did."""
        now_us = self._clock.now_us()
        rules = dict.fromkeys(item.rule for item in message.items)
        if since_ns is not None:
            ms = (now_ns - since_ns) / 1e6
            self.handed_over.add(ms, at_ns=now_ns)
            self._latencies.note_all((ALERTS, *rules), "handed over", ms, at_us=now_us)
        if message.items:
            first = message.items[0]
            is_note = first.tells is Tells.NOTE
            name = first.rule.partition(" ")[2] if is_note else first.rule  # a note is about a kind and a name: "report daily"
            self._costs.note(name or first.rule, "cold" if is_note else "hot", Spent(notifications=1), at_us=now_us)
