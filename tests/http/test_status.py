"""What the terminal UI, the command line and a scraper ask of the running box."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.observe.status import Status
from appliance.serving import panels
from tests.http.serving import DEADLINE_S, Serving
from tests.running import wait_for


def test_the_status_arrives_as_it_is(serving: Serving) -> None:
    answer = serving.request("GET", "/api/status", local=True)
    assert answer.status == 200
    assert msgspec.json.decode(answer.body, type=Status).streams == serving.status().streams


def test_metrics_are_read_by_prometheus_own_parser(serving: Serving) -> None:
    serving.write("m f=1")
    serving.write("bad")
    for _ in range(200):
        serving.request("GET", f"/scan-{_}")
    answer = serving.request("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {f.name: f for f in text_string_to_metric_families(answer.body.decode())}
    values = {(s.name, *sorted(s.labels.items())): s.value for f in families.values() for s in f.samples}
    assert values["appliance_stream_records_total", ("stream", 'odd "name"\\')] == 10
    assert values["appliance_http_requests_total", ("path", "/write"), ("status", "204")] == 1
    assert values["appliance_http_requests_total", ("path", "/write"), ("status", "400")] == 1
    assert values["appliance_http_requests_total", ("path", "other"), ("status", "404")] == 200
    assert values["appliance_stream_last_timestamp_seconds", ("stream", 'odd "name"\\')] == 1_700_000_000
    assert values["appliance_source_dropped_total", ("kind", "line_protocol"), ("source", "udp")] == 3
    assert ("appliance_commit_seconds_p99",) not in values
    assert all(f.documentation for f in families.values())


def test_series_latest_and_columns_are_answered_or_404(serving: Serving) -> None:
    serving.write("room,sensor=a temperature=21.5")
    assert serving.request("GET", "/api/series?stream=room&column=temperature&since=1h").json["max"][-1] == 21.5
    assert serving.request("GET", "/api/latest?stream=ROOM").json[0]["temperature"] == 21.5
    assert serving.request("GET", "/api/streams/columns?stream=room").json == [
        {"name": "sensor", "kind": "tag"},
        {"name": "temperature", "kind": "float"},
    ]
    assert serving.request("GET", "/api/streams/columns").json[0]["stream"] == "room"
    for path in (
        "/api/series?stream=no&column=x",
        "/api/series?stream=room&column=no",
        "/api/latest?stream=no",
        "/api/streams/columns?stream=no",
    ):
        assert serving.request("GET", path).status == 404
    for path in ("/api/series?stream=room", "/api/latest", "/api/series?stream=room&column=temperature&since=soon"):
        assert serving.request("GET", path).status == 400


@pytest.mark.parametrize("copies", [1, 300])
def test_last_values_are_json_by_column_whatever_they_hold(copies: int) -> None:
    ts = [0, 1_500_000, 400_000_000_000_000_000]
    table = pa.table(
        {
            "ts": pa.array(ts * copies, pa.timestamp("us")),
            "device": pa.array(['a"\n', None, "ü"] * copies),
            "value": pa.array([1.5, None, math.inf] * copies),
            "count": pa.array([2**53 + 1, None, -1] * copies),
            "ok": pa.array([True, None, False] * copies),
            "_seq": pa.array([1, 2, 3] * copies),
        }
    )
    rows = [
        {"ts": "1970-01-01T00:00:00Z", "device": 'a"\n', "value": 1.5, "count": 2**53 + 1, "ok": True, "_seq": 1},
        {"ts": "1970-01-01T00:00:01.500000Z", "device": None, "value": None, "count": None, "ok": None, "_seq": 2},
        {"ts": "400000000000000000 µs", "device": "ü", "value": None, "count": -1, "ok": False, "_seq": 3},
    ]
    assert json.loads(bytes(panels.rows(table))) == rows * copies
    within = table.slice(0, 2)
    assert json.loads(bytes(panels.rows(within))) == rows[:2]
    assert json.loads(bytes(panels.rows(pa.concat_tables([within] * 400).combine_chunks()))) == rows[:2] * 400
    assert bytes(panels.rows(table.slice(0, 0))) == b"[]"


# --- tail ---------------------------------------------------------------------------------------------------------------------


class Tail:
    """A follower on a raw connection; its lines as they come."""

    def __init__(self, serving: Serving, query: str = "") -> None:
        self.sock = serving.connect()
        self.sock.sendall(f"GET /api/tail{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"HTTP/1.1 200")
        while self.file.readline().strip():
            pass

    def lines(self) -> Iterator[dict[str, Any]]:
        while size := int(self.file.readline(), 16):
            for line in self.file.read(size).splitlines():
                yield json.loads(line)
            self.file.readline()

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def test_a_follower_sees_what_is_committed_from_now_on(serving: Serving) -> None:
    serving.write("room,sensor=a temperature=1 1000")
    tail = Tail(serving, "?stream=Room")
    serving.write('room,sensor=a temperature=2,note="é" 1700000000123456000\nother f=1')
    assert next(tail.lines()) == {"ts": "2023-11-14T22:13:20.123456Z", "sensor": "a", "temperature": 2.0, "note": "é", "_seq": 2}
    tail.close()


def test_a_follower_of_all_streams_is_told_which_and_may_ask_for_the_last_ones(serving: Serving) -> None:
    serving.write("a f=1 1000\nb f=2 1000\nb f=3 2000")
    tail = Tail(serving, "?last=1")
    lines = tail.lines()
    assert sorted((x["_stream"], x["f"]) for x in (next(lines), next(lines))) == [("a", 1.0), ("b", 3.0)]
    serving.write("c f=4 1000")
    assert next(lines) == {"_stream": "c", "ts": "1970-01-01T00:00:00.000001Z", "f": 4.0, "_seq": 1}
    tail.close()


def test_a_follower_of_a_stream_that_is_not_there_yet_waits_for_it(serving: Serving) -> None:
    tail = Tail(serving, "?stream=later")
    serving.write("later f=1 1000")
    assert next(tail.lines())["f"] == 1.0
    tail.close()


def test_what_is_too_much_to_read_is_counted_and_the_newest_shown(serving: Serving) -> None:
    tail = Tail(serving, "?stream=m")
    serving.write("\n".join(f"m f={i} {i}000" for i in range(5_000)))
    lines = tail.lines()
    seen = [next(lines)]
    while "f" not in seen[-1] or seen[-1]["f"] < 4_999:
        seen.append(next(lines))
    missed = sum(x.get("_missed", 0) for x in seen)
    assert missed + sum("f" in x for x in seen) == 5_000
    assert missed >= 4_000
    tail.close()


def test_a_reader_that_stands_still_does_not_slow_the_door(serving: Serving) -> None:
    tail = Tail(serving, "?stream=m")
    tail.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for i in range(20):
        assert serving.write("\n".join(f'm s="{"x" * 500}" {i * 1000 + j}000' for j in range(1_000))).status == 204
    state = serving.box.state.get("m")
    assert state is not None
    assert state.last_seq == 20_000
    tail.close()


def test_followers_end_with_the_service_and_leave_with_their_client(serving: Serving) -> None:
    left, stayed = Tail(serving), Tail(serving)
    left.close()
    wait_for(lambda: serving.server.tcp.open == 1, what="the first follower to be gone")
    serving.shut()
    stayed.sock.settimeout(DEADLINE_S)
    assert list(stayed.lines()) == []
    stayed.close()


@pytest.mark.parametrize("query", ["?last=-1", "?last=x", "?last=100000"])
def test_a_tail_that_makes_no_sense_is_refused(serving: Serving, query: str) -> None:
    assert serving.request("GET", f"/api/tail{query}").status == 400
