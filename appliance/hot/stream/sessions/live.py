"""Sessions as surfaces show them: ``_sessions`` in SQL, ``/api/sessions``, the command line and the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pyarrow as pa

from appliance.hot.stream.sessions.values import SessionRows
from appliance.hot.stream.values import Key, Scalar
from appliance.records import TS_TYPE


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session as it stands. Times in µs since 1970, UTC."""

    workload: str
    key: Mapping[str, str | None]
    """Column of ``by`` -> value."""
    start_us: int
    end_us: int
    """The last record so far."""
    duration_s: float
    records: int
    is_open: bool
    """False: it has closed; only a late record changes it."""
    values: Mapping[str, Scalar]
    """Aggregate -> value."""


SCHEMA = pa.schema(
    [
        pa.field("workload", pa.string()),
        pa.field("key", pa.string()),
        pa.field("start", TS_TYPE),
        pa.field("end", TS_TYPE),
        pa.field("duration_s", pa.float64()),
        pa.field("records", pa.int64()),
        pa.field("is_open", pa.bool_()),
        pa.field("values", pa.string()),
    ]
)
"""The columns of ``_sessions``; ``key`` and ``values`` are JSON objects."""


def session_rows(
    workload: str, by: Sequence[str], keys: Sequence[Key], names: Sequence[str], rows: SessionRows, *, is_open: bool
) -> list[SessionRow]:
    """What surfaces show of ``rows``, one object a session; arguments as in ``rows.session_submission``."""
    columns = (rows.ids, rows.start_us, rows.end_us, rows.duration_s, rows.records)
    return [
        SessionRow(
            workload=workload,
            key=dict(zip(by, keys[key], strict=True)),
            start_us=start_us,
            end_us=end_us,
            duration_s=duration_s,
            records=records,
            is_open=is_open,
            values={name: vector.at(place) for name, vector in zip(names, rows.vectors, strict=True)},
        )
        for place, (key, start_us, end_us, duration_s, records) in enumerate(zip(*(c.tolist() for c in columns), strict=True))
    ]


def session_table(rows: Sequence[SessionRow]) -> pa.RecordBatch:
    """The rows of ``_sessions``, in the columns of ``SCHEMA``; may be none."""
    columns = [
        [row.workload for row in rows],
        [_json(row.key) for row in rows],
        [row.start_us for row in rows],
        [row.end_us for row in rows],
        [row.duration_s for row in rows],
        [row.records for row in rows],
        [row.is_open for row in rows],
        [_json(row.values) for row in rows],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
