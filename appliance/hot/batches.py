"""The rows of the table ``batch`` one by one: headers, bodies as they lie, and what mends them.

``HotReader`` reads records and stops at what is damaged; this is for whoever looks at each batch for itself. What writes runs in the
writer's thread, inside a transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import pyarrow as pa

from appliance.hot.alerts.reads import Reads
from appliance.hot.encoding import decode, encode
from appliance.hot.state import StreamState
from appliance.hot.tallies import of_batch
from appliance.records import Schema
from appliance.tally import from_text, tally_by_day

BODIES_AT_ONCE: Final = 256
BYTES_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """One row without its body."""

    id: int
    first: int
    last: int
    ts_min: int
    ts_max: int
    schema_version: int
    encoding: int
    committed_us: int
    crc32: int
    bytes: int
    """Of the body."""
    tally: int | str | None
    """As stored (see ``tallies.of_batch``); None: from before tallies were kept."""

    @property
    def rows(self) -> int:
        return self.last - self.first + 1

    @property
    def sum(self) -> int | None:
        """Of its records' hashes when it was committed, modulo 2**64; None: not known."""
        if isinstance(self.tally, str):
            return sum(t.sum for t in from_text(self.tally).values()) % 2**64
        return None if self.tally is None else self.tally % 2**64


@dataclass(frozen=True, slots=True)
class Body:
    """What a batch's body is."""

    data: pa.RecordBatch | None
    """None: it can't be read."""
    wrong: str | None
    """Why it is not what was written; None: its checksum is right."""


def headers(reads: Reads, stream_id: int) -> tuple[Header, ...]:
    """Of one stream, by first sequence, then by id."""
    found = reads.execute(
        "SELECT id, first, last, ts_min, ts_max, schema_version, encoding, committed_us, crc32, length(body), tally"
        " FROM batch WHERE stream_id = ? ORDER BY first, id",
        (stream_id,),
    )
    return tuple(Header(*row) for row in found)


def checksums(reads: Reads, wanted: Iterable[Header]) -> Iterator[tuple[int, int]]:
    """The crc32 of each body as it lies there, by batch id; a batch that is gone has none. Some are read at once, as many as are small."""
    part: list[int] = []
    size = 0
    for header in wanted:
        if part and (len(part) == BODIES_AT_ONCE or size + header.bytes > BYTES_AT_ONCE):
            yield from _checksums(reads, part)
            part, size = [], 0
        part.append(header.id)
        size += header.bytes
    if part:
        yield from _checksums(reads, part)


def _checksums(reads: Reads, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    marks = ",".join("?" * len(ids))
    return ((row[0], crc32(row[1])) for row in reads.execute(f"SELECT id, body FROM batch WHERE id IN ({marks})", tuple(ids)))


def body(reads: Reads, stream: StreamState, header: Header) -> Body:
    """The rows of one batch, as far as they can be read."""
    found = next(iter(reads.execute("SELECT body FROM batch WHERE id = ?", (header.id,))), None)
    if found is None:
        return Body(None, "is gone")
    if crc32(found[0]) != header.crc32:
        return Body(None, "is not what was written (its checksum differs)")
    schema = stream.schemas.get(header.schema_version)
    if schema is None:
        return Body(None, f"is of version {header.schema_version} of the schema, which there is not")
    try:
        data = decode(header.encoding, schema, found[0])
        data.validate(full=True)
    except (pa.ArrowException, OSError, AssertionError, ValueError) as e:
        return Body(None, f"can't be read: {e}")
    return Body(data, None)


def insert(
    connection: sqlite3.Connection, stream_id: int, schema: Schema, data: pa.RecordBatch, *, first: int, boot: int, committed_us: int
) -> None:
    """Rows with the sequences from ``first`` on, in the columns of ``schema.arrow``; leaves the stream's row as it is."""
    encoding, message = encode(schema, data)
    stored = memoryview(message)
    ts = data.column(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    last = first + data.num_rows - 1
    connection.execute(
        "INSERT INTO batch (stream_id, first, last, ts_min, ts_max, schema_version, encoding, boot, uptime_us, committed_us, crc32, body,"
        " tally) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
        (stream_id, first, last, int(ts.min()), int(ts.max()), schema.version, encoding, boot, committed_us, crc32(stored), stored,
         of_batch(tally_by_day(data, first), ts_min=int(ts.min()))),
    )  # fmt: skip


def remove(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """These rows go."""
    connection.executemany("DELETE FROM batch WHERE id = ?", [(i,) for i in ids])


def set_header(connection: sqlite3.Connection, true: Header) -> None:
    """What the body says of sequences and times."""
    connection.execute(
        "UPDATE batch SET first = ?, last = ?, ts_min = ?, ts_max = ? WHERE id = ?",
        (true.first, true.last, true.ts_min, true.ts_max, true.id),
    )
