"""What is written is read back, in a commit that survives a power cut, and into files of older versions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance.hot.alerts import looks
from appliance.hot.alerts.plan import Known, Place, Plan
from appliance.hot.alerts.tables import (
    commit_alerts,
    durable,
    load_instances,
    load_known,
    load_places,
    load_silence_id,
    load_silences,
)
from appliance.hot.alerts.values import Instance, Matcher, Phase, Silence
from appliance.hot.migrations import hot_store
from appliance.hot.reader import HotReader
from appliance.hot.store import FILE_NAME, FORMAT_VERSION, HotStore
from tests.hot.alerts.cases import at, down, rule, up
from tests.hot.alerts.conftest import Houses
from tests.hot.alerts.house import silenced

FULL = Instance(
    rule="hot",
    key=("d é", None),
    phase=Phase.NODATA,
    since_us=1,
    was=Phase.FIRING,
    level=-1,
    level_us=2,
    ending_us=3,
    fired_us=4,
    fire=5,
    seq=2**62,
    values={"avg(t)": 81.5, "n": 2**60, "s": 'quo"te', "b": True, "none": None},
    reason="no é",
    acked_by="ann",
    acked_until_us=6,
    ack_comment="on it",
    flapping=True,
    fires_us=(7, 8),
    told=True,
    told_us=9,
    escalated=True,
    labels={"device": "d é"},
    resolved_us=10,
    flap_fires=11,
    told_fire=12,
    told_to=("ops", "boss"),
    told_since_us=13,
    learned_us=14,
)


@pytest.fixture
def store(tmp_path: Path) -> HotStore:
    return HotStore(tmp_path, durability="crash")


def test_an_alert_comes_back_as_it_was(store: HotStore) -> None:
    plain = Instance("hot", ("d2", "x"), Phase.PENDING, 1)
    plan = Plan(0, {(i.rule, i.key): i for i in (FULL, plain)}, columns={"hot": ("device", "line")})
    commit_alerts(store, plan, history_max=10)
    assert {i.key: i for i in load_instances(store.connection)} == {FULL.key: FULL, plain.key: plain}
    commit_alerts(store, replace(plan, instances={("hot", FULL.key): None, ("hot", plain.key): replace(plain, fire=1)}), history_max=10)
    assert load_instances(store.connection) == [replace(plain, fire=1)]


def test_silences_that_are_over_are_not_loaded(store: HotStore) -> None:
    silences = [Silence(i, (Matcher("device", "d*", True),), 0, 10 * i, "ann", "é") for i in (1, 2, 3)]
    commit_alerts(store, Plan(0, silences=(*silences, replace(silences[2], ended_us=5))), history_max=10)
    assert load_silences(store.connection, now_us=10) == [silences[1]]
    assert load_silence_id(store.connection) == 3


def test_places_and_rules_come_back(store: HotStore) -> None:
    store.connection.execute("INSERT INTO stream (id, name, fold, folder, created_us) VALUES (1, 'S', 's', 's', 0)")
    place, known = Place(1, 100, 5, 4, 6), Known("t > 80", ("device",))
    commit_alerts(store, Plan(0, places=(place,), known={"hot": known, "old": known}), history_max=10)
    commit_alerts(store, Plan(0, places=(replace(place, seq=200),), known={"old": None}), history_max=10)
    assert load_places(store.connection) == {1: replace(place, seq=200)}
    assert load_known(store.connection) == {"hot": known}


def test_history_keeps_the_newest_and_its_ids_are_told(house: Houses) -> None:
    h = house(rule())
    h.history_max = 4
    h.see(9, up(1), down(2), up(3))
    assert h.written.events == range(1, 4)
    h.see(9, down(4), up(5), down(6))
    assert h.written.events == range(4, 7)
    assert [row[0] for row in looks.history(h.store.connection)] == [6, 5, 4, 3]
    assert [row[0] for row in looks.history(h.store.connection, limit=1, before_id=6, rule="hot")] == [5]
    assert looks.history(h.store.connection, rule="other") == []


@pytest.mark.parametrize(("durability", "outside"), [("crash", 1), ("power-loss", 2)])
def test_a_commit_of_alerts_survives_a_power_cut_and_the_next_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, outside: int
) -> None:
    store = HotStore(tmp_path, durability=durability)
    db = store.connection
    inside: list[int] = []
    monkeypatch.setattr(
        "appliance.hot.alerts.tables.write", lambda c, *_, **__: inside.append(c.execute("PRAGMA synchronous").fetchone()[0])
    )
    assert db.execute("PRAGMA synchronous").fetchone() == (outside,)
    commit_alerts(store, Plan(0), history_max=1)
    assert (inside, db.execute("PRAGMA synchronous").fetchone()) == ([2], (outside,))


def test_durability_is_as_before_after_an_error_too(store: HotStore) -> None:
    db = store.connection
    with pytest.raises(sqlite3.IntegrityError), durable(db), store.transaction():
        db.execute("INSERT INTO alert_event (rule) VALUES ('x')")
    assert (db.execute("PRAGMA synchronous").fetchone(), db.in_transaction) == ((1,), False)
    with store.transaction(), pytest.raises(AssertionError), durable(db):
        pass


def old_folder(folder: Path) -> sqlite3.Connection:
    """A store as format 1 was."""
    db = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    hot_store.apply(Database(db), stop_before="alerts")
    db.execute("PRAGMA user_version=1")
    db.execute("INSERT INTO stream (id, name, fold, folder, created_us) VALUES (1, 'S', 's', 's', 0)")
    db.execute("INSERT INTO schema (stream_id, version, columns) VALUES (1, 1, '[]')")
    return db


def test_a_folder_of_format_1_is_brought_to_this_one_with_what_it_has(tmp_path: Path) -> None:
    with closing(old_folder(tmp_path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alert'").fetchone() == (0,)
    for _ in range(2):
        store = HotStore(tmp_path, durability="crash")
        assert store.connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
        assert store.connection.execute("SELECT name FROM stream").fetchall() == [("S",)]
        assert load_instances(store.connection) == []
        store.close()


def test_a_folder_of_format_1_that_nobody_serves_has_no_alerts(tmp_path: Path) -> None:
    old_folder(tmp_path).close()
    reader = HotReader(tmp_path)
    assert reader.load_state().streams
    assert [f(reader) for f in (looks.alerts, looks.history, looks.silences, looks.outbox)] == [[]] * 4
    assert (load_instances(reader), load_silences(reader, now_us=0)) == ([], [])
    assert (load_known(reader), load_places(reader), load_silence_id(reader)) == ({}, {}, 0)
    reader.close()


def test_everything_can_be_looked_at(house: Houses) -> None:
    h = house(rule(notify=("ops",), group_wait_s=0, labels={"team": "x"}))
    h.do(0, silenced("device=d9", until=100))
    h.see(1, up(1, values={"temperature": 81.5}), up(1, key=(None,)))
    reader = HotReader(h.folder)
    alerts, history, silences, outbox = (f(reader) for f in (looks.alerts, looks.history, looks.silences, looks.outbox))
    for rows, columns in ((alerts, looks.ALERTS), (history, looks.HISTORY), (silences, looks.SILENCES), (outbox, looks.OUTBOX)):
        assert rows
        assert {len(row) for row in rows} == {len(columns)}
    found = dict(zip([name for name, _ in looks.ALERTS], alerts[0], strict=True))
    assert (found["rule"], found["key"], found["phase"], found["since"], found["fires"]) == ("hot", '{"device":"d1"}', "firing", at(1), 1)
    assert (found["values"], found["severity"], found["told"], found["record_seq"]) == ('{"temperature":81.5}', "warning", True, 1)
    assert (alerts[1][1], history[1][2], silences[0][1]) == ('{"device":null}', '{"device":"d1"}', '["device=d9"]')
    assert outbox[0][:6] == (1, "ops", "rule=hot", "waiting", "hot: device=d1, temperature = 81.5", 2)
    reader.close()


def test_people_can_read_it_with_sqlite(house: Houses) -> None:
    h = house(rule(notify=("ops",), group_wait_s=0))
    h.do(0, silenced("device=d9", until=100))
    h.see(1, up(1))
    db = h.store.connection
    assert db.execute("SELECT rule, key, phase, since FROM alerts_readable").fetchall() == [
        ("hot", '["d1"]', "firing", "2026-11-22T12:00:01Z")
    ]
    assert db.execute("SELECT old, new, at FROM alert_events_readable").fetchall() == [("ok", "firing", "2026-11-22T12:00:01Z")]
    assert db.execute("SELECT until FROM silences_readable").fetchall() == [("2026-11-22T12:01:40Z",)]
    assert db.execute("SELECT channel, state, items, due FROM outbox_readable").fetchall() == [
        ("ops", "waiting", 1, "2026-11-22T12:00:01Z")
    ]
    assert db.execute("SELECT * FROM evaluated_readable").fetchall() == []


def test_words_that_are_no_text_are_stored_all_the_same(house: Houses) -> None:
    h = house(rule())
    h.see(1, up(1))
    h.do(2, lambda draft: draft.acknowledge("hot", None, author="a\udc80", comment="c\ud800"))
    h.do(3, lambda draft: draft.silence(["device=\udc80"], since_us=0, until_us=at(9), author="a\udc80", comment="c\ud800"))
    assert looks.silences(h.store.connection)[0][4] == "a\\udc80"
