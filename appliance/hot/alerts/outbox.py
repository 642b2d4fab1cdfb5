"""The outbox: messages between the commit that made them and the channel that got them. Statements within the writer's transaction.

A message that is read to be handed over may get more items meanwhile. Whoever has handed it over says up to which item it was
read; what came later stays in it and goes next, so that nothing is lost or overtaken, and nobody has to be locked out.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from appliance.hot.alerts.dispatch import Parcel
from appliance.hot.alerts.placing import Fire, Open, Placement, fire_of, place
from appliance.hot.alerts.reads import Reads
from appliance.hot.alerts.rows import ITEM_COLUMNS, item_of, item_row, key_text, marks
from appliance.hot.alerts.values import LISTED_MAX, Ident, Item, Message, Tells

SENT_KEPT: Final = 1_000
"""Messages that were handed over and can still be looked at."""
DEAD_KEPT: Final = 10_000
"""Dead letters; the oldest go first."""
ERROR_CHARS_MAX: Final = 500
TITLE_CHARS_MAX: Final = 200
_MESSAGE: Final = "id, channel, group_name, due_us, created_us, attempts"
_LOOKS_BACK: Final = (Tells.RESOLVED, Tells.REPEAT)
"""Items for which it matters whether their fire still waits to be told."""


def put(connection: sqlite3.Connection, parcels: Sequence[Parcel], *, now_us: int) -> list[int]:
    """Puts parcels into messages and returns the ids of those that are new or have grown."""
    by_group: dict[tuple[str, str], list[Parcel]] = defaultdict(list)
    for parcel in parcels:
        by_group[(parcel.channel, parcel.group)].append(parcel)
    waiting = {group: _open(connection, group, of) for group, of in by_group.items()}
    return [_store(connection, placement, now_us) for placement in place(parcels, waiting)]


def load_message(reads: Reads, message_id: int) -> Message | None:
    """One message that waits, with all its items as of now; None when it does not wait any more."""
    rows = list(reads.execute(f"SELECT {_MESSAGE} FROM outbox WHERE state = 'waiting' AND id = ?", (message_id,)))
    return _message(reads, rows[0]) if rows else None


def sent(connection: sqlite3.Connection, message: Message, *, now_us: int) -> int | None:
    """It was handed over as it was read. Returns its id when something has joined it since, which waits to go next; else None."""
    return _settle(connection, message, "sent", "", now_us, younger_than_us=None)


def dead(connection: sqlite3.Connection, message: Message, *, reason: str, now_us: int, age_max_us: int | None = None) -> int | None:
    """It will not be tried again. What joined it after it was read, or less than ``age_max_us`` ago, waits to go next; as ``sent``."""
    younger_than_us = None if age_max_us is None else now_us - age_max_us
    return _settle(connection, message, "dead", reason, now_us, younger_than_us=younger_than_us)


def failed(connection: sqlite3.Connection, message_id: int, *, error: str, due_us: int) -> None:
    """It could not be handed over and is due again then."""
    connection.execute(
        "UPDATE outbox SET attempts = attempts + 1, error = ?, due_us = ? WHERE id = ? AND state = 'waiting'",
        (_text(error)[:ERROR_CHARS_MAX], due_us, message_id),
    )


def _open(connection: sqlite3.Connection, group: tuple[str, str], parcels: Sequence[Parcel]) -> list[Open]:
    """What waits of a group, with those fires of it that matter to the parcels."""
    rows = connection.execute(
        "SELECT id, due_us, attempts FROM outbox WHERE state = 'waiting' AND channel = ? AND group_name = ? ORDER BY id", group
    ).fetchall()
    if not rows:
        return []
    fires: dict[int, set[Fire]] = defaultdict(set)
    ids = {row[0] for row in rows}
    for fire in {fire_of(p.item) for p in parcels if p.item.tells in _LOOKS_BACK}:
        (rule, key), number = fire
        for (message_id,) in connection.execute(
            "SELECT message_id FROM outbox_item WHERE rule = ? AND key = ? AND fire = ?", (rule, key_text(key), number)
        ):
            if message_id in ids:
                fires[message_id].add(fire)
    return [Open(message_id, due_us, attempts, frozenset(fires[message_id])) for message_id, due_us, attempts in rows]


def _store(connection: sqlite3.Connection, placement: Placement, now_us: int) -> int:
    message_id = placement.message_id
    if message_id is None:
        message_id = _new(connection, placement.channel, placement.group, _title(placement.items[0].summary), placement.due_us, now_us)
    else:
        connection.execute("UPDATE outbox SET due_us = ? WHERE id = ? AND due_us > ?", (placement.due_us, message_id, placement.due_us))
    connection.executemany(
        f"INSERT INTO outbox_item (message_id, added_us, {ITEM_COLUMNS}) VALUES (?, ?, {marks(ITEM_COLUMNS)})",
        [(message_id, now_us, *item_row(item)) for item in placement.items],
    )
    return message_id


def _new(connection: sqlite3.Connection, channel: str, group: str, title: str, due_us: int, now_us: int) -> int:
    cursor = connection.execute(
        "INSERT INTO outbox (channel, group_name, title, created_us, due_us) VALUES (?, ?, ?, ?, ?)",
        (channel, group, title, now_us, due_us),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _settle(
    connection: sqlite3.Connection, message: Message, state: str, error: str, now_us: int, *, younger_than_us: int | None
) -> int | None:
    """Closes a message that waits. Where some of its items are not settled with it, those that are go into a row of their own."""
    assert message.id is not None, "only what is stored can be handed over"
    if not connection.execute("SELECT 1 FROM outbox WHERE id = ? AND state = 'waiting'", (message.id,)).fetchone():
        return None
    young_us = 2**63 - 1 if younger_than_us is None else younger_than_us
    left = connection.execute(
        f"SELECT added_us, {ITEM_COLUMNS} FROM outbox_item WHERE message_id = ? AND (id > ? OR added_us > ?) ORDER BY id LIMIT 1",
        (message.id, message.last_item, young_us),
    ).fetchone()
    closed = message.id if left is None else _parted(connection, message, young_us)
    if closed is not None:
        connection.execute(
            "UPDATE outbox SET state = ?, sent_us = ?, error = ?, attempts = attempts + 1 WHERE id = ?",
            (state, now_us, _text(error)[:ERROR_CHARS_MAX], closed),
        )
    _trim(connection, state, SENT_KEPT if state == "sent" else DEAD_KEPT)
    if left is None:
        return None
    added_us, *item = left
    connection.execute(
        "UPDATE outbox SET title = ?, created_us = ?, due_us = ?, attempts = 0, error = '' WHERE id = ?",
        (_title(item_of(tuple(item)).summary), added_us, now_us, message.id),
    )
    return message.id


def _parted(connection: sqlite3.Connection, message: Message, young_us: int) -> int | None:
    """A row of its own for what a message was read with, but for what is younger than ``young_us``; None when that is all of it."""
    settled = (message.id, message.last_item, young_us)
    if not connection.execute("SELECT 1 FROM outbox_item WHERE message_id = ? AND id <= ? AND added_us <= ?", settled).fetchone():
        return None
    cursor = connection.execute(
        "INSERT INTO outbox (channel, group_name, title, created_us, due_us, attempts)"
        " SELECT channel, group_name, title, created_us, due_us, attempts FROM outbox WHERE id = ?",
        (message.id,),
    )
    assert cursor.lastrowid is not None
    connection.execute(
        "UPDATE outbox_item SET message_id = ? WHERE message_id = ? AND id <= ? AND added_us <= ?", (cursor.lastrowid, *settled)
    )
    return cursor.lastrowid


def _trim(connection: sqlite3.Connection, state: str, kept: int) -> None:
    oldest = connection.execute("SELECT id FROM outbox WHERE state = ? ORDER BY id DESC LIMIT 1 OFFSET ?", (state, kept)).fetchone()
    if oldest is None:
        return
    gone = connection.execute("SELECT id FROM outbox WHERE state = ? AND id <= ?", (state, oldest[0])).fetchall()
    connection.executemany("DELETE FROM outbox_item WHERE message_id = ?", gone)
    connection.executemany("DELETE FROM outbox WHERE id = ?", gone)


def _message(reads: Reads, row: tuple[Any, ...]) -> Message:
    message_id, channel, group, due_us, created_us, attempts = row
    items: list[Item] = []
    listed: set[Ident] = set()
    others = last_item = 0
    for item_id, rule, key, *rest in reads.execute(
        f"SELECT id, {ITEM_COLUMNS} FROM outbox_item WHERE message_id = ? ORDER BY id", (message_id,)
    ):
        last_item = item_id
        if (rule, key) in listed or len(listed) < LISTED_MAX:
            listed.add((rule, key))
            items.append(item_of((rule, key, *rest)))
        else:
            others += 1
    return Message(
        channel=channel,
        group=group,
        due_us=due_us,
        items=tuple(items),
        id=message_id,
        others=others,
        created_us=created_us,
        attempts=attempts,
        last_item=last_item,
    )


def _title(summary: str) -> str:
    return summary if len(summary) <= TITLE_CHARS_MAX else summary[: TITLE_CHARS_MAX - 1] + "…"


def _text(given: str) -> str:
    return given.encode("utf-8", "backslashreplace").decode("utf-8")
