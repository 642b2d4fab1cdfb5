"""All that a table keeps of the records of a key: a column of rows, and the columns of each argument."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import NEEDS, Aggregate, Numbers, Part, Places, State
from appliance.hot.stream.windows.argument import Argument, Begins, Columns
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import blank, choose, pick

ROWS = "rows"
"""The column of the number of records."""
Inputs = list[tuple[Numbers, Mask]]
"""For each argument its values as they are kept, in the order of the sorted rows, and which of them count."""


class Layout:
    """The union of what several aggregates need: each state is kept once, whoever asks for it."""

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        self.aggregates = tuple(aggregates)
        parts: dict[int, Part] = {}
        for aggregate in self.aggregates:
            if aggregate.argument is not None:
                parts[aggregate.argument] = parts.get(aggregate.argument, Part(0)) | NEEDS[aggregate.function]
        self.arguments = {index: Argument(index, part) for index, part in sorted(parts.items())}

    @cached_property
    def valued(self) -> tuple[Argument, ...]:
        """The arguments whose values are kept."""
        return tuple(a for a in self.arguments.values() if a.has_values)

    @cached_property
    def is_ordered(self) -> bool:
        """Whether it matters which of the records of a pane is the first by time, or the last."""
        return any(a.has_first or a.has_last for a in self.arguments.values())

    @cached_property
    def columns(self) -> Columns:
        """Of a state."""
        columns: Columns = {ROWS: (np.int64, 0)}
        for argument in self.arguments.values():
            columns |= argument.columns
        return columns

    def meet(self, vectors: Sequence[Vector]) -> bool:
        """Looks at the kinds of the inputs; True: stored states have to be converted. No aggregate may refuse its input's kind."""
        changed = [argument.meet(vectors[index]) for index, argument in self.arguments.items()]
        if any(changed):
            for aggregate in self.aggregates:
                kind = None if aggregate.argument is None else self.arguments[aggregate.argument].kind
                assert kind is None or aggregate.refusal(kind) is None, aggregate.refusal(kind)
            self.__dict__.pop("columns", None)
        return any(changed)

    def convert(self, *states: State) -> None:
        """Brings states to the present types, in place."""
        for state in states:
            for argument in self.arguments.values():
                argument.convert(state)

    def inputs(self, vectors: Sequence[Vector], order: Places) -> Inputs:
        """What rows give, in the order of ``order``."""
        pairs = (argument.values_of(vectors[index]) for index, argument in self.arguments.items())
        return [(values.take(order), ok.take(order)) for values, ok in pairs]

    def run(self, start: State, rows: Round, ts: I64, inputs: Inputs, totals: dict[int, I64]) -> State:
        """The state of the run of each row just after it. Rows are in order of time within their key.

        ``start``: from what each run begins. ``totals``: for each argument whose values are kept, its values of the key with each row.
        """
        out: State = {ROWS: start[ROWS] + 1}
        if not rows.single:
            out[ROWS] = np.arange(1, len(rows) + 1) + (start[ROWS] - rows.starts)[rows.run_of]
        for argument, (values, ok) in zip(self.arguments.values(), inputs, strict=True):
            argument.run(out, start, rows, ts, values, ok)
            if argument.index in totals:
                out[argument.ordinal] = totals[argument.index]
        return out

    def total(self, begins: Begins, rows: Round, ts: I64, inputs: Inputs) -> State:
        """As ``run``, of each run only what holds after its last row. Not where values are kept."""
        counts = rows.lengths.copy()
        counts[begins.runs] += begins.state[ROWS]
        out: State = {ROWS: counts}
        for argument, (values, ok) in zip(self.arguments.values(), inputs, strict=True):
            argument.total(out, begins, rows, ts, values, ok)
        return out

    def gather(self, start: State, rows: Round, ts: I64, inputs: Inputs, totals: dict[int, I64]) -> State:
        """The state of each run after all its rows. Rows are in the order of their sequences, whatever their times."""
        out = pick(self.run(start, rows, ts, inputs, totals), rows.ends)
        for argument, (values, ok) in zip(self.arguments.values(), inputs, strict=True):
            argument.edges(out, start, rows, ts, values, ok)
        return out

    def combine(self, a: State, b: State) -> State:
        """The states of what ``a`` and then ``b`` are of, element by element."""
        out: State = {ROWS: a[ROWS] + b[ROWS]}
        for argument in self.arguments.values():
            argument.combine(out, a, b)
        return out

    def begin(self, goes_on: Mask, opened: State) -> State:
        """What runs begin from: the state of ``opened`` where they go on with it, else nothing."""
        if goes_on.all():
            return opened
        nothing = blank(self.columns, len(goes_on))
        return choose(goes_on, opened, nothing) if goes_on.any() else nothing
