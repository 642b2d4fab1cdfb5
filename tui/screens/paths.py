"""Paths: each workload with the path that it runs on, the rule, its latency against its budget and its cost; the chosen one explained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from appliance.observe.paths import PathRow, PathsPicture
from tui.actions import OPEN, ROWS, TABLE, Group, bindings
from tui.look import Look
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.path_facts import facts
from tui.screens.rows import StoryBelow
from tui.snapshot import Question, Snapshot
from tui.widgets.panels import Panel
from tui.widgets.paths import PATH_COLUMNS, is_over
from tui.widgets.table import FastTable

_EXPORTED = ("name", "kind", "path", "rule", "reason", "budget_ms", "p50_ms", "p99_ms", "count", "cpu_s", "since_us", "moved_from")


class PathsScreen(StoryBelow, LiveScreen):
    """The table above, why the chosen workload runs where it does below."""

    TITLE_IN_BAR: ClassVar[str] = "Paths"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#path-table"

    def __init__(self) -> None:
        super().__init__()
        self._picture: PathsPicture | None = None
        self._why: str | None = None
        self._title = ""

    @property
    def table(self) -> FastTable[PathRow]:
        """The workloads."""
        return self.query_one("#path-table", FastTable)

    @property
    def story(self) -> Panel:
        """Why the chosen workload runs where it does."""
        return self.query_one("#path-detail", Panel)

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="paths"):
            yield FastTable[PathRow](
                PATH_COLUMNS,
                key=lambda r: r.name,
                empty="no workload yet: the config has no [workload.NAME]",
                id="path-table",
                classes="panel",
            )
            yield Panel("Why", id="path-detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """The picture; at most once a second."""
        return (lambda client: client.paths()) if self.pace.is_due(None, now_us=self.ui.clock.now_us()) else None

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        if isinstance(snapshot.extra, PathsPicture):
            self._why, self._picture = None, snapshot.extra
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
            self.pace.forget()
        self._show_title(look)
        self.table.show_rows(self._picture.rows if self._picture is not None else (), look)
        self.show_chosen(look)

    def _show_title(self, look: Look) -> None:
        """How many run on each path, and what is wrong, in the border of the table."""
        picture, told = self._picture, ["Workloads"]
        if self._why is not None:
            told.append(f"{look.symbols.state('WARN')} {look.safe(self._why)}")
        elif picture is not None:
            over, proposed = sum(map(is_over, picture.rows)), sum(r.proposal is not None for r in picture.rows)
            told += [f"{count} {path}" for path, count in picture.counts.items() if count]
            told += [f"{over} over budget"] if over else []
            told += [f"{proposed} should move"] if proposed else []
        title = f" {look.symbols.dot} ".join(told)
        if title != self._title:
            self._title, self.table.border_title = title, Content(title)

    def show_chosen(self, look: Look) -> None:
        panel = self.story
        panel.show_panel(facts(self.table.cursor_row, look, panel.inner_width), look)

    def view_table(self) -> ViewTable | None:
        rows = self.table.rows
        return ViewTable("paths", _EXPORTED, [_plain(row) for row in rows]) if rows else None

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(value) for value in _plain(row))


def _plain(row: PathRow) -> list[Any]:
    return [getattr(row, name) for name in _EXPORTED]
