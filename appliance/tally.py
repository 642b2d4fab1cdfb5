"""The tally: how many records there are and a checksum of them that knows no order, by stream and UTC day. No I/O.

Each record has a hash out of its time, its sequence and its values; the checksum of many is the sum of their hashes modulo 2**64
(an incremental multiset hash: Clarke et al., "Incremental Multiset Hash Functions", 2003). So tallies of parts add up to that of the
whole, however it is cut and in whatever order, and what goes is taken off again. A record that is missing, there twice or changed in
one value changes it; several such changes leave it as it was once in 2**64. It is no proof against somebody who means it.

The hash of a record is the same wherever it lies: columns in any order, a column that is null or not there, tags as a dictionary or
written out, whole numbers as integers or as floats, a column's name in any case. Floats count by their bits: -0.0 is not 0.0.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.clock import US_PER_DAY
from appliance.records import fold
from appliance.text_hashes import HALF, U64, mix, text_hashes

I64 = npt.NDArray[np.int64]
_WORD = 2**64
_EXACT = 2.0**53
"""From here on not every integer is a float."""
_BLOCK_ROWS = 8192
"""Rows that are worked on at a time, so that what they need stays in the processor's caches."""
_KNOWN_BYTES_MAX = 32 * 1024
"""Sets of values up to this size are known again when they come again."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Records, told as one."""

    rows: int
    sum: int
    """Of the records' hashes, modulo 2**64; never negative. Of a difference ``rows`` may be."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.rows + other.rows, (self.sum + other.sum) % _WORD)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.rows - other.rows, (self.sum - other.sum) % _WORD)

    def __bool__(self) -> bool:
        return bool(self.rows or self.sum)


EMPTY = Tally(0, 0)
Tallies = Mapping[int, Tally]
"""UTC day (days since 1970-01-01) -> the tally of its records; a day that is not there has none."""


def joined(parts: Iterable[Tallies]) -> dict[int, Tally]:
    """All parts together; days of which nothing is left are not there."""
    found: dict[int, Tally] = {}
    for part in parts:
        for day, tally in part.items():
            found[day] = found.get(day, EMPTY) + tally
    return {day: tally for day, tally in sorted(found.items()) if tally}


def difference(after: Tallies, before: Tallies) -> dict[int, Tally]:
    """What must be added to ``before`` to have ``after``; only days that differ."""
    return joined((after, {day: EMPTY - tally for day, tally in before.items()}))


def to_text(tallies: Tallies) -> str:
    """JSON, day -> [rows, sum], the sum as a signed number as SQLite has them."""
    return json.dumps({day: [t.rows, signed(t.sum)] for day, t in sorted(tallies.items())}, separators=(",", ":"))


def from_text(text: str) -> dict[int, Tally]:
    """What ``to_text`` has written."""
    return {int(day): Tally(rows, number % _WORD) for day, (rows, number) in json.loads(text).items()}


def signed(number: int) -> int:
    """A sum as a signed number of 64 bits; ``% 2**64`` is the way back."""
    return number - _WORD if number >= _WORD // 2 else number


def tally_by_day(data: Any, seqs: I64 | int | None = None) -> dict[int, Tally]:
    """The tallies of the days of ``data``'s records; arguments as of ``row_hashes``."""
    return by_day(*_hashed(data, seqs)) if data.num_rows else {}


