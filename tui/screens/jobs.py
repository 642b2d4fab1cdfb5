"""Jobs: what runs and waits with its progress, what there is, what has been and what it has cost, and how fresh the views are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget

from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.views import ViewRow
from tui import figures
from tui.actions import JOB_VIEWS, JOBS, OPEN, ROWS, TABLE, Group, bindings
from tui.client import Client
from tui.look import Look, Span
from tui.screens.acts import Acts
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.job_facts import facts
from tui.screens.views import HistoryOfOne
from tui.snapshot import Question, Snapshot
from tui.widgets.bars import view_line
from tui.widgets.jobs import HISTORY_COLUMNS, JOB_COLUMNS, QUEUE_COLUMNS, VIEW_COLUMNS, run_name, view_name
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable

HISTORY_ROWS: Final = 500
_EMPTY: Final = JobsPicture(at_us=0, jobs=(), queue=(), jobs_max=0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a view needs; ``name`` is the work whose history it is, None: of all."""

    view: str
    name: str | None


@dataclass(frozen=True, slots=True)
class JobsAnswer:
    """What came; a part that was not asked for is None."""

    asked: Asked
    picture: JobsPicture
    history: Sequence[RunRow] | None
    views: Sequence[ViewRow] | None


def ask_jobs(client: Client, asked: Asked) -> JobsAnswer:
    """In a worker thread."""
    history = client.job_history(limit=HISTORY_ROWS, name=asked.name) if asked.view == "history" else None
    return JobsAnswer(asked, client.jobs(), history, client.views() if asked.view == "views" else None)


class JobsScreen(HistoryOfOne, Acts, LiveScreen):
    """One table a view, the chosen row's story below. Enter shows the history of the chosen work."""

    TITLE_IN_BAR: ClassVar[str] = "Jobs"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, JOB_VIEWS, JOBS, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(JOB_VIEWS, JOBS, ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#job-queue"
    VIEWS: ClassVar[tuple[str, ...]] = ("queue", "jobs", "history", "views")
    TABLE_IDS: ClassVar[str] = "job-"

    def __init__(self) -> None:
        super().__init__()
        self._picture: JobsPicture | None = None
        self._history: Sequence[RunRow] = ()
        self._views: Sequence[ViewRow] = ()
        self._why: str | None = None

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="jobs"):
            yield LinesWidget(id="job-line")
            yield from _tables()
            yield Panel("Details", id="job-detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """What the view needs; at most once a second."""
        asked = Asked(self.view, self.history_of if self.view == "history" else None)
        return (lambda client: ask_jobs(client, asked)) if self.pace.is_due(asked, now_us=self.ui.clock.now_us()) else None

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        answer = snapshot.extra
        if isinstance(answer, JobsAnswer):
            self._why, self._picture = None, answer.picture
            if answer.history is not None and answer.asked.name == self.history_of:
                self._history = answer.history
            if answer.views is not None:
                self._views = answer.views
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
            self.pace.forget()
        self._show_line(look)
        self.table.show_rows(self._rows(), look)
        self.show_chosen(look)

    def _rows(self) -> Sequence[Any]:
        picture = self._picture or _EMPTY
        return {"queue": picture.queue, "jobs": picture.jobs, "history": self._history, "views": self._views}[self.view]

    def _show_line(self, look: Look) -> None:
        picture = self._picture or _EMPTY
        counts = {"queue": len(picture.queue), "jobs": sum(bool(j.failures) for j in picture.jobs)}
        views = [(name, figures.count(counts[name]) if counts.get(name) else "") for name in self.VIEWS]
        line = view_line(views, self.view, self._note(look), look, self.size.width)
        self.query_one("#job-line", LinesWidget).show_lines([line])

    def _note(self, look: Look) -> Span | None:
        """What is to be known of the view as a whole, at the right of the views."""
        if self._why is not None:
            return f"{look.symbols.state('WARN')} {look.safe(self._why)}", look.paint.warn
        if self.is_offline:
            return "stored, read-only", look.paint.warn
        if self.view == "history" and self.history_of is not None:
            return f"of {look.safe(self.history_of.lstrip('_'))} {look.symbols.dot} Esc shows all", look.paint.accent
        failed = sum(bool(j.failures) for j in (self._picture or _EMPTY).jobs)
        return (f"{look.symbols.state('CRIT')} {failed} failed", look.paint.crit) if failed else None

    def show_chosen(self, look: Look) -> None:
        panel = self.query_one("#job-detail", Panel)
        panel.show_panel(facts(self.table.cursor_row, look, panel.inner_width), look)

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Looks into the history of the work."""
        event.stop()
        row = self.table.cursor_row
        if self.view != "history" and row is not None:
            self._history = ()
            self.open_history(row.name)

    def view_table(self) -> ViewTable | None:
        rows = [_plain(row) for row in self.table.rows]
        return ViewTable(f"jobs-{self.view}", list(rows[0]), [list(row.values()) for row in rows]) if rows else None

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(value) for value in _plain(row).values())

    def action_run_job(self) -> None:
        row = self.table.cursor_row
        name = None if row is None else row.name
        if name is None or name.startswith("_") or (isinstance(row, RunRow) and row.reason == "housekeeping"):
            self.ui.say("Choose a job or a view to run.", severity="warning")
        elif self.may_act():
            client = self.ui.client
            self.act(lambda: f"Run {client.run_job(name).id} of {name} is queued")

    def action_cancel_run(self) -> None:
        row = self.table.cursor_row
        if not isinstance(row, RunRow) or row.state not in ("waiting", "running") or not row.id:
            self.ui.say("Choose a run that waits or is under way, in the view queue.", severity="warning")
        elif self.may_act():
            client, number, name = self.ui.client, row.id, run_name(row)
            self.act(lambda: f"Run {client.cancel_run(number).id} of {name} ends")


def _tables() -> Iterable[FastTable[Any]]:
    """The tables of all views, for composing."""
    tables: tuple[tuple[str, FastTable[Any]], ...] = (
        (
            "Queue",
            FastTable(
                QUEUE_COLUMNS, key=lambda r: f"{run_name(r)} {r.id}", empty="nothing runs, nothing waits", id="job-queue", classes="panel"
            ),
        ),
        (
            "Jobs",
            FastTable(
                JOB_COLUMNS,
                key=lambda j: j.name,
                empty="no batch work yet: the config has no [workload.NAME] of kind job, view, report or training",
                id="job-jobs",
                classes="panel",
            ),
        ),
        (
            "History",
            FastTable(HISTORY_COLUMNS, key=lambda r: f"{run_name(r)} {r.id}", empty="nothing has run", id="job-history", classes="panel"),
        ),
        ("Views", FastTable(VIEW_COLUMNS, key=view_name, empty="no view", id="job-views", classes="panel")),
    )
    for title, table in tables:
        table.border_title = title
        yield table


def _plain(row: Any) -> dict[str, Any]:
    """A row as values for a file: what is nested becomes words."""
    pairs = ((name, getattr(row, name)) for name in row.__struct_fields__)
    return {name: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else value for name, value in pairs}
