"""What a service under fire has told and stored, beside what is true."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import sqlite3
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.alerting.hooks import Hook
from tests.faults.truth import ENDLESS, T0, Fire, Session, Truth
from tests.running import Running, pause, wait_for

STEPS_AT_ONCE = 4
TAIL = 200


class Sender:
    """Posts a truth second by second; what was not acknowledged is sent again in the next life."""

    def __init__(self, truth: Truth, service: Running, rng: random.Random) -> None:
        self.truth = truth
        self._service = service
        self._rng = rng

    def send(self, steps: int) -> bool:
        """So many more seconds; False when the service has gone before all were acknowledged."""
        until = self.truth.steps + steps
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while self.truth.steps < until:
                some = range(self.truth.steps, min(until, self.truth.steps + self._rng.randint(1, STEPS_AT_ONCE)))
                lines = "\n".join(line for step in some for line in self.truth.lines(step))
                connection.request("POST", "/write?db=x&precision=s", body=lines.encode())
                answer = connection.getresponse()
                answer.read()
                if answer.status == 204:
                    self.truth.steps += len(some)
                else:
                    pause()
            return True
        return False

    def send_until_gone(self) -> None:
        """Until the service has."""
        while self._service.is_up:
            if not self.send(STEPS_AT_ONCE):
                pause()

    def send_end(self) -> None:
        """All comes to its end."""
        self.truth.end()
        assert self.send(TAIL)


class Killer:
    """SIGKILL after some time, wherever the process is then."""

    def __init__(self, service: Running, delay_s: float) -> None:
        assert service.process is not None
        self._timer = threading.Timer(delay_s, service.process.kill)
        self._timer.start()

    def join(self) -> None:
        self._timer.join()


@dataclass(frozen=True)
class Evidence:
    """After the last life."""

    truth: Truth
    messages: list[dict[str, Any]]
    headers: list[str]
    history: list[tuple[str, str, str, str, str, int]]
    """Rule, key, kind, old phase, new phase, second."""
    stored: list[Session]
    endless: tuple[int, int, int]
    """First second, last second and records of the session that goes on."""
    kills: int = 0

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for message in self.messages for item in message["items"]]

    def told(self) -> set[tuple[str, str, int]]:
        """Rule, key and beginning of every fire that was told in any way."""
        return {_fire(i) for i in self.items}

    def ends_told(self) -> set[Fire]:
        """Likewise with the end."""
        return {(*_fire(i), _second(i["resolved"])) for i in self.items if i["tells"] == "resolved"}

    def fires(self) -> set[tuple[str, str, int]]:
        """What must have been told, and nothing else."""
        return {(rule, key, first) for rule, key, first, _ in self.truth.fires()}

    def keys_of_steps(self) -> dict[tuple[Any, ...], set[str]]:
        """The idempotency keys of each step of each alert."""
        found: dict[tuple[Any, ...], set[str]] = defaultdict(set)
        for item in self.items:
            found[(*_fire(item), item["tells"])].add(item["idempotency_key"])
        return found

    def twice(self) -> list[Any]:
        """Transitions that the history has more than once."""
        return [event for event, count in Counter(self.history).items() if count > 1]

    def breaks(self) -> list[Any]:
        """Transitions that don't go on from where the one before ended."""
        phases: dict[tuple[str, str], str] = {}
        found = []
        for event in self.history:
            rule, key, _kind, old, new, _at = event
            if phases.get((rule, key), "ok") != old:
                found.append(event)
            phases[(rule, key)] = new
        return found

    def fired(self) -> Counter[tuple[str, str, int]]:
        """How often the history has the beginning of each fire."""
        return Counter((rule, key, at) for rule, key, _, _, new, at in self.history if new == "firing")


def gather(service: Running, sender: Sender, hook: Hook, kills: int = 0) -> Evidence:
    """Ends it all in order: everything comes to its end, is told, and is read from what was stored."""
    sender.send_end()
    expected = {(rule, key, first) for rule, key, first, _ in sender.truth.fires()}

    def all_told() -> bool:
        rows = json.loads(service.request("GET", "/api/alerts")[1])
        return not any(row["state"] == "waiting" for row in rows["outbox"]) and not any(a["phase"] == "firing" for a in rows["alerts"])

    def is_evaluated() -> bool:
        place = "SELECT min(e.seq = s.last_seq) FROM evaluated e JOIN stream s ON s.id = e.stream_id"
        return bool(expected <= {_fire(i) for m in hook.messages for i in m["items"]}) or bool(_read(service, place)[0][0])

    wait_for(is_evaluated, what=f"everything to be evaluated; it said:\n{service.said()}")
    wait_for(all_told, what=f"everything to be told; it said:\n{service.said()}")
    rows = service.query("SELECT line, epoch_us(ts) AS ts, end_us, records, n, peak FROM visits ORDER BY ts, line")
    assert service.stop() == 0, service.said()
    history = [
        (rule, json.loads(key)[0], kind, old, new, at_us // 1_000_000 - T0)
        for rule, key, kind, old, new, at_us in _read(service, "SELECT rule, key, kind, old, new, at_us FROM alert_event ORDER BY id")
    ]
    assert all(r["records"] == r["n"] for r in rows), rows
    stored = [(r["line"], _step(r["ts"]), _step(r["end_us"]), int(r["n"]), float(r["peak"])) for r in rows]
    [(body,)] = _read(service, f"SELECT body FROM session_open WHERE key = '[\"{ENDLESS}\"]'")
    shown = json.loads(body)["shown"]
    endless = (_step(shown["start_us"]), _step(shown["end_us"]), shown["records"])
    return Evidence(sender.truth, list(hook.messages), list(hook.keys), history, stored, endless, kills)


def _read(service: Running, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"file:{service.folder}/hot.sqlite?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def _fire(item: dict[str, Any]) -> tuple[str, str, int]:
    return item["rule"], item["key"][0], _second(item["fired"])


def _second(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) - T0


def _step(us: Any) -> int:
    return int(us) // 1_000_000 - T0
