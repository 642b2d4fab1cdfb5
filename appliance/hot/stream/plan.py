"""All rules of one stream as one thing that takes records and gives signals. One owner, the processor's thread.

It is made anew when the rules or the columns change. It holds no truth: what it knows of the past comes from the records
themselves (``load``) and from the alerts that are stored (``settle``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from appliance.hot.series import SeriesTable
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.event_clock import EventClock, near
from appliance.hot.stream.expression import Scope
from appliance.hot.stream.gaps import Gaps
from appliance.hot.stream.joins import Join, make_join
from appliance.hot.stream.keyed import GapGroup, Keyed, ordered
from appliance.hot.stream.keys import KeySpace, hashes_of
from appliance.hot.stream.levels import NO_DEADLINE, Levels
from appliance.hot.stream.quiet import may_hold
from appliance.hot.stream.repeats import sent_before
from appliance.hot.stream.rules import BoundRule, ParsedRule, RuleRefused, bind, key_columns
from appliance.hot.stream.session_watch import ParsedSession, SessionWatch, make_session
from appliance.hot.stream.terms import RecordTerms
from appliance.hot.stream.values import I64, TRUE, Key, Mask, Rows, Signal, What
from appliance.hot.stream.watch import Found, Times, Watch, term_places
from appliance.hot.stream.window_groups import window_groups
from appliance.hot.stream.windowed import Past
from appliance.records import Schema, fold
from appliance.workload_options import AlertOptions

US: Final = 1_000_000
SENT_AGAIN_US: Final = 3_600 * US
"""Records that are older than the newest by more than this are not looked up to see whether they were sent before."""
ROUND_ROWS_MAX: Final = 131_072
"""Records that are read from the past at once."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a plan is told of the stream and the box."""

    lateness_us: int
    keys_max: int
    identity: tuple[str, ...] | None
    """The tags by which, with the time, two records are the same one; None: no two are."""
    baselines: Baselines
    past: Past
    """Reads records of the stream again, for late ones and repeats."""


