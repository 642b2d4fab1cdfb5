"""All alerts as they are stored, by rule and key, with who is due when.

One owner: the processor's thread. Memory follows the transaction: a round is drafted (``Draft``), written (``tables.commit_alerts``),
and only then accepted; what could not be written leaves nothing here, and the same plan can be written again or be dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_DAY
from appliance.hot.alerts.deadlines import Deadlines
from appliance.hot.alerts.dispatch import CLOCK_STEP_US, wall_due
from appliance.hot.alerts.life import next_due
from appliance.hot.alerts.muting import Mutes
from appliance.hot.alerts.plan import Known, Plan
from appliance.hot.alerts.rules import RuleFacts, facts_without_rule
from appliance.hot.alerts.values import Ident, Instance, Phase, Silence

FORGET_US: Final = 30 * US_PER_DAY
"""An alert that has been ok for so long is forgotten with its number of fires: no receiver remembers keys of messages for longer."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Alerts of one rule by phase; those that are ok are not counted."""

    firing: int = 0
    pending: int = 0
    nodata: int = 0
    error: int = 0


class AlertBook:
    """Everything that is known of alerts as of the newest accepted plan. What is ok and never fired is not in it."""

    def __init__(
        self,
        *,
        instances: Iterable[Instance] = (),
        silences: Iterable[Silence] = (),
        known: Mapping[str, Known] | None = None,
        silence_id: int = 0,
    ) -> None:
        """From what was stored. Its rules it gets with the first draft that is told the config (``Draft.configure``)."""
        self.rules: Mapping[str, RuleFacts] = {}
        self.channels: frozenset[str] | None = None
        self.known: dict[str, Known] = dict(known or {})
        self.silences: dict[int, Silence] = {s.id: s for s in silences}
        self.silence_id = max(silence_id, max(self.silences, default=0))
        """The highest that was ever given."""
        self.looked_us: int | None = None
        """Wall clock of the newest accepted plan; None before the first: then everything is looked at."""
        self.held: set[Ident] = set()
        self._alerts: dict[str, dict[Ident, Instance]] = defaultdict(dict)
        self._firing: dict[str, dict[Ident, Instance]] = defaultdict(dict)
        self._phases: dict[str, dict[Phase, int]] = defaultdict(lambda: dict.fromkeys(Phase, 0))
        self._event: dict[str, Deadlines] = defaultdict(Deadlines)
        self._clock_of: dict[Ident, str] = {}
        self._wall = Deadlines()
        for instance in instances:
            self._put((instance.rule, instance.key), instance)

    def get(self, ident: Ident) -> Instance | None:
        """One alert; None: it is ok, and never fired."""
        return self._alerts[ident[0]].get(ident) if ident[0] in self._alerts else None

    def instances(self, rule: str | None = None) -> Iterator[Instance]:
        """All alerts of a rule, or all there are; in no order. Any thread: each rule's are taken at one instant."""
        for name in (rule,) if rule is not None else tuple(self._alerts):
            yield from tuple(self._alerts.get(name, {}).values())

    def firing(self, rule: str) -> Collection[Instance]:
        """The alerts of a rule of which a fire goes on, with and without data, at one instant. Any thread."""
        return tuple(self._firing.get(rule, {}).values())

    def counts(self, rule: str) -> Counts:
        """How many alerts of a rule are in which phase."""
        if rule not in self._phases:
            return Counts()
        by = self._phases[rule]
        return Counts(by[Phase.FIRING], by[Phase.PENDING], by[Phase.NODATA], by[Phase.ERROR])

    def __len__(self) -> int:
        return sum(map(len, self._alerts.values()))

    def facts(self, instance: Instance) -> RuleFacts:
        """The rule of an alert, or what stands for it when it is in no config any more."""
        return self.rules.get(instance.rule) or facts_without_rule(instance)

    def columns(self, rule: str) -> tuple[str, ...]:
        """The columns of the keys of a rule's alerts; () where nobody knows them any more."""
        if rule in self.rules:
            return self.rules[rule].by
        return self.known[rule].by if rule in self.known else ()

    def due_by(self, clock: str, watermark_us: int) -> list[Ident]:
        """Alerts of one event time of which a timer is due."""
        return self._event[clock].by(watermark_us) if clock in self._event else []

    def next_due(self, clock: str) -> int | None:
        """Event time of the next timer of the rules with this clock; None: no timer runs."""
        return self._event[clock].first() if clock in self._event else None

    def next_wake_us(self) -> int | None:
        """Wall clock at which somebody is to be told, reminded or no longer silenced although nothing happens; None: never.

        Any draft that is begun then settles it. May be in the past: then it is due now.
        """
        times = [s.until_us for s in self.silences.values()]
        first = self._wall.first()
        return min(times if first is None else [*times, first], default=None)

    def awake(self, now_us: int) -> list[Ident]:
        """Alerts to be looked at by the wall clock: those that are due, and all when it is the first time or the clock was set back."""
        if self.looked_us is None or now_us < self.looked_us - CLOCK_STEP_US:
            return [ident for alerts in self._alerts.values() for ident, i in alerts.items() if i.is_firing or i.told or i.acked_by]
        found = self._wall.by(now_us)
        return [*found, *self.held] if any(s.until_us <= now_us for s in self.silences.values()) else found

    def forgettable(self, now_us: int) -> list[Ident]:
        """Alerts that have been ok for ``FORGET_US``; a look at all of them, for once a day."""
        limit = now_us - FORGET_US
        return [
            ident
            for alerts in self._alerts.values()
            for ident, i in alerts.items()
            if i.phase is Phase.OK and not i.told and not i.flapping and i.learned_us < limit
        ]

    def mutes(self, *, now_us: int) -> Mutes:
        """What mutes alerts as they are stored. Any thread."""
        return Mutes(self.rules, tuple(self.silences.values()), self.firing, now_us=now_us)

    def accept(self, plan: Plan) -> None:
        """The plan is stored: from now on everything is as it says."""
        if plan.rules is not None:
            self._change_rules(plan)
        for silence in plan.silences:
            self.silences[silence.id] = silence
            self.silence_id = max(self.silence_id, silence.id)
        self._drop_silences(plan.now_us)
        for ident, instance in plan.instances.items():
            self._put(ident, instance)
        for ident, is_held in plan.held.items():
            (self.held.add if is_held else self.held.discard)(ident)
            self._set_wall(ident, self.get(ident), after_us=plan.now_us if is_held else None)
        self.looked_us = plan.now_us

    def _change_rules(self, plan: Plan) -> None:
        assert plan.rules is not None
        self.rules = plan.rules
        self.channels = plan.channels
        for name, known in plan.known.items():
            if known is None:
                self.known.pop(name, None)
            else:
                self.known[name] = known
        for instance in list(self.instances()):
            self._put((instance.rule, instance.key), instance)

    def _drop_silences(self, now_us: int) -> None:
        """Those that are over and were seen to be: nothing depends on them any more."""
        over = [s.id for s in self.silences.values() if s.until_us <= now_us or (s.ended_us is not None and s.ended_us <= now_us)]
        for silence_id in over:
            del self.silences[silence_id]

    def _put(self, ident: Ident, instance: Instance | None) -> None:
        name = ident[0]
        old = self._alerts[name].pop(ident, None)
        if old is not None:
            self._phases[name][old.phase] -= 1
            self._firing[name].pop(ident, None)
        if instance is None:
            self.held.discard(ident)
        else:
            self._alerts[name][ident] = instance
            self._phases[name][instance.phase] += 1
            if instance.is_firing:
                self._firing[name][ident] = instance
        for index in (self._alerts, self._firing):
            if not index[name]:
                del index[name]
        if name not in self._alerts:
            del self._phases[name]
        self._set_event(ident, instance)
        self._set_wall(ident, instance, after_us=None)

    def _set_event(self, ident: Ident, instance: Instance | None) -> None:
        rule = self.rules.get(ident[0])
        due_us = next_due(instance, rule) if instance is not None and rule is not None else None
        clock = rule.clock if rule is not None else ""
        old = self._clock_of.pop(ident, None)
        if old is not None and (old != clock or due_us is None):
            self._event[old].set(ident, None)
        if due_us is not None:
            self._event[clock].set(ident, due_us)
            self._clock_of[ident] = clock

    def _set_wall(self, ident: Ident, instance: Instance | None, *, after_us: int | None) -> None:
        """``after_us``: what was due by then is held, and waits for what mutes it, not for a time."""
        due_us = wall_due(instance, self.facts(instance)) if instance is not None else None
        if due_us is not None and after_us is not None and due_us <= after_us:
            due_us = None
        self._wall.set(ident, due_us)
