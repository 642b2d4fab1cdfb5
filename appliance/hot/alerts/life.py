"""The life of one alert: a pure function of what it was, what has been seen, and how far event time has come.

ok -> pending -> firing -> ok; NODATA and ERROR stand beside it and remember what they interrupted. Everything is decided by event time,
so the same signals give the same transitions whenever they are looked at; the wall clock only says when it was learned, and ends
acknowledgements. Whom to tell is not decided here (``dispatch``): nothing in this module touches a ``told…`` field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Instance, Kind, Phase, Transition
from appliance.hot.stream.values import FALSE, HOLD, TRUE, Scalar, Signal, What

Step = tuple[Instance, tuple[Transition, ...]]
Values = Mapping[str, Scalar]
_ASIDE = (Phase.NODATA, Phase.ERROR)
_NOT_ACKED: Mapping[str, Any] = {"acked_by": None, "acked_until_us": None, "ack_comment": ""}


def step(instance: Instance, signal: Signal, rule: RuleFacts, *, now_us: int, waits: bool = False) -> Step:
    """The alert after a signal, and what has happened on the way. Timers that are due at the signal's watermark run first, but none that
    is due after its own time; before a record comes those have run that were due by the time of its key as the record before had it,
    whether it comes in one round with others or alone; not so while the alert ``waits`` for what its device has kept.

    The very same instance comes back when nothing has changed. ``now_us`` is the wall clock and goes into ``learned_us`` alone.
    """
    life = _Life(instance, rule, now_us)
    is_of_record = signal.seq is not None
    until_us = min(signal.watermark_us, signal.at_us)
    life.run_timers(max(until_us, signal.watermark_us - instance.behind_us) if is_of_record and not waits else until_us)
    if is_of_record and signal.what is not What.LATE:
        life.fall_behind(max(0, signal.watermark_us - signal.at_us))
    _APPLY[signal.what](life, signal, _finite(signal.values))
    return life.instance, tuple(life.transitions)


def due(instance: Instance, rule: RuleFacts, *, watermark_us: int, now_us: int) -> Step:
    """Runs what is due without a signal: by event time what ``next_due`` tells, by the wall clock the end of an acknowledgement."""
    life = _Life(instance, rule, now_us)
    life.run_timers(watermark_us - instance.behind_us)
    if life.instance.acked_until_us is not None and life.instance.acked_until_us <= now_us:
        life.unacknowledge(life.instance.acked_until_us, "the acknowledgement has run out")
    return life.instance, tuple(life.transitions)


def next_due(instance: Instance, rule: RuleFacts) -> int | None:
    """Event time of the stream at which the alert's next timer is due; None when it waits for nothing but signals. A key whose records are
    behind those of others has a time of its own, which goes on as fast."""
    timer = _next_timer(instance, rule)
    return None if timer is None else timer[0] + instance.behind_us


def deadline(instance: Instance, rule: RuleFacts) -> int | None:
    """Event time of the key at which a pending alert is due to fire; None: it is not pending."""
    return instance.since_us + rule.for_us if instance.phase is Phase.PENDING else None


def acknowledge(instance: Instance, rule: RuleFacts, *, author: str, comment: str, until_us: int | None, now_us: int) -> Step:
    """Somebody has taken the alert on, until ``until_us`` by the wall clock (None: until it resolves). Only what fires can be."""
    assert instance.is_firing, "what doesn't fire can't be acknowledged"
    life = _Life(instance.but(acked_by=author, acked_until_us=until_us, ack_comment=comment), rule, now_us)
    life.note(Kind.ACKED, now_us, values=instance.values, reason=f"{author}: {comment}" if comment else author)
    return life.instance, tuple(life.transitions)


def unacknowledge(instance: Instance, rule: RuleFacts, *, author: str, now_us: int) -> Step:
    """Takes an acknowledgement back; without one nothing happens."""
    life = _Life(instance, rule, now_us)
    if instance.acked_by is not None:
        life.unacknowledge(now_us, f"taken back by {author}")
    return life.instance, tuple(life.transitions)


def revise(instance: Instance, rule: RuleFacts, *, values: Values, at_us: int, is_told: bool, now_us: int) -> Step:
    """A fire goes on with other values; ``is_told``: as a step of its own, which is told."""
    assert instance.is_firing, "what doesn't fire can't be revised"
    life = _Life(instance.but(values=_finite(values)), rule, now_us)
    if is_told:
        life.note(Kind.REVISED, at_us, values=life.instance.values)
    return life.instance, tuple(life.transitions)


def end(instance: Instance, rule: RuleFacts, *, reason: str, now_us: int) -> Step:
    """The alert is over because its rule is: whatever it was, it is ok now, at the time of the wall clock."""
    life = _Life(instance.but(flapping=False, fires_us=(), flap_fires=0), rule, now_us)
    if instance.is_firing:
        life.resolve(now_us, values=instance.values, reason=reason)
    elif instance.phase is not Phase.OK:
        life.enter(Phase.OK, now_us, values=instance.values, reason=reason)
    return life.instance, tuple(life.transitions)


def is_forgettable(instance: Instance) -> bool:
    """Whether nothing is lost when there is no instance: ok, and never fired (the number of fires names its messages)."""
    return instance.phase is Phase.OK and not instance.fire and not instance.told


class _Life:
    """One instance while it is moved on; made for a single call."""

    __slots__ = ("instance", "now_us", "rule", "transitions")

    def __init__(self, instance: Instance, rule: RuleFacts, now_us: int) -> None:
        self.instance = instance
        self.rule = rule
        self.now_us = now_us
        self.transitions: list[Transition] = []

    def run_timers(self, watermark_us: int) -> None:
        """All that is due, the earliest first; each timer ends the state that it belongs to, so this ends."""
        while (timer := _next_timer(self.instance, self.rule)) is not None and timer[0] <= watermark_us:
            timer[1](self, timer[0])

    def note(self, kind: Kind, at_us: int, *, values: Values, reason: str = "", seq: int | None = None, old: Phase | None = None) -> None:
        """Adds a transition into the phase as it is now, out of ``old`` (None: the same)."""
        now = self.instance
        self.transitions.append(
            Transition(now.rule, now.key, kind, old or now.phase, now.phase, at_us, self.now_us, seq, values, reason, now.fire)
        )

    def enter(self, phase: Phase, at_us: int, *, values: Values, seq: int | None = None, reason: str = "", **more: Any) -> None:
        """Moves to another phase, and changes ``more``. While it is flapping the way to and fro is not noted."""
        before = self.instance
        level, level_us = (HOLD, 0) if phase is Phase.OK else (before.level, before.level_us)
        was = _interrupted(before) if phase in _ASIDE else Phase.OK
        self.instance = before.but(
            phase=phase,
            was=was,
            since_us=at_us,
            seq=seq,
            values=values,
            reason=reason,
            learned_us=self.now_us,
            **{"level": level, "level_us": level_us, **more},
        )
        if not more.get("flapping", before.flapping) or phase in _ASIDE or before.phase in _ASIDE:
            self.note(Kind.CHANGE, at_us, values=values, reason=reason, seq=seq, old=before.phase)

    def fall_behind(self, behind_us: int) -> None:
        """The key's own time is so far behind that of its stream."""
        if behind_us != self.instance.behind_us:
            self.instance = self.instance.but(behind_us=behind_us)

    def set_level(self, level: int, at_us: int) -> None:
        if level != self.instance.level:
            self.instance = self.instance.but(level=level, level_us=at_us)

    def fire(self, at_us: int, *, values: Values, seq: int | None = None) -> None:
        """Begins a fire. The one above ``flap_max`` within ``flap_within`` is the beginning of flapping instead."""
        before, rule = self.instance, self.rule
        fires = (*(f for f in before.fires_us if f > at_us - rule.flap_within_us), at_us)[-(rule.flap_max + 1) :]
        begins_to_flap = not before.flapping and len(fires) > rule.flap_max
        self.enter(
            Phase.FIRING,
            at_us,
            values=values,
            seq=seq,
            level=TRUE,
            level_us=before.level_us if before.level == TRUE else at_us,
            fire=before.fire + 1,
            fired_us=at_us,
            resolved_us=None,
            ending_us=None,
            fires_us=fires,
            flapping=before.flapping or begins_to_flap,
            flap_fires=before.flap_fires + 1 if before.flapping else 0,
        )
        if begins_to_flap:
            self.note(
                Kind.FLAPPING,
                at_us,
                values=values,
                seq=seq,
                old=before.phase,
                reason=f"has fired more than {rule.flap_max} times within {rule.flap_within_us // 1_000_000} s",
            )

    def resolve(self, at_us: int, *, values: Values, seq: int | None = None, reason: str = "") -> None:
        """Ends a fire, and the acknowledgement with it; that of a flapping alert holds until it is calm."""
        more = {} if self.instance.flapping else _NOT_ACKED
        self.enter(Phase.OK, at_us, values=values, seq=seq, reason=reason, fired_us=None, ending_us=None, resolved_us=at_us, **more)

    def calm(self, at_us: int) -> None:
        """It has not changed for ``flap_within``: from now on it is told as usual."""
        more = self.instance.flap_fires
        self.instance = self.instance.but(flapping=False, fires_us=(), flap_fires=0, learned_us=self.now_us)
        if not self.instance.is_firing:
            self.forget_acknowledgement()
        self.note(Kind.CALM, at_us, values=self.instance.values, reason=f"has fired {more} more times meanwhile")

    def recover(self, at_us: int, *, values: Values, seq: int | None) -> None:
        """Back from NODATA or ERROR to what it was. Pending counts anew, once a point says that the condition holds; so does keep."""
        was = self.instance.was
        if self.instance.ending_us is not None:
            self.instance = self.instance.but(ending_us=at_us)
        self.enter(was, at_us, values=values, seq=seq)
        if was is Phase.PENDING:
            self.set_level(HOLD, at_us)

    def last_values(self) -> Values:
        """What a transition without values of its own has: those of the one before, none where that may have been forgotten."""
        return {} if self.instance.phase is Phase.OK else self.instance.values

    def forget_acknowledgement(self) -> None:
        self.instance = self.instance.but(**_NOT_ACKED)

    def unacknowledge(self, at_us: int, reason: str) -> None:
        self.forget_acknowledgement()
        self.note(Kind.UNACKED, at_us, values=self.instance.values, reason=reason)


