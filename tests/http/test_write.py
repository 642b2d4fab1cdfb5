"""What the clients of InfluxDB 1, 2 and 3 are told about their lines, one row a case."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.config import HttpOptions
from tests.clock import NOON_US
from tests.http.serving import Serving

GOOD = "room,sensor=a temperature=21.5 1700000000000000000\n"
GOOD_US = 1_700_000_000_000_000
V1, V2, V3 = "/write", "/api/v2/write", "/api/v3/write_lp"
V1_PRECISION = 'invalid precision "x" (use n, u, ms, s, m or h)'
V2_PRECISION = "invalid precision; valid precision units are ns, us, ms, and s"


@pytest.mark.parametrize("path", [V1, V2, V3])
def test_good_lines_are_stored_and_answered_with_204_and_nothing_else(serving: Serving, path: str) -> None:
    answer = serving.write(GOOD, path=path)
    assert (answer.status, answer.body) == (204, b"")
    assert serving.rows("room") == [{"ts": GOOD_US, "sensor": "a", "temperature": 21.5}]


@pytest.mark.parametrize("path", [V1, V2, V3])
@pytest.mark.parametrize("body", ["", "\n", "# a comment\n\n"])
def test_a_body_without_lines_is_answered_with_204(serving: Serving, path: str, body: str) -> None:
    assert serving.write(body, path=path).status == 204
    assert serving.door.submissions == []


@pytest.mark.parametrize("path", [V1, V2, V3])
def test_every_answer_names_server_and_request(serving: Serving, path: str) -> None:
    for body in (GOOD, "bad"):
        headers = serving.write(body, path=path, headers={"X-Request-Id": "abc-1"}).headers
        assert headers["X-Influxdb-Version"]
        assert headers["X-Influxdb-Build"]
        assert headers["X-Request-Id"] == headers["Request-Id"] == "abc-1"
        assert headers["Date"]


def test_a_request_without_an_id_gets_one_of_its_own(serving: Serving) -> None:
    first, second, hostile = (serving.write(GOOD, headers=h).headers["X-Request-Id"] for h in ({}, {}, {"X-Request-Id": "x" * 500}))
    assert len({first, second, hostile}) == 3
    assert len(hostile) < 100


@pytest.mark.parametrize(
    ("path", "precision", "stamp", "ts_us"),
    [
        *[(V1, p, 1_700_000_000_000_000_000, GOOD_US) for p in ("", "n", "ns")],
        *[(V1, p, 1_700_000_000_000_000, GOOD_US) for p in ("u", "us")],
        (V1, "ms", 1_700_000_000_000, GOOD_US),
        (V1, "s", 1_700_000_000, GOOD_US),
        (V1, "m", 28_333_333, 28_333_333 * 60_000_000),
        (V1, "h", 472_222, 472_222 * 3_600_000_000),
        *[(V2, p, 1_700_000_000_000_000_000, GOOD_US) for p in ("", "ns")],
        (V2, "us", 1_700_000_000_000_000, GOOD_US),
        (V2, "ms", 1_700_000_000_000, GOOD_US),
        (V2, "s", 1_700_000_000, GOOD_US),
        *[
            (V3, p, s, GOOD_US)
            for p in ("", "auto")
            for s in (1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000)
        ],
        *[(V3, p, 1_700_000_000_000_000_000, GOOD_US) for p in ("n", "ns", "nanosecond")],
        *[(V3, p, 1_700_000_000_000_000, GOOD_US) for p in ("u", "us", "microsecond")],
        *[(V3, p, 1_700_000_000_000, GOOD_US) for p in ("ms", "millisecond")],
        *[(V3, p, 1_700_000_000, GOOD_US) for p in ("s", "second")],
    ],
)
def test_each_precision_of_each_version_is_taken(serving: Serving, path: str, precision: str, stamp: int, ts_us: int) -> None:
    assert serving.write(f"m f=1 {stamp}", f"db=x&bucket=x&precision={precision}", path=path).status == 204
    assert [row["ts"] for row in serving.rows("m")] == [ts_us]


@pytest.mark.parametrize(
    ("path", "precision", "body"),
    [
        (V1, "x", {"error": V1_PRECISION}),
        (V1, "auto", {"error": V1_PRECISION.replace('"x"', '"auto"')}),
        (V2, "x", {"code": "invalid", "message": V2_PRECISION}),
        (V2, "h", {"code": "invalid", "message": V2_PRECISION}),
        (V3, "m", {"error": "invalid precision; use auto, nanosecond, microsecond, millisecond or second"}),
    ],
)
def test_an_unknown_precision_is_refused_and_nothing_stored(serving: Serving, path: str, precision: str, body: dict[str, str]) -> None:
    answer = serving.write(GOOD, f"db=x&precision={precision}", path=path)
    assert (answer.status, answer.json) == (400, body)
    assert serving.rows("room") == []


PARTIAL = GOOD + "room,sensor=b te\n"
CLASH = 'room,sensor=c temperature="warm" 1700000000000000000\n'
CLASH_REASON = "field type conflict: 'temperature' is text here and float in stream 'room'"


@pytest.mark.parametrize(
    ("path", "query", "body", "status", "expected"),
    [
        (V1, "db=x", PARTIAL, 400, {"error": "partial write: unable to parse 'room,sensor=b te': {reason} dropped=0 for database: x"}),
        (
            V1,
            "db=x&rp=y",
            PARTIAL,
            400,
            {"error": "partial write: unable to parse 'room,sensor=b te': {reason} dropped=0 for database: x for retention policy: y"},
        ),
        (V1, "db=x", "te", 400, {"error": "unable to parse 'te': missing fields"}),
        (V1, "db=x", GOOD + CLASH, 400, {"error": f"partial write: {CLASH_REASON} dropped=1 for database: x"}),
        (
            V2,
            "bucket=x",
            PARTIAL,
            400,
            {"code": "invalid", "message": "partial write: unable to parse 'room,sensor=b te': {reason} dropped=0"},
        ),
        (V2, "bucket=x", "te", 400, {"code": "invalid", "message": "unable to parse 'te': missing fields"}),
        (
            V2,
            "bucket=x",
            GOOD + CLASH,
            422,
            {
                "code": "unprocessable entity",
                "message": f"failure writing points to database: partial write: {CLASH_REASON} dropped=1",
            },
        ),
        (
            V3,
            "db=x",
            PARTIAL,
            400,
            {
                "error": "partial write of line protocol occurred",
                "data": [{"error_message": "{reason}", "line_number": 2, "original_line": "room,sensor=b te"}],
            },
        ),
        (
            V3,
            "db=x&accept_partial=true",
            GOOD + CLASH,
            400,
            {
                "error": "partial write of line protocol occurred",
                "data": [
                    {
                        "error_message": CLASH_REASON.replace("field type conflict", "type clash"),
                        "line_number": 2,
                        "original_line": CLASH.strip(),
                    }
                ],
            },
        ),
    ],
)
def test_good_lines_are_stored_and_the_others_told_and_kept(
    serving: Serving, path: str, query: str, body: str, status: int, expected: dict[str, Any]
) -> None:
    answer = serving.write(body, query, path=path)
    letters = serving.letters()
    reason = letters[0][0]
    assert answer.status == status
    assert answer.json == json.loads(json.dumps(expected).replace("{reason}", json.dumps(reason)[1:-1]))
    assert [row["sensor"] for row in serving.rows("room")] == (["a"] if GOOD in body else [])
    assert [raw for _, raw in letters] == [body.splitlines()[-1].encode()]
    if path == V1:
        assert answer.headers["X-InfluxDB-Error"] == answer.json["error"]
    if path == V2:
        assert answer.headers["X-Platform-Error-Code"] == expected["code"]


def test_many_bad_lines_are_told_up_to_a_hundred_and_all_kept(serving: Serving) -> None:
    body = GOOD + "".join(f"bad{i}\n" for i in range(300))
    v1, v3 = serving.write(body), serving.write(body, path=V3)
    assert v1.json["error"].count("unable to parse") == 100
    assert "and 200 more" in v1.json["error"]
    assert (len(v3.json["data"]), v3.json["data_omitted"]) == (100, 200)
    assert len(serving.letters()) == 600


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (PARTIAL, {"line_number": 2, "original_line": "room,sensor=b te"}),
        (GOOD + CLASH, {"line_number": 0, "original_line": ""}),
    ],
)
def test_accept_partial_false_stores_nothing_and_tells_the_first_bad_line(serving: Serving, body: str, data: dict[str, Any]) -> None:
    answer = serving.write(body, "db=x&accept_partial=false", path=V3)
    assert answer.status == 400
    assert {k: answer.json["data"][k] for k in data} == data
    assert answer.json["error"] == "parsing failed for write_lp endpoint"
    assert answer.json["data"]["error_message"]
    assert serving.rows("room") == []
    assert serving.letters() == []
    assert serving.write(GOOD, "db=x&accept_partial=false&no_sync=true", path=V3).status == 204


def test_a_record_beyond_a_limit_is_unprocessable_for_v3(serving: Serving) -> None:
    long = "x" * (serving.config.limits.name_bytes_max + 1)
    assert serving.write(GOOD + f'room big="{"y" * (1 << 20)}y"', path=V3).status in (400, 422)
    fields = ",".join(f"f{i}=1" for i in range(serving.config.limits.columns_max))
    assert serving.write(f"wide {fields} 1", path=V3).status == 204
    answer = serving.write("wide one_more=1 2", path=V3)
    assert (answer.status, answer.json["error"]) == (422, "partial write of line protocol occurred")
    assert serving.write(f"{long} f=1", path=V3).status == 400


class StillClock(SystemClock):
    """The wall clock stands still; spans go on."""

    def now_us(self) -> int:
        return NOON_US + 1_234_567


def test_a_line_without_a_time_gets_the_servers_truncated_to_the_precision(tmp_path: Any) -> None:
    with Serving(tmp_path / "data", clock=StillClock()) as serving:
        for number, (precision, ts_us) in enumerate([("ns", NOON_US + 1_234_567), ("s", NOON_US + 1_000_000), ("h", NOON_US)]):
            assert serving.write(f"m{number} f=1", f"db=x&precision={precision}").status == 204
            assert [row["ts"] for row in serving.rows(f"m{number}")] == [ts_us]


def test_no_database_is_needed_and_none_shows_in_the_streams_name(serving: Serving) -> None:
    for path in (V1, V2, V3):
        assert serving.write(GOOD, "", path=path).status == 204
    assert serving.write(GOOD, "bucket=b/autogen&org=o", path=V2).status == 204
    assert list(serving.box.state.streams) == ["room"]


def test_with_prefix_the_database_stands_before_the_streams_name(tmp_path: Any) -> None:
    with Serving(tmp_path / "data", http_options=HttpOptions(listen="127.0.0.1:0", databases="prefix")) as serving:
        assert serving.write(GOOD, "db=plant").status == 204
        assert serving.write(GOOD, "bucket=plant/autogen", path=V2).status == 204
        assert serving.write(GOOD, "db=my%20plant", path=V3).status == 204
        assert serving.write(GOOD, "", path=V1).status == 204
        assert sorted(serving.box.state.streams) == ["my plant.room", "plant.room", "room"]
        assert serving.write("bad\n" + CLASH, "db=my%20plant").status == 400
        assert [raw for _, raw in serving.letters()] == [b"my\\ plant.bad", b"my\\ plant." + CLASH.strip().encode()]


def test_the_same_batch_again_changes_no_count(serving: Serving) -> None:
    for _ in range(3):
        assert serving.write(GOOD + "room,sensor=a humidity=40 1700000000000000000\n").status == 204
    table = serving.box.last_values("room").to_pylist()
    assert [(row["sensor"], row["temperature"], row["humidity"]) for row in table] == [("a", 21.5, 40.0)]


def test_a_gzipped_body_is_read_whatever_the_path_and_however_many_members(serving: Serving) -> None:
    lines = [f"m,i={i} f={i} {i}\n".encode() for i in range(50)]
    for number, body in enumerate(
        [
            gzip.compress(b"".join(lines)),
            gzip.compress(lines[0]) + gzip.compress(b"".join(lines[1:])),
            gzip.compress(b"".join(lines)) + bytes(512),
        ]
    ):
        for path in (V1, V2, V3):
            assert serving.write(body, f"db={number}", path=path, headers={"Content-Encoding": "gzip"}).status == 204
    assert len(serving.rows("m")) == 9 * 50


def test_a_large_body_is_parsed_in_the_pool_and_gives_the_same(serving: Serving) -> None:
    body = "".join(f"m,i={i % 7} f={i} {i}\n" for i in range(20_000))
    assert serving.write(body).status == 204
    assert [row["f"] for row in serving.rows("m")] == list(range(20_000))