@dataclass(slots=True)
class StreamPlan:
    """See the module."""

    schema: Schema
    options: PlanOptions
    clock: EventClock
    keyed: dict[tuple[str, ...], Keyed] = field(default_factory=dict)
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Rule -> the columns of its keys."""
    watches: dict[str, tuple[Keyed | Join, Watch]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Rules that can't be computed over the columns there are, and why."""
    sessions: list[SessionWatch] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    """Rules between this stream and another."""
    ahead: int = 0
    """Records from the future, which were not looked at."""
    silence_from_ns: int = 0
    """Monotonic time from which on silence counts: after a start what was sent meanwhile has to arrive first."""
    _series: SeriesTable = field(default_factory=SeriesTable.empty)
    _has_taken: bool = False

    def reach_us(self) -> int:
        """How far back records matter to the windows."""
        spans = [*(w.reach_us for k in self.keyed.values() for w in k.windows), *(s.reach_us for s in self.sessions if not s.is_restored)]
        return max(spans, default=0) + self.options.lateness_us

    # --- before the first round -------------------------------------------------------------------------------------------

    def know(self, latest: pa.RecordBatch, seqs: I64) -> None:
        """The last record of each series: which keys there are, and when each was heard last."""
        rows = Rows(latest, seqs)
        ts = rows.ts
        self._note_series(rows, ts)
        for keyed in self.keyed.values():
            keyed.know(rows, ts)

    def load(self, rows: Rows) -> None:
        """Records that were evaluated before: they fill the windows and give no signal."""
        ts = rows.ts
        if not len(ts):
            return
        times = Times(self.clock.take(ts, now_ns=0), self.clock.watermark_us)
        repeats = self._note_series(rows, ts)
        if repeats is not None:
            rows, times, repeats = self._without_repeats(rows, times, repeats)
        if not len(rows):
            return
        for keyed in self.keyed.values():
            keyed.load(rows, rows.ts, times, repeats)
        for session in self.sessions:
            if not session.is_restored:
                session.load(rows, times.before, repeats)

    def memory_us(self) -> int:
        """How far back it matters when a key was heard last."""
        gaps = (group.gaps.after_us for keyed in self.keyed.values() for group in keyed.gaps)
        return max((self.reach_us(), *gaps, *(s.tracker.gap_us for s in self.sessions)))

    def resume(self, watermark_us: int) -> None:
        """The records are loaded, and time had come so far: what that made of the windows has been told."""
        for keyed in self.keyed.values():
            for window in keyed.windows:
                window.table.advance(watermark_us)

    def settle(self, levels: Mapping[str, Mapping[Key, int]], silent: Mapping[str, Collection[Key]]) -> None:
        """Of alerts that are stored the levels, by rule and key, and the keys that are silent; a key that is not there yet gets its level
        when it comes."""
        for keyed in self.keyed.values():
            for group in keyed.gaps:
                ids = [keyed.keys.add(key) for rule in group.rules for key in silent.get(rule, ())]
                keyed.grow()
                group.gaps.silent[ids] = True
        for name, (source, watch) in self.watches.items():
            of_rule = levels.get(name, {})
            for key, level in of_rule.items():
                found = source.keys.find(key)
                if found is None:
                    source.expected.setdefault(key, {})[name] = level
                else:
                    source.grow()
                    watch.levels.put(found, level)

    def current(self, names: Collection[str], latest: Rows) -> list[Signal]:
        """What rules say of how things stand, for rules that have never been evaluated: what was true before they came is true."""
        wanted = set(names)
        found: list[Found] = []
        for keyed in self.keyed.values():
            found += keyed.current(wanted, latest, self.clock.watermark_us)
        return ordered(found)

    # --- rounds -----------------------------------------------------------------------------------------------------------

    def take(self, rows: Rows, *, now_us: int, now_ns: int) -> list[Signal]:
        """The signals of the next records, in the order of happening."""
        whole, rows = rows, self.timely(rows, now_us=now_us, now_ns=now_ns)
        self.ahead += len(whole) - len(rows)
        ts = rows.ts
        if not len(ts):
            return []
        self._has_taken = True
        counts = now_ns >= self.silence_from_ns
        times = Times(self.clock.take(ts, now_ns=now_ns), self.clock.watermark_us)
        repeats = self._note_series(rows, ts)
        if repeats is not None:
            rows, times, repeats = self._without_repeats(rows, times, repeats)
            ts = rows.ts
        found: list[Found] = []
        for keyed in self.keyed.values():
            found += keyed.take(rows, ts, times, repeats, silence_counts=counts) if len(rows) else ()
            found += keyed.advance(times, silence_counts=counts)
        for session in self.sessions:
            if len(rows):
                session.take(rows, times.before, repeats)
            session.advance(times.end_us)
        return ordered(found)

    def timely(self, rows: Rows, *, now_us: int, now_ns: int) -> Rows:
        """Without records from the future."""
        mask = near(rows.ts, now_us=self.clock.wall_us(now_us, now_ns))
        return rows if mask is None else Rows(rows.data.filter(pa.array(mask)), rows.seqs[mask])

    def idle(self, *, now_ns: int) -> list[Signal]:
        """What time alone does while nothing arrives. After a start it stands still until a record comes, or silence counts."""
        before = self.clock.watermark_us
        counts = now_ns >= self.silence_from_ns
        if not (counts or self._has_taken) or self.clock.idle(now_ns) == before:
            return []
        for session in self.sessions:
            session.advance(self.clock.watermark_us)
        times = Times(np.empty(0, np.int64), self.clock.watermark_us)
        return ordered([f for keyed in self.keyed.values() for f in keyed.advance(times, silence_counts=counts)])

    def set_deadline(self, rule: str, key: Key, due_us: int | None) -> None:
        """A pending alert is due to fire then; None: none is pending."""
        if rule in self.watches:
            keyed, watch = self.watches[rule]
            found = keyed.keys.find(key)
            if found is not None and watch.levels.waits:
                watch.levels.wait(found, NO_DEADLINE if due_us is None else due_us)

    def due(self) -> list[Signal]:
        """Pending alerts that a later record of their own has made due."""
        signals = []
        for name, (keyed, watch) in self.watches.items():
            if watch.levels.waits:
                for key in watch.levels.due().tolist():
                    at_us = int(watch.levels.true_us[key])
                    watch.levels.wait(key, NO_DEADLINE)
                    signals.append(Signal(name, keyed.keys.key(key), What.DUE, at_us, self.clock.watermark_us, None, TRUE))
        return signals

    def _without_repeats(self, rows: Rows, times: Times, repeats: Mask) -> tuple[Rows, Times, Mask | None]:
        """Without what was sent before as it is: a client that had no answer sends again, and that is no news to anybody.

        What is left of ``repeats`` are corrections, and records that are too old to be looked up.
        """
        assert self.options.identity is not None
        ts = rows.ts
        at = np.flatnonzero(repeats & (ts >= times.before + self.options.lateness_us - SENT_AGAIN_US))
        if not len(at):
            return rows, times, repeats
        past = self.options.past(int(ts[at].min()), int(ts[at].max()) + 1, int(rows.seqs[-1]))
        same, other = sent_before(rows.seqs[at], past, self.options.identity)
        repeats[at] = other
        if same.any():
            kept = np.ones(len(ts), np.bool_)
            kept[at[same]] = False
            rows, repeats = Rows(rows.data.filter(pa.array(kept)), rows.seqs[kept]), repeats[kept]
            times = Times(times.before[kept], times.end_us)
        return rows, times, repeats if repeats.any() else None

    def _note_series(self, rows: Rows, ts: I64) -> Mask | None:
        """Which records may be there already, because their series has been at their time; None when none may."""
        if self.options.identity is None:
            return None
        tags = [t for t in self.options.identity if t in rows.data.schema.names]
        repeats = self._series.follow(hashes_of(rows, tags), ts)
        return repeats if repeats.any() else None


