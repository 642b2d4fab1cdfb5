"""What aggregates are over: expressions of the columns of each record, computed once a round for all that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.hot.stream.expression import Column, Expression, Program, columns_to_vectors, compile_, terms
from appliance.hot.stream.values import Rows, Vector


@dataclass(slots=True)
class Inputs:
    """What is aggregated: expressions over the columns of each record, each computed once a round."""

    programs: list[Program] = field(default_factory=list)
    arguments: dict[Expression, int] = field(default_factory=dict)

    def add(self, argument: Expression) -> int:
        """The number of an argument."""
        if argument not in self.arguments:
            self.arguments[argument] = len(self.programs)
            found = tuple(t for t in terms(argument))
            self.programs.append(compile_(argument, found))
        return self.arguments[argument]

    def of(self, rows: Rows) -> list[Vector]:
        """One vector an argument."""
        return [rows.computed.get(e) or self._compute(e, p, rows) for e, p in zip(self.arguments, self.programs, strict=True)]

    @staticmethod
    def _compute(expression: Expression, program: Program, rows: Rows) -> Vector:
        if isinstance(expression, Column):
            return rows.computed.setdefault(expression, vectors_of(rows, [expression.name])[0])
        names = [t.name for t in program.terms if isinstance(t, Column)]
        vector = rows.computed[expression] = program.evaluate(vectors_of(rows, names), rows=len(rows))
        return vector


def vectors_of(rows: Rows, names: Sequence[str]) -> list[Vector]:
    """Columns as vectors, each made once a round; ``names`` are folded."""
    missing = [n for n in names if n not in rows.made]
    if missing:
        rows.made.update(zip(missing, columns_to_vectors(rows.data, missing), strict=True))
    return [rows.made[n] for n in names]
