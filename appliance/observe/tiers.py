"""Sums by key over spans of time, in bounded memory: fine spans for what is new, coarse ones for what is old.

Whoever uses it adds what has ended in the finest span; each coarser span sums up those within it. Holds no clock, takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from appliance.clock import US_PER_S

V = TypeVar("V")
Key = tuple[str, str]
KEYS_MAX: Final = 512
OTHERS: Final = "_others"
"""The workload under which those are counted that would be more than ``KEYS_MAX``."""


@dataclass(frozen=True, slots=True)
class Level:
    """Spans of one length."""

    span_s: int
    kept: int
    """How many of them, that of now included."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A sum of one key over one span, as it is stored. A span may have several, which add up."""

    since_us: int
    span_s: int
    key: Key
    value: V


class Tiers(Generic[V]):
    """The sums, by level, span and key."""

    def __init__(self, levels: Sequence[Level], unite: Callable[[Iterable[V]], V]) -> None:
        """``levels`` from the finest on, each span a whole number of those before; ``unite`` adds values up."""
        self._levels = tuple(levels)
        self._unite = unite
        self._spans: tuple[dict[int, dict[Key, V]], ...] = tuple({} for _ in levels)
        self.keys: set[Key] = set()

    def key(self, workload: str, detail: str) -> Key:
        """The key to count under: that of the others when there are too many."""
        key = (workload, detail)
        if key in self.keys:
            return key
        if len(self.keys) >= KEYS_MAX:
            key = (OTHERS, detail)
        self.keys.add(key)
        return key

    def add(self, at_us: int, key: Key, value: V, *, finest: int = 0, coarsest: int | None = None) -> None:
        """Counts a value in the spans that hold ``at_us``, of the levels from ``finest`` to ``coarsest`` (None: all)."""
        self.keys.add(key)
        for level, spans in list(zip(self._levels, self._spans, strict=True))[finest:coarsest]:
            span = spans.setdefault(at_us // (level.span_s * US_PER_S), {})
            known = span.get(key)
            span[key] = value if known is None else self._unite((known, value))

    def forget(self, now_us: int) -> None:
        """Drops spans that are too old, spans of the future (the clock was wrong) and keys that nothing is known of."""
        for level, spans in zip(self._levels, self._spans, strict=True):
            now = now_us // (level.span_s * US_PER_S)
            for number in [n for n in spans if not now - level.kept < n <= now]:
                del spans[number]
        self.keys = {key for spans in self._spans for span in spans.values() for key in span}

    def spans(self, level: int) -> tuple[int, ...]:
        """Numbers of the spans of a level that hold something, rising; a span begins at its number times its length."""
        return tuple(sorted(self._spans[level]))

    def span(self, level: int, number: int) -> Iterator[Entry[V]]:
        """What one span holds."""
        span_s = self._levels[level].span_s
        for key, value in self._spans[level].get(number, {}).items():
            yield Entry(number * span_s * US_PER_S, span_s, key, value)

    def sums(self, level: int, *, since_us: int, until_us: int) -> dict[Key, V]:
        """By key, over the spans of a level that begin in the range, the first of them where the range begins within it."""
        span_us = self._levels[level].span_s * US_PER_S
        found: dict[Key, list[V]] = {}
        for number, span in self._spans[level].items():
            if since_us // span_us <= number and number * span_us < until_us:
                for key, value in span.items():
                    found.setdefault(key, []).append(value)
        return {key: values[0] if len(values) == 1 else self._unite(values) for key, values in found.items()}
