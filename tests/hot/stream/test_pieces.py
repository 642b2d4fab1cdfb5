"""Pieces of a round: short at first, longer while little comes of them, shorter where many alerts change at once."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.followed import PIECE_ROWS, PIECE_ROWS_MIN, Followed
from appliance.hot.stream.values import Rows
from tests.alerting.hooks_rows import rows


class Given(Followed):
    """A stream that has these records to give."""

    parts: list[Rows]

    def next_rows(self, _stream: Any) -> Iterator[Rows]:
        yield from self.parts


def followed(*lengths: int) -> Given:
    made = Given(SimpleNamespace(), "readings", 1, SimpleNamespace(), SimpleNamespace(), 0)  # type: ignore[arg-type]
    whole = rows([(float(i), "a", 1.0) for i in range(sum(lengths))])
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    made.parts = [Rows(whole.data.slice(e - n, n), whole.seqs[e - n : e]) for e, n in zip(ends, lengths, strict=True)]
    return made


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=4))
def test_all_records_come_once_in_pieces_that_at_most_double(lengths: list[int]) -> None:
    found = [p.seqs.tolist() for p in followed(*lengths).pieces(SimpleNamespace())]  # type: ignore[arg-type]
    assert [s for piece in found for s in piece] == list(range(1, sum(lengths) + 1))
    most = PIECE_ROWS
    for piece in found:
        assert len(piece) <= most
        most = max(most, 2 * len(piece))


@pytest.mark.parametrize(("rows_", "alerts", "then"), [(512, 512, PIECE_ROWS), (512, 51_200, PIECE_ROWS_MIN), (512, 2_048, 250)])
def test_where_too_many_alerts_change_the_next_round_begins_with_less(rows_: int, alerts: int, then: int) -> None:
    one = followed(1)
    one.suit(rows_, alerts=alerts)
    assert one.piece_rows == then
    for _ in range(10):
        one.suit(16, alerts=0)
    assert one.piece_rows == PIECE_ROWS
