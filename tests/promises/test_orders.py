"""Membership is by sequence, and the hot rows are pinned before or together with the manifest: every order of the steps, tried.

Six commits (one record is late), a roll in three steps (look at the hot rows, write the segment, commit) and a read in two,
interleaved in all 4,620 ways. The appliance's own ``State`` takes the steps; the ways not chosen are shown to lose records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import pyarrow as pa

from appliance.hot.state import Chunk, StreamState
from appliance.manifest import Segment
from appliance.records import TS_TYPE, Column, Kind, Schema

TIMES = (1, 2, 3, 5, 4, 6)
"""Event times in the order of commit: the fifth record is late."""
SCHEMA = Schema("s", (Column("n", Kind.INT),))
ORDERS = 4_620
Reader = Callable[["World", int], None]


def chunk(seq: int, ts: int) -> Chunk:
    data = pa.record_batch([pa.array([ts], TS_TYPE), pa.array([seq])], schema=SCHEMA.arrow)
    return Chunk(seq, seq, data, ts, ts, data.nbytes, 1)


@dataclass
class World:
    """The stream as the writer publishes it, a roll under way, and a reader half-way."""

    state: StreamState
    committed: int = 0
    rolled_to: int = 0
    written: tuple[int, ...] = ()
    hot: frozenset[int] = frozenset()
    cold: frozenset[int] = frozenset()
    must: int = 0
    """Records committed when the read began."""

    def ingest(self, _step: int) -> None:
        seq = self.committed + 1
        self.state = replace(self.state, last_seq=seq, ring=(*self.state.ring, chunk(seq, TIMES[self.committed])))
        self.committed = seq

    def roll(self, step: int) -> None:
        if step == 0:
            self.rolled_to = self.state.last_seq
        elif step == 1:
            self.written = tuple(range(self.state.mark + 1, self.rolled_to + 1))
        elif self.written:
            times = [TIMES[s - 1] for s in self.written]
            segment = Segment(1, "s", 0, "f", self.written[0], self.written[-1], len(times), min(times), max(times), 1, "", 1, 0)
            self.state = replace(self.state, mark=self.rolled_to, segments=(*self.state.segments, segment))


def orders() -> Iterator[str]:
    """All interleavings of six ``i``, three ``r`` and two ``q``."""
    for roll in combinations(range(11), 3):
        rest = [p for p in range(11) if p not in roll]
        for read in combinations(rest, 2):
            yield "".join("r" if p in roll else "q" if p in read else "i" for p in range(11))


def missing(order: str, reader: Reader) -> bool:
    """Whether the read of this order lacks a record that was committed before it, or has one twice."""
    world = World(StreamState(1, SCHEMA, {1: SCHEMA}, None, "s", 0, 0))
    counts = {"i": 0, "r": 0, "q": 0}
    for step in order:
        if step == "q":
            if counts["q"] == 0:
                world.must = world.committed
            reader(world, counts["q"])
        else:
            {"i": world.ingest, "r": world.roll}[step](counts[step])
        counts[step] += 1
    return not set(range(1, world.must + 1)) <= world.hot | world.cold or bool(world.hot & world.cold)


def hot_of(state: StreamState) -> frozenset[int]:
    return frozenset(s for c in state.hot_chunks() for s in range(c.first, c.last + 1))


def cold_of(state: StreamState) -> frozenset[int]:
    return frozenset(s for g in state.segments for s in range(g.first, g.last + 1))


def pinned_together(world: World, step: int) -> None:
    """What the appliance does: one picture, taken once, has both sides."""
    if step == 0:
        world.hot, world.cold = hot_of(world.state), cold_of(world.state)


def manifest_first(world: World, step: int) -> None:
    """The manifest, and later the hot rows above the mark of then."""
    if step == 0:
        world.cold = cold_of(world.state)
    else:
        world.hot = hot_of(world.state)


def by_event_time(world: World, step: int) -> None:
    """Hot is what is later than everything in the lake."""
    if step == 0:
        world.cold = cold_of(world.state)
        boundary = max((g.ts_max for g in world.state.segments), default=0)
        world.hot = frozenset(s for s in range(1, world.committed + 1) if TIMES[s - 1] > boundary)


def test_there_are_as_many_orders_as_the_design_names() -> None:
    assert len(set(orders())) == ORDERS


def test_no_order_of_ingest_roll_and_read_loses_or_repeats_a_record() -> None:
    assert [order for order in orders() if missing(order, pinned_together)] == []


def test_reading_the_manifest_first_would_lose_records() -> None:
    assert sum(missing(order, manifest_first) for order in orders()) > 0


def test_deciding_by_event_time_would_lose_late_records() -> None:
    assert sum(missing(order, by_event_time) for order in orders()) > 0
