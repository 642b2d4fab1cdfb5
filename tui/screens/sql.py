"""SQL over everything: a field, the answer, and a line that says how many rows in how long. The query runs in a worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, TextArea
from textual.worker import get_current_worker

from appliance.errors import ApplianceError, QueryCancelled
from tui import figures
from tui.actions import CANCEL, SQL, Group, bindings
from tui.client import Client, Stop
from tui.history import quoted
from tui.look import Line, Look
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.result import Result, read_answer
from tui.snapshot import Snapshot
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import wrapped

ROWS_MAX = 1000
_HISTORY_MAX = 100
_EXAMPLE = "SELECT * FROM {} ORDER BY ts DESC LIMIT 20"


class SqlField(TextArea):
    """The query. Enter runs it; a pasted text keeps its lines."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(SQL)

    class Submitted(Message):
        """Enter was pressed after this text."""

        def __init__(self, sql: str) -> None:
            super().__init__()
            self.sql = sql

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self.post_message(self.Submitted(self.text.strip()))
        elif event.key in ("ctrl+j", "alt+enter", "shift+enter"):
            self.insert("\n")
        else:
            return
        event.stop()
        event.prevent_default()  # or the text field would take it as text


class SqlScreen(LiveScreen):
    """One query at a time; Esc cancels it, or goes back when none runs."""

    TITLE_IN_BAR: ClassVar[str] = "SQL"
    ACTIONS: ClassVar[tuple[Group, ...]] = (SQL, CANCEL)
    BINDINGS: ClassVar[list[BindingType]] = bindings(CANCEL)
    AUTO_FOCUS: ClassVar[str | None] = "#sql"

    class Answered(Message):
        """A query has ended: with a result, or with the reason why not."""

        def __init__(self, stop: Stop, result: Result | None, error: str | None) -> None:
            super().__init__()
            self.stop_handle = stop
            self.result = result
            self.error = error

    def __init__(self) -> None:
        super().__init__()
        self._query: Stop | None = None
        self._started_ns = 0
        self._result: Result | None = None
        self._error: str | None = None
        self._history: list[str] = []
        self._at = 0

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="query"):
            yield SqlField(id="sql", classes="panel", show_line_numbers=False, soft_wrap=True, compact=True)
            yield LinesWidget(id="said")
            yield LinesWidget(id="error", classes="panel")
            yield DataTable(id="rows", classes="panel", zebra_stripes=False, cursor_type="row", cell_padding=1)

    def on_mount(self) -> None:
        """Names the panels and suggests a query."""
        field = self.query_one(SqlField)
        field.cursor_blink = False
        field.border_title = "SQL"
        self.query_one("#rows").border_title = "Answer"
        self.query_one("#error").border_title = "Refused"
        self.query_one("#error").display = False
        streams = list(self.ui.palette_streams())
        if streams and not field.text:
            field.text = _EXAMPLE.format(bare(streams[0]))
            field.select_all()

    def arrive(self) -> None:
        self.set_focus(self.query_one(SqlField))

    def show_snapshot(self, _snapshot: Snapshot, look: Look) -> None:
        """Only the time a query takes goes on; the answer stands still."""
        self.query_one("#said", LinesWidget).show_lines([self._said(look)])

    def _said(self, look: Look) -> Line:
        paint, dot = look.paint, look.symbols.dot
        if self._query is not None:
            spent = (self.ui.clock.monotonic_ns() - self._started_ns) // 1000
            word = "cancelling" if self._query.stopped else "running"
            return ((f" {word} {figures.span(spent)} {dot} Esc cancels", paint.accent),)
        if self._error is not None:
            return ((f" {look.symbols.state('CRIT')} no answer", paint.crit),)
        if self._result is None:
            return ((f" Enter runs it {dot} ctrl+j a new line {dot} up to {ROWS_MAX} rows are shown", paint.dim),)
        rows = len(self._result.rows)
        told = f"{rows} {'row' if rows == 1 else 'rows'}" if self._result.complete else f"the first {rows} rows, there are more"
        took = figures.millis(self._result.elapsed_ms)
        return ((f" {look.symbols.state('OK')} {told}", paint.ok), (f" {dot} {took} {dot} times are UTC", paint.dim))

    def on_sql_field_submitted(self, event: SqlField.Submitted) -> None:
        """Runs what stands in the field; one query at a time."""
        event.stop()
        sql = event.sql
        if not sql or self._query is not None:
            return
        if not self._history or self._history[-1] != sql:
            self._history = [*self._history[-_HISTORY_MAX + 1 :], sql]
        self._at = len(self._history)
        stop = self._query = Stop()
        self._started_ns = started_ns = self.ui.clock.monotonic_ns()
        client, clock, clean = self.ui.client, self.ui.clock, self.look.safe

        def elapsed_ms() -> float:
            return (clock.monotonic_ns() - started_ns) / 1e6

        def ask() -> None:
            self._ask(client, sql, stop, elapsed_ms, clean)

        self.run_worker(ask, thread=True, exit_on_error=False, group="query", name="query")
        self.show_current()

    def _ask(self, client: Client, sql: str, stop: Stop, elapsed_ms: Callable[[], float], clean: Callable[[str], str]) -> None:
        """In a worker thread: asks, turns the rows into text, and posts one message whatever happens."""
        result, error = None, None
        try:
            answer = client.query(sql, rows_max=ROWS_MAX, stop=stop)
            result = read_answer(answer, elapsed_ms=elapsed_ms(), clean=clean)
        except QueryCancelled:
            error = "cancelled"
        except ApplianceError as refusal:
            error = str(refusal)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Answered(stop, result, error))

    def question_broke(self, group: str, why: str) -> None:
        if group == "query" and self._query is not None:
            self.post_message(self.Answered(self._query, None, why))
        else:
            super().question_broke(group, why)

    def on_sql_screen_answered(self, event: Answered) -> None:
        """Shows the rows, or why there are none."""
        event.stop()
        if event.stop_handle is not self._query:
            return
        self._query, self._error = None, event.error
        panel = self.query_one("#error", LinesWidget)
        panel.display = event.error is not None
        if event.error is not None:
            look = self.look
            lines: list[Line] = []
            for text in event.error.splitlines()[:20]:
                lines += wrapped(look.safe(text), max(20, self.size.width - 6), look.paint.text, lines_max=6)
            panel.styles.height = min(12, len(lines)) + 2
            panel.show_lines(lines)
        elif event.result is not None:
            self._result = event.result
            self._fill(event.result)
        self.show_current()

    def _fill(self, result: Result) -> None:
        look = self.look
        table: DataTable[object] = self.query_one(DataTable)
        table.clear(columns=True)
        for place, column in enumerate(result.columns):
            table.add_column(column.label(look.paint), width=column.width, key=str(place))
        columns, paint = result.columns, look.paint
        table.add_rows([[column.cell(value, paint) for column, value in zip(columns, row, strict=True)] for row in result.texts])
        table.border_subtitle = None

    def view_table(self) -> ViewTable | None:
        if self._result is None:
            return None
        return ViewTable("query", [c.name for c in self._result.columns], self._result.rows)

    def copy_text(self) -> str | None:
        table: DataTable[object] = self.query_one(DataTable)
        if self._result is None or not 0 <= table.cursor_row < len(self._result.texts):
            return None
        return "\t".join(text or "" for text in self._result.texts[table.cursor_row])

    def action_earlier_sql(self) -> None:
        self._recall(-1)

    def action_later_sql(self) -> None:
        self._recall(1)

    def _recall(self, step: int) -> None:
        at = self._at + step
        if 0 <= at <= len(self._history):
            self._at = at
            field = self.query_one(SqlField)
            field.text = self._history[at] if at < len(self._history) else ""
            field.move_cursor(field.document.end)

    def action_back(self) -> None:
        """Esc: cancels what runs, else leaves the maximised panel, else goes back."""
        if self._query is not None:
            stop = self._query
            self.run_worker(stop.stop, thread=True, exit_on_error=False, group="cancel", name="cancel the query")
        elif self.enlarged is not None:
            self.toggle_enlarged()
        else:
            self.app.pop_screen()


def bare(name: str) -> str:
    """A name as a person would write it: without quotes where they are not needed."""
    return name if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name) else quoted(name)
