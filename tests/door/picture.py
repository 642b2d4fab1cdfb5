"""Everything that a box knows, as values that two boxes can be compared by."""

from __future__ import annotations

from typing import Any

from appliance.box import Box
from tests.door.batches import ring_rows


def picture(box: Box, *, keep_ring: bool = True) -> dict[str, Any]:
    """Everything that a box knows of its streams."""
    found: dict[str, Any] = {}
    for key, state in box.state.streams.items():
        book = box.committer.books[key]
        hashes, seqs, data = book.last.rows()
        found[key] = {
            "state": (
                state.id,
                state.schema,
                dict(state.schemas),
                state.identity,
                state.folder,
                state.mark,
                state.last_seq,
                state.segments,
            ),
            "dirty": dict(state.dirty),
            "future": book.future,
            "series": dict(zip(book.series.hashes.tolist(), book.series.ts_max.tolist(), strict=True)),
            "places": None if book.places is None else dict(zip(book.places.hashes.tolist(), book.places.ts_max.tolist(), strict=True)),
            "last": (hashes.tolist(), seqs.tolist(), data.to_pylist()),
            "last_ts": book.last_ts_us,
            "last_commit": book.last_commit_us,
            "ring": [valued(r) for r in ring_rows(box, key) if r["_seq"] > state.mark] if keep_ring else None,
        }
    return found


def valued(row: dict[str, Any]) -> dict[str, Any]:
    """Without nulls: the ring has the newest schema after a restart, a stored batch its own."""
    return {name: value for name, value in row.items() if value is not None}
