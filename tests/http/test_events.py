"""Server-sent events: each transition once, whoever reads slowly or leaves and comes back, and nobody waits for a reader."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from appliance.options import HttpOptions
from appliance.serving.http import events
from appliance.serving.push import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX
from tests.http.alert_desk import step
from tests.http.serving import Serving
from tests.http.sse import EventReader, Told
from tests.running import wait_for


def happen(serving: Serving, *numbers: int, told: bool = True) -> None:
    """Transitions are stored, and then told; or only stored, as if the teller was still on its way."""
    rows = [step(n) for n in numbers]
    serving.alerts.stored += rows
    if told:
        serving.hub.publish_transitions(rows)


def ids(told: list[Told]) -> list[int]:
    return [t.data["id"] for t in told]


def test_a_transition_is_told_as_it_happens(serving: Serving) -> None:
    happen(serving, 1, 2)
    reader = EventReader(serving)
    assert reader.start == Told(retry="2000", id="a2")
    happen(serving, 3)
    assert reader.next() == Told(event="transition", id="a3", data=msgspec.to_builtins(step(3)))
    reader.close()


def test_each_is_told_once_in_whatever_order_the_tellers_come(serving: Serving) -> None:
    reader = EventReader(serving)
    happen(serving, 1, 2, told=False)
    serving.hub.publish_transitions([step(2)])
    assert ids(reader.take(2)) == [1, 2]
    serving.hub.publish_transitions([step(1)])
    happen(serving, 3)
    assert ids(reader.take(1)) == [3]
    reader.close()


@pytest.mark.parametrize("by_header", [True, False])
def test_who_comes_back_gets_what_happened_meanwhile_none_missing_none_twice(serving: Serving, by_header: bool) -> None:
    reader = EventReader(serving, "?topics=alerts")
    happen(serving, *range(1, 4))
    seen = ids(reader.take(2))
    last = f"a{seen[-1]}"
    reader.close()
    happen(serving, *range(4, 1_500))
    again = EventReader(serving, "?topics=alerts" + ("" if by_header else f"&last_event_id={last}"), last=last if by_header else None)
    happen(serving, 1_500)
    assert again.start.id == "a2"
    assert seen + ids(again.take(1_498)) == list(range(1, 1_501))
    again.close()


def test_what_the_store_has_forgotten_is_told_as_missed(serving: Serving) -> None:
    happen(serving, *range(41, 44))
    reader = EventReader(serving, "?topics=alerts", last="a10")
    assert reader.next() == Told(event="missed", id="a10", data={"alerts": 30})
    assert ids(reader.take(3)) == [41, 42, 43]
    reader.close()


def test_a_place_beyond_the_store_is_told_as_missed_and_read_on_from_the_newest(serving: Serving) -> None:
    happen(serving, 1, 2)
    reader = EventReader(serving, "?topics=alerts", last="a77")
    assert (reader.start.id, reader.next().data) == ("a2", {"alerts": None})
    happen(serving, 3)
    assert ids(reader.take(1)) == [3]
    reader.close()


def test_what_can_t_be_resumed_says_so(serving: Serving) -> None:
    happen(serving, 1)
    reader = EventReader(serving, "?topics=alerts,sessions", last="a1")
    assert reader.next().data == {"sessions": None}
    serving.hub.publish("sessions", "opened", {"workload": "visits", "note": "two\nlines"}, None)
    assert reader.next() == Told(event="opened", id="a1", data={"workload": "visits", "note": "two\nlines"})
    reader.close()


def test_only_the_topics_that_are_asked_for_are_told(serving: Serving) -> None:
    reader = EventReader(serving, "?topics=sessions")
    happen(serving, 1)
    serving.hub.publish("sessions", "closed", {}, None)
    assert reader.next().event == "closed"
    reader.close()


def test_records_of_a_stream_come_too_and_go_on_where_the_reader_left(serving: Serving) -> None:
    serving.write("room,sensor=a t=1 1000")
    reader = EventReader(serving, "?stream=Room")
    assert reader.start.id == "a0.1"
    serving.write("room,sensor=a t=2 2000\nother f=1 1000")
    assert reader.next() == Told(event="record", id="a0.2", data={"ts": "1970-01-01T00:00:00.000002Z", "sensor": "a", "t": 2.0, "_seq": 2})
    reader.close()
    serving.write("\n".join(f"room,sensor=a t={n} {n}000" for n in range(3, 900)))
    again = EventReader(serving, "?stream=room", last="a0.2")
    assert [t.data["_seq"] for t in again.take(897)] == list(range(3, 900))
    again.close()


def test_records_too_many_to_be_read_are_counted(serving: Serving) -> None:
    reader = EventReader(serving, "?stream=m&topics=alerts")
    serving.write("\n".join(f"m f={i} {i}000" for i in range(5_000)))
    missed, shown = 0, 0
    while missed + shown < 5_000:
        told = reader.next()
        missed += told.data.get("records", 0) if told.event == "missed" else 0
        shown += told.event == "record"
    assert missed >= 4_000
    happen(serving, 1)
    assert reader.next().id == "a1.5000"
    reader.close()


def test_a_tail_goes_on_behind_a_sequence(serving: Serving) -> None:
    serving.write("\n".join(f"m f={i} {i}000" for i in range(1, 10)))
    sock = serving.connect()
    sock.sendall(b"GET /api/tail?stream=m&after=7 HTTP/1.1\r\nHost: x\r\n\r\n")
    text = b""
    while b'"_seq":9' not in text:
        text += sock.recv(10_000)
    assert text.count(b"_seq") == 2
    sock.close()
    assert serving.request("GET", "/api/tail?after=7").status == 400


def test_a_reader_that_never_reads_slows_nobody_and_costs_little(serving: Serving) -> None:
    stuck = EventReader(serving, read=False, buffer=4096)
    lively = EventReader(serving)
    note = {"note": "x" * 2_000}
    for number in range(1, 301):
        for _ in range(50):
            serving.hub.publish("sessions", "update", note, None)
        happen(serving, number)
        told = lively.take(51)
        assert ids(told[-1:]) == [number], "a reader that reads gets each event at once"
    assert serving.write("m f=1 1000").status == 204
    held = [(len(f._queue), f._bytes) for f in serving.hub._subscribers]
    assert max(count for count, _ in held) <= QUEUE_EVENTS_MAX
    assert QUEUE_BYTES_MAX / 2 < max(size for _, size in held) <= QUEUE_BYTES_MAX
    assert serving.hub.missed > 10_000
    stuck._lines = stuck._read_lines()
    told_late: list[Told] = []
    while ids([t for t in told_late if t.event == "transition"])[-1:] != [300]:
        told_late.append(stuck.next())
    assert ids([t for t in told_late if t.event == "transition"]) == list(range(1, 301)), "transitions come from the store"
    while sum(t.event == "missed" for t in told_late) == 0:
        told_late.append(stuck.next())
    missed = sum(t.data["sessions"] for t in told_late if t.event == "missed")
    assert missed + sum(t.event == "update" for t in told_late) == 15_000
    stuck.close()
    lively.close()


def test_more_readers_than_there_is_room_for_are_told_to_come_again(serving: Serving) -> None:
    serving.hub.subscribers_max = 2
    readers = [EventReader(serving) for _ in range(2)]
    assert serving.request("GET", "/api/events").status == 503
    assert serving.request("GET", "/api/tail").status == 503
    readers[0].close()
    wait_for(lambda: serving.hub.subscribers == 1, what="the reader's place to be free")
    EventReader(serving).close()
    readers[1].close()


def test_silence_is_broken_by_a_comment(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    reader = EventReader(serving)
    assert reader.next() == Told(comment="all is well")
    happen(serving, 1)
    told = reader.next()
    while told.comment:
        told = reader.next()
    assert told.id == "a1"
    reader.close()


def test_readers_end_with_the_service(serving: Serving) -> None:
    reader = EventReader(serving)
    serving.shut()
    reader.sock.settimeout(20)
    assert reader.rest() == []
    reader.close()
    wait_for(lambda: serving.hub.subscribers == 0, what="the reader's place to be free")


@pytest.mark.parametrize(
    "query", ["?topics=weather", "?topics=alerts,records", "?last_event_id=b7", "?last_event_id=a", "?last_event_id=a1.2.3"]
)
def test_what_makes_no_sense_is_refused(serving: Serving, query: str) -> None:
    assert serving.request("GET", f"/api/events{query}").status == 400
    assert serving.hub.subscribers == 0


def test_a_store_that_can_t_be_read_ends_the_answer_and_frees_the_place(serving: Serving) -> None:
    reader = EventReader(serving, "?topics=alerts", last="a0")
    happen(serving, 1)
    serving.alerts.stored.clear()
    serving.alerts.stored.append(None)  # type: ignore[arg-type]  # breaks whoever reads it
    serving.hub.publish_transitions([step(5)])
    with pytest.raises((ConnectionError, ValueError, EOFError)):
        reader.take(10)
    reader.close()
    wait_for(lambda: serving.hub.subscribers == 0, what="the reader's place to be free")


def test_it_needs_a_token_like_everything_else(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=HttpOptions(listen="127.0.0.1:0", tokens=("secret-word",))) as serving:
        assert serving.request("GET", "/api/events").status == 401
        assert serving.request("GET", "/api/alerts").status == 401
        reader = EventReader(serving, "?p=secret-word")
        assert reader.start.id == "a0"
        reader.close()
