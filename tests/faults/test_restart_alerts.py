"""A start takes alerts up as they were: whatever their state was at the kill, nobody is told twice and nobody is forgotten."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import Hook, alerts, wait_phase, write
from tests.running import Running, wait_for

LONG_S = 7_200
"""How long the box was down, as far as it can tell."""
GRACE, NO_GRACE = 'grace = "1h"', 'grace = "0s"'
RULE = """
[alerts]
GRACE

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
severity = "critical"
nodata = "40s"
notify = ["ops"]
"""
WAITING = RULE + 'for = "30s"\n'
FLAPPING = RULE + "flap_max = 2\n"
ABSENT = (
    RULE.replace('when = "temperature > 80"', 'absent = "20s"').replace('nodata = "40s"', "")
    + """
[workload.mark]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
"""
)
WINDOW = """
[stream.readings]
lateness = "100ms"
""" + RULE.replace('when = "temperature > 80"', 'over = "400ms"\nevery = "100ms"\nwhen = "avg(temperature) > 40"')


@contextmanager
def told(folder: Path, rules: str, *, grace: str = GRACE) -> Iterator[tuple[Running, Hook]]:
    """A service with these rules, started, and what it tells."""
    hook = Hook()
    config = f'{rules.replace("GRACE", grace)}\n[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\n'
    service = Running(folder / "data", config=config, sources="source = []\n", module=("tests.faults.program",))
    try:
        service.start()
        yield service, hook
    finally:
        if service.is_up:
            service.kill()
        hook.close()


def restart(service: Running, *, down_s: float = 0, is_clean: bool = False) -> None:
    """Kill -9 (or an end in order) and another start, ``down_s`` later as far as the service can tell."""
    if is_clean:
        assert service.stop() == 0
    elif service.is_up:
        service.kill()
    with contextlib.closing(sqlite3.connect(service.folder / "hot.sqlite")) as db, db:
        db.execute("UPDATE evaluated SET wall_us = wall_us - ?", (int(down_s * 1e6),))
    service.start()


def write_unevaluated(service: Running, *lines: str) -> None:
    """Records that are committed, while nothing that follows from them is: the service dies within the transaction that would say so."""
    service.kill()
    service.start("--kill-at", "alerts.written:2")
    with contextlib.suppress(OSError, AssertionError):
        write(service, *lines)
    wait_for(service.has_died, what="the kill")


def evaluated(service: Running, second: float) -> None:
    """Waits until a record of a device of its own that fires has been told: all before it has been evaluated."""
    write(service, f"readings,device=mark temperature=99 {second}", f"readings,device=mark temperature=20 {second}.5")
    wait_for(lambda: any(a["key"]["device"] == "mark" for a in history(service)), what="the mark")


def history(service: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(service.request("GET", "/api/alerts/history?limit=1000")[1])
    return list(reversed(found))


def steps(service: Running, device: str = "d1") -> list[str]:
    """What a device's alert has been."""
    return [h["new"] for h in history(service) if h["key"]["device"] == device]


def items(hook: Hook, device: str = "d1") -> list[str]:
    """What a device's alert was told to be; what was handed over and not confirmed before a kill comes again, with the same key."""
    found = {i["idempotency_key"]: i["state"] for m in hook.messages for i in m["items"] if i["key"] == [device]}
    return list(found.values())


def act(service: Running, what: str, **body: Any) -> None:
    """What people do; returns with the answer."""
    status, said = service.request("POST", f"/api/alerts/{what}", body=json.dumps(body).encode())
    assert status == 200, said


def test_pending_time_goes_on_by_event_time(tmp_path: Path) -> None:
    with told(tmp_path, WAITING) as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_phase(service, "pending")
        restart(service)
        assert wait_phase(service, "pending")["since_us"] == 1_760_000_000_000_000
        write(service, "readings,device=d1 temperature=90 30.2")
        write(service, "readings,device=d1 temperature=20 30.4")
        wait_for(lambda: items(hook)[-1:] == ["resolved"], what="the end")
        assert [(h["new"], h["at_us"]) for h in history(service)] == [
            ("pending", 1_760_000_000_000_000),
            ("firing", 1_760_000_030_000_000),
            ("ok", 1_760_000_030_400_000),
        ]


def test_the_time_that_the_box_was_down_makes_nothing_fire_while_the_grace_lasts(tmp_path: Path) -> None:
    with told(tmp_path, WAITING) as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_phase(service, "pending")
        restart(service, down_s=LONG_S)
        write(service, "readings,device=d1 temperature=20 5", "readings,device=d1 temperature=20 7000")
        wait_for(lambda: steps(service) == ["pending", "ok"], what="the end")
        assert hook.items == []


def test_without_grace_time_goes_on_while_the_box_is_down(tmp_path: Path) -> None:
    with told(tmp_path, WAITING, grace=NO_GRACE) as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_phase(service, "pending")
        restart(service, down_s=35)
        wait_for(lambda: items(hook) == ["firing"], what="the message")