def by_day(hashes: U64, ts: I64) -> dict[int, Tally]:
    """The tallies of the days of at least one record: its hash and its time."""
    low, high = int(ts.min()) // US_PER_DAY, int(ts.max()) // US_PER_DAY
    if low == high:
        return {low: Tally(len(ts), int(hashes.sum(dtype=np.uint64)))}
    days = ts // US_PER_DAY
    order = np.argsort(days, kind="stable")
    ordered = days[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    counts = np.diff(np.append(starts, len(ordered)))
    sums = np.add.reduceat(hashes[order], starts)
    return {day: Tally(n, s) for day, n, s in zip(ordered[starts].tolist(), counts.tolist(), sums.tolist(), strict=True)}


def widening(data: pa.RecordBatch, seqs: I64 | int | None, columns: Iterable[str]) -> dict[int, Tally]:
    """What the tallies of ``data`` change by when these columns of integers become floats: nothing, but for those beyond 2**53."""
    wide = data
    for name in columns:
        at = data.schema.get_field_index(name)
        if at >= 0 and pa.types.is_integer(data.schema.field(at).type):
            near = data.column(at).cast(pa.float64(), safe=False)
            size = np.abs(near.fill_null(0.0).to_numpy(zero_copy_only=False))
            if len(size) and size.max() >= _EXACT:
                wide = wide.set_column(at, name, near)
    return {} if wide is data else difference(tally_by_day(wide, seqs), tally_by_day(data, seqs))


def row_hashes(data: Any, seqs: I64 | int | None = None) -> U64:
    """The hash of each record of a table or record batch with ``ts`` and any of a stream's columns.

    ``seqs``: their sequences, or the first of them; None: ``data`` has them as ``_seq``. Columns are those of ``Schema.arrow`` or
    ``Schema.lake``, or of what DuckDB makes of them; neither ``ts`` nor ``_seq`` has a null. Raises ``TypeError`` for a type that no
    column of a stream has.
    """
    return _hashed(data, seqs)[0]


def group_hashes(data: pa.RecordBatch, groups: Sequence[Collection[str]]) -> tuple[U64, I64, tuple[U64, ...]]:
    """The hash and the time of each record of a batch with ``_seq``, and for each group of columns the hash of their values alone.

    Groups name columns of text and ``ts``; one that is not there counts as one without values. Equal values have equal hashes in
    whatever batch they lie, different ones once in 2**64. Raises as ``row_hashes``.
    """
    folded = tuple(frozenset(fold(name) for name in group) for group in groups)
    return _of_batch(data, _whole(data, "_seq"), folded)


def _hashed(data: Any, seqs: I64 | int | None) -> tuple[U64, I64]:
    """The hash and the time of each record."""
    if isinstance(seqs, int):
        seqs = np.arange(seqs, seqs + data.num_rows, dtype=np.int64)
    if isinstance(data, pa.RecordBatch):
        return _of_batch(data, _whole(data, "_seq") if seqs is None else seqs)[:2]
    parts, done = [], 0
    for batch in data.to_batches():
        parts.append(_of_batch(batch, _whole(batch, "_seq") if seqs is None else seqs[done : done + batch.num_rows])[:2])
        done += batch.num_rows
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return np.concatenate([hashes for hashes, _ in parts]), np.concatenate([ts for _, ts in parts])


def _whole(data: pa.RecordBatch, name: str) -> I64:
    """A column of whole numbers or times without nulls."""
    return np.asarray(data.column(data.schema.get_field_index(name)).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


@lru_cache(maxsize=8192)
def _keys(name: str) -> tuple[int, int]:
    """The odd factor of a column's numbers, and what a value that is there adds; by folded name."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16, person=b"appliance.tally").digest()
    return int.from_bytes(digest[:8], "little") | 1, int.from_bytes(digest[8:], "little")


@dataclass(slots=True)
class _Number:
    """A column of numbers; null counts as 0 in ``values``."""

    name: str
    values: npt.NDArray[Any]
    nulls: npt.NDArray[np.bool_] | None


@dataclass(slots=True)
class _Cells:
    """The columns of a batch, ready to be hashed block by block."""

    numbers: list[_Number] = field(default_factory=list)
    words: list[tuple[str, U64]] = field(default_factory=list)
    """Columns that count by their 64 bits as they are."""
    looked: list[tuple[str, U64, npt.NDArray[Any]]] = field(default_factory=list)
    """Hashes of a dictionary's values, and which of them each row has."""
    hashed: list[tuple[str, U64]] = field(default_factory=list)
    constant: int = 0
    """What every row has."""


def _of_batch(data: pa.RecordBatch, seqs: I64, groups: tuple[frozenset[str], ...] = ()) -> tuple[U64, I64, tuple[U64, ...]]:
    cells, ts = _Cells(), _whole(data, "ts")
    cells.words.append(("_seq", np.ascontiguousarray(seqs, np.int64).view(np.uint64)))
    cells.words.append(("ts", ts.view(np.uint64)))
    for given, column in zip(data.schema.names, data.columns, strict=True):
        name = fold(given)
        if name != "ts" and name != "_seq" and column.null_count < len(column):
            _place(cells, name, column)
    keyed = [*(n.name for n in cells.numbers), *(name for name, _ in cells.words)]
    keys = np.array([[_keys(name)[0]] for name in keyed], np.uint64)
    found, *of_groups = (np.empty(data.num_rows, np.uint64) for _ in range(1 + len(groups)))
    wanted = [_Group.of(group, cells) for group in groups]
    for start in range(0, data.num_rows, _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, data.num_rows))
        parts = _parts(cells, keys, rows)
        found[rows] = _sum(cells, parts, rows)
        for group, hashes in zip(wanted, of_groups, strict=True):
            hashes[rows] = group.sum(cells, parts[0], rows)
    return found, ts, tuple(of_groups)


def _place(cells: _Cells, name: str, column: Any) -> None:
    """Puts a column that has values where it belongs."""
    kind = column.type
    if pa.types.is_dictionary(kind) and (len(column.dictionary) > 2 * len(column) or column.dictionary.null_count):
        column = column.dictionary_decode()  # a few rows of a large block
        kind = column.type
    if pa.types.is_dictionary(kind):
        lookup = _lookup(name, column.dictionary)
        indices = column.indices.fill_null(len(lookup) - 1) if column.null_count else column.indices
        cells.looked.append((name, lookup, indices.to_numpy(zero_copy_only=False)))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        hashes = _text_cells(name, column)
        if column.null_count:
            hashes[column.is_null().to_numpy(zero_copy_only=False)] = 0
        cells.hashed.append((name, hashes))
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        nulls = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
        plain = column if nulls is None else column.fill_null(False if pa.types.is_boolean(kind) else 0)
        cells.numbers.append(_Number(name, plain.to_numpy(zero_copy_only=False), nulls))
        if nulls is None:
            cells.constant += _keys(name)[1]
    else:
        raise TypeError(f"{name!r} is {kind}, which no column of a stream is")


@dataclass(slots=True)
class _Group:
    """Columns of text and time, by where their parts are."""

    parts: slice | list[int]
    hashed: list[int]

    @classmethod
    def of(cls, names: frozenset[str], cells: _Cells) -> _Group:
        rows = [*(n.name for n in cells.numbers), *(n for n, _ in cells.words), *(n for n, _, _ in cells.looked)]
        at = [i for i, name in enumerate(rows) if name in names]
        neighbours = bool(at) and at[-1] - at[0] + 1 == len(at)
        return cls(slice(at[0], at[-1] + 1) if neighbours else at, [i for i, (name, _) in enumerate(cells.hashed) if name in names])

    def sum(self, cells: _Cells, parts: U64, rows: slice) -> U64:
        total: U64 = np.add.reduce(parts[self.parts], axis=0)
        for at in self.hashed:
            total += cells.hashed[at][1][rows]
        return mix(total)


def _sum(cells: _Cells, parts: tuple[U64, U64 | None], rows: slice) -> U64:
    """What all columns come to."""
    matrix, rest = parts
    total: U64 = np.add.reduce(matrix, axis=0)
    for _, hashes in cells.hashed:
        total += hashes[rows]
    if rest is not None:
        total += rest
    total += np.uint64(cells.constant % _WORD)
    return mix(total)


def _parts(cells: _Cells, keys: U64, rows: slice) -> tuple[U64, U64 | None]:
    """What each column adds to the hashes of some neighbouring rows, a row of a matrix each, and what ``_rest`` gives."""
    count, numbers, first_looked = rows.stop - rows.start, len(cells.numbers), len(keys)
    parts = np.empty((first_looked + len(cells.looked), count), np.uint64)
    floats = parts[:numbers].view(np.float64)
    for at, number in enumerate(cells.numbers):
        floats[at] = number.values[rows]
    rest = _rest(cells, floats, rows)
    for at, (_, words) in enumerate(cells.words):
        parts[numbers + at] = words[rows]
    keyed = parts[:first_looked]
    keyed ^= keyed >> HALF
    keyed *= keys
    for at, number in enumerate(cells.numbers):
        if number.nulls is not None:
            keyed[at] += np.uint64(_keys(number.name)[1])
            keyed[at][number.nulls[rows]] = 0
    for at, (_, lookup, indices) in enumerate(cells.looked):
        lookup.take(indices[rows], out=parts[first_looked + at], mode="clip")
    return parts, rest


def _rest(cells: _Cells, floats: npt.NDArray[np.float64], rows: slice) -> U64 | None:
    """What integers add that are no float: how far they are from the float next to them. None: all of them are floats too."""
    if not floats.size or (floats.max() < _EXACT and floats.min() > -_EXACT):  # false for a NaN
        return None
    total: U64 = np.zeros(floats.shape[1], np.uint64)
    for at, number in enumerate(cells.numbers):
        if np.issubdtype(number.values.dtype, np.integer):
            whole = number.values[rows].astype(np.int64, copy=False)
            total += _beyond(whole, floats[at]) * np.uint64(_keys(f"{number.name}\0rest")[0])
    return total


def _beyond(whole: I64, near: npt.NDArray[np.float64]) -> U64:
    """``whole`` less ``near``, which is ``whole`` as floats, modulo 2**64."""
    above = near >= 2.0**63  # the float next to the highest integers is no integer of 64 bits
    back = np.where(above, 0.0, near).astype(np.int64).view(np.uint64)
    back[above] = np.uint64(2**63)
    return np.asarray(whole.view(np.uint64) - back)


def _lookup(name: str, values: Any) -> U64:
    """The part of each value, and at the end 0 for null."""
    if values.type == pa.string() and len(values):
        _, offsets, texts = values.buffers()
        if texts is not None and max(offsets.size, texts.size) <= _KNOWN_BYTES_MAX:
            first = values.offset * 4
            return _known_lookup(name, bytes(offsets[first : first + (len(values) + 1) * 4]), bytes(texts))
    return np.append(_text_cells(name, values), np.uint64(0))


@lru_cache(maxsize=128)
def _known_lookup(name: str, offsets: bytes, texts: bytes) -> U64:
    values = pa.StringArray.from_buffers(len(offsets) // 4 - 1, pa.py_buffer(offsets), pa.py_buffer(texts))
    found = np.append(_text_cells(name, values), np.uint64(0))
    found.setflags(write=False)
    return found


def _text_cells(name: str, values: Any) -> U64:
    hashes = text_hashes(values)
    hashes += np.uint64(_keys(name)[1])
    return mix(hashes)
