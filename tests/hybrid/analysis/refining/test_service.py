"""The deep pass of a real service: each incident is looked at again, its answer takes the place of the first; no kill gives a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hybrid.analysis.refining.incidents import CONFIG, of_deep, raise_one, refined, shown
from tests.running import Running, running, wait_for

pytestmark = pytest.mark.xdist_group("deep")
NONE = "source = []\n"


def test_an_incident_is_looked_at_again_and_its_first_answer_is_superseded(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=CONFIG, sources=NONE) as service:
        raise_one(service)
        found = refined(service)

        answers = found["answers"]
        newest = of_deep(answers)[-1]
        assert newest["verdict"] in ("confirmed", "corrected", "extended")
        assert newest["superseded_us"] is None
        assert all(a["superseded_us"] for a in answers[: answers.index(newest)])
        assert "history" in newest["basis"]
        assert newest["models"]
        assert found["evidence"]
        assert {(m["column"], m["key"].get("device")) for m in found["members"]} >= {("value", "a"), ("value", "b")}
        rows = service.query("SELECT * FROM _incident_answers WHERE given_by = 'deep' ORDER BY number")
        assert rows[-1]["superseded"] is None


@pytest.mark.parametrize("step", ["deep.gathered", "deep.computed", "deep.answered"])
def test_a_look_that_was_killed_is_done_again_and_answers_once(tmp_path: Path, step: str) -> None:
    service = Running(tmp_path / "data", config=CONFIG, sources=NONE, module=("tests.faults.program",))
    try:
        service.start("--kill-at", step)
        raise_one(service)
        wait_for(service.has_died, what=f"the kill at {step}")
        service.start()
        found = refined(service)
        wait_for(lambda: all(i["deep"] in ("done", "failed") for i in shown(service)), what="all looks to be over")

        said = [(a["verdict"], a["summary"]) for a in of_deep(found["answers"])]
        assert said
        assert len(said) == len(set(said))
        assert not list((service.folder / "tmp").glob("*.parquet"))
    finally:
        if service.is_up:
            service.kill()
