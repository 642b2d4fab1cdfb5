"""Analysis: incidents with their first and their refined answer, what is being learned, and how often the first answer held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget

from appliance.errors import ApplianceError
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from tui import figures
from tui.actions import ANALYSIS_VIEWS, INCIDENTS, OPEN, ROWS, TABLE, Group, bindings
from tui.client import Client, Series
from tui.look import Look, Span
from tui.screens.acts import Acts
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.incident_facts import facts
from tui.screens.rows import StoryBelow
from tui.screens.views import Views
from tui.snapshot import Question, Snapshot
from tui.widgets.analysis import INCIDENT_COLUMNS, LEARNING_COLUMNS, QUALITY_COLUMNS
from tui.widgets.bars import view_line
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable

INCIDENTS_SHOWN: Final = 200
CHART_US: Final = 900_000_000
"""Time before an incident's end that its chart shows."""


@dataclass(frozen=True, slots=True)
class Detail:
    """The answer to this screen's question."""

    picture: AnalysisPicture
    incident: IncidentPicture | None
    chart: Series | None
    """The field that was most unusual; None: not at hand."""


class AnalysisScreen(Views, StoryBelow, Acts, LiveScreen):
    """One table a view, the chosen incident's story below."""

    TITLE_IN_BAR: ClassVar[str] = "Analysis"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, ANALYSIS_VIEWS, INCIDENTS, TABLE, ROWS)
    BINDINGS: ClassVar[list[BindingType]] = bindings(ANALYSIS_VIEWS, INCIDENTS, ROWS)
    AUTO_FOCUS: ClassVar[str | None] = "#seen-incidents"
    VIEWS: ClassVar[tuple[str, ...]] = ("incidents", "learning", "quality")
    TABLE_IDS: ClassVar[str] = "seen-"
    ASKS_OF_ROW: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._detail: Detail | None = None
        self._why: str | None = None

    @property
    def chosen(self) -> IncidentRow | None:
        """The incident under the cursor; None: there is none."""
        row = self.table.cursor_row
        return row if isinstance(row, IncidentRow) else None

    @property
    def story(self) -> Panel:
        """The chosen incident's."""
        return self.query_one("#analysis-detail", Panel)

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="analysis"):
            yield LinesWidget(id="analysis-line")
            yield from _tables()
            yield Panel("Details", id="analysis-detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """The picture and the chosen incident: at most once a second, at once where another one is chosen."""
        chosen, now_us = self.chosen, self.ui.clock.now_us()
        wanted = None if chosen is None else chosen.id
        return (lambda client: _ask(client, wanted, now_us)) if self.pace.is_due(wanted, now_us=now_us) else None

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        if isinstance(snapshot.extra, Detail):
            self._why, self._detail = None, snapshot.extra
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
            self.pace.forget()
        self._show_line(look)
        self.table.show_rows(self._rows(), look)
        self.show_chosen(look)

    def _rows(self) -> Sequence[Any]:
        if self._detail is None:
            return ()
        found = self._detail.picture
        return {"incidents": found.incidents, "learning": found.learning, "quality": found.quality}[self.view]

    def _show_line(self, look: Look) -> None:
        count = self._open_count()
        views = [(name, figures.count(count) if name == "incidents" and count else "") for name in self.VIEWS]
        line = view_line(views, self.view, self._note(look), look, self.size.width)
        self.query_one("#analysis-line", LinesWidget).show_lines([line])

    def _open_count(self) -> int:
        return 0 if self._detail is None else sum(r.state == "open" for r in self._detail.picture.incidents)

    def _note(self, look: Look) -> Span | None:
        """Whether anything is unusual, at the right of the views."""
        if self._why is not None:
            return f"{look.symbols.state('WARN')} {look.safe(self._why)}", look.paint.warn
        if self._detail is None:
            return None
        if count := self._open_count():
            return f"{look.symbols.state('CRIT')} {count} open", look.paint.crit
        return f"{look.symbols.state('OK')} nothing unusual", look.paint.ok

    def show_chosen(self, look: Look) -> None:
        panel, detail = self.story, self._detail
        incident, chart = (None, None) if detail is None else (detail.incident, detail.chart)
        panel.show_panel(facts(self.table.cursor_row, incident, chart, look, panel.inner_width), look)

    def action_confirm(self) -> None:
        self._say("confirm", "Confirmed")

    def action_dismiss_incident(self) -> None:
        self._say("dismiss", "Dismissed")

    def _say(self, verdict: str, told: str) -> None:
        row, client = self.chosen, self.ui.client
        if row is None:
            self.ui.say("Choose an incident.", severity="warning")
            return

        def do() -> str:
            client.say_of_incident(row.id, verdict, comment="")
            return f"{told}: incident {row.id}; the next training takes it up"

        self.act(do)

    def view_table(self) -> ViewTable | None:
        rows = [{name: _plain(getattr(row, name)) for name in row.__struct_fields__} for row in self.table.rows]
        return ViewTable(f"analysis-{self.view}", list(rows[0]), [list(row.values()) for row in rows]) if rows else None

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(_plain(getattr(row, name))) for name in row.__struct_fields__)


def _ask(client: Client, wanted: int | None, now_us: int) -> Detail:
    """In a worker thread: the picture, and of the chosen incident its story and the field that was most unusual."""
    picture = client.analysis(limit=INCIDENTS_SHOWN)
    known = {row.id for row in picture.incidents}
    at = wanted if wanted in known else picture.incidents[0].id if picture.incidents else None
    if at is None:
        return Detail(picture, None, None)
    incident = client.incident(at)
    return Detail(picture, incident, _chart(client, incident, now_us))


def _chart(client: Client, incident: IncidentPicture, now_us: int) -> Series | None:
    number = next((m for m in incident.members if m.value is not None), None)
    if number is None or now_us - incident.incident.until_us > CHART_US:
        return None
    try:
        return client.series(number.stream, number.column, since_us=now_us - CHART_US)
    except ApplianceError:
        return None  # the stream is gone, or nobody serves it: the story stands without its picture


def _tables() -> Iterable[FastTable[Any]]:
    """The tables of all views, for composing."""
    nothing = "nothing unusual has been seen"
    tables: tuple[tuple[str, FastTable[Any]], ...] = (
        ("Incidents", FastTable(INCIDENT_COLUMNS, key=lambda r: str(r.id), empty=nothing, id="seen-incidents", classes="panel")),
        (
            "Learning",
            FastTable(
                LEARNING_COLUMNS, key=lambda r: f"{r.workload} {r.stream}", empty="nothing is learned", id="seen-learning", classes="panel"
            ),
        ),
        ("Quality", FastTable(QUALITY_COLUMNS, key=lambda r: r.workload, empty="no analysis", id="seen-quality", classes="panel")),
    )
    for title, table in tables:
        table.border_title = title
        yield table


def _plain(value: Any) -> Any:
    """A value for a file: what is nested becomes words."""
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items())
    return " ".join(value) if isinstance(value, tuple) else value
