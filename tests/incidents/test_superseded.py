"""A first answer that the deep pass overturns is superseded everywhere: API, SQL, command line, events, notification."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import Hook
from tests.incidents.house import LOAD, House, deep, house
from tests.running import wait_for


@contextmanager
def following(home: House) -> Iterator[list[tuple[str, Any]]]:
    """Events of the topic, as they come over HTTP."""
    found: list[tuple[str, Any]] = []
    connection = http.client.HTTPConnection("127.0.0.1", home.running.port, timeout=30)
    connection.request("GET", "/api/events?topics=analysis,alerts")
    assert connection.sock is not None
    sock = connection.sock  # an answer without an end takes it from the connection
    answer = connection.getresponse()
    ready = threading.Event()

    def read() -> None:
        name = ""
        with suppress(OSError, http.client.HTTPException):
            while line := answer.readline():
                ready.set()
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text[7:]
                elif text.startswith("data: "):
                    found.append((name, json.loads(text[6:])))

    thread = threading.Thread(target=read, daemon=True)  # noqa: TID251 - ends with the connection
    thread.start()
    assert ready.wait(30)
    try:
        yield found
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        answer.close()
        connection.close()


def told(home: House, state: str) -> list[dict[str, Any]]:
    return [i for i in home.items() if i["state"] == state]


@pytest.mark.parametrize(("verdict", "state", "is_firing"), [("dismissed", "dismissed", False), ("corrected", "open", True)])
def test_an_answer_that_is_overturned_is_superseded_everywhere(
    tmp_path: Path, hook: Hook, verdict: str, state: str, is_firing: bool
) -> None:
    with house(tmp_path, hook) as home, following(home) as events:
        home.take(LOAD)
        [row] = home.incidents.open()
        first = row.summary
        assert "cpu (host=web1) at 9.5 where 0.5 is usual" in first
        wait_for(lambda: told(home, "firing"), what="the first message")
        assert told(home, "firing")[0]["summary"].startswith(f"{first[:100]}")
        better = "The backup ran an hour later than usual, and the load came from it."
        home.incidents.answer(row.id, deep(verdict, better))

        shown = home.get(f"/api/analysis/{row.id}")
        assert [(a["number"], a["by"], a["superseded_us"] is None) for a in shown["answers"]] == [(1, "first", False), (2, "deep", True)]
        assert (shown["incident"]["state"], shown["incident"]["verdict"], shown["incident"]["summary"]) == (state, verdict, better)
        assert shown["answers"][0]["summary"] == first

        rows = home.running.query("SELECT number, given_by, verdict, superseded FROM _incident_answers ORDER BY number")
        assert [(r["number"], r["given_by"], r["verdict"], r["superseded"] is None) for r in rows] == [
            (1, "first", "unusual", False),
            (2, "deep", verdict, True),
        ]
        [listed] = home.running.query("SELECT state, verdict, summary FROM _incidents")
        assert listed == {"state": state, "verdict": verdict, "summary": better}

        said = home.running.command("analysis", "show", str(row.id)).stdout
        assert "1. first answer" in said
        assert "; superseded on " in said.split("2. deep answer")[0]
        assert "superseded" not in said.split("2. deep answer")[1].split("\n")[0]
        assert better[:60] in home.running.command("analysis", "list").stdout
        assert "superseded on" in home.running.command("analysis", "explain", str(row.id)).stdout

        [answer] = wait_for(lambda: [data for name, data in events if name == "answer"], what="the event")
        assert (answer["answer"]["by"], answer["answer"]["verdict"], answer["superseded"]["number"]) == ("deep", verdict, 1)
        assert answer["superseded"]["summary"] == first
        steps = wait_for(lambda: [d for n, d in events if n == "transition"][1:], what="the alert's second step")
        assert (steps[0]["kind"], steps[0]["new"]) == (("revised", "firing") if is_firing else ("change", "ok"))

        last = wait_for(lambda: home.items()[1:], what="the second message")[0]
        assert last["state"] == ("firing" if is_firing else "resolved")
        assert last["tells"] == ("revised" if is_firing else "resolved")
        assert better in last["summary"]
        assert last["values"]["superseded"] == first
        assert last["values"]["verdict"] == verdict
        assert last["severity"] == "critical"
        assert last["labels"]["team"] == "plant"
