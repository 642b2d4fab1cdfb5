"""Operations by column with SQL's three-valued logic, on ``Value``s: what a program is put together from.

A value is a triple (values, valid, texts) as in ``Vector``, with two freedoms that save work: ``valid`` None says that nothing is null, and
values as well as ``valid`` may be of no dimension, which stands for every row. Where a row is null its value means nothing. A kernel never
changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from appliance.hot.stream.expression.refused import ExpressionRefused
from appliance.hot.stream.expression.texts import Texts, by_text, code_of, unifying
from appliance.hot.stream.values import Vector

Array: TypeAlias = Any
"""An array or a scalar of numpy."""
Value: TypeAlias = tuple[Array, Array | None, Texts | None]
Kernel: TypeAlias = Callable[[Value, Value], Value]

FLOAT, BOOL = "d", "?"
"""``dtype.char`` of what most values are."""
NULL: Value = (np.zeros((), np.float64), np.zeros((), np.bool_), None)
"""Null in every row; goes with any type."""
NULL_TRUTH: Value = (np.zeros((), np.bool_), np.zeros((), np.bool_), None)
"""Neither true nor false in any row."""
_THERE = np.ones((), np.bool_)
_FEW = 16
"""Numbers up to which comparing with each is cheaper than sorting them."""
COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_ORDER: dict[str, Callable[[str], Callable[[str], bool]]] = {
    "<": lambda constant: lambda found: found < constant,
    "<=": lambda constant: lambda found: found <= constant,
    ">": lambda constant: lambda found: found > constant,
    ">=": lambda constant: lambda found: found >= constant,
}
COMPUTE: dict[str, Callable[[Array, Array], Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
}


def value_of(vector: Vector) -> Value:
    """A vector; NaN and infinities in it are null."""
    values, valid = vector.values, vector.valid
    if values.dtype.char == FLOAT:
        valid = valid & np.isfinite(values)
    rows = len(valid)
    return values, (None if rows and np.count_nonzero(valid) == rows else valid), vector.texts


def both(a: Array | None, b: Array | None) -> Array | None:
    """Valid where both are."""
    if a is None:
        return b
    return a if b is None else a & b


def is_null(value: Value) -> bool:
    """Whether there is no row that isn't null, as far as is said."""
    return value[1] is not None and not np.count_nonzero(value[1])


def finite(values: Array, valid: Array | None) -> Value:
    """Numbers that were computed: what is none (NaN, infinite) becomes null."""
    whole = np.isfinite(values)
    if np.count_nonzero(whole) == whole.size:
        return values, valid, None
    return values, both(valid, whole), None


def number(value: Value, at: int) -> Value:
    """As float64; raises ``ExpressionRefused`` for texts."""
    values, valid, texts = value
    if texts is not None:
        if is_null(value):
            return NULL
        raise _mistyped("a text stands where a number is computed with", at)
    return value if values.dtype.char == FLOAT else (values.astype(np.float64), valid, None)


def truth(value: Value, at: int) -> Value:
    """As bools; raises ``ExpressionRefused`` for what isn't."""
    if value[0].dtype.char == BOOL:
        return value
    if is_null(value):
        return np.zeros((), np.bool_), value[1], None
    raise _mistyped("a value that isn't true or false stands where a condition is expected", at)


def texts_of(value: Value, at: int) -> tuple[Array, Array | None, Texts] | None:
    """A value of texts, or None where all of it is null; raises ``ExpressionRefused`` for what isn't texts."""
    values, valid, texts = value
    if texts is not None:
        return values, valid, texts
    if is_null(value):
        return None
    raise _mistyped("a number stands where a text is expected", at)


def all_true(operands: Iterable[Value]) -> Value:
    """AND: false where any is false, else null where any is null."""
    true, false, known = _counted(operands, np.logical_and, np.logical_or)
    return (true, None, None) if known else (true, true | false, None)


def any_true(operands: Iterable[Value]) -> Value:
    """OR: true where any is true, else null where any is null."""
    true, false, known = _counted(operands, np.logical_or, np.logical_and)
    return (true, None, None) if known else (true, true | false, None)


def _counted(operands: Iterable[Value], of_true: Any, of_false: Any) -> tuple[Array, Array, bool]:
    """Where the whole is true, where it is false, and whether it is one of them everywhere."""
    given = tuple(operands)
    if all(valid is None for _, valid, _ in given):
        true = given[0][0]
        for values, _, _ in given[1:]:
            true = of_true(true, values)
        return true, true, True
    true = false = None
    for values, valid, _ in given:
        is_true, is_false = (values, ~values) if valid is None else (values & valid, valid > values)
        true = is_true if true is None else of_true(true, is_true)
        false = is_false if false is None else of_false(false, is_false)
    return true, false, False


def negated(value: Value) -> Value:
    """NOT of bools."""
    return ~value[0], value[1], None


def comparing(sign: str, at: int) -> Kernel:
    """A comparison of two values of any kind; raises ``ExpressionRefused`` when one is texts and the other isn't."""
    compare = COMPARE[sign]
    unify = unifying()

    def of(left: Value, right: Value) -> Value:
        a, a_valid, a_texts = left
        b, b_valid, b_texts = right
        if a_texts is not None and b_texts is not None:
            _, a_ranks, b_ranks = unify(a_texts, b_texts)
            a, b = a_ranks.take(a, mode="clip"), b_ranks.take(b, mode="clip")
        elif a_texts is not b_texts:
            check_alike(left, right, at)
            return NULL_TRUTH
        return compare(a, b), both(a_valid, b_valid), None

    return of


