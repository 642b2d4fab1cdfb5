"""The records of a stream that come after a place, in pieces: from the ring, else from the store and the lake."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hot.series import fit
from appliance.hot.state import StreamState
from appliance.hot.stream.followed import PastRows
from appliance.hot.stream.values import Rows

PIECE_ROWS_MAX: Final = 1_024
"""Records that are looked at at once."""
MISSED_ROWS_MAX: Final = 131_072
"""Sequences of one read of the past, where the ring has let go what comes next."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records, and up to where everything has been seen with them."""

    rows: Rows | None
    """None: what there was is gone."""
    up_to: int
    """A sequence."""


def next_pieces(stream: StreamState, after_seq: int, *, past: PastRows, columns: Collection[str]) -> Iterator[Piece]:
    """What comes after a place, oldest first; of much that the ring no longer holds a part. ``columns``: those that are needed of it.

    Where a piece is cut depends on how records were committed; nothing may depend on that.
    """
    if after_seq >= stream.last_seq:
        return
    if stream.ring_first > after_seq + 1:
        until = min(stream.last_seq, after_seq + MISSED_ROWS_MAX)
        for rows in past(stream.name, after_seq=after_seq, up_to_seq=until, columns=columns):
            for piece in _cut(rows):
                yield Piece(piece, int(piece.seqs[-1]))
        yield Piece(None, until)
        return
    for chunk in stream.ring:
        if chunk.last > after_seq:
            part = chunk.after(after_seq)
            whole = Rows(fit(part.data, stream.schema), np.arange(part.first, part.last + 1, dtype=np.int64))
            for piece in _cut(whole):
                yield Piece(piece, int(piece.seqs[-1]))


def _cut(rows: Rows) -> Iterator[Rows]:
    if len(rows) <= PIECE_ROWS_MAX:
        yield rows
        return
    for first in range(0, len(rows), PIECE_ROWS_MAX):
        yield Rows(rows.data.slice(first, PIECE_ROWS_MAX), rows.seqs[first : first + PIECE_ROWS_MAX])


def behind(rows: Rows, seq: int) -> Rows:
    """Those behind a sequence; at least one is."""
    first = int(np.searchsorted(rows.seqs, seq, side="right"))
    return Rows(rows.data.slice(first), rows.seqs[first:])
