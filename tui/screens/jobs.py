"""Jobs: what runs and waits with its progress, what there is, what has been and what it has cost, and how fresh the views are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from appliance.errors import ApplianceError
from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.views import ViewRow
from tui import figures
from tui.actions import JOB_VIEWS, JOBS, OPEN, ROWS, TABLE, Group, bindings
from tui.client import Client
from tui.look import Look, Span
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.job_facts import facts
from tui.screens.rows import RowKeys
from tui.snapshot import Question, Snapshot
from tui.widgets.alert_facts import view_line
from tui.widgets.jobs import HISTORY_COLUMNS, JOB_COLUMNS, QUEUE_COLUMNS, VIEW_COLUMNS, run_name, view_name
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable

VIEW_NAMES: Final = ("queue", "jobs", "history", "views")
HISTORY_ROWS: Final = 500
_ASK_EVERY_US: Final = 1_000_000
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


class JobsScreen(RowKeys, LiveScreen):
    """One table a view, the chosen row's story below. Enter shows the history of the chosen work."""

    TITLE_IN_BAR: ClassVar[str] = "Jobs"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, JOB_VIEWS, JOBS, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(JOB_VIEWS, JOBS, ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#job-queue"

    class Done(Message):
        """Something was asked for, or why not."""

        def __init__(self, told: str, error: str | None) -> None:
            super().__init__()
            self.told = told
            self.error = error

    def __init__(self) -> None:
        super().__init__()
        self._view = VIEW_NAMES[0]
        self._name: str | None = None
        self._came_from: str | None = None
        """The view from which the history of one work was opened."""
        self._picture: JobsPicture | None = None
        self._history: Sequence[RunRow] = ()
        self._views: Sequence[ViewRow] = ()
        self._asked: tuple[Asked | None, int] = (None, 0)
        self._why: str | None = None

    @property
    def table(self) -> FastTable[Any]:
        """The table of the chosen view."""
        return self.query_one(f"#job-{self._view}", FastTable)

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="jobs"):
            yield LinesWidget(id="job-line")
            yield from _tables()
            yield Panel("Details", id="job-detail", lines_min=1, counts=True)

    def on_mount(self) -> None:
        """Only the first view is there."""
        self._show_view(self._view)

    def arrive(self) -> None:
        self.set_focus(self.table)

    def question(self) -> Question | None:
        """What the view needs; at most once a second."""
        now_us = self.ui.clock.now_us()
        asked = Asked(self._view, self._name if self._view == "history" else None)
        before, asked_us = self._asked
        if asked == before and 0 <= now_us - asked_us < _ASK_EVERY_US:
            return None
        self._asked = (asked, now_us)
        return lambda client: ask_jobs(client, asked)

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        answer = snapshot.extra
        if isinstance(answer, JobsAnswer):
            self._why, self._picture = None, answer.picture
            if answer.history is not None and answer.asked.name == self._name:
                self._history = answer.history
            if answer.views is not None:
                self._views = answer.views
        if snapshot.extra_error is not None:
            self._why, self._asked = snapshot.extra_error, (None, 0)
        self._show_line(look)
        self.table.show_rows(self._rows(), look)
        self._show_chosen(look)

    def _rows(self) -> Sequence[Any]:
        picture = self._picture or _EMPTY
        return {"queue": picture.queue, "jobs": picture.jobs, "history": self._history, "views": self._views}[self._view]

    def _show_line(self, look: Look) -> None:
        picture = self._picture or _EMPTY
        counts = {"queue": len(picture.queue), "jobs": sum(bool(j.failures) for j in picture.jobs)}
        views = [(name, figures.count(counts[name]) if counts.get(name) else "") for name in VIEW_NAMES]
        line = view_line(views, self._view, self._note(look), look, self.size.width)
        self.query_one("#job-line", LinesWidget).show_lines([line])

    def _note(self, look: Look) -> Span | None:
        """What is to be known of the view as a whole, at the right of the views."""
        if self._why is not None:
            return f"{look.symbols.state('WARN')} {look.safe(self._why)}", look.paint.warn
        if self._is_offline:
            return "stored, read-only", look.paint.warn
        if self._view == "history" and self._name is not None:
            return f"of {look.safe(self._name.lstrip('_'))} {look.symbols.dot} Esc shows all", look.paint.accent
        failed = sum(bool(j.failures) for j in (self._picture or _EMPTY).jobs)
        return (f"{look.symbols.state('CRIT')} {failed} failed", look.paint.crit) if failed else None

    def _show_chosen(self, look: Look) -> None:
        panel = self.query_one("#job-detail", Panel)
        panel.show_panel(facts(self.table.cursor_row, look, panel.inner_width), look)

    def _show_view(self, name: str) -> None:
        """Puts another view in front; each keeps its order, filter and place."""
        if self.enlarged is not None:
            self.toggle_enlarged()
        self._view = name
        for view in VIEW_NAMES:
            self.query_one(f"#job-{view}").set_class(view == name, "-shown")
        self.set_focus(self.table)
        self.ui.refresh_now()
        self.call_after_refresh(self.show_current)

    def _step_view(self, step: int) -> None:
        self._name = self._came_from = None
        self._show_view(VIEW_NAMES[(VIEW_NAMES.index(self._view) + step) % len(VIEW_NAMES)])

    def on_fast_table_moved(self, event: FastTable.Moved) -> None:
        """The story below is that of the row under the cursor."""
        event.stop()
        self._show_chosen(self.look)

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Looks into the history of the work."""
        event.stop()
        row = self.table.cursor_row
        if self._view != "history" and row is not None:
            self._came_from, self._history = self._view, ()
            self._name = row.name
            self._show_view("history")

    def view_table(self) -> ViewTable | None:
        rows = [_plain(row) for row in self.table.rows]
        return ViewTable(f"jobs-{self._view}", list(rows[0]), [list(row.values()) for row in rows]) if rows else None

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(value) for value in _plain(row).values())

    def action_view_left(self) -> None:
        self._step_view(-1)

    def action_view_right(self) -> None:
        self._step_view(1)

    def action_back(self) -> None:
        """Esc: as everywhere; then from the history of one work back to where it was opened."""
        if self.query_one("#filter").display or self.table.filter_text or self.enlarged is not None:
            super().action_back()
        elif self._came_from is not None:
            view, self._came_from, self._name = self._came_from, None, None
            self._show_view(view)

    def action_run_job(self) -> None:
        row = self.table.cursor_row
        name = None if row is None else row.name
        if name is None or name.startswith("_") or (isinstance(row, RunRow) and row.reason == "housekeeping"):
            self.ui.say("Choose a job or a view to run.", severity="warning")
        elif self._may_act():
            client = self.ui.client
            self._do(lambda: f"Run {client.run_job(name).id} of {name} is queued")

    def action_cancel_run(self) -> None:
        row = self.table.cursor_row
        if not isinstance(row, RunRow) or row.state not in ("waiting", "running") or not row.id:
            self.ui.say("Choose a run that waits or is under way, in the view queue.", severity="warning")
        elif self._may_act():
            client, number, name = self.ui.client, row.id, run_name(row)
            self._do(lambda: f"Run {client.cancel_run(number).id} of {name} ends")

    @property
    def _is_offline(self) -> bool:
        status = self.ui.picture.status
        return status is not None and status.state == "offline"

    def _may_act(self) -> bool:
        if self._is_offline:
            self.ui.say("No service runs: what is stored can only be looked at.", severity="warning")
        return not self._is_offline

    def _do(self, act: Callable[[], str]) -> None:
        def work() -> None:
            try:
                told, error = act(), None
            except ApplianceError as refusal:
                told, error = "", str(refusal)
            self.post_message(self.Done(told, error))

        self.run_worker(work, thread=True, exit_on_error=False, group="act", name="act")

    def on_jobs_screen_done(self, event: Done) -> None:
        """Says what came of it, and looks anew."""
        event.stop()
        if event.error is not None:
            self.ui.say(event.error, severity="error")
            return
        self.ui.say(event.told)
        self._asked = (None, 0)
        self.ui.refresh_now()


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
