"""Series of a stream: which there are, how far each has come in event time, and the last record of each.

A series is one set of tag values, known by a 64-bit hash that depends on names and values alone, not on their order, nor on
tags that are null; so it stays when a stream gets another tag. Two of 100,000 series share a hash once in about 10^9
boxes; such a pair would share one last value, and cost nothing else, since the merged view compares the values themselves.

One owner, the door's writer thread; ``LastValues.table`` is immutable and may be handed to readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.records import Schema

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Rows = tuple[U64, I64, pa.RecordBatch]
"""(series, sequence, record) of some rows."""
LOWEST = np.iinfo(np.int64).min
"""The reach of a series that has not been anywhere yet."""
PENDING_ROWS_MIN = 4096
"""Last rows are merged when so many wait (or twice as many as there are series)."""
_PENDING_PARTS_MAX = 16
"""Commits of which rows are kept as they came; small, because a batch of one row takes some kilobytes."""
_REDUCED_ROWS_MIN = 512
"""Larger commits are cut down to their last rows at once."""
_CACHED_CHARS_MAX = 256
_KNOWN_BYTES_MAX = 32 * 1024
"""Sets of values up to this size are known again when they come again, as they do from a device that sends the same tags each time."""
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _value_hash(tag: str, value: str) -> int:
    return int.from_bytes(blake2b(f"{tag}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


_short_hash = lru_cache(maxsize=65_536)(_value_hash)


def _hashes_of(tag: str, values: Sequence[str]) -> list[int]:
    """Long values are hashed anew each time, so that the cache holds a bounded number of bytes."""
    one = _short_hash if max(map(len, values), default=0) <= _CACHED_CHARS_MAX else _value_hash
    return [one(tag, v) for v in values]


def _lookup(tag: str, values: pa.StringArray) -> U64:
    """The hash of each value, and at the end 0 for null."""
    _, offsets, texts = values.buffers()
    if values.type != pa.string() or values.null_count or texts is None or max(offsets.size, texts.size) > _KNOWN_BYTES_MAX:
        return np.array([*_hashes_of(tag, values.to_pylist()), 0], dtype=np.uint64)
    first = values.offset * 4
    return _known_lookup(tag, bytes(offsets[first : first + (len(values) + 1) * 4]), bytes(texts))


@lru_cache(maxsize=32)
def _known_lookup(tag: str, offsets: bytes, texts: bytes) -> U64:
    values = pa.StringArray.from_buffers(len(offsets) // 4 - 1, pa.py_buffer(offsets), pa.py_buffer(texts))
    found = np.array([*_hashes_of(tag, values.to_pylist()), 0], dtype=np.uint64)
    found.setflags(write=False)
    return found


def _mix(x: U64) -> U64:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads each input bit over all output bits."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def series_hashes(data: pa.RecordBatch, tags: Sequence[str]) -> U64:
    """The series of each row, by column; distinct values are hashed once, a null tag counts as absent."""
    total: U64 = np.zeros(data.num_rows, dtype=np.uint64)
    everywhere = 0
    for tag in tags:
        column = data.column(data.schema.get_field_index(tag))
        lookup = _lookup(tag, column.dictionary)
        nulls = column.null_count
        if len(lookup) == 2 and not nulls:
            everywhere += int(lookup[0])
            continue
        indices = column.indices.fill_null(len(lookup) - 1) if nulls else column.indices
        total += lookup[indices.to_numpy(zero_copy_only=False)]
    return _mix(total + np.uint64(everywhere & 0xFFFF_FFFF_FFFF_FFFF))


@dataclass(slots=True)
class SeriesTable:
    """The series of one stream and the latest event time of each, sorted by hash."""

    hashes: U64
    ts_max: I64

    @classmethod
    def empty(cls) -> SeriesTable:
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.hashes)

    def unknown(self, hashes: U64) -> npt.NDArray[np.bool_]:
        """Which of ``hashes`` are of no known series."""
        if not len(self.hashes):
            return np.ones(len(hashes), dtype=np.bool_)
        at = np.searchsorted(self.hashes, hashes)
        return np.asarray(self.hashes[np.minimum(at, len(self.hashes) - 1)] != hashes, dtype=np.bool_)

    def reached(self, hashes: U64) -> I64:
        """The latest event time of each series; the lowest integer where the series is new."""
        if not len(self.hashes):
            return np.full(len(hashes), LOWEST, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.ts_max[at], LOWEST)

    def follow(self, hashes: U64, ts: I64) -> npt.NDArray[np.bool_]:
        """Takes records in as ``advance`` does. Which of them are not after all that came before of their series, or not the first of their
        series at their time."""
        found = self._follow_rising(hashes, ts)
        if found is None:
            found = ts <= self.reached(hashes)
            order = np.lexsort((ts, hashes))
            same = (hashes[order][1:] == hashes[order][:-1]) & (ts[order][1:] == ts[order][:-1])
            found[order[1:][same]] = True
            self.advance(hashes, ts)
        return found

    def _follow_rising(self, hashes: U64, ts: I64) -> npt.NDArray[np.bool_] | None:
        """What is usual: series that are known, each with rising times; None where it isn't so."""
        if not len(self.hashes) or not len(hashes):
            return None
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        if not (self.hashes[at] == hashes).all():
            return None
        # 16-bit integers are sorted by radix
        order = (at.astype(np.uint16) if len(self.hashes) < 2**16 else at).argsort(kind="stable")
        place, times = at[order], ts[order]
        differs = place[1:] != place[:-1]
        if not ((times[1:] > times[:-1]) | differs).all():
            return None
        found: npt.NDArray[np.bool_] = ts <= self.ts_max[at]
        ends = np.append(differs, True)
        last = place[ends]
        self.ts_max[last] = np.maximum(self.ts_max[last], times[ends])
        return found

    def advance(self, hashes: U64, ts: I64) -> None:
        """Takes in records; each series moves to its latest event time. ``LOWEST`` makes a series known without moving it."""
        order = np.lexsort((ts, hashes))
        sorted_hashes, sorted_ts = hashes[order], ts[order]
        ends = np.append(sorted_hashes[1:] != sorted_hashes[:-1], True) if len(order) else np.empty(0, np.bool_)
        last_hash, last_ts = sorted_hashes[ends], sorted_ts[ends]
        new = self.unknown(last_hash)
        if new.any():
            at = np.searchsorted(self.hashes, last_hash[new])
            self.hashes = np.insert(self.hashes, at, last_hash[new])
            self.ts_max = np.insert(self.ts_max, at, LOWEST)
        place = np.searchsorted(self.hashes, last_hash)
        self.ts_max[place] = np.maximum(self.ts_max[place], last_ts)


