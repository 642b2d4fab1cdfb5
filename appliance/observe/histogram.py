"""Counts of durations on a logarithmic scale: the scale, and finished counts that can be added up, stored and asked for percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

_PER_DECADE: Final = 64
"""Buckets a factor of ten: a percentile is at most 3.7 % too high."""
_LOWEST_MS: Final = 0.01
BUCKETS: Final = _PER_DECADE * 10
"""From a hundredth of a millisecond to a day."""
_ENTRY: Final = np.dtype([("bucket", "<u2"), ("count", "<u4")])
_COUNT_MAX: Final = 2**32 - 1


def bucket_of(ms: float) -> int:
    """The bucket of a duration, 0 to ``BUCKETS - 1``."""
    return 0 if ms <= _LOWEST_MS else min(BUCKETS - 1, int(math.log10(ms / _LOWEST_MS) * _PER_DECADE) + 1)


def upper_ms(bucket: int) -> float:
    """What a duration in the bucket is at most."""
    return float(_LOWEST_MS * 10.0 ** (bucket / _PER_DECADE))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Finished counts: only buckets that hold something, six bytes each."""

    body: bytes = b""
    """Entries by rising bucket: bucket (2 bytes), count (4 bytes), little-endian. This is what is stored."""
    max_ms: float = 0.0

    @classmethod
    def of(cls, counts: Mapping[int, int], max_ms: float) -> Histogram:
        """``counts`` by bucket."""
        return cls(np.array([(b, min(n, _COUNT_MAX)) for b, n in sorted(counts.items())], _ENTRY).tobytes(), max_ms)

    @property
    def count(self) -> int:
        """How many durations."""
        return int(np.frombuffer(self.body, _ENTRY)["count"].sum(dtype=np.int64))

    def percentile(self, share: float) -> float:
        """The duration that ``share`` of all don't exceed, at most 3.7 % too high; 0 where there is none."""
        entries = np.frombuffer(self.body, _ENTRY)
        if not len(entries):
            return 0.0
        cumulated = np.cumsum(entries["count"], dtype=np.int64)
        place = int(np.searchsorted(cumulated, math.ceil(share * int(cumulated[-1]))))
        return min(self.max_ms, upper_ms(int(entries["bucket"][place])))

    def above(self, ms: float) -> int:
        """How many durations lie in buckets above that of ``ms``: those that are certain to have been longer."""
        entries = np.frombuffer(self.body, _ENTRY)
        return int(entries["count"][entries["bucket"] > bucket_of(ms)].sum(dtype=np.int64))


def united(histograms: Iterable[Histogram]) -> Histogram:
    """All of them as one."""
    known = [h for h in histograms if h.body]
    if len(known) < 2:
        return known[0] if known else Histogram()
    entries = np.frombuffer(b"".join(h.body for h in known), _ENTRY)
    counts = np.bincount(entries["bucket"], weights=entries["count"])
    held = np.flatnonzero(counts)
    found = np.empty(len(held), _ENTRY)
    found["bucket"], found["count"] = held, np.minimum(counts[held], _COUNT_MAX)
    return Histogram(found.tobytes(), max(h.max_ms for h in known))
