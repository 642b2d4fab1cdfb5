"""Closed sessions as records of a stream, and open ones as rows for surfaces."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from appliance.hot.stream.sessions.live import SCHEMA, session_rows, session_table
from appliance.hot.stream.sessions.rows import FIELDS, session_submission
from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import SessionAggregate, SessionRows
from appliance.hot.stream.values import Vector
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import TAG_TYPE, TS_TYPE, Format
from tests.hot.stream.sessions.rounds import BOOL, FLOAT, INT, TEXT, vector

S = 1_000_000
BY = ("site", "device")
KEYS = [("a", "d1"), (None, "d2")]
NAMES = ("peak", "count", "state", "was_on", "mean")
AGGREGATES = tuple(
    SessionAggregate(name, function, argument)
    for name, function, argument in zip(
        NAMES, (Function.MAX, Function.MIN, Function.LAST, Function.FIRST, Function.AVG), (FLOAT, INT, TEXT, BOOL, INT), strict=True
    )
)


def sessions() -> tuple[SessionRows, SessionRows]:
    """One closed session of each key, and one that is open."""
    tracker = SessionTracker(10 * S, 10**12, AGGREGATES)
    ids, ts = np.array([0, 1, 0, 1]), np.array([0, 1 * S, 5 * S + 1, 30 * S])
    vectors = (
        vector([1.5, None, 2.5, None], FLOAT),
        vector([3, 4, 5, 6], INT),
        vector(["up", None, 'do"wn', None], TEXT),
        vector([True, None, False, None], BOOL),
    )
    closed = tracker.take(ids, ts, np.arange(4), vectors, np.array([-9, -9, -9, 20 * S]))
    return closed.rows, tracker.open_sessions()


def test_a_session_is_a_record_at_its_start_with_its_key_as_tags() -> None:
    submission = session_submission("runs", BY, KEYS, NAMES, sessions()[0])
    assert submission is not None
    assert (submission.source, submission.format) == ("session:runs", Format.JSONL)
    (batch,) = submission.batches
    assert (batch.stream, batch.tags) == ("runs", BY)
    assert batch.data.schema == pa.schema(
        [
            ("ts", TS_TYPE),
            ("site", TAG_TYPE),
            ("device", TAG_TYPE),
            ("end_us", pa.int64()),
            ("duration_s", pa.float64()),
            ("records", pa.int64()),
            ("peak", pa.float64()),
            ("count", pa.int64()),
            ("state", pa.string()),
            ("was_on", pa.bool_()),
            ("mean", pa.float64()),
        ]
    )
    first, second = batch.data.to_pylist()
    assert first.pop("ts").isoformat() == "1970-01-01T00:00:00"
    assert tuple(first.values()) == ("a", "d1", 5 * S + 1, 5.000001, 2, 2.5, 3, 'do"wn', True, 4.0)
    assert second.pop("ts").isoformat() == "1970-01-01T00:00:01"
    assert tuple(second.values()) == (None, "d2", S, 0.0, 1, None, 4, None, None, 4.0)


def test_what_the_door_refuses_can_be_replayed_as_json() -> None:
    submission = session_submission("runs", BY, KEYS, NAMES, sessions()[0])
    assert submission is not None
    origin = submission.batches[0].origin
    assert origin is not None
    found = {"ts": "1970-01-01T00:00:01.000000Z", "device": "d2", "end_us": S, "duration_s": 0.0, "records": 1, "count": 4, "mean": 4.0}
    assert json.loads(origin.raw(1)) == found
    assert origin.line(1) == 2


def test_without_a_closed_session_there_is_nothing_to_submit() -> None:
    assert session_submission("runs", BY, KEYS, NAMES, SessionTracker(1, 1, AGGREGATES).advance(5).rows) is None


def test_one_session_for_the_whole_stream_has_no_tags() -> None:
    ints = np.array([0])
    rows = SessionRows(ints, ints, ints, ints, ints, ints, (Vector(np.zeros(1), np.zeros(1, np.bool_)),))
    submission = session_submission("runs", (), [()], ("peak",), rows)
    assert submission is not None
    assert submission.batches[0].tags == ()
    assert submission.batches[0].data.column_names == ["ts", *FIELDS, "peak"]


def test_names_that_clash_are_a_defect_of_the_caller() -> None:
    ints = np.array([0])
    rows = SessionRows(ints, ints, ints, ints, ints, ints, (Vector(ints, np.ones(1, np.bool_)),))
    with pytest.raises(AssertionError, match="clash"):
        session_submission("runs", (), [()], ("records",), rows)


def test_open_sessions_are_rows_of_a_table() -> None:
    rows = session_rows("runs", BY, KEYS, NAMES, sessions()[1], is_open=True)
    assert [(r.key, r.start_us, r.end_us, r.duration_s, r.records) for r in rows] == [
        ({"site": None, "device": "d2"}, 30 * S, 30 * S, 0.0, 1)
    ]
    table = session_table([*rows, *session_rows("runs", BY, KEYS, NAMES, sessions()[0], is_open=False)])
    assert table.schema == SCHEMA
    first, second, _third = table.to_pylist()
    assert (first["is_open"], second["is_open"]) == (True, False)
    assert json.loads(second["key"]) == {"site": "a", "device": "d1"}
    assert json.loads(second["values"]) == {"peak": 2.5, "count": 3, "state": 'do"wn', "was_on": True, "mean": 4.0}
    assert second["end"].isoformat() == "1970-01-01T00:00:05.000001"
    assert session_table([]).num_rows == 0
