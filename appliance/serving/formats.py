"""The result of a query as bytes: JSON, JSON lines, CSV, Parquet, Arrow. By column, a batch at a time, in bounded memory.

Times are ISO 8601 with ``Z`` in the text formats, microseconds only where there are any. JSON knows neither NaN nor infinity:
they become null. Parquet and Arrow keep DuckDB's types. The values of a batch are turned into text by a small DuckDB of the
encoder's own, which runs expressions made here and nothing that came from outside.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import duckdb
import msgspec
import pyarrow as pa

from appliance.serving.duck import literal, quoted
from appliance.serving.json_text import FEW_ROWS, few_objects, is_plain, objects

Write = Callable[[bytes], None]
PIECE_BYTES: Final = 256 * 1024
"""Bytes are handed on in pieces of about this size."""
PIECE_ROWS: Final = 2_048
"""Rows of a piece of JSON, or more where they are short."""
TEXT_BYTES_MAX: Final = 8 << 20
"""Of the rows that are made into JSON at once."""
ROW_GROUP_ROWS: Final = 131_072
CONTENT_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "table": "text/plain; charset=utf-8",
}


class Encoder(Protocol):
    """Turns batches into bytes; one for each result. Making it writes nothing yet."""

    @property
    def full(self) -> bool:
        """Whether further rows would not be shown: the query can be ended."""

    @property
    def note(self) -> str | None:
        """What was left out, once it is closed."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Writes the rows of a batch."""

    def close(self) -> None:
        """Writes what ends the result."""


def load_writers() -> None:
    """Loads what files of Parquet and CSV are written with, which the first of them does else."""
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401 - loading is all


def open_database() -> duckdb.DuckDBPyConnection:
    """The small DuckDB that encoders work with; one at a time uses it."""
    database = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": "false"})
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET enable_external_access = false")
    return database


def encoder(format_: str, schema: pa.Schema, write: Write, database: duckdb.DuckDBPyConnection) -> Encoder:
    """The encoder of a format of ``CONTENT_TYPES``. Columns of the same name get a number behind it."""
    named = distinct_schema(schema)
    match format_:
        case "json":
            return JsonEncoder(named, write, database, lines=False)
        case "jsonl":
            return JsonEncoder(named, write, database, lines=True)
        case "csv":
            return CsvEncoder(named, write, database)
        case "parquet":
            return ParquetEncoder(named, write, database)
        case "arrow":
            return ArrowEncoder(named, write)
        case "table":
            from appliance.serving.text_table import TableEncoder

            return TableEncoder(named, write, database)
        case _:
            raise AssertionError(f"no encoder of {format_}")


def distinct(names: Iterable[str]) -> list[str]:
    """The names with those that were there before (in any case) numbered: a, a_1."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, given = 0, name
        while given.lower() in taken:
            number += 1
            given = f"{name}_{number}"
        taken.add(given.lower())
        result.append(given)
    return result


def distinct_schema(schema: pa.Schema) -> pa.Schema:
    """The columns as they are written: each name once."""
    return pa.schema([pa.field(name, field.type) for name, field in zip(distinct(schema.names), schema, strict=True)])


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A small table as JSON values."""
    out = io.BytesIO()
    with open_database() as database:
        writer = encoder("json", table.schema, lambda piece: _ignore(out.write(piece)), database)
        for batch in table.to_batches():
            writer.add(batch)
        writer.close()
    rows: list[dict[str, Any]] = msgspec.json.decode(out.getvalue())
    return rows


class JsonEncoder:
    """One array of objects, or one object a line."""

    full = False
    note = None

    def __init__(self, schema: pa.Schema, write: Write, database: duckdb.DuckDBPyConnection, *, lines: bool) -> None:
        self._schema = schema
        self._database = database
        self._plain = len(schema) > 0 and all(is_plain(f.type) for f in schema)
        self._write = write
        self._end = "\n" if lines else ",\n"
        self._lines = lines
        self._begin = b"" if lines else b"["

    def add(self, batch: pa.RecordBatch) -> None:
        rows = max(PIECE_ROWS, TEXT_BYTES_MAX * batch.num_rows // (batch.nbytes or 1))
        for first in range(0, batch.num_rows, rows):
            piece = batch.slice(first, rows)
            found = self._objects(piece) if self._plain else None
            if found is None:
                found = "".join(text + self._end for text in self._values().texts(piece)).encode()
            if self._begin:
                self._write(self._begin)
            whole = memoryview(found if self._lines else found[: -len(self._end)])
            for at in range(0, len(whole), PIECE_BYTES):
                self._write(bytes(whole[at : at + PIECE_BYTES]))
            self._begin = b"" if self._lines else b",\n"

    def _objects(self, piece: pa.RecordBatch) -> bytes | None:
        found = few_objects(piece, self._schema.names, end=self._end.encode()) if piece.num_rows <= FEW_ROWS else None
        return objects(piece, self._schema.names, end=self._end) if found is None else found

    def close(self) -> None:
        if not self._lines:
            self._write(b"]\n" if self._begin != b"[" else b"[]\n")

    def _values(self) -> Values:
        fields = ", ".join(f"{quoted(f.name)} := {json_value(quoted(f.name), f.type)}" for f in self._schema)
        return Values(self._database, self._schema, f"CAST(to_json(struct_pack({fields})) AS VARCHAR)" if fields else "'{}'")


class CsvEncoder:
    """A header and one line a row (RFC 4180, lines end with LF); null is an empty cell, an empty text is ``""``."""

    full = False
    note = None

    def __init__(self, schema: pa.Schema, write: Write, database: duckdb.DuckDBPyConnection) -> None:
        from pyarrow import csv

        self._csv: Any = csv
        self._values = Values(database, schema, *(f"{csv_value(quoted(f.name), f.type)} AS {quoted(f.name)}" for f in schema))
        self._sink = Sink(write)
        self._writer: Any = None
        self._options = csv.WriteOptions(quoting_style="needed", include_header=True)
        if len(schema):
            self._open(self._values.table(pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)).schema)

    def add(self, batch: pa.RecordBatch) -> None:
        self._writer.write_table(self._values.table(batch))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._sink.flush()

    def _open(self, schema: pa.Schema) -> None:
        self._writer = self._csv.CSVWriter(pa.PythonFile(self._sink, "w"), schema, write_options=self._options)


