"""When a stream was silent: read from as few records as decide it.

A file whose records span less than the measure can hide no silence; of one that spans more, row groups are read until what was
seen leaves no room for one. So a lake without silences costs little more than a look at its manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from appliance.cold.batch.audit.gaps import Span, joined, silences, spans_of
from appliance.cold.batch.audit.replay import Fact
from appliance.cold.files import locate
from appliance.cold.segments import read_rows
from appliance.errors import StoreDamaged
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.records import EVERYTHING

ROWS_AT_ONCE: Final = 16_384
"""Few rows often decide it: a file lies by series, and one series says as much as all."""


def silent_stretches(
    root: Path, reader: HotReader, stream: StreamState, facts: Sequence[Fact], *, since_us: int | None, until_us: int, within_us: int
) -> list[Span]:
    """Stretches of more than ``within_us`` without a record of the stream; ``facts`` are its live segments. A file that can't be read
    counts as full: that it is lost is said elsewhere."""
    spans: list[Span] = []
    for fact in facts:
        if fact.ts_max - fact.ts_min <= within_us:
            spans.append((fact.ts_min, fact.ts_max))
        else:
            spans += _spans_of_file(root, fact, within_us)
        spans = joined(spans, within_us=within_us)
    for chunk in reader.iterate(stream, after_seq=stream.mark):
        times = chunk.data.column(0).cast("int64").to_numpy(zero_copy_only=False)
        spans = joined([*spans, *spans_of(times, within_us=within_us)], within_us=within_us)
    return silences(spans, since_us=since_us, until_us=until_us, within_us=within_us)


def _spans_of_file(root: Path, fact: Fact, within_us: int) -> list[Span]:
    spans: list[Span] = [(fact.ts_min, fact.ts_min), (fact.ts_max, fact.ts_max)]
    try:
        for rows in read_rows(locate(root, fact.path), tags=(), columns=("ts",), rows=ROWS_AT_ONCE, span=EVERYTHING):
            times = np.asarray(rows.column(0).cast("int64").to_numpy(zero_copy_only=False))
            spans = joined([*spans, *spans_of(times, within_us=within_us)], within_us=within_us)
            if len(spans) == 1:
                break
    except (StoreDamaged, OSError):
        return [(fact.ts_min, fact.ts_max)]
    return spans
