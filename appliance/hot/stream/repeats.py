"""Rows put together, and records that are the same one told apart: for the slow, exact way of late records."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hot.series import merge_runs, series_hashes
from appliance.hot.stream.values import I64, Mask, Rows


def sent_before(seqs: I64, past: Sequence[Rows], tags: Collection[str]) -> tuple[Mask, Mask]:
    """Which of some records were sent before as they are, and which with other values: the same one by ``tags`` and time.

    ``past`` has all records of their stretch of time, they among them; one that is not there was not sent before.
    """
    same, other = np.zeros(len(seqs), np.bool_), np.zeros(len(seqs), np.bool_)
    if not past:
        return same, other
    whole = joined(past)
    hashes, ts = series_hashes(whole.data, [t for t in tags if t in whole.data.schema.names]), whole.ts
    order = np.lexsort((whole.seqs, ts, hashes))
    twins = np.flatnonzero((hashes[order][1:] == hashes[order][:-1]) & (ts[order][1:] == ts[order][:-1])) + 1
    twins = twins[np.isin(whole.seqs[order[twins]], seqs)]
    if not len(twins):
        return same, other
    later, earlier = (whole.data.take(pa.array(order[at])) for at in (twins, twins - 1))
    equal = np.ones(len(twins), np.bool_)
    for name in whole.data.schema.names:
        if name != "ts" and name not in tags:
            now, before = later.column(name), earlier.column(name)
            equal &= pc.or_(pc.is_null(now), pc.fill_null(pc.equal(now, before), False)).to_numpy(zero_copy_only=False)
    found = whole.seqs[order[twins]]
    return np.isin(seqs, found[equal]), np.isin(seqs, found[~equal])


def untwinned(rows: Rows, tags: Collection[str]) -> Rows:
    """Records that are the same one by ``tags`` and time as one: of each column the last value that is not null, the highest sequence."""
    present = [t for t in tags if t in rows.data.schema.names]
    hashes, ts = series_hashes(rows.data, present), rows.ts
    order = np.lexsort((rows.seqs, ts, hashes))
    h, t = hashes[order], ts[order]
    last = np.append((h[1:] != h[:-1]) | (t[1:] != t[:-1]), True) if len(order) else np.empty(0, np.bool_)
    if last.all():
        return rows
    ends = np.flatnonzero(last)
    merged = merge_runs(rows.data.take(pa.array(order)), rows.seqs, ends)
    seqs = rows.seqs[order][ends]
    by_seq = np.argsort(seqs)
    return Rows(merged.take(pa.array(by_seq)), seqs[by_seq])


def joined(parts: Sequence[Rows]) -> Rows:
    """One after the other; a column that some lack is null there. At least one part."""
    if len(parts) == 1:
        return parts[0]
    names = list(dict.fromkeys(n for p in parts for n in p.data.schema.names))
    types = {f.name: f.type for p in parts for f in p.data.schema if _is_widest(f, parts)}
    whole = pa.Table.from_batches([_with_all(p.data, names, types) for p in parts]).unify_dictionaries().combine_chunks()
    return Rows(whole.to_batches()[0], np.concatenate([p.seqs for p in parts]))


def _is_widest(field: pa.Field, parts: Sequence[Rows]) -> bool:
    """An int column may have become one of floats: then the floats count."""
    return pa.types.is_floating(field.type) or not any(
        pa.types.is_floating(p.data.schema.field(field.name).type) for p in parts if field.name in p.data.schema.names
    )


def _with_all(data: pa.RecordBatch, names: Sequence[str], types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    present = data.schema.names
    columns = [data.column(n).cast(types[n]) if n in present else pa.nulls(len(data), types[n]) for n in names]
    return pa.RecordBatch.from_arrays(columns, names=list(names))
