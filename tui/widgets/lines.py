"""The base of every live widget: it holds finished lines of cells and repaints only the cells that have changed.

A refresh of a whole widget costs twenty times what a refresh of the changed cells costs, and the terminal at the other end of an SSH
session gets only these.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.look import EMPTY, Line
from tui.safe import cells


class LinesWidget(Widget):
    """Draws the lines last shown; a line that is missing is blank. It has no content of its own."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = ()
        self._strips: dict[int, Strip] = {}
        self._base: Style | None = None
        self._titles: tuple[str | None, str | None] = (None, None)

    @property
    def lines(self) -> Sequence[Line]:
        """What is drawn at present."""
        return self._lines

    @property
    def plain(self) -> str:
        """What is drawn at present, as text."""
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self._lines)

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Draws these lines from now on, repainting what differs."""
        before, self._lines = self._lines, lines
        regions = []
        for y in range(max(len(before), len(lines))):
            old = before[y] if y < len(before) else EMPTY
            new = lines[y] if y < len(lines) else EMPTY
            if old is new or old == new:
                continue
            self._strips.pop(y, None)
            begin, end = changed_cells(old, new)
            regions.append(Region(begin, y, end - begin, 1))
        if regions:
            self.refresh(*regions)

    def set_title(self, title: str | None, subtitle: str | None = None) -> None:
        """Sets the words in the border, which must be this program's own or safe; repaints only on a change."""
        before, self._titles = self._titles, (title, subtitle)
        if before[0] != title:
            self.border_title = None if title is None else Content(title)
        if before[1] != subtitle:
            self.border_subtitle = None if subtitle is None else Content(subtitle)

    def notify_style_update(self) -> None:
        """Textual's word that colours have changed."""
        self._strips.clear()
        self._base = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None:
            line = self._lines[y] if y < len(self._lines) else EMPTY
            if self._base is None:
                self._base = self.rich_style
            strip = self._strips[y] = strip_of(line).apply_style(self._base)
        return strip


def strip_of(line: Line) -> Strip:
    """The line as Textual's strip."""
    return Strip([Segment(text, style) for text, style in line if text])


def changed_cells(old: Line, new: Line) -> tuple[int, int]:
    """The cells ``[begin, end)`` outside of which both lines look alike."""
    begin = 0
    shared = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        begin += cells(a[0])
        shared += 1
    rest_old, rest_new = list(old[shared:]), list(new[shared:])
    widths = (begin + sum(cells(t) for t, _ in rest_old), begin + sum(cells(t) for t, _ in rest_new))
    end = max(widths)
    if widths[0] == widths[1]:
        while rest_old and rest_new and rest_old[-1] == rest_new[-1]:
            end -= cells(rest_new.pop()[0])
            rest_old.pop()
        if len(rest_old) == len(rest_new) == 1 and rest_old[0][1] == rest_new[0][1]:
            return _changed_text(rest_old[0][0], rest_new[0][0], begin=begin, end=end)
    return begin, end


def _changed_text(old: str, new: str, *, begin: int, end: int) -> tuple[int, int]:
    """The same within one piece of text, where each character takes one cell."""
    if len(old) != len(new) or cells(new) != len(new) or cells(old) != len(old):
        return begin, end
    different = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return begin + different[0], begin + different[-1] + 1
