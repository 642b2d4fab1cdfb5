"""The order of rows: that of the columns, however many words it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from appliance.cold import layout
from appliance.cold.layout import Ranks, mergeable, sort_columns, split_days, tag_array
from appliance.records import Column, Kind, Schema
from tests.cold.making import BUSY, READINGS, hot_table
from tests.examples import examples

small = st.none() | st.sampled_from(["", "a", "B", "b", "ba", "ä", "z"])
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "ts": st.integers(-3 * US_PER_DAY, 3 * US_PER_DAY),
            "device": small,
            "room": small,
            "value": st.none() | st.sampled_from([0.0, -0.0, -1.5, 1e300, -1e300, 5e-324]),
            "count": st.none() | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
            "ok": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=40,
)


def key(row: dict[str, Any], order: tuple[str, ...]) -> tuple[Any, ...]:
    """Nulls first, text by its bytes, numbers as they are."""
    return tuple((v is not None, v.encode() if isinstance(v, str) else v if v is not None else 0) for v in map(row.get, order))


@pytest.mark.parametrize("word_max", [2**62, 20])
@settings(max_examples=examples(80), deadline=None, suppress_health_check=BUSY)
@given(rows=rows_of, order=st.permutations(["device", "room", "value", "count", "ok"]))
def test_rows_lie_by_day_then_by_the_columns_then_as_they_came(word_max: int, rows: list[dict[str, Any]], order: list[str]) -> None:
    by = (*order, "ts")
    table = pa.concat_tables([hot_table(rows[: len(rows) // 2], READINGS), hot_table(rows[len(rows) // 2 :], READINGS)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_WORD_MAX", word_max)
        ranks = Ranks.of([table], READINGS.tags)
        words = ranks.words(table, by, codes={t: ranks.codes(table.column(t), t) for t in READINGS.tags})
    ts = np.array([r["ts"] for r in rows], np.int64)
    found = [(day, picked.tolist()) for day, picked in split_days(ts, words)]
    flat = [i for _, picked in found for i in picked]
    assert flat == sorted(range(len(rows)), key=lambda i: (rows[i]["ts"] // US_PER_DAY, key(rows[i], by), i))
    assert [day for day, _ in found] == sorted({r["ts"] // US_PER_DAY for r in rows})
    assert all(rows[i]["ts"] // US_PER_DAY == day for day, picked in found for i in picked)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=BUSY)
@given(values=st.lists(small, max_size=30), start=st.integers(0, 30))
def test_a_tag_column_keeps_its_values_and_drops_those_that_don_t_occur(values: list[str | None], start: int) -> None:
    column = pa.array(values, pa.string()).dictionary_encode()
    ranks = Ranks({"t": pa.array(sorted({v for v in values if v is not None}, key=str.encode), pa.string())})
    part = tag_array(ranks.codes(column, "t")[start:], ranks.values["t"])
    assert part.to_pylist() == values[start:]
    assert part.dictionary.to_pylist() == sorted({v for v in values[start:] if v is not None}, key=str.encode)


@pytest.mark.parametrize(
    ("identity", "order"),
    [
        (None, ("device", "room", "ts")),
        (("device", "room", "ts"), ("device", "room", "ts")),
        (("room", "device", "ts"), ("device", "room", "ts")),
        (("room", "ts"), ("room", "ts")),
        (("DEVICE", "ts"), ("device", "ts")),
        (("note", "ts"), ("note", "ts")),
        (("never_seen", "room", "ts"), ("room", "ts")),
        (("ts",), ("ts",)),
    ],
)
def test_the_order_is_all_tags_unless_the_identity_is_another(identity: tuple[str, ...] | None, order: tuple[str, ...]) -> None:
    assert sort_columns(READINGS, identity) == order


def test_free_text_can_t_be_merged_by_words() -> None:
    assert mergeable(READINGS, ("room", "value", "count", "ok", "ts"))
    assert not mergeable(READINGS, ("note", "ts"))


def test_many_large_tags_take_more_than_one_word() -> None:
    schema = Schema("wide", tuple(Column(f"t{i}", Kind.TAG) for i in range(12)))
    rows = [{"ts": 0, **{f"t{i}": f"v{(n * (i + 3)) % 97}" for i in range(12)}} for n in range(200)]
    table = hot_table(rows, schema)
    ranks = Ranks.of([table], schema.tags)
    words = ranks.words(table, (*schema.tags, "ts"), codes={t: ranks.codes(table.column(t), t) for t in schema.tags})
    assert len(words) == 3
    (found,) = split_days(np.zeros(200, np.int64), words)
    assert found[1].tolist() == sorted(range(200), key=lambda n: (key(rows[n], schema.tags), n))
