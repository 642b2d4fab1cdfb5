"""What a refresh of a view does: spans of buckets to make anew, a file each. Pure.

One step materializes the view's own answer of one span, at one snapshot, as one file that takes the place of whatever held that
span. So to close buckets, to make dirty ones anew and to merge small files is one and the same thing, and none can be wrong where
the answer is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from appliance.derived import ViewFile, ViewVersion
from appliance.spans import FIRST, Span, ceil_to, common, floor_to, gaps, hull, union, without

RECORDS_MAX: Final = 3_000_000
"""Records that one step reads of what was never read: a build of any length is steps of this size, each kept when it is done."""
ROWS_MAX: Final = 1_000_000
"""Rows of a file that others are merged into."""
PATCHED_SHARE_MAX: Final = 0.2
"""Part of a file that may be dirty and is made anew beside it; with more the file is written anew."""
PATCHED_ROWS_MIN: Final = 20_000
"""Files with fewer rows are always written anew: it costs no more than a patch."""
PAST_US: Final = 366 * 86_400_000_000
"""What a file without a beginning is taken to reach back."""
ENTRIES_MAX: Final = 1_024
"""With more pieces of files than this, neighbours are merged."""
FILES_MAX: Final = 48
"""With more files than this, neighbours are merged."""
GROWTH: Final = 4
"""New buckets are merged with the files before them that have at most so many times their rows: each row is written a few times in all."""


@dataclass(frozen=True, slots=True)
class Step:
    """Spans to make anew, into one file: half-open, of whole buckets, in order."""

    spans: tuple[Span, ...]
    why: str
    """``new`` buckets, ``late`` records, or ``merge``."""

    @property
    def low(self) -> int:
        return self.spans[0][0]

    @property
    def high(self) -> int:
        return self.spans[-1][1]


@dataclass(frozen=True, slots=True)
class Extent:
    """Records that lie somewhere in a closed span of event times."""

    ts_min: int
    ts_max: int
    rows: int


def target_of(now_us: int, *, bucket_us: int, settle_us: int) -> int:
    """The end of the last bucket that is over."""
    return floor_to(now_us - settle_us, bucket_us)


def plan_refresh(version: ViewVersion, extents: Iterable[Extent], *, target_us: int) -> tuple[Step, ...]:
    """What is to be done now, oldest first; empty when all that is over is stored and clean. The steps' spans are disjoint.

    ``extents`` are the records of the stream that it is made of.
    """
    late = _late(version)
    new = _new(version, extents, target_us)
    steps = [*late, *new] or _merges(version.files)
    return tuple(sorted(steps, key=lambda s: s.low))


def _new(version: ViewVersion, extents: Iterable[Extent], target_us: int) -> list[Step]:
    """What has closed since, in pieces; the first one takes small files before it along, unless those are to be made anew anyhow."""
    closed, width = version.used.closed_us, version.definition.bucket_us
    if closed >= target_us:
        return []
    edges: list[int] = []
    rows = 0
    for extent in sorted(extents, key=lambda e: e.ts_min):
        if extent.ts_max < closed or extent.ts_min >= target_us:
            continue
        rows += extent.rows
        edge = ceil_to(extent.ts_max + 1, width)
        if rows >= RECORDS_MAX and (edges[-1] if edges else closed) < edge < target_us:
            edges.append(edge)
            rows = 0
    low = closed
    if not edges and not version.used.dirty:
        low = _absorbed(version.files, closed, (target_us - max(closed, _first(version, target_us))) // width)
    cuts = [low, *edges, target_us]
    return [Step(((a, b),), "new") for a, b in pairwise(cuts)]


def _first(version: ViewVersion, target_us: int) -> int:
    return version.files[0].low if version.files else target_us


def _absorbed(files: Sequence[ViewFile], closed_us: int, buckets: int) -> int:
    """Where a file begins that holds ``buckets`` new buckets and the small files right before them."""
    low = closed_us
    before = [f for f in files if f.high <= closed_us]
    rows = max(1.0, buckets * _density(before[-1])) if before else 0.0
    for f in reversed(before):
        size = _rows(f)
        if f.low <= FIRST or size > GROWTH * rows or rows + size > ROWS_MAX:
            break
        low, rows = f.low, rows + size
    return low


def _density(f: ViewFile) -> float:
    """Rows an hour, about; where the file has no beginning, as if it were all in its last hour."""
    hours = (f.high - f.low) / 3.6e9
    return _rows(f) / max(1.0, hours)


def _rows(f: ViewFile) -> float:
    """Of a piece of a file, a guess: half of them."""
    return float(f.rows if f.whole else max(1, f.rows // 2))


def _late(version: ViewVersion) -> list[Step]:
    """Dirty buckets: into one file beside the others, or, where they are most of a file, that whole file anew."""
    dirty = version.used.dirty
    patches: list[Span] = list(common(dirty, gaps(union((f.low, f.high) for f in version.files))))
    anew: list[Span] = []
    for f in version.files:
        mine = common(dirty, ((f.low, f.high),))
        share = sum(high - low for low, high in mine) / (f.high - max(f.low, f.high - PAST_US))
        if mine and (f.rows < PATCHED_ROWS_MIN or share > PATCHED_SHARE_MAX):
            anew.append((f.low, f.high))
        else:
            patches.extend(mine)
    steps = [Step((span,), "late") for span in union(anew)]
    patched = without(union(patches), union(anew))
    return [*steps, *([Step(patched, "late")] if patched else [])]


def _merges(files: Sequence[ViewFile]) -> list[Step]:
    """Neighbours become one file where there are too many of them."""
    if len(files) <= ENTRIES_MAX and len({f.path for f in files}) <= FILES_MAX:
        return []
    steps: list[Step] = []
    run: list[ViewFile] = []
    for f in [*files, None]:
        if f is None or (run and sum(r.rows for r in {r.path: r for r in [*run, f]}.values()) > ROWS_MAX):
            if len(run) > 1:
                steps.append(Step((hull([(r.low, r.high) for r in run]),), "merge"))
            run = []
        if f is not None:
            run.append(f)
    return steps
