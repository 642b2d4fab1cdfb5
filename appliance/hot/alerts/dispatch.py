"""Who is told what, and when: a pure function of what has happened to one alert and of what mutes it. By the wall clock.

``tell`` makes parcels, one item for one channel; ``place`` (module ``placing``) puts them into messages. A fire is told once, its end
to those who were told, and only to them. What could not be told because of a silence or an inhibition is held, and told when that ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_S
from appliance.hot.alerts.muting import Muted
from appliance.hot.alerts.rules import RuleFacts, summary_of
from appliance.hot.alerts.values import Instance, Item, Kind, Phase, Tells, Transition

CLOCK_STEP_US: Final = 60 * US_PER_S
"""A time further in the future than this was taken before the wall clock was set back: what waits since then is due."""
_MOVES = (Kind.CHANGE, Kind.FLAPPING, Kind.CALM, Kind.REVISED)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One item for one channel, not yet in a message."""

    channel: str
    group: str
    due_us: int
    """Wall clock until which its message waits for others of the group."""
    item: Item


@dataclass(frozen=True, slots=True)
class Telling:
    """What comes of looking at one alert."""

    instance: Instance
    """With its ``told…`` fields as they are when the parcels are stored; the very same when nothing was told."""
    parcels: tuple[Parcel, ...]
    is_held: bool
    """Something is to be told as soon as nothing mutes the alert."""


def tell(
    before: Instance,
    after: Instance,
    transitions: Sequence[Transition],
    rule: RuleFacts,
    *,
    muted: Muted,
    channels: Collection[str] | None,
    now_us: int,
) -> Telling:
    """What is to be told of one alert now.

    ``before`` and ``transitions`` say what has happened in this round (``before`` is ``after`` where nothing has), so that a fire which
    began and ended within it is told too. ``channels`` are those that the config has (None: any); others can't be told any more.
    """
    teller = _Teller(before, after, rule, muted, channels, now_us)
    for transition in transitions:
        if transition.kind in _MOVES:
            teller.follow(transition)
    teller.finish()
    return Telling(teller.told_instance(), tuple(teller.parcels), teller.is_held)


def wall_due(instance: Instance, rule: RuleFacts) -> int | None:
    """Wall clock at which the alert is to be looked at again although nothing happens to it; None: never."""
    times = [instance.acked_until_us] if instance.acked_until_us is not None else []
    if instance.is_firing and instance.told and instance.acked_by is None and not instance.flapping:
        if rule.notify and instance.told_us is not None:
            times.append(instance.told_us + rule.repeat_us)
        if rule.escalate_after_us is not None and not instance.escalated and instance.told_since_us is not None:
            times.append(instance.told_since_us + rule.escalate_after_us)
    return min(times, default=None)


def group_of(rule: RuleFacts, labels: Mapping[str, str]) -> str:
    """The name of the group of an alert: ``rule=overheating``, ``line=3,rule=overheating``; "" where all are one group."""
    return ",".join(f"{label}={labels.get(label, '')}" for label in rule.group_by)


