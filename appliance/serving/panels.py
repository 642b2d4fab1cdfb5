"""What a screen draws besides the status: the course of a column, last values, the columns there are.

Computed here by column, from the ring alone, so that a screen costs the box little; what the ring no longer holds is a
question for a query. Values for JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hot.state import Chunk, State, StreamState
from appliance.hot.visible import visible_data
from appliance.records import Kind, TimeRange, fold
from appliance.serving.explain import time_text
from appliance.serving.json_text import FEW_ROWS, few_objects, objects

SPAN_US: Final = 600_000_000
"""Ten minutes, where nobody says since when."""
BUCKETS_MAX: Final = 400
STEPS_US: Final = tuple(int(s * 1_000_000) for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400))


def series(state: State, stream: str, column: str, *, since_us: int | None, now_us: int) -> dict[str, Any] | None:
    """The lowest, highest and mean value of ``column`` for each bucket of event time since then, over all series of the stream.

    Buckets lie on an absolute grid, the last one holds now; None where a bucket is empty. None: no such stream or column.
    """
    found = state.get(stream)
    return None if found is None else series_of(found, found.ring, column, since_us=since_us, now_us=now_us)


def series_of(found: StreamState, chunks: Iterable[Chunk], column: str, *, since_us: int | None, now_us: int) -> dict[str, Any] | None:
    """``series`` over these rows of a stream."""
    wanted = found.schema.by_fold.get(fold(column))
    if wanted is None or wanted.kind in (Kind.TAG, Kind.TEXT):
        return None
    since = now_us - SPAN_US if since_us is None else since_us
    span = max(now_us - since, 1)
    step = next((s for s in STEPS_US if span / s <= BUCKETS_MAX), -(-span // BUCKETS_MAX))
    start = since // step * step
    count = now_us // step - start // step + 1
    ts, values = _values(found, chunks, wanted.name, TimeRange(start, start + count * step))
    low, high, mean = _buckets((ts - start) // step, values, count)
    return {"stream": found.name, "column": wanted.name, "step_us": step, "start_us": start, "min": low, "max": high, "mean": mean}


def columns(state: State, stream: str | None) -> list[dict[str, str]] | None:
    """Name and kind of each column of a stream, or of all; None: no such stream."""
    if stream is None:
        return [{"stream": s.name, **c} for s in state.streams.values() for c in _columns(s)]
    found = state.get(stream)
    return None if found is None else _columns(found)


def rows(table: pa.Table) -> msgspec.Raw:
    """A table in the columns of ``Schema.lake`` as JSON, an array of objects; times as ISO 8601 with ``Z``, beyond the calendar as µs."""
    names = table.schema.names
    texts = []
    for batch in (b for b in table.to_batches() if b.num_rows):
        lines = few_objects(batch, names) if batch.num_rows <= FEW_ROWS else objects(batch, names, end="\n")
        texts.append((msgspec.json.Encoder().encode_lines(_by_row(batch)) if lines is None else lines).rstrip(b"\n"))
    return msgspec.Raw(b"[" + b"\n".join(texts).replace(b"\n", b",") + b"]")


def _by_row(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = batch.set_column(0, "ts", batch.column(0).cast(pa.int64())).to_pylist()
    return [one | {"ts": time_text(one["ts"])} for one in found]


def _columns(stream: StreamState) -> list[dict[str, str]]:
    return [{"name": c.name, "kind": str(c.kind)} for c in stream.schema.columns]


def _values(
    stream: StreamState, chunks: Iterable[Chunk], name: str, span: TimeRange
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    times, found = [], []
    assert span.since is not None
    assert span.until is not None
    for chunk in chunks:
        at = chunk.data.schema.get_field_index(name)
        if at < 0 or not span.overlaps(chunk.ts_min, chunk.ts_max):
            continue
        data = visible_data(chunk, stream.deletions)
        ts = data.column("ts").cast(pa.int64())
        inside = pc.and_(pc.and_(pc.greater_equal(ts, span.since), pc.less(ts, span.until)), data.column(at).is_valid())
        times.append(ts.filter(inside).to_numpy(zero_copy_only=False))
        found.append(data.column(at).filter(inside).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if not times:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    return np.concatenate(times), np.concatenate(found)


def _buckets(places: npt.NDArray[np.int64], values: npt.NDArray[np.float64], count: int) -> tuple[list[Any], list[Any], list[Any]]:
    order = np.argsort(places, kind="stable")
    places, values = places[order], values[order]
    filled, starts = np.unique(places, return_index=True)
    low: list[Any] = [None] * count
    high, mean = list(low), list(low)
    if len(filled):
        sizes = np.diff(np.append(starts, len(places)))
        lows, highs, sums = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts), np.add.reduceat(values, starts)
        for place, a, b, c in zip(filled.tolist(), lows.tolist(), highs.tolist(), (sums / sizes).tolist(), strict=True):
            low[place], high[place], mean[place] = a, b, c
    return low, high, mean
