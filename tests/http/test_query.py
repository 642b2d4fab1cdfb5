"""Questions over HTTP: what is asked reaches the queries, what they answer reaches the client, in pieces."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from appliance.errors import QueryCancelled, QueryRefused, RetryLater
from appliance.serving.http.params import moment
from tests.http.serving import Answer, Serving
from tests.running import wait_for

NOW_US = 1_700_000_000_000_000


def ask(serving: Serving, **body: Any) -> Answer:
    return serving.request("POST", "/api/query", json.dumps(body).encode())


def test_a_question_arrives_with_every_choice_and_is_answered_in_pieces(serving: Serving) -> None:
    answer = ask(
        serving,
        sql="SELECT 1",
        since="2023-11-14T22:13:20Z",
        until=1_700_000_001_000_000,
        path="cold",
        format="csv",
        explain=False,
        id="mine-1",
    )
    assert (answer.status, answer.body) == (200, b'[{"n":1}]')
    assert answer.headers["X-Query-Id"] == "mine-1"
    assert answer.headers["Content-Type"].startswith("text/csv")
    (asked,) = serving.queries.asked
    assert (asked.sql, asked.since_us, asked.until_us, asked.path, asked.format, asked.id) == (
        "SELECT 1",
        NOW_US,
        NOW_US + 1_000_000,
        "cold",
        "csv",
        "mine-1",
    )


@pytest.mark.parametrize(
    ("format_", "media_type"),
    [
        ("json", "application/json"),
        ("jsonl", "application/jsonl"),
        ("csv", "text/csv; charset=utf-8"),
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("table", "text/plain; charset=utf-8"),
    ],
)
def test_each_format_has_its_media_type(serving: Serving, format_: str, media_type: str) -> None:
    answer = ask(serving, sql="SELECT 1", format=format_)
    assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("format_", "asked"), [("json", "json"), ("jsonl", "jsonl"), ("csv", "csv"), ("parquet", "parquet"), ("pretty", "table")]
)
def test_v3_asks_in_the_query_string_or_as_json(serving: Serving, method: str, format_: str, asked: str) -> None:
    given = {"q": "SELECT 1", "db": "x", "format": format_}
    if method == "GET":
        answer = serving.request("GET", f"/api/v3/query_sql?{urlencode(given)}")
    else:
        answer = serving.request("POST", "/api/v3/query_sql", json.dumps({**given, "params": {}}).encode())
    assert answer.status == 200
    assert [(q.sql, q.format) for q in serving.queries.asked] == [("SELECT 1", asked)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON"),
        (b"not json", "JSON"),
        (b'{"sql": 5}', "sql"),
        (b"{}", "sql"),
        (b'{"sql": "SELECT 1", "sqll": 1}', "sqll"),
        (b'{"sql": "SELECT 1", "format": "xml"}', "format"),
        (b'{"sql": "SELECT 1", "path": "warm"}', "path"),
        (b'{"sql": "SELECT 1", "since": "yesterday"}', "since"),
        (b'{"sql": "SELECT 1", "id": "../x"}', "id"),
        (b'{"sql": "\xff"}', "JSON"),
    ],
)
def test_what_can_t_be_asked_is_a_400_that_names_it(serving: Serving, body: bytes, words: str) -> None:
    answer = serving.request("POST", "/api/query", body)
    assert answer.status == 400
    assert words in answer.json["error"]
    assert serving.queries.asked == []


@pytest.mark.parametrize("query", ["", "q=", "q=SELECT+1&format=xml"])
def test_v3_without_a_question_or_with_an_unknown_format_is_a_400(serving: Serving, query: str) -> None:
    assert serving.request("GET", f"/api/v3/query_sql?{query}").status == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [(QueryRefused("Parser Error: …"), 400), (QueryCancelled("took too long"), 409), (RetryLater("all workers are busy"), 503)],
)
def test_a_refused_query_says_why(serving: Serving, error: Exception, status: int) -> None:
    serving.queries.fail = error
    answer = ask(serving, sql="SELECT")
    assert (answer.status, answer.json) == (status, {"error": str(error)})


def test_a_client_that_leaves_ends_its_query(serving: Serving) -> None:
    serving.queries.endless = True
    with serving.connect() as sock:
        sock.sendall(b'POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"sql":"SELECT 1"}')
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert serving.queries.closed.wait(20)


def test_a_client_that_does_not_read_its_answer_loses_it(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.serving.http.connection.WRITE_STALL_S_MAX", 0.2)
    serving.queries.endless = True
    with serving.connect() as sock:
        sock.sendall(b'POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"sql":"SELECT 1"}')
        assert serving.queries.closed.wait(20)
    wait_for(lambda: serving.server.tcp.open == 0, what="the connection to be gone")


@pytest.mark.parametrize(("error", "logged"), [(RuntimeError("a defect"), True), (QueryCancelled("took too long"), False)])
def test_an_answer_that_fails_half_way_is_broken_off_not_ended(
    serving: Serving, caplog: pytest.LogCaptureFixture, error: Exception, logged: bool
) -> None:
    serving.queries.break_off = error
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(serving, sql="SELECT 1")
    assert serving.queries.closed.is_set()
    assert bool(caplog.records) is logged


def test_what_an_answer_lacks_stands_in_its_head(serving: Serving) -> None:
    serving.queries.notes = ("a segment is missing: x", "…")
    assert ask(serving, sql="SELECT 1").headers["X-Query-Notes"] == "a segment is missing: x; \\u2026"


def test_a_running_query_can_be_looked_at_and_cancelled(serving: Serving) -> None:
    assert serving.request("GET", "/api/queries/known").json == {"id": "known", "share": 0.5}
    assert serving.request("GET", "/api/queries/other").status == 404
    assert serving.request("DELETE", "/api/queries/known").status == 204
    assert serving.request("DELETE", "/api/queries/other").status == 404


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        (5, 5),
        ("1700000000000000", NOW_US),
        ("-5", -5),
        ("1h", NOW_US - 3_600_000_000),
        ("90s", NOW_US - 90_000_000),
        ("2023-11-14T22:13:20Z", NOW_US),
        ("2023-11-14T22:13:20.000001Z", NOW_US + 1),
        ("2023-11-14T23:13:20+01:00", NOW_US),
        ("2023-11-14 22:13:20", NOW_US),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_a_moment_is_microseconds_a_span_or_iso(given: str | int | None, expected: int | None) -> None:
    assert moment(given, "since", now_us=NOW_US) == expected