def _next_timer(instance: Instance, rule: RuleFacts) -> tuple[int, Callable[[_Life, int], None]] | None:
    timers: list[tuple[int, Callable[[_Life, int], None]]] = []
    if instance.phase is Phase.PENDING and instance.level == TRUE:
        timers.append((instance.since_us + rule.for_us, _fire_in_time))
    if instance.phase is Phase.FIRING and instance.ending_us is not None:
        timers.append((instance.ending_us + rule.keep_us, _resolve_in_time))
    if instance.flapping and instance.phase not in _ASIDE:
        timers.append((instance.since_us + rule.flap_within_us, _Life.calm))
    return min(timers, key=lambda timer: timer[0], default=None)


def _fire_in_time(life: _Life, at_us: int) -> None:
    """The cause is the record with which it became pending: which later one shows that it still holds depends on who looks when."""
    life.fire(at_us, values=life.instance.values, seq=life.instance.seq)


def _resolve_in_time(life: _Life, at_us: int) -> None:
    life.resolve(at_us, values=life.instance.values)


def _on_level(life: _Life, signal: Signal, values: Values) -> None:
    _apply_level(life, signal, values, signal.level)


def _apply_level(life: _Life, signal: Signal, values: Values, level: int) -> None:
    """A level, new or not, at a point in time. In NODATA only a record counts: what leaves a window is no news of the key."""
    if life.instance.phase is Phase.NODATA and signal.seq is None:
        return
    if life.instance.phase in _ASIDE:
        life.recover(signal.at_us, values=values or life.instance.values, seq=signal.seq)
    if level == TRUE:
        _holds(life, signal, values)
    elif level == FALSE:
        _is_over(life, signal, values)
    elif life.instance.phase is Phase.PENDING:
        life.set_level(HOLD, signal.at_us)


