"""The follower: one thread that scores each committed record, has what is unusual taken into incidents, and stores what it knows.

It is a follower with a place in the sequences of each stream, like the processor of rules: however far behind it is, nothing queues up
but what ring, store and lake hold anyway. A round is what has come since the last one; a rest comes before each, so that many records
are scored at once, and a longer one in a flood (``passing``). What is known and its places are stored together, after the incidents that
those records have opened: whatever ends the process, the next one scores the rest again, with the same scores.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from appliance.clock import Clock
from appliance.errors import ApplianceError, RetryLater
from appliance.hot.state import State
from appliance.hot.stream.followed import PastRows
from appliance.hybrid.analysis.live.passing import STEADY, Arrivals, pace, rest_s
from appliance.hybrid.analysis.live.shelf import Shelf
from appliance.hybrid.analysis.live.spending import Spending
from appliance.hybrid.analysis.live.waits import Waits
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid.analysis.sighting import Sighting
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.ladder import Ladder, Step
from appliance.records import fold

log = logging.getLogger(__name__)
T = TypeVar("T")
IDLE_S: Final = 0.5
TAKE_EVERY_NS: Final = 1_000_000_000
"""How often incidents are told how far event time has come where nothing is unusual."""
SAVE_EVERY_NS: Final = 900_000_000_000
"""How often what is known is stored while records come."""
SAVE_ROWS: Final = 2_000_000
"""Or sooner, after so many records: what is scored again after a kill in some seconds."""
SAVE_AGAIN_NS: Final = 60_000_000_000
"""But never more often than this, nor sooner after it could not be stored."""


class Takes(Protocol):
    """Incidents, as the follower needs them."""

    def take(self, sightings: Sequence[Sighting], now_us: int, *, seen: Mapping[str, int] | None = None) -> None:
        """One round."""

    def save(self, now_us: int) -> None:
        """Everything that was taken is durable when it returns. Raises ``RetryLater``."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the follower needs of the box."""

    state: Callable[[], State]
    past: PastRows
    clock: Clock
    ladder: Ladder
    spending: Spending
    step: Callable[[str], None]


@dataclass(slots=True)
class _Command:
    run: Callable[[], Any]
    future: Future[Any]


