"""What people do about alerts, over HTTP and on the command line, against a whole service; and what SQL shows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import Hook, alerts, picture, post, steps, stretches, told, wait_phase, write
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "100ms"

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
severity = "critical"
summary = "{device} has {temperature:.1f}"
runbook = "https://runbooks/hot"
nodata = "1h"
notify = ["ops"]

[workload.warm]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 50"
group_wait = "0s"
nodata = "1h"
inhibited_by = ["hot"]
notify = ["ops"]

[workload.often]
kind = "alert"
stream = "often"
by = ["device"]
when = "x > 1"
group_wait = "0s"
repeat = "1s"
notify = ["ops"]
nodata = "1h"

[workload.grave]
kind = "alert"
stream = "grave"
by = ["device"]
when = "x > 1"
group_wait = "0s"
notify = ["ops"]
escalate = ["boss"]
escalate_after = "2s"
nodata = "1h"
"""


STRETCHES = stretches()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Hook, Path]]:
    folder: Path = tmp_path_factory.mktemp("desk")
    boss = folder / "boss.jsonl"
    with told(folder, f'{RULES}\n[notify.boss]\nurl = "file:{boss}"\n') as (running, hook):
        yield running, hook, boss


@pytest.fixture
def after() -> int:
    """A stretch of event time for this test alone, so that any order will do."""
    return next(STRETCHES)


def said_of(hook: Hook, rule: str, device: str) -> list[str]:
    """What the hook was told of one alert."""
    return [i["state"] for m in hook.messages for i in m["items"] if i["rule"] == rule and device in i["key"]]


def ok(running: Running, *words: str) -> str:
    found = running.command("alerts", *words)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_what_fires_is_told_and_listed_and_what_a_graver_alert_inhibits_once_that_has_ended(
    service: tuple[Running, Hook, Path], after: int
) -> None:
    running, hook, _ = service
    write(running, "readings,device=d1 temperature=20 0", "readings,device=d1 temperature=91.25 1", after=after)
    wait_for(lambda: said_of(hook, "hot", "d1"), what="the message")
    (item,) = (i for m in hook.messages for i in m["items"] if "d1" in i["key"])
    assert item["summary"] == "d1 has 91.2"
    listed = ok(running, "list")
    assert "FIRING" in listed
    assert "d1 has 91.2" in listed
    rows = json.loads(ok(running, "list", "--json"))
    assert {(r["rule"], r["phase"]) for r in rows if r["key"] == {"device": "d1"}} == {("hot", "firing"), ("warm", "firing")}
    history = ok(running, "history", "--rule", "hot")
    assert "ok -> firing" in history
    assert "d1 has 91.2" in ok(running, "outbox")

    assert wait_phase(running, "firing", rule="warm")["inhibited_by"] == "hot"
    assert said_of(hook, "warm", "d1") == []
    write(running, "readings,device=d1 temperature=60 2", after=after)
    wait_for(lambda: said_of(hook, "warm", "d1") == ["firing"], what="what was inhibited")
    assert said_of(hook, "hot", "d1") == ["firing", "resolved"]


def test_a_silence_holds_what_it_matches_until_it_is_ended(service: tuple[Running, Hook, Path], after: int) -> None:
    running, hook, _ = service
    said = ok(running, "silence", "device=d2", "rule=h*", "--for", "1h", "--comment", "new bearing", "--author", "ann")
    number = int(said.split()[1])
    write(running, "readings,device=d2 temperature=99 3", after=after)
    found = wait_phase(running, "firing", device="d2", rule="hot")
    assert found["silenced_by"] == number
    row = running.query("SELECT * FROM _silences")[0]
    assert (row["id"], row["author"], row["comment"]) == (number, "ann", "new bearing")
    running.kill()
    running.start()
    assert wait_phase(running, "firing", device="d2", rule="hot")["silenced_by"] == number
    assert said_of(hook, "hot", "d2") == []
    assert "is over" in ok(running, "unsilence", str(number))
    wait_for(lambda: said_of(hook, "hot", "d2") == ["firing"], what="what was silenced")
    again = running.command("alerts", "unsilence", str(number))
    assert (again.returncode, "no silence" in again.stderr) == (2, True)


def test_an_acknowledgement_stops_repeats_and_ends_in_time(service: tuple[Running, Hook, Path]) -> None:
    running, hook, _ = service
    write(running, "often,device=o1 x=5 0")
    wait_for(lambda: len(said_of(hook, "often", "o1")) >= 2, what="a repeat")
    assert set(said_of(hook, "often", "o1")[1:]) <= {"repeat", "firing"}
    acked = post(running, "ack", {"rule": "often", "key": {"device": "o1"}, "author": "bob", "comment": "seen", "until": "2s"})
    assert acked[0]["acked_by"] == "bob"
    before = len(said_of(hook, "often", "o1"))
    wait_for(lambda: wait_phase(running, "firing", device="o1")["acked_by"] is None, what="its end")
    assert len(said_of(hook, "often", "o1")) <= before + 1
    wait_for(lambda: len(said_of(hook, "often", "o1")) > before + 1, what="a repeat again")
    assert [s["kind"] for s in steps(running, "often", "o1")] == ["change", "acked", "unacked"]
    assert len(set(hook.keys)) == len(hook.keys)
    write(running, "often,device=o1 x=0 1")
    wait_for(lambda: said_of(hook, "often", "o1")[-1] == "resolved", what="the end")


