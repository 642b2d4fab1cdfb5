"""The one registry of what can be done: keys, palette, help and the line of keys at the bottom are all made from it.

An action is a name, its keys and one line of help. The groups below are what several screens share; a screen adds its own in
``ACTIONS``. A new action is one entry here or there, and nothing else has to know of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person can do."""

    run: str
    """Textual's action: a method ``action_<run>`` of the app, the screen or the focused widget."""
    keys: tuple[str, ...]
    """Textual's names of the keys."""
    shown: str
    """The keys as they are printed."""
    title: str
    help: str
    foot: int = 0
    """Place in the line of keys, most wanted first; 0 is not in it."""
    priority: bool = False
    """Done before the key reaches the focused widget, so that what is typed next already goes where the action leads. A text field
    keeps the keys that it takes as text."""
    palette: bool = True
    """Whether it makes sense to choose it from the palette."""


@dataclass(frozen=True, slots=True)
class Group:
    """Actions under one heading of the help."""

    title: str
    actions: tuple[Action, ...]


EVERYWHERE = Group(
    "Everywhere",
    (
        Action("help", ("question_mark", "f1"), "? F1", "help", "this page: keys and what the words mean", foot=1),
        Action(
            "command_palette",
            ("colon", "ctrl+p"),
            ": ctrl+p",
            "palette",
            "find an action, a screen, a stream",
            foot=9,
            priority=True,
            palette=False,
        ),
        Action("screen_number", (), "1…9", "screens", "go to a screen by its number", palette=False),
        Action("sql", ("s",), "s", "SQL", "ask in SQL over everything, hot and cold", foot=5, priority=True),
        Action("freeze", ("space",), "space", "freeze", "hold the picture still; ingest goes on, a banner counts it", foot=6),
        Action("faster", ("plus", "equals_sign"), "+", "faster", "more refreshes a second"),
        Action("slower", ("minus",), "-", "slower", "fewer refreshes, less traffic over SSH"),
        Action("export", ("e",), "e", "export", "write this view to a file: CSV, JSON or Parquet", foot=8),
        Action("copy", ("y",), "y", "copy", "copy the chosen row to your terminal's clipboard (OSC 52)"),
        Action("maximise", ("x",), "x", "maximise", "give the focused panel the whole screen, and back"),
        Action("next_theme", ("t",), "t", "theme", "the next theme: dark, light, high contrast"),
        Action("leave", ("q",), "q", "leave", "leave the screen; the service goes on", foot=10),
        Action("leave", ("ctrl+c", "ctrl+q"), "ctrl+c", "leave", "the same, also while typing", priority=True, palette=False),
    ),
)
TABLE = Group(
    "In a table",
    (
        Action("row_up", ("up", "k"), "↑ ↓ k j", "up", "one row up or down", palette=False),
        Action("row_down", ("down", "j"), "", "down", "", palette=False),
        Action("page_up", ("pageup", "ctrl+b"), "PgUp PgDn", "page up", "a page up or down", palette=False),
        Action("page_down", ("pagedown", "ctrl+f"), "", "page down", "", palette=False),
        Action("first", ("home", "g"), "g G", "first", "the first row, the last row", palette=False),
        Action("last", ("end", "G"), "", "last", "", palette=False),
        Action("choose", ("enter",), "Enter", "open", "look into the chosen row", palette=False),
    ),
)
OPEN = Group("", (Action("focused.choose", (), "Enter", "open", "", foot=2, palette=False),))
"""For screens where Enter in the table leads somewhere: names the key at the bottom."""
ROWS = Group(
    "Rows",
    (
        Action("filter", ("slash",), "/", "filter", "show only names that hold these letters; Esc clears it", foot=3, priority=True),
        Action("next_match", ("n",), "n N", "next match", "the next row that is shown, the one before; round the ends", palette=False),
        Action("previous_match", ("N",), "", "previous match", "", palette=False),
        Action("sort_left", ("less_than_sign",), "<", "sort by the left", "sort by the column to the left", foot=4),
        Action("sort_right", ("greater_than_sign",), ">", "sort by the right", "sort by the column to the right", foot=4),
        Action("reverse", ("r",), "r", "reverse", "turn the order round"),
        Action("back", ("escape",), "Esc", "back", "clear the filter, or go back to where you came from", palette=False),
    ),
)
CHART = Group(
    "The chart",
    (
        Action("zoom_out", ("left_square_bracket",), "[", "zoom out", "more time in the chart", foot=7),
        Action("zoom_in", ("right_square_bracket",), "]", "zoom in", "less time in the chart", foot=7),
        Action("zoom_reset", ("0",), "0", "zoom reset", "the usual time in the chart, up to now"),
    ),
)
PAN = Group(
    "With the chart focused (Tab)",
    (
        Action("pan_left", ("left",), "← →", "earlier", "earlier and later times; moved back, the chart stops following", palette=False),
        Action("pan_right", ("right",), "", "later", "", palette=False),
        Action("oldest", ("home", "g"), "g G", "oldest", "the oldest data at hand; the present, followed again", palette=False),
        Action("newest", ("end", "G"), "", "now", "", palette=False),
    ),
)


