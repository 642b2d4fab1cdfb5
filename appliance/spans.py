"""Spans of event time: half-open pairs of microseconds, in order and apart from each other; and the buckets that they are cut into. Pure.

``FIRST`` and ``LAST`` stand for no bound. Every function that gives spans gives them sorted, disjoint and not touching.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

FIRST: Final = -(2**63)
LAST: Final = 2**63 - 1
ORIGIN_US: Final = 946_857_600_000_000
"""2000-01-03, a Monday: where DuckDB's ``time_bucket`` counts widths from that are no months."""
Span = tuple[int, int]
EVERYTHING: Final[tuple[Span, ...]] = ((FIRST, LAST),)


def floor_to(ts_us: int, width_us: int) -> int:
    """The start of the bucket that holds a time; ``FIRST`` stays."""
    return ts_us if ts_us in (FIRST, LAST) else max(FIRST + 1, (ts_us - ORIGIN_US) // width_us * width_us + ORIGIN_US)


def ceil_to(ts_us: int, width_us: int) -> int:
    """The first start of a bucket at or after a time; ``LAST`` stays."""
    return ts_us if ts_us in (FIRST, LAST) else min(LAST, -((ORIGIN_US - ts_us) // width_us) * width_us + ORIGIN_US)


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """All of them as one set; empty ones are dropped."""
    result: list[Span] = []
    for low, high in sorted(s for s in spans if s[0] < s[1]):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        else:
            result.append((low, high))
    return tuple(result)


def common(a: Sequence[Span], b: Sequence[Span]) -> tuple[Span, ...]:
    """What lies in both; each is sorted and disjoint."""
    result: list[Span] = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low < high:
            result.append((low, high))
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def without(a: Sequence[Span], b: Sequence[Span]) -> tuple[Span, ...]:
    """What of ``a`` lies outside of ``b``; each is sorted and disjoint."""
    return common(a, gaps(b))


def gaps(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Everything else."""
    edges = [FIRST, *(edge for span in spans for edge in span), LAST]
    return tuple((edges[i], edges[i + 1]) for i in range(0, len(edges), 2) if edges[i] < edges[i + 1])


def fewer(spans: Sequence[Span], most: int) -> tuple[Span, ...]:
    """The same and what lies in the smallest gaps, as no more than ``most`` spans."""
    if len(spans) <= most:
        return tuple(spans)
    by_gap = sorted(range(1, len(spans)), key=lambda i: spans[i][0] - spans[i - 1][1], reverse=True)
    cuts = [0, *sorted(by_gap[: most - 1]), len(spans)]
    return tuple((spans[a][0], spans[b - 1][1]) for a, b in pairwise(cuts))


def widened(spans: Iterable[Span], width_us: int) -> tuple[Span, ...]:
    """The buckets that the spans touch, whole."""
    return union((floor_to(low, width_us), ceil_to(high, width_us)) for low, high in spans if low < high)


def touches(spans: Sequence[Span], ts_min: int, ts_max: int) -> bool:
    """Whether a closed span of event times has a part in any of them."""
    return any(low <= ts_max and ts_min < high for low, high in spans)


def hull(spans: Sequence[Span]) -> Span:
    """From the first to the last; (0, 0) of none."""
    return (spans[0][0], spans[-1][1]) if spans else (0, 0)
