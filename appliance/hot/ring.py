"""The ring: bounded memory that holds the newest rows of all streams.

Pure of I/O; one owner, the door's writer thread. Many small commits are coalesced like the digits of a binary counter, so that
a day at one record a second is a handful of chunks, at a cost of O(log n) copies a row. At the limit the oldest chunk of
all streams goes; what has not been rolled yet is then read from SQLite.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from appliance.hot.state import Chunk

CHUNK_BYTES_MAX = 1024 * 1024
"""Chunks of this size and more are left as they are: the unit in which the ring forgets."""


class Ring:
    """The newest rows; ``chunks[stream_id]`` is oldest first and without gaps."""

    def __init__(self, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.rows = 0
        self._chunks: dict[int, tuple[Chunk, ...]] = {}
        self._born: dict[int, list[int]] = {}
        self._clock = 0

    def chunks(self, stream_id: int) -> tuple[Chunk, ...]:
        return self._chunks.get(stream_id, ())

    def push(self, stream_id: int, chunk: Chunk) -> None:
        """Appends newer rows; the caller runs ``evict`` when all of a commit is in."""
        chunks = list(self._chunks.get(stream_id, ()))
        born = self._born.setdefault(stream_id, [])
        assert not chunks or chunks[-1].last + 1 == chunk.first, "the ring has no gaps"
        self._clock += 1
        birth = self._clock
        self.bytes += chunk.nbytes
        self.rows += chunk.rows
        while chunks and _joinable(chunks[-1], chunk):
            older = chunks.pop()
            birth = born.pop()
            self.bytes -= older.nbytes + chunk.nbytes
            chunk = _join(older, chunk)
            self.bytes += chunk.nbytes
        chunks.append(chunk)
        born.append(birth)
        self._chunks[stream_id] = tuple(chunks)

    def forget(self, stream_id: int) -> None:
        """Holds nothing of a stream any more; what is pushed next may begin anywhere."""
        for chunk in self._chunks.pop(stream_id, ()):
            self.bytes -= chunk.nbytes
            self.rows -= chunk.rows
        self._born.pop(stream_id, None)

    def evict(self) -> set[int]:
        """Forgets the oldest chunks until the limit holds; returns the streams that lost some."""
        touched: set[int] = set()
        while self.bytes > self.bytes_max:
            oldest = min((births[0], stream_id) for stream_id, births in self._born.items() if births)
            stream_id = oldest[1]
            first, *rest = self._chunks[stream_id]
            self._chunks[stream_id] = tuple(rest)
            self._born[stream_id].pop(0)
            self.bytes -= first.nbytes
            self.rows -= first.rows
            touched.add(stream_id)
        return touched

    def sizes(self) -> Mapping[int, int]:
        """Bytes held by stream."""
        return {stream_id: sum(c.nbytes for c in chunks) for stream_id, chunks in self._chunks.items()}


def measured(first: int, data: pa.RecordBatch, *, ts_min: int, ts_max: int, schema_version: int) -> Chunk:
    """A chunk of these rows, with the memory that they really hold."""
    return Chunk(first, first + data.num_rows - 1, data, ts_min, ts_max, int(data.get_total_buffer_size()), schema_version)


def _joinable(older: Chunk, newer: Chunk) -> bool:
    return older.schema_version == newer.schema_version and older.rows <= 2 * newer.rows and older.nbytes + newer.nbytes <= CHUNK_BYTES_MAX


def _join(older: Chunk, newer: Chunk) -> Chunk:
    data = pa.concat_batches([older.data, newer.data])
    return measured(
        older.first,
        data,
        ts_min=min(older.ts_min, newer.ts_min),
        ts_max=max(older.ts_max, newer.ts_max),
        schema_version=older.schema_version,
    )
