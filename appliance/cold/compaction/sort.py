"""Rows of files that don't lie in the order needed, sorted by DuckDB, which spills to the disk what memory can't hold.

For identities with columns of free text, and for files from before a stream's identity was changed; else ``merge`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from appliance.cold.compaction.coded import Coding, Input
from appliance.errors import RetryLater

_SLICE_BYTES = 8 << 20
_OUT_ROWS = 65_536
_MEMORY_MIN = 96 << 20
"""Below this DuckDB 2.0 gives up on sorting twenty columns instead of spilling."""


def sort(inputs: Sequence[Input], coding: Coding, order: Sequence[str], *, memory_bytes: int, spill: Path) -> Iterator[pa.Table]:
    """Coded tables with all rows of all inputs, by ``order`` (nulls first) and then ``_seq``; ``spill`` is a folder of its own.

    Raises RetryLater when memory and the disk together are too small.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(_MEMORY_MIN, memory_bytes) >> 20}MiB",
        "temp_directory": str(spill),
        "threads": 1,
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=config) as connection:
        rows = pa.RecordBatchReader.from_batches(coding.arrow, _batches(inputs, coding))
        by = ", ".join(f"{_quoted(c)} NULLS FIRST" for c in (*order, "_seq"))
        source: Any = connection.from_arrow(rows)
        try:
            for batch in source.order(by).to_arrow_reader(_OUT_ROWS):
                yield pa.Table.from_batches([batch]).cast(coding.arrow)
        except (duckdb.Error, OSError) as error:
            raise RetryLater(f"no room to sort in: {error}", after_s=60) from error


def _batches(inputs: Sequence[Input], coding: Coding) -> Iterator[pa.RecordBatch]:
    for path, facts in inputs:
        for _read, table in coding.read(path, facts, rows=facts.rows_within(_SLICE_BYTES)):
            yield from table.to_batches()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
