"""What a rule would have done: the records that are stored go through the same plan and the same lives as those that come live.

Nothing is written and nobody is told. As in the live run time is that of the records; what only the clock of the box brings about
(silences, repeats, messages) is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.clock import US_PER_S
from appliance.errors import UsageRefused
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.rules import facts_of
from appliance.hot.alerts.values import Kind, Phase, Transition
from appliance.hot.stream.applying import apply
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.plan import PlanOptions, make_plan
from appliance.hot.stream.rules import ParsedRule
from appliance.hot.stream.values import Key, Rows
from appliance.hot.stream.windowed import Past
from appliance.records import Schema, fold

TRANSITIONS_MAX: Final = 1_000_000
"""A rule that flaps more often than this is no rule: the rehearsal says so and ends."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One fire of one key."""

    key: Key
    fired_us: int
    ended_us: int | None
    """None: it still fires at the end."""
    first: Transition


@dataclass(slots=True)
class Rehearsal:
    """What came of it."""

    rule: str
    by: tuple[str, ...]
    records: int = 0
    first_us: int | None = None
    last_us: int | None = None
    keys: int = 0
    transitions: list[Transition] = field(default_factory=list)
    firing: int = 0
    """Alerts that fire at the end."""

    @property
    def flaps(self) -> int:
        """How often an alert began to flap."""
        return sum(t.kind is Kind.FLAPPING for t in self.transitions)

    @property
    def late(self) -> int:
        """How often a late record would have changed the past."""
        return sum(t.kind is Kind.LATE for t in self.transitions)

    @property
    def episodes(self) -> list[Episode]:
        """Every fire, in the order in which they began."""
        opened: dict[Key, Transition] = {}
        found: list[Episode] = []
        for t in self.transitions:
            if t.kind is Kind.CHANGE and t.new is Phase.FIRING and t.key not in opened:
                opened[t.key] = t
            elif t.kind is Kind.CHANGE and t.new is Phase.OK and t.key in opened:
                first = opened.pop(t.key)
                found.append(Episode(t.key, first.at_us, t.at_us, first))
        found += [Episode(key, t.at_us, None, t) for key, t in opened.items()]
        return sorted(found, key=lambda e: e.fired_us)


def rehearse(
    rule: ParsedRule,
    schema: Schema,
    parts: Iterable[Rows],
    *,
    lateness_s: float,
    keys_max: int,
    identity: tuple[str, ...] | None,
    baselines: Baselines,
    past: Past,
    now_us: int,
    on_progress: Callable[[int], None] = lambda _records: None,
) -> Rehearsal:
    """``parts`` are the records of the rule's stream in the order of their sequences; ``on_progress`` is told how many were taken.

    Raises ``UsageRefused`` for a rule that can't be rehearsed, or not over these columns.
    """
    if rule.options.sql is not None or rule.options.join is not None or rule.options.stream is None:
        raise UsageRefused(f"the rule {rule.name!r} is about more than one stream or is free SQL, which can't be rehearsed")
    plan = make_plan(schema, [rule], PlanOptions(round(lateness_s * US_PER_S), keys_max, identity, baselines, past))
    if rule.name in plan.refused:
        raise UsageRefused(plan.refused[rule.name])
    clock = fold(rule.options.stream)
    by = plan.rules[rule.name]
    book = AlertBook()
    draft = Draft(book, now_us=now_us)
    draft.configure({rule.name: facts_of(rule.name, rule.options, by=by, summary=rule.summary, clock=clock)}, ())
    book.accept(draft.finish())
    found = Rehearsal(rule.name, by)
    for rows in parts:
        draft = Draft(book, now_us=now_us)
        apply(draft, plan, clock, plan.take(rows, now_us=now_us, now_ns=0))
        done = draft.finish()
        book.accept(done)
        found.transitions += done.transitions
        _count(found, rows)
        on_progress(found.records)
        if len(found.transitions) > TRANSITIONS_MAX:
            raise UsageRefused(f"the rule {rule.name!r} changes more than {TRANSITIONS_MAX:,} times: give it a for, a clear, or a window")
    found.keys = sum(len(keyed.keys) for keyed in plan.keyed.values())
    found.firing = book.counts(rule.name).firing
    return found


def _count(found: Rehearsal, rows: Rows) -> None:
    ts = rows.ts
    found.records += len(rows)
    low, high = int(ts.min()), int(ts.max())
    found.first_us = low if found.first_us is None else min(low, found.first_us)
    found.last_us = high if found.last_us is None else max(high, found.last_us)


def timeline(found: Rehearsal, *, width: int = 60) -> Sequence[str]:
    """A line of ``width`` marks for each of the keys that fired most, from the first record to the last: where it fired."""
    if found.first_us is None or found.last_us is None or not found.episodes:
        return []
    span = max(1, found.last_us - found.first_us)
    fired: dict[Key, list[Episode]] = {}
    for episode in found.episodes:
        fired.setdefault(episode.key, []).append(episode)
    lines = []
    for key, episodes in sorted(fired.items(), key=lambda pair: -len(pair[1])):
        marks = ["·"] * width
        for e in episodes:
            first = (e.fired_us - found.first_us) * width // span
            last = ((e.ended_us if e.ended_us is not None else found.last_us) - found.first_us) * width // span
            for place in range(max(0, min(first, width - 1)), min(last, width - 1) + 1):
                marks[place] = "█"
        name = ", ".join(f"{c}={v}" for c, v in zip(found.by, key, strict=False)) or found.rule
        lines.append(f"{''.join(marks)}  {name}  {len(episodes)}")
    return lines
