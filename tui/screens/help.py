"""The help of a screen, made from the registry of actions, and what the words on it mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.console import Group as Parts
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import PAN, Group
from tui.look import Look
from tui.screens import SCREENS

if TYPE_CHECKING:
    from tui.app import ApplianceApp

WORDS: tuple[tuple[str, str], ...] = (
    ("rec/s", "records a second, mean of the last ten seconds"),
    ("last, age", "event time of the newest record, and how long ago that is"),
    ("hot", "records that are committed and not yet in the lake"),
    ("cold", "records in the lake: Parquet files, one folder a day"),
    ("mark", "the highest sequence number that is in the lake"),
    ("series", "different combinations of tags"),
    ("dirty", "days whose records may have twins; answers are exact, the next compaction removes them"),
    ("ring", "memory that holds the newest records, bounded"),
    ("queue", "bytes waiting for the writer; sources are slowed before it is full"),
    ("wal", "SQLite's write-ahead log, the part of the store not yet checkpointed"),
    ("commit p99", "99 of 100 commits took at most this long"),
    ("acknowledged in", "from a record's arrival until its sender was told that it is kept"),
    ("pending", "an alert's condition holds, but not yet for as long as its rule wants"),
    ("no data", "nothing comes any more: what the alert was is not known to be over"),
    ("acked", "somebody has taken it on: it is neither repeated nor escalated"),
    ("silenced", "it fires, and nobody is told until the silence ends"),
    ("inhibited", "it fires, and a graver alert of the same key is told instead"),
    ("flapping", "it comes and goes too often to be told each time"),
    ("late", "a late record showed that it would have fired, learned afterwards"),
    ("rests", "a job that keeps failing is tried less and less often, at most an hour apart"),
    ("fresh until", "up to there a view is kept ready; what is newer is answered from the records"),
    ("refused", "records that could not be taken, kept with the reason: appliance deadletter"),
)


class HelpScreen(ModalScreen[None]):
    """Over the screen it explains; Esc, ? or q closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, "close", "close", show=False) for key in ("escape", "question_mark", "f1", "q", "enter", "space")),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, groups: Sequence[Group]) -> None:
        super().__init__()
        self._title = title
        self._groups = (*groups, *((PAN,) if any(g.title == "The chart" for g in groups) else ()))

    def compose(self) -> ComposeResult:
        look = cast("ApplianceApp", self.app).look
        with VerticalScroll(id="help") as box:
            box.border_title = f"{self._title}: keys"
            box.border_subtitle = "Esc closes"
            yield Static(help_parts(self._groups, look))

    def action_close(self) -> None:
        self.dismiss()

    def action_down(self) -> None:
        self.query_one("#help").scroll_down(animate=False)

    def action_up(self) -> None:
        self.query_one("#help").scroll_up(animate=False)


def help_parts(groups: Sequence[Group], look: Look) -> Parts:
    """Every action of ``groups`` with its keys, the screens, and the words."""
    keys = look.symbols.keys
    sections = [(g.title, [(keys(a.shown), a.help) for a in g.actions if a.help]) for g in groups if g.title]
    sections.append(("Screens", [(entry.key, f"{entry.title}: {entry.help}") for entry in SCREENS]))
    sections.append(("Words", list(WORDS)))
    drawn: list[Text | Table] = []
    for title, entries in sections:
        drawn += [Text(f"\n{title}" if drawn else title, style=look.paint.title), _entries(entries, look)]
    return Parts(*drawn)


def _entries(entries: Sequence[tuple[str, str]], look: Look) -> Table:
    out = Table.grid(padding=(0, 2))
    out.add_column(no_wrap=True, width=17)
    out.add_column(overflow="fold")
    for key, meaning in entries:
        out.add_row(Text(f"  {key}", style=look.paint.key), Text(meaning, style=look.paint.dim))
    return out
