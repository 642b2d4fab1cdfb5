"""Gaps: sequences that are nowhere, and stretches of time in which a stream said nothing. Pure functions of spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Span = tuple[int, int]
"""First and last, both included."""


def missing(spans: Iterable[Span], *, first: int, last: int) -> list[Span]:
    """The whole numbers from ``first`` to ``last`` that are in none of ``spans``, as spans in order."""
    gaps: list[Span] = []
    expected = first
    for low, high in sorted(spans):
        if low > expected:
            gaps.append((expected, min(low - 1, last)))
        expected = max(expected, high + 1)
        if expected > last:
            break
    if expected <= last:
        gaps.append((expected, last))
    return [g for g in gaps if g[0] <= g[1]]


def joined(spans: Iterable[Span], *, within_us: int) -> list[Span]:
    """Spans that lie at most ``within_us`` apart made one, in order."""
    made: list[Span] = []
    for low, high in sorted(spans):
        if made and low - made[-1][1] <= within_us:
            made[-1] = (made[-1][0], max(made[-1][1], high))
        else:
            made.append((low, high))
    return made


def spans_of(times: I64, *, within_us: int) -> list[Span]:
    """The times as spans in which no two neighbours are further than ``within_us`` apart."""
    if not len(times):
        return []
    ordered = np.sort(times, kind="stable")  # times lie in few rising runs, which this sort takes as they are
    cuts = np.flatnonzero(np.diff(ordered) > within_us)
    lows, highs = ordered[np.append(0, cuts + 1)], ordered[np.append(cuts, len(ordered) - 1)]
    return [(int(low), int(high)) for low, high in zip(lows, highs, strict=True)]


def silences(spans: Sequence[Span], *, since_us: int | None, until_us: int, within_us: int) -> list[Span]:
    """Stretches of more than ``within_us`` without a record, from ``since_us`` to ``until_us``.

    ``spans`` have no longer gap inside. A stream is not silent before its first record; it is after its last one.
    """
    made = joined(spans, within_us=within_us)
    edges = [(high, low) for (_, high), (low, _) in pairwise(made)]
    if made:
        edges.append((made[-1][1], until_us))
    cut = [(max(low, since_us if since_us is not None else low), min(high, until_us)) for low, high in edges]
    return [(low, high) for low, high in cut if high - low > within_us]
