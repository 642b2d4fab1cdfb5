"""From tree to closures: each decision that the tree allows is made here, and none when rows are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np

from appliance.hot.stream.expression import kernels
from appliance.hot.stream.expression.functions import OF_NUMBERS
from appliance.hot.stream.expression.kernels import NULL, NULL_TRUTH, Value
from appliance.hot.stream.expression.nodes import (
    Aggregate,
    Arithmetic,
    Baseline,
    Between,
    Call,
    Column,
    Combined,
    Comparison,
    Expression,
    In,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Not,
    Term,
    TimeSince,
)
from appliance.hot.stream.expression.texts import by_text, like, mapped
from appliance.records import Kind

Run: TypeAlias = Callable[[Sequence[Value]], Value]
_Test: TypeAlias = Callable[[Value, Sequence[Value]], Value]
_FLIPPED: Final[Mapping[str, str]] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NUMERIC: Final[Mapping[str, Callable[[Any], Any]]] = {
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "sqrt": np.sqrt,
    "round": kernels.round_half_away,
}
_CHOICES: Final = {"coalesce": kernels.coalesce, "least": kernels.least, "greatest": kernels.greatest}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a program; ``constant`` is its value where that is known before any row."""

    run: Run
    constant: Value | None = None


class Compiler:
    """Makes parts of nodes; what they are run with is the values of ``terms``."""

    __slots__ = ("computes", "terms")

    def __init__(self) -> None:
        self.terms: dict[Term, int] = {}
        """The terms that were met, each with its place."""
        self.computes = False
        """Whether there is arithmetic in what was compiled, whose warnings are to be kept quiet."""

    def part(self, node: Expression) -> Part:
        """The node, with all that is below it; what is constant is computed once."""
        match node:
            case Literal():
                return _constant(_value_of(node))
            case Column() | Aggregate() | TimeSince() | Baseline():
                return Part(itemgetter(self.terms.setdefault(node, len(self.terms))))
            case _:
                parts, run = self._combined(node)
        if all(part.constant is not None for part in parts):
            with np.errstate(all="ignore"):
                return _constant(run(()))
        return Part(run)

    def _combined(self, node: Combined) -> tuple[list[Part], Run]:
        """The parts that a node is made of, and how it is computed from rows."""
        match node:
            case Negate() | Arithmetic():
                return self._arithmetic(node)
            case Call():
                return self._call(node)
            case Comparison():
                return self._comparison(node)
            case Logic():
                return self._logic(node)
            case Between():
                return self._between(node)
            case _:
                return self._test(node)

    def _arithmetic(self, node: Negate | Arithmetic) -> tuple[list[Part], Run]:
        self.computes = True
        if isinstance(node, Negate):
            only = self._number(node.operand, node.at)

            def minus(terms: Sequence[Value]) -> Value:
                values, valid, _ = only.run(terms)
                return -values, valid, None

            return [only], minus
        first = self._number(node.first, node.at)
        rest = [(kernels.COMPUTE[sign], self._number(operand, node.at)) for sign, operand in node.rest]
        steps = [(compute, part.run) for compute, part in rest]
        start = first.run

        def chain(terms: Sequence[Value]) -> Value:
            values, valid, _ = start(terms)
            for compute, run in steps:
                other, other_valid, _ = run(terms)
                values, valid = compute(values, other), kernels.both(valid, other_valid)
            return kernels.finite(values, valid)

        return [first, *(part for _, part in rest)], chain

    def _number(self, node: Expression, at: int) -> Part:
        """A part whose values are float64."""
        part = self.part(node)
        if part.constant is not None:
            return _constant(kernels.number(part.constant, at))
        run = part.run
        return Part(lambda terms: kernels.number(run(terms), at))

    def _call(self, node: Call) -> tuple[list[Part], Run]:
        at = node.at
        if node.name in OF_NUMBERS:
            self.computes = True
            function = _NUMERIC[node.name]
            if node.name == "round" and len(node.arguments) == 2:
                function = kernels.round_to(int(str(node.arguments[1])))
            only = self._number(node.arguments[0], at)

            def numeric(terms: Sequence[Value]) -> Value:
                values, valid, _ = only.run(terms)
                return kernels.finite(function(values), valid)

            return [only], numeric
        parts = [self.part(argument) for argument in node.arguments]
        first, rest = parts[0].run, [part.run for part in parts[1:]]
        if node.name in _CHOICES:
            steps = [(kernels.merging(_CHOICES[node.name], at), run) for run in rest]
            return parts, lambda terms: reduce(lambda value, step: step[0](value, step[1](terms)), steps, first(terms))
        if node.name == "length":
            measure = kernels.on_texts(by_text(len, np.int64), at)
            return parts, lambda terms: measure(first(terms))
        change = mapped(str.lower if node.name == "lower" else str.upper)

        def changed(terms: Sequence[Value]) -> Value:
            found = kernels.texts_of(first(terms), at)
            if found is None:
                return NULL
            codes, texts = change(found[0], found[2])
            return codes, found[1], texts

        return parts, changed

    def _comparison(self, node: Comparison) -> tuple[list[Part], Run]:
        sign, left, right = node.sign, node.left, node.right
        if isinstance(left, Literal):
            sign, left, right = _FLIPPED[sign], right, left
        part, other = self.part(left), self.part(right)
        run, test = part.run, _against(sign, right, other, node.at)
        return [part, other], lambda terms: test(run(terms), terms)

    def _logic(self, node: Logic) -> tuple[list[Part], Run]:
        parts = [self.part(operand) for operand in node.operands]
        runs = [part.run for part in parts]
        at, whole = node.at, kernels.all_true if node.word == "and" else kernels.any_true
        return parts, lambda terms: whole([kernels.truth(run(terms), at) for run in runs])

    def _between(self, node: Between) -> tuple[list[Part], Run]:
        parts = [self.part(operand) for operand in (node.operand, node.low, node.high)]
        above, below = _against(">=", node.low, parts[1], node.at), _against("<=", node.high, parts[2], node.at)
        run, negated = parts[0].run, node.negated

        def within(terms: Sequence[Value]) -> Value:
            value = run(terms)
            found = kernels.all_true((above(value, terms), below(value, terms)))
            return kernels.negated(found) if negated else found

        return parts, within

    def _test(self, node: In | Like | IsNull | Not) -> tuple[list[Part], Run]:
        operand = self.part(node.operand)
        run, at = operand.run, node.at
        if isinstance(node, Not):
            return [operand], lambda terms: kernels.negated(kernels.truth(run(terms), at))
        if isinstance(node, IsNull):
            return [operand], _null_test(run, wanted=node.negated)
        items: list[Part] = []
        if isinstance(node, Like):
            test = _alone(kernels.on_texts(by_text(like(node.pattern), np.bool_), at))
        else:
            items = [self.part(item) for item in node.items]
            test = _among(node, items)
        if node.negated:
            return [operand, *items], lambda terms: kernels.negated(test(run(terms), terms))
        return [operand, *items], lambda terms: test(run(terms), terms)


