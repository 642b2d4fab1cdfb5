"""The rules as people see them: what each is about, how it does, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.alerting.rulebook import Rulebook
from appliance.alerting.sql_rule import SqlRule
from appliance.hot.alerts.rules import condition_of
from appliance.hot.stream.followed import Followed
from appliance.hot.stream.processor import Processor
from appliance.observe.alerts import RuleRow
from appliance.records import fold


def rule_rows(rulebook: Rulebook, processor: Processor[Any], sql: Mapping[str, SqlRule], *, now_ns: int) -> Sequence[RuleRow]:
    """One row a rule, in the order of the config; ``sql`` are those of free SQL by name."""
    followed = processor.followed
    return [
        _sql_row(rulebook, sql[name], processor, now_ns)
        if name in sql
        else _row(rulebook, name, followed.get(fold(rule.options.stream or "")), processor, now_ns)
        for name, rule in rulebook.parsed.items()
    ]


def _sql_row(rulebook: Rulebook, rule: SqlRule, processor: Processor[Any], now_ns: int) -> RuleRow:
    options = rulebook.parsed[rule.name].options
    counts = processor.book.counts(rule.name)
    return RuleRow(
        name=rule.name,
        stream="",
        condition=condition_of(options),
        severity=options.severity,
        state="error" if rule.reason else "ok",
        reason=rule.reason,
        keys=len(rule.firing),
        firing=counts.firing,
        pending=counts.pending,
        cost_us_per_s=rule.cost.us_per_s(at_ns=now_ns),
    )


def _row(rulebook: Rulebook, name: str, followed: Followed | None, processor: Processor[Any], now_ns: int) -> RuleRow:
    options = rulebook.parsed[name].options
    counts = processor.book.counts(name)
    state, reason = _state(name, followed, processor)
    keyed = None if followed is None else followed.plan.keyed.get(followed.plan.rules.get(name, ()))
    watched = None if followed is None else followed.plan.watches.get(name)
    return RuleRow(
        name=name,
        stream=options.stream or "",
        condition=condition_of(options),
        severity=options.severity,
        state=state,
        reason=reason,
        keys=0 if keyed is None else len(keyed.keys),
        keys_over=0 if keyed is None else keyed.keys.rows_over,
        firing=counts.firing,
        pending=counts.pending,
        cost_us_per_s=0.0 if followed is None else followed.cost.us_per_s(at_ns=now_ns) / max(1, len(followed.plan.rules)),
        late=0 if watched is None else watched[1].late,
    )


def _state(name: str, followed: Followed | None, processor: Processor[Any]) -> tuple[str, str]:
    if processor.failed is not None:
        return "error", processor.failed
    if followed is None:
        return "waiting", "the stream is not there yet"
    if name in followed.plan.refused:
        return "error", followed.plan.refused[name]
    return "ok", ""
