"""What screens with several views share: one table a view, one of them in front, keys that step through them."""

from __future__ import annotations

from typing import Any, ClassVar

from tui.screens.rows import ChosenBelow
from tui.widgets.table import FastTable


class Views(ChosenBelow):
    """Mixed into a screen that composes a table for each of ``VIEWS``. Each keeps its order, filter and place while another is in front."""

    VIEWS: ClassVar[tuple[str, ...]]
    """The views' names; the first is in front at the start."""
    TABLE_IDS: ClassVar[str] = ""
    """What the id of a table has before the name of its view."""

    def __init__(self) -> None:
        super().__init__()
        self.view = self.VIEWS[0]
        """The name of the view in front."""

    @property
    def table(self) -> FastTable[Any]:
        """The table of the view in front."""
        return self.query_one(f"#{self.TABLE_IDS}{self.view}", FastTable)

    def on_mount(self) -> None:
        """Only the first view is there."""
        self.show_view(self.view)

    def show_view(self, name: str) -> None:
        """Puts another view in front. What is maximised belongs to the view before."""
        if self.enlarged is not None:
            self.toggle_enlarged()
        self.view = name
        for view in self.VIEWS:
            self.query_one(f"#{self.TABLE_IDS}{view}").set_class(view == name, "-shown")
        self.set_focus(self.table)
        self.call_after_refresh(self.show_current)

    def step_view(self, step: int) -> None:
        """Puts the view before or after in front, round about."""
        self.show_view(self.VIEWS[(self.VIEWS.index(self.view) + step) % len(self.VIEWS)])

    def action_view_left(self) -> None:
        self.step_view(-1)

    def action_view_right(self) -> None:
        self.step_view(1)


class HistoryOfOne(Views):
    """Views of which one, ``history``, can be narrowed to one rule or one work, opened from another view; Esc leads back there."""

    def __init__(self) -> None:
        super().__init__()
        self.history_of: str | None = None
        """Whose history is looked at; None: that of all."""
        self._came_from: str | None = None
        """The view from which it was opened."""

    def open_history(self, name: str) -> None:
        """Shows the history of ``name`` alone."""
        self._came_from, self.history_of = self.view, name
        self.show_view("history")

    def show_view(self, name: str) -> None:
        """Asks at once: each view needs something else."""
        super().show_view(name)
        self.ui.refresh_now()

    def step_view(self, step: int) -> None:
        """By itself the history is that of all."""
        self.history_of = self._came_from = None
        super().step_view(step)

    def action_back(self) -> None:
        """Esc: as everywhere; then from the history of one back to where it was opened."""
        if self.query_one("#filter").display or self.table.filter_text or self.enlarged is not None:
            super().action_back()
        elif self._came_from is not None:
            view, self._came_from, self.history_of = self._came_from, None, None
            self.show_view(view)
