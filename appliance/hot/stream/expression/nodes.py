"""The tree of an expression: frozen values that know where they stood and how they are written.

``str(node)`` is the canonical text, which ``parse`` reads back as an equal node: names folded, words in lower case, one space around
operators, parentheses only where they matter. Two nodes are equal when they mean the same text, wherever they stood. ``at`` is the 1-based
column in the text: of the operator where there is one, else of the first character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from appliance.hot.stream.expression.functions import BASELINE, RESERVED_WORDS, TIME_SINCE, Statistic
from appliance.hot.stream.values import Scalar
from appliance.records import Kind

OR, AND, NOT, IS, COMPARES, TESTS, ADDS, MULTIPLIES, NEGATES, ATOM = range(1, 11)
"""How tightly operators bind, loosest first (PostgreSQL's order)."""
COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_BARE = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant as it was written; a minus before a number is part of it."""

    value: Scalar
    kind: Kind | None
    """INT (of 64 bits), FLOAT (finite; also a whole number beyond 64 bits), TEXT, BOOL; None: null."""
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        match self.value:
            case None:
                return "null"
            case bool():
                return "true" if self.value else "false"
            case str():
                return "'" + self.value.replace("'", "''") + "'"
            case _:
                return repr(self.value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the stream that is watched, or, with ``stream``, of the one named. Both names are folded."""

    name: str
    stream: str | None = None
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return _name(self.name) if self.stream is None else f"{_name(self.stream)}.{_name(self.name)}"


@dataclass(frozen=True, slots=True)
class Negate:
    """``-x`` of something that is not a plain number."""

    operand: Expression
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"-{_within(self.operand, NEGATES)}"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A chain of operators of one level, computed from the left: ``first`` then each (operator, operand), at least one."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    """Operators all of ``+ -`` or all of ``* / %``."""
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        level = level_of(self)
        return _within(self.first, level) + "".join(f" {sign} {_within(operand, level)}" for sign, operand in self.rest)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left sign right`` with a sign of ``COMPARISONS``."""

    sign: str
    left: Expression
    right: Expression
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.left, COMPARES)} {self.sign} {_within(self.right, COMPARES)}"


@dataclass(frozen=True, slots=True)
class Between:
    """``x between low and high``, both ends in."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        low, high = _within(self.low, TESTS), _within(self.high, TESTS)
        return f"{_within(self.operand, TESTS)} {_not(self.negated)}between {low} and {high}"


@dataclass(frozen=True, slots=True)
class In:
    """``x in (…)`` with at least one item."""

    operand: Expression
    items: tuple[Expression, ...]
    negated: bool = False
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.operand, TESTS)} {_not(self.negated)}in ({_listed(self.items)})"


@dataclass(frozen=True, slots=True)
class Like:
    """``x like 'a%'``: ``%`` stands for any text, ``_`` for one character; case matters; there is no escape."""

    operand: Expression
    pattern: str
    negated: bool = False
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.operand, TESTS)} {_not(self.negated)}like {Literal(self.pattern, Kind.TEXT)}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """``x is null``; never null itself."""

    operand: Expression
    negated: bool = False
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.operand, IS)} is {_not(self.negated)}null"


@dataclass(frozen=True, slots=True)
class Not:
    """``not x``."""

    operand: Expression
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"not {_within(self.operand, NOT - 1)}"


@dataclass(frozen=True, slots=True)
class Logic:
    """``a and b and …`` or ``a or b or …``: two operands or more."""

    word: str
    """``and`` or ``or``."""
    operands: tuple[Expression, ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        level = level_of(self)
        return f" {self.word} ".join(_within(operand, level) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Call:
    """A scalar function: a value for each row. ``name`` is one of ``functions.SCALARS``."""

    name: str
    arguments: tuple[Expression, ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.name}({_listed(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A statistic of a window."""

    statistic: Statistic
    argument: Expression | None
    """Over the columns of each record, with at least one column in it; None: ``count(*)``."""
    parameter: float | None = None
    """Of ``quantile``: in [0, 1]; else None."""
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.statistic is Statistic.DISTINCT:
            return f"count(distinct {self.argument})"
        parameter = "" if self.parameter is None else f", {self.parameter!r}"
        return f"{self.statistic}({'*' if self.argument is None else self.argument}{parameter})"


@dataclass(frozen=True, slots=True)
class TimeSince:
    """Seconds since the last record of the key for which ``condition`` held; null while there was none."""

    condition: Expression
    """Over the columns of each record."""
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{TIME_SINCE}({self.condition})"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What history says of a column for this key and hour of the week; null where it says nothing."""

    column: Column
    at: int = field(default=0, compare=False)
    function: str = BASELINE
    """One of ``BASELINES``."""

    def __str__(self) -> str:
        return f"{self.function}({self.column})"


Term: TypeAlias = Column | Aggregate | TimeSince | Baseline
"""A leaf that is computed outside of the expression; ``str(term)`` names it."""
Combined: TypeAlias = Negate | Arithmetic | Comparison | Between | In | Like | IsNull | Not | Logic | Call
"""A node that is computed from its operands."""
Expression: TypeAlias = Literal | Term | Combined


def number_of(value: float, at: int = 0) -> Literal:
    """The node of a finite number."""
    return Literal(value, Kind.INT if isinstance(value, int) and -(2**63) <= value < 2**63 else Kind.FLOAT, at)


def level_of(node: Expression) -> int:
    """How tightly the outermost operator of ``node`` binds."""
    match node:
        case Logic():
            return OR if node.word == "or" else AND
        case Arithmetic():
            return ADDS if node.rest[0][0] in "+-" else MULTIPLIES
        case Not():
            return NOT
        case IsNull():
            return IS
        case Comparison():
            return COMPARES
        case Between() | In() | Like():
            return TESTS
        case Negate():
            return NEGATES
        case _:
            return ATOM


def operands_of(node: Expression) -> tuple[Expression, ...]:
    """What a node is made of, in the order in which it is written, also what terms are made of."""
    match node:
        case Negate() | Like() | IsNull() | Not():
            return (node.operand,)
        case Arithmetic():
            return (node.first, *(operand for _, operand in node.rest))
        case Comparison():
            return (node.left, node.right)
        case Between():
            return (node.operand, node.low, node.high)
        case In():
            return (node.operand, *node.items)
        case Logic():
            return node.operands
        case Call():
            return node.arguments
        case _:
            return _inside(node)


def _inside(node: Literal | Term) -> tuple[Expression, ...]:
    match node:
        case Aggregate():
            return () if node.argument is None else (node.argument,)
        case TimeSince():
            return (node.condition,)
        case Baseline():
            return (node.column,)
        case _:
            return ()


def _within(node: Expression, level: int) -> str:
    """As an operand of an operator of ``level``: in parentheses unless it binds tighter."""
    return str(node) if level_of(node) > level else f"({node})"


def _listed(nodes: tuple[Expression, ...]) -> str:
    return ", ".join(str(node) for node in nodes)


def _not(negated: bool) -> str:
    return "not " if negated else ""


def _name(name: str) -> str:
    if _BARE.fullmatch(name) and name not in RESERVED_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'
