"""Messages that are about no alert: a report that was issued, a job that has failed for good. A statement within the writer's transaction.

``tell`` puts one into the outbox, in the same transaction as what it is about; whoever has committed hands the ids to
``Alerting.hand_over``, or the next start does. It goes over its channel at least once, with the same idempotency key each time, in
a group of its own, so that it neither waits for alerts nor joins them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from appliance.hot.alerts.rows import ITEM_COLUMNS, item_row, key_text, marks
from appliance.hot.alerts.values import Item, Tells

TITLE_CHARS_MAX: Final = 200
TEXT_CHARS_MAX: Final = 20_000
ATTACHMENTS_MAX: Final = 10


def tell(
    connection: sqlite3.Connection,
    channel: str,
    title: str,
    text: str,
    attachments: Sequence[str] = (),
    *,
    about: str,
    key: str,
    now_us: int,
    severity: str = "info",
) -> int | None:
    """Puts a message into the outbox; its id, or None where the same one (channel, ``about`` and ``key``) is there already.

    ``attachments`` are paths relative to the data folder, of files that lie there already: mail carries them, other channels name them.
    ``about`` says of what it is, such as ``report daily``; ``key`` makes it the same message on every attempt, such as ``2026-11-21 r2``.
    """
    item = note(title, text, attachments, about=about, key=f"{channel} {key}", at_us=now_us, severity=severity)
    known = (item.rule, key_text(item.key), item.fire)
    if connection.execute("SELECT 1 FROM outbox_item WHERE rule = ? AND key = ? AND fire = ?", known).fetchone() is not None:
        return None
    cursor = connection.execute(
        "INSERT INTO outbox (channel, group_name, title, created_us, due_us) VALUES (?, ?, ?, ?, ?)",
        (channel, f"note={about} {key}", item.summary, now_us, now_us),
    )
    connection.execute(
        f"INSERT INTO outbox_item (message_id, added_us, {ITEM_COLUMNS}) VALUES (?, ?, {marks(ITEM_COLUMNS)})",
        (cursor.lastrowid, now_us, *item_row(item)),
    )
    return cursor.lastrowid


def note(title: str, text: str, attachments: Sequence[str], *, about: str, key: str, at_us: int, severity: str) -> Item:
    """What such a message holds."""
    return Item(
        rule=about,
        key=(key,),
        fire=0,
        tells=Tells.NOTE,
        at_us=at_us,
        summary=_cut(title, TITLE_CHARS_MAX),
        labels={"rule": about, "severity": severity},
        values={},
        severity=severity,
        text=_cut(text, TEXT_CHARS_MAX),
        attachments=tuple(attachments[:ATTACHMENTS_MAX]),
    )


def _cut(text: str, chars: int) -> str:
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return whole if len(whole) <= chars else whole[: chars - 1] + "…"
