from __future__ import annotations

import math
from dataclasses import replace

from appliance.door.deadletters import DeadLetter, letters, replay
from appliance.errors import RejectPayload
from appliance.records import Batch, Reject
from tests.clock import FakeClock
from tests.door.batches import at, batch, rows_of, send
from tests.door.conftest import Opens


def test_letters_are_listed_oldest_first(opens: Opens, clock: FakeClock) -> None:
    box = opens()
    send(box, batch("Room", [at(0), at(1)], x=[math.nan, math.inf]), source="http")
    clock.pass_s(1)
    send(box, rejects=(Reject("no line", b"??", 7, "other"),), source="mqtt:t")
    reader = box.reader()
    found = list(letters(reader))
    assert [(one.id, one.stream, one.source, one.line, one.raw) for one in found] == [
        (1, "Room", "http", 1, b"raw 0"),
        (2, "Room", "http", 2, b"raw 1"),
        (3, "other", "mqtt:t", 7, b"??"),
    ]
    assert found[2].at_us - found[0].at_us == 1_000_000
    assert [one.id for one in letters(reader, stream="room")] == [1, 2]
    assert [one.id for one in letters(reader, ids=[3, 1])] == [1, 3]
    assert [one.id for one in letters(reader, limit=2)] == [1, 2]
    reader.close()


def test_what_is_mended_is_taken_and_marked_and_the_rest_stays(opens: Opens, clock: FakeClock) -> None:
    box = opens()
    send(box, batch("s", [at(0), at(1), at(2)], x=[math.nan] * 3))
    mended = {1: batch("s", [at(0)], x=[1.0]), 3: batch("s", [at(2)], x=[math.inf])}

    def parse(letter: DeadLetter) -> tuple[Batch, ...]:
        if letter.id not in mended:
            raise RejectPayload("still no line")
        return (replace(mended[letter.id], origin=None),)

    reader = box.reader()
    found = list(letters(reader))
    done = replay(found, parse=parse, submit=box.door.submit_blocking)
    assert done.taken == 1
    assert [(i, "still no line" in why or "not a finite number" in why) for i, why in done.refused] == [(2, True), (3, True)]
    assert [one.id for one in letters(reader)] == [2, 3]
    assert [(one.id, one.replayed_us) for one in letters(reader, replayed=True)] == [(1, clock.now_us()), (2, None), (3, None)]
    assert [r["x"] for r in rows_of(box, "s")] == [1.0]
    reader.close()
