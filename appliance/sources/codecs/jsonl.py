"""JSON lines into pieces: one object a line, by block and by column; lines that don't fit are refused alone.

PyArrow reads a block at once. Where it can't (a line that is no JSON, a key whose type changes), the block is halved down to a few
lines, and only those go the exact way (``jsonl_exact``). A nested object gives columns ``outer_inner``, one level deep; deeper ones
and arrays are refused. Keys that differ only in case are one column. The event time is the first of ``TIME_NAMES`` that holds times;
``_seq`` is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from appliance.errors import RejectPayload
from appliance.records import ARROW_OF, Batch, Kind, Reject, fold
from appliance.sources.codecs.blocks import Block, RecordReader, line_ends
from appliance.sources.codecs.casting import (
    Sieve,
    empty_to_null,
    event_times,
    has_beyond_64_bits,
    kind_of_type,
    mark_not_finite,
    shown,
    to_arrow,
)
from appliance.sources.codecs.content import Content
from appliance.sources.codecs.csv_layout import BOM, refuse_binary
from appliance.sources.codecs.csv_rows import is_utf8
from appliance.sources.codecs.jsonl_exact import read_exactly
from appliance.sources.codecs.pieces import Piece, Pieces, Target, arrival_times
from appliance.sources.codecs.times import pick_time

EXACT_BYTES = 32 * 1024
"""A part of a block that PyArrow refuses is halved until it is this small, then read line by line."""
ARRAY_BYTES_MAX = 64 * 1024 * 1024
"""A file that is one JSON array is read whole; a larger one has to be JSON lines."""
_SNIFF_BYTES = 64 * 1024
SETTLED_MAX = 10_000
"""Keys whose type is remembered; far more than a stream may have columns."""


def read_jsonl(content: Content, target: Target, *, start: int = 0) -> Pieces:
    """Pieces of a JSON lines file (or one array of objects) from offset ``start`` (0, or an earlier ``position_next``) to its end.

    Raises ``RejectPayload`` when it is something else, ``ContentDamaged`` after the last whole line of a damaged one.
    """
    reader = RecordReader(content, line_ends)
    beginning = reader.peek(_SNIFF_BYTES)
    refuse_binary(beginning, what="JSON lines")
    if beginning.removeprefix(BOM).lstrip()[:1] == b"[":
        reader = RecordReader(_ArrayLines(reader), line_ends)
    elif beginning.startswith(BOM):
        reader.skip_to(len(BOM))
    parser = JsonLinesParser(target)
    reader.skip_to(start)
    while (block := reader.take()) is not None:
        batches, rejects = parser.parse(block)
        yield Piece(batches=batches, rejects=rejects, position_next=block.end, last=reader.finished)


class _ArrayLines:
    """An array of objects as the JSON lines it stands for: positions count in those."""

    def __init__(self, reader: RecordReader) -> None:
        data = reader.peek(ARRAY_BYTES_MAX + 1)
        if len(data) > ARRAY_BYTES_MAX:
            raise RejectPayload(f"a JSON array of more than {ARRAY_BYTES_MAX >> 20} MiB: write JSON lines, one object a line")
        try:
            elements = msgspec.json.decode(data.removeprefix(BOM), type=list[msgspec.Raw])
            self._data = b"".join(msgspec.json.format(bytes(element), indent=-1) + b"\n" for element in elements)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RejectPayload(f"the file begins as a JSON array but is none: {error}") from error
        self._at = 0

    def read(self, size: int, /) -> bytes:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part


@dataclass(slots=True)
class LineOrigin:
    """Original lines of the rows of a batch; found only when somebody asks."""

    data: bytes
    line_first: int
    rows: Sequence[int] | None
    """Place among the lines that are not blank for each row; None: row n is the n-th."""
    _lines: list[tuple[int, bytes]] = field(default_factory=list)

    def raw(self, row: int) -> bytes:
        return self._line(row)[1]

    def line(self, row: int) -> int:
        return self._line(row)[0]

    def _line(self, row: int) -> tuple[int, bytes]:
        if not self._lines:
            self._lines = lines_of(self.data, self.line_first)
        return self._lines[row if self.rows is None else self.rows[row]]


def lines_of(data: bytes, line_first: int) -> list[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank."""
    return [(line_first + number, line.rstrip(b"\r")) for number, line in enumerate(data.split(b"\n")) if line.strip()]