def make_plan(schema: Schema, parsed: Sequence[ParsedRule], options: PlanOptions, sessions: Sequence[ParsedSession] = ()) -> StreamPlan:
    """A plan of all rules and sessions that can be computed; the others are in ``refused``."""
    plan = StreamPlan(schema, options, EventClock(options.lateness_us))
    bound: dict[tuple[str, ...], list[BoundRule]] = {}
    silent: dict[tuple[str, ...], list[ParsedRule]] = {}
    for rule in parsed:
        try:
            by = key_columns(rule.options.by, schema, f"workload.{rule.name}.by")
            if rule.when is not None and rule.options.join is None:
                bound.setdefault(by, []).append(bind(rule, schema))
        except RuleRefused as e:
            plan.refused[rule.name] = str(e)
            continue
        plan.rules[rule.name] = by
        silent.setdefault(by, []).append(rule)
    for session in sessions:
        try:
            plan.sessions.append(make_session(session, schema, keys_max=options.keys_max))
        except RuleRefused as e:
            plan.refused[session.name] = str(e)
    for by, rules in silent.items():
        plan.keyed[by] = _keyed(plan, by, bound.get(by, []))
        plan.keyed[by].gaps = _gap_groups(rules)
    return plan


def add_join(plan: StreamPlan, rule: ParsedRule, other: Schema) -> Join | None:
    """A rule between the stream of the plan and another one; one that can't be computed goes to ``refused``."""
    try:
        bound = bind(rule, plan.schema, joined=other)
        key_columns(bound.by, other, f"workload.{rule.name}.by")
        watch = Watch(bound, Levels(waits=rule.options.for_s > 0), gap_us(rule.options))
        join = make_join(bound, watch, keys_max=plan.options.keys_max)
    except RuleRefused as e:
        plan.refused[rule.name] = str(e)
        return None
    plan.joins.append(join)
    plan.watches[rule.name] = (join, watch)
    return join


def _keyed(plan: StreamPlan, by: tuple[str, ...], rules: Sequence[BoundRule]) -> Keyed:
    options, stream = plan.options, fold(plan.schema.stream)
    watches = {rule.name: Watch(rule, Levels(waits=rule.parsed.options.for_s > 0), gap_us(rule.parsed.options)) for rule in rules}
    records = [watches[r.name] for r in rules if r.scope is Scope.RECORD]
    keys = KeySpace(by, options.keys_max)
    terms = RecordTerms(term_places([w.rule for w in records]), keys, options.baselines, stream, by)
    for watch in records:
        assert watch.rule.parsed.when is not None
        watch.may_hold = may_hold(watch.rule.parsed.when, {t: place for place, t in enumerate(terms.terms)})
    keyed = Keyed(by, keys, options.lateness_us, terms, records)
    keyed.windows = window_groups(
        [watches[r.name] for r in rules if r.scope is Scope.WINDOW],
        keys,
        by,
        stream=stream,
        baselines=options.baselines,
        past=options.past,
        lateness_us=options.lateness_us,
        tags=options.identity,
        batches=keyed.batches,
    )
    plan.watches.update({name: (keyed, watch) for name, watch in watches.items()})
    return keyed


def _gap_groups(rules: Sequence[ParsedRule]) -> list[GapGroup]:
    groups: dict[int, GapGroup] = {}
    for rule in rules:
        after_us = gap_us(rule.options)
        groups.setdefault(after_us, GapGroup(Gaps(after_us))).rules.append(rule.name)
    return list(groups.values())


def gap_us(options: AlertOptions) -> int:
    """The silence that means something to a rule: that it fires, or that nothing is known any more."""
    seconds = options.absent_s if options.absent_s is not None else options.nodata_after_s
    return round(seconds * US)
