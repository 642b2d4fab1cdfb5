"""How long queries take that people wait for, and what all queries cost, by the side that they were answered from. On the event loop."""

from __future__ import annotations

from appliance.box import Box
from appliance.observe.costs import Spent
from appliance.observe.latencies import QUERIES
from appliance.paths.needs import Path
from appliance.serving.explain import Explain
from appliance.serving.running import RunningQuery


class QueryMeter:
    """Told by ``Queries`` of each query that has ended."""

    def __init__(self, box: Box) -> None:
        self._clock = box.clock
        self._latencies = box.latencies
        self._costs = box.costs

    def note(self, query: RunningQuery, elapsed_ms: float) -> None:
        """``elapsed_ms`` from the question; one that was cancelled or has failed costs, and says nothing of how long answers take."""
        now_us = self._clock.now_us()
        workload = query.question.workload
        if query.state == "done" and not workload:
            self._latencies.note(QUERIES, "waited", query.waited_ms, at_us=now_us)
            self._latencies.note(QUERIES, "first row", query.first_ms, at_us=now_us)
            self._latencies.note(QUERIES, "done", elapsed_ms, at_us=now_us)
        used = query.used
        if used is not None:
            spent = Spent(used.cpu_s, used.read_bytes, used.disk_bytes, used.rows, used.memory_bytes, runs=1)
            is_rule = bool(workload) and not workload.startswith("_")
            self._costs.note(workload or QUERIES, "hot" if is_rule else side_of(query.explain), spent, at_us=now_us)


def side_of(explain: Explain | None) -> Path:
    """The path that a query took: hot where no file was read, cold where no hot row was, hybrid where both were."""
    if explain is None:
        return "hybrid"
    files = sum(s.cold_files for s in explain.streams) + sum(v.files for v in explain.views)
    hot_rows = sum(s.hot_rows for s in explain.streams)
    return "hot" if not files else "hybrid" if hot_rows else "cold"
