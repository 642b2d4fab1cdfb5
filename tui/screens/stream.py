"""One stream: its rate, one of its columns over time, and the last value of each of its series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from appliance.errors import ApplianceError
from tui import figures
from tui.actions import CHART, COLUMNS, ROWS, TABLE, Group, bindings
from tui.client import Client, ColumnInfo, Series, Stop
from tui.history import NEAR_US, Wanted, ask_history
from tui.look import Look
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.rows import RowKeys
from tui.snapshot import Question, Snapshot
from tui.trace import Trace
from tui.widgets.chart import Chart
from tui.widgets.facts import Facts
from tui.widgets.latest import LatestRow, latest_columns, latest_rows, widen
from tui.widgets.plot import Buckets
from tui.widgets.table import FastTable

_NUMERIC = ("float", "int", "bool")


@dataclass(frozen=True, slots=True)
class StreamDetail:
    """The answer to this screen's question."""

    columns: Sequence[ColumnInfo]
    series: Series | None
    """None when the stream has no numeric column."""
    latest: Sequence[Mapping[str, Any]]


class StreamScreen(RowKeys, LiveScreen):
    """A stream by its name. It stays open when the stream is gone, and says so."""

    TITLE_IN_BAR: ClassVar[str] = "Overview"
    ACTIONS: ClassVar[tuple[Group, ...]] = (COLUMNS, TABLE, ROWS, CHART)
    BINDINGS: ClassVar[list[BindingType]] = bindings(COLUMNS, ROWS, CHART)
    AUTO_FOCUS: ClassVar[str | None] = "#latest"

    class HistoryRead(Message):
        """The far past has come, or why it has not."""

        def __init__(self, series: Series | None, error: str | None) -> None:
            super().__init__()
            self.series = series
            self.error = error

    def __init__(self, name: str) -> None:
        super().__init__()
        self._stream = name
        self._trace = Trace()
        self._column: str | None = None
        self._detail: StreamDetail | None = None
        self._why = "waiting for the first data"
        self._last_us = 0
        self._history: Series | None = None
        self._why_far = ""
        self._widths: dict[str, int] = {}
        self._history_asked: tuple[Wanted | None, int] = (None, 0)
        self._history_stop: Stop | None = None

    @property
    def subject(self) -> str:
        return self._stream

    @property
    def table(self) -> FastTable[LatestRow]:
        """The last values."""
        return self.query_one("#latest", FastTable)

    @property
    def chart(self) -> Chart:
        """The chart of the chosen column."""
        return self.query_one("#field", Chart)

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="stream"):
            yield Facts(id="facts")
            yield Chart(filled=True, id="rate", classes="panel")
            yield Chart(filled=False, id="field", classes="panel")
            table: FastTable[LatestRow] = FastTable(
                latest_columns((), None, {}), key=lambda r: r.name, empty="no value is known yet", id="latest", classes="panel"
            )
            table.border_title = "Last values"
            yield table

    @property
    def numeric(self) -> list[ColumnInfo]:
        """The columns that can be charted."""
        return [c for c in self._detail.columns if c.kind in _NUMERIC] if self._detail is not None else []

    def question(self) -> Question | None:
        """The columns, the chosen one over the chart's time, and the last values; at most once a second while nothing has changed."""
        now_us = self.ui.clock.now_us()
        chart, name, column = self.chart, self._stream, self._column
        wanted = (column, chart.view, chart.span_us)
        if not self.pace.is_due(wanted, now_us=now_us):
            return None
        since_us = now_us - min(chart.span_us, NEAR_US) - chart.cell_us
        return lambda client: ask_stream(client, name, column, since_us=since_us)

    def _chart_end(self, now_us: int) -> int:
        """The newest time of the column's chart: now, or the last record where that is out of sight."""
        return self._last_us + 1 if 0 < self._last_us < now_us - self.chart.span_us else now_us

    def _far(self, end_us: int, now_us: int) -> bool:
        """Whether the chart shows what the quick answer does not reach."""
        return self.chart.span_us > NEAR_US or self.chart.view.end_us is not None or end_us < now_us

    def _ask_far(self, column: str) -> None:
        """Asks for the chart's window in SQL, unless that has been done; an older question is ended."""
        now_us = self.ui.clock.now_us()
        wanted = Wanted(self._stream, column, self.chart.window)
        before, asked_us = self._history_asked
        if not wanted.replaces(before, since_us=now_us - asked_us):
            return
        if self._history_stop is not None:
            self._history_stop.stop()
        if before is None or before.column != column:
            self._history = None
        self._why_far = "reading what is hot and what is in the lake"
        stop = self._history_stop = Stop()
        self._history_asked = (wanted, now_us)
        client = self.ui.client
        self.run_worker(lambda: self._fetch_far(client, wanted, stop), thread=True, exit_on_error=False, group="history", name="history")

    def _fetch_far(self, client: Client, wanted: Wanted, stop: Stop) -> None:
        """In a worker thread: posts one message, whatever happens."""
        try:
            series, error = ask_history(client, wanted, stop), None
        except ApplianceError as refusal:
            series, error = None, str(refusal)
        if not stop.stopped:
            self.post_message(self.HistoryRead(series, error))

    def question_broke(self, group: str, why: str) -> None:
        if group == "history":
            self.post_message(self.HistoryRead(None, why))
        else:
            super().question_broke(group, why)

    def on_stream_screen_history_read(self, event: HistoryRead) -> None:
        """Draws what came, or says why nothing did."""
        event.stop()
        self._history_stop = None
        if event.series is not None:
            self._history = event.series
        self._why_far = event.error or "no value in this time"
        self.show_current()

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        found = next((s for s in snapshot.status.streams if s.name == self._stream), None) if snapshot.status else None
        if isinstance(snapshot.extra, StreamDetail):
            self._detail = snapshot.extra
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
        self.query_one(Facts).show_facts(found, look)
        rate = self.query_one("#rate", Chart)
        for chart in (rate, self.chart):
            chart.usual_span_us = max(60, snapshot.status.history_s if snapshot.status else 0) * 1_000_000
        if found is not None:
            self._last_us = found.last_ts_us or 0
            self._trace.extend(look.as_of_us, found.history)
            rate.show_series(
                self._trace.buckets, look, end_us=self._trace.buckets.end_us or look.as_of_us, why_empty="no record came in this time"
            )
            rate.set_title(f"Rate  {figures.rate(found.rate)} rec/s", look.old or f"last {figures.span(rate.span_us)}")
        else:
            rate.show_series(None, look, end_us=look.now_us, why_empty="there is no such stream any more")
        self._show_column(look)
        self._show_latest(look)

    def _show_column(self, look: Look) -> None:
        chart, detail = self.chart, self._detail
        end_us = self._chart_end(look.as_of_us)
        quick = detail.series if detail is not None else None
        if detail is None or quick is None:
            why = self._why if detail is None else "no numeric column to chart"
            chart.set_title("Columns")
            chart.show_series(None, look, end_us=end_us, why_empty=why)
            return
        far = self._far(end_us, look.as_of_us)
        series = self._history if far else quick
        self._title_column(quick, series, look)
        if series is None:
            chart.show_series(None, look, end_us=end_us, why_empty=self._why_far)
        else:
            buckets = _buckets(series)
            chart.show_series(buckets, look, end_us=end_us, why_empty=self._why_far if far else "no value in this time")
        if far:
            self._ask_far(quick.column)

    def _title_column(self, quick: Series, series: Series | None, look: Look) -> None:
        chart, sides = self.chart, look.symbols.sides
        names = [c.name for c in self.numeric]
        now = next((m for m in reversed(quick.mean) if m is not None), None)
        told = "" if now is None else f"  {figures.number(now)}"
        words = [f"{names.index(quick.column) + 1} of {len(names)}"] if quick.column in names else []
        words.append(_period(chart, look))
        if series is not None:
            words.append(f"{figures.span(series.step_us)} a bucket")
        if self._history_stop is not None:
            words.append("reading")
        if look.old is not None:
            words.append(look.old)
        chart.set_title(f"{sides[0]} {look.safe(quick.column)} {sides[1]}{told}", f" {look.symbols.dot} ".join(words))

    def _show_latest(self, look: Look) -> None:
        detail, table = self._detail, self.table
        if detail is None:
            return
        rows = latest_rows(detail.latest, detail.columns)
        widen(self._widths, rows, detail.columns, look)
        columns = latest_columns(detail.columns, detail.series.column if detail.series else None, self._widths)
        if [(c.name, c.width) for c in columns] != [(c.name, c.width) for c in table.columns]:
            first = len(table.columns) == 1
            table.set_columns(columns)
            if first and columns[1:] and columns[1].name.startswith("tag "):
                table.sort_by(columns[1].name)
        table.show_rows(rows, look)

    def _choose_column(self, step: int) -> None:
        names = [c.name for c in self.numeric]
        if not names:
            return
        shown = self._column or (self._detail.series.column if self._detail and self._detail.series else names[0])
        at = names.index(shown) if shown in names else 0
        self._column = names[(at + step) % len(names)]
        self.chart.forget_scale()
        self.ui.refresh_now()

    def on_chart_view_changed(self, event: Chart.ViewChanged) -> None:
        """Both charts show the same time."""
        event.stop()
        for chart in self.query(Chart):
            if chart.view != event.view:
                chart.view = event.view
        self.ui.refresh_now()
        self.show_current()

    def view_table(self) -> ViewTable | None:
        rows = self.table.rows
        if not rows or self._detail is None:
            return None
        names = ["ts", *(c.name for c in self._detail.columns)]
        return ViewTable(f"latest-{self._stream}", names, [[row.values.get(name) for name in names] for row in rows])

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(value) for value in row.values.values())

    def action_column_left(self) -> None:
        self._choose_column(-1)

    def action_column_right(self) -> None:
        self._choose_column(1)

    def action_back(self) -> None:
        if self.query_one("#filter").display or self.table.filter_text or self.enlarged is not None:
            super().action_back()
        else:
            self.ui.unfreeze()
            self.dismiss()


@lru_cache(maxsize=4)
def _buckets(series: Series) -> Buckets:
    """For the chart, which draws anew when it gets another object."""
    return Buckets(series.start_us, max(1, series.step_us), series.min, series.max)


def _period(chart: Chart, look: Look) -> str:
    """The chart's time in words."""
    if chart.window.until_us >= look.as_of_us:
        return f"last {figures.span(chart.span_us)}"
    return f"{figures.span(chart.span_us)} up to {figures.moment(chart.window.until_us, now_us=look.now_us)}"


def ask_stream(client: Client, name: str, column: str | None, *, since_us: int) -> StreamDetail:
    """In a worker thread. Without a wish the first numeric column is charted."""
    columns = client.columns(name)
    numeric = [c.name for c in columns if c.kind in _NUMERIC]
    wanted = column if column in numeric else (numeric[0] if numeric else None)
    series = None if wanted is None else client.series(name, wanted, since_us=since_us)
    return StreamDetail(columns=columns, series=series, latest=client.latest(name))
