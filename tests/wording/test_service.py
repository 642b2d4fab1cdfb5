"""A service with a language model: its incidents are told in the built-in words at once, and in the model's when they fit."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.notify.hook import Hook, says
from tests.running import Running, wait_for
from tests.wording.test_endpoint import completion

T0 = 1_760_000_000_000_000
SECRET = "the password of the safe is swordfish"
CONFIG = """
[workload.plant]
kind = "analysis"
streams = ["plant"]
sensitivity = 0.5
deep = false

[language_model]
url = "http://127.0.0.1:{port}/v1"
model = "m"
"""


def tells(hook: Hook, s: socket.socket) -> bool:
    """An honest model: one sentence out of the first member of what it was given."""
    document = json.loads(hook.requests[-1].json["messages"][1]["content"])
    member = document["material"]["members"][0]
    if "question" in document:
        return completion(f"The field {member['field']} of {member['stream']} rose.")(hook, s)
    return completion(f"The {member['field']} of {member['stream']} reached {member['value_at_peak']}.")(hook, s)


@contextmanager
def plant(folder: Path, hook: Hook) -> Iterator[Running]:
    """A service whose stream ``plant`` has become unusual."""
    running = Running(folder / "data", config=CONFIG.format(port=hook.port), sources="source = []\n")
    try:
        running.start()
        dice = random.Random(5)
        for first in range(0, 1_200, 300):
            lines = [
                f"plant,machine=m{m} power={20 + dice.gauss(0, 0.5):.3f} {T0 + n * 1_000_000}"
                for n in range(first, first + 300)
                for m in (1, 2)
            ]
            assert running.write("\n".join([f'vault said="{SECRET}" {T0}', *lines])) == 204
        for n in range(1_200, 1_215):
            assert (
                running.write(f"plant,machine=m1 power=77.5 {T0 + n * 1_000_000}\nplant,machine=m2 power=20.1 {T0 + n * 1_000_000}") == 204
            )
        yield running
    finally:
        if running.is_up:
            running.stop()


def incidents(running: Running) -> list[dict[str, Any]]:
    status, body = running.request("GET", "/api/analysis")
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["incidents"]
    return found


def shown(running: Running, incident: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.request("GET", f"/api/analysis/{incident}")[1])
    return found


def test_an_incident_is_worded_anew_from_its_own_material_alone(tmp_path: Path) -> None:
    with Hook(*[tells] * 20) as hook, plant(tmp_path, hook) as running:
        first = wait_for(lambda: incidents(running), what="the incident")[0]["id"]
        answer = wait_for(
            lambda: next((a for a in shown(running, first)["answers"] if a["written_by"] == "m"), None), what="the model's summary"
        )
        assert answer["summary"].startswith("The power of plant reached 77.5")
        said = running.command("analysis", "explain", str(first), "--why", "Why so high?").stdout
        assert said.splitlines()[0] == "The field power of plant rose."
        assert "written by m, a language model" in said
        sent = b"".join(request.body for request in hook.requests)
    assert SECRET.encode() not in sent
    assert b"vault" not in sent


def test_without_an_answer_that_fits_the_built_in_words_stand_and_the_box_says_so(tmp_path: Path) -> None:
    with Hook(*[says(500)] * 50) as hook, plant(tmp_path, hook) as running:
        first = wait_for(lambda: incidents(running), what="the incident")[0]["id"]
        for _ in range(3):
            said = running.command("analysis", "explain", str(first), "--why", "Why so high?").stdout
            assert "gave none: HTTP 500" in said
            assert "power" in said
        assert {a["written_by"] for a in shown(running, first)["answers"]} == {"built in"}
        wait_for(lambda: "language model m has given no answer" in json.dumps(running.status()["problems"]), what="the problem")
