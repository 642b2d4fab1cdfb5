"""What waits for one channel, and what goes next. No thread, no clock, no I/O: every call says what time it is.

In order within a group; a group whose message failed holds nobody else back. Between groups the gravest goes first, then the oldest.
What waits in one group goes together, up to ``ITEMS_LISTED_MAX`` alerts. What has been tried goes again as it was, with the same key,
unless all that it tells is over meanwhile: then it and its end are one message.

Bounded: ``messages_max`` in memory. What comes beyond stays in the store, and is fetched from there in the order of ids when there is room.
Waiting is counted on the monotonic clock, so that a step of the wall clock neither wakes nor kills anything; what was before the message
came here (its age, the rest of its group's wait) is taken from the wall clock, once.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from appliance.clock import US_PER_S
from appliance.hot.alerts.values import Message
from appliance.notify.channel import Undelivered
from appliance.notify.folding import combined, folded, is_over
from appliance.notify.pace import Rate, backoff_s
from appliance.notify.titles import ITEMS_LISTED_MAX, rank
from appliance.units import show_duration
from appliance.workload_options import NotifyOptions

MESSAGES_MAX: Final = 1_000
LOOK_S_MAX: Final = 5.0
"""Whatever is due, the wall clock is looked at again after this time: it may have been set."""
AGAIN_S_MAX: Final = 3_600.0
"""What had failed before the start is tried again after this time at the latest, whatever the wall clock says."""
_NS: Final = 1_000_000_000
_NEVER: Final = 2**63
_DOWN_AFTER: Final = 3
"""Failures in a row after which the channel counts as down: the first success then sends everybody at once."""


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on both clocks."""

    us: int
    """Wall."""
    ns: int
    """Monotonic."""


class _Waiting:
    """A message, and what of it is looked at time and again."""

    __slots__ = ("came", "due_ns", "id", "message", "rank", "since_ns")

    def __init__(self, message: Message, came: Now) -> None:
        assert message.id is not None
        self.id = message.id
        self.came = came
        self.renew(message)

    def renew(self, message: Message) -> None:
        """What it has become."""
        self.message = message
        self.rank = max((rank(item.severity) for item in message.items), default=-1)
        self.due_ns = self.came.ns + max(0, message.due_us - self.came.us) * 1000
        # What has failed before is due at its next try: its age counts from when it was made.
        made_us = int(getattr(message, "created_us", 0)) if self.attempts else 0
        self.since_ns = self.came.ns + ((made_us or message.due_us) - self.came.us) * 1000

    @property
    def attempts(self) -> int:
        """How often it had failed when it was stored."""
        return int(getattr(self.message, "attempts", 0))

    def is_due(self, now: Now) -> bool:
        return self.due_ns <= now.ns or now.us >= self.message.due_us


@dataclass(slots=True)
class _Group:
    waiting: list[_Waiting] = field(default_factory=list)
    """By id; never empty."""
    tried: int = 0
    """How many at the front went together in the newest attempt; 0: none has been tried."""
    attempts: int = 0
    next_ns: int = 0
    reason: str = ""
    is_unanswered: bool = False
    going: int = 0
    """How many at the front are under way."""

    def begin_anew(self) -> None:
        """What is at the front now has not been tried."""
        self.tried, self.attempts, self.next_ns, self.reason, self.is_unanswered, self.going = 0, 0, 0, "", False, 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What goes now, as one message."""

    messages: tuple[Message, ...]
    """As they are at this moment; of one group, in the order of their ids."""
    message: Message
    """All of them as one."""


@dataclass(frozen=True, slots=True)
class Dead:
    """What goes no more."""

    messages: tuple[Message, ...]
    reason: str
    age_max_us: int | None = None
    """What joined them less than this ago does not die with them; None: all of it does."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing goes for this time; None: until something comes."""

    seconds: float | None


