"""From signals to the draft of a round: the same for records as they come and for a rehearsal over those that are stored."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.life import deadline
from appliance.hot.stream.plan import StreamPlan
from appliance.hot.stream.values import Signal


def apply(draft: Draft, plan: StreamPlan, clock: str, signals: Iterable[Signal], *, waiting_since_us: int | None = None) -> None:
    """Signals in the order of happening, then what later records of their own and the watermark make due of pending alerts.

    ``waiting_since_us``: as of ``Draft.advance``.
    """
    draft.apply(signals, waiting_since_us=waiting_since_us)
    _set_deadlines(draft, plan)
    due = plan.due()
    if due:
        draft.apply(due, waiting_since_us=waiting_since_us)
    draft.advance(clock, plan.clock.watermark_us, waiting_since_us=waiting_since_us)
    _set_deadlines(draft, plan)


def _set_deadlines(draft: Draft, plan: StreamPlan) -> None:
    """Tells the plan which alerts are pending, and until when."""
    for instance in draft.touched():
        if instance.rule in plan.watches:
            plan.set_deadline(instance.rule, instance.key, deadline(instance, draft.rules[instance.rule]))