def against_number(sign: str, constant: float, at: int) -> Callable[[Value], Value]:
    """A comparison with a number on the right."""
    compare = COMPARE[sign]
    as_float = np.array(constant, np.float64)
    as_int = np.array(constant, np.int64) if _fits(constant) else as_float
    other: Value = (as_float, None, None)

    def of(left: Value) -> Value:
        values, valid, texts = left
        if texts is not None:
            check_alike(left, other, at)
            return NULL_TRUTH
        return compare(values, as_float if values.dtype.char == FLOAT else as_int), valid, None

    return of


def against_text(sign: str, constant: str, at: int) -> Callable[[Value], Value]:
    """A comparison with a text on the right."""
    compare = COMPARE[sign]
    if sign in {"=", "!="}:
        return on_texts(lambda codes, texts: compare(codes, code_of(constant, texts)), at)
    return on_texts(by_text(_ORDER[sign](constant), np.bool_), at)


def on_texts(function: Callable[[Array, Texts], Array], at: int) -> Callable[[Value], Value]:
    """A kernel from one of codes and texts; null stays null; raises ``ExpressionRefused`` for what isn't texts."""

    def of(operand: Value) -> Value:
        found = texts_of(operand, at)
        if found is None:
            return NULL_TRUTH
        codes, valid, texts = found
        return function(codes, texts), valid, None

    return of


def merging(choose: Callable[[Array, Array, Array, Array], Array], at: int) -> Kernel:
    """One value of two where both, or only one, are there: coalesce, least, greatest. Null only where both are.

    ``choose(a, a_valid, b, b_valid)`` gives the values; of texts it gets codes that are in the order of the texts.
    """
    unify = unifying()

    def of(left: Value, right: Value) -> Value:
        if is_null(left) or is_null(right):
            return right if is_null(left) else left
        a, a_valid, a_texts = left
        b, b_valid, b_texts = right
        texts: Texts | None = None
        if a_texts is not None and b_texts is not None:
            texts, a_ranks, b_ranks = unify(a_texts, b_texts)
            a, b = a_ranks.take(a, mode="clip"), b_ranks.take(b, mode="clip")
        elif a_texts is not b_texts:
            check_alike(left, right, at)
        a_there = _THERE if a_valid is None else a_valid
        b_there = _THERE if b_valid is None else b_valid
        valid = None if a_valid is None or b_valid is None else a_valid | b_valid
        return choose(a, a_there, b, b_there), valid, texts

    return of


def coalesce(a: Array, a_valid: Array, b: Array, _: Array) -> Array:
    """The first where it is there."""
    return np.where(a_valid, a, b)


def least(a: Array, a_valid: Array, b: Array, b_valid: Array) -> Array:
    """The smaller one; null is passed over, as in DuckDB."""
    return np.where(a_valid & (~b_valid | (a <= b)), a, b)


def greatest(a: Array, a_valid: Array, b: Array, b_valid: Array) -> Array:
    """The larger one; null is passed over, as in DuckDB."""
    return np.where(a_valid & (~b_valid | (a >= b)), a, b)


def among_numbers(constants: Sequence[float], at: int) -> Callable[[Value], Value]:
    """Whether a value is one of the numbers; whole numbers are told apart exactly."""
    ints = np.array([c for c in constants if _fits(c)], np.int64)
    floats = np.array([c for c in constants if not _fits(c)], np.float64)
    one_by_one = [against_number("=", c, at) for c in constants] if len(constants) <= _FEW else []

    def of(operand: Value) -> Value:
        if one_by_one:
            return any_true(compare(operand) for compare in one_by_one)
        values, valid, texts = operand
        if texts is not None:
            check_alike(operand, (ints, None, None), at)
            return NULL_TRUTH
        return np.isin(values, ints) | np.isin(values, floats), valid, None

    return of


def round_half_away(values: Array) -> Array:
    """To the nearest whole number; halves away from zero, as C's ``round`` and so DuckDB."""
    whole = np.trunc(values)
    return whole + np.copysign(np.abs(values - whole) >= 0.5, values)


def round_to(digits: int) -> Callable[[Array], Array]:
    """To so many digits after the point (negative: before it), the way DuckDB does; what is too large for that stays as it is."""
    factor = 10.0 ** abs(digits)

    def of(values: Array) -> Array:
        rounded = round_half_away(values * factor) / factor if digits >= 0 else round_half_away(values / factor) * factor
        return np.where(np.isfinite(rounded), rounded, values)

    return of


def check_alike(left: Value, right: Value, at: int) -> None:
    """Texts and numbers meet: raises ``ExpressionRefused`` unless one of them is null throughout."""
    if not is_null(left) and not is_null(right):
        raise _mistyped("a text and a number can't be compared", at)


def _mistyped(reason: str, at: int) -> ExpressionRefused:
    return ExpressionRefused(reason, column=at)


def _fits(constant: float) -> bool:
    """Whether a number is compared as int64."""
    return isinstance(constant, int) and -(2**63) <= constant < 2**63
