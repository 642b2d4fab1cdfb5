"""Training, night and words of people in a real service: what batch learns is what both passes go by from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.clock import SystemClock
from tests.hybrid.analysis.refining.incidents import of_deep, shown, whole
from tests.running import Running, pause, running, wait_for

pytestmark = pytest.mark.xdist_group("deep")
STEP_US = 600_000_000
STEPS_A_DAY = 144
HISTORY = 6 * STEPS_A_DAY
AFTER = 3 * STEPS_A_DAY
CONFIG = "[workload.all]\nkind = 'analysis'\nnightly = '0 0 29 2 *'\n"


class Plant:
    """Two devices that do the same, a value each ten minutes with a daily wave, up to this moment; ``at`` is how far it has told."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.begin_us = (SystemClock().now_us() // STEP_US - HISTORY - AFTER) * STEP_US
        self.at = 0
        self._noise = np.random.default_rng(3).normal(0, 1, HISTORY + AFTER)

    def send(self, steps: int, **more: float) -> int:
        """So many steps, ``more`` of it where it is named; the event time at which they begin."""
        lines = []
        for i in range(self.at, self.at + steps):
            value = 50 + 10 * np.sin(2 * np.pi * i / STEPS_A_DAY) + self._noise[i]
            lines += [f"readings,device={d} value={value + more.get(d, 0.0):.3f} {self.begin_us + i * STEP_US}" for d in "ab"]
        assert self.service.write("\n".join(lines)) == 204
        begun_us = self.begin_us + self.at * STEP_US
        self.at += steps
        return begun_us

    def incident(self, **more: float) -> int:
        """Half a dozen unusual steps and then usual ones: the incident about them, over and looked at."""
        begun_us = self.send(6, **more)
        self.send(40)

        def told() -> Any:
            found = [i for i in shown(self.service) if i["since_us"] <= begun_us + 5 * STEP_US and i["until_us"] >= begun_us]
            return next((i["id"] for i in found if i["state"] != "open" and i["deep"] == "done"), None)

        return int(wait_for(told, what="an incident that is over and was looked at", deadline_s=100))


def run(service: Running, name: str) -> dict[str, Any]:
    """A job, asked for over HTTP, when it has ended."""
    status, body = service.request("POST", "/api/jobs/run", body=json.dumps({"name": name}).encode())
    assert status == 200, body
    return ended(service, name, json.loads(body)["id"])


def ended(service: Running, name: str, from_id: int) -> dict[str, Any]:
    """The newest run of a job from an id on."""

    def look() -> Any:
        pause(0.3)
        rows = json.loads(service.request("GET", f"/api/jobs/history?name={name}&limit=5")[1])
        return next((r for r in rows if r["id"] >= from_id and r["state"] in ("done", "failed", "cancelled")), None)

    found: dict[str, Any] = wait_for(look, what=f"{name} to end", deadline_s=100)
    assert found["state"] == "done", found
    return found


def models(service: Running) -> dict[str, str]:
    """As the quality of the first pass names them."""
    quality = json.loads(service.request("GET", "/api/analysis?limit=1")[1])["quality"]
    return dict(next(q["models"] for q in quality if q["workload"] == "all"))


def member(picture: dict[str, Any], device: str) -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in picture["members"] if m["key"].get("device") == device)
    return found


@pytest.mark.timeout(300)
def test_what_batch_learns_and_people_say_is_what_both_passes_go_by(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=CONFIG, sources="source = []\n") as service:
        plant = Plant(service)
        plant.send(HISTORY)
        before = what_is_trained_is_what_both_passes_go_by_and_name(plant)
        people_say_what_they_think(plant, before)
        the_night_looks_at_everything_again_and_the_training_after_it_knows_what_people_said(plant)
        what_people_dismissed_is_told_as_less_unusual_also_after_a_restart(plant)


def what_is_trained_is_what_both_passes_go_by_and_name(plant: Plant) -> int:
    service = plant.service
    assert models(service) == {"numbers": "built in"}
    done = service.command("jobs", "run", "all.model", "--wait")
    assert done.returncode == 0, done.stderr
    assert "version 1: 2 of 2 series have a season" in done.stderr
    assert "in use" in done.stderr
    wait_for(lambda: models(service) == {"numbers": "version 1"}, what="the model to be in use by the first pass")

    found = whole(service, plant.incident(a=25, b=25))
    assert {(a["by"], a["models"]["numbers"]) for a in found["answers"]} == {("first", "version 1"), ("deep", "version 1")}
    assert member(found, "a")["score"] == member(found, "b")["score"]
    return int(found["incident"]["id"])


def people_say_what_they_think(plant: Plant, confirmed: int) -> None:
    service = plant.service
    said = service.command("analysis", "confirm", str(confirmed), "--author", "ann")
    assert "confirmed" in said.stdout, said.stderr
    first, second = plant.incident(a=40), plant.incident(a=40)
    status, body = service.request("POST", f"/api/analysis/{first}/dismiss", body=b'{"author": "ann", "comment": "cleaning"}')
    assert status == 200, body
    assert json.loads(body)["state"] == "dismissed"
    said = service.command("analysis", "dismiss", str(second), "--author", "ben")
    assert "is dismissed" in said.stdout, said.stderr


def the_night_looks_at_everything_again_and_the_training_after_it_knows_what_people_said(plant: Plant) -> None:
    service = plant.service
    night = run(service, "all.nightly")
    assert "looked at again" in night["words"]
    assert "could not be" not in night["words"]
    learned = ended(service, "all.model", night["id"])
    assert (learned["reason"], learned["words"].partition(":")[0]) == ("after all.nightly", "version 2")
    (file,) = (service.folder / "models").glob("all*/2.json")
    body = json.loads(file.read_text())
    factors = dict(zip((json.loads(tags)["device"] for _, _, tags in body["keys"]), body["body"]["factors"], strict=True))
    assert factors["a"] == pytest.approx(1.25**2 / 1.1)
    assert factors["b"] == pytest.approx(1 / 1.1)


def what_people_dismissed_is_told_as_less_unusual_also_after_a_restart(plant: Plant) -> None:
    service = plant.service
    wait_for(lambda: models(service) == {"numbers": "version 2"}, what="the version of the night to be in use")
    service.stop()
    service.start()
    assert models(service) == {"numbers": "version 2"}

    found = whole(service, plant.incident(a=60, b=60))
    a, b = member(found, "a"), member(found, "b")
    assert a["value"] == b["value"]
    assert 0.9 < a["score"] < b["score"]
    assert of_deep(found["answers"])[-1]["models"] == {"numbers": "version 2"}