def _holds(life: _Life, signal: Signal, values: Values) -> None:
    now, rule, at_us = life.instance, life.rule, signal.at_us
    if now.phase is Phase.OK:
        if rule.for_us:
            life.enter(Phase.PENDING, at_us, values=values, seq=signal.seq, level=TRUE, level_us=at_us)
        else:
            life.fire(at_us, values=values, seq=signal.seq)
    elif now.phase is Phase.PENDING:
        if now.level != TRUE:
            life.set_level(TRUE, at_us)
            life.instance = life.instance.but(values=values)
        if at_us >= now.since_us + rule.for_us:
            _fire_in_time(life, now.since_us + rule.for_us)
    elif now.ending_us is not None:
        life.instance = now.but(ending_us=None, level=TRUE, level_us=at_us, values=values)


def _is_over(life: _Life, signal: Signal, values: Values) -> None:
    now, rule, at_us = life.instance, life.rule, signal.at_us
    if now.phase is Phase.PENDING:
        life.enter(Phase.OK, at_us, values=values, seq=signal.seq)
    elif now.phase is Phase.FIRING:
        if not rule.keep_us:
            life.resolve(at_us, values=values, seq=signal.seq)
        elif now.ending_us is None:
            life.instance = now.but(ending_us=at_us, level=FALSE, level_us=at_us, values=values)
        elif at_us >= now.ending_us + rule.keep_us:
            _resolve_in_time(life, now.ending_us + rule.keep_us)


