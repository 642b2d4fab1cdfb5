"""Tallies as they are kept in ``hot.sqlite``: of each batch in its own row, of all that is in the lake in the table ``tally``.

The table is raised from the rows of the batches, in the transaction that moves them into the lake, and changed by what a compaction
or retention says it takes away. It never learns from a file what that file should hold: so both can be compared. A day that holds
something from before there were tallies is not known (null), until everything in it is. Statements only, inside the writer's
transactions, and what reads them back.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

import pyarrow as pa

from appliance.clock import US_PER_DAY
from appliance.hot.encoding import decode
from appliance.manifest import Segment
from appliance.records import Kind, Schema, fold
from appliance.tally import EMPTY, Tallies, Tally, difference, from_text, joined, signed, tally_by_day, to_text, widening

log = logging.getLogger(__name__)
SINCE = 4
"""The format that has them."""
_KEPT = "('live', 'damaged', 'missing')"
"""States of segments whose records the table counts: those that are set aside belong to the lake still."""
Execute = Callable[..., sqlite3.Cursor]


@dataclass(frozen=True, slots=True)
class BatchTallies:
    """What a hot batch held when it was committed."""

    first: int
    last: int
    """Its sequences, all of them, also when the mark lies among them."""
    tallies: Tallies | None
    """None: it was committed before there were tallies."""


def of_batch(tallies: Tallies | None, *, ts_min: int) -> int | str | None:
    """What the row of a batch keeps: the sum alone where all records are of one day, else as of ``to_text``; nine bytes, mostly."""
    if tallies is None or len(tallies) != 1:
        return None if tallies is None else to_text(tallies)
    ((day, tally),) = tallies.items()
    assert day == ts_min // US_PER_DAY, "a batch's tally is of its days"
    return signed(tally.sum)


def load(execute: Execute, stream_id: int) -> dict[int, Tally | None]:
    """The table's entries of a stream by day; None: not known."""
    found = execute("SELECT day, rows, sum FROM tally WHERE stream_id = ? ORDER BY day", (stream_id,))
    return {day: None if total is None else Tally(rows, total % 2**64) for day, rows, total in found}


def load_batches(execute: Execute, stream_id: int) -> list[BatchTallies]:
    """Of all hot batches of a stream, in the order of sequence."""
    found = execute("SELECT first, last, ts_min, tally FROM batch WHERE stream_id = ? ORDER BY first", (stream_id,))
    return [BatchTallies(first, last, _tallies(stored, first, last, ts_min)) for first, last, ts_min, stored in found]


def above_mark(execute: Execute, stream_id: int, schemas: Mapping[int, Schema]) -> dict[int, Tally] | None:
    """Of all records above the mark; None: something of it is not known. A batch that the mark lies in is decoded."""
    mark, last = execute("SELECT mark, last_seq FROM stream WHERE id = ?", (stream_id,)).fetchone()
    parts = list(_parts(execute, stream_id, schemas, mark_from=mark, mark_to=last, version=None))
    return None if any(p.tallies is None for p in parts) else joined(p.tallies or {} for p in parts)


