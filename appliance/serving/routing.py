"""Which side a stream of a query is read on, and the rule that decides. Pure.

A record is cold when its sequence is at or below the mark, else hot; time only leaves out what can't matter. So a side is left
out where no record of it can lie in the range, by the spans of its chunks and segments, which hold for late records as for all
others. Besides, what was rolled a moment ago is still in the ring: where all segments of the range hold nothing else than rows
that the ring has too, none of them is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from appliance.manifest import Segment

Rule = Literal["asked", "last-values", "nothing-in-range", "no-segment-in-range", "nothing-hot-in-range", "still-in-memory", "both-sides"]
RULES: Final[Mapping[Rule, str]] = {
    "asked": "the question names the side",
    "last-values": "only the last values are asked for",
    "nothing-in-range": "no record of the stream can lie in the range",
    "no-segment-in-range": "no segment, live or lost, can hold a record of the range",
    "nothing-hot-in-range": "no record that is not in the lake yet can lie in the range",
    "still-in-memory": "what segments hold of the range is still in memory, row for row",
    "both-sides": "records of the range can lie on both sides",
}
"""Every rule, in words."""
HEAVY_RECORDS: Final = 1_000_000
"""A query that reads more than these is batch work when nobody waits: it takes a core some tenths of a second and more."""
HEAVY_BYTES: Final = 64 << 20
"""... or more than these of files."""


class Route(NamedTuple):
    """How one stream is read."""

    side: Literal["hot", "cold", "merged", "none"]
    rule: Rule


MERGED: Final = Route("merged", "both-sides")
"""What is right for any stream."""


def route(*, hot_wanted: bool, cold_wanted: bool, empty: bool, hot: bool, cold: bool, lost: bool, in_memory: bool) -> Route:
    """The side for one stream.

    ``hot_wanted`` and ``cold_wanted`` are the sides that the question leaves open, ``empty`` says that its range holds no time at all;
    ``hot``, ``cold`` and ``lost`` whether a record above the mark, a live and a lost segment can lie in the range; ``in_memory``
    whether the ring has every row of those live segments.
    """
    if not hot_wanted and not cold_wanted:
        return Route("none", "nothing-in-range" if empty else "last-values")
    if not (hot_wanted and cold_wanted):
        return Route("hot" if hot_wanted else "cold", "asked")
    if empty or not (hot or cold or lost):
        return Route("none", "nothing-in-range")
    if not cold and not lost:
        return Route("hot", "no-segment-in-range")
    if in_memory and not lost:
        return Route("hot", "still-in-memory")
    return Route("merged", "both-sides") if hot else Route("cold", "nothing-hot-in-range")


def held_from(segments: Iterable[Segment], *, ring_first: int, mark: int) -> int:
    """The lowest sequence from which on the ring holds, row for row, what live segments hold; above ``mark`` where it holds none of it.

    ``ring_first`` is the lowest sequence in the ring. Each sequence up to the mark lies in at most one live segment, so when the
    segments from some sequence on have as many rows as there are sequences, they are the ring's rows: none was dropped as a twin,
    deleted, expired or lost. Only facts of the manifest are looked at.
    """
    from_seq = ring_first
    newer: Sequence[Segment] = [s for s in segments if s.last >= from_seq]
    while cut := [s for s in newer if s.first < from_seq]:  # holds older rows as well: what it holds is left to it
        from_seq = max(s.last for s in cut) + 1
        newer = [s for s in newer if s.last >= from_seq]
    return from_seq if sum(s.rows for s in newer) == mark - from_seq + 1 else mark + 1


def is_heavy(*, records: int, cold_bytes: int) -> bool:
    """Whether a query that nobody waits for should be queued as batch work, by what it has to read."""
    return records > HEAVY_RECORDS or cold_bytes > HEAVY_BYTES
