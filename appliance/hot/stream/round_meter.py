"""How long rounds of the processor take and what they cost, by rule. Owned by the processor's thread; anybody may read.

All rules of a stream are evaluated together: each is said to take as long as its stream's records wait, and to cost its share.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

from appliance.clock import Clock
from appliance.hot.alerts.plan import Plan
from appliance.hot.stream.followed import Followed
from appliance.observe.latencies import ALERTS, Latencies
from appliance.observe.latency import LatencyWindow


class RoundMeter:
    """What the processor tells of its rounds."""

    def __init__(self, clock: Clock, latencies: Latencies | None = None) -> None:
        """``latencies`` takes what is kept, by rule and under ``ALERTS``."""
        self._clock = clock
        self._latencies = latencies or Latencies()
        self.evaluated = LatencyWindow()
        """From the commit of records until they were evaluated, by round."""
        self.committed = LatencyWindow()
        """From the commit of records until their alerts were stored, by round with alerts."""
        self.cpu_s = 0.0
        """What the processor's thread has used since it began, as of its newest round."""

    def note_evaluated(self, waiting: Mapping[str, int], followed: Mapping[str, Followed]) -> int | None:
        """A round is over. ``waiting``: when the oldest records of each stream that it has evaluated were committed; the oldest of them."""
        used = resource.getrusage(resource.RUSAGE_THREAD)
        self.cpu_s = used.ru_utime + used.ru_stime
        if not waiting:
            return None
        now_ns, now_us = self._clock.monotonic_ns(), self._clock.now_us()
        since_ns = min(waiting.values())
        self.evaluated.add((now_ns - since_ns) / 1e6, at_ns=now_ns)
        self._latencies.note(ALERTS, "evaluated", (now_ns - since_ns) / 1e6, at_us=now_us)
        for stream, of_stream_ns in waiting.items():
            self._latencies.note_all(followed[stream].plan.rules, "evaluated", (now_ns - of_stream_ns) / 1e6, at_us=now_us)
        return since_ns

    def note_asked(self, rule: str, ms: float) -> None:
        """A rule that is asked in SQL has its answer."""
        self._latencies.note(rule, "evaluated", ms, at_us=self._clock.now_us())

    def note_committed(self, plan: Plan, since_ns: int | None, now_ns: int) -> None:
        """What a round has found is stored; ``since_ns`` as above."""
        if since_ns is not None and plan.transitions:
            ms = (now_ns - since_ns) / 1e6
            self.committed.add(ms, at_ns=now_ns)
            self._latencies.note_all({ALERTS, *(t.rule for t in plan.transitions)}, "committed", ms, at_us=self._clock.now_us())
