"""One rule over the points of its keys: levels, and of these the few signals that may move an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from appliance.hot.stream.expression import Program, Term
from appliance.hot.stream.levels import Levels
from appliance.hot.stream.quiet import Extremes, MayHold
from appliance.hot.stream.rules import BoundRule
from appliance.hot.stream.values import HOLD, I64, Key, Points, Scalar, Signal, Vector, What

BEFORE, BACK, AFTER = 0, 1, 2
"""What happens at one row of a round: first what time alone does, then the key is back, then what the record says."""


class Found(NamedTuple):
    """A signal with its place in the round. Sorted by the first three, signals stand in the order of happening."""

    row: int
    rank: int
    at_us: int
    signal: Signal


Back = Mapping[int, I64]
"""By the length of the silence: the rows of a round with which a key comes back after one."""


@dataclass(frozen=True, slots=True)
class Times:
    """The watermark of a round."""

    before: I64
    """Just before each row."""
    end_us: int
    """After the last."""

    def at(self, row: int) -> int:
        """Before a row; after the last one for the number of rows."""
        return int(self.before[row]) if row < len(self.before) else self.end_us


@dataclass(slots=True)
class Watch:
    """A bound rule and the newest level of each of its keys. Owned by the plan of its stream."""

    rule: BoundRule
    levels: Levels
    silence_us: int
    """The silence that means something to the rule."""
    late: int = 0
    """Late records that would have changed something."""
    held_late: set[int] = field(default_factory=set)
    """Keys whose newest record was a late one at which the condition held: those that follow say nothing new."""
    may_hold: MayHold | None = None
    """Over the vectors of the rule's group: whether its condition may hold anywhere in a round; None: it can't be told."""
    names: tuple[str, ...] = field(init=False)
    _observer: Callable[[Points, Sequence[Vector]], None] | None = None

    def __post_init__(self) -> None:
        self.names = tuple(str(t) for t in self.rule.terms)

    def take(self, points: Points, vectors: Sequence[Vector], times: Times, key_of: Callable[[int], Key], back: Back) -> Iterator[Found]:
        """The signals of points that are sorted by key, then happening; ``vectors`` are those of the rule's terms, in their order.

        ``key_of`` gives the key of a dense id; ``back`` tells the rows with which keys come back after a silence.
        """
        if self._observer is not None:
            self._observer(points, vectors)
        levels = self.evaluate(vectors, len(points))
        rows = back.get(self.silence_us)
        anew = None if rows is None else np.isin(points.row, rows) & (points.seq >= 0)
        places, changed = self.levels.take(points.key, levels, points.at_us, anew)
        for place, is_change in zip(places.tolist(), changed.tolist(), strict=True):
            row, seq = int(points.row[place]), int(points.seq[place])
            yield Found(
                row,
                BEFORE if seq < 0 else AFTER,
                int(points.at_us[place]),
                Signal(
                    self.rule.name,
                    key_of(int(points.key[place])),
                    What.LEVEL if is_change else What.DUE,
                    int(points.at_us[place]),
                    times.at(row),
                    seq if seq >= 0 and is_change else None,
                    int(levels[place]),
                    self.values(vectors, place),
                ),
            )

    @property
    def is_calm(self) -> bool:
        """Whether it holds of no key, and nobody listens to each point."""
        return self._observer is None and self.levels.is_false

    @property
    def is_observed(self) -> bool:
        """Whether somebody listens to each point."""
        return self._observer is not None

    def rests(self, extremes: Extremes, back: Back) -> bool:
        """Whether nothing can come of a round: no key holds, none came back, and the condition holds nowhere in it."""
        if self.may_hold is None or self._observer is not None or (back and self.silence_us in back):
            return False
        return self.levels.is_false and not self.may_hold(extremes)

    def observe(self, term: str, key: Callable[[], int | None], seen: list[tuple[int, float | None]]) -> None:
        """From now on (event time, value) of one term at each point of one key goes into ``seen``. Numbers only."""
        place = self.names.index(term)

        def look(points: Points, vectors: Sequence[Vector]) -> None:
            for at in np.flatnonzero(points.key == key()).tolist():
                value = vectors[place].at(at)
                seen.append((int(points.at_us[at]), float(value) if isinstance(value, int | float) else None))

        self._observer = look

    def evaluate(self, vectors: Sequence[Vector], points: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """The level at each point."""
        when = self.rule.when.evaluate(vectors, rows=points)
        clear = None if self.rule.clear is None else self.rule.clear.evaluate(vectors, rows=points)
        return Program.levels(when, clear)

    def values(self, vectors: Sequence[Vector], place: int) -> Mapping[str, Scalar]:
        """Each term as it is written, with its value at one point."""
        return {name: vector.at(place) for name, vector in zip(self.names, vectors, strict=True)}


def gap_signal(rule: str, key: Key, at_us: int, *, watermark_us: int) -> Signal:
    """The key has been silent for the rule's time."""
    return Signal(rule, key, What.GAP, at_us, watermark_us, None, HOLD)


def back_signal(rule: str, key: Key, at_us: int, *, watermark_us: int, seq: int) -> Signal:
    """The first record after a gap."""
    return Signal(rule, key, What.BACK, at_us, watermark_us, seq, HOLD)


def term_places(rules: Sequence[BoundRule]) -> tuple[Term, ...]:
    """The terms of several rules, each once."""
    return tuple(dict.fromkeys(t for rule in rules for t in rule.terms))