def raise_to(
    db: sqlite3.Connection, stream_id: int, schemas: Mapping[int, Schema], segments: Iterable[Segment], *, mark_from: int, mark_to: int
) -> None:
    """The records above ``mark_from`` up to ``mark_to`` go into the lake as ``segments``; before their batches are dropped."""
    made = list(segments)
    version = max((s.schema_version for s in made), default=None)
    parts = list(_parts(db.execute, stream_id, schemas, mark_from=mark_from, mark_to=mark_to, version=version))
    unknown = {
        day
        for part in parts
        if part.tallies is None
        for s in made
        for day in range(max(s.day, part.ts_min // US_PER_DAY), min(s.day_last, part.ts_max // US_PER_DAY) + 1)
    }
    declare(db, stream_id, joined(p.tallies for p in parts if p.tallies is not None), unknown=unknown)


def take_off(db: sqlite3.Connection, stream_id: int, segments: Iterable[Segment]) -> None:
    """These have ended for good, with all of their records; after their state has been changed."""
    gone = list(segments)
    unknown = {day for s in gone if s.tallies is None for day in range(s.day, s.day_last + 1)}
    declare(db, stream_id, difference({}, joined(s.tallies for s in gone if s.tallies is not None)), unknown=unknown)
    settle(db, stream_id)


def declare(db: sqlite3.Connection, stream_id: int, changes: Tallies, *, unknown: Iterable[int] = ()) -> None:
    """Adds differences to the table; days that are not known stay so, and ``unknown`` ones become so."""
    known = load(db.execute, stream_id)
    rows: list[tuple[int, int, int | None, int | None]] = []
    empty: list[tuple[int, int]] = []
    for day, change in changes.items():
        before = known.get(day, EMPTY)
        if before is not None:
            after = before + change
            rows.append((stream_id, day, after.rows, signed(after.sum)))
            if not after:
                empty.append((stream_id, day))
    rows += [(stream_id, day, None, None) for day in unknown]
    db.executemany("INSERT OR REPLACE INTO tally (stream_id, day, rows, sum) VALUES (?, ?, ?, ?)", rows)
    db.executemany("DELETE FROM tally WHERE stream_id = ? AND day = ? AND rows = 0 AND sum = 0", empty)


def note_segments(db: sqlite3.Connection, found: Mapping[int, Tallies]) -> None:
    """What segments (by id) turned out to hold, of which it was not known; others stay as they are."""
    db.executemany("UPDATE segment SET tallies = ? WHERE id = ? AND tallies IS NULL", [(to_text(t), i) for i, t in found.items()])


def settle(db: sqlite3.Connection, stream_id: int) -> None:
    """Days that are not known become so where each segment that has records of them is: there is nothing better to believe."""
    for day, tally in load(db.execute, stream_id).items():
        if tally is not None:
            continue
        held = db.execute(
            f"SELECT tallies FROM segment WHERE stream_id = ? AND state IN {_KEPT} AND day <= ? AND day + days > ?",
            (stream_id, day, day),
        ).fetchall()
        if any(text is None for (text,) in held):
            continue
        total = sum((from_text(text).get(day, EMPTY) for (text,) in held), EMPTY)
        db.execute("DELETE FROM tally WHERE stream_id = ? AND day = ?", (stream_id, day))
        declare(db, stream_id, {day: total} if total else {})


@dataclass(frozen=True, slots=True)
class _Part:
    """What a batch has of a range of sequences."""

    ts_min: int
    ts_max: int
    """Of the whole batch."""
    tallies: Tallies | None


def _parts(
    execute: Execute, stream_id: int, schemas: Mapping[int, Schema], *, mark_from: int, mark_to: int, version: int | None
) -> Iterator[_Part]:
    """Of the records above ``mark_from`` up to ``mark_to``; with ``version`` as they are once they are widened to that schema."""
    found = execute(
        "SELECT id, first, last, ts_min, ts_max, schema_version, tally FROM batch WHERE stream_id = ? AND last > ? AND first <= ?",
        (stream_id, mark_from, mark_to),
    ).fetchall()
    for batch, first, last, ts_min, ts_max, written, stored in found:
        tallies = _tallies(stored, first, last, ts_min)
        wider = [] if version is None else _wider(schemas[written], schemas[version])
        if tallies is not None and (wider or first <= mark_from or last > mark_to):
            data = _decoded(execute, batch, schemas[written])
            tallies = None if data is None else _cut(tallies, data, first, after=mark_from, until=mark_to, wider=wider)
        yield _Part(ts_min, ts_max, tallies)


def _cut(whole: Tallies, data: pa.RecordBatch, first: int, *, after: int, until: int, wider: list[str]) -> dict[int, Tally]:
    """The part of a batch from ``after`` on up to ``until``. Cut in pieces, a batch gives all of what it was committed with."""
    low, high = max(0, after + 1 - first), min(data.num_rows, until + 1 - first)
    part = data.slice(low, high - low)
    is_last = high == data.num_rows
    found = difference(whole, tally_by_day(data.slice(0, low), first)) if is_last else tally_by_day(part, first + low)
    return joined((found, widening(part, first + low, wider)))


def _wider(old: Schema, new: Schema) -> list[str]:
    """Columns of integers that are floats in the newer schema."""
    ints = [c.name for c in old.columns if c.kind is Kind.INT]
    return [name for name in ints if new.by_fold[fold(name)].kind is Kind.FLOAT]


def _decoded(execute: Execute, batch: int, schema: Schema) -> pa.RecordBatch | None:
    """None: its body is not what was written, so nobody can tell what a part of it was."""
    encoding, crc, body = execute("SELECT encoding, crc32, body FROM batch WHERE id = ?", (batch,)).fetchone()
    if crc32(body) != crc:
        log.error("the hot batch %d of stream %s is not what was written: what a part of it held is not known", batch, schema.stream)
        return None
    return decode(encoding, schema, body)


def _tallies(stored: int | str | None, first: int, last: int, ts_min: int) -> dict[int, Tally] | None:
    if isinstance(stored, str):
        return from_text(stored)
    return None if stored is None else {ts_min // US_PER_DAY: Tally(last - first + 1, stored % 2**64)}
