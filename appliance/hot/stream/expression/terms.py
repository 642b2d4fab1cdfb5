"""What an expression needs from outside: its terms, its columns, whether it looks at records or at windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

from appliance.hot.stream.expression.functions import CHANGES
from appliance.hot.stream.expression.nodes import (
    Aggregate,
    Baseline,
    Column,
    Comparison,
    Expression,
    Literal,
    Logic,
    Term,
    TimeSince,
    operands_of,
)
from appliance.hot.stream.expression.refused import ExpressionRefused, clipped
from appliance.records import fold


class Scope(StrEnum):
    """What an expression has one value for."""

    RECORD = "record"
    """Each record. ``rate`` and ``delta`` are then against the record before."""
    WINDOW = "window"
    """Each point of a window."""


def terms(expression: Expression) -> tuple[Term, ...]:
    """The leaves that are computed outside, each once, in the order in which they are written; terms within terms are not among them."""
    return tuple(dict.fromkeys(_walk(expression, within_terms=False)))


def columns(expression: Expression) -> tuple[Column, ...]:
    """Every column that is needed, also within aggregates, each once, in the order in which they are written."""
    return tuple(dict.fromkeys(node for node in _walk(expression, within_terms=True) if isinstance(node, Column)))


def scope_of(expression: Expression, *, windowed: bool, by: Collection[str] = ()) -> Scope:
    """Whether the expression is about records or about windows.

    ``windowed`` says whether the rule has windows: without them ``rate`` and ``delta`` are against the record before, with them over the
    window. ``by`` are the columns of the key, which have one value a window. Raises ``ExpressionRefused`` for an aggregate without a
    window, and for a bare column beside an aggregate.
    """
    found = terms(expression)
    aggregates = [t for t in found if isinstance(t, Aggregate) and (windowed or t.statistic not in CHANGES)]
    if not aggregates:
        return Scope.RECORD
    first = aggregates[0]
    if not windowed:
        raise ExpressionRefused(f"{clipped(first)} needs a window: give the rule over", column=first.at)
    keys = {fold(name) for name in by}
    for term in found:
        if isinstance(term, Column) and term.name not in keys:
            text = f"{clipped(term)} has many values in the window that {clipped(first)} is taken over; write last({clipped(term)}), say"
            raise ExpressionRefused(text, column=term.at)
    return Scope.WINDOW


def threshold_of(expression: Expression) -> tuple[Term, float] | None:
    """The term and the number that it is compared with, of the first such comparison that must hold for the whole; None without one."""
    match expression:
        case Logic(word="and"):
            return next((found for operand in expression.operands if (found := threshold_of(operand)) is not None), None)
        case Comparison(left=Column() | Aggregate() | TimeSince() | Baseline() as term, right=Literal() as literal):
            return _threshold(term, literal)
        case Comparison(left=Literal() as literal, right=Column() | Aggregate() | TimeSince() | Baseline() as term):
            return _threshold(term, literal)
        case _:
            return None


def _threshold(term: Term, literal: Literal) -> tuple[Term, float] | None:
    number = literal.value
    return (term, float(number)) if isinstance(number, int | float) and not isinstance(number, bool) else None


def _walk(expression: Expression, *, within_terms: bool) -> Iterator[Term]:
    """The terms, or with ``within_terms`` the columns also of those, in the order in which they are written."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Column) or (not within_terms and isinstance(node, Aggregate | TimeSince | Baseline)):
            yield node
        else:
            waiting += reversed(operands_of(node))
