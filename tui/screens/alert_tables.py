"""The views of the alerts screen: one table each, and the rows that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from appliance.observe.alerts import AlertsPicture, TransitionRow
from tui.widgets.alerts import (
    ALERT_COLUMNS,
    HISTORY_COLUMNS,
    OUTBOX_COLUMNS,
    RULE_COLUMNS,
    SILENCE_COLUMNS,
    alert_name,
    key_words,
)
from tui.widgets.table import FastTable

VIEW_NAMES: Final = ("now", "rules", "history", "silences", "outbox")
"""In the order in which the keys go round; each is the id of its table."""


def make_tables() -> Iterator[FastTable[Any]]:
    """The tables of all views, for composing."""
    tables: dict[str, tuple[str, FastTable[Any]]] = {
        "now": ("Now", FastTable(ALERT_COLUMNS, key=alert_name, empty="nothing fires, nothing is pending", id="now", classes="panel")),
        "rules": (
            "Rules",
            FastTable(
                RULE_COLUMNS,
                key=lambda r: r.name,
                empty='no rule yet: the config has no [workload.NAME] with kind = "alert"',
                id="rules",
                classes="panel",
            ),
        ),
        "history": (
            "History",
            FastTable(
                HISTORY_COLUMNS, key=lambda t: f"{t.rule} {key_words(t.key)} {t.id}", empty="nothing has happened", id="history",
                classes="panel",
            ),
        ),
        "silences": (
            "Silences",
            FastTable(
                SILENCE_COLUMNS, key=lambda s: f"{s.id} {' '.join(s.matchers)} {s.author}", empty="no silence", id="silences",
                classes="panel",
            ),
        ),
        "outbox": (
            "Outbox",
            FastTable(OUTBOX_COLUMNS, key=lambda m: f"{m.id} {m.channel} {m.title}", empty="no message", id="outbox", classes="panel"),
        ),
    }  # fmt: skip
    for title, table in tables.values():
        table.border_title = title
        yield table


def rows_of(view: str, picture: AlertsPicture, history: Sequence[TransitionRow]) -> Sequence[Any]:
    """The rows of one view; of the alerts those that are not ok."""
    match view:
        case "now":
            return [a for a in picture.alerts if a.phase != "ok"]
        case "rules":
            return picture.rules
        case "history":
            return history
        case "silences":
            return picture.silences
        case _:
            return picture.outbox
