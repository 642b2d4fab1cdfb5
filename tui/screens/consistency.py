"""Consistency: whether the hot and the cold side agree: the last passes, what is open, what was repaired, and each stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget

from appliance.observe.consistency import ConsistencyPicture
from tui import figures
from tui.actions import CONSISTENCY_VIEWS, OPEN, ROWS, TABLE, Group, bindings
from tui.look import Look, Span
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.consistency_facts import facts
from tui.screens.rows import StoryBelow
from tui.screens.views import Views
from tui.snapshot import Question, Snapshot
from tui.widgets.bars import view_line
from tui.widgets.consistency import DAY_COLUMNS, FINDING_COLUMNS, STREAM_COLUMNS, pass_lines
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable


class ConsistencyScreen(Views, StoryBelow, LiveScreen):
    """The passes above, one table a view, the chosen row's story below."""

    TITLE_IN_BAR: ClassVar[str] = "Consistency"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, CONSISTENCY_VIEWS, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(CONSISTENCY_VIEWS, ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#agree-open"
    VIEWS: ClassVar[tuple[str, ...]] = ("open", "repaired", "streams", "days")
    TABLE_IDS: ClassVar[str] = "agree-"

    def __init__(self) -> None:
        super().__init__()
        self._picture: ConsistencyPicture | None = None
        self._why: str | None = None

    @property
    def story(self) -> Panel:
        """The chosen row's."""
        return self.query_one("#agreement-detail", Panel)

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="consistency"):
            yield LinesWidget(id="agreement-line")
            yield Panel("Last looks", id="passes", lines_min=1, counts=True)
            yield from _tables()
            yield Panel("Details", id="agreement-detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """The picture; at most once a second."""
        return (lambda client: client.consistency()) if self.pace.is_due(None, now_us=self.ui.clock.now_us()) else None

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        if isinstance(snapshot.extra, ConsistencyPicture):
            self._why, self._picture = None, snapshot.extra
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
            self.pace.forget()
        self._show_line(look)
        panel = self.query_one("#passes", Panel)
        panel.show_panel([] if self._picture is None else pass_lines(self._picture, look, panel.inner_width), look)
        self.table.show_rows(self._rows(), look)
        self.show_chosen(look)

    def _rows(self) -> Sequence[Any]:
        found = self._picture
        if found is None:
            return ()
        return {"open": found.open, "repaired": found.repairs, "streams": found.streams, "days": found.history}[self.view]

    def _show_line(self, look: Look) -> None:
        wrong = 0 if self._picture is None else self._picture.open_total
        views = [(name, figures.count(wrong) if name == "open" and wrong else "") for name in self.VIEWS]
        line = view_line(views, self.view, self._note(look), look, self.size.width)
        self.query_one("#agreement-line", LinesWidget).show_lines([line])

    def _note(self, look: Look) -> Span | None:
        """Whether all agrees, at the right of the views."""
        if self._why is not None:
            return f"{look.symbols.state('WARN')} {look.safe(self._why)}", look.paint.warn
        if self._picture is None:
            return None
        if self._picture.is_consistent:
            return f"{look.symbols.state('OK')} both sides agree", look.paint.ok
        return f"{look.symbols.state('CRIT')} {self._picture.open_total} wrong", look.paint.crit

    def show_chosen(self, look: Look) -> None:
        panel = self.story
        panel.show_panel(facts(self.table.cursor_row, look, panel.inner_width), look)

    def view_table(self) -> ViewTable | None:
        rows = [{name: getattr(row, name) for name in row.__struct_fields__} for row in self.table.rows]
        return ViewTable(f"consistency-{self.view}", list(rows[0]), [list(row.values()) for row in rows]) if rows else None

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(getattr(row, name)) for name in row.__struct_fields__)


def _tables() -> Iterable[FastTable[Any]]:
    """The tables of all views, for composing."""
    tables: tuple[tuple[str, FastTable[Any]], ...] = (
        ("Open", FastTable(FINDING_COLUMNS, key=lambda f: str(f.id), empty="nothing is wrong", id="agree-open", classes="panel")),
        (
            "Repaired",
            FastTable(FINDING_COLUMNS, key=lambda f: str(f.id), empty="nothing was repaired", id="agree-repaired", classes="panel"),
        ),
        ("Streams", FastTable(STREAM_COLUMNS, key=lambda s: s.name, empty="no stream yet", id="agree-streams", classes="panel")),
        ("Days", FastTable(DAY_COLUMNS, key=lambda d: d.day, empty="nothing was found on any day", id="agree-days", classes="panel")),
    )
    for title, table in tables:
        table.border_title = title
        yield table
