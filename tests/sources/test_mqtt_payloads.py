"""What a message says, and when it came first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import StoreDamaged
from appliance.records import Format, Submission
from appliance.sources.mqtt_parts.arrivals import SLOTS, Arrivals, message_key
from appliance.sources.mqtt_parts.payloads import Message, read_messages, stream_of
from tests.clock import NOON_US
from tests.codecs.test_csv import Y2026


def said(*payloads: bytes, topic: str = "plant/a/t", stream: str | None = None, tags: tuple[str, ...] = ()) -> list[Submission]:
    messages = [Message(topic, payload, NOON_US + number) for number, payload in enumerate(payloads)]
    return read_messages(messages, source="mqtt", stream=stream, tags=tags)


def rows(submissions: list[Submission]) -> list[dict[str, Any]]:
    found = []
    for submission in submissions:
        for batch in submission.batches:
            data = batch.data.set_column(0, "ts", batch.data.column(0).cast("int64"))
            found += [{name: value for name, value in row.items() if value is not None} for row in data.to_pylist()]
    return found


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b"21.5", 21.5), (b" 7 ", 7), (b"-1e3", -1000.0), (b"true", True), (b"FALSE", False), (b'"on"', "on"), (b"+5", 5)],
)
def test_a_bare_value_is_the_field_value(payload: bytes, value: object) -> None:
    assert rows(said(payload)) == [{"ts": NOON_US, "topic": "plant/a/t", "value": value}]


def test_an_object_gives_fields_tags_and_time() -> None:
    found = said(b'{"time": 1767225600, "device": "x", "t": 1, "in": {"a": 2}}', tags=("DEVICE",))
    assert rows(found) == [{"ts": Y2026, "topic": "plant/a/t", "device": "x", "t": 1, "in_a": 2}]
    assert found[0].batches[0].tags == ("topic", "device")


def test_an_array_is_several_records() -> None:
    assert [row["v"] for row in rows(said(b'[{"ts":1,"v":1},{"ts":2,"v":2}]'))] == [1, 2]


def test_ints_and_floats_of_one_member_are_one_column() -> None:
    found = said(b"1", b"1.5", b"2")
    assert len(found[0].batches) == 1
    assert [row["value"] for row in rows(found)] == [1.0, 1.5, 2.0]


def test_line_protocol_goes_as_it_is_at_its_arrival() -> None:
    found = said(b"cpu,host=a v=1i\nmem v=2i 1767225600000000000", topic="lines")
    assert [submission.format for submission in found] == [Format.LP]
    assert rows(found) == [{"ts": NOON_US, "host": "a", "v": 1}, {"ts": Y2026, "v": 2}]


@pytest.mark.parametrize(
    "payload",
    [
        b"garbage",
        b"nan",
        b"{",
        b'{"a": NaN}',
        b'{"a": [1]}',
        b"[1]",
        b"\xff\xfe",
        b'{"a":1,"A":2}',
        b"99999999999999999999",
        b"{}",
        b'{"ts":"never","v":1}',
        b"null",
    ],
)
def test_a_payload_that_says_nothing_is_refused_with_its_bytes(payload: bytes) -> None:
    found = said(payload, b"1")
    assert [(reject.raw, reject.line, reject.stream) for reject in found[0].rejects] == [(payload, 1, "plant")]
    assert [row["value"] for row in rows(found)] == [1]


def test_an_empty_payload_is_no_record() -> None:
    assert said(b"", b" \n") == []


def test_what_the_door_refuses_holds_topic_and_time() -> None:
    origin = said(b"1.5")[0].batches[0].origin
    assert origin is not None
    assert json.loads(origin.raw(0)) == {"ts": "2026-11-22T12:00:00Z", "topic": "plant/a/t", "value": 1.5}


@pytest.mark.parametrize(("topic", "stream"), [("a/b/c", "a"), ("/a/b", "a"), ("a", "a"), ("/", "/")])
def test_a_topic_tells_the_stream(topic: str, stream: str) -> None:
    assert stream_of(topic, None) == stream
    assert stream_of(topic, "named") == "named"


def test_an_arrival_is_remembered_by_packet_id_and_content(tmp_path: Path) -> None:
    path = tmp_path / "mqtt" / "x.arrivals"
    arrivals = Arrivals(path, synced=True)
    key = message_key("t", b"1")
    arrivals.note(5, key, 123)
    arrivals.note(SLOTS - 1, key, 456)
    arrivals.sync()
    arrivals.close()
    again = Arrivals(path, synced=True)
    assert again.find(5, key) == 123
    assert again.find(SLOTS - 1, key) == 456
    assert again.find(6, key) is None
    assert again.find(5, message_key("t", b"2")) is None
    assert again.find(5, message_key("t1", b"")) is None
    again.close()


def test_a_memory_of_another_size_begins_anew_and_a_folder_refuses(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"short")
    arrivals = Arrivals(tmp_path / "a", synced=False)
    assert arrivals.find(0, message_key("", b"")) is None
    arrivals.close()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StoreDamaged, match="symbolic"):
        Arrivals(tmp_path / "b", synced=False)
