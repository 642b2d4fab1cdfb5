"""Random expressions of each type, and what they are in DuckDB's SQL."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from appliance.hot.stream.expression import Aggregate, Baseline, Column, Expression, Statistic, TimeSince
from appliance.hot.stream.expression.functions import DIGITS_MAX
from appliance.hot.stream.expression.nodes import (
    Arithmetic,
    Between,
    Call,
    Comparison,
    In,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Not,
    number_of,
)
from appliance.records import Kind

NULL = Literal(None, None)
SIGNS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
LETTERS = st.text(st.sampled_from("aAbB%_'é日 \\.*"), max_size=6)
INTS = st.one_of(st.integers(-3, 3), st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1]))
FLOATS = st.one_of(
    st.floats(-4, 4).map(lambda x: round(x, 1)),
    st.sampled_from([0.5, -0.5, 2.5, 1e308, -1e308, 5e-324, 2.0**53, 0.49999999999999994]),
    st.floats(allow_nan=False, allow_infinity=False),
)
KINDS = {"f": Kind.FLOAT, "g": Kind.FLOAT, "i": Kind.INT, "j": Kind.INT, "b": Kind.BOOL, "s": Kind.TEXT, "t": Kind.TAG}

number_literals = st.one_of(INTS.map(number_of), FLOATS.map(number_of))
text_literals = LETTERS.map(lambda t: Literal(t, Kind.TEXT))
bool_literals = st.booleans().map(lambda b: Literal(b, Kind.BOOL))


def chain(signs: str, operands: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    rest = st.lists(st.tuples(st.sampled_from(signs), operands), min_size=1, max_size=3).map(tuple)
    return st.builds(Arithmetic, operands, rest)


def negation(operand: Expression) -> Expression:
    """A minus before a number belongs to the number."""
    if isinstance(operand, Literal) and isinstance(operand.value, int | float):
        return number_of(-operand.value)
    return Negate(operand)


def some(operands: st.SearchStrategy[Expression], most: int = 3) -> st.SearchStrategy[tuple[Expression, ...]]:
    return st.lists(operands, min_size=1, max_size=most).map(tuple)


def numbers(depth: int, names: tuple[str, ...] = ("f", "g", "i", "j")) -> st.SearchStrategy[Expression]:
    leaves = st.one_of(st.sampled_from(names).map(Column), number_literals)
    if depth == 0:
        return leaves
    inner, words = numbers(depth - 1, names), texts(depth - 1)
    digits = st.integers(-DIGITS_MAX, DIGITS_MAX).map(number_of)
    choice = st.sampled_from(["least", "greatest", "coalesce"])
    return st.one_of(
        leaves,
        chain("+-", inner),
        chain("*/%", inner),
        inner.map(negation),
        st.builds(Call, st.sampled_from(["abs", "round", "floor", "ceil", "sqrt"]), st.tuples(inner)),
        st.builds(Call, st.just("round"), st.tuples(inner, digits)),
        st.builds(Call, choice, some(st.one_of(inner, inner, st.just(NULL)))),
        st.builds(Call, st.just("length"), st.tuples(words)),
    )


def texts(depth: int) -> st.SearchStrategy[Expression]:
    leaves = st.one_of(st.sampled_from(["s", "t"]).map(Column), text_literals)
    if depth == 0:
        return leaves
    inner = texts(depth - 1)
    return st.one_of(
        leaves,
        st.builds(Call, st.sampled_from(["lower", "upper"]), st.tuples(inner)),
        st.builds(Call, st.sampled_from(["least", "greatest", "coalesce"]), some(inner)),
    )


def conditions(depth: int) -> st.SearchStrategy[Expression]:
    leaves = st.one_of(st.just(Column("b")), bool_literals, st.just(NULL))
    if depth == 0:
        return leaves
    inner = conditions(depth - 1)
    alike = [numbers(depth - 1), texts(depth - 1)]
    tests = [
        strategy
        for operand in alike
        for strategy in (
            st.builds(Comparison, SIGNS, operand, operand),
            st.builds(Between, operand, operand, operand, st.booleans()),
            st.builds(In, operand, some(st.one_of(operand, operand, st.just(NULL))), st.booleans()),
            st.builds(IsNull, operand, st.booleans()),
        )
    ]
    return st.one_of(
        leaves,
        *tests,
        st.builds(In, numbers(0), st.lists(number_literals, min_size=1, max_size=20).map(tuple), st.booleans()),
        st.builds(In, texts(depth - 1), some(text_literals), st.booleans()),
        st.builds(Like, texts(depth - 1), LETTERS, st.booleans()),
        st.builds(Comparison, st.sampled_from(["=", "!="]), inner, inner),
        st.builds(Not, inner),
        st.builds(Logic, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Call, st.just("coalesce"), some(inner)),
    )


ODD_NAMES = st.one_of(
    st.sampled_from(["temperature", "and", "distinct", "a b", 'x"y', "größe", "min", "avg", "1st", "a.b", "'", "é", "{x}"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).map(str.lower),
)
ODD_COLUMNS = st.builds(Column, ODD_NAMES, st.one_of(st.none(), ODD_NAMES))


def terms_of_any_kind() -> st.SearchStrategy[Expression]:
    """Every kind of term, over columns of odd names too."""
    of_columns = st.one_of(ODD_COLUMNS, chain("+-", ODD_COLUMNS))
    plain = st.sampled_from([s for s in Statistic if s is not Statistic.QUANTILE])
    return st.one_of(
        ODD_COLUMNS,
        st.just(Aggregate(Statistic.COUNT, None)),
        st.builds(Aggregate, plain, of_columns),
        st.builds(Aggregate, st.just(Statistic.QUANTILE), of_columns, st.floats(0, 1)),
        st.builds(TimeSince, st.builds(Comparison, SIGNS, of_columns, number_literals)),
        st.builds(Baseline, ODD_COLUMNS),
    )


def whole() -> st.SearchStrategy[Expression]:
    """Expressions with everything that the language has."""
    comparisons = st.builds(Comparison, SIGNS, terms_of_any_kind(), numbers(2))
    return st.one_of(
        conditions(3), numbers(3), terms_of_any_kind(), st.builds(Logic, st.just("and"), st.tuples(conditions(2), comparisons))
    )


def sql_of(node: Any) -> str:
    """The same in DuckDB's SQL, where ``finite(x)`` is null for what is no number, and each literal is cast to what it is here."""
    match node:
        case Literal(value=None):
            return "NULL"
        case Literal(kind=Kind.TEXT):
            return str(node)
        case Literal(kind=Kind.BOOL):
            return str(node)
        case Literal():
            return f"CAST('{node.value!r}' AS {'BIGINT' if node.kind is Kind.INT else 'DOUBLE'})"
        case Column():
            return node.name
        case Negate():
            return f"(-{_double(node.operand)})"
        case Arithmetic():
            text = _double(node.first)
            for sign, operand in node.rest:
                text = f"({text} {sign} {_double(operand)})"
            return f"finite({text})"
        case Call():
            return _call(node)
        case _:
            return f"({_condition(node)})"


