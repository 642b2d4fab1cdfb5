"""The first screen: every stream, the rate of all of them, and the parts that records pass through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from appliance.observe.status import Status, StreamStatus
from tui import figures
from tui.actions import CHART, OPEN, ROWS, TABLE, Group, bindings
from tui.look import Line, Look
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.rows import RowKeys
from tui.snapshot import Snapshot
from tui.trace import Trace
from tui.widgets import panels
from tui.widgets.chart import Chart
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.streams import STREAM_COLUMNS
from tui.widgets.table import FastTable

US_PER_S = 1_000_000
_EXPORTED = (
    "name", "rate", "records", "hot_rows", "cold_rows", "segments", "mark", "last_seq", "last_ts_us", "last_arrival_us",
    "series", "dirty_days",
)  # fmt: skip


class Digest(LinesWidget):
    """The panels' figures on a few lines; its height follows what it has to say."""

    def show_digest(self, status: Status, look: Look) -> None:
        """Draws them for the present width."""
        lines = panels.digest(status, look, self.size.width)
        if len(lines) != len(self.lines):
            self.styles.height = len(lines)
        self.show_lines(lines)


class OverviewScreen(RowKeys, LiveScreen):
    """Streams, ingest, hot, cold, sources, problems. Enter opens a stream."""

    TITLE_IN_BAR: ClassVar[str] = "Overview"
    ACTIONS: ClassVar[tuple[Group, ...]] = (OPEN, TABLE, ROWS, CHART)
    BINDINGS: ClassVar[list[BindingType]] = bindings(ROWS, CHART)
    AUTO_FOCUS: ClassVar[str | None] = "#streams"

    def __init__(self) -> None:
        super().__init__()
        self._trace = Trace()

    def compose_body(self) -> Iterable[Widget]:
        yield Digest(id="digest")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Chart(filled=True, id="rate", classes="panel")
                table: FastTable[StreamStatus] = FastTable(
                    STREAM_COLUMNS,
                    key=lambda s: s.name,
                    empty="no stream yet: send a record, or drop a file into the inbox",
                    id="streams",
                    classes="panel",
                )
                table.border_title = "Streams"
                yield table
            with Vertical(id="panels"):
                yield Panel("Problems", id="problems", lines_min=3)
                yield Panel("Acknowledged in", id="latency", lines_min=1)
                yield Panel("Hot", id="hot", lines_min=4)
                yield Panel("Cold", id="cold", lines_min=4)
                yield Panel("Sources", id="sources", lines_min=3, counts=True)
                yield Panel("Refused", id="refused", lines_min=1)
                yield Panel("This process", id="box", lines_min=1)

    @property
    def table(self) -> FastTable[StreamStatus]:
        """The table of streams."""
        return self.query_one("#streams", FastTable)

    @property
    def chart(self) -> Chart:
        """The chart of all streams' rate."""
        return self.query_one("#rate", Chart)

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        status = snapshot.status
        if status is None:
            self.chart.show_series(None, look, end_us=look.now_us, why_empty=snapshot.lost or "waiting for the service")
            return
        self._trace.extend(status.as_of_us, status.history)
        self.chart.usual_span_us = max(60, status.history_s) * US_PER_S
        self.query_one(Digest).show_digest(status, look)
        self.chart.show_series(
            self._trace.buckets, look, end_us=self._trace.buckets.end_us or look.as_of_us, why_empty="no record in this time"
        )
        self.table.show_rows(status.streams, look)
        self._show_titles(status, look)
        self._show_panels(status, look)

    def _show_titles(self, status: Status, look: Look) -> None:
        chart = self.chart
        following = "" if chart.view.end_us is None else " (moved: G follows again)"
        shown = look.old or f"last {figures.span(chart.span_us)}{following}"
        chart.set_title(f"Ingest  {figures.rate(status.rate)} rec/s", shown)

    def _show_panels(self, status: Status, look: Look) -> None:
        """Draws the column of panels, or the one that is maximised."""
        column = self.query_one("#panels")
        shown = [p for p in self.query(Panel) if p.region and (self.enlarged is None or p is self.enlarged)]
        width = max((p.inner_width for p in shown), default=0)
        lines = [self._panel_lines(panel, status, look, width) for panel in shown]
        if self.enlarged is None and shown:
            spare = next(place for place, panel in enumerate(shown) if panel.id == "sources")
            room = column.size.height - panels.FRAME * len(shown)
            heights = panels.allot([len(x) for x in lines], [p.lines_min for p in shown], room=room, spare=spare)
            for panel, height in zip(shown, heights, strict=True):
                panel.set_height(height)
        for panel, told in zip(shown, lines, strict=True):
            panel.show_panel(told, look)

    def _panel_lines(self, panel: Panel, status: Status, look: Look, width: int) -> list[Line]:
        if panel.id == "cold":
            return panels.cold(status, look, width, self.table.cursor_row)
        return _BUILDERS[panel.id or ""](status, look, width)

    def view_table(self) -> ViewTable | None:
        rows: Sequence[StreamStatus] = self.table.rows
        if not rows:
            return None
        return ViewTable("streams", _EXPORTED, [[getattr(s, name) for name in _EXPORTED] for s in rows])

    def copy_text(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else "\t".join(str(getattr(row, name)) for name in _EXPORTED)

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Looks into a stream."""
        event.stop()
        self.ui.open_stream(event.key)

    def on_fast_table_moved(self, event: FastTable.Moved) -> None:
        """The mark shown is that of the stream under the cursor."""
        event.stop()
        picture = self.ui.picture
        if picture.status is not None:
            self._show_panels(picture.status, self.look)


_BUILDERS = {
    "problems": panels.problems,
    "latency": panels.latency,
    "hot": panels.hot,
    "sources": panels.sources,
    "refused": panels.refused,
    "box": panels.box,
}
