"""Series that are followed: which records are not after all that came before of theirs, whatever way that is found out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.hot.series import SeriesTable

ROUNDS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=12), max_size=5)


@given(rounds=ROUNDS, rising=st.booleans())
def test_a_record_is_new_where_it_is_after_all_of_its_series_and_the_first_at_its_time(
    rounds: list[list[tuple[int, int]]], rising: bool
) -> None:
    table, reached = SeriesTable.empty(), dict[int, int]()
    for number, part in enumerate(rounds):
        records = sorted({(s, t + 40 * number) for s, t in part}, key=lambda r: r[1]) if rising else part
        hashes = np.array([s * 7_919 for s, _ in records], np.uint64)
        ts = np.array([t for _, t in records], np.int64)
        seen: set[tuple[int, int]] = set()
        expected = []
        for record in records:
            expected.append(record[1] <= reached.get(record[0], -1) or record in seen)
            seen.add(record)
        assert table.follow(hashes, ts).tolist() == expected
        for series, at in records:
            reached[series] = max(reached.get(series, -1), at)
    known = np.array(sorted(s * 7_919 for s in reached), np.uint64)
    assert table.reached(known).tolist() == [reached[int(h) // 7_919] for h in known]