def test_what_nobody_acknowledges_is_escalated_once_and_its_end_goes_there_too(service: tuple[Running, Hook, Path]) -> None:
    running, hook, boss = service
    write(running, "grave,device=g1 x=5 0", "grave,device=g2 x=5 0")
    wait_phase(running, "firing", device="g2", rule="grave")
    post(running, "ack", {"rule": "grave", "key": {"device": "g2"}, "author": "bob", "comment": "mine"})
    wait_for(lambda: boss.exists() and "g1" in boss.read_text(), what="the escalation")
    assert "acknowledged" in ok(running, "ack", "grave", "device=g1", "--comment", "late")
    write(running, "grave,device=g1 x=0 1", "grave,device=g2 x=0 1")
    wait_for(lambda: "resolved" in boss.read_text(), what="the end")
    assert "g2" not in boss.read_text()
    wait_for(lambda: said_of(hook, "grave", "g2") == ["firing", "resolved"], what="the end over the other channel")
    refused = running.command("alerts", "ack", "grave")
    assert (refused.returncode, "nothing of the rule 'grave' fires" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("what", "body", "words"),
    [
        ("ack", {"rule": "nope", "author": "x"}, "no rule 'nope'"),
        ("ack", {"rule": "hot", "author": "x", "key": {"machine": "1"}}, "no key column 'machine'"),
        ("ack", {"rule": "hot", "author": "x", "until": "2020-01-01T00:00:00Z"}, "past"),
        ("silence", {"matchers": ["device"], "until": "1h", "author": "x", "comment": "y"}, "device"),
        ("silence", {"matchers": ["device=d1"], "until": "1h", "author": "x", "comment": ""}, "comment"),
        ("unsilence", {"id": 999, "author": "x"}, "no silence 999"),
        ("test", {"channel": "nope"}, "nope"),
    ],
)
def test_what_can_not_be_done_is_refused_with_the_reason(service: tuple[Running, Hook, Path], what: str, body: Any, words: str) -> None:
    assert words in json.dumps(post(service[0], what, body, status=400))


def test_a_test_message_goes_out_for_real(service: tuple[Running, Hook, Path]) -> None:
    running, hook, boss = service
    before = len(hook.messages)
    assert ok(running, "test", "ops").strip()
    assert len(hook.messages) == before + 1
    size = boss.stat().st_size if boss.exists() else 0
    ok(running, "test", "boss")
    assert boss.stat().st_size > size
    assert running.command("alerts", "test", "nope").returncode == 2


def test_the_tables_of_alerts_in_sql_say_what_the_service_says(service: tuple[Running, Hook, Path], after: int) -> None:
    running, hook, _ = service
    write(running, "readings,device=d5 temperature=99 1", after=after)
    wait_for(lambda: said_of(hook, "hot", "d5"), what="the message")
    wait_for(lambda: not [m for m in picture(running)["outbox"] if m["state"] == "waiting"], what="all messages to be sent")
    shown = {(a["rule"], json.dumps(a["key"]), a["phase"]) for a in alerts(running)}
    rows = running.query("SELECT rule, key, phase FROM _alerts WHERE phase != 'ok'")
    assert {(r["rule"], json.dumps(json.loads(r["key"])), r["phase"]) for r in rows} == shown
    counted = running.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM _alert_history")[0]
    assert counted["n"] == counted["ids"] == sum(len(steps(running, rule)) for rule in ("hot", "warm", "often", "grave"))
    states = running.query("SELECT state, count(*) AS n, max(attempts) AS attempts FROM _outbox GROUP BY state")
    assert [s["state"] for s in states] == ["sent"]
    late = running.query('SELECT count(*) AS n FROM _alert_history WHERE "at" IS NULL OR learned IS NULL')
    assert late[0]["n"] == 0


def test_without_a_service_the_folder_is_read_and_nothing_can_be_done(service: tuple[Running, Hook, Path], after: int) -> None:
    running, _, _ = service
    write(running, "readings,device=d6 temperature=99 1", after=after)
    wait_phase(running, "firing", device="d6", rule="hot")
    before = {(a["rule"], json.dumps(a["key"])) for a in alerts(running)}
    assert running.stop() == 0
    listed = running.command("alerts", "list", "--json")
    assert "no service runs" in listed.stderr
    assert {(a["rule"], json.dumps(a["key"])) for a in json.loads(listed.stdout)} == before
    assert running.command("alerts", "ack", "hot").returncode != 0
    running.start()
