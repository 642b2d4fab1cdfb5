"""Reports: what was issued with its revisions and what differs between them, what can be made; open one as text, issue one now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from appliance.errors import ApplianceError
from appliance.observe.reports import ReportsPicture
from tui import figures
from tui.actions import OPEN, REPORTS, ROWS, TABLE, Group, bindings
from tui.look import Look
from tui.pace import Pace
from tui.screens.acts import Acts
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.reader import ReaderScreen
from tui.screens.rows import ChosenBelow
from tui.snapshot import Question, Snapshot
from tui.widgets.panels import Panel
from tui.widgets.reports import COLUMNS, ReportRow, facts, parameter_words, rows_of
from tui.widgets.table import FastTable

_ASK_EVERY_US = 2_000_000


class ReportsScreen(ChosenBelow, Acts, LiveScreen):
    """One row a revision, the chosen one's story below. Enter opens its text."""

    TITLE_IN_BAR: ClassVar[str] = "Reports"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, REPORTS, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(REPORTS, ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#issued"

    class Came(Message):
        """A text to read, or why there is none."""

        def __init__(self, *, title: str = "", text: str | None = None, error: str | None = None) -> None:
            super().__init__()
            self.title = title
            self.text = text
            self.error = error

    def __init__(self) -> None:
        super().__init__()
        self._picture = ReportsPicture(at_us=0)
        self.pace = Pace(_ASK_EVERY_US)
        self._why: str | None = None
        self._is_issuing = False

    @property
    def table(self) -> FastTable[Any]:
        """The revisions."""
        return self.query_one("#issued", FastTable)

    @property
    def chosen(self) -> ReportRow | None:
        """The row under the cursor; None when there is none."""
        row: ReportRow | None = self.table.cursor_row
        return row

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="reports"):
            table = FastTable(
                COLUMNS, key=lambda r: r.key, empty="no report was issued, and none can be made", id="issued", classes="panel"
            )
            table.border_title = "Reports"
            yield table
            yield Panel("Details", id="detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """The picture, at most every two seconds."""
        return (lambda client: client.reports()) if self.pace.is_due(None, now_us=self.ui.clock.now_us()) else None

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        if isinstance(snapshot.extra, ReportsPicture):
            self._picture, self._why = snapshot.extra, None
        elif snapshot.extra_error is not None:
            self._why = snapshot.extra_error
        self.table.show_rows(rows_of(self._picture), look)
        self.show_chosen(look)

    def show_chosen(self, look: Look) -> None:
        panel = self.query_one("#detail", Panel)
        if self._why is not None:
            panel.show_panel([((look.safe(self._why), look.paint.warn),)], look)
        else:
            panel.show_panel(facts(self.chosen, look, panel.inner_width), look)

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Opens the text of the revision."""
        event.stop()
        row = self.chosen
        if row is None or row.text_path is None:
            self.ui.say("There is no text to open: it was never issued, or was removed. i issues it.", severity="warning")
            return
        client, path = self.ui.client, row.text_path
        title = f"{row.name} {row.key.removeprefix(row.name).strip()}"

        def read() -> None:
            try:
                self.post_message(self.Came(title=title, text=client.report_text(path)))
            except ApplianceError as refusal:
                self.post_message(self.Came(error=str(refusal)))

        self.run_worker(read, thread=True, exclusive=True, exit_on_error=False, group="read", name="read")

    def action_issue(self) -> None:
        """Issues the chosen report, of the same day and parameters; one that never was, of the newest day that is over."""
        row = self.chosen
        if row is None or row.definition is None:
            self.ui.say("The config has no such report any more." if row is not None else "Choose a report.", severity="warning")
            return
        if self._is_issuing:
            self.ui.say("A report is being made already.", severity="warning")
            return
        self._is_issuing = True
        client, issue = self.ui.client, row.issue
        day = None if issue is None else figures_day(issue.since_us, issue.until_us, issue.day)
        parameters = {} if issue is None else dict(issue.parameters)
        name = row.name
        self.ui.say(f"Making {name}…")
        self.act(lambda: client.issue_report(name, day=day, parameters=parameters))

    def on_reports_screen_came(self, event: Came) -> None:
        """Shows the text, or says why there is none."""
        event.stop()
        if event.text is not None:
            self.app.push_screen(ReaderScreen(event.title, event.text))
        elif event.error is not None:
            self.ui.say(event.error, severity="error")

    def act_ended(self) -> None:
        """The next one may be issued."""
        self._is_issuing = False

    def view_table(self) -> ViewTable | None:
        rows: list[ReportRow] = list(self.table.rows)
        if not rows:
            return None
        names = ("name", "day", "parameters", "revision", "issued_us", "failed", "difference", "delivered", "files")
        return ViewTable("reports", names, [_values(r) for r in rows])

    def copy_text(self) -> str | None:
        row = self.chosen
        return None if row is None else "\t".join(str(v) for v in _values(row))


def figures_day(since_us: int, until_us: int, name: str) -> str:
    """A day of a period, as the service takes it: the name of a day, or the middle of a week or month."""
    return name if len(name) == 10 and "W" not in name else figures.local((since_us + until_us) // 2_000_000).strftime("%Y-%m-%d")


def _values(row: ReportRow) -> list[Any]:
    i = row.issue
    if i is None:
        return [row.name, None, "", None, None, None, "", "", ""]
    return [
        i.name,
        i.day,
        parameter_words(row),
        i.revision,
        i.issued_us,
        i.failed,
        i.difference,
        ", ".join(i.delivered),
        ", ".join(f.path for f in i.files),
    ]
