"""Messages of batch work that stand in the same transaction as what they are about: neither is there without the other.

Whoever has committed hands the ids over (``Alerting.hand_over``), or the next start does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.hot.alerts.telling import tell

HandOver = Callable[[Sequence[int]], None]
"""Takes the ids of messages that are committed; blocks for a look."""


def nobody(_ids: Sequence[int]) -> None:
    """A ``HandOver`` where nothing is sent: messages wait in the store."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for one channel."""

    channel: str
    title: str
    text: str
    about: str
    """Of what it is: ``job export``."""
    key: str
    """With ``about``, what makes it the same message: ``run 12 failed``."""
    at_us: int
    severity: str = "warning"


def put(connection: sqlite3.Connection, notices: Iterable[Notice]) -> list[int]:
    """Within a transaction; the ids of those that are new."""
    found = (
        tell(connection, n.channel, n.title, n.text, about=n.about, key=n.key, now_us=n.at_us, severity=n.severity)
        for n in dict.fromkeys(notices)
    )
    return [i for i in found if i is not None]