def last_rows(hashes: U64, ts: I64, seqs: I64) -> npt.NDArray[np.intp]:
    """Positions, in order of (series, time, sequence), of the rows of each series that share its latest event time."""
    if not len(hashes):
        return np.empty(0, np.intp)
    order = np.lexsort((seqs, ts, hashes))
    h, t = hashes[order], ts[order]
    ends = np.flatnonzero(np.append(h[1:] != h[:-1], True))
    latest = np.repeat(t[ends], np.diff(np.append(-1, ends)))
    return np.asarray(order[t == latest], dtype=np.intp)


class LastValues:
    """The last record of each series of one stream: its newest by event time, repeats of it merged field by field."""

    def __init__(self, schema: Schema, *, merge_fields: bool) -> None:
        """``merge_fields``: records of one series and time are the same one (the stream has an identity)."""
        self._schema = schema
        self._merge = merge_fields
        self._hashes: U64 = np.empty(0, np.uint64)
        self._seqs: I64 = np.empty(0, np.int64)
        self._data: pa.RecordBatch = _empty(schema)
        self._pending: list[Rows] = []
        self._pending_rows = 0

    def add(self, schema: Schema, hashes: U64, data: pa.RecordBatch, *, first_seq: int) -> None:
        """Takes in committed rows (columns of ``schema``, the stream's newest) with sequences from ``first_seq`` on."""
        self.put(schema, hashes, np.arange(first_seq, first_seq + data.num_rows, dtype=np.int64), data)

    def put(self, schema: Schema, hashes: U64, seqs: I64, data: pa.RecordBatch) -> None:
        """As ``add``, with the sequence of each row."""
        self._schema = schema
        part = (hashes, seqs, data)
        self._pending.append(part if data.num_rows < _REDUCED_ROWS_MIN else _reduced(part))
        self._pending_rows += self._pending[-1][2].num_rows
        if self._pending_rows > max(PENDING_ROWS_MIN, 2 * len(self._hashes)):
            self._settle()
        elif len(self._pending) > _PENDING_PARTS_MAX:
            self._pending = [_reduced(self._joined(self._pending))]
            self._pending_rows = self._pending[0][2].num_rows

    def restore(self, schema: Schema, hashes: U64, seqs: I64, data: pa.RecordBatch) -> None:
        """Starts from rows that were kept earlier, one for each series."""
        self._schema, self._hashes, self._seqs, self._data = schema, hashes, seqs, data

    def rows(self) -> tuple[U64, I64, pa.RecordBatch]:
        """(series, sequence, record) with one row for each series, in the columns of the newest schema."""
        self._settle()
        return self._hashes, self._seqs, self._data

    def _settle(self) -> None:
        if not self._pending:
            if not self._data.schema.equals(self._schema.arrow):
                self._data = fit(self._data, self._schema)
            return
        hashes, seqs, data = _reduced(self._joined([(self._hashes, self._seqs, self._data), *self._pending]))
        self._pending, self._pending_rows = [], 0
        ends = np.flatnonzero(np.append(hashes[1:] != hashes[:-1], True)) if len(hashes) else np.empty(0, np.intp)
        if len(ends) < len(hashes):
            data = merge_runs(data, hashes, ends) if self._merge else data.take(pa.array(ends))
        self._hashes, self._seqs, self._data = hashes[ends], seqs[ends], data

    def _joined(self, parts: Sequence[Rows]) -> Rows:
        """Rowss one after the other, in the newest schema."""
        data = pa.concat_batches([_empty(self._schema), *(fit(p[2], self._schema) for p in parts if p[2].num_rows)])
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), data


