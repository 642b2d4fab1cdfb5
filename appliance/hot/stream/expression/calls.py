"""From a function's name and its arguments to the node: what each function takes."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.hot.stream.expression.functions import BASELINES, DIGITS_MAX, SCALARS, STATISTICS, TIME_SINCE, Statistic
from appliance.hot.stream.expression.nodes import Aggregate, Baseline, Call, Column, Expression, Literal, TimeSince, operands_of
from appliance.hot.stream.expression.refused import ExpressionRefused, clipped
from appliance.hot.stream.expression.tokens import Token
from appliance.records import Kind


@dataclass(frozen=True, slots=True)
class Arguments:
    """What stands between the parentheses of a function."""

    given: tuple[Expression, ...]
    star: int | None = None
    """The column of a ``*`` in place of all arguments; None: none."""
    distinct: int | None = None
    """The column of a ``distinct`` before them; None: none."""


def is_aggregate(name: str) -> bool:
    """Whether a function looks at more than one record, so that none such may stand within it."""
    return name in STATISTICS or name in {TIME_SINCE, *BASELINES}


def call_of(name: Token, arguments: Arguments) -> Expression:
    """The node of a known function; raises ``ExpressionRefused`` when it doesn't take these arguments."""
    if arguments.star is not None and name.value != Statistic.COUNT:
        raise ExpressionRefused(f"found *, expected an argument; only count takes *, not {name.shown}", column=arguments.star)
    if arguments.distinct is not None and name.value != Statistic.COUNT:
        raise ExpressionRefused(f"only count takes distinct, not {name.shown}", column=arguments.distinct)
    if name.value in STATISTICS:
        return _aggregate(name, arguments)
    if name.value == TIME_SINCE:
        condition = _only(name, arguments, "condition")
        _check_has_column(name, condition)
        return TimeSince(condition, name.at)
    if name.value in BASELINES:
        column = _only(name, arguments, "column")
        if not isinstance(column, Column):
            raise ExpressionRefused(f"{name.shown} takes a column, not {clipped(column)}", column=column.at)
        return Baseline(column, name.at, name.value)
    return _scalar(name, arguments.given)


def _aggregate(name: Token, arguments: Arguments) -> Aggregate:
    statistic = STATISTICS[name.value]
    if arguments.star is not None:
        return Aggregate(statistic, None, None, name.at)
    if statistic is Statistic.QUANTILE:
        return _quantile(name, arguments.given)
    if arguments.distinct is not None:
        statistic = Statistic.DISTINCT
    argument = _only(name, arguments, "argument")
    _check_has_column(name, argument)
    return Aggregate(statistic, argument, None, name.at)


def _quantile(name: Token, given: tuple[Expression, ...]) -> Aggregate:
    if len(given) != 2:
        text = f"quantile takes a value and which quantile, as in quantile(x, 0.95), not {_many(len(given))}"
        raise ExpressionRefused(text, column=name.at)
    argument, parameter = given
    number = parameter.value if isinstance(parameter, Literal) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ExpressionRefused(f"quantile takes a number from 0 to 1 here, not {clipped(parameter)}", column=parameter.at)
    _check_has_column(name, argument)
    return Aggregate(Statistic.QUANTILE, argument, float(number), name.at)


def _scalar(name: Token, given: tuple[Expression, ...]) -> Call:
    least, most = SCALARS[name.value]
    if len(given) < least or (most is not None and len(given) > most):
        wanted = f"{least} to {most} arguments" if most not in {least, None} else _many(least) if most else f"at least {_many(least)}"
        raise ExpressionRefused(f"{name.shown} takes {wanted}, not {len(given) or 'none'}", column=name.at)
    if name.value == "round" and len(given) == 2:
        digits = given[1]
        whole = isinstance(digits, Literal) and digits.kind is Kind.INT and isinstance(digits.value, int)
        if not whole or not -DIGITS_MAX <= int(str(digits)) <= DIGITS_MAX:
            text = f"round takes a whole number from -{DIGITS_MAX} to {DIGITS_MAX} as its second argument, not {clipped(digits)}"
            raise ExpressionRefused(text, column=digits.at)
    return Call(name.value, given, name.at)


def _only(name: Token, arguments: Arguments, what: str) -> Expression:
    if len(arguments.given) != 1:
        raise ExpressionRefused(f"{name.shown} takes one {what}, not {len(arguments.given) or 'none'}", column=name.at)
    return arguments.given[0]


def _check_has_column(name: Token, argument: Expression) -> None:
    waiting = [argument]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Column):
            return
        waiting += operands_of(node)
    hint = "; the number of records is count(*)" if name.value == Statistic.COUNT else ""
    raise ExpressionRefused(f"there is no column in {name.shown}({clipped(argument)}){hint}", column=argument.at)


def _many(count: int) -> str:
    return {0: "no argument", 1: "one argument"}.get(count, f"{count} arguments")
