"""How long batch work takes from when it is due, and what it costs, by workload. Told by the queue, on the event loop."""

from __future__ import annotations

from typing import Final

from appliance.batching.under_way import Ended
from appliance.observe.costs import Costs, Spent
from appliance.observe.jobs import Finished, RunRow
from appliance.observe.latencies import Latencies
from appliance.paths.defaults import RUNS_ON
from appliance.paths.needs import Path

MISSED: Final = "missed"
"""The reason of such a run."""


class RunMeter:
    """Stages, each from when a run was due (asked for, where somebody asks): ``started``, ``ready``. A run that was due while the service
    was down says nothing of how long its workload takes."""

    def __init__(self, latencies: Latencies, costs: Costs) -> None:
        self._latencies = latencies
        self._costs = costs

    def started(self, run: RunRow, *, now_us: int) -> None:
        """Its first attempt begins."""
        if run.attempt == 1 and run.reason != MISSED:
            self._latencies.note(run.name, "started", (now_us - run.due_us) / 1e3, at_us=now_us)

    def ended(self, run: RunRow, ended: Ended, *, now_us: int) -> None:
        """An attempt is over, as ``ended`` says; only what went well is ready."""
        if ended.outcome is not None and run.reason != MISSED:
            self._latencies.note(run.name, "ready", (now_us - run.due_us) / 1e3, at_us=now_us)
        used = ended.usage
        spent = Spent(used.cpu_s, used.read_bytes, used.disk_bytes, used.rows, used.memory_bytes, runs=1)
        self._costs.note(run.name, path_of(run.kind), spent, at_us=now_us)

    def kept_house(self, finished: Finished) -> None:
        """A compaction or the like has ended."""
        spent = Spent(finished.cpu_s, finished.read_bytes, finished.written_bytes, finished.rows, runs=1)
        self._costs.note(f"_{finished.kind}", "cold", spent, at_us=finished.ended_us)


def path_of(kind: str) -> Path:
    """Where batch work of a kind is counted: what can run anywhere is cold while batch carries it out."""
    paths = RUNS_ON.get(kind, ("cold",))
    return paths[0] if len(paths) == 1 else "cold"
