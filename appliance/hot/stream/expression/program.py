"""Programs: an expression that is computed for all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hot.stream.expression import kernels
from appliance.hot.stream.expression.compiler import Compiler, Run
from appliance.hot.stream.expression.nodes import Expression, Term
from appliance.hot.stream.values import I8, Mask, Vector

_ALL: Final[Mask] = np.ones(4096, np.bool_)
_ALL.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that is ready to be computed. Owned by one thread: it keeps what it found out about the newest texts."""

    terms: tuple[Term, ...]
    """What ``evaluate`` is given a vector of, in this order."""
    _places: tuple[int, ...]
    """Which of them are needed."""
    _run: Run
    _computes: bool
    """Whether there is arithmetic in it, whose warnings must be kept quiet: its NaN and infinities become null."""

    def evaluate(self, vectors: Sequence[Vector], *, rows: int = 1) -> Vector:
        """The value in each row, from one vector a term, all of the same length; none of them is changed, nor may the result be.

        bool for conditions, float64 for arithmetic, else the type of the terms. Null spreads as in SQL; division by zero, NaN and
        infinities are null, also in the vectors. ``rows`` is how many there are when there is no term. Raises ``ExpressionRefused``
        when texts meet numbers, which ``check`` finds before, unless one of them is null throughout.
        """
        if vectors:
            rows = len(vectors[0].valid)
        given = [kernels.value_of(vectors[place]) for place in self._places]
        if self._computes:
            with np.errstate(all="ignore"):
                values, valid, texts = self._run(given)
        else:
            values, valid, texts = self._run(given)
        if values.ndim == 0:
            values = np.full(rows, values)
        if valid is None:
            valid = _ALL[:rows] if rows <= len(_ALL) else np.ones(rows, np.bool_)
        elif valid.ndim == 0:
            valid = np.full(rows, valid)
        return Vector(values, valid, texts)

    @staticmethod
    def levels(when: Vector, clear: Vector | None = None) -> I8:
        """The level in each row: +1 where ``when`` is true, else -1 where ``clear`` is true (without it: ``when`` is false), else 0.

        Raises ``ExpressionRefused`` for vectors that aren't conditions.
        """
        holds, known = _truths(when)
        true = holds & known
        if clear is None:
            over = known > holds
        else:
            ends, ends_known = _truths(clear)
            over = (ends & ends_known) > true
        levels: I8 = true.view(np.int8) - over.view(np.int8)
        return levels


def compile_(expression: Expression, terms: Sequence[Term]) -> Program:
    """A program that takes the vectors of ``terms`` in that order; there may be terms among them that ``expression`` hasn't.

    ``KeyError`` for a term of the expression that isn't among them. Constant parts are computed here, once.
    """
    compiler = Compiler()
    run = compiler.part(expression).run
    places = {term: place for place, term in enumerate(terms)}
    return Program(tuple(terms), tuple(places[term] for term in compiler.terms), run, compiler.computes)


def _truths(condition: Vector) -> tuple[Mask, Mask]:
    values, _, _ = kernels.truth((condition.values, condition.valid, condition.texts), at=1)
    return (values if values.ndim else np.full(len(condition.valid), values)), condition.valid
