"""Alerts, transitions, silences and messages as they are stored, as the rows that surfaces show: of a running box or of a folder.

What only a running processor knows is not here: the rules with their state and cost, summaries, inhibition, latencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from appliance.hot.alerts import looks
from appliance.hot.alerts.matchers import silence_of
from appliance.hot.alerts.reads import Reads, has_tables
from appliance.hot.alerts.tables import load_silences
from appliance.hot.alerts.values import Silence
from appliance.observe.alerts import AlertRow, AlertsPicture, OutboxRow, SilenceRow, TransitionRow

ALERTS_MAX: Final = 1_000
"""Alerts of one picture; the gravest and newest ones."""
SILENCES_MAX: Final = 1_000
OUTBOX_MAX: Final = 200
_PHASES: Final = ("firing", "pending", "nodata", "error", "ok")
_SEVERITIES: Final = ("critical", "warning", "info")


def stored_picture(reads: Reads, *, now_us: int) -> AlertsPicture:
    """Everything that is stored, at one instant; ``now_us`` decides which silences are active. Empty for a file without alerts."""
    active = [s for s in load_silences(reads, now_us=now_us) if s.since_us <= now_us]
    alerts = sorted((_alert(row, active, now_us) for row in looks.alerts(reads)), key=lambda a: weight(a.phase, a.severity, a.since_us))
    return AlertsPicture(
        at_us=now_us,
        alerts=tuple(alerts[:ALERTS_MAX]),
        silences=tuple(_silence(row, now_us) for row in looks.silences(reads)[:SILENCES_MAX]),
        outbox=stored_messages(reads),
        truncated=max(0, len(alerts) - ALERTS_MAX),
    )


def stored_history(reads: Reads, *, limit: int, rule: str | None = None, before_id: int | None = None) -> Sequence[TransitionRow]:
    """The newest transitions first."""
    found = looks.history(reads, limit=limit, rule=rule, before_id=before_id)
    return [_transition(event, *row) for event, *row, _fire in found]


def transitions_after(reads: Reads, alert_id: int, limit: int) -> Sequence[TransitionRow]:
    """The first ``limit`` transitions with a higher id, rising: ``HttpContext.alert_events_after``."""
    if not has_tables(reads):
        return []
    rows = reads.execute(
        "SELECT id, rule, key, columns, kind, old, new, at_us, learned_us, seq, term_values, reason FROM alert_event"
        " WHERE id > ? ORDER BY id LIMIT ?",
        (alert_id, limit),
    )
    return [_transition(event, rule, _named(key, columns), *rest) for event, rule, key, columns, *rest in rows]


def stored_messages(reads: Reads) -> tuple[OutboxRow, ...]:
    """What waits and what is dead, then the newest that were handed over; at most ``OUTBOX_MAX``."""
    return tuple(_message(row) for row in looks.outbox(reads, limit=OUTBOX_MAX))


def stored_counts(reads: Reads) -> tuple[int, int]:
    """How many alerts fire, and how many are pending."""
    if not has_tables(reads):
        return 0, 0
    rows = reads.execute("SELECT coalesce(sum(phase = 'firing'), 0), coalesce(sum(phase = 'pending'), 0) FROM alert")
    firing, pending = next(iter(rows))
    return int(firing), int(pending)


def weight(phase: str, severity: str, since_us: int) -> tuple[int, int, int]:
    """Sorted by it, the gravest and newest alerts come first."""
    return _place(_PHASES, phase), _place(_SEVERITIES, severity), -since_us


def _named(key: str, columns: str) -> str:
    """A JSON object of the key's values by column."""
    return msgspec.json.encode(dict(zip(msgspec.json.decode(columns), msgspec.json.decode(key), strict=False))).decode()


def _place(words: tuple[str, ...], word: str) -> int:
    return words.index(word) if word in words else len(words)


def _alert(row: tuple[Any, ...], active: Sequence[Silence], now_us: int) -> AlertRow:
    found = dict(zip((name for name, _ in looks.ALERTS), row, strict=True))
    labels: dict[str, str] = msgspec.json.decode(found["labels"])
    is_acked = found["acked_by"] is not None and (found["acked_until"] is None or found["acked_until"] > now_us)
    return AlertRow(
        rule=found["rule"],
        key=msgspec.json.decode(found["key"]),
        phase=found["phase"],
        was=found["was"],
        severity=found["severity"] or "warning",
        since_us=found["since"],
        fired_us=found["fired"],
        values=msgspec.json.decode(found["values"]),
        reason=found["reason"],
        labels=labels,
        acked_by=found["acked_by"] if is_acked else None,
        acked_until_us=found["acked_until"] if is_acked else None,
        ack_comment=found["ack_comment"] if is_acked else "",
        silenced_by=silence_of(labels, active),
        flapping=found["flapping"],
        seq=found["record_seq"],
    )


def _transition(
    event: int, rule: str, key: str, kind: str, old: str, new: str, at_us: int, learned_us: int, seq: int | None, values: str, reason: str
) -> TransitionRow:
    return TransitionRow(
        id=event,
        rule=rule,
        key=msgspec.json.decode(key),
        kind=kind,
        old=old,
        new=new,
        at_us=at_us,
        learned_us=learned_us,
        seq=seq,
        values=msgspec.json.decode(values),
        reason=reason,
    )


def _silence(row: tuple[Any, ...], now_us: int) -> SilenceRow:
    silence_id, matchers, since_us, until_us, author, comment, ended_us = row
    return SilenceRow(
        id=silence_id,
        matchers=tuple(msgspec.json.decode(matchers)),
        since_us=since_us,
        until_us=until_us if ended_us is None else min(until_us, ended_us),
        author=author,
        comment=comment,
        is_active=since_us <= now_us < until_us and (ended_us is None or now_us < ended_us),
    )


def _message(row: tuple[Any, ...]) -> OutboxRow:
    message_id, channel, _group, state, title, items, created_us, due_us, sent_us, attempts, error = row
    more = f" (+{items - 1} more)" if items > 1 else ""
    return OutboxRow(
        id=message_id,
        channel=channel,
        state=state,
        title=title + more,
        created_us=created_us,
        due_us=due_us,
        sent_us=sent_us,
        attempts=attempts,
        error=error,
    )
