"""An alert desk in memory: it keeps what it was asked, and a history that a test writes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.errors import UsageRefused
from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart
from tests.clock import NOON_US

D1 = AlertRow(rule="hot", key={"device": "d1"}, phase="firing", severity="critical", since_us=NOON_US, values={"avg(t)": 83.5}, seq=7)
CHART = WindowChart(label="avg(t)", points=((NOON_US, 79.0), (NOON_US + 1_000_000, None)), threshold=80.0)
SILENCE = SilenceRow(id=3, matchers=("rule=hot",), since_us=1, until_us=2, author="a@b", comment="c", is_active=True)


def step(number: int, *, rule: str = "hot") -> TransitionRow:
    """The transition with that id."""
    return TransitionRow(
        id=number, rule=rule, key={"device": "d1"}, kind="change", old="ok", new="firing", at_us=NOON_US + number, learned_us=NOON_US
    )


class DeskInMemory:
    """An ``AlertDesk``; ``asked`` holds each action with what it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.stored: list[TransitionRow] = []
        self.refuse: Exception | None = None
        self.hold = threading.Event()
        """A test message waits for it."""
        self.hold.set()
        self.testing = 0

    def after(self, alert: int, limit: int) -> Sequence[TransitionRow]:
        """``HttpContext.alert_events_after``."""
        return [row for row in list(self.stored) if row.id > alert][:limit]

    def picture(self) -> AlertsPicture:
        return AlertsPicture(at_us=NOON_US, alerts=(D1,), silences=(SILENCE,))

    def history(self, *, limit: int, rule: str | None = None, before_id: int | None = None) -> Sequence[TransitionRow]:
        rows = [r for r in self.stored if (rule is None or r.rule == rule) and (before_id is None or r.id < before_id)]
        return rows[::-1][:limit]

    def chart(self, rule: str, key: Mapping[str, str | None]) -> WindowChart | None:
        return CHART if (rule, key) == ("hot", D1.key) else None

    def acknowledge(
        self, rule: str, key: Mapping[str, str | None] | None, *, author: str, comment: str, until_us: int | None
    ) -> Sequence[AlertRow]:
        self._note("ack", rule=rule, key=key, author=author, comment=comment, until_us=until_us)
        return [D1]

    def unacknowledge(self, rule: str, key: Mapping[str, str | None] | None, *, author: str) -> Sequence[AlertRow]:
        self._note("unack", rule=rule, key=key, author=author)
        return [D1]

    def silence(self, matchers: Sequence[str], *, since_us: int, until_us: int, author: str, comment: str) -> SilenceRow:
        self._note("silence", matchers=tuple(matchers), since_us=since_us, until_us=until_us, author=author, comment=comment)
        return SILENCE

    def unsilence(self, silence_id: int, *, author: str) -> SilenceRow:
        if silence_id != SILENCE.id:
            raise UsageRefused(f"there is no silence {silence_id}")
        self._note("unsilence", id=silence_id, author=author)
        return SILENCE

    def test(self, channel: str) -> str:
        self._note("test", channel=channel)
        self.testing += 1
        self.hold.wait(20)
        return "200 OK"

    def _note(self, what: str, **given: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.asked.append((what, given))