COLUMNS = Group(
    "The columns of the stream",
    (
        Action("column_left", ("h", "left"), "← h", "column", "chart the column before", foot=2, palette=False),
        Action("column_right", ("l", "right"), "→ l", "column", "chart the next column", foot=2, palette=False),
    ),
)


def _views(names: str) -> Group:
    """The keys of a screen with several views, whose ``names`` the help tells."""
    return Group(
        "The views",
        (
            Action("view_left", ("h", "left"), "← h", "view", f"the view before: {names}", foot=2, palette=False),
            Action("view_right", ("l", "right"), "→ l", "view", "the next view", foot=2, palette=False),
        ),
    )


VIEWS = _views("now, rules, history, silences, outbox")
ALERTS = Group(
    "The chosen alert",
    (
        Action("acknowledge", ("a",), "a", "ack", "acknowledge it: no repeats and no escalation until it resolves", foot=3),
        Action("unacknowledge", ("A",), "A", "un-ack", "take the acknowledgement back"),
        Action("silence", ("m",), "m", "silence", "tell nobody of it for a time; asks for how long and why", foot=3),
        Action("unsilence", ("M",), "M", "unsilence", "end the silence that covers it, or the chosen one", foot=11),
    ),
)
REPORTS = Group(
    "The chosen report",
    (Action("issue", ("i",), "i", "issue", "make it anew now; issued as a revision where anything differs", foot=3),),
)
JOB_VIEWS = _views("queue, jobs, history, views")
CONSISTENCY_VIEWS = _views("open, repaired, streams, days")
ANALYSIS_VIEWS = _views("incidents, learning, quality")
INCIDENTS = Group(
    "The chosen incident",
    (
        Action("confirm", ("c",), "c", "confirm", "say that it is one; the next training takes it up", foot=3),
        Action("dismiss_incident", ("d",), "d", "dismiss", "say that it is none: it is closed, its alert ends", foot=3),
    ),
)
SEARCH = Group(
    "In the search field",
    (
        Action(
            "to_hits",
            ("enter", "down"),
            "Enter ↓",
            "hits",
            'words, "phrases", begin*, AND OR NOT; found as you type',
            foot=2,
            palette=False,
        ),
    ),
)
HITS = Group(
    "The hits",
    (
        Action("field", ("slash", "i"), "/", "words", "change the words", foot=3),
        Action("order", ("o",), "o", "order", "newest first, or what fits best first", foot=4),
        Action("back", ("escape",), "Esc", "back", "from the records to the hits, then to the words", palette=False),
    ),
)
JOBS = Group(
    "The chosen job",
    (
        Action("run_job", ("R",), "R", "run", "queue a run of it now; it goes before what is due by itself", foot=3),
        Action("cancel_run", ("C",), "C", "cancel", "end the chosen run, or take it out of the queue", foot=3),
    ),
)
SQL = Group(
    "In the SQL field",
    (
        Action("run_sql", (), "Enter", "run", "run the query: one SELECT, each stream is a table", foot=2, palette=False),
        Action("new_line", (), "ctrl+j", "new line", "a new line in the query", foot=3, palette=False),
        Action("screen.earlier_sql", ("ctrl+up",), "ctrl+↑", "earlier", "the query before this one", palette=False),
        Action("screen.later_sql", ("ctrl+down",), "ctrl+↓", "later", "the query after this one", palette=False),
    ),
)
"""The first two keys are the field's own: it takes them in the order of typing."""
CANCEL = Group(
    "The query",
    (Action("back", ("escape",), "Esc", "cancel, back", "cancel the running query; with none running, go back", foot=4, palette=False),),
)


def bindings(*groups: Group) -> list[BindingType]:
    """Textual's bindings for the actions of ``groups``."""
    return [
        Binding(key, action.run, action.title, show=False, priority=action.priority)
        for group in groups
        for action in group.actions
        for key in action.keys
    ]


def foot_keys(groups: Iterable[Group]) -> list[tuple[str, str]]:
    """Keys and title for the line at the bottom, most wanted first; actions of one title share an entry."""
    chosen = sorted((a for g in groups for a in g.actions if a.foot), key=lambda a: a.foot)
    entries: dict[str, str] = {}
    for action in chosen:
        title = action.title.split(" ")[0] if action.title.startswith(("zoom", "sort")) else action.title
        key = action.shown.split(" ")[0]
        entries[title] = f"{entries[title]} {key}" if title in entries else key
    return [(keys, title) for title, keys in entries.items()]
