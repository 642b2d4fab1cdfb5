"""The rules as people see them: what each is about, how it does, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.alerting.rulebook import Rulebook
from appliance.alerting.sql_rule import SqlRule
from appliance.hot.alerts.rules import condition_of
from appliance.hot.stream.followed import Followed
from appliance.hot.stream.keyed import Keyed
from appliance.hot.stream.processor import Processor
from appliance.hot.stream.windowed import Windowed
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
        state="error" if rule.reason else "ok" if rule.is_asked else "waiting",
        reason=rule.reason or ("" if rule.is_asked else "its query has not been answered yet"),
        keys=len(rule.firing),
        firing=counts.firing,
        pending=counts.pending,
        cost_us_per_s=rule.cost.us_per_s(at_ns=now_ns),
    )


def _row(rulebook: Rulebook, name: str, followed: Followed | None, processor: Processor[Any], now_ns: int) -> RuleRow:
    options = rulebook.parsed[name].options
    counts = processor.book.counts(name)
    state, reason = _state(name, fold(options.stream or ""), followed, processor)
    keyed = None if followed is None else followed.plan.keyed.get(followed.plan.rules.get(name, ()))
    watched = None if followed is None else followed.plan.watches.get(name)
    windows = None if keyed is None else next((w for w in keyed.windows if any(of.rule.name == name for of in w.watches)), None)
    return RuleRow(
        name=name,
        stream=options.stream or "",
        condition=condition_of(options),
        severity=options.severity,
        state=state,
        reason=reason or _not_looked_at(followed, keyed, windows),
        keys=0 if keyed is None else len(keyed.keys),
        keys_over=0 if keyed is None else keyed.keys.rows_over,
        firing=counts.firing,
        pending=counts.pending,
        cost_us_per_s=0.0 if followed is None else followed.cost.us_per_s(at_ns=now_ns) / max(1, len(followed.plan.rules)),
        late=0 if watched is None else watched[1].late,
        too_late=0 if windows is None else windows.too_late,
    )


def _state(name: str, stream: str, followed: Followed | None, processor: Processor[Any]) -> tuple[str, str]:
    if processor.failed is not None:
        return "error", processor.failed
    if stream in processor.aside:
        return "error", processor.aside[stream]
    if followed is None:
        return "waiting", "the stream is not there yet"
    if name in followed.plan.refused:
        return "error", followed.plan.refused[name]
    return "ok", ""


def _not_looked_at(followed: Followed | None, keyed: Keyed | None, windows: Windowed | None) -> str:
    """Records that the rule has passed over, and why."""
    words = []
    if windows is not None and windows.too_late:
        words.append(f"{windows.too_late:,} records came when the windows they belong to were not kept any more")
    if keyed is not None and keyed.keys.rows_over:
        limit = f"[alerts] keys_max is {keyed.keys.keys_max:,}"
        words.append(f"{keyed.keys.rows_over:,} records of further keys were not looked at: {limit}")
    if followed is not None and followed.plan.ahead:
        words.append(f"{followed.plan.ahead:,} records were not looked at because their time is in the future: see the clocks")
    return "; ".join(words)
