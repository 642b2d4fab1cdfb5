"""What an expression gives, and whether its columns are there and its types compare: all that can be said before the first record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, TypeVar

from appliance.hot.stream.expression.functions import COUNTS, OF_ANY_KIND, OF_NUMBERS, OF_TEXTS, Statistic
from appliance.hot.stream.expression.nodes import (
    Aggregate,
    Arithmetic,
    Baseline,
    Between,
    Call,
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
    Term,
    TimeSince,
)
from appliance.hot.stream.expression.refused import ExpressionRefused, clipped, did_you_mean
from appliance.records import Kind, fold

_T = TypeVar("_T")
_Named: TypeAlias = dict[str, tuple[str, _T]]
"""By folded name: the name as it is, and what has it."""
_NUMBERS: Final = frozenset({Kind.INT, Kind.FLOAT})
_WORDS: Final[Mapping[Kind | None, str]] = {
    Kind.INT: "a number",
    Kind.FLOAT: "a number",
    Kind.TEXT: "a text",
    Kind.TAG: "a text",
    Kind.BOOL: "true or false",
    None: "null",
}
_ORDERED: Final = frozenset({"<", "<=", ">", ">="})


def check(expression: Expression, kinds: Mapping[str, Kind], *, streams: Mapping[str, Mapping[str, Kind]] | None = None) -> Kind:
    """The kind of the result: INT, FLOAT, BOOL or TEXT (also for tags).

    ``kinds`` are the columns that are written bare; ``streams`` those that are written with a stream's name, by stream. Names are
    compared without case. Raises ``ExpressionRefused`` for a column that isn't there, types that don't go together, and a result that
    is always null.
    """
    checker = _Checker(_named(kinds), _named({stream: _named(of) for stream, of in (streams or {}).items()}))
    kind = checker.kind_of(expression)
    if kind is None:
        raise ExpressionRefused(f"{clipped(expression)} is always null", column=expression.at)
    return kind


def check_condition(expression: Expression, kinds: Mapping[str, Kind], *, streams: Mapping[str, Mapping[str, Kind]] | None = None) -> None:
    """As ``check``; refused, too, is what isn't true or false."""
    kind = check(expression, kinds, streams=streams)
    if kind is not Kind.BOOL:
        raise _no_condition(expression, kind)


def check_text(expression: Expression, columns: Iterable[Column]) -> None:
    """What the text of a condition alone says: raises ``ExpressionRefused`` for what no kinds of its ``columns`` could make right."""
    _check_open(expression, {})
    for name in dict.fromkeys(str(c) for c in columns):
        refusals = []
        for kind in (Kind.FLOAT, Kind.TEXT, Kind.BOOL):
            try:
                _check_open(expression, {name: kind})
            except ExpressionRefused as e:
                refusals.append(e)
            else:
                break
        else:
            raise max(refusals, key=lambda e: e.column)


def _check_open(expression: Expression, kinds: Mapping[str, Kind]) -> None:
    kind = _OpenChecker(kinds).kind_of(expression)
    if kind is not None and kind is not Kind.BOOL:
        raise _no_condition(expression, kind)


