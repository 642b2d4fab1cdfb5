"""Encodings are chosen by what a column holds, and only where they pay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from appliance.cold.encodings import DICTIONARY, choose_encodings

RNG = np.random.default_rng(7)
ROWS = 20_000
WALK = np.cumsum(RNG.normal(0, 0.1, ROWS))


@pytest.mark.parametrize(
    ("what", "values", "encoding"),
    [
        ("a percentage with one decimal", np.round(RNG.uniform(0, 100, ROWS), 1), DICTIONARY),
        ("a float of full precision", WALK + 20, "BYTE_STREAM_SPLIT"),
        ("a counter", np.cumsum(RNG.integers(0, 100_000, ROWS)), "DELTA_BINARY_PACKED"),
        ("a gauge in whole numbers", (WALK * 10).astype(np.int64), "DELTA_BINARY_PACKED"),
        ("a status code", RNG.choice([200, 200, 200, 404, 500], ROWS), DICTIONARY),
        ("one of a few words", [("on", "off", "idle")[i] for i in RNG.integers(0, 3, ROWS)], DICTIONARY),
        ("paths that begin alike", [f"/var/log/service-{i:08d}/output.log" for i in range(ROWS)], "DELTA_BYTE_ARRAY"),
    ],
)
def test_each_kind_of_values_gets_the_encoding_that_is_smallest_for_it(what: str, values: object, encoding: str) -> None:
    chosen = choose_encodings(pa.table({"ts": pa.array(range(ROWS)), "v": pa.array(values)}), zstd_level=3)
    assert ("v" in chosen.dictionary, chosen.plain.get("v")) == (encoding == DICTIONARY, None if encoding == DICTIONARY else encoding), what


def test_tags_are_dictionaries_and_times_and_sequences_are_deltas() -> None:
    table = pa.table(
        {"ts": pa.array([3, 1, 2], pa.timestamp("us")), "tag": pa.array(["a", "b", None]).dictionary_encode(), "_seq": [1, 2, 3]}
    )
    chosen = choose_encodings(table, zstd_level=3)
    assert chosen.dictionary == ("tag",)
    assert chosen.plain == {"ts": "DELTA_BINARY_PACKED", "_seq": "DELTA_BINARY_PACKED"}


def test_a_sample_of_huge_values_stays_small() -> None:
    table = pa.table({"v": pa.array(["x" * (1 << 20)] * 200)})
    assert choose_encodings(table, zstd_level=3).dictionary == ("v",)
