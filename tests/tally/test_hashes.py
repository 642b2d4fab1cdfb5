"""The hash of a record depends on what the record says, and on nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from appliance.records import TAG_TYPE, TS_TYPE, Column, Kind, Schema
from appliance.tally import EMPTY, Tally, difference, from_text, joined, row_hashes, tally_by_day, to_text, widening
from appliance.text_hashes import text_hashes
from tests.examples import examples
from tests.hot.rows import EVERY_KIND, row_of

TIMES = st.integers(-3 * US_PER_DAY, 3 * US_PER_DAY)
ROWS = st.lists(row_of(EVERY_KIND, TIMES), min_size=1, max_size=12)
Rows = Sequence[dict[str, Any]]


def batch_of(rows: Rows, schema: Schema = EVERY_KIND, *, first: int = 1) -> pa.RecordBatch:
    """The rows as the hot path holds them, with their sequences."""
    arrays = [pa.array([r.get(f.name) for r in rows], _plain(f.type)).cast(f.type) for f in schema.arrow]
    seqs = pa.array([r.get("_seq", first + i) for i, r in enumerate(rows)], pa.int64())
    return pa.RecordBatch.from_arrays([*arrays, seqs], names=[*schema.arrow.names, "_seq"])


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.string()
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def hashes(data: Any) -> list[int]:
    found: list[int] = row_hashes(data).tolist()
    return found


@settings(deadline=None, max_examples=examples(40))
@given(ROWS, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_of_columns_counts(rows: Rows, chance: random.Random) -> None:
    data = batch_of(rows)
    order = list(range(len(rows)))
    chance.shuffle(order)
    names = list(data.schema.names)
    chance.shuffle(names)
    shuffled = data.take(pa.array(order)).select(names)
    assert hashes(shuffled) == [hashes(data)[i] for i in order]
    assert tally_by_day(shuffled) == tally_by_day(data)


@settings(deadline=None, max_examples=examples(40))
@given(ROWS)
def test_a_tag_counts_the_same_in_a_dictionary_and_written_out(rows: Rows) -> None:
    data = batch_of(rows)
    names, decoded = data.schema.names, [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in data.columns]
    plain = pa.RecordBatch.from_arrays(decoded, names=names)
    large = pa.RecordBatch.from_arrays([c.cast(pa.large_string()) if c.type == pa.string() else c for c in decoded], names=names)
    other = pa.RecordBatch.from_arrays([c.dictionary_encode() if c.type == pa.string() else c for c in decoded[::-1]], names=names[::-1])
    with_more = pa.RecordBatch.from_arrays(
        [pa.concat_arrays([c, c]).slice(len(c)) if pa.types.is_dictionary(c.type) else c for c in data.columns], names=names
    )
    assert hashes(data) == hashes(plain) == hashes(large) == hashes(other) == hashes(with_more)


@settings(deadline=None, max_examples=examples(40))
@given(ROWS)
def test_a_column_that_is_null_everywhere_adds_nothing_and_names_have_no_case(rows: Rows) -> None:
    data = batch_of(rows)
    grown = data
    for name, kind in (("later", pa.float64()), ("sooner", TAG_TYPE), ("text", pa.string()), ("n", pa.int64()), ("ok", pa.bool_())):
        grown = grown.append_column(name, pa.nulls(len(rows), kind))
    louder = data.rename_columns([n if n in ("ts", "_seq") else n.upper() for n in data.schema.names])
    assert hashes(data) == hashes(grown) == hashes(louder)


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1) | st.none(), min_size=1))
def test_whole_numbers_count_the_same_as_integers_and_as_floats(numbers: list[int | None]) -> None:
    ints, floats = (one_column(pa.array(numbers, kind)) for kind in (pa.int64(), pa.float64()))
    assert hashes(ints) == hashes(floats)
    assert not widening(ints, None, ["x"])


def one_column(values: pa.Array) -> pa.RecordBatch:
    times = pa.array([0] * len(values), TS_TYPE)
    return pa.record_batch({"ts": times, "x": values, "_seq": pa.array(range(len(values)), pa.int64())})


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8))
def test_integers_that_are_no_float_count_exactly_and_widening_them_is_a_change_that_can_be_told(numbers: list[int]) -> None:
    data = one_column(pa.array(numbers, pa.int64()))
    widened = one_column(pa.array(numbers, pa.int64()).cast(pa.float64(), safe=False))
    assert joined((tally_by_day(data), widening(data, None, ["x"]))) == tally_by_day(widened)
    for i, number in enumerate(numbers):
        next_to_it = number + 1 if number < 2**63 - 1 else number - 1
        changed = one_column(pa.array([*numbers[:i], next_to_it, *numbers[i + 1 :]], pa.int64()))
        assert tally_by_day(changed) != tally_by_day(data)


def test_floats_count_by_their_bits() -> None:
    values = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324, 1.0, -1.0]
    same = [row_hashes(one_column(pa.array([v])))[0] for v in values]
    assert len(set(same)) == len(values)
    assert row_hashes(one_column(pa.array([0.0])))[0] != row_hashes(one_column(pa.array([None], pa.float64())))[0]


@settings(deadline=None, max_examples=examples(40))
@given(ROWS, st.data())
def test_tallies_of_pieces_add_up_to_that_of_the_whole(rows: Rows, data: st.DataObject) -> None:
    whole = batch_of(rows)
    cut = data.draw(st.integers(0, len(rows)))
    parts = whole.slice(0, cut), whole.slice(cut)
    assert joined(tally_by_day(p) for p in parts) == tally_by_day(whole)
    assert tally_by_day(pa.Table.from_batches(parts)) == tally_by_day(whole)
    assert hashes(whole)[cut:] == hashes(parts[1])
    assert difference(tally_by_day(whole), tally_by_day(parts[0])) == tally_by_day(parts[1])


@settings(deadline=None, max_examples=examples(40))
@given(ROWS)
def test_a_tally_is_of_the_day_of_its_records_and_survives_being_written_down(rows: Rows) -> None:
    data, found = batch_of(rows), tally_by_day(batch_of(rows))
    assert {day: t.rows for day, t in found.items()} == {d: sum(r["ts"] // US_PER_DAY == d for r in rows) for d in found}
    assert sum(t.rows for t in found.values()) == len(rows)
    assert sum((t for t in found.values()), EMPTY).sum == sum(hashes(data)) % 2**64
    assert from_text(to_text(found)) == found
    assert joined([found, {day: EMPTY - t for day, t in found.items()}]) == {}


@settings(deadline=None, max_examples=examples(40))
@given(ROWS, st.data())
def test_a_row_that_is_changed_missing_or_twice_changes_the_tally(rows: Rows, data: st.DataObject) -> None:
    rows = [{**r, "_seq": i + 1} for i, r in enumerate(rows)]
    before = tally_by_day(batch_of(rows))
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from([*(c.name for c in EVERY_KIND.columns), "ts", "_seq"]))
    other = data.draw(row_of(EVERY_KIND, TIMES).map(lambda r: {**r, "_seq": 99}))[column]
    if not same(other, rows[at][column]):
        assert tally_by_day(batch_of([*rows[:at], {**rows[at], column: other}, *rows[at + 1 :]])) != before
    assert tally_by_day(batch_of([*rows, rows[at]])) != before
    assert len(rows) == 1 or tally_by_day(batch_of([*rows[:at], *rows[at + 1 :]])) != before


def same(one: Any, other: Any) -> bool:
    """As values of a column: 0.0 is not -0.0."""
    return (one, str(one)) == (other, str(other))


@settings(deadline=None, max_examples=examples(40))
@given(ROWS, st.data())
def test_values_that_change_places_change_the_tally(rows: Rows, data: st.DataObject) -> None:
    """Between two rows, and between two columns of one."""
    rows = [{**r, "_seq": i + 1} for i, r in enumerate(rows)]
    before = tally_by_day(batch_of(rows))
    one, other = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(rows) - 1))
    for a, b in (("t", "u"), ("f", "f"), ("i", "i"), ("s", "s"), ("s", "t")):
        swapped = [dict(r) for r in rows]
        swapped[one][a], swapped[other][b] = rows[other][b], rows[one][a]
        if [same(x, y) for x, y in zip(swapped, rows, strict=True)] != [True] * len(rows):
            assert tally_by_day(batch_of(swapped)) != before


def test_a_number_is_told_from_a_text_and_from_nothing() -> None:
    found = [
        row_hashes(one_column(values))[0]
        for values in (pa.array([1]), pa.array(["1"]), pa.array([""]), pa.array([None], pa.string()), pa.array([0]))
    ]
    assert len(set(found)) == len(found)


TEXTS = st.lists(st.text(max_size=40) | st.binary(max_size=600).map(lambda b: b.decode("latin-1")) | st.none(), max_size=20)


@settings(deadline=None, max_examples=examples(40))
@given(TEXTS.map(lambda texts: [t and t.encode("utf-8", "ignore").decode() for t in texts]))
def test_the_hash_of_a_text_is_what_its_lanes_say(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    for some in (array, array.slice(len(texts) // 2), array.cast(pa.large_string())):
        found = text_hashes(some).tolist()
        assert [f for f, t in zip(found, some.to_pylist(), strict=True) if t is not None] == [
            by_hand(t) for t in some.to_pylist() if t is not None
        ]


def by_hand(text: str) -> int:
    raw, word = text.encode(), 2**64
    total = len(raw) * 0xD1342543DE82EF95
    for place in range((len(raw) + 7) // 8):
        lane = int.from_bytes(raw[place * 8 : place * 8 + 8], "little")
        key = (place + 1) * 0x9E3779B97F4A7C15 % word
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            key = (key ^ key >> shift) * factor % word
        total += (lane ^ lane >> 32) * (key | 1)
    return total % word


def test_long_and_many_texts_are_hashed_like_few_short_ones() -> None:
    texts = [f"{n:x}" * (n % 50) for n in range(20_000)]
    for some in (texts, [*texts, "y" * 70_000]):  # the long one is worked on in another way
        found = text_hashes(pa.array(some))
        picked = [0, 1, 77, 19_999, len(some) - 1]
        assert found[picked].tolist() == [by_hand(some[i]) for i in picked]
        assert len(np.unique(found)) == len(set(some))


def test_many_rows_are_hashed_like_few() -> None:
    count = 20_000
    rng = np.random.default_rng(5)
    data = pa.record_batch(
        {
            "ts": pa.array(rng.integers(0, 3 * US_PER_DAY, count), TS_TYPE),
            "tag": pa.array([f"d{n % 700}" for n in range(count)]).dictionary_encode(),
            "x": pa.array(rng.normal(size=count), mask=rng.random(count) < 0.1),
            "n": pa.array(rng.integers(-(2**62), 2**62, count)),
            "s": pa.array([f"line {n}" for n in range(count)]),
            "_seq": pa.array(range(count), pa.int64()),
        }
    )
    every = row_hashes(data)
    assert len(np.unique(every)) == count
    for at in (0, 8191, 8192, count - 1):
        assert row_hashes(data.slice(at, 1))[0] == every[at]
    assert joined(tally_by_day(data.slice(at, 3000)) for at in range(0, count, 3000)) == tally_by_day(data)
    assert sum(t.rows for t in tally_by_day(data).values()) == count


def test_the_hashes_are_those_that_are_stored() -> None:
    """What is kept in folders must be found again by every later version."""
    schema = Schema(
        "s", (Column("tag", Kind.TAG), Column("x", Kind.FLOAT), Column("n", Kind.INT), Column("ok", Kind.BOOL), Column("s", Kind.TEXT))
    )
    rows: list[dict[str, Any]] = [
        {"ts": 1_700_000_000_000_000, "tag": "a", "x": 1.5, "n": 2**60 + 1, "ok": True, "s": "ünï text of some length"},
        {"ts": 1_700_000_000_000_001, "tag": None, "x": -0.0, "n": None, "ok": False, "s": ""},
    ]
    assert hashes(batch_of(rows, schema)) == STORED


STORED = [17018662569905860637, 14503980018669936733]


def test_a_type_that_no_column_has_is_refused() -> None:
    with pytest.raises(TypeError, match="which no column"):
        row_hashes(one_column(pa.array([b"x"], pa.binary())))


def test_nothing_has_an_empty_tally() -> None:
    assert tally_by_day(batch_of([])) == {}
    assert row_hashes(pa.Table.from_batches([batch_of([])])).tolist() == []
    assert not EMPTY
    assert Tally(1, 0)
