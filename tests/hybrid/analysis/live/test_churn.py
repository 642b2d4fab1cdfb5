"""Series that have ended make room for others; series that fall silent are told, once for what is one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.values import Rows
from appliance.hybrid.analysis.live.followed import Followed, Room
from appliance.hybrid.analysis.live.series import SlotPool
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.sighting import Sighting
from appliance.hybrid_options import AnalysisOptions
from appliance.records import Column, Kind, Schema
from tests.door.batches import FOR_TESTS, batch, submission
from tests.hybrid.analysis.live.house import T0, LiveHouse, S, living

MAX = 4
CHURN = f"{FOR_TESTS}[workload.all]\nkind = 'analysis'\nseries_max = {MAX}\nsensitivity = 1.0\n"
HOUR = 3_600


def send(house: LiveHouse, rows: list[tuple[int, str, float]], stream: str = "readings", *, at_once: int = 10_000) -> None:
    """(second, device, value), in parts of so many."""
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        at = [T0 + s * S for s, _, _ in part]
        house.send(submission(batch(stream, at, tags={"device": [d for _, d, _ in part]}, value=[v for _, _, v in part])))
        house.settle()


def life(device: str, begin: int, seconds: int, *, step: int = 10, far: int = -1) -> list[tuple[int, str, float]]:
    """A value each ``step`` seconds, one of them far off."""
    return [(begin + i * step, device, 900.0 if i == far else 20.0 + i % 3) for i in range(seconds // step)]


def slots(house: LiveHouse) -> dict[str, int]:
    found = house.live.call("all", lambda w: w.slots_by_series()).result(30) or {}
    return {str(dict(tags)["device"]): slot for (_, _, tags), slot in found.items()}


def values(sightings: list[Sighting]) -> list[tuple[object, ...]]:
    return [(s.key, s.seq, s.score, s.reason, s.learned) for s in sightings if s.kind == "value"]


def test_series_that_have_ended_make_room_and_the_next_ones_know_nothing_of_them(tmp_path: Path) -> None:
    rows = [row for n in range(10) for row in life(f"c{n}", n * 2 * HOUR, 2_000, far=150)]
    with living(tmp_path / "one", config=CHURN) as house:
        send(house, rows)
        given = slots(house)
        assert len(given) <= MAX
        assert "c9" in given
        assert len(set(given.values())) == len(given)
        assert set(given.values()) <= set(range(MAX))
        first = values(house.heard.sightings)
        (row,) = [r for r in house.live.learning() if r.stream == "readings"]
        assert (row.series, row.left_out) == (len(given), 0)
    assert {dict(key)["device"] for key, *_ in first} == {f"c{n}" for n in range(10)}  # type: ignore[call-overload]

    with living(tmp_path / "cut", config=CHURN) as house:
        send(house, rows, at_once=97)
        assert values(house.heard.sightings) == first, "however they are cut"
    found = []
    for begin in range(0, len(rows), 600):
        with living(tmp_path / "ends", config=CHURN) as house:
            send(house, rows[begin : begin + 600])
            found += values(house.heard.sightings)
    assert found == first, "whatever ends in between"


def test_what_still_reports_keeps_its_slot_and_who_was_left_out_gets_one_when_there_is_room(tmp_path: Path) -> None:
    stay = [row for n in range(3) for row in life(f"s{n}", 0, 3 * HOUR)]
    rows = sorted([*stay, *life("gone", 0, 1_000), *life("late", 1_100, 3 * HOUR - 1_100)])
    with living(tmp_path / "box", config=CHURN) as house:
        send(house, [row for row in rows if row[0] < 1_300])
        assert set(slots(house)) == {"s0", "s1", "s2", "gone"}
        send(house, [row for row in rows if row[0] >= 1_300])
        assert set(slots(house)) == {"s0", "s1", "s2", "late"}


def rows_of(come: list[tuple[int, int]], first_seq: int) -> Rows:
    names = [f"d{d}" for _, d in come]
    data = batch("readings", [T0 + t * S for t, _ in come], tags={"device": names}, value=[float(d) for _, d in come])
    return Rows(data.data, np.arange(first_seq, first_seq + len(come)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=30), st.integers(1, 50))
def test_slots_are_never_more_than_may_be_nor_two_series_of_one(lives: list[tuple[int, int, int]], cut: int) -> None:
    come = sorted((begin * 5 + i, device) for begin, device, length in lives for i in range(length))
    schema = Schema("readings", (Column("device", Kind.TAG), Column("value", Kind.FLOAT)))
    pool = SlotPool(MAX)
    followed = Followed(1, schema, Wanted(AnalysisOptions()), 0)
    room_from, seq = 0, 0
    owners: dict[int, object] = {}
    for first in range(0, len(come), cut):
        left = come[first : first + cut]
        while left:
            taken = followed.take(rows_of(left, seq + 1), pool, None, room=Room(followed.presence.tick, room_from))
            seq += len(taken.rows)
            for i in range(0 if taken.values is None else len(taken.values)):
                slot, device = int(taken.values.slots[i]), followed.keys.keys[int(taken.values.keys[i])]  # type: ignore[union-attr]
                assert owners.setdefault(slot, device) == device
            left = left[len(taken.rows) :]
            if taken.wants_room is not None:
                gone = followed.let_go(tick=taken.wants_room).tolist()
                pool.give_back(gone)
                followed.has_room()
                owners = {slot: device for slot, device in owners.items() if slot not in gone}
                room_from = taken.wants_room + 300
            assert len(followed.keys) <= MAX
            assert len(owners) <= pool.used <= MAX
            assert len(followed.presence) <= 4 * MAX


# --- silence ------------------------------------------------------------------------------------------------------------------


def silent(house: LiveHouse) -> list[Sighting]:
    return [s for s in house.heard.sightings if s.kind == "silence"]


def test_a_series_that_stops_is_told_in_plain_words_and_stays_told_after_a_restart(tmp_path: Path) -> None:
    rows = sorted([*life("a", 0, 2_400), *life("b", 0, 1_200), *life("c", 3, 2_400)])
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, [row for row in rows if row[0] < 1_240])
        assert not silent(house)
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, [row for row in rows if row[0] >= 1_240])
        found = silent(house)
    assert {s.key for s in found} == {(("device", "b"),)}
    assert {(s.stream, s.column, s.value) for s in found} == {("readings", "", None)}
    assert found[0].reason == "silent for 50 s, usually every 10 s"
    assert found[-1].reason.endswith(" min, usually every 10 s")
    assert [s.score for s in found] == sorted(s.score for s in found)
    assert found[0].ts_us - T0 < 1_300 * S


def test_a_source_that_is_away_or_a_box_that_was_off_is_no_silence_of_each(tmp_path: Path) -> None:
    rows = [row for n in range(50) for row in life(f"d{n}", n % 10, 1_200)]
    again = sorted((s + 9_000 + int(d[1:]) // 2, d, v) for s, d, v in rows)
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, sorted(rows))
        send(house, again[:400])
        assert not silent(house)
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, [(s + 90_000, d, v) for s, d, v in sorted(rows)])
        assert not silent(house)


def test_many_that_stop_at_once_are_one_thing(tmp_path: Path) -> None:
    rows = [row for n in range(60) for row in life(f"d{n}", n % 10, 2_000 if n < 5 else 1_200)]
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, sorted(rows), at_once=600)
        found = silent(house)
    assert {s.key for s in found} == {()}
    assert found[-1].reason.startswith("55 of 60 series are silent for ")
    assert len(found) < 60


@pytest.mark.parametrize("streams", [1, 12])
def test_whole_streams_that_stop_are_one_thing_by_the_clock_of_the_box(tmp_path: Path, streams: int) -> None:
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        for n in range(streams):
            send(house, life("a", 0, 100), stream=f"s{n:02}")
        state = house.box.state
        found: list[Sighting] = []

        def pretend(watch: object) -> None:
            outages, second = watch._outages, 1_000_000_000  # type: ignore[attr-defined]
            for t in range(700):
                outages._seqs = dict.fromkeys(outages._seqs, -1) if t % 5 == 0 else outages._seqs
                found.extend(outages.look("watch", state, watch.streams, now_ns=t * second + 10**18))  # type: ignore[attr-defined]
            assert not found
            for t in range(700, 800):
                found.extend(outages.look("watch", state, watch.streams, now_ns=t * second + 10**18))  # type: ignore[attr-defined]

        house.live.call("watch", pretend).result(60)
    assert {(s.stream, s.key, s.kind) for s in found} == {("s00", (), "silence")}
    assert found[0].reason.startswith("silent for 2")
    assert ("s05" in found[0].reason) == (streams > 1)
    assert ("and 6 more" in found[0].reason) == (streams > 1)
    assert found[0].ts_us > T0 + 100 * S
