"""From text to tree: a Pratt parser (Vaughan Pratt, "Top down operator precedence", 1973) over the tokens.

Each operator has a level (``nodes``); ``_expression(above)`` reads an operand and then every operator that binds tighter than ``above``.
What stands before a parenthesis, ``calls`` turns into a node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from appliance.hot.stream.expression import nodes
from appliance.hot.stream.expression.calls import Arguments, call_of, is_aggregate
from appliance.hot.stream.expression.functions import EVERY_FUNCTION, RESERVED_WORDS, STATISTICS
from appliance.hot.stream.expression.nodes import (
    Arithmetic,
    Between,
    Column,
    Comparison,
    Expression,
    In,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Not,
    number_of,
    operands_of,
)
from appliance.hot.stream.expression.refused import ExpressionRefused, clipped, did_you_mean
from appliance.hot.stream.expression.tokens import Shape, Token, tokens_of
from appliance.hot.stream.values import Scalar
from appliance.records import Kind, fold

DEPTH_MAX: Final = 50
"""Levels of the tree (functions and operators within each other), and of parentheses within each other."""
_LEVELS: Final[Mapping[str, int]] = {
    "or": nodes.OR,
    "and": nodes.AND,
    "is": nodes.IS,
    **dict.fromkeys(nodes.COMPARISONS, nodes.COMPARES),
    **dict.fromkeys(("in", "between", "like", "not"), nodes.TESTS),
    **dict.fromkeys("+-", nodes.ADDS),
    **dict.fromkeys("*/%", nodes.MULTIPLIES),
}
_CONSTANTS: Final[Mapping[str, tuple[Scalar, Kind | None]]] = {"true": (True, Kind.BOOL), "false": (False, Kind.BOOL), "null": (None, None)}
_OPERAND: Final = "a column, a number, a text in single quotes or a function"


def parse(text: str, *, stream: str | None = None) -> Expression:
    """The tree of ``text``.

    ``stream`` is the stream that is watched: columns that are written with its name are the bare ones. Raises ``ExpressionRefused`` for
    what can't be understood, more than ``tokens.BYTES_MAX`` bytes, and more than ``DEPTH_MAX`` levels.
    """
    parser = _Parser(tokens_of(text), None if stream is None else fold(stream))
    expression = parser.whole()
    _check_depth(expression)
    return expression


class _Parser:
    """Reads tokens from the left to the right, each once."""

    __slots__ = ("_depth", "_parentheses", "_place", "_stream", "_tokens", "_within")

    def __init__(self, tokens: tuple[Token, ...], stream: str | None) -> None:
        self._tokens = tokens
        self._stream = stream
        self._place = 0
        self._depth = 0
        self._parentheses = 0
        self._within: str | None = None
        """The aggregate whose argument is being read."""

    def whole(self) -> Expression:
        expression = self._expression(0)
        if self._next.shape is not Shape.END:
            raise self._unexpected("an operator or the end")
        return expression

    # --- Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _is(self, value: str, *, ahead: int = 0) -> bool:
        """Whether a sign or a word without quotes comes."""
        token = self._tokens[min(self._place + ahead, len(self._tokens) - 1)]
        return token.shape in {Shape.SIGN, Shape.WORD} and token.value == value

    def _expect(self, value: str, instead: str | None = None) -> Token:
        if not self._is(value):
            raise self._unexpected(instead or value)
        return self._take()

    def _unexpected(self, expected: str, *, hint: str = "") -> ExpressionRefused:
        return ExpressionRefused(f"found {self._next.shown}, expected {expected}{hint}", column=self._next.at)

    # --- Operators

    def _expression(self, above: int) -> Expression:
        self._depth += 1
        if self._depth > 2 * DEPTH_MAX + 1:  # each is a level of the tree or of parentheses; all are bounded once the tree is there
            raise _too_deep(self._next.at)
        left = self._operand(above)
        loosest = nodes.ATOM
        while (level := self._level()) > above:
            if level > loosest:
                raise ExpressionRefused(
                    f"found {self._next.shown} right after another comparison; put one of them in parentheses, or and between them",
                    column=self._next.at,
                )
            left = self._operator(left, level)
            loosest = level - 1
        self._depth -= 1
        return left

    def _level(self) -> int:
        """How tightly the operator that comes binds; 0: none comes."""
        token = self._next
        return _LEVELS.get(token.value, 0) if token.shape in {Shape.SIGN, Shape.WORD} else 0

    def _operator(self, left: Expression, level: int) -> Expression:
        at = self._next.at
        if level in {nodes.OR, nodes.AND}:
            return self._logic(left, level, at)
        if level in {nodes.ADDS, nodes.MULTIPLIES}:
            return self._arithmetic(left, level, at)
        if level == nodes.COMPARES:
            return Comparison(self._take().value, left, self._expression(level), at)
        if level == nodes.IS:
            self._take()
            negated = self._negated()
            self._expect("null", "null or not null")
            return IsNull(left, negated, at)
        return self._test(left, self._negated(), at)

    def _logic(self, left: Expression, level: int, at: int) -> Logic:
        word = self._next.value
        operands = [left]
        while self._is(word):
            self._take()
            operands.append(self._expression(level))
        return Logic(word, tuple(operands), at)

    def _arithmetic(self, left: Expression, level: int, at: int) -> Arithmetic:
        rest: list[tuple[str, Expression]] = []
        while self._level() == level:
            sign = self._take().value
            rest.append((sign, self._expression(level)))
        return Arithmetic(left, tuple(rest), at)

    def _negated(self) -> bool:
        if not self._is("not"):
            return False
        self._take()
        return True

    def _test(self, left: Expression, negated: bool, at: int) -> Expression:
        if self._is("between"):
            self._take()
            low = self._expression(nodes.TESTS)
            self._expect("and", "and with the upper end")
            return Between(left, low, self._expression(nodes.TESTS), negated, at)
        if self._is("in"):
            self._take()
            self._expect("(", "( with the values")
            items = [self._expression(0)]
            while self._is(","):
                self._take()
                items.append(self._expression(0))
            self._expect(")", ", or )")
            return In(left, tuple(items), negated, at)
        if self._is("like"):
            self._take()
            if self._next.shape is not Shape.TEXT:
                raise self._unexpected("a text in single quotes", hint="; % in it stands for any text")
            return Like(left, self._take().value, negated, at)
        raise self._unexpected("in, between or like after not")

    # --- Operands

    def _operand(self, above: int) -> Expression:
        token = self._next
        if token.shape is Shape.NUMBER:
            return _number(self._take())
        if token.shape is Shape.TEXT:
            return Literal(self._take().value, Kind.TEXT, token.at)
        if token.shape is Shape.NAME:
            return self._column()
        if token.shape is Shape.WORD:
            return self._word(above)
        if self._is("-"):
            self._take()
            return _negated(self._expression(nodes.NEGATES), token.at)
        if self._is("("):
            self._parentheses += 1
            if self._parentheses > DEPTH_MAX:
                raise _too_deep(token.at)
            self._take()
            inner = self._expression(0)
            self._expect(")", ") or an operator")
            self._parentheses -= 1
            return inner
        raise self._unexpected(_OPERAND, hint="; = is written once, or as ==" if token.value == "=" else "")

    def _word(self, above: int) -> Expression:
        token = self._next
        if token.value == "not":
            if above >= nodes.NOT:
                raise self._unexpected(_OPERAND, hint="; put what is negated in parentheses: (not …)")
            self._take()
            return Not(self._expression(nodes.NOT - 1), token.at)
        if token.value in _CONSTANTS:
            self._take()
            return Literal(*_CONSTANTS[token.value], token.at)
        if self._is("(", ahead=1) and (token.value not in RESERVED_WORDS or token.value in STATISTICS):
            return self._call()
        if token.value in RESERVED_WORDS:
            raise self._unexpected(_OPERAND, hint=f'; a column of that name is written "{token.value}"')
        return self._column()

    def _column(self) -> Column:
        first = self._take()
        if not self._is("."):
            if self._is("("):
                raise self._unexpected("an operator or the end", hint="; a function's name stands without quotes")
            return Column(first.value, None, first.at)
        self._take()
        second = self._next
        if second.shape is not Shape.NAME and (second.shape is not Shape.WORD or second.value in RESERVED_WORDS):
            raise self._unexpected(f"the name of a column of {clipped(first.value)}")
        self._take()
        return Column(second.value, None if first.value == self._stream else first.value, first.at)

    def _call(self) -> Expression:
        name = self._take()
        if name.value not in EVERY_FUNCTION:
            raise ExpressionRefused(f"there is no function {name.shown}{did_you_mean(name.value, EVERY_FUNCTION)}", column=name.at)
        outer = self._within
        if is_aggregate(name.value):
            if outer is not None:
                raise ExpressionRefused(f"{name.shown} can't stand within {outer}, which takes columns of single records", column=name.at)
            self._within = name.value
        self._take()
        arguments = self._arguments(name)
        self._within = outer
        return call_of(name, arguments)

    def _arguments(self, name: Token) -> Arguments:
        if self._is("*"):
            star = self._take()
            self._expect(")", ") after *")
            return Arguments((), star=star.at)
        distinct = self._take().at if self._is("distinct") and not self._is("(", ahead=1) else None
        if distinct is None and self._is("distinct") and name.value == "count":
            distinct = self._take().at
        if distinct is None and self._is(")"):
            self._take()
            return Arguments(())
        given = [self._expression(0)]
        while self._is(","):
            self._take()
            given.append(self._expression(0))
        self._expect(")", "an operator, , or )")
        return Arguments(tuple(given), distinct=distinct)


def _number(token: Token) -> Literal:
    number = float(token.written)
    if math.isinf(number):
        raise ExpressionRefused(f"the number {token.shown} is too large: at most about 1.8e308", column=token.at)
    return number_of(int(token.written) if token.written.isdecimal() else number, token.at)


def _negated(operand: Expression, at: int) -> Expression:
    if isinstance(operand, Literal) and operand.kind in {Kind.INT, Kind.FLOAT} and isinstance(operand.value, int | float):
        return number_of(-operand.value, at)
    return Negate(operand, at)


def _check_depth(expression: Expression) -> None:
    """Operators that follow each other make a tree deep without parentheses; all who walk it later rely on the bound."""
    waiting = [(expression, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise _too_deep(node.at)
        waiting += [(operand, depth + 1) for operand in operands_of(node)]


def _too_deep(at: int) -> ExpressionRefused:
    return ExpressionRefused(f"the expression is nested deeper than {DEPTH_MAX} levels here; make two rules of it", column=at)
