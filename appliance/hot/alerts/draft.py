"""One round: signals, time, people's words and a new config are applied to a copy of what they touch, and become a plan.

The book is only read. Order matters to one alert alone: its signals in the order of happening. ``finish`` also looks at all that
the wall clock has made due, so a draft without anything in it is how the processor wakes up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from appliance.errors import UsageRefused
from appliance.hot.alerts import life
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.dispatch import Parcel, tell
from appliance.hot.alerts.matchers import parse_matcher
from appliance.hot.alerts.muting import Mutes
from appliance.hot.alerts.plan import Beside, Known, Place, Plan
from appliance.hot.alerts.rules import RuleFacts, facts_without_rule, labels_of
from appliance.hot.alerts.values import Ident, Instance, Phase, Silence, Transition
from appliance.hot.stream.values import TRUE, Key, Scalar, Signal, What

REMOVED = "the rule was removed"
CHANGED = "the rule was changed"
OTHER_KEYS = "the rule has other columns for its keys now"


class Draft:
    """Made for one round and thrown away. One owner: the processor's thread."""

    def __init__(self, book: AlertBook, *, now_us: int) -> None:
        self._book = book
        self._now_us = now_us
        self._rules: Mapping[str, RuleFacts] = book.rules
        self._channels = book.channels
        self._is_configured = False
        self._known: dict[str, Known | None] = {}
        self._retired: dict[Ident, RuleFacts] = {}
        """The rules of alerts that were ended with them, as they were."""
        self._changed: dict[Ident, Instance] = {}
        self._dropped: set[Ident] = set()
        """Alerts whose rule has other columns now."""
        self._forgotten: list[Ident] = []
        self._transitions: list[Transition] = []
        self._of: dict[Ident, list[Transition]] = defaultdict(list)
        self._silences: dict[int, Silence] = {}
        self._silence_id = book.silence_id
        self._beside: list[Beside] = []
        self._wakes_held = False
        self._looks_at_all = False

    def get(self, ident: Ident) -> Instance | None:
        """An alert as it is after what was drafted so far."""
        return self._changed.get(ident) or self._book.get(ident)

    @property
    def rules(self) -> Mapping[str, RuleFacts]:
        """The rules that are in force for this round."""
        return self._rules

    @property
    def now_us(self) -> int:
        """Wall clock of the round."""
        return self._now_us

    def touched(self) -> tuple[Instance, ...]:
        """The alerts that the round has changed so far."""
        return tuple(self._changed.values())

    def of_rule(self, rule: str) -> Sequence[Instance]:
        """The alerts of a rule as they are after what was drafted so far."""
        return self._all(rule)

    def apply(self, signals: Iterable[Signal], *, waiting_since_us: int | None = None) -> None:
        """Signals in the order of happening for each alert. Those of rules that are not configured are passed over. ``waiting_since_us``:
        as of ``advance``."""
        for signal in signals:
            rule = self._rules.get(signal.rule)
            if rule is None:
                continue
            instance = self.get((signal.rule, signal.key))
            if instance is None:
                if not _may_start(signal, rule):
                    continue
                instance = Instance(signal.rule, signal.key, labels=labels_of(rule, signal.key))
            waits = waiting_since_us is not None and instance.learned_us < waiting_since_us
            self._take(instance, life.step(instance, signal, rule, now_us=self._now_us, waits=waits))

    def advance(self, clock: str, watermark_us: int, *, waiting_since_us: int | None = None) -> None:
        """Runs the timers of the rules with this clock that are due at the watermark; with ``waiting_since_us`` (wall clock) not those of
        alerts that nothing has happened to since: what their devices have kept meanwhile may still come."""
        touched = [ident for ident in self._changed if ident[0] in self._rules and self._rules[ident[0]].clock == clock]
        for ident in dict.fromkeys((*self._book.due_by(clock, watermark_us), *touched)):
            instance = self.get(ident)
            if instance is not None and (waiting_since_us is None or instance.learned_us >= waiting_since_us):
                self._take(instance, life.due(instance, self._facts(instance), watermark_us=watermark_us, now_us=self._now_us))

    def acknowledge(self, rule: str, key: Key | None, *, author: str, comment: str = "", until_us: int | None = None) -> list[Instance]:
        """Acknowledges what fires of a rule, all keys with None. Raises ``UsageRefused`` when nothing does, or the time is over."""
        if until_us is not None and until_us <= self._now_us:
            raise UsageRefused("the acknowledgement would end before it begins")
        found = [i for i in self._firing(rule) if key is None or i.key == key]
        if not found:
            raise UsageRefused(f"nothing of the rule {rule!r} fires" + ("" if key is None else " for this key"))
        who, why = _text(author), _text(comment)
        for instance in found:
            facts = self._facts(instance)
            self._take(instance, life.acknowledge(instance, facts, author=who, comment=why, until_us=until_us, now_us=self._now_us))
        return [self._changed[(i.rule, i.key)] for i in found]

    def unacknowledge(self, rule: str, key: Key | None, *, author: str) -> list[Instance]:
        """Takes acknowledgements of a rule back, those of all keys with None. Raises ``UsageRefused`` when there is none."""
        found = [i for i in self._all(rule) if i.acked_by is not None and (key is None or i.key == key)]
        if not found:
            raise UsageRefused(f"nothing of the rule {rule!r} is acknowledged" + ("" if key is None else " for this key"))
        for instance in found:
            facts = self._facts(instance)
            self._take(instance, life.unacknowledge(instance, facts, author=_text(author), now_us=self._now_us))
        return [self._changed[(i.rule, i.key)] for i in found]

    def silence(self, matchers: Sequence[str], *, since_us: int, until_us: int, author: str, comment: str) -> Silence:
        """A new silence. Raises ``UsageRefused`` for matchers that can't be read or are missing, and for a time that is over."""
        if not matchers:
            raise UsageRefused("a silence needs a matcher, such as device=d1")
        if until_us <= max(since_us, self._now_us):
            raise UsageRefused("the silence would end before it begins")
        parsed = tuple(parse_matcher(_text(text)) for text in matchers)
        self._silence_id += 1
        made = Silence(self._silence_id, parsed, since_us, until_us, _text(author), _text(comment))
        self._silences[made.id] = made
        return made

    def unsilence(self, silence_id: int, *, author: str = "") -> Silence:
        """Ends a silence now, also one that is still to come. Raises ``UsageRefused`` when there is no such one."""
        found = self._silences.get(silence_id) or self._book.silences.get(silence_id)
        if found is None or found.ended_us is not None or found.until_us <= self._now_us:
            raise UsageRefused(f"there is no silence {silence_id} in force")
        self._silences[silence_id] = replace(found, ended_us=self._now_us, ended_by=_text(author))
        self._wakes_held = True
        return self._silences[silence_id]

    def revise(self, rule: str, key: Key, *, values: Mapping[str, Scalar], at_us: int, is_told: bool) -> None:
        """What a firing alert says of itself is another thing from now on, which those who were told of it are told as well where it
        ``is_told``. Nothing happens to one that doesn't fire. ``at_us``: event time."""
        instance = self.get((rule, key))
        if instance is not None and instance.is_firing:
            facts = self._facts(instance)
            self._take(instance, life.revise(instance, facts, values=values, at_us=at_us, is_told=is_told, now_us=self._now_us))

    def store_beside(self, beside: Beside) -> None:
        """What has to be stored in the same transaction as the round."""
        self._beside.append(beside)

    def configure(
        self, rules: Mapping[str, RuleFacts], channels: Iterable[str] | None, sessions: Mapping[str, Known] | None = None
    ) -> None:
        """The config is another one (or the process has started). Best in a draft of its own, before anything else of a new process.

        Alerts of rules that are gone end; those of a rule with another condition stay as they are, which their reason says. ``channels``
        are the names that the config has; nothing is told to any other. ``sessions`` are remembered beside the rules, so that a start knows
        that they were there before it.
        """
        assert not self._changed, "the config comes first"
        for instance in list(self._book.instances()):
            rule = rules.get(instance.rule)
            known = self._book.known.get(instance.rule)
            if rule is None or len(instance.key) != len(rule.by) or (known is not None and known.by != rule.by):
                self._retire(instance, REMOVED if rule is None else OTHER_KEYS, is_kept=rule is None)
            else:
                self._adapt(instance, rule, is_other=known is not None and known.condition != rule.condition)
        now = {**(sessions or {}), **{name: Known(rule.condition, rule.by) for name, rule in rules.items()}}
        self._known = {name: known for name, known in now.items() if self._book.known.get(name) != known}
        for name, known in self._book.known.items():
            if name not in now:  # of a rule that comes back all is looked at anew; until then the columns of its alerts are known
                has_alerts = next(self._book.instances(name), None) is not None
                self._known[name] = Known("", known.by) if has_alerts else None
        self._rules, self._is_configured, self._looks_at_all = dict(rules), True, True
        self._channels = None if channels is None else frozenset(channels)

    def set_aside(self, rules: Iterable[str], reason: str, *, at_us: int) -> None:
        """These rules can't be evaluated any more: what was drafted of them is dropped, and what they said of alerts is in ERROR."""
        names = set(rules)
        for of in (self._changed, self._of):
            for ident in [i for i in of if i[0] in names]:
                del of[ident]
        self._transitions = [t for t in self._transitions if t.rule not in names]
        found = [i for name in names for i in self._book.instances(name) if i.phase is not Phase.OK]
        self.apply(Signal(i.rule, i.key, What.ERROR, at_us, at_us, reason=reason) for i in found)

    def forget(self) -> None:
        """Drops alerts that have been ok for long; for once a day."""
        self._forgotten = self._book.forgettable(self._now_us)

    def finish(self, places: Iterable[Place] = ()) -> Plan:
        """Decides who is told, and closes the draft. The book is as it was until it accepts the plan."""
        self._run_out_acknowledgements()
        parcels, held = self._tell()
        instances: dict[Ident, Instance | None] = {ident: None for ident in self._forgotten if ident not in self._changed}
        for ident, instance in self._changed.items():
            kept = None if life.is_forgettable(instance) or ident in self._dropped else instance
            if kept != self._book.get(ident):
                instances[ident] = kept
        names = {ident[0] for ident in instances} | {t.rule for t in self._transitions}
        return Plan(
            now_us=self._now_us,
            instances=instances,
            transitions=tuple(self._transitions),
            parcels=tuple(parcels),
            silences=tuple(self._silences.values()),
            rules=self._rules if self._is_configured else None,
            known=self._known,
            channels=self._channels,
            columns={name: self._rules[name].by if name in self._rules else self._book.columns(name) for name in names},
            former={ident: self._retired[ident].by for ident in self._dropped},
            held={ident: is_held for ident, is_held in held.items() if instances.get(ident, self._book.get(ident)) is not None},
            places=tuple(places),
            beside=tuple(self._beside),
        )

    def _take(self, before: Instance, outcome: life.Step) -> None:
        instance, transitions = outcome
        ident = (before.rule, before.key)
        if instance is not before:
            self._changed[ident] = instance
        if transitions:
            self._transitions += transitions
            self._of[ident] += transitions

    def _facts(self, instance: Instance) -> RuleFacts:
        return self._retired.get((instance.rule, instance.key)) or self._rules.get(instance.rule) or facts_without_rule(instance)

    def _all(self, rule: str) -> list[Instance]:
        drafted = {ident: i for ident, i in self._changed.items() if ident[0] == rule}
        return [*drafted.values(), *(i for i in self._book.instances(rule) if (i.rule, i.key) not in drafted)]

    def _firing(self, rule: str) -> list[Instance]:
        drafted = [i for ident, i in self._changed.items() if ident[0] == rule and i.is_firing]
        return [*drafted, *(i for i in self._book.firing(rule) if (i.rule, i.key) not in self._changed)]

    def _retire(self, instance: Instance, reason: str, *, is_kept: bool) -> None:
        """Ends an alert with its rule. What has fired is kept, so that a rule of the same name goes on counting its fires."""
        ident = (instance.rule, instance.key)
        facts = self._book.facts(instance)
        self._retired[ident] = facts
        if not is_kept:
            self._dropped.add(ident)
            self._changed[ident] = instance
        self._take(instance, life.end(instance, facts, reason=reason, now_us=self._now_us))

    def _adapt(self, instance: Instance, rule: RuleFacts, *, is_other: bool) -> None:
        labels = labels_of(rule, instance.key)
        reason = CHANGED if is_other and instance.phase is not Phase.OK else instance.reason
        if labels != instance.labels or reason != instance.reason:
            self._changed[(instance.rule, instance.key)] = instance.but(labels=labels, reason=reason)

    def _run_out_acknowledgements(self) -> None:
        for ident in self._book.awake(self._now_us):
            instance = self.get(ident)
            if instance is not None and instance.acked_until_us is not None and instance.acked_until_us <= self._now_us:
                facts = self._facts(instance)
                self._take(instance, life.due(instance, facts, watermark_us=_LONG_AGO_US, now_us=self._now_us))

    def _tell(self) -> tuple[list[Parcel], dict[Ident, bool]]:
        mutes = Mutes(self._rules, {**self._book.silences, **self._silences}.values(), _once(self._firing), now_us=self._now_us)
        parcels: list[Parcel] = []
        held: dict[Ident, bool] = {}
        for ident in self._to_look_at():
            after = self.get(ident)
            if after is None:
                held[ident] = False
                continue
            transitions = self._of.get(ident, ())
            before = (self._book.get(ident) or Instance(after.rule, after.key)) if transitions else after
            rule = self._facts(after)
            told = tell(
                before,
                after,
                transitions,
                rule,
                muted=mutes.of(after, rule),
                channels=self._channels,
                now_us=self._now_us,
            )
            parcels += told.parcels
            held[ident] = told.is_held
            if told.instance is not after:
                self._changed[ident] = told.instance
        return parcels, held

    def _to_look_at(self) -> list[Ident]:
        """What something has happened to, what the wall clock has made due, and what was held by something that may be over."""
        idents = [*self._of, *self._book.awake(self._now_us)]
        if self._looks_at_all:
            idents += [(i.rule, i.key) for i in self._book.instances() if i.is_firing or i.told]
        if self._wakes_held or self._has_ended_inhibitor():
            idents += self._book.held
        return list(dict.fromkeys(idents))

    def _has_ended_inhibitor(self) -> bool:
        if not self._book.held:
            return False
        inhibitors = {name for held in self._book.held if held[0] in self._rules for name in self._rules[held[0]].inhibited_by}
        return any(ident[0] in inhibitors and not self._changed[ident].is_firing for ident in self._of if ident in self._changed)


_LONG_AGO_US = -(2**62)
"""A watermark at which no timer is due."""


def _may_start(signal: Signal, rule: RuleFacts) -> bool:
    """Whether something can come of a signal where there is no alert yet; most points of most keys say that all is well."""
    if signal.what is What.LEVEL:
        return signal.level == TRUE
    if signal.what is What.GAP or signal.what is What.ERROR or signal.what is What.LATE:
        return True
    return signal.what is What.BACK and not rule.is_absent and signal.level == TRUE


def _once(firing: Callable[[str], list[Instance]]) -> Callable[[str], list[Instance]]:
    """Looks up each rule once."""
    found: dict[str, list[Instance]] = {}

    def look(rule: str) -> list[Instance]:
        if rule not in found:
            found[rule] = firing(rule)
        return found[rule]

    return look


def _text(given: str) -> str:
    """Words from outside may hold what is no text, which SQLite does not take."""
    return given.encode("utf-8", "backslashreplace").decode("utf-8")