class Follower:
    """See the module. ``start`` begins to follow; ``stop`` ends after the round under way, with everything stored."""

    def __init__(self, around: Around, shelf: Shelf, incidents: Takes, *, queue_max: int) -> None:
        self.queue_max = queue_max
        self.watches: dict[str, Watch] = {}
        """By name; whoever is not the follower's thread looks at the names alone."""
        self.failed: str | None = None
        """Why nothing is scored any more."""
        self.unsaved: str | None = None
        """Why what is known can't be stored at the moment."""
        self.passed_us: int | None = None
        """When records were last passed over."""
        self._a, self._shelf, self._incidents = around, shelf, incidents
        self._commands: deque[_Command] = deque()
        self._wake, self._called = threading.Event(), threading.Event()
        self._since_ns: dict[str, int] = {}
        """When the oldest records were committed that no round has seen yet, by folded name of the stream."""
        self._waits = Waits()
        self._saved: dict[str, tuple[int, int]] = {}
        """When each watch was last stored, monotonic, and how many records it had scored by then."""
        self._taken_ns = 0
        self._arrivals, self._pace = Arrivals(), STEADY
        self._has_ended = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self, timeout_s: float = 60.0) -> None:
        """Ends after the round under way. Blocks."""
        self._stopping = True
        self._called.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._refuse()

    def committed_records(self, counts: Mapping[str, int]) -> None:
        """The door's word of a commit; returns at once."""
        now_ns = self._a.clock.monotonic_ns()
        for stream in counts:
            self._since_ns.setdefault(fold(stream), now_ns)
        self._wake.set()

    def call(self, run: Callable[[], T]) -> Future[T]:
        """Runs something between two rounds. What it raises is the future's; ``RetryLater`` where the follower has ended."""
        command = _Command(run, Future())
        command.future.set_running_or_notify_cancel()
        self._commands.append(command)
        self._called.set()
        self._wake.set()
        if self._stopping or self._has_ended:
            self._refuse()
        return command.future

    def configure(self, analyses: Mapping[str, AnalysisOptions], *, queue_max: int) -> Future[None]:
        """From now on these; the future is done when they are in force."""

        def run() -> None:
            self.queue_max = queue_max
            self._configure(analyses)

        return self.call(run)

    def behind_s(self, stream: str) -> float:
        """How long the oldest record of a stream that is not scored has waited; from any thread."""
        key = fold(stream)
        since_ns = self._waits.oldest(key) or self._since_ns.get(key)
        return 0.0 if since_ns is None else max(0, self._a.clock.monotonic_ns() - since_ns) / 1e9

    # --- the thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        waits, rest = False, 0.0
        try:
            while not self._stopping:
                self._wake.wait(IDLE_S)
                self._called.wait(rest)
                self._wake.clear()
                self._called.clear()
                start_ns = self._a.clock.monotonic_ns()
                waits = self._round(waits)
                rest = rest_s((self._a.clock.monotonic_ns() - start_ns) / 1e9, self._pace.rests)
                if waits:
                    self._wake.set()
            for watch in self.watches.values():
                self._save(watch)
        except Exception as e:
            log.exception("the analysis of records has failed; nothing is scored until the next start")
            self.failed = f"it has failed ({type(e).__name__}: {e}); see the log"
        finally:
            self._has_ended = True
            self._refuse()

    def _round(self, waits: bool) -> bool:
        """What is there by now, for each analysis; whether more waits, as some did before (``waits``)."""
        while self._commands:
            command = self._commands.popleft()
            try:
                command.future.set_result(command.run())
            except ApplianceError as e:
                command.future.set_exception(e)
        since = {key: at for key in tuple(self._since_ns) if (at := self._since_ns.pop(key, None)) is not None}
        state = self._a.state()  # after that: what it holds is at least as old as is said
        for key, at in since.items():
            if key in state.streams:
                self._waits.note(key, state.streams[key].last_seq, at)
        count = sum(stream.last_seq for stream in state.streams.values())
        self._pace = pace(self._arrivals.per_s(count, self._a.clock.monotonic_ns()), waits=waits)
        if self._a.ladder.step >= Step.ANALYSIS_SHED:
            for watch in self.watches.values():
                self._take_up(watch, state)
            return False
        for watch in tuple(self.watches.values()):
            self._follow(watch, state)
        self._waits.forget({key: self._scored_to(key, stream.last_seq) for key, stream in state.streams.items()})
        return any(rows > 0 for watch in self.watches.values() for rows in watch.waiting(state).values())

    def _scored_to(self, key: str, last_seq: int) -> int:
        """Up to which sequence everybody who follows a stream has scored it."""
        return min((watch.streams[key].seq for watch in self.watches.values() if key in watch.streams), default=last_seq)

    def _follow(self, watch: Watch, state: State) -> None:
        scored, end_ns = watch.scored, self._a.clock.monotonic_ns() + int(self._pace.round_s_max * 1e9)
        self._take_up(watch, state)
        passed = watch.pass_over(state, self.queue_max)
        if passed:
            self.passed_us = self._a.clock.now_us()
            log.warning("the analysis %s has passed over %d records: more than %d waited", watch.name, passed, self.queue_max)
        seen: dict[str, int] = {}
        begun = {key: followed.seq for key, followed in watch.streams.items()}
        for part in watch.round(state, self._a.past, now_us=self._a.clock.now_us(), now_ns=self._a.clock.monotonic_ns()):
            now_ns = self._a.clock.monotonic_ns()
            waits = {key: at for key in part.rows if (at := self._waits.since(key, begun.get(key, 0))) is not None}
            for key, rows in part.rows.items():
                self._a.spending.note_scored(watch.name, rows, now_ns - waits[key] if key in waits else None)
                begun[key] = watch.streams[key].seq if key in watch.streams else 0
            seen |= part.seen
            if part.sightings:
                self._take(watch, part.sightings, seen, min(waits.values(), default=None))
                seen = {}
            if self._stopping or self._a.clock.monotonic_ns() >= end_ns:
                break
        self._a.step("analysis.scored")
        now_ns = self._a.clock.monotonic_ns()
        if seen or now_ns - self._taken_ns >= TAKE_EVERY_NS:
            self._take(watch, (), seen, None)
        self._a.spending.note_round(watch.name, watch.scored - scored)
        self._save_if_due(watch, now_ns)

    def _take_up(self, watch: Watch, state: State) -> None:
        """The streams that there are; where it begins in the middle of one is stored before anything of it is scored."""
        if watch.take_up(state):
            self._save(watch)

    def _take(self, watch: Watch, sightings: Sequence[Sighting], seen: Mapping[str, int], since_ns: int | None) -> None:
        self._taken_ns = self._a.clock.monotonic_ns()
        self._incidents.take(sightings, self._a.clock.now_us(), seen=seen)
        if since_ns is not None:
            self._a.spending.note_told(watch.name, self._a.clock.monotonic_ns() - since_ns)

    # --- what is known ----------------------------------------------------------------------------------------------------

    def _configure(self, analyses: Mapping[str, AnalysisOptions]) -> None:
        state = self._a.state()
        for name in self.watches.keys() - analyses.keys():
            del self.watches[name]
        for name, options in analyses.items():
            watch = self.watches.get(name)
            if watch is None:
                watch = self.watches[name] = self._shelf.load(name, options)
                had = watch.has_begun
                watch.take_up(state)
                self._saved[name] = (self._a.clock.monotonic_ns(), 0)
                if not had:
                    self._save(watch)
            else:
                watch.configure(options)
        self._tidy(analyses)

    def _tidy(self, names: Iterable[str]) -> None:
        try:
            self._shelf.keep_only(tuple(names))
        except RetryLater as e:
            log.warning("what was learned for analyses that are gone can't be removed now: %s", e)

    def _save_if_due(self, watch: Watch, now_ns: int) -> None:
        saved_ns, scored = self._saved.get(watch.name, (0, 0))
        rows = watch.scored - scored
        is_due = watch.wants_storing or (rows and (now_ns - saved_ns >= SAVE_EVERY_NS or rows >= SAVE_ROWS))
        if is_due and now_ns - saved_ns >= SAVE_AGAIN_NS:
            self._save(watch)

    def _save(self, watch: Watch) -> None:
        """What it knows, after the incidents that it has led to. What can't be stored now is stored later."""
        self._saved[watch.name] = (self._a.clock.monotonic_ns(), watch.scored)
        try:
            self._incidents.save(self._a.clock.now_us())
            self._shelf.save(watch)
        except RetryLater as e:
            if self.unsaved is None:
                log.warning("what the analysis %s has learned can't be stored now: %s", watch.name, e)
            self.unsaved = str(e)
        else:
            self.unsaved, watch.wants_storing = None, False

    def _refuse(self) -> None:
        while self._commands:
            command = self._commands.popleft()
            command.future.set_exception(RetryLater("the analysis is stopping; try again when it has started", after_s=2))
