"""What the surfaces show of alerts: rows for ``/api/alerts``, the command line and the screen, and who answers for them.

Computed by the stream processor, only shown elsewhere. Times in µs since 1970, UTC; None where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

Value = float | int | bool | str | None


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that is not ok, or was not a short while ago."""

    rule: str
    key: Mapping[str, str | None]
    """Column of ``by`` -> value."""
    phase: str
    """``pending``, ``firing``, ``nodata``, ``error`` or ``ok``."""
    was: str = "ok"
    """In nodata and error: the phase before."""
    severity: str
    since_us: int
    fired_us: int | None = None
    summary: str = ""
    values: Mapping[str, Value] = {}
    reason: str = ""
    labels: Mapping[str, str] = {}
    acked_by: str | None = None
    acked_until_us: int | None = None
    ack_comment: str = ""
    silenced_by: int | None = None
    """Id of the silence that keeps it from being told."""
    inhibited_by: str | None = None
    """The rule that does."""
    flapping: bool = False
    seq: int | None = None
    runbook: str | None = None


class RuleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, and how it does."""

    name: str
    stream: str
    """"" for free SQL."""
    condition: str
    """As written, with its window."""
    severity: str
    state: str
    """``ok``, ``waiting`` (the stream is not there yet) or ``error``."""
    reason: str = ""
    keys: int = 0
    keys_over: int = 0
    """Records of keys above the limit, which the rule has not looked at."""
    firing: int = 0
    pending: int = 0
    cost_us_per_s: float = 0.0
    """Time spent on evaluating it, over the last minute; what rules share is divided among them."""
    late: int = 0
    """Late records that would have changed something."""
    too_late: int = 0
    """Records that came when the windows they belong to were not kept any more; they count nowhere."""


class TransitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an alert."""

    id: int
    rule: str
    key: Mapping[str, str | None]
    kind: str
    old: str
    new: str
    at_us: int
    learned_us: int
    seq: int | None = None
    values: Mapping[str, Value] = {}
    reason: str = ""


class SilenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One silence."""

    id: int
    matchers: tuple[str, ...]
    """As written: ``device=d1``, ``rule!=a*``."""
    since_us: int
    until_us: int
    author: str
    comment: str
    is_active: bool


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way."""

    id: int
    channel: str
    state: str
    """``waiting``, ``sent`` or ``dead``."""
    title: str
    created_us: int
    due_us: int
    sent_us: int | None = None
    attempts: int = 0
    error: str = ""


class StageRow(msgspec.Struct, frozen=True, kw_only=True):
    """How long one stage took over the last minute, against its budget."""

    stage: str
    """``evaluated``, ``committed``, ``handed over``: each counted from the acknowledgement."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    budget_ms: float
    count: int


class AlertsPicture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one instant."""

    at_us: int
    alerts: tuple[AlertRow, ...] = ()
    """The gravest and newest first."""
    rules: tuple[RuleRow, ...] = ()
    silences: tuple[SilenceRow, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    """Waiting and dead ones, and the newest that were sent."""
    stages: tuple[StageRow, ...] = ()
    truncated: int = 0
    """Alerts that are not in ``alerts`` because there are too many."""


class WindowChart(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert's chart draws."""

    label: str
    """The term that is drawn, ``avg(temperature)``."""
    points: tuple[tuple[int, float | None], ...]
    """(event time µs, value), oldest first."""
    threshold: float | None = None
    """What the term is compared with, where that is a plain number."""


class AlertDesk(Protocol):
    """Who answers for alerts. Every call may take its time (a commit); what it changes is durable when it returns."""

    def picture(self) -> AlertsPicture:
        """What is now."""

    def history(self, *, limit: int, rule: str | None = None, before_id: int | None = None) -> Sequence[TransitionRow]:
        """The newest transitions first."""

    def chart(self, rule: str, key: Mapping[str, str | None]) -> WindowChart | None:
        """The recent past of an alert's first value; None when there is no such alert."""

    def acknowledge(
        self, rule: str, key: Mapping[str, str | None] | None, *, author: str, comment: str, until_us: int | None
    ) -> Sequence[AlertRow]:
        """Acknowledges what fires (all keys of the rule with None); returns what was. Raises ``UsageRefused`` when nothing does."""

    def unacknowledge(self, rule: str, key: Mapping[str, str | None] | None, *, author: str) -> Sequence[AlertRow]:
        """Takes acknowledgements back. Raises ``UsageRefused`` when there is none."""

    def silence(self, matchers: Sequence[str], *, since_us: int, until_us: int, author: str, comment: str) -> SilenceRow:
        """Makes a silence. Raises ``UsageRefused`` for matchers that can't be read."""

    def unsilence(self, silence_id: int, *, author: str) -> SilenceRow:
        """Ends a silence now. Raises ``UsageRefused`` when there is no such one."""

    def test(self, channel: str) -> str:
        """Sends a test message for real and returns what the other side said. Raises ``UsageRefused`` or ``RetryLater``."""
