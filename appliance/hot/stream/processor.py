"""The processor: one thread that follows committed records, evaluates every rule, and has what follows from it committed.

It owns the plans and the book of alerts; others hand it commands and await them. It is a follower with a place in the sequences of
each stream: however far behind it is, nothing queues up but what the ring, the store and the lake hold anyway. Signals become
a plan, the plan becomes true in one transaction of the writer, and only then is anybody told.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from appliance.clock import US_PER_DAY, US_PER_S, Clock
from appliance.errors import ApplianceError, RetryLater
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.plan import Place, Plan
from appliance.hot.state import State, StreamState
from appliance.hot.stream.applying import apply
from appliance.hot.stream.closed_sessions import ClosedSessions
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.followed import Alerts, Bodies, Followed, Rules, take_up_joins
from appliance.hot.stream.joins import fed
from appliance.hot.stream.resting import Rests
from appliance.hot.stream.round_meter import RoundMeter
from appliance.hot.stream.values import Key, Rows
from appliance.records import Receipt, Submission, fold

log = logging.getLogger(__name__)
T = TypeVar("T")
PLACES_EVERY_NS: Final = 5_000_000_000
"""How often the places are stored when nothing else is: what was evaluated since is evaluated again after a crash."""
SESSIONS_EVERY_NS: Final = 1_000_000_000
"""The same where there are sessions, which people look at in the store."""
TOUCHED_MAX: Final = 500
"""Alerts that change in one round before it is stored: of ten thousand at once the first are told while the others are still evaluated."""
IDLE_S: Final = 0.25
"""How often time alone is looked at while nothing arrives."""
RETRY_S: Final = 1.0
SessionBody = tuple[str, Key, str]
"""Workload, key, and the state of its sessions."""
S = TypeVar("S")


@dataclass(slots=True)
class _Command:
    run: Callable[[Draft], Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Done(Generic[S]):
    """One round that has become true; ``stored`` is what the writer says of it."""

    plan: Plan
    stored: S
    since_ns: int | None
    """Monotonic time at which the oldest record of the round was committed; None where no record caused it."""


class Processor(Generic[S]):
    """See the module. ``start`` begins to follow; ``stop`` ends after the round under way."""

    def __init__(
        self,
        *,
        book: AlertBook,
        places: Mapping[int, Place],
        clock: Clock,
        state: Callable[[], State],
        write: Callable[[Plan, Sequence[SessionBody]], Future[S]],
        submit: Callable[[Submission], Future[Receipt]],
        bodies: Bodies,
        on_done: Callable[[Done[S]], None],
        step: Callable[[str], None],
        meter: RoundMeter | None = None,
    ) -> None:
        """``write`` has a plan, and sessions as they are now, stored by the writer in one transaction; ``submit`` hands closed sessions to
        the door; ``bodies`` are the sessions as they were stored last, by workload and key. ``on_done`` is told each plan that was
        stored, in this thread, and must return at once; ``step`` is told each named step, for tests that stop there."""
        self.book = book
        self.places = dict(places)
        self._clock = clock
        self._state = state
        self._write = write
        self._bodies = {name: dict(of) for name, of in bodies.items()}
        self._unsaved: list[SessionBody] = []
        self._closed = ClosedSessions(submit)
        self._on_done = on_done
        self._step = step
        self._rules: Rules | None = None
        self._shape: tuple[tuple[str, int], ...] | None = None
        self._fresh: set[str] = set()
        """Rules that have never been evaluated, or not as they are now: they look at how things stand when their stream is taken up."""
        self._followed: dict[str, Followed] = {}
        self._commands: deque[_Command] = deque()
        self._wake = threading.Event()
        self._rests = Rests()
        self._stopping = False
        self._has_ended = False
        self._forgot_us = clock.now_us()
        self._saved_ns = 0
        self._started_ns, self._started_us = clock.monotonic_ns(), clock.now_us()
        self._thread = threading.Thread(target=self._run, name="processor", daemon=True)
        self.meter = meter or RoundMeter(clock)
        self.since_ns: dict[str, int] = {}
        """When the oldest records were committed that have not been evaluated yet, by folded name of the stream."""
        self.aside: dict[str, str] = {}
        """Streams that can't be evaluated, by folded name, and why."""
        self.failed: str | None = None
        """Why rounds can't be stored at the moment."""
        self.rounds = 0

    @property
    def followed(self) -> Mapping[str, Followed]:
        """The streams that are evaluated, by folded name."""
        return self._followed

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Ends after the round under way, with the places stored."""
        self._stopping = True
        self._rests.call()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._refuse()

    def committed_records(self, counts: Mapping[str, int]) -> None:
        """The door's word of a commit; returns at once."""
        now_ns = self._clock.monotonic_ns()
        for stream in counts:
            key = fold(stream)
            if key in self._followed:
                self.since_ns.setdefault(key, now_ns)
        self._wake.set()

    def call(self, run: Callable[[Draft], T]) -> Future[T]:
        """Runs something on the draft of the next round; the future is done when that is stored. Its ``UsageRefused`` is the future's."""
        command = _Command(run, Future())
        command.future.set_running_or_notify_cancel()
        self._commands.append(command)
        self._rests.call()
        self._wake.set()
        if self._stopping or self._has_ended:
            self._refuse()
        return command.future

    def configure(self, rules: Rules) -> Future[None]:
        """Another config: plans are made anew from the records; the future is done when what it ends and changes is stored."""

        def run(draft: Draft) -> None:
            self._configure(draft, self._state(), rules)

        return self.call(run)

    # --- the thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._rests.wait(self._wake, self._pause_s())
                self._round()
            self._save_places()
        except Exception:
            log.exception("the stream processor has failed; alerts are not evaluated until the next start")
            self.failed = "it has failed; see the log"
        finally:
            self._has_ended = True
            self._refuse()

    def _pause_s(self) -> float:
        wake_us = self.book.next_wake_us()
        until = IDLE_S if wake_us is None else (wake_us - self._clock.now_us()) / US_PER_S
        return min(max(until, 0.0), IDLE_S)

    def _round(self) -> None:
        """Everything that is there by now, as one plan; when there is more than fits, the next round follows at once."""
        draft = Draft(self.book, now_us=self._clock.now_us())
        if draft.now_us - self._forgot_us > US_PER_DAY:
            self._forgot_us = draft.now_us
            draft.forget()
        commands = self._run_commands(draft)
        state = self._state()
        if not commands and self._rules is not None and self._rules.shape(state) != self._shape:
            self._configure(draft, state)
        elif not commands:
            start_ns, before = self._clock.monotonic_ns(), _waiting(state, self._followed)
            for key, followed in tuple(self._followed.items()):
                with self._guarded(draft, followed):
                    self._follow(draft, followed, state.streams.get(key))
            self._join(draft)
            self._closed.hand_in(s for f in self._followed.values() for s in f.take_submissions())
            self.rounds += 1
            rows = before - _waiting(state, self._followed) if len(draft.touched()) < TOUCHED_MAX else 0
            self._rests.after(rows, _waiting(self._state(), self._followed), took_ns=self._clock.monotonic_ns() - start_ns)
        self._finish(draft, commands)
        if commands or _waiting(state, self._followed):
            self._wake.set()

    def _follow(self, draft: Draft, followed: Followed, stream: StreamState | None) -> None:
        """What has come of a stream, in pieces until there is enough to be told; nothing: what time alone does."""
        before = followed.seq
        for rows in followed.pieces(stream) if stream is not None else ():
            touched = len(draft.touched())
            self._take(draft, followed, rows)
            followed.suit(len(rows), alerts=len(draft.touched()) - touched)
            if len(draft.touched()) >= TOUCHED_MAX:
                break
        if followed.seq == before:
            self._idle(draft, followed)

    @contextmanager
    def _guarded(self, draft: Draft, followed: Followed) -> Iterator[None]:
        """A stream whose evaluation fails is set aside until the next config, and the others go on."""
        try:
            yield
        except Exception as e:
            log.exception("the stream %s can't be evaluated; its rules wait until the next reload", followed.name)
            reason = f"its evaluation has failed ({type(e).__name__}: {e}); see the log, mend it and reload"
            self.aside[followed.name] = reason
            self._followed.pop(followed.name, None)
            self.since_ns.pop(followed.name, None)
            known_us = followed.plan.clock.watermark_us
            draft.set_aside(followed.plan.rules, reason, at_us=known_us if known_us != NEVER else draft.now_us)

    def _join(self, draft: Draft) -> None:
        """Rules between two streams, once both have been taken."""
        for followed in tuple(self._followed.values()):
            with self._guarded(draft, followed):
                for join in followed.plan.joins:
                    signals = join.round(followed.plan.clock.watermark_us)
                    if signals:
                        apply(draft, followed.plan, followed.name, signals)

    def _configure(self, draft: Draft, state: State, rules: Rules | None = None) -> None:
        """Tells the draft of the rules (None: those of before) as they are for the streams that there are, and takes those streams up from
        their places."""
        self._rules = rules or self._rules
        assert self._rules is not None
        facts = self._rules.facts(state)
        known = self.book.known
        self._fresh |= {n for n, f in facts.items() if n not in known or (known[n].condition, known[n].by) != (f.condition, f.by)}
        sessions = self._rules.session_names
        draft.configure(facts, self._rules.channels, sessions)
        now_us, now_ns = self._clock.now_us(), self._clock.monotonic_ns()
        before = {f.stream_id: f.place(now_us=now_us) for f in self._followed.values()}
        self._take_sessions()
        self._followed, self.aside = {}, {}
        had, self._shape = self._shape, self._rules.shape(state)
        alerts = Alerts(self.book, facts)
        for key, stream in state.streams.items():
            made = self._rules.follow(stream, state)
            if made is None:
                continue
            place = before.get(stream.id) or self.places.get(stream.id)
            is_known = any(n in known and sessions.get(n, known[n]) == known[n] for n in made.names)
            is_new = place is None and (is_known or (had is not None and rules is None and key not in {name for name, _ in had}))
            if is_new:  # the rules were there before the stream: every record of it counts
                place = Place(stream.id, 0, NEVER, NEVER, now_us)
                self._fresh -= set(made.plan.rules)
            times = {"started_ns": self._started_ns, "now_us": now_us, "now_ns": now_ns}
            self._followed[key] = made
            with self._guarded(draft, made):
                made.begin(stream, alerts, place, self._bodies, **times)
        take_up_joins(self._followed.values(), alerts)
        for made in self._followed.values():
            fresh = self._fresh & set(made.plan.rules)
            if fresh:
                self._fresh -= fresh
                apply(draft, made.plan, made.name, made.current(fresh))

    def _take(self, draft: Draft, followed: Followed, rows: Rows) -> None:
        start_ns = self._clock.monotonic_ns()
        signals = followed.take(rows, now_us=self._clock.now_us(), now_ns=start_ns)
        apply(draft, followed.plan, followed.name, signals, waiting_since_us=self._waiting_since(followed))
        for other in self._followed.values():
            for join in fed(other.plan.joins, followed.name):
                join.add(followed.name, followed.plan.timely(rows, now_us=self._clock.now_us(), now_ns=start_ns))
        end_ns = self._clock.monotonic_ns()
        followed.cost.add(end_ns - start_ns, at_ns=end_ns)

    def _idle(self, draft: Draft, followed: Followed) -> None:
        signals = followed.idle(now_ns=self._clock.monotonic_ns())
        if signals or followed.has_timer(self.book):
            apply(draft, followed.plan, followed.name, signals, waiting_since_us=self._waiting_since(followed))

    def _waiting_since(self, followed: Followed) -> int | None:
        """While the grace after the start lasts, the wall clock at the start."""
        return self._started_us if self._clock.monotonic_ns() < followed.plan.silence_from_ns else None

    def _run_commands(self, draft: Draft) -> list[tuple[_Command, Any]]:
        done: list[tuple[_Command, Any]] = []
        while self._commands:
            command = self._commands.popleft()
            try:
                done.append((command, command.run(draft)))
            except ApplianceError as e:
                command.future.set_exception(e)
        return done

    def _finish(self, draft: Draft, commands: list[tuple[_Command, Any]]) -> None:
        """The draft as a plan, stored and made true; then whoever waits is answered."""
        since_ns = self._take_since()
        self._step("alerts.evaluated")
        places = tuple(f.place(now_us=self._clock.now_us()) for f in self._followed.values())
        has_moved = any(p.stream_id not in self.places or self.places[p.stream_id].seq != p.seq for p in places)
        plan = draft.finish(places)
        now_ns = self._clock.monotonic_ns()
        has_sessions = any(f.plan.sessions for f in self._followed.values())
        is_due = (has_moved or has_sessions) and now_ns - self._saved_ns >= (SESSIONS_EVERY_NS if has_sessions else PLACES_EVERY_NS)
        if plan.is_empty and plan.rules is None and not is_due:
            self.book.accept(plan)
            self._answer(commands)
            return
        self._take_sessions()
        stored = self._store(plan) if self._closed.settle(self._retry) else None
        if stored is None:
            self._give_up(commands)
            return
        self._unsaved = []
        self._saved_ns = self._clock.monotonic_ns()
        self.meter.note_committed(plan, since_ns, self._saved_ns)
        self.book.accept(plan)
        self.places.update({p.stream_id: p for p in plan.places})
        self._step("alerts.durable")
        self._on_done(Done(plan, stored, since_ns))
        self._answer(commands)

    def _take_sessions(self) -> None:
        """Sessions as they are at the places that are about to be stored."""
        for followed in self._followed.values():
            found = followed.session_bodies()
            self._unsaved += found
            for workload, key, body in found:
                self._bodies.setdefault(workload, {})[key] = body

    def _retry(self) -> bool:
        """Waits for a while; False when the process ends instead."""
        if not self._stopping:
            self._wake.wait(RETRY_S)
        return not self._stopping

    def _take_since(self) -> int | None:
        """When the oldest of the records of this round was committed."""
        waiting = {key: self.since_ns.pop(key) for key in tuple(self.since_ns) if key in self._followed}
        return self.meter.note_evaluated(waiting, self._followed)

    def _store(self, plan: Plan) -> S | None:
        """Until it is stored, however long the disk is full; None when the process ends before."""
        while True:
            try:
                stored = self._write(plan, self._unsaved).result()
            except RetryLater as e:
                if self.failed is None:
                    log.warning("alerts can't be stored at the moment: %s", e)
                self.failed = str(e)
                if not self._retry():
                    return None
            else:
                self.failed = None
                return stored

    def _save_places(self) -> None:
        self._saved_ns = -PLACES_EVERY_NS
        self._finish(Draft(self.book, now_us=self._clock.now_us()), [])

    def _answer(self, commands: list[tuple[_Command, Any]]) -> None:
        for command, result in commands:
            command.future.set_result(result)

    def _give_up(self, commands: list[tuple[_Command, Any]]) -> None:
        for command, _ in commands:
            command.future.set_exception(RetryLater("the appliance is stopping; try again when it has started", after_s=2))

    def _refuse(self) -> None:
        while self._commands:
            command = self._commands.popleft()
            command.future.set_exception(RetryLater("the stream processor is stopping; try again when it has started", after_s=2))


def _waiting(state: State, followed: Mapping[str, Followed]) -> int:
    """Records that have come and were not evaluated yet."""
    return sum(state.streams[key].last_seq - f.seq for key, f in followed.items() if key in state.streams)
