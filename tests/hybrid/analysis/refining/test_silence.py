"""A series that stops, in a real service: said in plain words, looked at again, and taken back where its records only came late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hybrid.analysis.refining.incidents import T0, S, of_deep, shown, whole
from tests.running import Running, running, wait_for

pytestmark = pytest.mark.xdist_group("deep")
CONFIG = "[workload.all]\nkind = 'analysis'\nnightly = ''\n"


def send(service: Running, first: int, last: int, devices: str) -> None:
    """A value each ten seconds of each device."""
    lines = [f"readings,device={d} value={20 + i % 3} {T0 + i * S}" for i in range(first, last, 10) for d in devices]
    assert service.write("\n".join(lines)) == 204


def test_a_series_that_stops_is_an_incident_which_late_records_take_back(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=CONFIG, sources="source = []\n") as service:
        send(service, 0, 3_000, "abcd")
        send(service, 3_000, 4_200, "abc")

        def looked() -> Any:
            return next((i for i in shown(service) if i["deep"] == "done"), None)

        incident = wait_for(looked, what="the incident to be looked at", deadline_s=100)["id"]
        found = whole(service, incident)
        (member,) = found["members"]
        assert (member["kind"], member["key"], member["column"]) == ("silence", {"device": "d"}, "")
        assert found["answers"][0]["summary"].startswith("readings (device=d) is silent since ")
        assert found["answers"][0]["summary"].endswith(", usually every 10 s.")
        deep = of_deep(found["answers"])[-1]
        assert deep["verdict"] == "confirmed"
        assert deep["summary"].startswith("readings (device=d): silent for ")
        assert deep["summary"].endswith("Nothing has come since.")

        send(service, 3_000, 4_200, "d")
        send(service, 4_200, 5_400, "abcd")
        assert service.command("jobs", "run", "all.deep", "-p", f"incident={incident}", "--wait").returncode == 0
        found = whole(service, incident)
        assert (found["incident"]["state"], found["incident"]["verdict"]) == ("dismissed", "dismissed")
        assert found["incident"]["summary"] == "readings (device=d) was not silent: what was missed came late."
