"""Alerts are mended where the alert itself says what is missing, or nothing says what is there. All of it survives a power cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from appliance.door.commit import Committer
from appliance.hot.alerts import outbox
from appliance.hot.alerts.dispatch import Parcel
from appliance.hot.alerts.rows import ALERT_COLUMNS, EVENT_COLUMNS, event_row, from_json, instance_of, marks
from appliance.hot.alerts.rules import facts_without_rule, summary_of
from appliance.hot.alerts.tables import durable
from appliance.hot.alerts.values import Instance, Item, Kind, Phase, Tells, Transition
from appliance.reconcile.derived.alerts import ASIDE, missing_transitions
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Unmendable

T = TypeVar("T")


def mend_message(finding: Finding, hands: Hands) -> str:
    """What a message that waits says of a fire that never was becomes a dead letter; the rest of it goes."""

    def run(db: sqlite3.Connection, now_us: int) -> int:
        facts = finding.facts
        mine = "message_id = ? AND rule = ? AND key = ? AND fire = ?"
        found = (facts["message"], facts["rule"], facts["key"], facts["fire"])
        if not db.execute("SELECT 1 FROM outbox WHERE id = ? AND state = 'waiting'", (facts["message"],)).fetchone():
            return 0
        if db.execute(f"SELECT 1 FROM outbox_item WHERE message_id = ? AND NOT ({mine})", (facts["message"], *found)).fetchone():
            cursor = db.execute(
                "INSERT INTO outbox (channel, group_name, title, created_us, due_us) SELECT channel, group_name, title, created_us, due_us"
                " FROM outbox WHERE id = ?",
                (facts["message"],),
            )
            closed: int | str | None = cursor.lastrowid
            db.execute(f"UPDATE outbox_item SET message_id = ? WHERE {mine}", (closed, *found))
        else:
            closed = facts["message"]
        db.execute("UPDATE outbox SET state = 'dead', sent_us = ?, error = ? WHERE id = ?", (now_us, ASIDE, closed))
        return 1

    if not _write(hands, run):
        raise Unmendable("the message has been handed over")
    return "it is set aside as a dead letter"


def mend_transition(finding: Finding, hands: Hands) -> str:
    """The transition is written as the alert has it, under the number that is missing where there is just one."""

    def run(db: sqlite3.Connection, _now_us: int) -> bool:
        instance, columns = _instance(db, finding)
        if instance is None or instance.phase is not Phase.FIRING or instance.fire != finding.facts["fire"]:
            return False
        known = (finding.facts["rule"], finding.facts["key"])
        before = db.execute("SELECT new, fire FROM alert_event WHERE rule = ? AND key = ? ORDER BY id DESC LIMIT 1", known).fetchone()
        if before is not None and before[1] >= instance.fire:
            return False
        old = Phase.OK if before is None else Phase(before[0])
        i = instance
        t = Transition(
            i.rule, i.key, Kind.CHANGE, old, i.phase, i.since_us, i.learned_us, i.seq, i.values, reason=i.reason, fire=i.fire
        )  # fmt: skip
        gaps = missing_transitions(db)
        number = gaps[0][0] if len(gaps) == 1 and gaps[0][0] == gaps[0][1] else None
        row = (number, *event_row(t, columns))
        db.execute(f"INSERT INTO alert_event (id, {EVENT_COLUMNS}) VALUES (?, {marks(EVENT_COLUMNS)})", row)
        return True

    return "the transition is written" if _write(hands, run) else "the alert has changed meanwhile"


def mend_told(finding: Finding, hands: Hands) -> str:
    """Whoever was to be told is told, with the same idempotency key as then: who has got it already knows."""

    def run(db: sqlite3.Connection, now_us: int) -> list[int]:
        instance, _ = _instance(db, finding)
        if instance is None or not instance.told or instance.told_fire != finding.facts["fire"]:
            return []
        facts = facts_without_rule(instance)
        item = Item(
            rule=instance.rule,
            key=instance.key,
            fire=instance.told_fire,
            tells=Tells.FLAPPING if instance.flapping else Tells.FIRING,
            at_us=instance.since_us if instance.fired_us is None else instance.fired_us,
            summary=summary_of(facts, instance.labels, instance.values),
            labels=instance.labels,
            values=instance.values,
            severity=facts.severity,
            fired_us=instance.fired_us,
        )
        return outbox.put(db, [Parcel(str(finding.facts["channel"]), f"rule={instance.rule}", now_us, item)], now_us=now_us)

    ids = _write(hands, run)
    hands.hand_over(ids)
    return "it is told again" if ids else "the alert has changed meanwhile"


def mend_place(finding: Finding, hands: Hands) -> str:
    """Rules go on behind the newest record; a service that runs does so with its next start."""

    def run(db: sqlite3.Connection, _now_us: int) -> None:
        db.execute(
            "UPDATE evaluated SET seq = (SELECT last_seq FROM stream WHERE id = stream_id) WHERE stream_id = ?"
            " AND seq > (SELECT last_seq FROM stream WHERE id = stream_id)",
            (finding.facts["stream"],),
        )

    _write(hands, run)
    return "the place is set to the newest record; a service that runs has to be started anew"


def _instance(db: sqlite3.Connection, finding: Finding) -> tuple[Instance | None, tuple[str, ...]]:
    """The alert, and the columns of its key."""
    known = (finding.facts["rule"], finding.facts["key"])
    row = db.execute(f"SELECT {ALERT_COLUMNS} FROM alert WHERE rule = ? AND key = ?", known).fetchone()
    return (None, ()) if row is None else (instance_of(row), tuple(from_json(row[2])))


def _write(hands: Hands, run: Callable[[sqlite3.Connection, int], T]) -> T:
    return hands.box.writer.call(partial(_durably, run=run)).result()


def _durably(committer: Committer, run: Callable[[sqlite3.Connection, int], T]) -> T:
    db = committer.store.connection
    with durable(db), committer.store.transaction():
        return run(db, committer.clock.now_us())
