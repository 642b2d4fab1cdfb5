"""How the values of alerts look in a table: columns as they are named there, JSON for mappings and keys. Pure; both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from appliance.hot.alerts.matchers import matcher_text, parse_matcher
from appliance.hot.alerts.values import Instance, Item, Phase, Silence, Tells, Transition
from appliance.hot.stream.values import Key

Row = tuple[Any, ...]

ALERT_COLUMNS: Final = (
    "rule, key, columns, phase, was, since_us, level, level_us, ending_us, fired_us, resolved_us, fire, seq, term_values, reason,"
    " acked_by, acked_until_us, ack_comment, flapping, flap_fires, fires_us, told, told_fire, told_to, told_us, told_since_us,"
    " escalated, labels, learned_us, behind_us"
)
EVENT_COLUMNS: Final = "rule, key, columns, kind, old, new, at_us, learned_us, seq, term_values, reason, fire"
SILENCE_COLUMNS: Final = "id, matchers, since_us, until_us, author, comment, ended_us"
ITEM_COLUMNS: Final = "rule, key, fire, tells, at_us, body"


def marks(columns: str) -> str:
    """One ``?`` for each column."""
    return ", ".join("?" * (columns.count(",") + 1))


def as_json(value: object) -> str:
    """Compact JSON; NaN and infinities become null."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> Any:
    """What ``as_json`` has written; tuples come back as lists."""
    return msgspec.json.decode(text)


def key_text(key: Key) -> str:
    """A key as it stands in the tables: a JSON array of texts and nulls."""
    return as_json(key)


def key_of(text: str) -> Key:
    """The opposite of ``key_text``."""
    return tuple(from_json(text))


def alert_row(instance: Instance, columns: Sequence[str]) -> Row:
    """``ALERT_COLUMNS`` of one alert; ``columns`` are the names of its key's columns."""
    i = instance
    return (
        i.rule,
        key_text(i.key),
        as_json(columns),
        str(i.phase),
        str(i.was),
        i.since_us,
        i.level,
        i.level_us,
        i.ending_us,
        i.fired_us,
        i.resolved_us,
        i.fire,
        i.seq,
        as_json(i.values),
        i.reason,
        i.acked_by,
        i.acked_until_us,
        i.ack_comment,
        int(i.flapping),
        i.flap_fires,
        as_json(i.fires_us),
        int(i.told),
        i.told_fire,
        as_json(i.told_to),
        i.told_us,
        i.told_since_us,
        int(i.escalated),
        as_json(i.labels),
        i.learned_us,
        i.behind_us,
    )


def instance_of(row: Row) -> Instance:
    """The opposite of ``alert_row``."""
    found: dict[str, Any] = dict(zip(ALERT_COLUMNS.split(", "), row, strict=True))
    del found["columns"]
    values = from_json(found.pop("term_values"))
    return Instance(
        **{
            **found,
            "key": key_of(found["key"]),
            "phase": Phase(found["phase"]),
            "was": Phase(found["was"]),
            "values": values,
            "fires_us": tuple(from_json(found["fires_us"])),
            "told_to": tuple(from_json(found["told_to"])),
            "labels": from_json(found["labels"]),
            "flapping": bool(found["flapping"]),
            "told": bool(found["told"]),
            "escalated": bool(found["escalated"]),
        }
    )


def event_row(transition: Transition, columns: Sequence[str]) -> Row:
    """``EVENT_COLUMNS`` of one transition."""
    t = transition
    return (
        t.rule,
        key_text(t.key),
        as_json(columns),
        str(t.kind),
        str(t.old),
        str(t.new),
        t.at_us,
        t.learned_us,
        t.seq,
        as_json(t.values),
        t.reason,
        t.fire,
    )


def silence_row(silence: Silence) -> Row:
    """``SILENCE_COLUMNS`` of one silence; its matchers as people write them."""
    s = silence
    return (s.id, as_json([matcher_text(m) for m in s.matchers]), s.since_us, s.until_us, s.author, s.comment, s.ended_us)


def silence_from(row: Row) -> Silence:
    """The opposite of ``silence_row``."""
    silence_id, matchers, since_us, until_us, author, comment, ended_us = row
    return Silence(silence_id, tuple(map(parse_matcher, from_json(matchers))), since_us, until_us, author, comment, ended_us)


def item_row(item: Item) -> Row:
    """``ITEM_COLUMNS`` of one item."""
    body: Mapping[str, object] = {
        "summary": item.summary,
        "labels": item.labels,
        "values": item.values,
        "severity": item.severity,
        "runbook": item.runbook,
        "fired_us": item.fired_us,
        "resolved_us": item.resolved_us,
    }
    if item.tells is Tells.NOTE:
        body = {**body, "text": item.text, "attachments": item.attachments}
    return (item.rule, key_text(item.key), item.fire, str(item.tells), item.at_us, as_json(body))


def item_of(row: Row) -> Item:
    """The opposite of ``item_row``."""
    rule, key, fire, tells, at_us, body = row
    found = from_json(body)
    if "attachments" in found:
        found["attachments"] = tuple(found["attachments"])
    return Item(rule=rule, key=key_of(key), fire=fire, tells=Tells(tells), at_us=at_us, **found)
