"""Who answers for alerts: what is now, what has been, and what people do about it. Any thread may ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from appliance.clock import Clock
from appliance.errors import RetryLater, UsageRefused
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.matchers import is_active, matcher_text
from appliance.hot.alerts.muting import Mutes
from appliance.hot.alerts.rules import summary_of
from appliance.hot.alerts.values import Instance, Phase, Silence
from appliance.hot.reader import HotReader
from appliance.hot.stream.processor import Processor
from appliance.hot.stream.values import Key
from appliance.notify.channel import Undelivered
from appliance.notify.outbox import Outbox
from appliance.observe.alerts import (
    AlertRow,
    AlertsPicture,
    RuleRow,
    SilenceRow,
    StageRow,
    TransitionRow,
    WindowChart,
)
from appliance.observe.latency import LatencyWindow
from appliance.serving.alert_rows import ALERTS_MAX, stored_history, stored_messages, transitions_after, weight

log = logging.getLogger(__name__)
ANSWER_S: Final = 30.0
BUDGETS_MS: Final = {"evaluated": 100.0, "committed": 500.0, "handed over": 1_000.0}
"""What each stage may take, counted from the commit of the record; the last one is the promise that somebody is told within a second."""


class Desk:
    """The ``AlertDesk`` of a running service."""

    def __init__(
        self,
        *,
        processor: Processor[Any],
        outbox: Outbox,
        reader: Callable[[], AbstractContextManager[HotReader]],
        stages: Mapping[str, LatencyWindow],
        chart: Callable[[str, Key], WindowChart | None],
        rules: Callable[[], Sequence[RuleRow]],
        clock: Clock,
    ) -> None:
        self._processor = processor
        self._outbox = outbox
        self._reader = reader
        self._stages = stages
        self._chart = chart
        self._rules = rules
        self._clock = clock

    def picture(self) -> AlertsPicture:
        """What is now."""
        now_us, now_ns = self._clock.now_us(), self._clock.monotonic_ns()
        book = self._processor.book
        shown = [i for i in book.instances() if i.phase is not Phase.OK or i.flapping]
        mutes = book.mutes(now_us=now_us)
        with self._reader() as reader:
            messages = stored_messages(reader)
        gravest = sorted(shown, key=lambda i: weight(i.phase, book.facts(i).severity, i.since_us))[:ALERTS_MAX]
        return AlertsPicture(
            at_us=now_us,
            alerts=tuple(self._row(book, i, mutes) for i in gravest),
            rules=tuple(self._rules()),
            silences=tuple(_silence(s, now_us) for s in tuple(book.silences.values())),
            outbox=messages,
            stages=tuple(_stage(name, window, now_ns) for name, window in self._stages.items()),
            truncated=len(shown) - len(gravest),
        )

    def counts(self) -> tuple[int, int]:
        """How many alerts fire, and how many are pending."""
        book = self._processor.book
        counts = [book.counts(name) for name in tuple(book.rules)]
        return sum(c.firing for c in counts), sum(c.pending for c in counts)

    def history(self, *, limit: int, rule: str | None = None, before_id: int | None = None) -> Sequence[TransitionRow]:
        """The newest transitions first."""
        with self._reader() as reader:
            return stored_history(reader, limit=limit, rule=rule, before_id=before_id)

    def events_after(self, event_id: int, limit: int) -> Sequence[TransitionRow]:
        """Transitions with greater ids, ascending."""
        with self._reader() as reader:
            return transitions_after(reader, event_id, limit)

    def chart(self, rule: str, key: Mapping[str, str | None]) -> WindowChart | None:
        """The recent past of an alert's first value."""
        facts = self._processor.book.rules.get(rule)
        return None if facts is None else self._chart(rule, tuple(key.get(c) for c in facts.by))

    def acknowledge(
        self, rule: str, key: Mapping[str, str | None] | None, *, author: str, comment: str, until_us: int | None
    ) -> Sequence[AlertRow]:
        """Acknowledges what fires; durable when it returns."""
        ident = self._key(rule, key)
        found = self._done(lambda draft: draft.acknowledge(rule, ident, author=author, comment=comment, until_us=until_us))
        return self._rows(found)

    def unacknowledge(self, rule: str, key: Mapping[str, str | None] | None, *, author: str) -> Sequence[AlertRow]:
        """Takes acknowledgements back."""
        ident = self._key(rule, key)
        return self._rows(self._done(lambda draft: draft.unacknowledge(rule, ident, author=author)))

    def silence(self, matchers: Sequence[str], *, since_us: int, until_us: int, author: str, comment: str) -> SilenceRow:
        """Makes a silence; durable when it returns."""
        made = self._done(lambda d: d.silence(matchers, since_us=since_us, until_us=until_us, author=author, comment=comment))
        return _silence(made, self._clock.now_us())

    def unsilence(self, silence_id: int, *, author: str) -> SilenceRow:
        """Ends a silence now; ``author`` is who did it, for the log."""
        ended = _silence(self._done(lambda draft: draft.unsilence(silence_id, author=author)), self._clock.now_us())
        log.info("silence %d was ended by %s", silence_id, author)
        return ended

    def test(self, channel: str) -> str:
        """Sends a test message for real."""
        try:
            return self._outbox.test(channel)
        except Undelivered as e:
            raise RetryLater(f"channel {channel!r}: {e}") if e.retry else UsageRefused(f"channel {channel!r}: {e}") from None

    def _done(self, run: Callable[[Any], Any]) -> Any:
        try:
            return self._processor.call(run).result(ANSWER_S)
        except TimeoutError:
            raise RetryLater(f"it could not be stored within {ANSWER_S:g} s; is the disk full?") from None

    def _key(self, rule: str, key: Mapping[str, str | None] | None) -> Key | None:
        facts = self._processor.book.rules.get(rule)
        if facts is None:
            raise UsageRefused(f"there is no rule {rule!r}; there are: {', '.join(self._processor.book.rules) or 'none'}")
        if key is None:
            return None
        unknown = [c for c in key if c not in facts.by]
        if unknown:
            raise UsageRefused(f"the rule {rule!r} has no key column {unknown[0]!r}; it has {', '.join(facts.by) or 'none'}")
        return tuple(key.get(c) for c in facts.by)

    def _rows(self, found: Sequence[Instance]) -> list[AlertRow]:
        book = self._processor.book
        mutes = book.mutes(now_us=self._clock.now_us())
        return [self._row(book, i, mutes) for i in found]

    def _row(self, book: AlertBook, instance: Instance, mutes: Mutes) -> AlertRow:
        facts = book.facts(instance)
        muted = mutes.of(instance, facts)
        return AlertRow(
            rule=instance.rule,
            key=dict(zip(book.columns(instance.rule), instance.key, strict=False)),
            phase=instance.phase,
            was=instance.was,
            severity=facts.severity,
            since_us=instance.since_us,
            fired_us=instance.fired_us if instance.is_firing else None,
            summary=summary_of(facts, instance.labels, instance.values),
            values=instance.values,
            reason=instance.reason,
            labels=instance.labels,
            acked_by=instance.acked_by,
            acked_until_us=instance.acked_until_us,
            ack_comment=instance.ack_comment,
            silenced_by=muted.silence,
            inhibited_by=muted.inhibitor,
            flapping=instance.flapping,
            seq=instance.seq,
            runbook=facts.runbook,
        )


def _silence(silence: Silence, now_us: int) -> SilenceRow:
    return SilenceRow(
        id=silence.id,
        matchers=tuple(matcher_text(m) for m in silence.matchers),
        since_us=silence.since_us,
        until_us=silence.until_us if silence.ended_us is None else silence.ended_us,
        author=silence.author,
        comment=silence.comment,
        is_active=is_active(silence, now_us=now_us),
    )


def _stage(name: str, window: LatencyWindow, now_ns: int) -> StageRow:
    found = window.status(at_ns=now_ns)
    return StageRow(
        stage=name,
        p50_ms=found.p50_ms or 0.0,
        p99_ms=found.p99_ms or 0.0,
        max_ms=found.max_ms or 0.0,
        budget_ms=BUDGETS_MS[name],
        count=found.count,
    )
