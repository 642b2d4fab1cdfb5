"""Closed sessions as records of the workload's own stream.

A record's time is the start of the session, its tags are the columns of ``by``: key and start are what a session is known by, and in a
stream whose records are told apart by all tags and ``ts`` (the default for what is submitted here) a correction replaces the row that
was given before. The start is the one time that doesn't move any more once a row is out; the end does, so it is a field.

Fields: ``end_us`` (int, µs since 1970 in UTC; a field can't be a time; ``make_timestamp(end_us)`` in SQL shows it), ``duration_s``
(float; what people ask for), ``records`` (int), then the aggregates by name: ints for counts and of ints, floats for what is computed,
text and bools as given. A replaced record keeps the values that its successor has no value for, as everywhere in a stream: an
aggregate that became null with a correction (too many values) still shows the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.hot.stream.sessions.values import SessionRows
from appliance.hot.stream.values import Key, Vector
from appliance.records import TAG_TYPE, TS_TYPE, Batch, Format, Submission

FIELDS: Final = ("end_us", "duration_s", "records")
"""What each session's record has besides its aggregates; they, and the columns of ``by``, can't have one of these names."""


@dataclass(frozen=True, slots=True)
class SessionOrigin:
    """A session as a JSON object, for the dead letters: so it can be replayed into the stream once that takes it."""

    data: pa.RecordBatch

    def raw(self, row: int) -> bytes:
        found = self.data.slice(row, 1).to_pylist()[0]
        found["ts"] = found["ts"].isoformat(timespec="microseconds") + "Z"
        return msgspec.json.encode({name: value for name, value in found.items() if value is not None})

    def line(self, row: int) -> int:
        return row + 1


def session_submission(workload: str, by: Sequence[str], keys: Sequence[Key], names: Sequence[str], rows: SessionRows) -> Submission | None:
    """What to give to the door; None when no session has closed.

    ``keys`` holds the key of each dense id, ``by`` its columns, ``names`` the names of ``rows.vectors``. The stream has the name of
    the workload; the source is ``session:WORKLOAD``.
    """
    if not len(rows):
        return None
    tags = {name: _tag([keys[key][place] for key in rows.ids.tolist()]) for place, name in enumerate(by)}
    fields = {
        "end_us": pa.array(rows.end_us, pa.int64()),
        "duration_s": pa.array(rows.duration_s, pa.float64()),
        "records": pa.array(rows.records, pa.int64()),
        **{name: _field(vector) for name, vector in zip(names, rows.vectors, strict=True)},
    }
    assert len(tags) + len(fields) == len(by) + len(FIELDS) + len(names), f"names of {workload} clash: {by} {names}"
    data = pa.RecordBatch.from_pydict({"ts": pa.array(rows.start_us, TS_TYPE), **tags, **fields})
    batch = Batch(workload, tuple(by), data, SessionOrigin(data))
    return Submission(f"session:{workload}", Format.JSONL, (batch,))


def _tag(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode().cast(TAG_TYPE)


def _field(vector: Vector) -> pa.Array:
    null = ~vector.valid
    if vector.texts is None:
        return pa.array(vector.values, mask=null)
    codes = pa.array(vector.values.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(codes, pa.array(vector.texts, pa.string())).cast(pa.string())
