"""Alerts, history, silences and outbox as rows for whoever wants to look: ``_alerts`` and its like in SQL, the command line, the screen.

Plain SELECTs; each function returns tuples in the order of the columns that stand beside it. A file of an older version has none.
"""

from __future__ import annotations

from typing import Any, Final

from appliance.hot.alerts.reads import Reads, has_tables
from appliance.hot.alerts.rows import as_json, from_json

Row = tuple[Any, ...]
ROWS_MAX: Final = 100_000
"""No look shows more at once."""

ALERTS: Final = (
    ("rule", "VARCHAR"),
    ("key", "VARCHAR"),
    ("phase", "VARCHAR"),
    ("was", "VARCHAR"),
    ("severity", "VARCHAR"),
    ("since", "TIMESTAMP"),
    ("fired", "TIMESTAMP"),
    ("resolved", "TIMESTAMP"),
    ("fires", "BIGINT"),
    ("values", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("acked_by", "VARCHAR"),
    ("acked_until", "TIMESTAMP"),
    ("ack_comment", "VARCHAR"),
    ("flapping", "BOOLEAN"),
    ("told", "BOOLEAN"),
    ("escalated", "BOOLEAN"),
    ("labels", "VARCHAR"),
    ("record_seq", "BIGINT"),
)
HISTORY: Final = (
    ("id", "BIGINT"),
    ("rule", "VARCHAR"),
    ("key", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("old", "VARCHAR"),
    ("new", "VARCHAR"),
    ("at", "TIMESTAMP"),
    ("learned", "TIMESTAMP"),
    ("record_seq", "BIGINT"),
    ("values", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("fire", "BIGINT"),
)
SILENCES: Final = (
    ("id", "BIGINT"),
    ("matchers", "VARCHAR"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("author", "VARCHAR"),
    ("comment", "VARCHAR"),
    ("ended", "TIMESTAMP"),
)
OUTBOX: Final = (
    ("id", "BIGINT"),
    ("channel", "VARCHAR"),
    ("group", "VARCHAR"),
    ("state", "VARCHAR"),
    ("title", "VARCHAR"),
    ("items", "BIGINT"),
    ("created", "TIMESTAMP"),
    ("due", "TIMESTAMP"),
    ("sent", "TIMESTAMP"),
    ("attempts", "BIGINT"),
    ("error", "VARCHAR"),
)


def alerts(reads: Reads) -> list[Row]:
    """``ALERTS``: every alert that is not ok, or has fired within the last month. Times in µs; key, values, labels as JSON objects."""
    if not has_tables(reads):
        return []
    found = reads.execute(
        "SELECT rule, key, columns, phase, was, labels, since_us, fired_us, resolved_us, fire, term_values, reason, acked_by,"
        " acked_until_us, ack_comment, flapping, told, escalated, seq FROM alert ORDER BY rule, key LIMIT ?",
        (ROWS_MAX,),
    )
    return [
        (
            rule,
            _named(key, columns),
            phase,
            was,
            from_json(labels).get("severity"),
            *times,
            values,
            *more,
            bool(f),
            bool(t),
            bool(e),
            labels,
            seq,
        )
        for rule, key, columns, phase, was, labels, *rest, f, t, e, seq in found
        for times, values, more in [(rest[:4], rest[4], rest[5:])]
    ]


def history(reads: Reads, *, limit: int = ROWS_MAX, rule: str | None = None, before_id: int | None = None) -> list[Row]:
    """``HISTORY``: the newest transitions first, of one rule or of all, older than ``before_id``."""
    if not has_tables(reads):
        return []
    found = reads.execute(
        "SELECT id, rule, key, columns, kind, old, new, at_us, learned_us, seq, term_values, reason, fire FROM alert_event"
        " WHERE id < ? AND (? IS NULL OR rule = ?) ORDER BY id DESC LIMIT ?",
        (2**63 - 1 if before_id is None else before_id, rule, rule, min(limit, ROWS_MAX)),
    )
    return [(event, name, _named(key, columns), *rest) for event, name, key, columns, *rest in found]


def silences(reads: Reads) -> list[Row]:
    """``SILENCES``: also those that are over, the newest first. Matchers as a JSON array of texts."""
    if not has_tables(reads):
        return []
    sql = "SELECT id, matchers, since_us, until_us, author, comment, ended_us FROM silence ORDER BY id DESC LIMIT ?"
    return [tuple(row) for row in reads.execute(sql, (ROWS_MAX,))]


def outbox(reads: Reads, *, limit: int = ROWS_MAX) -> list[Row]:
    """``OUTBOX``: what waits and what is dead before what was handed over, the newest first within each."""
    if not has_tables(reads):
        return []
    found = reads.execute(
        "SELECT m.id, m.channel, m.group_name, m.state, m.title, (SELECT count(*) FROM outbox_item i WHERE i.message_id = m.id),"
        " m.created_us, m.due_us, m.sent_us, m.attempts, m.error FROM outbox m"
        " ORDER BY CASE m.state WHEN 'waiting' THEN 0 WHEN 'dead' THEN 1 ELSE 2 END, m.id DESC LIMIT ?",
        (min(limit, ROWS_MAX),),
    )
    return [tuple(row) for row in found]


def _named(key: str, columns: str) -> str:
    """``{"device":"d1"}`` of ``["d1"]`` and ``["device"]``."""
    return as_json(dict(zip(from_json(columns), from_json(key), strict=False)))
