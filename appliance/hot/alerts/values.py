"""The values of alerts: instances, transitions, silences, messages. Plain and frozen; stored as they are. Times in µs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from appliance.hot.stream.values import Key, Scalar

LISTED_MAX = 100
"""Alerts that one message lists; the others are counted."""
Ident = tuple[str, Key]
"""Rule and key: the name of one alert."""


class Phase(StrEnum):
    """The state of one alert."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    NODATA = "nodata"
    ERROR = "error"


class Kind(StrEnum):
    """What a transition is."""

    CHANGE = "change"
    """From one phase to another."""
    LATE = "late"
    """A late record says that it would have fired at ``at_us``; nothing changed."""
    FLAPPING = "flapping"
    CALM = "calm"
    REVISED = "revised"
    """It goes on, and what is said of it is another thing now."""
    ACKED = "acked"
    UNACKED = "unacked"


@dataclass(frozen=True, slots=True)
class Instance:
    """One alert: a rule and a key. What has no instance is ok."""

    rule: str
    key: Key
    phase: Phase = Phase.OK
    since_us: int = 0
    """Event time at which the phase began."""
    was: Phase = Phase.OK
    """In NODATA and ERROR: the phase before (ok, pending or firing)."""
    level: int = 0
    """The newest level, as far as the phase depends on it; HOLD while it is ok."""
    level_us: int = 0
    """Event time at which that level began: pending counts from here."""
    ending_us: int | None = None
    """While firing with ``keep``: when the condition ended; None while it holds."""
    fired_us: int | None = None
    """Event time at which it last began to fire; None while it is not firing (nor was before NODATA or ERROR)."""
    fire: int = 0
    """Number of fires so far: with rule and key the name of one fire, for all its messages."""
    seq: int | None = None
    """The record that caused the newest transition; of a fire after ``for``, the one that made it pending."""
    values: Mapping[str, Scalar] = field(default_factory=dict)
    reason: str = ""
    acked_by: str | None = None
    acked_until_us: int | None = None
    """Wall clock; None with ``acked_by``: until it resolves."""
    ack_comment: str = ""
    flapping: bool = False
    fires_us: tuple[int, ...] = ()
    """Event times of the fires that flapping is judged by, oldest first, at most ``flap_max`` + 1."""
    told: bool = False
    """Whether a fire has been told (a message was made that said firing) and its end has not."""
    told_us: int | None = None
    """Wall clock of the newest message about this fire; repeats count from here."""
    escalated: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    """``by`` columns and their values, the rule's labels, ``rule``, ``severity``, ``stream``."""
    resolved_us: int | None = None
    """Event time at which the newest fire ended; None while it goes on, and before the first."""
    flap_fires: int = 0
    """Fires since it has been flapping: counted, not stored singly."""
    told_fire: int = 0
    """With ``told``: the fire that was told. Another one than ``fire`` when that has ended while nobody could be told."""
    told_to: tuple[str, ...] = ()
    """The channels that were told of it: they, and no others, are told of its end."""
    told_since_us: int | None = None
    """Wall clock of the first message about the fire that was told; escalation counts from here."""
    learned_us: int = 0
    """Wall clock of the newest transition."""
    behind_us: int = 0
    """How far the event time of the key was behind that of its stream with its newest signal: its timers run as much later."""

    @property
    def is_firing(self) -> bool:
        """Whether a fire goes on; in NODATA and ERROR one that had begun does, because missing data ends nothing."""
        return self.phase is Phase.FIRING or (self.phase in (Phase.NODATA, Phase.ERROR) and self.was is Phase.FIRING)

    def but(self, **changes: Any) -> Instance:
        """The same with other values in these fields: ``dataclasses.replace`` in a third of its time, for ten thousand alerts at once."""
        values = list(_FIELD_VALUES(self))
        for name, value in changes.items():
            values[_FIELD_PLACES[name]] = value
        return Instance(*values)


_FIELD_VALUES: Callable[[Instance], tuple[Any, ...]] = attrgetter(*(f.name for f in fields(Instance)))
_FIELD_PLACES = {f.name: place for place, f in enumerate(fields(Instance))}


@dataclass(frozen=True, slots=True)
class Transition:
    """One step in the life of an alert, stored for good."""

    rule: str
    key: Key
    kind: Kind
    old: Phase
    new: Phase
    at_us: int
    """Event time at which it happened (or would have)."""
    learned_us: int
    """Wall clock at which the box knew."""
    seq: int | None
    """The record that caused it; None where only time or a person did."""
    values: Mapping[str, Scalar]
    reason: str = ""
    fire: int = 0


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label and what it must be. ``*`` at either end of ``value`` stands for any text."""

    label: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """For a time nobody is told of alerts that match all of ``matchers`` (at least one)."""

    id: int
    matchers: tuple[Matcher, ...]
    since_us: int
    until_us: int
    author: str
    comment: str
    ended_us: int | None = None
    """When it was taken back; None: not."""
    ended_by: str = ""
    """Who took it back, for the evidence; not part of what is stored of the silence."""


class Tells(StrEnum):
    """What a message says of one alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    REPEAT = "repeat"
    FLAPPING = "flapping"
    ESCALATED = "escalated"
    REVISED = "revised"
    NOTE = "note"
    """No alert: a report, or something that has failed; see ``telling``."""


@dataclass(frozen=True, slots=True)
class Item:
    """One alert within a message."""

    rule: str
    key: Key
    fire: int
    tells: Tells
    at_us: int
    summary: str
    labels: Mapping[str, str]
    values: Mapping[str, Scalar]
    severity: str
    runbook: str | None = None
    fired_us: int | None = None
    resolved_us: int | None = None
    text: str = ""
    """Of a note: what it says besides its summary; several lines."""
    attachments: tuple[str, ...] = ()
    """Of a note: files, relative to the data folder."""

    @property
    def idempotency_key(self) -> str:
        """The same for each attempt to tell this step of this alert, for good: 32 hex digits. Each repeat and each revision is a step of
        its own."""
        step = f"{self.tells}@{self.at_us}" if self.tells in (Tells.REPEAT, Tells.REVISED) else str(self.tells)
        return blake2b(json.dumps([self.rule, self.key, self.fire, step]).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one channel: one alert or a group of them. Not yet handed over."""

    channel: str
    group: str
    """Messages of one group go out in order; ``rule=overheating`` and the like."""
    due_us: int
    """Wall clock; until then further items of the group join it."""
    items: tuple[Item, ...]
    """Those of the first ``LISTED_MAX`` alerts, in the order in which they came."""
    id: int | None = None
    """Its row in the outbox; None before it is stored."""
    others: int = 0
    """Further items that are counted and not listed."""
    created_us: int = 0
    """Wall clock at which its first item came."""
    attempts: int = 0
    """How often it could not be handed over."""
    last_item: int = 0
    """The newest item that it was read with: what comes later is not part of what is handed over."""
