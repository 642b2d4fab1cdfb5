"""The last value of each series, in memory and as it is stored, is the last record that there is of it.

Where records are gone by retention, or can't be read, the last value may be all that is left: it is not doubted there. Streams whose
identity leaves out a tag are not looked at: their records are one over several series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import US_PER_DAY, iso
from appliance.cold.segments import check_segment
from appliance.hot import deletions, latest_table
from appliance.hot.series import I64, U64, series_hashes
from appliance.hot.state import StreamState
from appliance.hot.stored_latest import latest_values
from appliance.hot.visible import shown
from appliance.reconcile.derived.sql import quoted, within
from appliance.reconcile.derived.twice import asked_spans, seen_twice
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.records import Schema
from appliance.spans import LAST, Span, common, hull, union

DIFFERS: Final = "last value differs"
STORED_DIFFERS: Final = "stored last value differs"
NEWEST_US: Final = 3_600_000_000
"""Event time before the newest record that a look goes back where it does not look at all."""
FINDINGS_MAX: Final = 20
"""Series of one stream that are named one by one."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Last:
    """Last records, one a series, sorted by series."""

    hashes: U64
    seqs: I64
    ts: I64
    data: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.hashes)

    def at(self, which: npt.NDArray[np.intp] | Mask) -> Last:
        """Some of them."""
        return Last(self.hashes[which], self.seqs[which], self.ts[which], self.data.take(pa.array(np.arange(len(self))[which])))


def check_records(look: Look) -> Iterator[Finding]:
    """What is answered as last is what the records give; where not all is computed anew, by the records of the newest hour."""
    yield from seen_twice(look, _by_records)


def _by_records(look: Look) -> Iterator[Finding]:
    for stream in look.state.streams.values():
        if not is_told_apart_by_series(stream) or _is_followed(look, stream):
            continue
        for span in _spans(look, stream):
            given = _latest_of(last_by_records(look, stream, part) for part in _pieces(look, stream, span))
            have = in_memory(look, stream)
            yield from _compared(look, stream, have, given, span)


def _is_followed(look: Look, stream: StreamState) -> bool:
    """Whether a deletion's last values are still to be found anew."""
    return look.reader.has_deletions and bool(deletions.without_latest(look.reader.cursor, stream.id))


def is_told_apart_by_series(stream: StreamState) -> bool:
    """Whether no two records of different series are the same one."""
    columns = stream.identity_columns()
    return columns is None or set(columns) == {*stream.schema.tags, "ts"}


def _spans(look: Look, stream: StreamState) -> tuple[Span, ...]:
    if look.scope == "full":
        return (hull(asked),) if (asked := asked_spans(look, stream)) else ()
    newest = look.reader.execute("SELECT max(ts_max) FROM batch WHERE stream_id = ?", (stream.id,))[0][0]
    times = [*([] if newest is None else [int(str(newest))]), *(s.ts_max for s in stream.segments)]
    return ((min(max(times, default=look.now_us), look.now_us) - NEWEST_US, LAST),)


def _pieces(look: Look, stream: StreamState, span: Span) -> tuple[Span, ...]:
    """Where in a span the last record of each series lies, as far as this pass has seen it; else the whole span.

    What is hidden by a deletion was last as well: then nothing is known.
    """
    identities = look.seen.identities.get(stream.name)
    if identities is None or stream.deletions or {s.id for s in stream.segments} != {s.id for s in identities.stream.segments}:
        return (span,)
    days = identities.last_days(*span)
    if days is None:
        return (span,)
    hot = look.reader.execute("SELECT ts_min, ts_max + 1 FROM batch WHERE stream_id = ?", (stream.id,))
    parts = [(day * US_PER_DAY, (day + 1) * US_PER_DAY) for day in days]
    parts += [(int(str(low)), int(str(high))) for low, high in hot]
    return common(union(parts), (span,)) or (span,)


