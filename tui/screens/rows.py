"""What screens with a table share: filter, sort, zoom of the chart, the chosen row's story. Sort, filter and zoom stay with the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.widgets import Input

from tui.look import Look
from tui.widgets.chart import Chart, View
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable

if TYPE_CHECKING:
    from tui.screens.base import LiveScreen

    _Base = LiveScreen
else:
    _Base = object


class RowKeys(_Base):
    """Mixed into a screen that has ``table`` and ``chart``."""

    @property
    def table(self) -> FastTable[Any]:
        """The table that the keys are for."""
        raise NotImplementedError

    @property
    def chart(self) -> Chart:
        """The chart that the keys are for."""
        raise NotImplementedError

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        if field.has_focus:
            field.insert_text_at_cursor("/")  # Textual does not know that a field takes this key as text
            return
        field.display = True
        field.value = self.table.filter_text
        self.set_focus(field)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while it is typed."""
        if event.input.id == "filter" and event.input.display:
            event.stop()
            self.table.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps the filter and goes back to the table."""
        if event.input.id == "filter":
            event.stop()
            self.close_filter(keep=True)

    def close_filter(self, *, keep: bool) -> None:
        """Hides the field; without ``keep`` every row is shown again."""
        field = self.query_one("#filter", Input)
        field.display = False
        if not keep:
            self.table.set_filter("")
        self.set_focus(self.table)

    def action_back(self) -> None:
        """Esc: closes the field, else clears the filter, else leaves the maximised panel."""
        if self.query_one("#filter", Input).display or self.table.filter_text:
            self.close_filter(keep=False)
        elif self.enlarged is not None:
            self.toggle_enlarged()

    def action_next_match(self) -> None:
        self.table.step_cursor(1)

    def action_previous_match(self) -> None:
        self.table.step_cursor(-1)

    def action_sort_left(self) -> None:
        self.table.sort_step(-1)

    def action_sort_right(self) -> None:
        self.table.sort_step(1)

    def action_reverse(self) -> None:
        self.table.sort_by(self.table.sorted_by, reverse=not self.table.reverse)

    def on_chart_view_changed(self, event: Chart.ViewChanged) -> None:
        """The titles say what time is shown."""
        event.stop()
        self.show_current()

    def action_zoom_out(self) -> None:
        self.chart.zoom(1)

    def action_zoom_in(self) -> None:
        self.chart.zoom(-1)

    def action_zoom_reset(self) -> None:
        self.chart.set_view(View())


class ChosenBelow(RowKeys):
    """Mixed into a screen that tells below its table what there is to tell of the row under the cursor."""

    ASKS_OF_ROW: ClassVar[bool] = False
    """Whether what is told has to be asked for, row by row."""

    def show_chosen(self, look: Look) -> None:
        """Draws what there is to tell of the row under the cursor."""
        raise NotImplementedError

    def arrive(self) -> None:
        self.set_focus(self.table)

    def on_fast_table_moved(self, event: FastTable.Moved) -> None:
        """The story below is that of the row under the cursor."""
        event.stop()
        self.show_chosen(self.look)
        if self.ASKS_OF_ROW:
            self.ui.refresh_now()


class StoryBelow(ChosenBelow):
    """As above; Enter gives the story the room of all, Esc takes it back."""

    @property
    def story(self) -> Panel:
        """The panel below the table."""
        raise NotImplementedError

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """Gives the story the room of all."""
        event.stop()
        self.set_focus(self.story)
        self.toggle_enlarged()

    def action_back(self) -> None:
        """Esc: as everywhere; then the table has the focus again."""
        was_enlarged = self.enlarged is not None
        super().action_back()
        if was_enlarged and self.enlarged is None:
            self.set_focus(self.table)