def _reduced(part: Rows) -> Rows:
    """The rows of each series that share its latest event time, in order of (series, sequence)."""
    hashes, seqs, data = part
    keep = last_rows(hashes, _ts(data), seqs)
    return hashes[keep], seqs[keep], data.take(pa.array(keep))


def fit(data: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    """Rows written under an older version of a stream's schema, in the columns of ``schema``: new ones null, ints widened."""
    target = schema.arrow
    if data.schema.equals(target):
        return data
    columns = []
    for wanted in target:
        at = data.schema.get_field_index(wanted.name)
        if at < 0:
            columns.append(pa.nulls(data.num_rows, wanted.type))
        else:
            column = data.column(at)
            columns.append(column if column.type == wanted.type else column.cast(wanted.type, safe=False))
    return pa.RecordBatch.from_arrays(columns, schema=target)


def merge_runs(data: pa.RecordBatch, runs: U64 | I64, ends: npt.NDArray[np.intp]) -> pa.RecordBatch:
    """One row for each run of equal ``runs``, which end at ``ends``: in each column the last value of the run that is not null."""
    starts = np.append(0, ends[:-1] + 1)
    positions = np.arange(len(runs))
    columns = []
    for column in data.columns:
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        last_valid = np.maximum.accumulate(np.where(valid, positions, -1))[ends]
        columns.append(column.take(pa.array(last_valid, mask=last_valid < starts)))
    return pa.RecordBatch.from_arrays(columns, schema=data.schema)


def _ts(data: pa.RecordBatch) -> I64:
    return np.asarray(data.column(0).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _empty(schema: Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema.arrow], schema=schema.arrow)
