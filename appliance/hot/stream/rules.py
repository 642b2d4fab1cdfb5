"""A rule on its way from the config to something that can be computed: parsed once, bound to the columns that its stream has.

Parsing finds what can't be understood, when the config is loaded. Binding finds columns that are not there and types that don't go
together; since columns may come later, that only makes the rule wait. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import UsageRefused
from appliance.hot.stream.expression import (
    Column,
    Expression,
    ExpressionRefused,
    Program,
    Scope,
    Summary,
    Term,
    check_condition,
    check_text,
    columns,
    compile_,
    parse,
    parse_summary,
    scope_of,
    terms,
)
from appliance.records import Kind, Schema, fold
from appliance.workload_options import AlertOptions


class RuleRefused(UsageRefused):
    """A rule's text can't be understood: the option and the column in it are named."""


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """One ``[workload.NAME]`` of kind alert, understood as far as its text alone allows."""

    name: str
    options: AlertOptions
    when: Expression | None
    """None for ``absent`` and ``sql``."""
    clear: Expression | None
    summary: Summary

    @property
    def windowed(self) -> bool:
        """Whether its aggregates have a window."""
        return self.options.over_s is not None or self.options.window == "session"


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule that can be computed over the columns of its stream."""

    parsed: ParsedRule
    by: tuple[str, ...]
    """The columns of the key as the stream names them."""
    scope: Scope
    terms: tuple[Term, ...]
    """What ``when`` and ``clear`` are given a vector of."""
    when: Program
    clear: Program | None

    @property
    def name(self) -> str:
        return self.parsed.name

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns of the stream that its terms are made of, folded."""
        return tuple(dict.fromkeys(c.name for t in self.terms for c in columns(t)))


def parse_rule(name: str, options: AlertOptions) -> ParsedRule:
    """Raises ``RuleRefused`` with the option and the column of the mistake."""
    at = f"workload.{name}"
    when = None if options.when is None else _parsed(options.when, f"{at}.when", options.stream)
    clear = None if options.clear is None else _parsed(options.clear, f"{at}.clear", options.stream)
    known = tuple(str(t) for t in _terms(when, clear))
    try:
        labels = (*options.labels, "severity", "stream")
        summary = parse_summary(options.summary, rule=name, key=options.by, terms=known, labels=labels, stream=options.stream)
    except ExpressionRefused as e:
        raise RuleRefused(f"{at}.summary {e}") from None
    parsed = ParsedRule(name, options, when, clear, summary)
    for option, expression in (("when", when), ("clear", clear)):
        if expression is not None:
            _check_scope(parsed, expression, f"{at}.{option}")
    return parsed


def bind(parsed: ParsedRule, schema: Schema, *, joined: Schema | None = None) -> BoundRule:
    """The rule over the columns of ``schema`` (and, with ``join``, of a second stream). Raises ``RuleRefused`` where that can't be done."""
    by = key_columns(parsed.options.by, schema, f"workload.{parsed.name}.by")
    streams = {s.stream: kinds_of(s) for s in (schema, joined) if s is not None}
    found = _terms(parsed.when, parsed.clear)
    for option, expression in (("when", parsed.when), ("clear", parsed.clear)):
        if expression is not None:
            try:
                check_condition(expression, streams[schema.stream], streams=streams)
            except ExpressionRefused as e:
                raise RuleRefused(f"workload.{parsed.name}.{option} {e}") from None
    assert parsed.when is not None, "a rule without a condition is not bound"
    scope = scope_of(parsed.when, windowed=parsed.windowed, by=by)
    clear = None if parsed.clear is None else compile_(parsed.clear, found)
    return BoundRule(parsed, by, scope, found, compile_(parsed.when, found), clear)


def key_columns(by: tuple[str, ...] | None, schema: Schema, option: str) -> tuple[str, ...]:
    """The columns of a key as the stream names them; all tags for None. Raises ``RuleRefused`` for one that is not there."""
    if by is None:
        return schema.tags
    known = schema.by_fold
    missing = [c for c in by if fold(c) not in known]
    if missing:
        raise RuleRefused(f"{option} names {missing[0]!r}, which the stream {schema.stream!r} has no column for")
    return tuple(known[fold(c)].name for c in by)


def kinds_of(schema: Schema) -> dict[str, Kind]:
    """The kind of each column that a condition may name. ``ts`` is none of them: windows speak of time."""
    return {c.name: c.kind for c in schema.columns}


def _parsed(text: str, option: str, stream: str | None) -> Expression:
    try:
        return parse(text, stream=stream)
    except ExpressionRefused as e:
        raise RuleRefused(f"{option} {e}") from None


def _terms(when: Expression | None, clear: Expression | None) -> tuple[Term, ...]:
    return tuple(dict.fromkeys(t for e in (when, clear) if e is not None for t in terms(e)))


def _check_scope(parsed: ParsedRule, expression: Expression, option: str) -> None:
    options = parsed.options
    try:
        check_text(expression, columns(expression))
        found = terms(expression)
        by = options.by if options.by is not None else tuple(t.name for t in found if isinstance(t, Column))
        scope = scope_of(expression, windowed=parsed.windowed, by=by)
        if parsed.windowed and scope is Scope.RECORD:
            raise ExpressionRefused("there is a window, but no aggregate over it; write avg(x), say, or take away over", column=1)
        for column in columns(expression):
            if column.stream is not None and fold(column.stream) not in {fold(s) for s in (options.stream, options.join) if s is not None}:
                raise ExpressionRefused(f"{column} is of another stream than {options.stream}; name it as join", column=column.at)
    except ExpressionRefused as e:
        raise RuleRefused(f"{option} {e}") from None
