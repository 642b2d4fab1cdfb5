"""CSV with a header into pieces: by block, by column, never a loop over records that are fine.

Typed by the known schema of the stream, else by the cells of the first block (int, float, bool, text); a block that does not fit is read
as text and cast column by column, ints widen to floats, and only the rows that still don't fit are refused, each with the header
so that it can be replayed alone. The event time is the first of ``TIME_NAMES`` that holds times; a column ``_seq`` is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from appliance.records import TAG_TYPE, Batch, Kind, Reject, fold
from appliance.sources.codecs.blocks import Block, RecordReader
from appliance.sources.codecs.casting import (
    FALSE_WORDS,
    NULL_WORDS,
    TRUE_WORDS,
    Sieve,
    empty_to_null,
    event_times,
    has_beyond_64_bits,
    kind_of_text,
    kind_of_type,
    mark_not_finite,
    shown,
    text_to_kind,
    to_arrow,
)
from appliance.sources.codecs.content import Content
from appliance.sources.codecs.csv_layout import HEADER_BYTES_MAX, Layout, csv_ends, read_layout, record_pattern
from appliance.sources.codecs.csv_rows import BlockRecords, CsvOrigin, is_utf8
from appliance.sources.codecs.pieces import Piece, Pieces, Target, arrival_times
from appliance.sources.codecs.times import TIME_NAMES, to_us

Parsed = tuple[Batch | None, tuple[Reject, ...]]
EXACT_BYTES = 32 * 1024
"""A part of a block that does not fit its types is halved until it is this small, then read as text."""
_READ_AS = {Kind.TAG: TAG_TYPE, Kind.FLOAT: pa.float64(), Kind.INT: pa.int64(), Kind.BOOL: pa.bool_(), Kind.TEXT: pa.string()}
COUNTED_ALIKE = "the records of a block are counted alike by PyArrow and by our own pattern"


def read_csv(content: Content, target: Target, *, start: int = 0) -> Pieces:
    """Pieces of a CSV file from offset ``start`` (0, or the ``position_next`` of an earlier piece) to its end.

    Raises ``RejectPayload`` when it is no CSV file, ``ContentDamaged`` after the last whole record of a damaged one. An empty file
    gives no piece.
    """
    reader = RecordReader(content, lambda data, _final: len(data))
    beginning = reader.peek(HEADER_BYTES_MAX)
    if not beginning.strip(b"\r\n"):
        reader.raise_damage()
        return
    layout = read_layout(beginning, whole=len(beginning) < HEADER_BYTES_MAX)
    reader.skip_to(layout.start)
    reader.use_ends(csv_ends(layout.delimiter))
    parser = _CsvParser(layout, target, first=reader.peek_records())
    reader.skip_to(start)
    while (block := reader.take()) is not None:
        batches, rejects = parser.parse(block)
        yield Piece(batches=batches, rejects=rejects, position_next=block.end, last=reader.finished)


class _CsvParser:
    """Holds the kinds of the columns from block to block."""

    def __init__(self, layout: Layout, target: Target, *, first: bytes) -> None:
        self._layout = layout
        self._target = target
        self._pattern = record_pattern(layout.delimiter)
        self._ends = csv_ends(layout.delimiter)
        self._names = [name for name in layout.names if fold(name) != "_seq"]
        self._time: str | None = None
        self._time_as: pa.DataType = pa.string()
        self._kinds: dict[str, Kind] = {}
        self._settle(first)

    def parse(self, block: Block) -> tuple[tuple[Batch, ...], tuple[Reject, ...]]:
        """The good records of a block, and the others."""
        if block.cut is not None:
            return (), (Reject(reason=block.cut, raw=self._layout.header + block.data, line=block.line, stream=self._target.stream),)
        parts = list(self._parse_part(block.data, block.line))
        return tuple(batch for batch, _ in parts if batch is not None), tuple(reject for _, rejects in parts for reject in rejects)

    def _parse_part(self, data: bytes, line: int) -> Iterator[Parsed]:
        """At once where that goes, else in halves, so that only few records need the exact way."""
        records = BlockRecords(self._layout.header, Block(data=data, line=line, end=len(data)), self._pattern)
        if b"\0" not in data:
            for skipping in (False, True) if is_utf8(data) else (False,):
                with suppress(pa.ArrowInvalid, UnicodeDecodeError):  # then the exact way reads it
                    yield self._from_typed(records, skipping=skipping)
                    return
        half = self._ends(data[: len(data) // 2], False) if len(data) > EXACT_BYTES else 0
        if half == 0:
            yield self._from_text(records)
        else:
            yield from self._parse_part(data[:half], line)
            yield from self._parse_part(data[half:], line + data.count(b"\n", 0, half))

    # --- the usual way: every cell has the type of its column

    def _from_typed(self, records: BlockRecords, *, skipping: bool) -> Parsed:
        """Raises ``ArrowInvalid`` where a cell does not fit; ``skipping`` leaves out rows of a wrong length, which costs a thread."""
        misshapen: dict[int, str] = {}
        invalid = _skip_into(misshapen, None) if skipping else None
        table = self._read(records.block.data, self._types(), invalid=invalid)
        rows = [record for record in range(len(records.spans)) if record not in misshapen] if misshapen else None
        rejects = self._rejects(CsvOrigin(records, None), misshapen)
        if table.num_rows == 0:
            return None, rejects
        assert rows is None or table.num_rows == len(rows), COUNTED_ALIKE
        sieve = Sieve(table.num_rows)
        columns: dict[str, Any] = {}
        for name in self._names:
            column = _one(table[name])
            if name == self._time:
                columns[name] = column
                continue
            kind = self._kinds.get(name) or self._settle_late(name, column)
            if kind is None:
                continue
            if kind is Kind.FLOAT:
                mark_not_finite(name, column, sieve)
            columns[name] = empty_to_null(column) if kind in (Kind.TAG, Kind.TEXT) else column
        return self._finish(columns, sieve, CsvOrigin(records, rows), rejects)

    # --- the exact way: rows that are no records, cells that don't fit

    def _from_text(self, records: BlockRecords) -> Parsed:
        unreadable = records.not_text()
        good = [record for record in range(len(records.spans)) if record not in unreadable]
        misshapen: dict[int, str] = {}
        table = self._read(records.join(good), dict.fromkeys(self._names, pa.string()), invalid=_skip_into(misshapen, good))
        rows = [record for record in good if record not in misshapen]
        assert table.num_rows == len(rows), COUNTED_ALIKE
        rejects = self._rejects(CsvOrigin(records, None), {**unreadable, **misshapen})
        if not rows:
            return None, rejects
        return self._finish(*self._cast(table), CsvOrigin(records, rows), rejects)

    def _cast(self, table: pa.Table) -> tuple[dict[str, Any], Sieve]:
        sieve = Sieve(table.num_rows)
        columns: dict[str, Any] = {}
        for name in self._names:
            text = _one(table[name])
            if name == self._time:
                columns[name] = text
                continue
            kind = self._kinds.get(name) or self._target.kind_of(name) or kind_of_text(text)
            if kind is None:
                continue
            columns[name] = text_to_kind(name, text, kind, sieve)
            self._kinds[name] = Kind.FLOAT if pa.types.is_floating(columns[name].type) else kind
        return columns, sieve

    # --- both ways

    def _finish(self, columns: dict[str, Any], sieve: Sieve, origin: CsvOrigin, refused: tuple[Reject, ...]) -> Parsed:
        """Event times, the refused rows out, types and order of a batch."""
        times = self._event_times(columns.pop(self._time) if self._time else None, sieve)
        tags = tuple(name for name in columns if self._kinds[name] is Kind.TAG)
        order = [*tags, *(name for name in columns if name not in tags)]
        data = pa.record_batch([times, *(to_arrow(columns[name], self._kinds[name]) for name in order)], names=["ts", *order])
        rejects = (*refused, *self._rejects(origin, sieve.bad))
        kept = sieve.kept()
        if kept is not None:
            data = data.take(kept)
            origin = CsvOrigin(origin.records, [origin.record(row) for row in kept.to_pylist()])
        batch = Batch(stream=self._target.stream, tags=tags, data=data, origin=origin) if data.num_rows else None
        return batch, tuple(sorted(rejects, key=lambda reject: reject.line))

    def _event_times(self, column: Any, sieve: Sieve) -> pa.Array:
        arrivals = arrival_times(sieve.rows, self._target.clock.now_us())
        if column is None:
            return arrivals
        cells = empty_to_null(column) if pa.types.is_string(column.type) else column
        return event_times(cells, arrivals, f"column {shown(self._time)}", sieve)

    def _rejects(self, origin: CsvOrigin, bad: dict[int, str]) -> tuple[Reject, ...]:
        stream = self._target.stream
        return tuple(
            Reject(reason=reason, raw=origin.raw(row), line=origin.line(row), stream=stream) for row, reason in sorted(bad.items())
        )

    # --- kinds of the columns

    def _settle(self, first: bytes) -> None:
        """Decide from the first block what each column is; a column without a value there is decided when one comes."""
        inferred = True
        try:
            if b"\0" in first:
                raise pa.ArrowInvalid("zero bytes are for the exact way")
            seen = self._read(first, {name: _READ_AS[kind] for name in self._names if (kind := self._target.kind_of(name)) is not None})
        except (pa.ArrowInvalid, UnicodeDecodeError):
            seen, inferred = self._read_leniently(first), False
        self._time, self._time_as = self._settle_time(seen, first)
        for name in self._names:
            if name == self._time:
                continue
            kind = self._target.kind_of(name) or (kind_of_type(seen[name].type) if inferred else kind_of_text(_one(seen[name])))
            if inferred and kind is Kind.FLOAT and self._target.kind_of(name) is None and has_beyond_64_bits(seen[name]):
                kind = kind_of_text(_one(self._read_leniently(first, only=name)[name]))
            if kind is not None:
                self._kinds[name] = kind

    def _settle_time(self, seen: pa.Table, first: bytes) -> tuple[str | None, pa.DataType]:
        """The best named column that holds a time in the first block (``ts`` whatever it holds), and how it is read."""
        by_fold = {fold(name): name for name in self._names}
        candidates = [by_fold[name] for name in TIME_NAMES if name in by_fold]
        for name in candidates:
            column = _one(seen[name])
            if fold(name) != "ts" and to_us(column).null_count == len(column):
                continue
            for kind in _time_types(column.type):
                with suppress(pa.ArrowInvalid):  # then as the next type, at last as text
                    self._read(first, {name: kind}, only=name)
                    return name, kind
            return name, pa.string()
        return (candidates[0] if candidates else None), pa.string()

    def _settle_late(self, name: str, column: Any) -> Kind | None:
        """A column that had no value until this block, read by inference; raises where it has to be read as text to be sure."""
        if pa.types.is_null(column.type):
            return None
        kind = self._target.kind_of(name) or kind_of_type(column.type)
        if (
            kind in (None, Kind.TEXT, Kind.TAG)
            or kind is not kind_of_type(column.type)
            or (kind is Kind.FLOAT and has_beyond_64_bits(column))
        ):
            raise pa.ArrowInvalid(f"column {name} is to be read as text")
        self._kinds[name] = kind
        return kind

    def _types(self) -> dict[str, pa.DataType]:
        types = {name: _READ_AS[kind] for name, kind in self._kinds.items()}
        if self._time is not None:
            types[self._time] = self._time_as
        return types

    # --- PyArrow's reader

    def _read_leniently(self, data: bytes, *, only: str | None = None) -> pa.Table:
        """All cells as text, without the rows that can't be read."""
        records = BlockRecords(b"", Block(data=data, line=1, end=len(data)), self._pattern)
        unreadable = records.not_text()
        whole = records.join([record for record in range(len(records.spans)) if record not in unreadable])
        return self._read(whole, dict.fromkeys(self._names, pa.string()), invalid=lambda _row: "skip", only=only)

    def _read(self, data: bytes, types: dict[str, pa.DataType], *, invalid: Any = None, only: str | None = None) -> pa.Table:
        """``types`` for the named columns, inference for the others; ``invalid`` is asked about rows of a wrong length."""
        if not data.strip(b"\r\n"):
            return pa.table({name: pa.array([], types.get(name, pa.null())) for name in self._names})
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=invalid is None, block_size=len(data) + 1, column_names=list(self._layout.names)
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=self._layout.delimiter, newlines_in_values=True, invalid_row_handler=invalid),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=[only] if only else self._names,
                null_values=list(NULL_WORDS),
                true_values=list(TRUE_WORDS),
                false_values=list(FALSE_WORDS),
            ),
        )


def _skip_into(misshapen: dict[int, str], records: Sequence[int] | None) -> Callable[[Any], str]:
    """A handler that notes each row of a wrong length; ``records``: what the rows are by number, None: themselves."""

    def skip(row: Any) -> str:
        place = row.number - 1
        misshapen[place if records is None else records[place]] = (
            f"{row.actual_columns} columns where the header has {row.expected_columns}"
        )
        return "skip"

    return skip


def _one(column: Any) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _time_types(seen: pa.DataType) -> tuple[pa.DataType, ...]:
    """How a time column can be read at once, given what inference made of it; the first that reads the whole block is taken."""
    if pa.types.is_integer(seen):
        return (pa.int64(),)
    if pa.types.is_floating(seen):
        return (pa.float64(),)
    if pa.types.is_timestamp(seen) or pa.types.is_date(seen):
        zone = getattr(seen, "tz", None) and "UTC"
        return pa.timestamp("us", zone), pa.timestamp("ns", zone)
    return ()