def _double(node: Any) -> str:
    return f"CAST({sql_of(node)} AS DOUBLE)"


def _call(node: Call) -> str:
    if node.name in {"abs", "floor", "ceil", "round"}:
        digits = f", {node.arguments[1]}" if len(node.arguments) == 2 else ""
        return f"{node.name}({_double(node.arguments[0])}{digits})"
    if node.name == "sqrt":
        return f"root({_double(node.arguments[0])})"
    return f"{node.name}({', '.join(sql_of(argument) for argument in node.arguments)})"


def _condition(node: Any) -> str:
    operand = sql_of(node.operand) if hasattr(node, "operand") else ""
    no = "NOT " if getattr(node, "negated", False) else ""
    match node:
        case Comparison():
            return f"{sql_of(node.left)} {node.sign} {sql_of(node.right)}"
        case Between():
            return f"{no}({operand} >= {sql_of(node.low)} AND {operand} <= {sql_of(node.high)})"
        case In():
            return f"{no}({' OR '.join(f'{operand} = {sql_of(item)}' for item in node.items)})"
        case Like():
            return f"{operand} {no}LIKE {Literal(node.pattern, Kind.TEXT)}"
        case IsNull():
            return f"{operand} IS {no}NULL"
        case Not():
            return f"NOT {operand}"
        case Logic():
            return f" {node.word} ".join(sql_of(o) for o in node.operands)
        case _:
            raise AssertionError(node)
