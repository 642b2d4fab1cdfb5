"""The ladder in a real service: what gets short and free again takes it down and up; each step happens, is said, and is undone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from appliance.batching import steward
from appliance.cli.status import lines, read_status
from appliance.config import load_config
from appliance.observe.health import LEVELS, health_of, status_line
from appliance.observe.ladder import WORDS
from appliance.observe.pressure import Readings
from appliance.service import Service
from appliance.units import GIB, MIB
from tests.alerting.hooks import Hook
from tests.clock import FakeClock
from tests.http.sse import EventReader, Told
from tests.observe.test_path_budgets import state_of
from tests.running import Running, wait_for

pytestmark = pytest.mark.xdist_group("ladder")
WELL = Readings(memory_free_bytes=8 * GIB, memory_bytes=24 * GIB, disk_free_bytes=8 * GIB, disk_free_min=64 * MIB)
CONFIG = """
[alerts]
grace = "100ms"

[workload.overheating]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
notify = ["ops"]

[workload.spin]
kind = "job"
command = ["sh", "-c", "echo $$ > spin.pid; while :; do :; done"]

[workload.later]
kind = "job"
command = ["true"]

[workload.hourly]
kind = "view"
bucket = "1h"
sql = "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, device, avg(temperature) AS mean FROM readings GROUP BY ALL"
"""


def memory(*free_mib: int) -> list[Readings]:
    return [Readings(memory_free_bytes=mib * MIB, memory_bytes=24 * GIB, disk_free_bytes=8 * GIB) for mib in free_mib]


def disk(*free_mib: int) -> list[Readings]:
    return [Readings(disk_free_bytes=mib * MIB, disk_free_min=64 * MIB) for mib in free_mib]


def late(*seconds: float) -> list[Readings]:
    return [Readings(rules_s=s) for s in seconds]


SHORT: dict[str, tuple[list[Readings], list[Readings]]] = {
    "memory": (memory(450, 300, 200, 100), memory(600, 400, 200)),
    "disk": (disk(200, 100, 50, 20), disk(200, 100, 50)),
    "cpu": (late(1.2, 4, 12, 40), late(1.2, 4, 12)),
}
"""By kind: what asks for steps 1 to 4, and what lets it go up to steps 1 to 3."""


@dataclass
class Short:
    """A service that is short of what a test says."""

    running: Running
    clock: FakeClock
    hook: Hook
    readings: Readings = WELL
    looks: int = 0
    said: list[str] = field(default_factory=list)
    """The lines that systemd was told."""

    def read(self) -> Readings:
        self.looks += 1
        return self.readings

    def to(self, step: int, readings: Readings, *, passing_s: float) -> None:
        """Has it short of this until it has come to the step."""
        self.readings = readings

        def there() -> bool:
            before = self.looks
            wait_for(lambda: self.looks >= before + 2, what="a look")
            if self.status()["ladder"]["step"] == step:
                return True
            self.clock.pass_s(passing_s)
            return False

        wait_for(there, what=f"step {step}")

    def status(self) -> dict[str, Any]:
        return self.running.status()

    def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        status, said = self.running.request(method, path, body=json.dumps(body).encode() if body else None)
        return status, json.loads(said) if said else None

    def spinning(self) -> str:
        """The state of the process that spins, as the kernel writes it; empty: there is none."""
        try:
            return state_of(int((self.running.folder / "spin.pid").read_text()))
        except (OSError, ValueError):
            return ""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Short]:
    folder, hook, clock = tmp_path_factory.mktemp("ladder"), Hook(), FakeClock()
    running = Running(folder / "data", config=f'{CONFIG}\n[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/h"\n', sources="source = []\n")
    with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        patch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        patch.setattr(steward, "LOOK_S", 0.05)
        patch.setattr("appliance.service.TICK_S", 0.05)
        it = Short(running, clock, hook)
        service = Service(load_config(data_dir=running.folder, file=running.config_file), clock=clock, readings=it.read)
        patch.delenv("NOTIFY_SOCKET")
        with ThreadPoolExecutor(2) as pool:
            heard = pool.submit(hear, systemd, it.said)
            ended = pool.submit(lambda: asyncio.run(service.run()))
            try:
                wait_for(lambda: running.is_ready() or ended.done(), what="the service to be ready")
                assert running.write("readings,device=a temperature=20 1760000000000000") == 204
                yield it
            finally:
                service.stop()
                assert ended.result(60) == 0
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                    last.sendto(b"", str(folder / "notify"))
                heard.result(60)
                hook.close()


def told_by_systemd(short: Short) -> str:
    """The newest line, not older than this call."""
    before = len(short.said)
    wait_for(lambda: len(short.said) >= before + 2, what="a line of status")
    return short.said[-1]


def hear(systemd: socket.socket, said: list[str]) -> None:
    """Keeps the lines of status that come until an empty message does."""
    while told := systemd.recv(65_536).decode():
        if told.startswith("STATUS="):
            said.append(told.removeprefix("STATUS="))


def check_surfaces(short: Short, step: int) -> None:
    """All that can be asked tell the same. The clock stands still; what changes while they are asked has them asked again."""

    def asked() -> bool:
        picture = read_status(short.running.folder)
        status, health = short.ask("GET", "/api/status")[1], short.ask("GET", "/health")
        metrics, line = short.running.request("GET", "/metrics")[1].decode(), told_by_systemd(short)
        rows = short.running.query("SELECT part, level, what FROM _health") if step < 4 else []
        if read_status(short.running.folder).problems != picture.problems:
            return False
        found = health_of(picture)
        reasons = [(p.level, p.what) for p in found.reasons]
        assert (found.ladder.step, found.ladder.name) == (step, WORDS[step])
        assert [(p["level"], p["what"]) for p in status["problems"]] == reasons
        assert status["health"] == picture.health == found.level
        assert health[0] == 200
        assert [health[1][name] for name in ("health", "step", "step_name")] == [found.level, step, WORDS[step]]
        assert [(c["level"], c["message"]) for c in health[1]["checks"]] == reasons
        assert re.findall(r"^appliance_health (\d)$", metrics, re.MULTILINE) == [str(LEVELS.index(found.level))]
        assert f'appliance_ladder_step{{name="{WORDS[step]}"}} {step}\n' in metrics
        assert f"appliance_problems {len(reasons)}\n" in metrics
        assert line[:200] == status_line(msgspec.structs.replace(picture, rate=float(line.split()[1])))[:200]
        said = lines(picture)
        assert all(any(what in row and row.startswith(level) for row in said) for level, what in reasons)
        if step < 4:
            assert (rows[0]["part"], rows[0]["level"]) == ("box", found.level)
            assert [(r["level"], r["what"]) for r in rows[1:]] == reasons
        if step:
            assert found.level == ("CRIT" if step == 4 else "WARN")
            assert any(row.startswith(f"ladder   step {step}, {WORDS[step]}") for row in said)
            assert f"step {step}, {WORDS[step]}" in line
            assert any(what.startswith(f"degraded, step {step} of 4: {WORDS[step]}") for _, what in reasons)
        return True

    wait_for(asked, what="all to be asked within an instant")


def check_refused(short: Short, step: int) -> None:
    """What is refused from which step on, and that the answer says why and when to come again."""
    sql = {"sql": "SELECT 1 AS one"}
    asked: list[tuple[int, Callable[[], tuple[int, Any]]]] = [
        (2, lambda: short.ask("POST", "/api/jobs/query", **sql)),
        (2, lambda: short.ask("GET", "/api/alerts/chart?rule=overheating&key=%7B%22device%22:%22a%22%7D")),
        (4, lambda: short.ask("POST", "/api/query", **sql)),
        (4, lambda: short.ask("GET", "/api/v3/query_sql?q=SELECT+1")),
        (4, lambda: short.ask("GET", "/api/series?stream=readings&column=temperature")),
        (4, lambda: short.ask("GET", "/api/latest?stream=readings")),
    ]
    if step:
        asked.append((1, lambda: short.ask("POST", "/api/views/hourly/refresh")))
    why = short.status()["ladder"]["why"]
    for least, ask in asked:
        status, said = ask()
        assert (status == 503) == (step >= least), said
        if status == 503:
            assert why in said["error"]
            assert WORDS[step] in said["error"]


@pytest.mark.parametrize("kind", SHORT)
def test_what_gets_short_takes_it_down_step_by_step_and_it_comes_up_again(short: Short, kind: str) -> None:
    events = EventReader(short.running, "?topics=health")
    with contextlib.closing(events):
        down_and_up(short, kind, events)


def down_and_up(short: Short, kind: str, events: EventReader) -> None:
    down, up = SHORT[kind]
    status, spin = short.ask("POST", "/api/jobs/run", name="spin")
    assert status == 200
    wait_for(short.spinning, what="the job to spin")
    stretches = short.running.query("SELECT count(*) AS n FROM _ladder")[0]["n"]
    check_surfaces(short, 0)
    check_refused(short, 0)
    later: dict[str, Any] = {}
    for step, readings in enumerate(down, 1):
        short.to(step, readings, passing_s=2)
        check_surfaces(short, step)
        check_refused(short, step)
        told = next_event(events)
        assert (told.event, told.data["step"], told.data["was"], told.data["kind"]) == ("ladder", step, step - 1, kind)
        assert told.data["why"] == short.status()["ladder"]["why"]
        if step == 1:
            check_paused(short, kind)
            later = short.ask("POST", "/api/jobs/run", name="later")[1]
    check_records_and_alerts(short, kind)
    for step, readings in [*reversed(list(enumerate(up, 1))), (0, WELL)]:
        assert short.ask("GET", f"/api/jobs/runs/{later['id']}")[1]["state"] == "waiting"
        short.to(step, readings, passing_s=30)
        check_surfaces(short, step)
        check_refused(short, step)
        told = next_event(events)
        assert (told.data["step"], told.data["was"]) == (step, step + 1)
    wait_for(lambda: short.spinning() == "R", what="the job to go on")
    assert short.ask("POST", "/api/jobs/cancel", id=spin["id"])[0] == 200
    wait_for(lambda: short.ask("GET", f"/api/jobs/runs/{later['id']}")[1]["state"] == "done", what="what waited to be done")
    wait_for(lambda: not short.spinning(), what="the job to end")
    check_written(short, kind, stretches)


def next_event(events: EventReader) -> Told:
    """The next, heartbeats left out."""
    told = events.next()
    while told.comment:
        told = events.next()
    return told


def check_paused(short: Short, kind: str) -> None:
    """What is under way stands still; where the memory is wanted it is ended, and waits to be done again."""
    if kind == "memory":
        wait_for(lambda: not short.spinning(), what="the job to make room")
        wait_for(lambda: "spin" in waiting(short), what="it to wait again")
    else:
        wait_for(lambda: short.spinning() == "T", what="the job to stand still")
    cold = next(b for b in short.status()["budgets"] if b["path"] == "cold")
    assert cold["held"] == "the box is degraded to 'batch paused'"


def waiting(short: Short) -> list[str]:
    """The runs that wait, by name."""
    return [r["name"] for r in short.ask("GET", "/api/jobs")[1]["queue"] if r["state"] == "waiting"]


def check_records_and_alerts(short: Short, kind: str) -> None:
    """At the bottom records are taken, and an alert is told."""
    at_us = short.clock.now_us()
    assert short.running.write(f"readings,device={kind} temperature=99 {at_us}") == 204

    def told() -> bool:
        short.clock.pass_s(0.1)
        return ("firing", kind) in short.hook.items

    wait_for(told, what="the alert to be told")


def check_written(short: Short, kind: str, stretches: int) -> None:
    """Each stretch is a row with its reason, end to end, and none is open."""

    def found() -> list[dict[str, Any]]:
        rows = short.running.query("SELECT id, since, until, step, name, kind, why FROM _ladder ORDER BY id")[stretches:]
        return rows if len(rows) == 7 and rows[-1]["until"] is not None else []

    rows = wait_for(found, what="the stretches to be written")
    assert [r["step"] for r in rows] == [1, 2, 3, 4, 3, 2, 1]
    assert [r["name"] for r in rows] == [WORDS[r["step"]] for r in rows]
    assert {r["kind"] for r in rows} == {kind}
    assert all(r["why"] for r in rows)
    assert [r["until"] for r in rows[:-1]] == [r["since"] for r in rows[1:]]
