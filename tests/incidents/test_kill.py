"""A kill between any two steps leaves answer, alert and message together or not at all, and a restart goes on from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import Hook
from tests.incidents.house import LOAD, WATCH, deep, house
from tests.running import QUIET, Running, wait_for

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Running]:
    """Not started yet; its channel is a port that nobody listens on."""
    config = f'{WATCH}\n[notify.ops]\nurl = "json://127.0.0.1:9/hook"\n'
    service = Running(tmp_path / "data", config=config, sources=QUIET, module=("tests.incidents.program",))
    yield service
    if service.is_up:
        service.kill()


def look(folder: Path) -> dict[str, Any]:
    """What is stored of the one incident."""
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db:

        def rows(sql: str) -> list[Any]:
            return db.execute(sql).fetchall()

        return {
            "incidents": rows("SELECT state, verdict FROM incident"),
            "answers": rows("SELECT number, verdict, superseded_us IS NULL FROM incident_answer ORDER BY number"),
            "alert": rows("SELECT phase, fire FROM alert WHERE rule = 'unusual'"),
            "steps": rows("SELECT new FROM alert_event WHERE rule = 'unusual' ORDER BY id"),
            "told": rows("SELECT tells FROM outbox_item WHERE rule = 'unusual' ORDER BY id"),
        }


NOTHING: dict[str, Any] = {"incidents": [], "answers": [], "alert": [], "steps": [], "told": []}
OPENED = {
    "incidents": [("open", "unusual")],
    "answers": [(1, "unusual", 1)],
    "alert": [("firing", 1)],
    "steps": [("firing",)],
    "told": [("firing",)],
}
DISMISSED = {
    "incidents": [("dismissed", "dismissed")],
    "answers": [(1, "unusual", 0), (2, "dismissed", 1)],
    "alert": [("ok", 1)],
    "steps": [("firing",), ("ok",)],
    "told": [("firing",), ("resolved",)],
}


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("incident.decided:1", NOTHING),
        ("incident.written:1", NOTHING),
        ("incident.durable:1", OPENED),
        ("incident.written:2", OPENED),
        ("incident.durable:2", DISMISSED),
    ],
)
def test_a_kill_leaves_answer_alert_and_message_together_or_not_at_all(dead: Running, step: str, left: dict[str, Any]) -> None:
    dead.start("--kill-at", step, wait=False)
    wait_for(dead.has_died, what=f"the kill at {step}; it said:\n{dead.said()}")
    assert look(dead.folder) == left


def test_a_restart_keeps_what_is_open_and_opens_nothing_twice(tmp_path: Path, hook: Hook) -> None:
    with house(tmp_path, hook) as home:
        home.take(LOAD[:12])
        [before] = home.incidents.open()
        wait_for(home.items, what="the message")
    with house(tmp_path, hook) as home:
        [after] = home.incidents.open()
        assert (after.id, after.summary, after.since_us, after.members) == (before.id, before.summary, before.since_us, before.members)
        home.take(LOAD)  # as a first pass gives them that goes on from an earlier place
        [again] = home.incidents.open()
        assert again.id == before.id
        shown = home.incidents.show(again.id)
        assert shown is not None
        assert sum(m.records for m in shown.members) == len(LOAD)
        home.take([], unusual=0, host=LOAD[-1].ts_us + 400_000_000)
        assert list(home.incidents.open()) == []
        wait_for(lambda: [i["state"] for i in home.items()] == ["firing", "resolved"], what="the end")
        assert home.items()[1]["summary"].startswith("over: ")
        home.incidents.answer(again.id, deep("dismissed", "It was the backup."))
        [note] = wait_for(lambda: home.items()[2:], what="the note about what is over")
        assert note["state"] == "note"
        assert "dismissed" in note["summary"]
        assert before.summary[:200] in note["text"]
