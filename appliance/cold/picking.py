"""Rows of a segment by their numbers in the file: only the row groups and columns that are asked for are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.cold.segments import read_facts, reading
from appliance.records import TimeRange

I64 = npt.NDArray[np.int64]


class Picker:
    """One open segment; of one thread. Raises ``StoreDamaged`` for what can't be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(path):
            self._file = pq.ParquetFile(path)
        meta = self._file.metadata
        groups = [meta.row_group(g) for g in range(meta.num_row_groups)]
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        self.starts: I64 = np.cumsum([0, *(g.num_rows for g in groups)]).astype(np.int64)
        """The number of the first row of each group, and that of all rows."""
        at = self.names.index("ts")
        self.spans: tuple[tuple[int, int] | None, ...] = tuple(_span(g.column(at).statistics) for g in groups)
        """Closed event times of each group; None where the file doesn't say."""

    def close(self) -> None:
        """After it nothing can be read."""
        self._file.close()

    def stored_bytes(self, columns: Iterable[str]) -> int:
        """What these columns take in the file."""
        wanted, meta = set(columns), self._file.metadata
        groups = [meta.row_group(g) for g in range(meta.num_row_groups)]
        return sum(
            int(c.total_compressed_size) for g in groups for i in range(g.num_columns) if (c := g.column(i)).path_in_schema in wanted
        )

    def groups_within(self, span: TimeRange) -> list[int]:
        """The row groups that can hold a record of ``span``."""
        return [g for g, of in enumerate(self.spans) if of is None or span.overlaps(*of)]

    def group(self, number: int, columns: Iterable[str]) -> pa.Table:
        """One row group; columns that the file lacks are left out."""
        wanted = [n for n in self.names if n in set(columns)]
        with reading(self._path):
            return self._file.read_row_group(number, columns=wanted, use_threads=False)

    def batches(
        self, groups: Sequence[int], columns: Iterable[str], *, bytes_max: int, rows_max: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Pieces of row groups with the number of their first row, each of about so many bytes of whole rows at most."""
        rows = min(rows_max, read_facts(self._path).rows_within(bytes_max))
        wanted = [n for n in self.names if n in set(columns)]
        for group in groups:
            at = int(self.starts[group])
            with reading(self._path):
                for batch in self._file.iter_batches(batch_size=rows, row_groups=[group], columns=wanted, use_threads=False):
                    yield at, batch
                    at += batch.num_rows


@contextmanager
def picking(path: Path) -> Iterator[Picker]:
    """A segment, open for as long as that takes."""
    picker = Picker(path)
    try:
        yield picker
    finally:
        picker.close()


def _span(statistics: Any) -> tuple[int, int] | None:
    if statistics is None or not statistics.has_min_max:
        return None
    low, high = (int(np.datetime64(t, "us").astype(np.int64)) for t in (statistics.min, statistics.max))
    return low, high
