"""A query's answer as the screen shows it: values for export, texts for the table, and how wide each column is. No widget here.

It is made in the worker thread, from Arrow, for at most the rows that are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.style import Style
from rich.text import Text

from tui.client import Answer
from tui.safe import cells, safe
from tui.theme import Paint

_CELLS_MAX = 40
_CHARS_MAX = 400
_NULL = "null"


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of an answer; numbers stand flush right."""

    name: str
    title: str
    """The name as text that is safe."""
    right: bool
    width: int

    def label(self, paint: Paint) -> Text:
        """The heading."""
        return self._drawn(self.title, paint.dim)

    def cell(self, text: str | None, paint: Paint) -> Text:
        """A value; None is null and looks like none."""
        return self._drawn(_NULL, paint.faint) if text is None else self._drawn(text, paint.text)

    def _drawn(self, text: str, style: Style) -> Text:
        return Text(text, style=style, justify="right" if self.right else "left", no_wrap=True, overflow="ellipsis")


@dataclass(frozen=True, slots=True)
class Result:
    """An answer that has been read."""

    columns: Sequence[ResultColumn]
    rows: Sequence[Sequence[Any]]
    """Values as Python has them, for export."""
    texts: Sequence[Sequence[str | None]]
    """The same as text that is safe; None is null."""
    complete: bool
    elapsed_ms: float


def read_answer(answer: Answer, *, elapsed_ms: float, clean: Callable[[str], str] = safe) -> Result:
    """Reads the rows out of the Arrow table; ``clean`` makes text from outside harmless."""
    import pyarrow.types as kinds  # heavy, and only this screen needs it

    table = answer.table
    values = [_values(column) for column in table.columns]
    texts = [[_text(v, clean) for v in column] for column in values]
    columns = []
    for field, column in zip(table.schema, texts, strict=True):
        right = bool(kinds.is_integer(field.type) or kinds.is_floating(field.type) or kinds.is_decimal(field.type))
        widest = max((cells(t) for t in column if t is not None), default=0)
        title = clean(field.name)
        columns.append(ResultColumn(field.name, title, right=right, width=max(4, min(_CELLS_MAX, max(widest, cells(title))))))
    return Result(columns, list(zip(*values, strict=True)), list(zip(*texts, strict=True)), answer.complete, elapsed_ms)


def _values(column: Any) -> list[Any]:
    """Python values; what Python can't hold (nanoseconds, years beyond 9999) as Arrow prints it."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [None if v is None else str(v) for v in column.cast("string").to_pylist()]


def _text(value: Any, clean: Callable[[str], str]) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").removesuffix(".000000")
    if isinstance(value, bytes):
        return value[:_CHARS_MAX].hex(" ")
    return clean(str(value)[:_CHARS_MAX])
