"""What aggregates are over: expressions of the columns of each record, computed once a round for all that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.hot.stream.expression import Column, Expression, Program, columns, columns_to_vectors, compile_, terms
from appliance.hot.stream.values import Rows, Vector


@dataclass(slots=True)
class Inputs:
    """What is aggregated: expressions over the columns of each record, each computed once a round."""

    names: list[str] = field(default_factory=list)
    """Columns of the stream, folded."""
    programs: list[Program] = field(default_factory=list)
    arguments: dict[Expression, int] = field(default_factory=dict)

    def add(self, argument: Expression) -> int:
        """The number of an argument."""
        if argument not in self.arguments:
            self.arguments[argument] = len(self.programs)
            found = tuple(t for t in terms(argument))
            self.names += [c.name for c in columns(argument) if c.name not in self.names]
            self.programs.append(compile_(argument, found))
        return self.arguments[argument]

    def of(self, rows: Rows) -> list[Vector]:
        """One vector an argument."""
        have = dict(zip(self.names, vectors_of(rows, self.names), strict=True))
        return [p.evaluate([have[t.name] for t in p.terms if isinstance(t, Column)], rows=len(rows)) for p in self.programs]


def vectors_of(rows: Rows, names: Sequence[str]) -> list[Vector]:
    """Columns as vectors, each made once a round; ``names`` are folded."""
    missing = [n for n in names if n not in rows.made]
    if missing:
        rows.made.update(zip(missing, columns_to_vectors(rows.data, missing), strict=True))
    return [rows.made[n] for n in names]
