"""Asks for a file and writes the present view into it; the name's ending decides the format. Never overwrites."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from appliance.errors import ApplianceError
from tui.export import export_name, write_view
from tui.screens.base import ViewTable

if TYPE_CHECKING:
    from tui.app import ApplianceApp


class ExportScreen(ModalScreen[None]):
    """A field for the path; Enter writes in a worker, Esc gives up."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]

    class Written(Message):
        """The file is there, or why it is not."""

        def __init__(self, path: Path, error: str | None) -> None:
            super().__init__()
            self.path = path
            self.error = error

    def __init__(self, view: ViewTable, *, now_us: int) -> None:
        super().__init__()
        self._view = view
        self._stamp = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")

    def compose(self) -> ComposeResult:
        with Vertical(id="export") as box:
            box.border_title = f"Export {len(self._view.rows)} rows"
            box.border_subtitle = "Enter writes, Esc closes"
            yield Input(value=f"{export_name(self._view.name)}-{self._stamp}.csv", id="path", select_on_focus=False)
            yield Static("The ending decides: .csv, .json or .parquet", id="told", markup=False)

    def on_mount(self) -> None:
        """The cursor stands still."""
        self.query_one(Input).cursor_blink = False

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Writes the file."""
        event.stop()
        path, view = Path(event.value.strip()).expanduser(), self._view
        self.run_worker(lambda: self._write(path, view), thread=True, exclusive=True, exit_on_error=False, group="export", name="export")

    def _write(self, path: Path, view: ViewTable) -> None:
        error = None
        try:
            write_view(path, view.columns, view.rows)
        except ApplianceError as refusal:
            error = str(refusal)
        self.post_message(self.Written(path, error))

    def on_export_screen_written(self, event: Written) -> None:
        """Says where it is, or keeps asking."""
        event.stop()
        if event.error is not None:
            self.query_one("#told", Static).update(Content(cast("ApplianceApp", self.app).look.safe(event.error)))
            return
        cast("ApplianceApp", self.app).say(f"Written: {event.path.absolute()}")
        self.dismiss()

    def action_close(self) -> None:
        self.dismiss()