def test_what_fires_does_not_fire_again(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_for(lambda: items(hook) == ["firing"], what="the message")
        for second in (1, 2):
            restart(service)
            wait_phase(service, "firing")
            write(service, f"readings,device=d1 temperature=9{second} {second}")
        write(service, "readings,device=d1 temperature=20 3")
        wait_for(lambda: items(hook) == ["firing", "resolved"], what="the end")
        assert steps(service) == ["firing", "ok"]


@pytest.mark.parametrize("is_evaluated", [True, False])
def test_missing_data_stays_missing_until_a_record_comes(tmp_path: Path, *, is_evaluated: bool) -> None:
    with told(tmp_path, RULE) as (service, hook):
        service.config_file.write_text(service.config_file.read_text().replace(GRACE, NO_GRACE))
        restart(service)
        write(service, "readings,device=d1 temperature=90 0", "readings,device=d2 temperature=20 0")
        wait_phase(service, "firing")
        write(service, "readings,device=d2 temperature=20 60")
        assert wait_phase(service, "nodata")["was"] == "firing"
        if is_evaluated:
            restart(service)
            wait_phase(service, "nodata")
            write(service, "readings,device=d1 temperature=91 70")
        else:
            write_unevaluated(service, "readings,device=d1 temperature=91 70")
            service.start()
        wait_phase(service, "firing")
        write(service, "readings,device=d1 temperature=20 71")
        wait_for(lambda: items(hook) == ["firing", "resolved"], what="the end")
        assert steps(service) == ["firing", "nodata", "firing", "ok"]


def test_an_acknowledgement_is_durable_when_it_is_answered(tmp_path: Path) -> None:
    with told(tmp_path, RULE + 'repeat = "300ms"\n') as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_phase(service, "firing")
        act(service, "ack", rule="hot", key={"device": "d1"}, author="kim", comment="on my way")
        restart(service)
        found = wait_phase(service, "firing")
        assert (found["acked_by"], found["ack_comment"], found["acked_until_us"]) == ("kim", "on my way", None)
        told_before = len(hook.messages)
        evaluated(service, 1)
        restart(service)
        write(service, "readings,device=d1 temperature=20 4")
        wait_for(lambda: items(hook)[-1:] == ["resolved"], what="the end")
        mine = [m for m in hook.messages[told_before:] if any(i["key"] == ["d1"] and i["tells"] == "repeat" for i in m["items"])]
        assert mine == []


def test_an_acknowledgement_that_was_taken_back_stays_so(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (service, _hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_phase(service, "firing")
        act(service, "ack", rule="hot", author="kim")
        act(service, "unack", rule="hot", author="kim")
        restart(service)
        assert wait_phase(service, "firing")["acked_by"] is None


def test_a_silence_is_durable_when_it_is_answered(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (service, hook):
        write(service, "readings,device=d1 temperature=20 0")
        act(service, "silence", matchers=["device=d1"], until="2h", author="kim", comment="being mended")
        restart(service)
        [silence] = json.loads(service.request("GET", "/api/alerts")[1])["silences"]
        assert (silence["matchers"], silence["author"], silence["comment"]) == (["device=d1"], "kim", "being mended")
        write(service, "readings,device=d1 temperature=90 1")
        assert wait_phase(service, "firing")["silenced_by"] == silence["id"]
        restart(service)
        evaluated(service, 2)
        wait_for(lambda: items(hook, "mark"), what="the mark")
        assert items(hook) == []
        act(service, "unsilence", id=silence["id"], author="kim")
        restart(service)
        wait_for(lambda: items(hook) == ["firing"], what="what was silenced")


def test_what_flaps_is_told_once(tmp_path: Path) -> None:
    def to_and_fro(first: int, times: int) -> list[str]:
        return [f"readings,device=d1 temperature={90 if n % 2 == 0 else 20} {first + n}" for n in range(2 * times)]

    with told(tmp_path, FLAPPING) as (service, hook):
        write(service, *to_and_fro(0, 4))
        wait_for(lambda: "flapping" in items(hook), what="the message")
        before = items(hook)
        restart(service)
        write(service, *to_and_fro(10, 4))
        evaluated(service, 30)
        wait_for(lambda: items(hook, "mark"), what="the mark")
        assert items(hook) == before
        assert next(a for a in alerts(service) if a["key"]["device"] == "d1")["flapping"]


def test_what_began_and_ended_in_records_that_waited_for_evaluation_is_told(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (service, hook):
        write(service, "readings,device=d1 temperature=20 0", "readings,device=d2 temperature=20 0")
        evaluated(service, 1)
        write_unevaluated(
            service,
            "readings,device=d1 temperature=90 10",
            "readings,device=d2 temperature=20 15",
            "readings,device=d1 temperature=20 20",
        )
        service.start()
        wait_for(lambda: items(hook)[-1:] == ["resolved"], what="the message")
        assert steps(service) == ["firing", "ok"]
        assert {i["fired"] for m in hook.messages for i in m["items"] if i["key"] == ["d1"]} == {"2025-10-09T08:53:30Z"}


def test_the_first_record_of_a_stream_counts_when_the_kill_comes_before_it_was_seen(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (service, hook):
        write_unevaluated(service, "readings,device=d1 temperature=90 0", "readings,device=d1 temperature=20 10")
        service.start()
        wait_for(lambda: items(hook)[-1:] == ["resolved"], what="the message")
        assert steps(service) == ["firing", "ok"]


def test_silence_while_the_box_was_down_is_not_told_within_the_grace(tmp_path: Path) -> None:
    with told(tmp_path, ABSENT) as (service, hook):
        write(service, "readings,device=d1 temperature=90 0", "readings,device=d2 temperature=90 0")
        wait_for(lambda: len(history(service)) == 2, what="their evaluation")
        restart(service, down_s=LONG_S, is_clean=True)
        write(service, f"readings,device=d1 temperature=90 {LONG_S}", f"readings,device=d1 temperature=90 {LONG_S + 100}")
        restart(service, down_s=LONG_S)
        write(service, f"readings,device=d2 temperature=90 {2 * LONG_S}")
        restart(service, is_clean=True)
        assert [h for h in history(service) if h["rule"] != "mark"] == []
        assert hook.items == []


def test_silence_that_lasts_is_told_after_the_grace(tmp_path: Path) -> None:
    with told(tmp_path, ABSENT, grace='grace = "400ms"') as (service, hook):
        write(service, "readings,device=d1 temperature=90 0")
        wait_for(lambda: history(service), what="its evaluation")
        restart(service, down_s=LONG_S, is_clean=True)
        wait_for(lambda: items(hook) == ["firing"], what="the message")
        write_unevaluated(service, f"readings,device=d1 temperature=90 {LONG_S}")
        service.start()
        wait_for(lambda: items(hook)[:2] == ["firing", "resolved"], what="the end")


def test_what_has_left_a_window_while_nothing_came_does_not_fire_again(tmp_path: Path) -> None:
    with told(tmp_path, WINDOW, grace=NO_GRACE) as (service, _):
        write(service, *(f"readings,device=d1 temperature={x} {at}" for at, x in ((0.0, 0), (0.1, 0), (0.2, 300), (0.3, 0))))
        write(service, *(f"readings,device=d1 temperature={x} {at}" for at, x in ((0.4, 0), (0.5, 0), (0.6, 0), (0.7, 100), (0.8, 0))))
        wait_for(lambda: steps(service)[-1:] == ["ok"] and len(steps(service)) >= 4, what="time to go on")
        before = steps(service)
        restart(service)
        evaluated(service, 100)
        assert steps(service)[: len(before)] == before
        assert [s for s in steps(service)[len(before) :] if s == "firing"] == []


SESSIONS = """
[workload.visits]
kind = "session"
stream = "readings"
by = ["device"]
gap = "30s"
fields = { peak = "max(temperature)" }
"""


def test_a_session_in_the_first_records_of_a_stream_is_kept_when_the_kill_comes_before_it_was_seen(tmp_path: Path) -> None:
    with told(tmp_path, SESSIONS) as (service, _hook):
        write_unevaluated(service, "readings,device=d1 temperature=90 0", "readings,device=d1 temperature=20 100")
        service.start()
        sql = "SELECT records FROM _sessions WHERE workload = 'visits' AND NOT is_open"
        assert wait_for(lambda: service.query(sql), what="the session") == [{"records": 1}]


def test_a_device_that_reconnects_first_makes_nothing_fire_before_others_have_sent_what_they_kept(tmp_path: Path) -> None:
    with told(tmp_path, WAITING.replace("40s", "1d")) as (service, hook):
        write(service, "readings,device=d1 temperature=20 -1", "readings,device=d1 temperature=90 0", "readings,device=d2 temperature=90 0")
        wait_phase(service, "pending")
        restart(service, down_s=60)
        evaluated(service, 600)
        assert steps(service) == ["pending"]
        write(
            service, "readings,device=d1 temperature=20 10", "readings,device=d2 temperature=90 20", "readings,device=d2 temperature=90 31"
        )
        wait_for(lambda: ("firing" in steps(service, "d2")) and steps(service) == ["pending", "ok"], what="both")
        assert items(hook) == []


JOIN = """
[workload.hot_while_closed]
kind = "alert"
stream = "boiler"
join = "valve"
within = "10s"
by = ["device"]
when = "boiler.temperature > 80 and valve.state = 'closed'"
notify = ["ops"]
"""


def test_a_record_finds_the_partner_that_it_had_before_the_kill_also_when_that_stream_has_gone_on(tmp_path: Path) -> None:
    with told(tmp_path, JOIN) as (service, _hook):
        before = [f"boiler,device={d} temperature={t} 0" for d, t in (("d1", 20), ("mark", 90))]
        write(service, *before, 'valve,device=d1 state="closed" 0', 'valve,device=mark state="closed" 0')
        wait_phase(service, "firing", device="mark")
        write_unevaluated(
            service, 'valve,device=d1 state="open" 30', "boiler,device=d1 temperature=90 2", "boiler,device=mark temperature=9 2"
        )
        service.start()
        wait_for(lambda: steps(service, "mark") == ["firing", "ok"], what="the end of the mark")
        assert steps(service) == ["firing"]
