"""The ledger: what touches what was used is noted with the records, nothing else is, and a refresh clears only what it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.derived import Stale, Used
from appliance.hot.ledger import SPANS_MAX, Ledger, buckets_of, load_used
from appliance.hot.store import HotStore
from appliance.spans import FIRST, LAST, ORIGIN_US, Span, ceil_to, common, fewer, floor_to, gaps, union, widened, without
from tests.examples import examples

HOUR = 3_600_000_000
BASE = ORIGIN_US


class Book:
    """A ledger with one entry, and its file."""

    def __init__(self, folder: Path) -> None:
        self.store = HotStore(folder, durability="crash")
        self.ledger = Ledger()
        with self.store.transaction():
            self.id = self.ledger.register(self.store.connection, kind="view", name="v", stream="s", bucket_us=HOUR).id
        self.ledger.apply()
        self.version = 1

    @property
    def used(self) -> Used:
        return self.ledger.get(self.id)

    def touch(self, *hours: float) -> None:
        with self.store.transaction():
            self.ledger.touch(self.store.connection, "s", np.array([BASE + int(h * HOUR) for h in hours], np.int64))
        self.publish()

    def use(self, *hours: Span, version: int) -> None:
        with self.store.transaction():
            self.ledger.use(self.store.connection, self.id, [(BASE + a * HOUR, BASE + b * HOUR) for a, b in hours], version=version)
        self.publish()

    def publish(self) -> None:
        if self.ledger.apply():
            self.version += 1
            self.ledger.stamp(self.version)

    def dirty(self) -> list[Span]:
        found = [((low - BASE) // HOUR, (high - BASE) // HOUR) for low, high in self.used.dirty]
        (stored,) = load_used(self.store.connection.execute)
        assert stored.dirty == self.used.dirty
        return found


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path)
    yield made
    made.store.close()


def test_what_was_not_used_is_not_noted(book: Book) -> None:
    book.touch(1, 2, 3)
    assert book.used.stale == ()
    book.use((0, 10), version=1)
    book.touch(10, 11.5)
    assert book.dirty() == []


def test_late_records_make_their_whole_buckets_dirty(book: Book) -> None:
    book.use((0, 100), version=1)
    book.touch(3.5, 4.1, 50.99, 200)
    assert book.dirty() == [(3, 5), (50, 51)]


def test_a_refresh_clears_only_what_its_snapshot_has_seen(book: Book) -> None:
    book.use((0, 100), version=1)
    book.touch(3.5)
    seen = book.version
    book.touch(3.6, 7.5)
    book.use((0, 10), version=seen)
    assert book.dirty() == [(3, 4), (7, 8)]
    book.use((0, 10), version=book.version)
    assert book.dirty() == []


def test_what_comes_between_the_watch_and_the_use_is_dirty(book: Book) -> None:
    book.ledger.watch(book.id, BASE + 10 * HOUR)
    seen = book.version
    book.touch(5)
    book.use((0, 10), version=seen)
    assert book.dirty() == [(5, 6)]


def test_a_transaction_that_fails_leaves_the_ledger_as_it_was(book: Book) -> None:
    book.use((0, 100), version=1)

    def fail() -> None:
        with book.store.transaction():
            book.ledger.touch(book.store.connection, "s", np.array([BASE + HOUR], np.int64))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    book.ledger.forget()
    assert book.dirty() == []


def test_what_is_sealed_is_counted_and_stays(book: Book) -> None:
    book.use((0, 100), version=1)
    book.touch(5, 45)
    with book.store.transaction():
        book.ledger.seal(book.store.connection, "s", BASE + int(39.5 * HOUR))
    book.publish()
    book.touch(1, 2, 60)
    assert (book.dirty(), book.used.late, book.used.sealed_us) == ([(45, 46), (60, 61)], 2, BASE + 40 * HOUR)


def test_a_deletion_makes_a_span_dirty(book: Book) -> None:
    book.use((0, 100), version=1)
    with book.store.transaction():
        book.ledger.touch_span(book.store.connection, "s", BASE + int(7.5 * HOUR), BASE + int(9.5 * HOUR))
    book.publish()
    assert book.dirty() == [(7, 10)]


def test_very_many_dirty_spans_are_joined_and_none_is_lost(book: Book) -> None:
    book.use((0, 100_000), version=1)
    hours = list(range(0, 90_000, 70))
    for start in range(0, len(hours), 100):
        book.touch(*hours[start : start + 100])
    assert len(book.used.stale) <= SPANS_MAX
    found = book.dirty()
    assert all(any(a <= h < b for a, b in found) for h in hours)
    book.use((0, 100_000), version=book.version)
    assert book.dirty() == []


times = st.integers(-(2**62), 2**62) | st.integers(-3_000, 3_000).map(lambda n: BASE + n * 1_000_000_007)
widths = st.sampled_from([1_000_000, 7_000_000, 60_000_000, HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR])


@settings(max_examples=examples(150), deadline=None)
@given(ts=st.lists(times, min_size=1, max_size=30), width=widths)
def test_buckets_are_whole_and_hold_exactly_these_times(ts: list[int], width: int) -> None:
    spans = buckets_of(np.array(ts, np.int64), width)
    assert spans == union((floor_to(t, width), floor_to(t, width) + width) for t in ts)


points = st.integers(0, 40)
some = st.lists(st.tuples(points, points), max_size=6).map(union)


def held(spans: tuple[Span, ...]) -> set[int]:
    return {p for p in range(-1, 42) if any(a <= p < b for a, b in spans)}


@settings(max_examples=examples(150), deadline=None)
@given(a=some, b=some, most=st.integers(1, 4), width=st.integers(1, 9))
def test_spans_are_sets(a: tuple[Span, ...], b: tuple[Span, ...], most: int, width: int) -> None:
    assert held(common(a, b)) == held(a) & held(b)
    assert held(without(a, b)) == held(a) - held(b)
    assert held(union([*a, *b])) == held(a) | held(b)
    assert held(gaps(a)) == held(((FIRST, LAST),)) - held(a)
    assert held(fewer(a, most)) >= held(a)
    assert len(fewer(a, most)) <= most
    wide = widened(a, width)
    assert held(wide) >= held(a)
    assert all(floor_to(edge, width) == edge == ceil_to(edge, width) for span in wide for edge in span)


def test_a_stamp_is_what_it_was_published_as(book: Book) -> None:
    book.use((0, 9), version=1)
    book.touch(2)
    assert book.used.stale == (Stale(BASE + 2 * HOUR, BASE + 3 * HOUR, book.version),)