def _against(sign: str, other: Expression, part: Part, at: int) -> _Test:
    """A comparison of a value that is computed already with ``other``, whose part is ``part``."""
    match other:
        case Literal(kind=Kind.INT | Kind.FLOAT, value=int() | float() as number):
            return _alone(kernels.against_number(sign, number, at))
        case Literal(kind=Kind.TEXT, value=str() as text):
            return _alone(kernels.against_text(sign, text, at))
        case _:
            compare, right = kernels.comparing(sign, at), part.run
            return lambda left, terms: compare(left, right(terms))


def _alone(test: Callable[[Value], Value]) -> _Test:
    """A test that needs nothing but the value."""
    return lambda value, _: test(value)


def _among(node: In, parts: Sequence[Part]) -> _Test:
    """Whether a value is one of the items; with constants of one type in one step."""
    items = [(item, part) for item, part in zip(node.items, parts, strict=True) if not (isinstance(item, Literal) and item.kind is None)]
    if not items:
        return lambda _value, _terms: NULL_TRUTH
    constants = [item.value for item, _ in items if isinstance(item, Literal)]
    numbers = [c for c in constants if isinstance(c, int | float) and not isinstance(c, bool)]
    texts = frozenset(c for c in constants if isinstance(c, str))
    if len(numbers) == len(items):
        test = _alone(kernels.among_numbers(numbers, node.at))
    elif len(constants) == len(items) and all(isinstance(c, str) for c in constants):
        test = _alone(kernels.on_texts(by_text(texts.__contains__, np.bool_), node.at))
    else:
        test = _any_of([_against("=", item, part, node.at) for item, part in items])
    return test if len(items) == len(node.items) else _or_null(test)


def _any_of(tests: Sequence[_Test]) -> _Test:
    return lambda value, terms: kernels.any_true([test(value, terms) for test in tests])


def _constant(value: Value) -> Part:
    return Part(lambda _: value, value)


def _value_of(literal: Literal) -> Value:
    match literal.value:
        case None:
            return NULL
        case str():
            return np.zeros((), np.int32), None, (literal.value,)
        case bool():
            return np.array(literal.value, np.bool_), None, None
        case _:
            return np.array(literal.value, np.int64 if literal.kind is Kind.INT else np.float64), None, None


def _null_test(run: Run, *, wanted: bool) -> Run:
    """``wanted`` False: is null; True: is not null."""

    def test(terms: Sequence[Value]) -> Value:
        valid = run(terms)[1]
        if valid is None:
            return np.array(wanted), None, None
        return (valid if wanted else ~valid), None, None

    return test


def _or_null(test: _Test) -> _Test:
    """Null where it isn't true: what ``in`` says when one of its items is null."""

    def found(value: Value, terms: Sequence[Value]) -> Value:
        values, valid, _ = test(value, terms)
        return values, kernels.both(valid, values), None

    return found
