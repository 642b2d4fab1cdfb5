"""Alerts: what fires now with its values over the window, the rules, the history, the silences and the outbox; and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from appliance.observe.alerts import AlertRow, AlertsPicture, RuleRow, SilenceRow, TransitionRow, WindowChart
from tui import figures
from tui.actions import ALERTS, CHART, OPEN, ROWS, TABLE, VIEWS, Group, bindings
from tui.alert_view import AlertsAnswer, Asked, ask_alerts
from tui.look import Look, Span
from tui.pace import Pace
from tui.screens.acts import Acts
from tui.screens.alert_tables import VIEW_NAMES, make_tables, rows_of
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.silence import SilenceScreen, covers_of
from tui.screens.views import HistoryOfOne
from tui.snapshot import Question, Snapshot
from tui.widgets.alert_facts import facts
from tui.widgets.alerts import alert_name
from tui.widgets.bars import view_line
from tui.widgets.chart import Chart
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.plot import Buckets, held
from tui.widgets.table import FastTable

_OFFLINE = "stored, read-only"
_EMPTY = AlertsPicture(at_us=0)


class AlertsScreen(HistoryOfOne, Acts, LiveScreen):
    """One table a view, the chosen row's story below, for an alert beside its chart. Enter shows the history of the chosen rule."""

    TITLE_IN_BAR: ClassVar[str] = "Alerts"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, VIEWS, ALERTS, TABLE, ROWS, CHART)
    BINDINGS: ClassVar[list[BindingType]] = bindings(VIEWS, ALERTS, ROWS, CHART)
    AUTO_FOCUS: ClassVar[str | None] = "#now"
    VIEWS: ClassVar[tuple[str, ...]] = VIEW_NAMES
    ASKS_OF_ROW: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._picture: AlertsPicture | None = None
        self._history: Sequence[TransitionRow] = ()
        self._chart: tuple[str, WindowChart | None] | None = None
        """Of which alert (``alert_name``), and what there is of it."""
        self._scaled_for: str | None = None
        self._picture_pace = Pace()
        self._why: str | None = None

    @property
    def chart(self) -> Chart:
        """The chosen alert's value over time."""
        return self.query_one("#value", Chart)

    @property
    def chosen(self) -> Any:
        """The row under the cursor; None when there is none."""
        return self.table.cursor_row

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="alerts"):
            yield LinesWidget(id="views")
            yield from make_tables()
            with Horizontal(id="under"):
                yield Chart(filled=False, id="value", classes="panel")
                yield Panel("Details", id="detail", lines_min=1, counts=True)

    def question(self) -> Question | None:
        """The picture, and what the view needs besides; at most once a second while the same row is chosen."""
        now_us = self.ui.clock.now_us()
        row = self.chosen if self.view == "now" else None
        asked = Asked(row if isinstance(row, AlertRow) else None, self.view == "history", self.history_of)
        if not self.pace.is_due(_subject(asked), now_us=now_us):
            return None
        with_picture = self._picture_pace.is_due(None, now_us=now_us)
        return lambda client: ask_alerts(client, asked, with_picture=with_picture)

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        self._take(snapshot)
        self._show_views(look)
        self.table.show_rows(rows_of(self.view, self._picture or _EMPTY, self._history), look)
        self.show_chosen(look)

    def _take(self, snapshot: Snapshot) -> None:
        answer = snapshot.extra
        if isinstance(answer, AlertsAnswer):
            self._why = None
            if answer.picture is not None:
                self._picture = answer.picture
            if answer.asked.alert is not None:
                self._chart = (alert_name(answer.asked.alert), answer.chart)
            if answer.history is not None and answer.asked.rule == self.history_of:
                self._history = answer.history
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
            self._picture_pace.forget()

    def _show_views(self, look: Look) -> None:
        picture, line = self._picture or _EMPTY, self.query_one("#views", LinesWidget)
        counts = {
            "now": sum(a.phase == "firing" for a in picture.alerts),
            "rules": sum(r.state != "ok" for r in picture.rules),
            "silences": sum(s.is_active for s in picture.silences),
            "outbox": sum(m.state != "sent" for m in picture.outbox),
        }
        views = [(name, figures.count(counts[name]) if counts.get(name) else "") for name in self.VIEWS]
        line.show_lines([view_line(views, self.view, self._note(picture, look), look, self.size.width)])

    def _note(self, picture: AlertsPicture, look: Look) -> Span | None:
        """What is to be known of the view as a whole, at the right of the views."""
        if self._why is not None:
            return f"{look.symbols.state('WARN')} {look.safe(self._why)}", look.paint.warn
        if self.is_offline:
            return _OFFLINE, look.paint.warn
        if self.view == "history" and self.history_of is not None:
            return f"of {look.safe(self.history_of)} {look.symbols.dot} Esc shows all", look.paint.accent
        if picture.truncated:
            return f"{figures.count(picture.truncated)} more are not shown", look.paint.warn
        return None

    def show_chosen(self, look: Look) -> None:
        row, panel = self.chosen, self.query_one("#detail", Panel)
        panel.show_panel(facts(row, self._picture or _EMPTY, look, panel.inner_width), look)
        if self.view == "now":
            self._show_chart(row, look)

    def _show_chart(self, row: AlertRow | None, look: Look) -> None:
        chart = self.chart
        name = alert_name(row) if row is not None else None
        found = self._chart[1] if self._chart is not None and self._chart[0] == name else None
        if found is None or not found.points:
            chart.set_title("Values")
            chart.show_series(None, look, end_us=look.as_of_us, why_empty=self._why_no_chart(name))
            return
        if self._scaled_for != name:
            self._scaled_for = name
            chart.forget_scale()
        first, last = found.points[0][0], found.points[-1][0]
        chart.usual_span_us = max(30_000_000, last - first)
        end_us = look.as_of_us if look.as_of_us - last < chart.span_us // 4 else last + 1
        buckets = _buckets(found, max(1, chart.cell_us // look.symbols.dots_x))
        now = next((v for _, v in reversed(found.points) if v is not None), None)
        told = "" if now is None else f"  {figures.number(now)}"
        line = "" if found.threshold is None else f"line at {figures.number(found.threshold)} {look.symbols.dot} "
        chart.set_title(f"{look.safe(found.label)}{told}", f"{line}{look.old or f'last {figures.span(chart.span_us)}'}")
        chart.show_series(buckets, look, end_us=end_us, why_empty="no value in this time", threshold=found.threshold)

    def _why_no_chart(self, name: str | None) -> str:
        if name is None:
            return "nothing fires" if self._picture is not None else "waiting for the first data"
        if self.is_offline:
            return "values over time need a running service"
        if self._chart is None or self._chart[0] != name:
            return "not read while the picture is frozen" if self.ui.is_frozen else "reading its values"
        return "no values at hand"

    def show_view(self, name: str) -> None:
        """Only beside what fires now there is a chart."""
        super().show_view(name)
        self.query_one("#alerts").set_class(name != "now", "-lists")

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Looks into the history of the rule."""
        event.stop()
        row = self.chosen
        if isinstance(row, (AlertRow, RuleRow)):
            self._history = ()
            self.open_history(row.rule if isinstance(row, AlertRow) else row.name)

    def view_table(self) -> ViewTable | None:
        rows = self.table.rows
        if not rows:
            return None
        names = rows[0].__struct_fields__
        return ViewTable(f"alerts-{self.view}", names, [[_plain(getattr(row, name)) for name in names] for row in rows])

    def copy_text(self) -> str | None:
        row = self.chosen
        return None if row is None else "\t".join(str(_plain(getattr(row, name))) for name in row.__struct_fields__)

    def action_acknowledge(self) -> None:
        row = self._alert()
        if row is not None:
            client, name = self.ui.client, alert_name(row)
            self._do(f"Acknowledged: {name}", lambda: client.acknowledge(row.rule, row.key, comment="", until=None))

    def action_unacknowledge(self) -> None:
        row = self._alert()
        if row is not None:
            client, name = self.ui.client, alert_name(row)
            self._do(f"No longer acknowledged: {name}", lambda: client.unacknowledge(row.rule, row.key))

    def action_silence(self) -> None:
        row = self.chosen
        if not isinstance(row, (AlertRow, RuleRow, TransitionRow)):
            self.ui.say("Choose an alert or a rule to silence.", severity="warning")
        elif self.may_act():
            covers = covers_of(row.name, None) if isinstance(row, RuleRow) else covers_of(row.rule, row.key)
            self.app.push_screen(SilenceScreen(covers, then=self.ask_anew))

    def action_unsilence(self) -> None:
        row = self.chosen
        number = row.id if isinstance(row, SilenceRow) else row.silenced_by if isinstance(row, AlertRow) else None
        if number is None:
            self.ui.say("Choose a silenced alert, or a silence.", severity="warning")
        elif self.may_act():
            client = self.ui.client
            self._do(f"Silence {number} is over", lambda: client.unsilence(number))

    def _alert(self) -> AlertRow | None:
        """The chosen alert, if something may be done about it; else says why not."""
        row = self.chosen
        if not isinstance(row, AlertRow):
            self.ui.say("Choose an alert in the view now.", severity="warning")
            return None
        return row if self.may_act() else None

    def _do(self, told: str, act: Callable[[], object]) -> None:
        def do() -> str:
            act()
            return told

        self.act(do)

    def ask_anew(self) -> None:
        self._picture_pace.forget()
        super().ask_anew()


def _subject(asked: Asked) -> tuple[object, ...]:
    """What makes one question another one: the alert by its name, not by how it is at the moment."""
    return asked.alert and alert_name(asked.alert), asked.history, asked.rule


@lru_cache(maxsize=4)
def _buckets_of(points: tuple[tuple[int, float | None], ...], step_us: int) -> Buckets:
    return held(points, step_us=step_us)


def _buckets(found: WindowChart, step_us: int) -> Buckets:
    """For the chart, which draws anew when it gets another object."""
    return _buckets_of(found.points, step_us)


def _plain(value: Any) -> Any:
    """A value for a file: what is nested becomes words."""
    if isinstance(value, dict):
        return " ".join(f"{name}={'' if v is None else v}" for name, v in value.items())
    return " ".join(value) if isinstance(value, tuple) else value