def _on_due(life: _Life, signal: Signal, values: Values) -> None:
    """A point of the key at which its level is what it was: for a pending alert, one at which the condition holds."""
    level = TRUE if _interrupted(life.instance) is Phase.PENDING else life.instance.level
    _apply_level(life, signal, values, level)


def _on_gap(life: _Life, signal: Signal, values: Values) -> None:
    if life.rule.is_absent:
        _apply_level(life, signal, values, TRUE)
    elif life.instance.phase is not Phase.NODATA:
        life.enter(Phase.NODATA, signal.at_us, values=life.last_values(), seq=signal.seq, reason=signal.reason)


def _on_back(life: _Life, signal: Signal, values: Values) -> None:
    if life.rule.is_absent:
        _apply_level(life, signal, values, FALSE)
        return
    if life.instance.phase is Phase.NODATA:
        life.recover(signal.at_us, values=values or life.instance.values, seq=signal.seq)
    if signal.level != HOLD:
        _apply_level(life, signal, values, signal.level)


def _on_error(life: _Life, signal: Signal, values: Values) -> None:
    now = life.instance
    if now.phase is not Phase.ERROR:
        life.enter(Phase.ERROR, signal.at_us, values=values or life.last_values(), seq=signal.seq, reason=signal.reason)
    elif now.reason != signal.reason:
        life.instance = now.but(reason=signal.reason)


def _on_late(life: _Life, signal: Signal, values: Values) -> None:
    """Told apart and stored; changes nothing. Where it was firing then, there is nothing to tell apart."""
    now = life.instance
    if not (now.is_firing and now.fired_us is not None and now.fired_us <= signal.at_us):
        reason = signal.reason or "a late record says that it would have fired"
        life.note(Kind.LATE, signal.at_us, values=values, reason=reason, seq=signal.seq)


_APPLY: Mapping[What, Callable[[_Life, Signal, Values], None]] = {
    What.LEVEL: _on_level,
    What.DUE: _on_due,
    What.GAP: _on_gap,
    What.BACK: _on_back,
    What.ERROR: _on_error,
    What.LATE: _on_late,
}


def _interrupted(instance: Instance) -> Phase:
    return instance.was if instance.phase in _ASIDE else instance.phase


def _finite(values: Values) -> Values:
    """Without NaN and infinities, which have no place in JSON and would not survive a restart."""
    if all(not isinstance(v, float) or math.isfinite(v) for v in values.values()):
        return values
    return {term: None if isinstance(v, float) and not math.isfinite(v) else v for term, v in values.items()}
