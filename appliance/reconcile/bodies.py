"""One hot batch by itself: its header against its body, by checksum, by decoding, by tally. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from appliance.hot import batches
from appliance.hot.alerts.reads import Reads
from appliance.hot.batches import Header
from appliance.hot.state import StreamState
from appliance.tally import row_hashes

DAMAGED: Final = "batch damaged"
CHANGED: Final = "rows changed"
HEADER: Final = "header false"


@dataclass(frozen=True, slots=True)
class Judged:
    """One batch as far as its body tells."""

    header: Header
    """As it is stored."""
    true: Header
    """As it should be."""
    kind: str | None
    """What is wrong with it by itself; None: nothing."""
    why: str


def judge_body(reads: Reads, stream: StreamState, header: Header) -> Judged:
    """What the body of one batch says of its header, by checksum, columns and tally."""
    body = batches.body(reads, stream, header)
    if body.data is None or not body.data.num_rows:
        return Judged(header, header, DAMAGED, body.wrong or "has no records")
    ts = body.data.column(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    low, high, rows = int(ts.min()), int(ts.max()), body.data.num_rows
    first = _first_of(header, body.data)
    if first is None:
        what = f"the records {header.first} to {header.last} are not those that were committed (their tally differs)"
        return Judged(header, replace(header, last=header.first + rows - 1, ts_min=low, ts_max=high), CHANGED, what)
    true = replace(header, first=first, last=first + rows - 1, ts_min=low, ts_max=high)
    if true == header:
        return Judged(header, true, None, "")
    said = ", ".join(f"{n} is {getattr(header, n)} and not {getattr(true, n)}" for n in ("first", "last", "ts_min", "ts_max")
                     if getattr(header, n) != getattr(true, n))  # fmt: skip
    return Judged(header, true, HEADER, f"the batch of the records {true.first} to {true.last} is described wrongly: {said}")


def _first_of(header: Header, data: pa.RecordBatch) -> int | None:
    """The first sequence with which the rows are those that were committed: as stored, or what the last one says; None: with neither.

    A batch from before there were tallies is believed.
    """
    wanted = header.sum
    if wanted is None:
        return header.first
    for first in (header.first, header.last - data.num_rows + 1):
        if first > 0 and int(row_hashes(data, first).sum(dtype=np.uint64)) == wanted:
            return first
    return None