class _Teller:
    """The ``told…`` fields of one alert while it is followed through what has happened to it."""

    def __init__(
        self,
        before: Instance,
        after: Instance,
        rule: RuleFacts,
        muted: Muted,
        channels: Collection[str] | None,
        now_us: int,
    ) -> None:
        self.after = after
        self.now = before if before.labels == after.labels else before.but(labels=after.labels)
        """The alert as far as it has been followed: its phase, its fire, and what was told of it."""
        self.rule = rule
        self.muted = muted
        self.channels = channels
        self.now_us = now_us
        self.parcels: list[Parcel] = []
        self.is_held = False
        self.told_fired_us = before.fired_us if before.fire == before.told_fire else None

    def follow(self, transition: Transition) -> None:
        """One more step; tells what it calls for."""
        now = self.now
        firing_anew = transition.new is Phase.FIRING and transition.fire != now.fire
        flapping = transition.kind is Kind.FLAPPING or (now.flapping and transition.kind is not Kind.CALM)
        self.now = now.but(
            phase=transition.new,
            was=now.was if now.phase in (Phase.NODATA, Phase.ERROR) else now.phase,
            fire=transition.fire,
            fired_us=self._fired_us(transition) if firing_anew else now.fired_us,
            resolved_us=transition.at_us if transition.new is Phase.OK else now.resolved_us,
            flapping=flapping,
            values=transition.values,
        )
        if transition.kind is Kind.CALM and self.now.is_firing and self.now.told and not self.muted:
            self._tell_fire(Tells.FIRING, transition.at_us)
        if transition.kind is Kind.REVISED and self.now.is_firing and self.now.told and not self.muted:
            self._tell_fire(Tells.REVISED, transition.at_us)
        self._settle(transition.at_us)

    def _fired_us(self, transition: Transition) -> int | None:
        """When the fire began into which the alert has come; while it was flapping that was not noted singly."""
        if transition.kind is Kind.CALM and self.after.fire == transition.fire:
            return self.after.fired_us
        return transition.at_us

    def finish(self) -> None:
        """What is to be told of the alert as it is now, without anything happening to it."""
        told = {field: getattr(self.now, field) for field in _TOLD_FIELDS}
        unchanged = all(getattr(self.after, field) == value for field, value in told.items())
        self.now = self.after if unchanged else self.after.but(**told)
        self._settle(self.now.since_us)
        if self.now.is_firing and self.now.told and not self.now.flapping and self.now.acked_by is None:
            self._escalate()
            self._repeat()

    def told_instance(self) -> Instance:
        """``after`` with what was told."""
        return self.now

    def _settle(self, at_us: int) -> None:
        """Tells the end of a fire that was told, then the beginning of one that was not."""
        now = self.now
        if now.told and not now.flapping and not (now.is_firing and now.fire == now.told_fire):
            if self.muted.silence is not None:
                self.is_held = True
                return
            self._tell_end(at_us)
        if not self.now.is_firing or self.now.told or not self.rule.has_audience:
            return
        if self.muted:
            self.is_held = True
        else:
            self._tell_fire(Tells.FLAPPING if self.now.flapping else Tells.FIRING, at_us)

    def _tell_fire(self, tells: Tells, at_us: int) -> None:
        now = self.now
        for channel in self._known(self.rule.notify):
            self._add(channel, tells, now.fire, at_us, fired_us=now.fired_us)
        self.told_fired_us = now.fired_us
        escalated = now.escalated if now.told else False
        self.now = now.but(
            told=True,
            told_fire=now.fire,
            told_us=self.now_us,
            told_since_us=now.told_since_us if now.told and now.told_fire == now.fire else self.now_us,
            told_to=_united(now.told_to if now.told else (), self._known(self.rule.notify)),
            escalated=escalated,
        )
        self.is_held = False

    def _tell_end(self, at_us: int) -> None:
        now = self.now
        ended_us = at_us if now.resolved_us is None else now.resolved_us
        for channel in self._known(now.told_to):
            self._add(channel, Tells.RESOLVED, now.told_fire, ended_us, fired_us=self.told_fired_us, resolved_us=ended_us)
        self.now = now.but(told=False, told_to=(), told_us=None, told_since_us=None, escalated=False)
        self.is_held = False

    def _escalate(self) -> None:
        now, after_us = self.now, self.rule.escalate_after_us
        if after_us is None or now.escalated or now.told_since_us is None or not _passed(now.told_since_us, after_us, self.now_us):
            return
        if self.muted:
            self.is_held = True
            return
        channels = self._known(self.rule.escalate)
        for channel in channels:
            self._add(channel, Tells.ESCALATED, now.fire, now.since_us, fired_us=now.fired_us, waits=False)
        self.now = now.but(escalated=True, told_to=_united(now.told_to, channels))

    def _repeat(self) -> None:
        now = self.now
        if not self.rule.notify or now.told_us is None or not _passed(now.told_us, self.rule.repeat_us, self.now_us):
            return
        if self.muted:
            self.is_held = True
            return
        channels = self._known(self.rule.notify)
        for channel in channels:
            tells = Tells.REPEAT if channel in now.told_to else Tells.FIRING
            self._add(channel, tells, now.fire, self.now_us, fired_us=now.fired_us)
        self.now = now.but(told_us=self.now_us, told_to=_united(now.told_to, channels))

    def _add(
        self,
        channel: str,
        tells: Tells,
        fire: int,
        at_us: int,
        *,
        fired_us: int | None,
        resolved_us: int | None = None,
        waits: bool = True,
    ) -> None:
        now, rule = self.now, self.rule
        item = Item(
            rule=now.rule,
            key=now.key,
            fire=fire,
            tells=tells,
            at_us=at_us,
            summary=summary_of(rule, now.labels, now.values) + _aside(now),
            labels=now.labels,
            values=now.values,
            severity=rule.severity,
            runbook=rule.runbook,
            fired_us=fired_us,
            resolved_us=resolved_us,
        )
        due_us = self.now_us + (rule.group_wait_us if waits else 0)
        self.parcels.append(Parcel(channel, group_of(rule, now.labels), due_us, item))

    def _known(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in dict.fromkeys(names) if self.channels is None or name in self.channels)


_TOLD_FIELDS = ("told", "told_fire", "told_to", "told_us", "told_since_us", "escalated")


def _passed(since_us: int, span_us: int, now_us: int) -> bool:
    return now_us >= since_us + span_us or now_us < since_us - CLOCK_STEP_US


def _united(some: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *others)))


def _aside(instance: Instance) -> str:
    """What a fire that goes on without data says of itself."""
    if instance.phase is Phase.NODATA:
        return " (no data since)"
    return " (its condition can't be computed since)" if instance.phase is Phase.ERROR else ""
