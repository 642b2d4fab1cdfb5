"""One segment: a Parquet file with rows of one stream and one UTC day or several of a month, that means something alone.

Columns: ``ts`` (timestamp[us] without zone), tags and text (string), fields (double, int64, boolean), ``_seq`` (int64).
The file's metadata says stream, node, sequences, schema with its kinds, and the order of the rows. Written once, hashed,
never changed; where it belongs is said by the manifest alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import day_name
from appliance.cold.digest import RowDigest
from appliance.cold.encodings import Encodings, choose_encodings, writer_options
from appliance.cold.files import Publisher, locate
from appliance.errors import StoreDamaged
from appliance.manifest import Segment, days_of
from appliance.records import Column, Kind, Schema, TimeRange
from appliance.tally import Tallies, Tally, joined, tally_by_day

LAKE = "lake"
FORMAT = 1
GROUP_ROWS = 20_000
"""Rows of a row group: the unit that statistics let a reader skip. As many as PyArrow puts into one page, so that none is cut in two.

Bytes a record of a day of TSBS cpu (864,000 records): 3.77 with 122,880 rows, 3.94 with 24,576, 3.88 with 20,000, 3.94 with 16,384; of
a third of a day, where a group's footer weighs more: 3.93, 4.09, 4.03, 4.10. CPU of DuckDB over the day's file, for maxima
of 10 fields of 8 of 100 hosts over 8 hours: 28 ms, 21, 19, 19; for means by host and hour over all of it: 72 ms, 89, 72, 88.
"""
ROLL_ZSTD = 3
COMPACT_ZSTD = 9
"""What is kept for years may cost more: 9 makes log text a fifth smaller than 3, and numbers no slower to read."""
_READ_BACK_BYTES = 8 << 20
_HASH_CHUNK = 1 << 20
_TALLY_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class SegmentMeta:
    """What a segment says about itself, besides its rows."""

    schema: Schema
    node: str
    day: int
    """UTC day of every row, days since 1970-01-01; the first of them when ``days`` is more than 1."""
    level: int
    """0 as rolled, 1 merged, 2 final."""
    sorted_by: tuple[str, ...]
    """Columns that the rows lie in the order of, ascending, nulls first; ties by ``_seq``. Empty: no order."""
    days: int = 1
    """UTC days within one month that rows may be of."""
    purged: int = 0
    """As of ``Segment.purged``."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the metadata of a segment's file says."""

    stream: str
    node: str
    first: int
    last: int
    schema: Schema
    sorted_by: tuple[str, ...]
    rows: int
    memory_bytes: int
    """Of all rows in memory, text written out; a file's own sizes say nothing of text that repeats."""

    def rows_within(self, bytes_max: int) -> int:
        """How many rows take about that much memory; at least one."""
        return max(1, bytes_max * self.rows // max(1, self.memory_bytes))


def segment_name(*, first: int, last: int, generation: int = 0) -> str:
    """The file's name: sorts by sequence, and is never used twice for different contents of a day.

    ``generation`` is 0 for a roll, and for a compaction one more than the highest of its inputs: of the files that ever
    held the record ``first``, each has replaced one of a lower generation.
    """
    suffix = f"-g{generation}" if generation else ""
    return f"{first:019d}-{last:019d}{suffix}.parquet"


def generation_of(path: str) -> int:
    """The generation in a name made by ``segment_name``; 0 for a rolled one."""
    _, found, number = path.removesuffix(".parquet").rpartition("-g")
    return int(number) if found else 0


def day_folder(day: int) -> str:
    """``YYYY-MM-DD``, or the bare day number where the calendar of most readers ends (before 0001, after 9999)."""
    try:
        return day_name(day)
    except (ValueError, OverflowError, OSError):
        return f"{day}d"


def month_folder(day: int) -> str | None:
    """``YYYY-MM`` of the month that holds the day; None outside the calendar of most readers: such days stay alone."""
    name = day_folder(day)
    return None if name.endswith("d") else name.rpartition("-")[0]


def folder_of(day: int, days: int) -> str:
    """Where a segment of these days lies below its stream's folder: ``date=YYYY-MM-DD``, or ``date=YYYY-MM`` for several."""
    name = day_folder(day) if days == 1 else month_folder(day)
    assert name is not None, "days outside the calendar are never put together"
    return f"date={name}"


def write_segment(
    tables: Iterable[pa.Table],
    *,
    publisher: Publisher,
    folder: str,
    meta: SegmentMeta,
    generation: int = 0,
    encodings: Encodings | None = None,
    announce: Callable[[str], None] = lambda _path: None,
) -> Segment:
    """Publish one segment below ``lake/<folder>`` and return how the manifest should know it (``id`` 0).

    ``tables`` have the columns of ``meta.schema.lake`` with tags as dictionaries, in the order that ``meta`` promises, at
    least one row in all; each becomes row groups of its own, so only the last may be small. They are taken one at a time:
    memory holds one table, its encoded row groups and the footer. ``encodings`` are chosen from the first table unless given;
    ``announce`` is told the path just before the file gets it.

    The file is read back and compared with what was given, then hashed, before it gets its name. Raises ``RetryLater`` when
    the disk is full, ``StoreDamaged`` when what comes back differs; neither leaves anything behind.
    """
    schema, place = meta.schema, f"{LAKE}/{folder}/{folder_of(meta.day, meta.days)}"

    def fill(tmp: Path) -> tuple[str, Segment]:
        rows, tallies = _write(tables, tmp, meta, encodings)
        _compare(tmp, rows, meta)
        sha256, size = hash_file(tmp)
        name = segment_name(first=rows.first, last=rows.last, generation=generation)
        day, days = days_of(rows.ts_min, rows.ts_max)
        assert meta.day <= day, f"records before {day_folder(meta.day)}"
        assert day + days <= meta.day + meta.days, f"records after {day_folder(meta.day + meta.days - 1)}"
        segment = Segment(
            id=0,
            stream=schema.stream,
            day=day,
            path=f"{place}/{name}",
            first=rows.first,
            last=rows.last,
            rows=rows.rows,
            ts_min=rows.ts_min,
            ts_max=rows.ts_max,
            bytes=size,
            sha256=sha256,
            schema_version=schema.version,
            level=meta.level,
            days=days,
            purged=meta.purged,
            tallies=tallies,
        )
        announce(segment.path)
        return name, segment

    return publisher.publish(place, fill)


def check_segment(root: Path, segment: Segment, *, deep: bool) -> str | None:
    """None when the file is what the manifest says, else the reason in some words: missing, another size, another hash.

    ``deep`` reads and hashes the whole file; without it only existence and size are looked at, which is what a crash can
    spoil, but not what a failing card can.
    """
    try:
        path = locate(root, segment.path)
        found = path.stat()
        if not path.is_file():
            return "is not a regular file"
        if found.st_size != segment.bytes:
            return f"has {found.st_size} bytes instead of {segment.bytes}"
        if deep and (digest := hash_file(path)[0]) != segment.sha256:
            return f"has the SHA-256 {digest[:12]}… instead of {segment.sha256[:12]}…"
    except FileNotFoundError:
        return "is missing"
    except StoreDamaged as error:
        return str(error)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return None


def read_facts(path: Path) -> FileFacts:
    """What a segment's file says about itself; raises StoreDamaged for a file that is no segment."""
    with reading(path), pq.ParquetFile(path) as file:
        return _facts(file)


def read_segment(path: Path, *, tags: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows in the file's own schema and order, at most ``rows`` at a time, with ``tags`` as dictionaries."""
    with reading(path), pq.ParquetFile(path, read_dictionary=list(tags)) as file:
        yield from file.iter_batches(batch_size=rows, use_threads=False)


def read_tallies(path: Path) -> dict[int, Tally]:
    """The tallies of the rows that a segment's file holds, by UTC day; raises StoreDamaged for a file that is no segment."""
    facts = read_facts(path)
    return joined(tally_by_day(batch) for batch in read_segment(path, tags=facts.schema.tags, rows=_TALLY_ROWS) if batch.num_rows)


def read_rows(path: Path, *, tags: Sequence[str], columns: Collection[str] | None, rows: int, span: TimeRange) -> Iterator[pa.RecordBatch]:
    """As ``read_segment``, of row groups that can hold a record of ``span``; only ``columns`` (None: all) as far as it has them."""
    with reading(path), pq.ParquetFile(path, read_dictionary=list(tags)) as file:
        names = file.schema_arrow.names
        groups = [g for g in range(file.metadata.num_row_groups) if _may_hold(file.metadata.row_group(g).column(names.index("ts")), span)]
        wanted = None if columns is None else [n for n in names if n in columns]
        if groups:
            yield from file.iter_batches(batch_size=rows, row_groups=groups, columns=wanted, use_threads=False)


def _may_hold(times: Any, span: TimeRange) -> bool:
    """Whether a row group, by the statistics of its ``ts``, can hold a record of ``span``."""
    found = times.statistics
    if found is None or not found.has_min_max:
        return True
    return span.overlaps(*(int(np.datetime64(t, "us").astype(np.int64)) for t in (found.min, found.max)))


def hash_file(path: Path) -> tuple[str, int]:
    """SHA-256 in hex and the number of bytes, without following a symbolic link."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _write(tables: Iterable[pa.Table], tmp: Path, meta: SegmentMeta, encodings: Encodings | None) -> tuple[RowDigest, Tallies]:
    rows, tallies = RowDigest(), list[Tallies]()
    zstd_level = COMPACT_ZSTD if meta.level else ROLL_ZSTD
    writer: Any = None
    with os.fdopen(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb") as sink:
        try:
            for table in tables:
                rows.add(table)
                tallies.append(tally_by_day(table))
                if writer is None:
                    encodings = encodings or choose_encodings(table, zstd_level=zstd_level)
                    writer = _open_writer(sink, table.schema, encodings, meta, zstd_level=zstd_level)
                writer.write_table(table, row_group_size=GROUP_ROWS)
            assert rows.rows, "a segment without rows"
            writer.add_key_value_metadata(_metadata(meta, rows))
            writer.close()
        except BaseException:
            if writer is not None:
                with suppress(Exception):  # the first error is the one to tell; an open writer would try again when collected
                    writer.close()
            raise
    return rows, joined(tallies)


def _compare(tmp: Path, wanted: RowDigest, meta: SegmentMeta) -> None:
    """Raises StoreDamaged unless the file, opened anew, says and holds what was given to it."""
    found, facts = RowDigest(), read_facts(tmp)
    for batch in read_segment(tmp, tags=meta.schema.tags, rows=facts.rows_within(_READ_BACK_BYTES)):
        found.add(batch)
    differences = wanted.differences(found)
    if (facts.schema, facts.first, facts.last) != (meta.schema, wanted.first, wanted.last):
        differences.append("the metadata differs")
    if differences:
        raise StoreDamaged(
            f"does not read back as it was written: {', '.join(differences)}", path=tmp, hint="check the memory and the disk"
        )


def _open_writer(sink: Any, schema: pa.Schema, encodings: Encodings, meta: SegmentMeta, *, zstd_level: int) -> pq.ParquetWriter:
    by = [pq.SortingColumn(schema.get_field_index(c), nulls_first=True) for c in meta.sorted_by]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=zstd_level,
        store_schema=False,
        sorting_columns=by or None,
        write_page_checksum=True,
        **writer_options(encodings),
    )


def _metadata(meta: SegmentMeta, rows: RowDigest) -> dict[str, str]:
    return {
        "appliance.format": str(FORMAT),
        "appliance.stream": meta.schema.stream,
        "appliance.node": meta.node,
        "appliance.first": str(rows.first),
        "appliance.last": str(rows.last),
        "appliance.memory_bytes": str(rows.bytes),
        "appliance.schema_version": str(meta.schema.version),
        "appliance.kinds": json.dumps([c.kind.value for c in meta.schema.columns], separators=(",", ":")),
        "appliance.sorted_by": json.dumps(meta.sorted_by, ensure_ascii=False, separators=(",", ":")),
    }


def _facts(file: pq.ParquetFile) -> FileFacts:
    said = {k.decode(): v.decode("utf-8", "surrogatepass") for k, v in (file.metadata.metadata or {}).items()}
    if (number := int(said["appliance.format"])) > FORMAT:
        raise ValueError(f"is of format {number}, which only a later version can read")
    names = [n for n in file.schema_arrow.names if n not in ("ts", "_seq")]
    columns = [Column(n, Kind(k)) for n, k in zip(names, json.loads(said["appliance.kinds"]), strict=True)]
    return FileFacts(
        stream=said["appliance.stream"],
        node=said["appliance.node"],
        first=int(said["appliance.first"]),
        last=int(said["appliance.last"]),
        schema=Schema(said["appliance.stream"], tuple(columns), int(said["appliance.schema_version"])),
        sorted_by=tuple(json.loads(said["appliance.sorted_by"])),
        rows=file.metadata.num_rows,
        memory_bytes=int(said["appliance.memory_bytes"]),
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What PyArrow and the parsing of metadata raise for a file that is not what it should be, as one error."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreDamaged("is missing", path=path) from error
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise StoreDamaged(f"can't be read as a segment: {error}", path=path) from error