class Lane:
    """The queue of one channel. One owner: the channel's worker, under its lock."""

    def __init__(self, random: Random, *, messages_max: int = MESSAGES_MAX) -> None:
        self._random = random
        self.messages_max = messages_max
        self._groups: dict[str, _Group] = {}
        self._known: dict[int, _Waiting] = {}
        self._again: set[int] = set()
        """Messages that were stored anew while they were under way or after: the store says what is left of them."""
        self._rate = Rate(1)
        self._held_ns = 0
        """The other side wants to hear nothing before then."""
        self._failures = 0
        self._since_ns = _NEVER
        """Nothing that waits is older."""
        self.last_id = 0
        """All messages up to this one are here, or done with."""
        self.is_behind = True
        """The store may hold messages that are not here."""
        self._was_left = False
        """Whether something was left to the store since the newest fetch began."""

    def __len__(self) -> int:
        return len(self._known)

    @property
    def room(self) -> int:
        """How many more may come."""
        return self.messages_max - len(self._known)

    def wants(self) -> int:
        """How many to fetch from the store now; 0: none. What is put from here on and left to the store will be asked for again."""
        if not self.is_behind or self.room * 2 < self.messages_max:
            return 0
        self._was_left = False
        return self.room

    def again(self) -> list[int]:
        """The ids of messages to be read from the store again; asked between two bundles, when the store knows what became of them."""
        ids = sorted(self._again)
        self._again.clear()
        return ids

    def ask_again(self, ids: Iterable[int]) -> None:
        """They could not be read."""
        self._again.update(ids)

    def put(self, messages: Iterable[Message], now: Now) -> None:
        """What was stored, in the order of ids. New ones come to the end; while the lane is behind they stay in the store. One that waits
        here is replaced by what it has become; one that is under way, or was, is to be read ``again``."""
        for message in messages:
            assert message.id is not None
            waiting = self._known.get(message.id)
            if waiting is not None and not self._is_going(waiting):
                self._renew(waiting, message)
            elif message.id <= self.last_id:
                self._again.add(message.id)
            elif self.is_behind or not self.room:
                self.is_behind = self._was_left = True
            else:
                self._add(message, now)

    def restore(self, message: Message, now: Now) -> None:
        """What the store has for one of ``again``."""
        assert message.id is not None
        waiting = self._known.get(message.id)
        if waiting is not None:
            self._renew(waiting, message)
        else:
            self._add(message, now)

    def catch_up(self, fetched: Sequence[Message], *, is_all: bool, now: Now) -> None:
        """What the store has above ``last_id``; ``is_all``: it had no more."""
        for message in fetched:
            if message.id is not None and message.id > self.last_id:
                self._add(message, now)
        self.is_behind = not is_all or self._was_left

    def next(self, options: NotifyOptions, now: Now) -> Bundle | Dead | Pause:
        """What to do now. A bundle stays here until ``delivered`` or ``failed`` says what became of it."""
        self._rate.rate_max = options.rate_max
        dead = self._too_old(options, now)
        if dead is not None:
            self._settle(dead.messages)
            return dead
        ready = [group for group in self._groups.values() if group.next_ns <= now.ns and (group.waiting[0].is_due(now) or group.tried > 0)]
        gate_ns = max(self._held_ns, self._rate.free_ns(now.ns))
        if ready and gate_ns <= now.ns:
            return self._bundle(min(ready, key=_weight), now)
        return Pause(self._pause_s(options, now, gate_ns if ready else None))

    def delivered(self, bundle: Bundle, now: Now) -> None:
        """It is there."""
        self._rate.use(now.ns)
        if self._failures >= _DOWN_AFTER:
            for group in self._groups.values():
                group.next_ns = now.ns if group.is_unanswered else group.next_ns
        self._failures = 0
        self._settle(bundle.messages)

    def failed(self, bundle: Bundle, failure: Undelivered, now: Now) -> int | None:
        """It is not there. The monotonic time of the next attempt; None: there is none, the messages are gone from here."""
        if failure.answered:
            self._rate.use(now.ns)
        if not failure.retry:
            self._settle(bundle.messages)
            return None
        self._failures += 1
        group = self._groups[bundle.message.group]
        group.going = 0
        group.tried = len(bundle.messages)
        group.attempts += 1
        group.reason = failure.reason
        group.is_unanswered = not failure.answered
        if failure.after_s is not None:
            self._held_ns = group.next_ns = now.ns + int(failure.after_s * _NS)
        else:
            group.next_ns = now.ns + int(backoff_s(group.attempts, self._random) * _NS)
        return group.next_ns

    def clear(self) -> tuple[Message, ...]:
        """All that is here; it is gone afterwards."""
        messages = tuple(waiting.message for waiting in self._known.values())
        self._settle(messages)
        return messages

    def is_limited(self, now: Now) -> bool:
        """Whether something waits for nothing but the rate."""
        return bool(self._known) and self._rate.free_ns(now.ns) > now.ns

    def _add(self, message: Message, now: Now) -> None:
        assert message.id is not None
        waiting = _Waiting(message, now)
        self._since_ns = min(self._since_ns, waiting.since_ns)
        self._known[message.id] = waiting
        self.last_id = max(self.last_id, message.id)
        group = self._groups.get(message.group)
        if group is None:
            next_ns = min(waiting.due_ns, now.ns + int(AGAIN_S_MAX * _NS)) if waiting.attempts else 0
            self._groups[message.group] = _Group([waiting], tried=min(waiting.attempts, 1), attempts=waiting.attempts, next_ns=next_ns)
        else:
            insort(group.waiting, waiting, lo=max(group.tried, group.going), key=lambda one: one.id)

    def _renew(self, waiting: _Waiting, message: Message) -> None:
        if int(getattr(message, "last_item", 0)) >= int(getattr(waiting.message, "last_item", 0)):
            waiting.renew(message)
            self._since_ns = min(self._since_ns, waiting.since_ns)

    def _is_going(self, waiting: _Waiting) -> bool:
        group = self._groups[waiting.message.group]
        return waiting in group.waiting[: group.going]

    def _settle(self, messages: Iterable[Message]) -> None:
        """These are done with. A group begins anew when nothing is left of what was tried."""
        for message in messages:
            assert message.id is not None
            waiting = self._known.pop(message.id)
            group = self._groups[message.group]
            group.tried -= waiting in group.waiting[: group.tried]
            group.waiting.remove(waiting)
            if not group.tried:
                group.begin_anew()
            if not group.waiting:
                del self._groups[message.group]

    def _too_old(self, options: NotifyOptions, now: Now) -> Dead | None:
        born_ns = now.ns - int(options.age_max_s * _NS)
        if self._since_ns > born_ns:
            return None
        for group in self._groups.values():
            old = tuple(one.message for one in group.waiting if one.since_ns <= born_ns)
            if old:
                why = f"; the last attempt: {group.reason}" if group.reason else ""
                reason = f"not handed over within {show_duration(options.age_max_s)} (age_max){why}"
                return Dead(old, reason, int(options.age_max_s * US_PER_S))
        self._since_ns = min((one.since_ns for one in self._known.values()), default=_NEVER)
        return None

    def _bundle(self, group: _Group, now: Now) -> Bundle:
        front = [one.message for one in group.waiting[: group.tried]]
        later = [one.message for one in group.waiting[group.tried :] if one.is_due(now)]
        if front and is_over(combined(front), later):
            group.tried = 0
        taken = front if group.tried else _together(group.waiting, now)
        group.going = len(taken)
        return Bundle(tuple(taken), combined(taken))

    def _pause_s(self, options: NotifyOptions, now: Now, gate_ns: int | None) -> float | None:
        if not self._known:
            return None
        moments = [max(group.next_ns, 0 if group.tried else group.waiting[0].due_ns, self._held_ns) for group in self._groups.values()]
        moments.append(self._since_ns + int(options.age_max_s * _NS))
        if gate_ns is not None:
            moments.append(gate_ns)
        ahead = min((moment for moment in moments if moment > now.ns), default=_NEVER)
        return min((ahead - now.ns) / _NS, LOOK_S_MAX)


def _weight(group: _Group) -> tuple[int, int]:
    head = group.waiting[0]
    return -head.rank, head.id


def _together(waiting: Sequence[_Waiting], now: Now) -> Sequence[Message]:
    """The first and what follows it, as long as it is due and all can be listed."""
    taken = [waiting[0].message]
    items = folded(waiting[0].message.items)
    for one in waiting[1:]:
        items = folded([*items, *one.message.items])
        if not one.is_due(now) or len(items) > ITEMS_LISTED_MAX:
            break
        taken.append(one.message)
    return taken
