from __future__ import annotations

import math
import random
from itertools import pairwise

import pyarrow as pa
import pytest

from appliance.hot.ring import CHUNK_BYTES_MAX, Ring, measured
from appliance.hot.state import Chunk

BIG = 1 << 40


def rows(first: int, count: int, *, version: int = 1, width: int = 1) -> Chunk:
    """Rows whose value is their sequence."""
    values = pa.array(range(first, first + count))
    data = pa.RecordBatch.from_arrays([values.cast(pa.timestamp("us")), *[values] * width], names=["ts", *(f"x{i}" for i in range(width))])
    return measured(first, data, ts_min=first, ts_max=first + count - 1, schema_version=version)


def check(ring: Ring, stream: int, *, last: int) -> None:
    """Contiguous up to ``last``, with the right rows and spans."""
    chunks = ring.chunks(stream)
    for chunk, following in pairwise(chunks):
        assert chunk.last + 1 == following.first
    for chunk in chunks:
        assert chunk.data.column(1).to_pylist() == list(range(chunk.first, chunk.last + 1))
        assert (chunk.ts_min, chunk.ts_max) == (chunk.first, chunk.last)
        assert chunk.nbytes == chunk.data.get_total_buffer_size()
    assert not chunks or chunks[-1].last == last


def total(ring: Ring, *streams: int) -> tuple[int, int]:
    found = [c for s in streams for c in ring.chunks(s)]
    return sum(c.nbytes for c in found), sum(c.rows for c in found)


def test_a_day_of_single_records_is_a_handful_of_chunks() -> None:
    ring = Ring(bytes_max=BIG)
    for i in range(1, 20_001):
        ring.push(7, rows(i, 1))
        if i % 997 == 0:
            assert len(ring.chunks(7)) <= 2 * math.log2(i) + 1
    check(ring, 7, last=20_000)
    assert (ring.bytes, ring.rows) == total(ring, 7)


def test_coalescing_copies_a_row_a_logarithmic_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = 0
    concat = pa.concat_batches

    def counted(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        nonlocal copied
        joined = concat(batches)
        copied += joined.num_rows
        return joined

    monkeypatch.setattr("appliance.hot.ring.pa.concat_batches", counted)
    ring = Ring(bytes_max=BIG)
    for i in range(1, 4097):
        ring.push(1, rows(i, 1))
    assert copied <= 4096 * 3 * math.log2(4096)


def test_any_sizes_stay_contiguous_and_whole() -> None:
    rng = random.Random(5)
    ring = Ring(bytes_max=BIG)
    first = 1
    for _ in range(300):
        count = rng.choice([1, 1, 1, 2, 17, 500, 5000])
        ring.push(1, rows(first, count))
        first += count
    check(ring, 1, last=first - 1)
    assert (ring.bytes, ring.rows) == total(ring, 1)
    assert ring.rows == first - 1


def test_a_chunk_does_not_outgrow_the_unit_of_forgetting() -> None:
    ring = Ring(bytes_max=BIG)
    for i in range(40):
        ring.push(1, rows(1 + i * 3000, 3000, width=4))
    assert all(c.nbytes <= CHUNK_BYTES_MAX for c in ring.chunks(1))
    check(ring, 1, last=120_000)


def test_rows_of_different_versions_are_not_joined() -> None:
    ring = Ring(bytes_max=BIG)
    for i, version in enumerate([1, 1, 2, 2, 2, 3], 1):
        ring.push(1, rows(i, 1, version=version))
    assert [(c.first, c.last, c.schema_version) for c in ring.chunks(1)] == [(1, 2, 1), (3, 5, 2), (6, 6, 3)]


def test_a_gap_is_a_broken_invariant() -> None:
    ring = Ring(bytes_max=BIG)
    ring.push(1, rows(1, 2))
    with pytest.raises(AssertionError):
        ring.push(1, rows(4, 1))


def test_memory_stays_below_the_limit_and_the_oldest_go_first() -> None:
    ring = Ring(bytes_max=100_000)
    firsts = {1: 1, 2: 1}
    order: list[tuple[int, int]] = []
    rng = random.Random(9)
    for _ in range(400):
        stream, count = rng.choice([1, 2]), rng.choice([1, 50, 300])
        ring.push(stream, rows(firsts[stream], count))
        order += [(stream, firsts[stream] + i) for i in range(count)]
        firsts[stream] += count
        touched = ring.evict()
        assert touched <= {1, 2}
        assert ring.bytes <= 100_000
    for stream in (1, 2):
        check(ring, stream, last=firsts[stream] - 1)
    assert (ring.bytes, ring.rows) == total(ring, 1, 2)
    held = {(s, c.first + i) for s in (1, 2) for c in ring.chunks(s) for i in range(c.rows)}
    newest_gone = max(i for i, row in enumerate(order) if row not in held)
    oldest_held = min(i for i, row in enumerate(order) if row in held)
    assert newest_gone - oldest_held < 2000, "nothing much younger than what is held has gone"


def test_a_chunk_larger_than_the_whole_ring_is_let_go_at_once() -> None:
    ring = Ring(bytes_max=1000)
    ring.push(1, rows(1, 5000))
    assert ring.evict() == {1}
    assert (ring.chunks(1), ring.bytes, ring.rows) == ((), 0, 0)
    ring.push(1, rows(5001, 3))
    check(ring, 1, last=5003)


def test_a_stream_that_lost_nothing_is_not_named() -> None:
    ring = Ring(bytes_max=BIG)
    ring.push(1, rows(1, 10))
    assert ring.evict() == set()
    assert ring.sizes() == {1: ring.bytes}
