"""The recent past of an alert's first value, for the screen: computed from the records when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from appliance.alerting.rulebook import Rulebook
from appliance.clock import US_PER_S, Clock
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import threshold_of
from appliance.hot.stream.plan import PlanOptions, StreamPlan, make_plan
from appliance.hot.stream.rules import ParsedRule
from appliance.hot.stream.values import Key, Rows
from appliance.observe.alerts import WindowChart
from appliance.records import TimeRange
from appliance.serving.history import History

POINTS_MAX: Final = 240
SPAN_MIN_S: Final = 600.0
WINDOWS_SHOWN: Final = 4
ROWS_MAX: Final = 2_000_000
"""Records that are looked at for one chart; a busier stream is shown for a shorter time."""


class Charts:
    """Reads the records of the stream again; changes nothing. Any thread."""

    def __init__(self, history: History, rulebook: Callable[[], Rulebook], baselines: Baselines, clock: Clock) -> None:
        self._history = history
        self._rulebook = rulebook
        self._baselines = baselines
        self._clock = clock

    def of(self, rule: str, key: Key) -> WindowChart | None:
        """The first term of the rule's condition over the last windows; None when there is no such rule, or nothing to draw."""
        parsed = self._rulebook().parsed.get(rule)
        stream = None if parsed is None or parsed.options.stream is None else self._history.state().get(parsed.options.stream)
        if parsed is None or parsed.when is None or stream is None or parsed.options.join is not None:
            return None
        found = threshold_of(parsed.when)
        plan = make_plan(
            stream.schema,
            [parsed],
            PlanOptions(0, 1_000_000, None, self._baselines, lambda _since, _until, _seq: ()),
        )
        if parsed.name not in plan.watches:
            return None
        newest = max((c.ts_max for c in stream.ring), default=None)
        if newest is None:
            newest = max((s.ts_max for s in stream.segments), default=0)
        span_us = round(max(SPAN_MIN_S, WINDOWS_SHOWN * (parsed.options.over_s or 0.0)) * US_PER_S)
        newest = min(newest, self._clock.now_us())
        since = newest - span_us
        rows = self._history.rows(stream.name, span=TimeRange(since=since - plan.reach_us()))
        label = str(plan.watches[rule][1].rule.terms[0]) if found is None else str(found[0])
        points = _thinned(sorted(_points(plan, parsed, key, label, rows), key=lambda p: p[0]), since)
        return WindowChart(label=label, points=points, threshold=None if found is None else found[1])


def _points(plan: StreamPlan, rule: ParsedRule, key: Key, label: str, parts: Iterator[Rows]) -> Iterator[tuple[int, float | None]]:
    """(event time, value) of one term for one key, at each of its points."""
    keyed, watch = plan.watches[rule.name]
    seen: list[tuple[int, float | None]] = []
    watch.observe(label, lambda: keyed.keys.find(key), seen)
    taken = 0
    for rows in parts:
        plan.take(rows, now_us=2**62, now_ns=0)
        taken += len(rows)
        yield from seen
        seen.clear()
        if taken > ROWS_MAX:
            return


def _thinned(points: Sequence[tuple[int, float | None]], since_us: int) -> tuple[tuple[int, float | None], ...]:
    """At most ``POINTS_MAX`` of those from ``since_us`` on, of each stretch the value that is furthest from its mean."""
    kept = [p for p in points if p[0] >= since_us]
    if len(kept) <= POINTS_MAX:
        return tuple(kept)
    values = np.array([np.nan if v is None else v for _, v in kept])
    found = []
    for part in np.array_split(np.arange(len(kept)), POINTS_MAX):
        some = values[part]
        if np.isnan(some).all():
            found.append(kept[int(part[-1])])
        else:
            found.append(kept[int(part[np.nanargmax(np.abs(some - np.nanmean(some)))])])
    return tuple(found)
