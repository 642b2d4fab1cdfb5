"""A table for live rows: cells are made for the visible rows only, and only cells that have changed are repainted.

The cursor belongs to a row's key, not to its place: sorting, filtering and rows that come or go leave it on the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import TABLE, Group, bindings
from tui.look import EMPTY, Line, Look, Span, line_cells
from tui.safe import cells
from tui.widgets.lines import changed_cells, strip_of

T = TypeVar("T")
_BLANK = " "
"""Between columns; it belongs to the cell before it, as each change of style costs bytes."""
_GAP = len(_BLANK)
_MARGIN = 2
"""For the cursor's glyph."""


@dataclass(frozen=True, slots=True)
class TableColumn(Generic[T]):
    """One column. ``cell`` gives text that is safe, to be fitted into the width it is told."""

    name: str
    title: str
    width: int
    cell: Callable[[T, int, Look], Span]
    order: Callable[[T], Any]
    """What rows are sorted by; None comes last, whichever way."""
    right: bool = True
    grow: int = 0
    """Cells that it may be wider where there is room, in the order of the columns."""
    drop: int = 0
    """Left out first where there is no room: the highest number; 0 stays always."""


class FastTable(ScrollView, Generic[T], can_focus=True, inherit_bindings=False):
    """Rows of ``T``. It posts ``Chosen`` on Enter or a second click; sorting and filtering are asked of it by the screen."""

    ACTIONS: ClassVar[Group] = TABLE
    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLE)
    ALLOW_SELECT = False

    class Chosen(Message):
        """A row was opened."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(
        self,
        columns: Sequence[TableColumn[T]],
        *,
        key: Callable[[T], str],
        empty: str,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.sorted_by = self.columns[0].name
        self.reverse = False
        self.filter_text = ""
        self._key = key
        self._empty = empty
        self._all: Sequence[T] = ()
        self._rows: list[T] = []
        self._cursor_key: str | None = None
        self._cursor = 0
        self._moved = False
        """Whether the cursor was ever put somewhere; until then it stays on the first row."""
        self._look: Look | None = None
        self._shown: dict[int, Line] = {}
        self._strips: dict[int, tuple[Line, Strip]] = {}
        self._base: Style | None = None
        self._layout_for: tuple[int, list[tuple[TableColumn[T], int]]] = (-1, [])
        self._subtitle = ""

    @property
    def rows(self) -> Sequence[T]:
        """The rows that pass the filter, in the order shown."""
        return self._rows

    @property
    def cursor_row(self) -> T | None:
        """The row under the cursor; None when there is no row."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def plain(self) -> str:
        """What is drawn at present, as text."""
        return "\n".join("".join(t for t, _ in self._line_at(y)).rstrip() for y in range(self.content_height))

    @property
    def content_height(self) -> int:
        """Lines of the table, its heading included."""
        return self.scrollable_content_region.height

    def show_rows(self, rows: Sequence[T], look: Look) -> None:
        """Takes new rows: sorts, filters and repaints what looks different."""
        self._all = rows
        self._look = look
        self._arrange_rows()
        self._repaint_changes()

    def set_columns(self, columns: Sequence[TableColumn[T]]) -> None:
        """Shows other columns from now on; the order stays where its column is still there."""
        self.columns = tuple(columns)
        self._layout_for = (-1, [])
        self._shown.clear()
        if self.sorted_by not in [c.name for c in columns]:
            self.sorted_by, self.reverse = self.columns[0].name, False

    def sort_step(self, step: int) -> None:
        """Sorts by the visible column ``step`` further to the right."""
        names = [c.name for c, _ in self._layout_columns()]
        at = names.index(self.sorted_by) if self.sorted_by in names else 0
        self.sort_by(names[(at + step) % len(names)])

    def sort_by(self, name: str, *, reverse: bool = False) -> None:
        """Sorts by a column from its smallest, or from its largest with ``reverse``."""
        self.sorted_by, self.reverse = name, reverse
        self._arrange_rows()
        self._repaint_changes()

    def set_filter(self, text: str) -> None:
        """Shows only rows whose key holds ``text``, whatever its case."""
        self.filter_text = text
        self._arrange_rows()
        self._repaint_changes()

    def move_cursor(self, to: int, *, wrap: bool = False) -> None:
        """Puts the cursor on a row by its place, and the row into view."""
        if not self._rows:
            return
        self._moved = True
        self._cursor = to % len(self._rows) if wrap else max(0, min(len(self._rows) - 1, to))
        self._cursor_key = self._key(self._rows[self._cursor])
        self._keep_in_view()
        self._repaint_changes()
        self.post_message(self.Moved(self._cursor_key))

    def step_cursor(self, step: int) -> None:
        """Moves the cursor by rows, from one end to the other."""
        self.move_cursor(self._cursor + step, wrap=True)

    def _arrange_rows(self) -> None:
        column = next(c for c in self.columns if c.name == self.sorted_by)
        wanted = self.filter_text.casefold()
        rows = [r for r in self._all if wanted in self._key(r).casefold()] if wanted else list(self._all)
        rows.sort(key=lambda r: self._key(r).casefold())
        known = [r for r in rows if column.order(r) is not None]
        known.sort(key=column.order, reverse=self.reverse)
        self._rows = known + [r for r in rows if column.order(r) is None]
        keys = [self._key(r) for r in self._rows]
        if self._moved and self._cursor_key in keys:
            self._cursor = keys.index(self._cursor_key)
        else:
            self._cursor = max(0, min(self._cursor, len(keys) - 1))
            self._cursor_key = keys[self._cursor] if keys else None
        size = Size(self.scrollable_content_region.width, len(self._rows) + 1)
        if size.height != self.virtual_size.height:
            self.virtual_size = size
        self._say_place()

    def _say_place(self) -> None:
        look = self._look
        if look is None:
            return
        arrow = look.symbols.falling if self.reverse else look.symbols.rising
        title = look.safe(next(c.title for c in self.columns if c.name == self.sorted_by))
        words = [f"{self._cursor + 1 if self._rows else 0} of {len(self._rows)}", *([f"by {title} {arrow}"] if title else [])]
        if look.old is not None:
            words.append(look.old)
        if self.filter_text:
            words.append(f"/{look.safe(self.filter_text)}")
        subtitle = f" {look.symbols.dot} ".join(words)
        if subtitle != self._subtitle:
            self._subtitle = subtitle
            self.border_subtitle = Content(subtitle)

    def _keep_in_view(self) -> None:
        height = max(1, self.content_height - 1)
        top = int(self.scroll_offset.y)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, force=True)
        self._say_place()

    def _layout_columns(self) -> list[tuple[TableColumn[T], int]]:
        """The columns that fit, with their widths."""
        width = self.scrollable_content_region.width
        if self._layout_for[0] != width:
            self._layout_for = (width, lay_out(self.columns, width - _MARGIN - 1))
        return self._layout_for[1]

    def _line_at(self, y: int) -> Line:
        """The line of the table at ``y`` from its top as it should look now."""
        look = self._look
        if look is None:
            return EMPTY
        if y == 0:
            return self._heading(look)
        index = y - 1 + int(self.scroll_offset.y)
        if index < len(self._rows):
            return self._row_line(index, look)
        if y == 1 and not self._rows:
            why = f"no name holds {look.safe(self.filter_text)!r}; Esc clears the filter" if self._all else self._empty
            return ((" " * _MARGIN, look.paint.dim), (why, look.paint.dim))
        return EMPTY

    def _heading(self, look: Look) -> Line:
        out: list[Span] = [(" " * _MARGIN, look.paint.dim)]
        arrow = look.symbols.falling if self.reverse else look.symbols.rising
        for column, width in self._layout_columns():
            chosen = column.name == self.sorted_by
            title = look.safe(column.title)
            if chosen:
                title = look.fit(title, min(width - 1, cells(title))) + arrow
            out.append((look.fit(title, width, right=column.right) + _BLANK, look.paint.accent if chosen else look.paint.dim))
        return tuple(out)

    def _row_line(self, index: int, look: Look) -> Line:
        row = self._rows[index]
        chosen = index == self._cursor
        out: list[Span] = [(f"{look.symbols.cursor} " if chosen else " " * _MARGIN, look.paint.accent)]
        for column, width in self._layout_columns():
            text, style = column.cell(row, width, look)
            out.append((look.fit(text, width, right=column.right) + _BLANK, style))
        if not chosen:
            return tuple(out)
        line = tuple(out)
        room = self.scrollable_content_region.width - line_cells(line)
        return tuple((text, style + look.paint.chosen) for text, style in (*line, (" " * max(0, room), look.paint.text)))

    def _repaint_changes(self) -> None:
        """Compares each visible line with what it was and refreshes the cells that differ."""
        regions = []
        for y in range(self.content_height):
            new = self._line_at(y)
            old = self._shown.get(y, EMPTY)
            if old == new:
                continue
            self._shown[y] = new
            begin, end = changed_cells(old, new)
            regions.append(Region(begin, y, end - begin, 1))
        if regions:
            self.refresh(*regions)

    def notify_style_update(self) -> None:
        """Textual's word that colours have changed."""
        self._base = None
        self._strips.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        line = self._shown.get(y)
        if line is None:
            line = self._shown[y] = self._line_at(y)
        had = self._strips.get(y)
        if had is not None and had[0] == line:
            return had[1]
        if self._base is None:
            self._base = self.rich_style
        strip = strip_of(line).apply_style(self._base)
        self._strips[y] = (line, strip)
        return strip

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are in sight."""
        self._shown.clear()
        super().watch_scroll_y(old_value, new_value)

    def on_resize(self) -> None:
        """Takes the new size into account."""
        self._shown.clear()
        self._arrange_rows()
        self._keep_in_view()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click on a title sorts, on a row moves the cursor there, a second one opens it."""
        at = event.get_content_offset(self)
        if at is None:
            return
        if at.y == 0:
            self._sort_at(at.x)
            return
        index = at.y - 1 + int(self.scroll_offset.y)
        if index < len(self._rows):
            if event.chain > 1:
                self.action_choose()
            else:
                self.move_cursor(index)

    def _sort_at(self, x: int) -> None:
        edge = _MARGIN
        for column, width in self._layout_columns():
            edge += width + _GAP
            if x < edge:
                self.sort_by(column.name, reverse=column.name == self.sorted_by and not self.reverse)
                return

    def action_row_up(self) -> None:
        self.move_cursor(self._cursor - 1)

    def action_row_down(self) -> None:
        self.move_cursor(self._cursor + 1)

    def action_page_up(self) -> None:
        self.move_cursor(self._cursor - max(1, self.content_height - 2))

    def action_page_down(self) -> None:
        self.move_cursor(self._cursor + max(1, self.content_height - 2))

    def action_first(self) -> None:
        self.move_cursor(0)

    def action_last(self) -> None:
        self.move_cursor(len(self._rows) - 1)

    def action_choose(self) -> None:
        if self._cursor_key is not None and self._rows:
            self.post_message(self.Chosen(self._cursor_key))


def lay_out(columns: Sequence[TableColumn[T]], room: int) -> list[tuple[TableColumn[T], int]]:
    """Which columns fit into ``room`` cells and how wide each is: the most dispensable go first, then what is left is shared out."""
    kept = list(columns)
    while sum(c.width + _GAP for c in kept) - _GAP > room:
        spare = max(kept, key=lambda c: c.drop)
        if spare.drop == 0:
            break
        kept.remove(spare)
    left = room - (sum(c.width + _GAP for c in kept) - _GAP)
    out = []
    for column in kept:
        more = max(0, min(column.grow, left))
        left -= more
        out.append((column, column.width + more))
    return out