class _Checker:
    """Goes through a tree from the left to the right; the first mistake is told. None is the kind of what is always null."""

    __slots__ = ("_kinds", "_streams")

    def __init__(self, kinds: _Named[Kind], streams: _Named[_Named[Kind]]) -> None:
        self._kinds = kinds
        self._streams = streams

    def kind_of(self, node: Expression) -> Kind | None:
        match node:
            case Literal():
                return node.kind
            case Column() | Aggregate() | TimeSince() | Baseline():
                return self._term(node)
            case Negate():
                return self._computed("-", (node.operand,))
            case Arithmetic():
                return self._computed(node.rest[0][0], (node.first, *(operand for _, operand in node.rest)))
            case Call():
                return self._call(node)
            case _:
                self._condition(node)
                return Kind.BOOL

    def _term(self, term: Term) -> Kind | None:
        match term:
            case Column():
                return self._column(term)
            case Baseline():
                self._numbers(term.function, (term.column,))
                return Kind.FLOAT
            case TimeSince():
                self._truths("time_since", (term.condition,))
                return Kind.FLOAT
            case _:
                return self._aggregate(term)

    def _column(self, column: Column) -> Kind | None:
        kinds, of = self._kinds, ""
        if column.stream is not None:
            if column.stream not in self._streams:
                hint = did_you_mean(column.stream, (name for name, _ in self._streams.values()))
                raise ExpressionRefused(f"there is no stream {clipped(column.stream)} here{hint}", column=column.at)
            stream, kinds = self._streams[column.stream]
            of = f" in {clipped(stream)}"
        if column.name not in kinds:
            hint = did_you_mean(column.name, (name for name, _ in kinds.values()), otherwise="; a text stands in single quotes")
            raise ExpressionRefused(f"there is no column {clipped(column.name)}{of}{hint}", column=column.at)
        _, kind = kinds[column.name]
        return Kind.TEXT if kind is Kind.TAG else kind

    def _aggregate(self, node: Aggregate) -> Kind | None:
        if node.argument is None:
            return Kind.INT
        if node.statistic in OF_ANY_KIND:
            kind = self.kind_of(node.argument) or Kind.FLOAT
        else:
            kind = self._numbers(node.statistic, (node.argument,))
        if node.statistic in COUNTS:
            return Kind.INT
        return kind if node.statistic in {Statistic.FIRST, Statistic.LAST, Statistic.MIN, Statistic.MAX} else Kind.FLOAT

    def _call(self, node: Call) -> Kind | None:
        if node.name in OF_NUMBERS:
            return self._computed(node.name, node.arguments)
        if node.name in OF_TEXTS:
            kind = self.kind_of(node.arguments[0])
            if kind not in {Kind.TEXT, None}:
                raise _takes(node.name, "a text", node.arguments[0], kind)
            return Kind.INT if node.name == "length" else Kind.TEXT
        kind = self._alike(node.arguments)
        if kind is Kind.BOOL and node.name != "coalesce":
            raise ExpressionRefused(f"{node.name} takes numbers or texts: true and false have no order", column=node.at)
        return kind

    def _condition(self, node: Expression) -> None:
        match node:
            case Comparison():
                self._comparison(node)
            case Between():
                kind = self._alike((node.operand, node.low, node.high))
                if kind is Kind.BOOL:
                    raise ExpressionRefused("between takes numbers or texts: true and false have no order", column=node.at)
            case In():
                self._alike((node.operand, *node.items))
            case Like():
                kind = self.kind_of(node.operand)
                if kind not in {Kind.TEXT, None}:
                    raise _takes("like", "a text", node.operand, kind)
            case IsNull():
                self.kind_of(node.operand)
            case Not():
                self._truths("not", (node.operand,))
            case Logic():
                self._truths(node.word, node.operands)
            case _:
                raise AssertionError(f"no condition: {node!r}")

    def _comparison(self, node: Comparison) -> None:
        for side, other in ((node.right, node.left), (node.left, node.right)):
            if isinstance(side, Literal) and side.value is None:
                instead = f"{clipped(other)} is {'not ' if node.sign == '!=' else ''}null"
                raise ExpressionRefused(f"nothing compares with null; write {instead}", column=side.at)
        kind = self._alike((node.left, node.right))
        if kind is Kind.BOOL and node.sign in _ORDERED:
            raise ExpressionRefused(f"true and false have no order, so {node.sign} can't compare them", column=node.at)

    def _alike(self, nodes: Iterable[Expression]) -> Kind | None:
        """The kind that holds all of them; refused where two don't compare."""
        first: tuple[Expression, Kind] | None = None
        widest: Kind | None = None
        for node in nodes:
            kind = self.kind_of(node)
            if kind is None:
                continue
            if first is None:
                first, widest = (node, kind), kind
            elif kind is not first[1] and not {kind, first[1]} <= _NUMBERS:
                what = f"{clipped(first[0])} is {_WORDS[first[1]]} and {clipped(node)} is {_WORDS[kind]}"
                raise ExpressionRefused(f"{what}; they can't be compared", column=node.at)
            elif kind is Kind.FLOAT:
                widest = kind
        return widest

    def _numbers(self, what: str, nodes: Iterable[Expression]) -> Kind:
        """The widest kind; each must be a number."""
        kinds = set()
        for node in nodes:
            kind = self.kind_of(node)
            if kind not in _NUMBERS and kind is not None:
                raise _takes(what, "numbers", node, kind)
            kinds.add(kind)
        return Kind.INT if kinds == {Kind.INT} else Kind.FLOAT

    def _computed(self, what: str, nodes: Iterable[Expression]) -> Kind:
        """Arithmetic makes floats of all numbers."""
        self._numbers(what, nodes)
        return Kind.FLOAT

    def _truths(self, what: str, nodes: Iterable[Expression]) -> None:
        for node in nodes:
            kind = self.kind_of(node)
            if kind not in {Kind.BOOL, None}:
                raise _takes(what, "conditions", node, kind)


class _OpenChecker(_Checker):
    """Before the columns are known: each may be of any kind, but for those that are given by how they are written."""

    __slots__ = ("_given",)

    def __init__(self, given: Mapping[str, Kind]) -> None:
        super().__init__({}, {})
        self._given = given

    def _column(self, column: Column) -> Kind | None:
        return self._given.get(str(column))

    def _aggregate(self, node: Aggregate) -> Kind | None:
        if node.statistic in {Statistic.FIRST, Statistic.LAST} and node.argument is not None:
            return self.kind_of(node.argument)
        return super()._aggregate(node)


def _no_condition(expression: Expression, kind: Kind) -> ExpressionRefused:
    instead = f"{clipped(expression)} = 'd1'" if kind is Kind.TEXT else f"{clipped(expression)} > 80"
    what = f"{clipped(expression)} is {_WORDS[kind]}, not a condition"
    return ExpressionRefused(f"{what}; write what it is compared with, as in {instead}", column=expression.at)


def _named(things: Mapping[str, _T]) -> _Named[_T]:
    return {fold(name): (name, thing) for name, thing in things.items()}


def _takes(what: str, wanted: str, node: Expression, kind: Kind | None) -> ExpressionRefused:
    return ExpressionRefused(f"{what} takes {wanted}, and {clipped(node)} is {_WORDS[kind]}", column=node.at)