def _latest_of(parts: Iterable[Last]) -> Last:
    """The latest record of each series among parts that share no time."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    hashes, ts = np.concatenate([p.hashes for p in found]), np.concatenate([p.ts for p in found])
    order = np.lexsort((ts, hashes))
    is_last = np.append(hashes[order][1:] != hashes[order][:-1], True)
    data = pa.Table.from_batches([p.data for p in found]).combine_chunks().to_batches()[0]
    return Last(hashes, np.concatenate([p.seqs for p in found]), ts, data).at(order[is_last])


def last_by_records(look: Look, stream: StreamState, span: Span) -> Last:
    """The last record of each series among those of a span, by one question."""
    assert look.query is not None
    schema = stream.schema
    tags = ", ".join(quoted(t) for t in schema.tags)
    packed = ", ".join(f"c{i} := {quoted(f.name)}" for i, f in enumerate(schema.fields))
    struct = f"struct_pack(seq := _seq{', ' if packed else ''}{packed})"
    by = "ts" if stream.identity is not None else "struct_pack(ts := ts, seq := _seq)"
    unpacked = "".join(f", last.c{i} AS {quoted(f.name)}" for i, f in enumerate(schema.fields))
    found = look.query(
        f"SELECT __ts AS ts{', ' if tags else ''}{tags}{unpacked}, last.seq AS _seq FROM ("
        f"SELECT {tags}{', ' if tags else ''}max(ts) AS __ts, arg_max({struct}, {by}) AS last"
        f" FROM {quoted(stream.name)} WHERE {within('ts', *span)}{' GROUP BY ' + tags if tags else ''}) WHERE __ts IS NOT NULL"
    )
    return last_of(found, schema)


def in_memory(look: Look, stream: StreamState) -> Last:
    """The last values that are answered: those of the service, else those that a start would have."""
    table = latest_values(look.reader, stream) if look.last_values is None else look.last_values(stream.name)
    return last_of(table, stream.schema)


def last_of(table: pa.Table, schema: Schema) -> Last:
    """Rows in any order, in the columns of ``Schema.lake`` or some of them, as ``Last``; columns that the schema has not are left out."""
    names = table.column_names
    columns = []
    for field in schema.arrow:
        if field.name not in names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name).combine_chunks()
        if pa.types.is_dictionary(field.type):
            column = column.cast(pa.string()) if not pa.types.is_dictionary(column.type) else column
            columns.append(column if pa.types.is_dictionary(column.type) else column.dictionary_encode())
        else:
            columns.append(column.cast(field.type))
    data = pa.RecordBatch.from_arrays([_one(c) for c in columns], schema=schema.arrow)
    hashes = series_hashes(data, schema.tags)
    order = np.argsort(hashes, kind="stable")
    seqs = np.asarray(table.column("_seq").to_numpy(), dtype=np.int64)
    ts = np.asarray(data.column(0).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
    return Last(hashes[order], seqs[order], ts[order], data.take(pa.array(order)))


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _compared(look: Look, stream: StreamState, have: Last, given: Last, span: Span) -> Iterator[Finding]:
    """``given`` is by the records of ``span``; what came after the look's picture may be in one and not in the other."""
    known = given.at(given.seqs <= stream.last_seq)
    place, is_there = _places(have.hashes, known.hashes)
    lacking = known.at(~is_there)
    yield from _findings(stream, lacking.at(~_in_doubt(look, stream, lacking)), "has no last value, and its records give one")
    same, old = known.at(is_there), have.at(place[is_there])
    behind = old.ts < same.ts
    changed = (old.ts == same.ts) & ((old.seqs != same.seqs) | _differ(old.data, same.data)) & (old.seqs <= stream.last_seq)
    other, its = same.at(behind | changed), old.at(behind | changed)
    doubt = _in_doubt(look, stream, other) | _in_doubt(look, stream, its)
    yield from _findings(stream, other.at(~doubt), "has another last value than its records give")
    recent = have.at((have.ts >= span[0]) & (have.ts < span[1]) & (have.seqs <= stream.last_seq))
    place, is_there = _places(given.hashes, recent.hashes)
    beyond = ~is_there
    beyond[is_there] = given.ts[place[is_there]] < recent.ts[is_there]
    gone = np.zeros(len(recent), np.bool_)
    for low, high in _gone(look, stream):
        gone |= (recent.ts >= low) & (recent.ts < high)
    alone = recent.at(beyond & ~gone)
    yield from _findings(stream, alone.at(~_in_doubt(look, stream, alone)), "has a last value of which there is no record")


def _in_doubt(look: Look, stream: StreamState, some: Last) -> Mask:
    """Which of them would be, or come from, where the records themselves are missing or damaged: that is found as such, and what was
    said last may be all that is left of it."""
    doubt = np.zeros(len(some), np.bool_)
    if not len(some):
        return doubt
    for segment in stream.segments:
        within_it = (some.ts >= segment.ts_min) & (some.ts <= segment.ts_max)
        if (within_it & ~doubt).any() and check_segment(look.folder, segment, deep=True) is not None:
            doubt |= within_it
    held = some.seqs <= stream.mark
    for first, last in look.reader.execute("SELECT first, last FROM batch WHERE stream_id = ?", (stream.id,)):
        held |= (some.seqs >= int(str(first))) & (some.seqs <= int(str(last)))
    return np.asarray(doubt | ~held, dtype=np.bool_)


