"""A result as a table for people: aligned columns, foreign text made harmless, no more rows than anybody reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import duckdb
import pyarrow as pa

from appliance.serving.duck import quoted
from appliance.serving.formats import Values, Write, csv_value

ROWS_MAX: Final = 1_000
"""Rows that are shown; the query is ended when there are more."""
CELL_WIDTH_MAX: Final = 80
"""Wider cells are cut and end with …"""
EXPLAINED: Final = ["explain_key", "explain_value"]
"""The columns of a plan of DuckDB's, whose one value is a drawing of many lines."""


class TableEncoder:
    """Collects the first ``rows_max`` rows and writes them when it is closed."""

    def __init__(
        self,
        schema: pa.Schema,
        write: Write,
        database: duckdb.DuckDBPyConnection,
        *,
        rows_max: int = ROWS_MAX,
        dim: Callable[[str], str] = lambda text: text,
        null: str = "",
    ) -> None:
        """``null`` stands where a value is missing, passed through ``dim``."""
        self._schema = schema
        self._values = Values(
            database, schema, *(f"CAST({csv_value(quoted(f.name), f.type)} AS VARCHAR) AS {quoted(f.name)}" for f in schema)
        )
        self._write = write
        self._rows_max = rows_max
        self._dim = dim
        self._null = null
        self._rows: list[Sequence[str | None]] = []
        self.full = False
        """True once there were more rows than are shown."""
        self.note: str | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        room = self._rows_max - len(self._rows)
        self.full = self.full or batch.num_rows > room
        if room > 0:
            columns = self._values.table(batch.slice(0, room)).to_pydict()
            self._rows.extend(zip(*columns.values(), strict=True))

    def close(self) -> None:
        if self.full:
            self.note = f"only the first {len(self._rows):,} rows are shown; --format csv, or LIMIT and OFFSET, give the others"
        self._write("".join(f"{line}\n" for line in self._lines()).encode("utf-8", "replace"))

    def _lines(self) -> Iterator[str]:
        if self._schema.names == EXPLAINED:
            for _key, plan in self._rows:
                yield from (visible(line) for line in (plan or "").splitlines())
            return
        heads = [visible(name) for name in self._schema.names]
        cells = [[None if v is None else _cut(visible(v)) for v in row] for row in self._rows]
        widths = [max([width(heads[i]), *(width(row[i] or self._null) for row in cells)]) for i in range(len(heads))]
        right = [_is_number(f.type) for f in self._schema]
        yield "  ".join(_set(h, w, to_right=r) for h, w, r in zip(heads, widths, right, strict=True)).rstrip()
        yield "  ".join("─" * w for w in widths)
        for row in cells:
            texts = (self._cell(v, w, to_right=r) for v, w, r in zip(row, widths, right, strict=True))
            yield "  ".join(texts).rstrip()
        if self.full:
            yield "…"

    def _cell(self, value: str | None, columns: int, *, to_right: bool) -> str:
        if value is not None:
            return _set(value, columns, to_right=to_right)
        room = " " * (columns - width(self._null))
        return room + self._dim(self._null) if to_right else self._dim(self._null) + room


def visible(text: str) -> str:
    """Foreign text that can't move a terminal: control, bidi and zero-width characters become escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def width(text: str) -> int:
    """Columns of a terminal that a visible text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str) -> str:
    if width(text) <= CELL_WIDTH_MAX:
        return text
    kept, used = [], 0
    for c in text:
        used += width(c)
        if used >= CELL_WIDTH_MAX:
            break
        kept.append(c)
    return "".join(kept) + "…"


def _set(text: str, columns: int, *, to_right: bool) -> str:
    room = " " * (columns - width(text))
    return room + text if to_right else text + room


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))
