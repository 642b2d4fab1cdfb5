"""The rules of one config: parsed when it is loaded, made into plans when their streams are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from appliance.alerting.analysis_rule import analysis_facts
from appliance.alerting.budget_rule import RULE, budget_facts
from appliance.clock import US_PER_S
from appliance.config import AlertOptions, Config, SessionOptions
from appliance.errors import ConfigRefused
from appliance.hot.alerts.plan import Known
from appliance.hot.alerts.rules import RuleFacts, facts_of
from appliance.hot.state import ALL_TAGS, State, StreamState
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.followed import Followed, PastRows
from appliance.hot.stream.plan import PlanOptions, StreamPlan, add_join, make_plan
from appliance.hot.stream.rules import ParsedRule, RuleRefused, key_columns, parse_rule
from appliance.hot.stream.session_watch import ParsedSession, parse_session
from appliance.hot.stream.values import I64, Rows
from appliance.records import TAG_TYPE, Schema, TimeRange, fold

SQL_CLOCK = "sql"
"""What the timers of rules that are free SQL follow."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What plans are made with."""

    past: PastRows
    latest: Callable[[StreamState], pa.Table]
    """One row a series, in the columns of ``Schema.lake``."""
    baselines: Baselines


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Owned by nobody: it never changes."""

    config: Config
    parsed: Mapping[str, ParsedRule]
    surroundings: Surroundings | None = None
    """None where nothing is evaluated: a config that is only checked."""
    streams: Mapping[str, tuple[ParsedRule, ...]] = field(default_factory=dict)
    """By folded name: the rules about one stream."""
    sessions: Mapping[str, tuple[ParsedSession, ...]] = field(default_factory=dict)
    """Likewise the sessions."""

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.config.channels)

    def facts(self, state: State) -> Mapping[str, RuleFacts]:
        """What the lives of alerts need to know, with the key columns of the streams that are there."""
        own = {RULE: budget_facts(self.config), **analysis_facts(self.config)}
        return {**own, **{name: self._facts(rule, state) for name, rule in self.parsed.items()}}

    @property
    def session_names(self) -> Mapping[str, Known]:
        """Every workload of sessions, with the stream that it is about."""
        return {s.name: Known(f"sessions of {key}", s.options.by or ()) for key, of in self.sessions.items() for s in of}

    def _facts(self, rule: ParsedRule, state: State) -> RuleFacts:
        options = rule.options
        if options.stream is None:
            return facts_of(rule.name, options, by=options.by or (), summary=rule.summary, clock=SQL_CLOCK)
        stream = state.get(options.stream)
        by = options.by or ()
        if stream is not None:
            try:
                by = key_columns(options.by, stream.schema, "by")
            except RuleRefused:
                by = options.by or ()
        return facts_of(rule.name, options, by=by, summary=rule.summary, clock=fold(options.stream))

    def shape(self, state: State) -> tuple[tuple[str, int], ...]:
        """What ``facts`` and plans depend on: it changes when they have to be made anew."""
        return tuple((key, state.streams[key].schema.version) for key in self._about() if key in state.streams)

    def _about(self) -> tuple[str, ...]:
        """The streams that rules and sessions are about, folded."""
        joined = (fold(r.options.join) for r in self.parsed.values() if r.options.join is not None)
        return tuple(dict.fromkeys((*self.streams, *self.sessions, *joined)))

    def follow(self, stream: StreamState, state: State) -> Followed | None:
        """How a stream is evaluated; None when no rule is about it. ``state`` has the streams that it may be joined with."""
        rules, sessions = self.streams.get(fold(stream.name), ()), self.sessions.get(fold(stream.name), ())
        is_joined = any(fold(r.options.join or "") == fold(stream.name) for r in self.parsed.values())
        if not (rules or sessions or is_joined) or self.surroundings is None:
            return None
        around = self.surroundings
        lateness_us = round(self.config.stream(stream.name).lateness_s * US_PER_S)
        identity = identity_tags(stream)

        def past(since_us: int, until_us: int, up_to_seq: int) -> Sequence[Rows]:
            return tuple(around.past(stream.name, up_to_seq=up_to_seq, span=TimeRange(since_us, until_us)))

        options = PlanOptions(lateness_us, self.config.alerts.keys_max, identity, around.baselines, past)
        plan = make_plan(stream.schema, rules, options, sessions)
        for rule in rules:
            if rule.options.join is not None:
                self._join(plan, rule, state)
        return Followed(
            plan=plan,
            name=fold(stream.name),
            stream_id=stream.id,
            past=around.past,
            latest=lambda: in_memory(around.latest(stream), stream.schema),
            grace_us=round(self.config.alerts.grace_s * US_PER_S),
            joined_us=self._joined_us(stream),
        )

    def _joined_us(self, stream: StreamState) -> int | None:
        """How far back records of a stream matter to rules between it and another; None: there are none."""
        about = [r.options for r in self.parsed.values() if r.options.join is not None]
        spans = [o.within_s or 0.0 for o in about if fold(stream.name) in {fold(o.stream or ""), fold(o.join or "")}]
        return round(max(spans) * US_PER_S) if spans else None

    def _join(self, plan: StreamPlan, rule: ParsedRule, state: State) -> None:
        """Adds a rule between two streams."""
        other = state.get(rule.options.join or "")
        if other is None:
            plan.refused[rule.name] = f"the stream {rule.options.join!r} is not there yet"
            return
        add_join(plan, rule, other.schema)


def make_rulebook(config: Config, surroundings: Surroundings | None = None) -> Rulebook:
    """All rules of a config. Raises ``ConfigRefused`` with file, line, rule and the column of the first mistake."""
    parsed: dict[str, ParsedRule] = {}
    streams: dict[str, list[ParsedRule]] = {}
    sessions: dict[str, list[ParsedSession]] = {}
    for name, options in config.workloads.items():
        try:
            if isinstance(options, SessionOptions):
                sessions.setdefault(fold(options.stream), []).append(parse_session(name, options))
            if not isinstance(options, AlertOptions):
                continue
            rule = parsed[name] = parse_rule(name, options)
        except RuleRefused as e:
            raise refused_at(config, str(e), key=str(e).split(" ", 1)[0]) from None
        if options.stream is not None:
            streams.setdefault(fold(options.stream), []).append(rule)
    by_stream = {key: tuple(rules) for key, rules in streams.items()}
    return Rulebook(config, parsed, surroundings, by_stream, {key: tuple(of) for key, of in sessions.items()})


def refused_at(config: Config, reason: str, *, key: str) -> ConfigRefused:
    """With the file and the line in which ``key`` stands."""
    origin = config.origins.get(key, "default")
    return ConfigRefused(reason, file=origin if origin != "default" else str(config.file or "config"), key=key)


def identity_tags(stream: StreamState) -> tuple[str, ...] | None:
    """The tags by which, with the time, two records are the same one; None when no two are."""
    if stream.identity is None:
        return None
    return stream.schema.tags if stream.identity == ALL_TAGS else tuple(c for c in stream.identity if fold(c) != "ts")


def in_memory(table: pa.Table, schema: Schema) -> tuple[pa.RecordBatch, I64]:
    """A table in the columns of ``Schema.lake`` as rows have them in memory, and the sequences."""
    seqs = np.asarray(table.column("_seq").combine_chunks().to_numpy(zero_copy_only=False), dtype=np.int64)
    arrays = []
    for name in table.column_names[:-1]:
        column = table.column(name).combine_chunks()
        arrays.append(column.cast(TAG_TYPE) if name in schema.tags else column)
    return pa.RecordBatch.from_arrays(arrays, names=table.column_names[:-1]), seqs