class ParquetEncoder:
    """One Parquet file, zstd, row groups of ``ROW_GROUP_ROWS``; intervals, which Parquet can't hold, become text."""

    full = False
    note = None

    def __init__(self, schema: pa.Schema, write: Write, database: duckdb.DuckDBPyConnection) -> None:
        from pyarrow import parquet

        plain = (f"CAST({quoted(f.name)} AS VARCHAR)" if pa.types.is_interval(f.type) else quoted(f.name) for f in schema)
        self._values = Values(database, schema, *(f"{sql} AS {quoted(f.name)}" for sql, f in zip(plain, schema, strict=True)))
        self._intervals = any(pa.types.is_interval(f.type) for f in schema)
        self._schema = pa.schema([pa.field(f.name, pa.string() if pa.types.is_interval(f.type) else f.type) for f in schema])
        self._sink = Sink(write)
        self._writer: Any = parquet.ParquetWriter(pa.PythonFile(self._sink, "w"), self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        named = batch.rename_columns(self._schema.names)
        self._waiting += self._values.table(named).to_batches() if self._intervals else [named]
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()
        self._sink.flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._rows = [], 0


class ArrowEncoder:
    """An Arrow IPC stream."""

    full = False
    note = None

    def __init__(self, schema: pa.Schema, write: Write) -> None:
        self._schema = schema
        self._sink = Sink(write)
        self._writer: Any = pa.ipc.new_stream(pa.PythonFile(self._sink, "w"), schema)

    def add(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch.rename_columns(self._schema.names))
        self._sink.flush()

    def close(self) -> None:
        self._writer.close()
        self._sink.flush()


class Values:
    """Runs expressions over the columns of a batch."""

    def __init__(self, database: duckdb.DuckDBPyConnection, schema: pa.Schema, *expressions: str) -> None:
        self._names = schema.names
        self._db: Any = database
        self._sql = f"SELECT {', '.join(expressions)} FROM __batch"

    def table(self, batch: pa.RecordBatch) -> pa.Table:
        """The expressions' columns, in the order of the rows."""
        self._db.register("__batch", pa.Table.from_batches([batch.rename_columns(self._names)]))
        try:
            return self._db.sql(self._sql).to_arrow_table()
        finally:
            self._db.unregister("__batch")

    def texts(self, batch: pa.RecordBatch) -> list[str]:
        """The one expression's texts."""
        return [str(text) for text in self.table(batch).column(0).to_pylist()]


class Sink(io.RawIOBase):
    """A file that hands on what is written to it, in pieces."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._hand_on = write
        self._waiting: list[bytes] = []
        self._bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._waiting.append(piece)
        self._bytes += len(piece)
        if self._bytes >= PIECE_BYTES:
            self.flush()
        return len(piece)

    def flush(self) -> None:
        if self._waiting:
            whole = b"".join(self._waiting)
            self._waiting, self._bytes = [], 0
            self._hand_on(whole)


def json_value(sql: str, type_: pa.DataType, depth: int = 0) -> str:
    """An expression whose value ``to_json`` writes as this module promises."""
    if pa.types.is_timestamp(type_):
        return _iso(sql, type_)
    if pa.types.is_floating(type_):
        return f"CASE WHEN isfinite({sql}) THEN {sql} END"
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return f"to_base64({sql})"
    if pa.types.is_interval(type_) or pa.types.is_duration(type_) or pa.types.is_time(type_) or pa.types.is_date(type_):
        return f"CAST({sql} AS VARCHAR)"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        item = f"x{depth}"
        return f"list_transform({sql}, lambda {item}: {json_value(item, type_.value_type, depth + 1)})"
    if pa.types.is_struct(type_) and type_.num_fields:
        fields = (type_.field(i) for i in range(type_.num_fields))
        packed = ", ".join(f"{quoted(f.name)} := {json_value(f'struct_extract({sql}, {literal(f.name)})', f.type, depth)}" for f in fields)
        return f"CASE WHEN {sql} IS NULL THEN NULL ELSE struct_pack({packed}) END"
    return sql


def csv_value(sql: str, type_: pa.DataType) -> str:
    """An expression of a type that Arrow's CSV writer knows."""
    if pa.types.is_timestamp(type_):
        return _iso(sql, type_)
    if pa.types.is_nested(type_):
        return f"CAST(to_json({json_value(sql, type_)}) AS VARCHAR)"
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return f"to_base64({sql})"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_):
        return sql
    return f"CAST({sql} AS VARCHAR)"


def _iso(sql: str, type_: pa.DataType) -> str:
    """ISO 8601 with Z; infinite times as DuckDB writes them."""
    naive = f"CAST({sql} AS TIMESTAMP)" if type_.tz is not None or type_.unit != "us" else sql
    whole = f"strftime({naive}, '%Y-%m-%dT%H:%M:%SZ')"
    exact = f"strftime({naive}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    text = f"CASE WHEN epoch_us({naive}) % 1000000 = 0 THEN {whole} ELSE {exact} END"
    return f"CASE WHEN isfinite({naive}) THEN {text} ELSE CAST({naive} AS VARCHAR) END"


def _ignore(_value: object) -> None:
    """For callbacks whose result means nothing."""