class JsonLinesParser:
    """Holds the kinds of the columns from block to block."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._settled = pa.schema([])
        """Top-level keys whose type is settled."""

    def parse(self, block: Block) -> tuple[tuple[Batch, ...], tuple[Reject, ...]]:
        """The good records of a block, and the others."""
        if block.cut is not None:
            return (), (Reject(reason=block.cut, raw=block.data, line=block.line, stream=self._target.stream),)
        batches: list[Batch] = []
        rejects: list[Reject] = []
        for batch, refused in self._parse_part(block.data, block.line):
            if batch is not None:
                batches.append(batch)
            rejects.extend(refused)
        return tuple(batches), tuple(rejects)

    def _parse_part(self, data: bytes, line: int) -> Iterator[tuple[Batch | None, tuple[Reject, ...]]]:
        if not data.strip():
            return
        try:
            yield self._parse_at_once(data, line)
            return
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            half = data.find(b"\n", len(data) // 2) + 1
        if len(data) <= EXACT_BYTES or half in (0, len(data)):
            yield self._parse_exactly(data, line)
        else:
            yield from self._parse_part(data[:half], line)
            yield from self._parse_part(data[half:], line + data.count(b"\n", 0, half))

    # --- the usual way

    def _parse_at_once(self, data: bytes, line: int) -> tuple[Batch | None, tuple[Reject, ...]]:
        """Raises ``ArrowInvalid`` where the lines have to be looked at more closely."""
        if not is_utf8(data):
            raise pa.ArrowInvalid("not UTF-8 text, which PyArrow does not look for")
        table = self._read(data)
        changed = self._settle(table)
        if changed:
            table = self._read(data)
        if table.num_rows != _lines_with_text(data):
            raise pa.ArrowInvalid("not one object a line")
        columns = {name: column for name, column in _flat(table).items() if column.null_count < len(column)}
        if len({fold(name) for name in columns}) != len(columns) or not columns:
            raise pa.ArrowInvalid("keys that differ only in case, or none at all")
        if _has_empty_row(columns.values()):
            raise pa.ArrowInvalid("an object without a value")
        sieve = Sieve(table.num_rows)
        for name, column in columns.items():
            if pa.types.is_nested(column.type):
                raise pa.ArrowInvalid(f"{name} is nested")
            if pa.types.is_floating(column.type):
                mark_not_finite(name, column, sieve)
        return self._finish(columns, sieve, LineOrigin(data, line, None))

    def _read(self, data: bytes) -> pa.Table:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(explicit_schema=self._settled if len(self._settled) else None),
        )
        return table.combine_chunks()

    def _settle(self, table: pa.Table) -> bool:
        """Fix the types of keys seen for the first time; True when the block has to be read again with them."""
        again = False
        if len(self._settled) > SETTLED_MAX:
            self._settled = pa.schema([])
        for column in table.schema:
            if self._settled.get_field_index(column.name) >= 0 or pa.types.is_null(column.type) or pa.types.is_list(column.type):
                continue
            if fold(column.name) in {fold(name) for name in self._settled.names}:
                raise pa.ArrowInvalid("keys that differ only in case")
            kind = self._reading_type(column.name, column.type)
            if pa.types.is_floating(kind) and has_beyond_64_bits(table[column.name]):
                raise pa.ArrowInvalid("whole numbers beyond 64 bits may have become floats")
            self._settled = self._settled.append(pa.field(column.name, kind))
            again = again or kind != column.type
        return again

    def _reading_type(self, name: str, found: pa.DataType) -> pa.DataType:
        """The type to read a key with: what inference found, but times stay text and ints are read as the floats that the stream has."""
        if pa.types.is_struct(found):
            return pa.struct([pa.field(member.name, self._reading_type(f"{name}_{member.name}", member.type)) for member in found])
        if pa.types.is_integer(found) and self._target.kind_of(name) is Kind.FLOAT:
            return pa.float64()
        return pa.string() if pa.types.is_temporal(found) else found

    # --- the exact way

    def _parse_exactly(self, data: bytes, line: int) -> tuple[Batch | None, tuple[Reject, ...]]:
        lines = lines_of(data, line)
        flat = {field.name: kind_of_type(field.type) or Kind.TEXT for field in self._settled if not pa.types.is_nested(field.type)}
        found = read_exactly([raw for _number, raw in lines], kinds=flat, known=self._target.kind_of)
        for name, kind in found.widened.items():
            self._settled = self._settled.set(self._settled.get_field_index(name), pa.field(name, ARROW_OF[kind]))
        refused = self._rejects(found.refused, LineOrigin(data, line, None))
        rows = [row for row in range(len(lines)) if row not in found.refused]
        if not rows:
            return None, refused
        batch, more = self._finish(found.columns, Sieve(len(rows)), LineOrigin(data, line, rows))
        return batch, tuple(sorted((*refused, *more), key=lambda reject: reject.line))

    # --- both ways

    def _finish(self, columns: dict[str, Any], sieve: Sieve, origin: LineOrigin) -> tuple[Batch | None, tuple[Reject, ...]]:
        times = self._event_times(columns, sieve)
        kinds = {name: self._target.kind_of(name) for name in columns}
        tags = tuple(name for name in columns if kinds[name] is Kind.TAG)
        order = [*tags, *(name for name in columns if name not in tags and fold(name) != "_seq")]
        arrays = [empty_to_null(to_arrow(columns[name], Kind.TAG)) if name in tags else columns[name] for name in order]
        data = pa.record_batch([times, *arrays], names=["ts", *order])
        rejects = self._rejects(sieve.bad, origin)
        kept = sieve.kept()
        if kept is not None:
            data = data.take(kept)
            base = origin.rows
            origin = LineOrigin(origin.data, origin.line_first, [row if base is None else base[row] for row in kept.to_pylist()])
        batch = Batch(stream=self._target.stream, tags=tags, data=data, origin=origin) if data.num_rows else None
        return batch, rejects

    def _rejects(self, bad: dict[int, str], origin: LineOrigin) -> tuple[Reject, ...]:
        stream = self._target.stream
        return tuple(
            Reject(reason=reason, raw=origin.raw(row), line=origin.line(row), stream=stream) for row, reason in sorted(bad.items())
        )

    def _event_times(self, columns: dict[str, Any], sieve: Sieve) -> pa.Array:
        """Takes the time column out of ``columns``; rows without one get their arrival."""
        arrivals = arrival_times(sieve.rows, self._target.clock.now_us())
        name = pick_time(columns)
        if name is None:
            return arrivals
        return event_times(columns.pop(name), arrivals, shown(name), sieve)


def _flat(table: pa.Table) -> dict[str, Any]:
    """Columns as arrays, the members of objects as ``outer_inner``; raises where two get the same name."""
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_struct(array.type):
            members = [(f"{name}_{member.name}", array.field(i)) for i, member in enumerate(array.type)]
            absent = pc.is_null(array) if array.null_count else None
            if absent is not None:
                members = [(inner, pc.if_else(absent, pa.scalar(None, part.type), part)) for inner, part in members]
            parts = members
        else:
            parts = [(name, array)]
        for inner, part in parts:
            if inner in columns:
                raise pa.ArrowInvalid(f"{inner} comes twice")
            columns[inner] = part
    return columns


def _lines_with_text(data: bytes) -> int:
    """How many lines are not blank; counted at once where each begins with an object."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    begun = data.count(b"\n{") + data.startswith(b"{")
    return lines if lines == begun else len(lines_of(data, 1))


def _has_empty_row(columns: Iterable[Any]) -> bool:
    """Whether all columns are null in one row."""
    empty: Any = None
    for column in columns:
        if column.null_count == 0:
            return False
        empty = pc.is_null(column) if empty is None else pc.and_(empty, pc.is_null(column))
    return bool(pc.any(empty).as_py())
