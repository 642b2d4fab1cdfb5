"""Parquet files into pieces of rows; a position is the number of rows before it.

Columns get the kinds of a stream: all integers int, floats and decimals float, other times and dates text, a struct its members as
``outer_inner``, one level deep. The event time is the first of ``TIME_NAMES`` that holds times, else the first timestamp column. Lists,
maps and binary columns refuse the file. Refused rows are kept as JSON lines, since a row of Parquet can't stand alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as arrow_parquet

from appliance.errors import RejectPayload
from appliance.records import Batch, Kind, Reject, check_name, fold
from appliance.sources.codecs.casting import Sieve, empty_to_null, event_times, mark_not_finite, shown, to_arrow
from appliance.sources.codecs.content import ContentDamaged
from appliance.sources.codecs.pieces import Piece, Pieces, Target, arrival_times
from appliance.sources.codecs.times import pick_time

ROWS_MAX = 65_536
"""Rows of one piece."""
_BUFFER_BYTES = 1024 * 1024
_THRIFT_BYTES_MAX = 64 * 1024 * 1024
"""Bound on a footer: a damaged one can't ask for more memory."""
_INT_MAX = 2**63 - 1


def read_parquet(file: IO[bytes], target: Target, *, start: int = 0, bytes_max: int) -> Pieces:
    """Pieces of an open, seekable Parquet file from row ``start`` to its end.

    Raises ``RejectPayload`` when it can't be read, ``ContentDamaged`` where it stops being readable or gives more than ``bytes_max``
    bytes of columns.
    """
    try:
        source = arrow_parquet.ParquetFile(
            file,
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            thrift_string_size_limit=_THRIFT_BYTES_MAX,
            thrift_container_size_limit=_THRIFT_BYTES_MAX // 64,
        )
    except (pa.ArrowException, OSError) as error:
        raise RejectPayload(f"this is no readable Parquet file: {_one_line(error)}") from error
    parser = _ParquetParser(target, source.schema_arrow)
    rows_total, position, given = source.metadata.num_rows, 0, 0
    for block in _row_batches(source, skip_rows=start):
        position = block.position + block.data.num_rows
        given += block.data.nbytes
        if given > bytes_max:
            raise ContentDamaged(f"more than {bytes_max} bytes come out of this Parquet file (file_max): the rest was not read")
        batch, rejects = parser.parse(block)
        yield Piece(batches=(batch,) if batch else (), rejects=rejects, position_next=position, last=position >= rows_total)


@dataclass(frozen=True, slots=True)
class _Rows:
    data: pa.RecordBatch
    position: int
    """Rows of the file before it."""


def _row_batches(source: Any, *, skip_rows: int) -> Iterator[_Rows]:
    """Whole row groups before ``skip_rows`` are not read."""
    position = 0
    for group in range(source.num_row_groups):
        rows = source.metadata.row_group(group).num_rows
        if position + rows <= skip_rows:
            position += rows
            continue
        batches = source.iter_batches(batch_size=ROWS_MAX, row_groups=[group])
        while True:
            try:
                data = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise ContentDamaged(f"the Parquet file is damaged in row group {group}: {_one_line(error)}") from error
            if data is None:
                break
            skipped = max(0, min(skip_rows - position, data.num_rows))
            if skipped < data.num_rows:
                yield _Rows(data.slice(skipped), position + skipped)
            position += data.num_rows


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """Rows of the file as JSON objects."""

    data: pa.RecordBatch
    position: int
    rows: tuple[int, ...] | None

    def raw(self, row: int) -> bytes:
        found = self.data.slice(row if self.rows is None else self.rows[row], 1).to_pylist()[0]
        return json.dumps(found, default=str, ensure_ascii=False).encode("utf-8", "replace")

    def line(self, row: int) -> int:
        return self.position + 1 + (row if self.rows is None else self.rows[row])


class _ParquetParser:
    """Turns rows of the file's columns into batches of a stream."""

    def __init__(self, target: Target, schema: pa.Schema) -> None:
        self._target = target
        seen: set[str] = set()
        for name, kind in _flat_names(schema):
            wrong = None if fold(name) in ("ts", "_seq") else check_name(name, what="column")
            if wrong is None and fold(name) in seen:
                wrong = f"column {name!r} is there twice"
            if wrong is None and (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
                wrong = f"column {name!r} is {kind}, which no column of a stream can hold"
            if wrong:
                raise RejectPayload(wrong)
            seen.add(fold(name))

    def parse(self, block: _Rows) -> tuple[Batch | None, tuple[Reject, ...]]:
        sieve = Sieve(block.data.num_rows)
        raw = _flat_columns(block.data)
        origin = RowOrigin(block.data, block.position, None)
        times = self._event_times(raw, sieve)
        columns: dict[str, Any] = {}
        for name, array in raw.items():
            values = _plain(name, array, sieve)
            if values is not None and fold(name) != "_seq":
                columns[name] = values
        tags = tuple(name for name in columns if self._target.kind_of(name) is Kind.TAG)
        order = [*tags, *(name for name in columns if name not in tags)]
        arrays = [empty_to_null(to_arrow(columns[name], Kind.TAG)) if name in tags else columns[name] for name in order]
        data = pa.record_batch([times, *arrays], names=["ts", *order])
        stream = self._target.stream
        bad = sorted(sieve.bad.items())
        rejects = tuple(Reject(reason=reason, raw=origin.raw(row), line=origin.line(row), stream=stream) for row, reason in bad)
        kept = sieve.kept()
        if kept is not None:
            data = data.take(kept)
            origin = RowOrigin(block.data, block.position, tuple(kept.to_pylist()))
        return (Batch(stream=stream, tags=tags, data=data, origin=origin) if data.num_rows else None), rejects

    def _event_times(self, columns: dict[str, Any], sieve: Sieve) -> pa.Array:
        arrivals = arrival_times(sieve.rows, self._target.clock.now_us())
        name = pick_time(columns) or next((name for name, array in columns.items() if pa.types.is_timestamp(array.type)), None)
        if name is None:
            return arrivals
        return event_times(columns.pop(name), arrivals, f"column {shown(name)}", sieve)


def _flat_names(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    for column in schema:
        if pa.types.is_struct(column.type):
            yield from ((f"{column.name}_{member.name}", member.type) for member in column.type)
        else:
            yield column.name, column.type


def _flat_columns(data: pa.RecordBatch) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, array in zip(data.schema.names, data.columns, strict=True):
        if pa.types.is_struct(array.type):
            members = zip(array.type, array.flatten(), strict=True)
            columns.update({f"{name}_{member.name}": values for member, values in members})
        else:
            columns[name] = array
    return columns


def _plain(name: str, array: Any, sieve: Sieve) -> Any:
    """A column in one of the four types of fields; None for one without a type."""
    kind = array.type
    if pa.types.is_null(kind):
        return None
    if pa.types.is_dictionary(kind):
        return _plain(name, array.dictionary_decode(), sieve)
    if pa.types.is_uint64(kind):
        beyond = pc.greater(array, pa.scalar(_INT_MAX, pa.uint64()))
        sieve.mark(beyond, lambda row: f"column {shown(name)}: {array[row].as_py()} is beyond 64 bits with a sign")
        return pc.if_else(beyond, pa.scalar(None, pa.uint64()), array).cast(pa.int64())
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = array.cast(pa.float64())
        mark_not_finite(name, values, sieve)
        return values
    return array if pa.types.is_boolean(kind) else array.cast(pa.string())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
