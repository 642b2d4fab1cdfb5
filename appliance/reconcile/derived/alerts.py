"""Alerts, their history and the outbox say the same: no message of a fire that never was, no fire that nobody wrote down or was told of.

History and outbox keep their newest rows only; what may have been among those that went is not missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from appliance.hot.alerts.outbox import DEAD_KEPT, SENT_KEPT
from appliance.hot.alerts.reads import Reads, has_tables
from appliance.hot.alerts.values import Tells
from appliance.hot.reader import HotReader
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look

NO_TRANSITION: Final = "message without transition"
TRANSITION_MISSING: Final = "transition missing"
FIRE_UNWRITTEN: Final = "fire without transition"
MESSAGE_MISSING: Final = "message missing"
ALERT_MISSING: Final = "alert missing"
ALERT_DIFFERS: Final = "alert differs from its history"
PLACE_AHEAD: Final = "place ahead of its records"
ITEM_LOST: Final = "item without message"
ASIDE: Final = "set aside: there was no such fire"
"""The error of a dead letter that was made of a message without transition."""
FINDINGS_MAX: Final = 100
_MARGIN: Final = 100
"""Messages beyond the oldest that is kept: those made about when it was may have gone or not."""


def check_alerts(look: Look) -> Iterator[Finding]:
    """See the module."""
    if has_tables(look.reader):
        yield from _messages(look.reader)
        yield from _lost_items(look.reader)
        yield from _history(look.reader)
        yield from _fires(look.reader)
        yield from _told(look.reader)
        yield from _places(look)


def _messages(reader: HotReader) -> Iterator[Finding]:
    found = reader.execute(
        "WITH e AS (SELECT rule, key, max(fire) AS fire FROM alert_event GROUP BY rule, key)"
        " SELECT m.id, m.channel, m.state, i.rule, i.key, i.fire, min(i.id), i.tells FROM outbox_item i"
        " JOIN outbox m ON m.id = i.message_id"
        " LEFT JOIN e ON e.rule = i.rule AND e.key = i.key"
        " LEFT JOIN alert a ON a.rule = i.rule AND a.key = i.key"
        " WHERE i.tells <> ? AND coalesce(e.fire, -1) < i.fire AND coalesce(a.fire, -1) < i.fire AND i.added_us > ? AND m.error <> ?"
        " GROUP BY m.id, i.rule, i.key, i.fire ORDER BY m.id LIMIT ?",
        (str(Tells.NOTE), history_since(reader), ASIDE, FINDINGS_MAX),
    )
    for row in found:
        message, channel, state, rule, key, fire, item, tells = map(_plain, row)
        yield Finding(
            kind=NO_TRANSITION,
            where="hot.sqlite outbox",
            key=f"{message} {rule} {key} {fire}",
            what=f"message {message} to {channel} ({state}) says {tells} of {rule} {key}, fire {fire}, which never was",
            repair="it is set aside as a dead letter" if state == "waiting" else None,
            facts={"message": message, "rule": rule, "key": key, "fire": fire, "item": item},
        )


def _lost_items(reader: HotReader) -> Iterator[Finding]:
    found = reader.execute(
        "SELECT i.message_id, count(*), min(i.rule) FROM outbox_item i LEFT JOIN outbox m ON m.id = i.message_id WHERE m.id IS NULL"
        " GROUP BY i.message_id LIMIT ?",
        (FINDINGS_MAX,),
    )
    for message, count, rule in found:
        yield Finding(
            kind=ITEM_LOST,
            where="hot.sqlite outbox_item",
            key=str(message),
            what=f"{count} items of the message {message} (of {rule}) are there, and the message is not",
        )


def _history(reader: HotReader) -> Iterator[Finding]:
    """Transitions are numbered without a gap, and only the oldest go."""
    for first, last in missing_transitions(reader):
        yield Finding(
            kind=TRANSITION_MISSING,
            where="hot.sqlite alert_event",
            key=f"{first}-{last}",
            what=f"{last - first + 1} transitions are not there any more: {first} to {last}",
        )


def _fires(reader: HotReader) -> Iterator[Finding]:
    """An alert and the newest of its transitions, as far as both are there."""
    found = reader.execute(
        "WITH n AS (SELECT rule, key, max(id) AS id, max(fire) AS fire FROM alert_event GROUP BY rule, key),"
        " e AS (SELECT n.rule, n.key, n.fire, v.new FROM n JOIN alert_event v ON v.id = n.id)"
        " SELECT a.rule, a.key, a.phase, a.was, a.fire, a.flapping, a.learned_us, a.since_us, e.new, e.fire"
        " FROM alert a LEFT JOIN e ON e.rule = a.rule AND e.key = a.key"
        " WHERE NOT a.flapping AND (e.new IS NULL OR e.new <> a.phase OR e.fire < a.fire) LIMIT ?",
        (FINDINGS_MAX,),
    )
    since_us = history_since(reader)
    for row in found:
        rule, key, phase, was, fire, _, learned_us, at_us, new, last_fire = map(_plain, row)
        is_firing = phase == "firing" or (phase in ("nodata", "error") and was == "firing")
        if is_firing and learned_us > since_us and (new is None or last_fire < fire):
            yield Finding(
                kind=FIRE_UNWRITTEN,
                where="hot.sqlite alert_event",
                key=f"{rule} {key} {fire}",
                since_us=at_us,
                until_us=at_us + 1,
                what=f"{rule} {key} fires, and no transition says so",
                repair="the transition is written as the alert has it" if phase == "firing" else None,
                facts={"rule": rule, "key": key, "fire": fire},
            )
        elif new is not None and new != phase and learned_us > since_us:
            yield _differs(ALERT_DIFFERS, rule, key, f"is {phase}, and its newest transition says {new}")
    gone = reader.execute(
        "WITH n AS (SELECT rule, key, max(id) AS id FROM alert_event GROUP BY rule, key)"
        " SELECT v.rule, v.key, v.new FROM n JOIN alert_event v ON v.id = n.id LEFT JOIN alert a ON a.rule = v.rule AND a.key = v.key"
        " WHERE a.rule IS NULL AND v.new <> 'ok' LIMIT ?",
        (FINDINGS_MAX,),
    )
    for rule, key, new in gone:
        yield _differs(ALERT_MISSING, str(rule), str(key), f"is not there, and its newest transition says {new}")


def _differs(kind: str, rule: str, key: str, what: str) -> Finding:
    return Finding(kind=kind, where="hot.sqlite alert", key=f"{rule} {key}", what=f"the alert {rule} {key} {what}")


def _told(reader: HotReader) -> Iterator[Finding]:
    """Who was told of a fire that goes on got a message."""
    found = reader.execute(
        "SELECT a.rule, a.key, a.told_fire, c.value FROM alert a, json_each(a.told_to) c WHERE a.told AND a.told_us > ? AND NOT EXISTS"
        " (SELECT 1 FROM outbox_item i JOIN outbox m ON m.id = i.message_id"
        " WHERE i.rule = a.rule AND i.key = a.key AND i.fire = a.told_fire AND m.channel = c.value) LIMIT ?",
        (outbox_since(reader), FINDINGS_MAX),
    )
    for row in found:
        rule, key, fire, channel = map(_plain, row)
        yield Finding(
            kind=MESSAGE_MISSING,
            where="hot.sqlite outbox",
            key=f"{channel} {rule} {key} {fire}",
            what=f"{channel} is said to have been told of {rule} {key}, fire {fire}, and there is no such message",
            repair="it is told again, as the same step of the same alert",
            facts={"rule": rule, "key": key, "fire": fire, "channel": channel},
        )


def _places(look: Look) -> Iterator[Finding]:
    found = look.reader.execute(
        "SELECT s.name, e.seq, s.last_seq, s.id FROM evaluated e JOIN stream s ON s.id = e.stream_id WHERE e.seq > s.last_seq"
    )
    for row in found:
        name, seq, last, number = map(_plain, row)
        yield Finding(
            kind=PLACE_AHEAD,
            where="hot.sqlite evaluated",
            key=name,
            stream=name,
            first=last + 1,
            last=seq,
            what=f"rules are said to have seen record {seq}, and the newest is {last}: the next ones would be passed over",
            repair="rules go on behind the newest record",
            facts={"stream": number},
        )


def history_since(reader: HotReader) -> int:
    """Wall clock from which on every transition is there; far back where none was ever dropped."""
    row = reader.execute("SELECT min(id), min(learned_us) FROM alert_event")[0]
    return int(str(row[1])) if row[0] is not None and int(str(row[0])) > 1 else -(2**62)


def missing_transitions(reads: Reads) -> list[tuple[int, int]]:
    """Ranges of ids (both ends included) that are not there between the oldest that is kept and the newest that was ever written."""
    newest = max((int(row[0]) for row in reads.execute("SELECT seq FROM sqlite_sequence WHERE name = 'alert_event'")), default=0)
    if newest and not list(reads.execute("SELECT 1 FROM alert_event LIMIT 1")):
        return [(1, newest)]
    sql = "SELECT id + 1, after - 1 FROM (SELECT id, lead(id, 1, ?) OVER (ORDER BY id) AS after FROM alert_event) WHERE after > id + 1"
    return [(int(first), int(last)) for first, last in reads.execute(f"{sql} LIMIT {FINDINGS_MAX}", (newest + 1,))]


def outbox_since(reader: HotReader) -> int:
    """Wall clock from which on every message is there; far back where none was ever dropped."""
    since_us = -(2**62)
    for state, kept in (("sent", SENT_KEPT), ("dead", DEAD_KEPT)):
        full = reader.execute("SELECT count(*) FROM outbox WHERE state = ?", (state,))[0][0]
        if int(str(full)) >= kept:
            row = reader.execute("SELECT created_us FROM outbox WHERE state = ? ORDER BY id LIMIT 1 OFFSET ?", (state, _MARGIN))
            since_us = max(since_us, int(str(row[0][0])))
    return since_us


def _plain(value: object) -> Any:
    return value
