"""One ``[workload.NAME]`` of kind session over the records of its stream. Owned by the plan of the stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from appliance.clock import US_PER_S
from appliance.hot.stream.expression import Aggregate, ExpressionRefused, check, parse
from appliance.hot.stream.inputs import Inputs
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.rules import RuleRefused, key_columns, kinds_of
from appliance.hot.stream.sessions.live import SessionRow, session_rows
from appliance.hot.stream.sessions.rows import FIELDS, session_submission
from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import SessionAggregate, SessionRows
from appliance.hot.stream.values import I64, Key, Mask, Rows
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import Schema, Submission, fold
from appliance.workload_options import SessionOptions

_FUNCTION: Final[Mapping[str, Function]] = {f.value: f for f in Function}


@dataclass(frozen=True, slots=True)
class ParsedSession:
    """Understood as far as its text alone allows."""

    name: str
    options: SessionOptions
    aggregates: tuple[tuple[str, Aggregate], ...]
    """Field -> what is kept in it."""


class Body(msgspec.Struct, frozen=True):
    """What is stored of one key: the state that goes on after a restart, and what people are shown of it."""

    state: str
    shown: SessionRow | None


@dataclass(slots=True)
class SessionWatch:
    """See the module."""

    name: str
    keys: KeySpace
    inputs: Inputs
    tracker: SessionTracker
    names: tuple[str, ...]
    is_restored: bool = False
    """It goes on from what was stored; else the records of the past have to be read again."""
    submissions: list[Submission] = field(default_factory=list)
    """Sessions that have closed, on their way to the door."""

    @property
    def reach_us(self) -> int:
        """How far back records matter, where no state was stored."""
        return self.tracker.gap_us + self.tracker.longest_us

    def load(self, rows: Rows, watermark: I64, repeats: Mask | None) -> None:
        """Records that were taken before, where no state was stored."""
        ids, kept = self._kept(rows, repeats)
        if len(kept):
            vectors = [v.take(kept) for v in self.inputs.of(rows)]
            self.tracker.load_rows(ids[kept], rows.ts[kept], rows.seqs[kept], vectors, watermark[kept])

    def take(self, rows: Rows, watermark: I64, repeats: Mask | None) -> None:
        """The records of a round; those that may be repeats of earlier ones are left out, since they would count twice."""
        ids, kept = self._kept(rows, repeats)
        if len(kept):
            vectors = [v.take(kept) for v in self.inputs.of(rows)]
            closed = self.tracker.take(ids[kept], rows.ts[kept], rows.seqs[kept], vectors, watermark[kept])
            self._emit(closed.rows)

    def advance(self, watermark_us: int) -> None:
        """Sessions that time alone closes."""
        self._emit(self.tracker.advance(watermark_us).rows)

    def bodies(self) -> Iterator[tuple[str, Key, str]]:
        """(workload, key, body) of each key that has changed since the last call."""
        changed = self.tracker.changed
        if not len(changed):
            return
        shown = {tuple(r.key.values()): r for r in self.open_rows()}
        for number, state in self.tracker.dump(changed):
            key = self.keys.key(number)
            yield self.name, key, msgspec.json.encode(Body(state, shown.get(key))).decode()

    def restore(self, bodies: Mapping[Key, str]) -> None:
        """Goes on from what was stored, unless a body was made for other options: then the records have to be read again."""
        self.is_restored = bool(bodies)
        for key, text in bodies.items():
            body = msgspec.json.decode(text, type=Body)
            if not self.tracker.load(self.keys.add(key), body.state):
                self.is_restored = False
                return

    def open_rows(self) -> list[SessionRow]:
        """The sessions that are open."""
        return session_rows(self.name, self.keys.by, self.keys.values, self.names, self.tracker.open_sessions(), is_open=True)

    def _kept(self, rows: Rows, repeats: Mask | None) -> tuple[I64, I64]:
        ids = self.keys.ids(rows.data)
        fine = ids >= 0 if repeats is None else (ids >= 0) & ~repeats
        return ids, np.flatnonzero(fine)

    def _emit(self, closed: SessionRows) -> None:
        made = session_submission(self.name, self.keys.by, self.keys.values, self.names, closed)
        if made is not None:
            self.submissions.append(made)


def parse_session(name: str, options: SessionOptions) -> ParsedSession:
    """Raises ``RuleRefused`` with the field and the column of the mistake."""
    found: list[tuple[str, Aggregate]] = []
    for label, text in options.fields.items():
        at = f"workload.{name}.fields.{label}"
        if fold(label) in {*FIELDS, "ts", "_seq", *(fold(b) for b in options.by or ())}:
            raise RuleRefused(f"{at} has the name of a column that each session has")
        try:
            expression = parse(text, stream=options.stream)
        except ExpressionRefused as e:
            raise RuleRefused(f"{at} {e}") from None
        if not isinstance(expression, Aggregate):
            raise RuleRefused(f"{at} {text!r} is no aggregate; write avg(x), max(x) or count(*), say")
        found.append((label, expression))
    return ParsedSession(name, options, tuple(found))


def make_session(parsed: ParsedSession, schema: Schema, *, keys_max: int) -> SessionWatch:
    """A workload over the columns of its stream. Raises ``RuleRefused`` where they don't fit."""
    by = key_columns(parsed.options.by, schema, f"workload.{parsed.name}.by")
    inputs = Inputs()
    aggregates: list[SessionAggregate] = []
    for label, term in parsed.aggregates:
        at = f"workload.{parsed.name}.fields.{label}"
        try:
            check(term, kinds_of(schema))
        except ExpressionRefused as e:
            raise RuleRefused(f"{at} {e}") from None
        aggregates.append(_aggregate(label, term, inputs))
        if term.argument is not None and (refusal := aggregates[-1].refusal(check(term.argument, kinds_of(schema)))):
            raise RuleRefused(f"{at} {refusal}")
    options = parsed.options
    tracker = SessionTracker(round(options.gap_s * US_PER_S), round(options.longest_s * US_PER_S), aggregates)
    return SessionWatch(parsed.name, KeySpace(by, keys_max), inputs, tracker, tuple(label for label, _ in parsed.aggregates))


def _aggregate(label: str, term: Aggregate, inputs: Inputs) -> SessionAggregate:
    if term.argument is None:
        return SessionAggregate(label, Function.COUNT_ALL)
    argument = inputs.add(term.argument)
    if term.statistic == "median":
        return SessionAggregate(label, Function.QUANTILE, argument, 0.5)
    return SessionAggregate(label, _FUNCTION[term.statistic.value], argument, term.parameter)
