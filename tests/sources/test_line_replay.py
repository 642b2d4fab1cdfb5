"""Dead letters of line protocol mean the same alone as they did within their request."""

from __future__ import annotations

import pytest

from appliance.records import Reject
from appliance.sources.codecs.line_protocol import Precision, parse
from appliance.sources.line_replay import replayable_batches, replayable_rejects

NOW_US = 1_700_000_000_123_456


@pytest.mark.parametrize("database", ["", "plant", "my plant,1"])
@pytest.mark.parametrize(
    ("line", "precision"),
    [
        (b"m,t=a f=1 1700000000000000001", Precision.NS),
        (b"m,t=a f=1 1700000000", Precision.S),
        (b"m,t=a f=1 -1700000000000", Precision.MS),
        (b"m,t=a f=1 1700000000", Precision.AUTO),
        (b"m,t=a f=1 1700000000000000000", Precision.AUTO),
        (b"m,t=a f=1 28333333 ", Precision.M),
        (b"m,t=a f=1", Precision.NS),
        (b"m,t=a f=1", Precision.S),
        (b'm,t=a\\ 5 f="ends with 12"', Precision.S),
        (b'm f="x\ny 12" 5', Precision.H),
    ],
)
def test_a_row_alone_in_nanoseconds_is_the_row_it_was(line: bytes, precision: Precision, database: str) -> None:
    (batch,) = replayable_batches(parse(line, precision=precision, now_us=NOW_US).batches, precision=precision, database=database)
    assert batch.origin is not None
    (again,) = parse(batch.origin.raw(0), precision=Precision.NS, now_us=1).batches
    assert again.stream == batch.stream == (f"{database}.m" if database else "m")
    assert again.data.equals(batch.data)
    assert batch.origin.line(0) == 1


def test_a_line_that_needs_nothing_is_kept_byte_for_byte() -> None:
    line = b"m,t=a  f=1   1700000000000000001"
    (batch,) = replayable_batches(parse(line, precision=Precision.NS, now_us=NOW_US).batches, precision=Precision.NS)
    assert batch.origin is not None
    assert batch.origin.raw(0) == line


@pytest.mark.parametrize(
    ("raw", "precision", "database", "expected"),
    [
        (b"bad", Precision.NS, "", b"bad"),
        (b"bad 5", Precision.S, "", b"bad 5000000000"),
        (b"bad 1700000000", Precision.AUTO, "", b"bad 1700000000000000000"),
        (b"bad 5x", Precision.S, "", b"bad 5x"),
        (b"bad", Precision.NS, "a b", b"a\\ b.bad"),
        (b"\xff", Precision.S, "", b"\xff"),
    ],
)
def test_lines_that_can_t_be_parsed_keep_everything_else(raw: bytes, precision: Precision, database: str, expected: bytes) -> None:
    (reject,) = replayable_rejects((Reject("why", raw, 7),), precision=precision, database=database)
    assert (reject.raw, reject.line, reject.reason) == (expected, 7, "why")
