"""Shows a text over the screen behind: Markdown drawn for the width of the terminal, or as it stands where it has only ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.markdown import Markdown
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import RichLog

if TYPE_CHECKING:
    from tui.app import ApplianceApp

CHARS_MAX = 400_000
"""Longer texts are cut; a file can be read otherwise."""
_WIDTH_MAX = 120


class ReaderScreen(ModalScreen[None]):
    """Esc or q closes it; it scrolls like a table. Links lead nowhere, and what stands in the text is data."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, "close", "close", show=False) for key in ("escape", "q", "enter")),
        *(Binding(key, "scroll(1)", show=False) for key in ("j", "down")),
        *(Binding(key, "scroll(-1)", show=False) for key in ("k", "up")),
        *(Binding(key, "page(1)", show=False) for key in ("space", "pagedown", "ctrl+f")),
        *(Binding(key, "page(-1)", show=False) for key in ("pageup", "ctrl+b")),
        *(Binding(key, "edge(0)", show=False) for key in ("g", "home")),
        *(Binding(key, "edge(1)", show=False) for key in ("G", "end")),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text if len(text) <= CHARS_MAX else text[:CHARS_MAX] + "\n\n… the rest is not shown\n"
        self._drawn_for = 0

    def compose(self) -> ComposeResult:
        yield RichLog(id="reader", wrap=False, markup=False, highlight=False, auto_scroll=False)

    def on_mount(self) -> None:
        """Names the text."""
        look = cast("ApplianceApp", self.app).look
        box = self.query_one(RichLog)
        box.border_title = look.safe(self._title)
        box.border_subtitle = "Esc closes"
        self.call_after_refresh(self._draw)

    def on_resize(self, _event: events.Resize) -> None:
        """Draws for the new width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        box = self.query_one(RichLog)
        width = min(_WIDTH_MAX, box.scrollable_content_region.width)
        if width < 10 or width == self._drawn_for:
            return
        self._drawn_for = width
        look = cast("ApplianceApp", self.app).look
        lines = [look.safe(line.replace("\t", "    ")) for line in self._text.split("\n")]
        box.clear()
        text = "\n".join(lines)
        box.write(Text(text) if look.symbols.ascii else Markdown(text, hyperlinks=False), width=width, scroll_end=False)

    def action_scroll(self, lines: int) -> None:
        self.query_one(RichLog).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        box = self.query_one(RichLog)
        box.scroll_relative(y=pages * max(1, box.size.height - 2), animate=False)

    def action_edge(self, end: int) -> None:
        box = self.query_one(RichLog)
        box.scroll_to(y=box.max_scroll_y if end else 0, animate=False)

    def action_close(self) -> None:
        self.dismiss()