def _gone(look: Look, stream: StreamState) -> tuple[Span, ...]:
    """Event times whose records retention has removed, or that nobody can read."""
    wanted = "SELECT ts_min, ts_max + 1 FROM removal WHERE stream_id = ?"
    removed = look.reader.execute(wanted, (stream.id,)) if look.reader.has_deletions else []
    return union([*((int(str(a)), int(str(b))) for a, b in removed), *((s.ts_min, s.ts_max + 1) for s in stream.lost)])


def _places(sorted_hashes: U64, wanted: U64) -> tuple[npt.NDArray[np.intp], Mask]:
    """Where each of ``wanted`` stands in the others, and whether it does."""
    if not len(sorted_hashes):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(sorted_hashes, wanted), len(sorted_hashes) - 1)
    return place, np.asarray(sorted_hashes[place] == wanted, dtype=np.bool_)


def _differ(a: pa.RecordBatch, b: pa.RecordBatch) -> Mask:
    """Rows whose values differ. A number that is none is as good as no value: SQLite keeps it as such."""
    result = np.zeros(a.num_rows, np.bool_)
    for one, other in zip(a.columns, b.columns, strict=True):
        x, y = _plain(one), _plain(other)
        nulls = pc.xor(pc.is_null(x), pc.is_null(y))
        unequal = pc.fill_null(pc.not_equal(x, y), False)
        result |= pc.or_(nulls, unequal).to_numpy(zero_copy_only=False)
    return result


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def _findings(stream: StreamState, some: Last, what: str, *, kind: str = DIFFERS) -> Iterator[Finding]:
    where = "last values" if kind == DIFFERS else f"hot.sqlite {latest_table.table_name(stream.folder)}"
    tags = stream.schema.tags
    for row in range(min(len(some), FINDINGS_MAX)):
        series = ", ".join(f"{t}={_value(some.data.column(t)[row])}" for t in tags) or "its only series"
        hint = f" (and {len(some) - FINDINGS_MAX} more)" if row == FINDINGS_MAX - 1 and len(some) > FINDINGS_MAX else ""
        yield Finding(
            kind=kind,
            where=where,
            key=f"{stream.name} {int(some.hashes[row]):016x}",
            stream=stream.name,
            first=int(some.seqs[row]) if some.seqs[row] >= 0 else None,
            last=int(some.seqs[row]) if some.seqs[row] >= 0 else None,
            since_us=int(some.ts[row]),
            until_us=int(some.ts[row]) + 1,
            what=f"the series {series} {what}: {iso(int(some.ts[row]))}{hint}",
            repair="it is found anew in the records",
            facts={"series": int(some.hashes[row].view(np.int64))},
        )


def _value(value: object) -> str:
    found = value.as_py()  # type: ignore[attr-defined]  # a scalar of Arrow, which has no types
    return "(none)" if found is None else str(found)[:80]


def check_stored(look: Look) -> Iterator[Finding]:
    """What the table of last values has of series whose last record is in the lake is that record: a start begins with it."""
    if look.last_values is not None:
        yield from seen_twice(look, _stored)


def _stored(look: Look) -> Iterator[Finding]:
    for stream in look.state.streams.values():
        saved = latest_table.load(look.reader.cursor, stream.schema, stream.folder)
        rows = None if saved is None else shown(saved, stream.deletions)
        have = in_memory(look, stream)
        settled = have.at(have.seqs <= stream.mark)
        if rows is None:
            yield from _findings(stream, settled, "is not stored as it is in memory", kind=STORED_DIFFERS)
            continue
        hashes, seqs, data = rows
        order = np.argsort(hashes, kind="stable")
        ts = np.asarray(data.column(0).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
        stored = Last(hashes[order], seqs[order], ts[order], data.take(pa.array(order)))
        yield from _findings(stream, _unlike(settled, stored), "is not stored as it is in memory", kind=STORED_DIFFERS)
        yield from _findings(stream, _ahead(have, stored), "is stored as no record of it was", kind=STORED_DIFFERS)


def _unlike(settled: Last, stored: Last) -> Last:
    place, is_there = _places(stored.hashes, settled.hashes)
    wrong = ~is_there
    now, then = settled.at(is_there), stored.at(place[is_there])
    wrong[is_there] = (now.seqs != then.seqs) | _differ(now.data, then.data)
    return settled.at(wrong)


def _ahead(have: Last, stored: Last) -> Last:
    """Stored ones that are later than what is in memory: a start would take them for the last."""
    place, is_there = _places(have.hashes, stored.hashes)
    wrong = ~is_there
    wrong[is_there] = (stored.ts[is_there] > have.ts[place[is_there]]) | (stored.seqs[is_there] > have.seqs[place[is_there]])
    return stored.at(wrong & (stored.seqs != latest_table.GONE))


def hashes_of(findings: Sequence[Finding]) -> U64:
    """The series that findings are about."""
    return np.unique(np.array([int(f.facts["series"]) for f in findings], dtype=np.int64).view(np.uint64))
