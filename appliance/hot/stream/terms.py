"""What conditions on single records are made of: columns, changes since the record before, time since something held, baselines.

Each term is computed once a round for all rules with the same keys. Owned by the plan of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_S
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.expression import (
    Aggregate,
    Baseline,
    Column,
    Expression,
    Program,
    Statistic,
    Term,
    TimeSince,
    columns,
    compile_,
    terms,
)
from appliance.hot.stream.inputs import vectors_of
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.rules import BoundRule
from appliance.hot.stream.values import I64, Mask, Rows, Vector

Places = npt.NDArray[np.intp]


@dataclass(slots=True)
class Before:
    """The record before, of each key: one value and its time."""

    value: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    at_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """``NEVER`` where there was none."""

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = max(0, keys - len(self.value))
        if new:
            room = max(new, len(self.value))
            self.value = np.append(self.value, np.zeros(room))
            self.at_us = np.append(self.at_us, np.full(room, NEVER, np.int64))

    def change(self, key: I64, ts: I64, vector: Vector, *, keep: bool) -> tuple[Vector, I64]:
        """The change since the record with a value before, and how long that took in µs; rows sorted by key, then time."""
        value = np.asarray(vector.values, dtype=np.float64)
        if vector.valid.all():
            return self._change_of_all(key, ts, value, keep=keep)
        known = np.flatnonzero(vector.valid)
        k, v, t = key[known], value[known], ts[known]
        first = np.append(True, k[1:] != k[:-1])[: len(k)]
        had_v = np.where(first, self.value[k], np.append(0.0, v[:-1])[: len(k)])
        had_t = np.where(first, self.at_us[k], np.append(0, t[:-1])[: len(k)])
        delta, valid, span = np.zeros(len(key)), np.zeros(len(key), np.bool_), np.zeros(len(key), np.int64)
        delta[known], valid[known], span[known] = v - had_v, had_t != NEVER, t - had_t
        if keep:
            self.value[k], self.at_us[k] = v, t
        return Vector(delta, valid), span

    def _change_of_all(self, key: I64, ts: I64, value: npt.NDArray[np.float64], *, keep: bool) -> tuple[Vector, I64]:
        """The same where each record has a value: without picking them."""
        begins = np.flatnonzero(key[1:] != key[:-1]) + 1
        begins = np.concatenate((_ZERO[: len(key)], begins))
        of = key[begins]
        delta, span, valid = np.empty_like(value), np.empty_like(ts), np.ones(len(key), np.bool_)
        np.subtract(value[1:], value[:-1], out=delta[1:])
        np.subtract(ts[1:], ts[:-1], out=span[1:])
        had_us = self.at_us[of]
        delta[begins], span[begins], valid[begins] = value[begins] - self.value[of], ts[begins] - had_us, had_us != NEVER
        if keep and len(key):
            ends = np.append(begins[1:], len(key)) - 1
            self.value[of], self.at_us[of] = value[ends], ts[ends]
        return Vector(delta, valid), span


_ZERO: Final = np.zeros(1, np.intp)


@dataclass(slots=True)
class Held:
    """When a condition held last, of each key."""

    program: Program
    at_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = max(0, keys - len(self.at_us))
        if new:
            self.at_us = np.append(self.at_us, np.full(max(new, len(self.at_us)), NEVER, np.int64))

    def since(self, key: I64, ts: I64, held: Mask, *, keep: bool) -> Vector:
        """Seconds since, at each row; rows sorted by key, then time."""
        first = np.append(True, key[1:] != key[:-1])[: len(key)]
        starts = np.maximum.accumulate(np.where(first, np.arange(len(key)), 0)) if len(key) else np.empty(0, np.int64)
        last = np.maximum.accumulate(np.where(held, np.arange(len(key)), -1)) if len(key) else np.empty(0, np.int64)
        at = np.where(last >= starts, ts[last], self.at_us[key])
        if keep and held.any():
            self.at_us[key[held]] = ts[held]
        valid = at != NEVER
        return Vector(np.where(valid, (ts - at) / US_PER_S, 0.0), valid)


@dataclass(slots=True)
class RecordTerms:
    """The terms of all rules on single records with the same keys."""

    terms: tuple[Term, ...]
    keys: KeySpace
    baselines: Baselines
    stream: str
    by: tuple[str, ...]
    _names: tuple[str, ...] = field(init=False)
    _programs: dict[Expression, Program] = field(default_factory=dict)
    _before: dict[Expression, Before] = field(default_factory=dict)
    _held: dict[Term, Held] = field(default_factory=dict)
    _caches: dict[Term, dict[int, tuple[int, I64]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = tuple(dict.fromkeys(c.name for t in self.terms for c in columns(t)))
        for term in self.terms:
            if isinstance(term, Aggregate) and term.argument is not None:
                self._programs[term.argument] = _compiled(term.argument)
                self._before[term.argument] = Before()
            elif isinstance(term, TimeSince):
                self._held[term] = Held(_compiled(term.condition))

    @property
    def ticks(self) -> bool:
        """Whether a term changes while time alone goes on."""
        return bool(self._held)

    def of(self, vectors: Sequence[Vector], rule: BoundRule) -> list[Vector]:
        """The vectors of one rule's terms out of those of all."""
        return [vectors[self.terms.index(t)] for t in rule.terms]

    def take(self, rows: Rows, key: I64, where: Places, ts: I64) -> list[Vector]:
        """One vector a term for the rows ``where``, which are sorted by key, then happening; they are remembered."""
        return self._vectors(rows, key, where, ts, keep=True)

    def look(self, rows: Rows, key: I64, where: Places, ts: I64) -> list[Vector]:
        """As ``take``, of rows that are not remembered."""
        return self._vectors(rows, key, where, ts, keep=False)

    def tick(self, at_us: int) -> tuple[I64, list[Vector]]:
        """The keys for which time alone may have changed something, and one vector a term; only ``time_since`` has a value."""
        keys = np.arange(len(self.keys), dtype=np.int64)
        known = np.zeros(len(keys), np.bool_)
        for held in self._held.values():
            held.grow(len(keys))
            known |= held.at_us[: len(keys)] != NEVER
        key = keys[known]
        ts = np.full(len(key), at_us, np.int64)
        nothing = Vector(np.zeros(len(key)), np.zeros(len(key), np.bool_))
        never = np.zeros(len(key), np.bool_)
        return key, [self._held[t].since(key, ts, never, keep=False) if isinstance(t, TimeSince) else nothing for t in self.terms]

    def _vectors(self, rows: Rows, key: I64, where: Places, ts: I64, *, keep: bool) -> list[Vector]:
        have = {n: v.take(where) for n, v in zip(self._names, vectors_of(rows, self._names), strict=True)}
        changes: dict[Expression, tuple[Vector, I64]] = {}
        found: list[Vector] = []
        for term in self.terms:
            match term:
                case Column():
                    found.append(have[term.name])
                case Aggregate():
                    assert term.argument is not None
                    if term.argument not in changes:
                        changes[term.argument] = self._change(term.argument, have, key, ts, keep=keep)
                    found.append(_rate(*changes[term.argument]) if term.statistic is Statistic.RATE else changes[term.argument][0])
                case TimeSince():
                    found.append(self._since(term, have, key, ts, keep=keep))
                case Baseline():
                    name = (self.stream, self.by, term.column.name)
                    cache = self._caches.setdefault(term, {})
                    found.append(self.baselines.look(name, key, ts, self.keys.key, cache, function=term.function))
        return found

    def _change(self, argument: Expression, have: dict[str, Vector], key: I64, ts: I64, *, keep: bool) -> tuple[Vector, I64]:
        before = self._before[argument]
        before.grow(len(self.keys))
        return before.change(key, ts, _run(self._programs[argument], have, len(key)), keep=keep)

    def _since(self, term: TimeSince, have: dict[str, Vector], key: I64, ts: I64, *, keep: bool) -> Vector:
        held = self._held[term]
        held.grow(len(self.keys))
        condition = _run(held.program, have, len(key))
        return held.since(key, ts, np.asarray(condition.values, dtype=np.bool_) & condition.valid, keep=keep)


def _compiled(expression: Expression) -> Program:
    return compile_(expression, terms(expression))


def _run(program: Program, have: dict[str, Vector], rows: int) -> Vector:
    return program.evaluate([have[t.name] for t in program.terms if isinstance(t, Column)], rows=rows)


def _rate(change: Vector, span_us: I64) -> Vector:
    """Per second; null where no time has passed."""
    return Vector(change.values / np.maximum(span_us, 1) * US_PER_S, change.valid & (span_us > 0))
