"""Columns of text into the kinds of a stream, and the rows that fit none: by column, never a loop over cells that fit.

Used where a block holds something that the fast readers refuse; what fits keeps its type, what does not is told with its value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from appliance.records import ARROW_OF, TAG_TYPE, Kind
from appliance.sources.codecs.times import NUMBER, cast_or_null, to_us

NULL_WORDS = ("", "NA", "N/A", "n/a", "#N/A", "NULL", "null")
"""Cells of number and bool columns that mean: nothing was measured. In text columns only the empty cell does."""
TRUE_WORDS = ("true", "True", "TRUE", "1")
FALSE_WORDS = ("false", "False", "FALSE", "0")
_WHOLE = r"^[+-]?[0-9]+$"
_NONFINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_SHOWN_CHARS_MAX = 60
_INT_LIMIT = 2.0**63


class Sieve:
    """Collects the rows of one block that can't be taken, the first reason for each."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.bad: dict[int, str] = {}

    def mark(self, mask: Any, reason: Callable[[int], str]) -> None:
        """Note the rows where ``mask`` is true; ``reason(row)`` is asked only for those."""
        for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
            if row not in self.bad:
                self.bad[row] = reason(row)

    def kept(self) -> pa.Array | None:
        """Indices of the good rows, or None when all are good."""
        if not self.bad:
            return None
        return pa.array([row for row in range(self.rows) if row not in self.bad], pa.int64())


def shown(value: object) -> str:
    """A foreign value within a reason: short, one line, harmless."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def mark_not_finite(name: str, column: Any, sieve: Sieve) -> None:
    """NaN and infinities are no measurements: those rows are refused."""
    finite = pc.is_finite(column)
    if pc.all(finite).as_py() is False:
        sieve.mark(pc.invert(finite), lambda row: f"column {shown(name)}: {column[row].as_py()} is not a finite number")


def event_times(cells: Any, arrivals: pa.Array, what: str, sieve: Sieve) -> pa.Array:
    """The event times that ``cells`` hold, arrivals where they are null; rows with something that is no time are refused.

    ``what`` names the cells in the reason."""
    times = to_us(cells)
    sieve.mark(pc.and_(pc.is_valid(cells), pc.is_null(times)), lambda row: f"{what}: {shown(cells[row].as_py())} is no time")
    return pc.coalesce(times, arrivals) if times.null_count else times


def kind_of_type(inferred: pa.DataType) -> Kind | None:
    """The kind for what PyArrow inferred; None: no value yet."""
    if pa.types.is_null(inferred):
        return None
    if pa.types.is_integer(inferred):
        return Kind.INT
    if pa.types.is_floating(inferred):
        return Kind.FLOAT
    return Kind.BOOL if pa.types.is_boolean(inferred) else Kind.TEXT


def has_beyond_64_bits(column: Any) -> bool:
    """Whether whole numbers too large for an int may have made this a column of floats."""
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest >= _INT_LIMIT


def text_to_kind(name: str, text: pa.Array, kind: Kind, sieve: Sieve) -> pa.Array:
    """A text column as ``kind``; int widens to float when a cell needs it. Cells that don't fit are null, their rows in the sieve."""
    if kind in (Kind.TAG, Kind.TEXT):
        return empty_to_null(text.dictionary_encode().cast(TAG_TYPE) if kind is Kind.TAG else text)
    cells = _measured(text)
    if kind is Kind.BOOL:
        answer = _bools(cells)
    elif kind is Kind.INT:
        answer = _ints(cells)
        if pc.any(pc.and_(pc.is_null(answer), _is_fraction(cells))).as_py():
            return text_to_kind(name, text, Kind.FLOAT, sieve)
    else:
        answer = _floats(cells)
    missed = pc.and_(pc.is_valid(cells), pc.is_null(answer))
    sieve.mark(missed, lambda row: f"column {shown(name)}: {shown(cells[row].as_py())} is no {kind.value}")
    return answer


def kind_of_text(text: pa.Array) -> Kind | None:
    """The narrowest kind that takes all cells; NaN, infinities and what is beyond 64 bits do not decide. None: no cell has a value."""
    cells = _measured(text)
    if cells.null_count == len(cells):
        return None if pc.all(pc.equal(text, "")).as_py() is not False else Kind.TEXT
    if _all_valid(cells, _bools(cells)) and pc.any(pc.match_substring_regex(cells, "[a-zA-Z]")).as_py():
        return Kind.BOOL
    if pc.all(pc.or_(pc.match_substring_regex(cells, NUMBER), pc.match_substring_regex(cells, _NONFINITE))).as_py():
        return Kind.FLOAT if pc.any(_is_fraction(cells)).as_py() else Kind.INT
    return Kind.TEXT


def empty_to_null(column: Any) -> Any:
    """An empty cell of a text or tag column is absent."""
    if pa.types.is_dictionary(column.type):
        words = column.dictionary
        if pc.index(words, "").as_py() < 0:
            return column
        return empty_to_null(column.dictionary_decode()).dictionary_encode().cast(TAG_TYPE)
    empty = pc.equal(column, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column) if pc.any(empty).as_py() else column


def to_arrow(column: Any, kind: Kind) -> Any:
    """A typed column in the type that batches have for ``kind``."""
    wanted = ARROW_OF[kind]
    if kind is Kind.TAG and not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode().cast(TAG_TYPE)
    return column if column.type == wanted else column.cast(wanted)


def _measured(text: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    nothing = pc.is_in(trimmed, value_set=pa.array(NULL_WORDS))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), trimmed)


def _is_fraction(cells: pa.Array) -> pa.Array:
    """Numbers that are not whole ones (a whole one beyond 64 bits stays one, and fits nothing)."""
    return pc.and_(pc.match_substring_regex(cells, NUMBER), pc.invert(pc.match_substring_regex(cells, _WHOLE)))


def _bools(cells: pa.Array) -> pa.Array:
    true, false = (pc.is_in(cells, value_set=pa.array(words)) for words in (TRUE_WORDS, FALSE_WORDS))
    return pc.if_else(pc.or_(true, false), true, pa.scalar(None, pa.bool_()))


def _ints(cells: pa.Array) -> pa.Array:
    whole = pc.match_substring_regex(cells, _WHOLE)
    digits = pc.replace_substring_regex(cells, r"^\+", "")
    return cast_or_null(pc.if_else(whole, digits, pa.scalar(None, pa.string())), pa.int64())


def _floats(cells: pa.Array) -> pa.Array:
    number = pc.match_substring_regex(cells, NUMBER)
    digits = pc.replace_substring_regex(cells, r"^\+", "")
    values = cast_or_null(pc.if_else(number, digits, pa.scalar(None, pa.string())), pa.float64())
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))


def _all_valid(cells: pa.Array, answer: pa.Array) -> bool:
    return int(answer.null_count) == int(cells.null_count)
