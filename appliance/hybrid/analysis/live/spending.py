"""How long records wait for their scores, and what that costs, by analysis. The follower's thread notes; anybody may ask."""

from __future__ import annotations

import resource
from threading import Lock
from typing import Final

from appliance.clock import Clock
from appliance.observe.costs import Costs, Spent
from appliance.observe.latencies import Latencies

SCORED: Final = "scored"
"""Stage: from the commit of a record until it was scored, by record; each counts as long as the oldest of its round."""
FIRST: Final = "first pass"
"""Stage: from the commit of an unusual record until its incident was stored, with a summary; by round with any."""


class Spending:
    """See the module."""

    def __init__(self, clock: Clock, latencies: Latencies, costs: Costs) -> None:
        self._clock, self._latencies = clock, latencies
        self._lock = Lock()
        self._spent: dict[str, Spent] = {}
        self._cpu_s = 0.0
        costs.inside.append(self._since_last)

    def note_scored(self, workload: str, rows: int, waited_ns: int | None) -> None:
        """So many records were scored, of which the oldest had waited so long; None: nobody knows, they are from before the start."""
        if waited_ns is not None:
            self._latencies.note(workload, SCORED, waited_ns / 1e6, at_us=self._clock.now_us(), count=rows)

    def note_told(self, workload: str, waited_ns: int) -> None:
        """What was unusual among them has gone into incidents."""
        self._latencies.note(workload, FIRST, waited_ns / 1e6, at_us=self._clock.now_us())

    def note_round(self, workload: str, rows: int) -> None:
        """A round of one analysis is over. In the follower's thread."""
        used = resource.getrusage(resource.RUSAGE_THREAD)
        cpu_s = used.ru_utime + used.ru_stime
        with self._lock:
            self._spent[workload] = self._spent.get(workload, Spent()) + Spent(cpu_s - self._cpu_s, rows=rows)
        self._cpu_s = cpu_s

    def _since_last(self) -> dict[str, Spent]:
        with self._lock:
            found, self._spent = self._spent, {}
        return found
