"""What this process uses, shared out among those that work in it: each rule its part of the processor's thread, rolls theirs, the rest
to ingest. One owner: the meters' loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.hot.stream.followed import Followed
from appliance.hot.stream.processor import Processor
from appliance.observe.costs import Spent
from appliance.observe.latencies import ALERTS
from appliance.serving.board import resident_bytes
from appliance.serving.usage import own_usage


class RuleShares:
    """The processor's thread by rule and session."""

    def __init__(self) -> None:
        self._cpu_s = 0.0
        self._seen: dict[int, tuple[int, int]] = {}
        """By stream: time spent on it, and records that were evaluated."""

    def since_last(self, processor: Processor[Any]) -> dict[str, Spent]:
        """What each has used since this was asked last. What a stream's rules share is divided among them evenly."""
        cpu_s = max(0.0, processor.meter.cpu_s - self._cpu_s)
        self._cpu_s = processor.meter.cpu_s
        followed = dict(processor.followed)
        spans = {key: self._since(f) for key, f in followed.items()}
        self._seen = {f.stream_id: (f.cost.total_ns, f.taken) for f in followed.values()}
        return shared(cpu_s, spans, {key: tuple(f.names) for key, f in followed.items()})

    def _since(self, followed: Followed) -> tuple[int, int]:
        """A stream that was taken up anew, with another config, begins at nothing."""
        spent_ns, taken = self._seen.get(followed.stream_id, (0, 0))
        if followed.taken < taken or followed.cost.total_ns < spent_ns:
            spent_ns, taken = 0, 0
        return followed.cost.total_ns - spent_ns, followed.taken - taken


def shared(cpu_s: float, spans: Mapping[str, tuple[int, int]], names: Mapping[str, tuple[str, ...]]) -> dict[str, Spent]:
    """``cpu_s`` of processor time by the time that each stream took (``spans``: by stream, time and records), among its ``names``.

    Where no stream took any, all of it is that of ``ALERTS``.
    """
    whole = sum(time for time, _ in spans.values())
    found: dict[str, Spent] = {}
    given = 0.0
    for stream, (time, rows) in spans.items():
        part = cpu_s * time / whole / max(1, len(names[stream])) if whole else 0.0
        for name in names[stream]:
            given += part
            if part or rows:
                found[name] = found.get(name, Spent()) + Spent(part, rows=rows)
    if cpu_s - given > 1e-9:
        found[ALERTS] = Spent(cpu_s - given)
    return found


class OwnProcess:
    """The whole process."""

    def __init__(self) -> None:
        self._before = own_usage()

    def since_last(self, others: Spent, *, watched_s: float) -> Spent:
        """What it has used since this was asked last, ``watched_s`` ago, without what ``others`` within it are said to have."""
        now = own_usage()
        used = now.since(self._before)
        self._before = now
        return Spent(
            max(0.0, used.cpu_s - others.cpu_s),
            max(0, used.read_bytes - others.read),
            max(0, used.disk_bytes - others.written),
            memory=resident_bytes(),
            watched_s=watched_s,
        )
