"""Sightings as tests make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.grouping import Group, Outcome, Rules, step
from appliance.hybrid.analysis.sighting import Sighting

T0_S = 1_790_000_000
RARE, ODD = 0.9999, 0.99


def at_us(second: float) -> int:
    """After ``T0_S``."""
    return round((T0_S + second) * US_PER_S)


def seen(
    second: float,
    column: str = "load1",
    *,
    stream: str = "host",
    score: float = RARE,
    value: float | None = 9.5,
    seq: int | None = None,
    workload: str = "watch",
    template: str | None = None,
    learned: float = 1.0,
    step_s: float | None = 1.0,
    **tags: str,
) -> Sighting:
    """One; its sequence follows from its second where none is given."""
    return Sighting(
        workload=workload,
        stream=stream,
        column=column,
        key=tuple(tags.items()),
        template=template,
        kind="value" if template is None else "new template",
        ts_us=at_us(second),
        seq=round(second * 1000) + 1 if seq is None else seq,
        score=score,
        value=None if template is not None else value,
        expected=None if template is not None else 0.5,
        reason="12 times the usual spread for Sunday 14:00",
        learned=learned,
        step_us=None if step_s is None else round(step_s * US_PER_S),
    )


class Run:
    """One workload's rounds, one after the other."""

    def __init__(self, **rules: object) -> None:
        self.rules = Rules(**rules)  # type: ignore[arg-type]
        self.group = Group()
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.grown: list[int] = []
        self.open_most = 0
        self._ids = count(1)

    def take(self, found: Sequence[Sighting], times: Mapping[str, float] | None = None) -> Outcome:
        """One round; ``times``: stream -> second up to which it was looked at."""
        ends = {stream: at_us(second) for stream, second in (times or {}).items()}
        outcome = step(self.group, found, ends, workload="watch", rules=self.rules, new_id=lambda: next(self._ids))
        self.group = outcome.group
        self.opened += outcome.opened
        self.grown += outcome.grown
        self.closed += [case.id for case in outcome.closed]
        self.open_most = max(self.open_most, len(self.group.open))
        return outcome
