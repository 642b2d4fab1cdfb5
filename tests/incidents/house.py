"""A whole service in this process, whose incidents a test gives sightings and answers by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config import load_config
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.keeping.incidents import Incidents
from appliance.hybrid.analysis.sighting import Sighting
from appliance.service import Service
from tests.alerting.hooks import Hook
from tests.incidents.sights import seen
from tests.running import QUIET, Running, wait_for

WATCH = """
[analysis]
default = false

[workload.unusual]
kind = "analysis"
streams = ["nothing-by-itself"]
severity = "critical"
deep = false
notify = ["ops"]
labels = {team = "plant"}
"""
LOAD = [
    seen(s, column, score=1.0, workload="unusual", seq=s * 10 + i + 1, host="web1")
    for s in range(8)
    for i, column in enumerate(("load1", "cpu"))
]


def deep(verdict: str, summary: str, **more: Any) -> Answer:
    """An answer of the deep pass."""
    facts: dict[str, Any] = {"confidence": 0.9, "basis": "4,112 late records and 30 days of history", "models": {"analysis": "3"}, **more}
    return Answer(verdict=verdict, summary=summary, **facts)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class House:
    """The service, and what is told."""

    running: Running
    incidents: Incidents
    hook: Hook

    def take(self, found: list[Sighting], now_us: int = 0, **seen_us: int) -> None:
        """A round of the first pass."""
        self.incidents.take(found, now_us, seen=seen_us)

    def get(self, path: str) -> Any:
        """JSON of a GET that is answered."""
        status, body = self.running.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    def items(self) -> list[dict[str, Any]]:
        """What the channel was told, alert by alert."""
        return [item for message in self.hook.messages for item in message["items"]]


@contextmanager
def house(folder: Path, hook: Hook, config: str = WATCH) -> Iterator[House]:
    """Until the end of the block; may be begun again on the same folder."""
    running = Running(folder / "data", config=f'{config}\n[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\n', sources=QUIET)
    service = Service(load_config(data_dir=running.folder, file=running.config_file))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: asyncio.run(service.run()))
        try:
            wait_for(lambda: running.is_ready() or ended.done(), what="the service to be ready")
            assert service._reloading is not None
            yield House(running, service._reloading.hybrid.incidents, hook)
        finally:
            service.stop()
            assert ended.result(60) == 0
