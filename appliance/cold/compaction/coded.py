"""Rows on their way through a compaction: in the newest schema, tags as codes that compare like their values.

A coded table has the columns of ``Schema.lake``, with each tag as int32 (0 is null, else 1 + rank among all values of the
inputs). Small numbers travel, sort and compare faster than text, and no value is lost: ``decode`` gives the text back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.cold.layout import Known, Ranks, Words, merge_values, tag_array
from appliance.cold.segments import FileFacts, read_segment
from appliance.hiding import without_hidden
from appliance.manifest import Deletion
from appliance.records import ARROW_OF, Kind, Schema, fold
from appliance.tally import Tally, difference, joined, tally_by_day, widening

CODE_TYPE = pa.int32()
Input = tuple[Path, FileFacts]


class Coding:
    """The newest schema of a stream, and the values of its tags over all inputs."""

    def __init__(self, schema: Schema, ranks: Ranks, deletions: Sequence[Deletion] = ()) -> None:
        self.schema = schema
        self.ranks = ranks
        self.removed = 0
        """Rows that were read and left out because they were deleted."""
        self.changes: dict[int, Tally] = {}
        """What the rows given out have more or less than those that were read: by those left out, and by integers that became floats."""
        self._deletions = deletions
        self.arrow = pa.schema([f if f.name not in schema.tags else pa.field(f.name, CODE_TYPE) for f in schema.lake])

    @classmethod
    def of(cls, schema: Schema, inputs: Sequence[Input], deletions: Sequence[Deletion] = ()) -> Coding:
        """Reads the tags of all inputs, and nothing else of them. Rows of ``deletions`` will be left out."""
        values: dict[str, pa.Array] = {t: pa.nulls(0, pa.string()) for t in schema.tags}
        for path, facts in inputs:
            for name, found in _tag_values(path, facts).items():
                tag = schema.by_fold[fold(name)].name
                values[tag] = merge_values([values[tag], found])
        return cls(schema, Ranks(values), deletions)

    def read(self, path: Path, facts: FileFacts, *, rows: int) -> Generator[tuple[int, pa.Table], None, None]:
        """An input's rows as coded tables, whatever version of the schema it was written with, each with how many rows were read for it.

        At most ``rows``; a table lacks those that were deleted, and may be empty.
        """
        known: Known = {}
        for batch in read_segment(path, tags=facts.schema.tags, rows=rows):
            kept = without_hidden(batch, self._deletions)
            self.removed += batch.num_rows - kept.num_rows
            if kept.num_rows < batch.num_rows:
                self.note(batch, kept)
            wider = widening(kept, None, self._wider(facts))
            if wider:
                self.changes = joined((self.changes, wider))
            yield batch.num_rows, self._encode(kept, known)

    def note(self, before: Any, after: Any) -> None:
        """These rows, with all columns, have become those."""
        self.changes = joined((self.changes, difference(tally_by_day(after), tally_by_day(before))))

    def _wider(self, facts: FileFacts) -> list[str]:
        """Columns of integers of a file that are floats now."""
        ints = [c.name for c in facts.schema.columns if c.kind is Kind.INT]
        return [name for name in ints if self.schema.by_fold[fold(name)].kind is Kind.FLOAT]

    def decode(self, table: pa.Table) -> pa.Table:
        """Ready for ``write_segment``: tags as dictionaries of only the values that occur."""
        columns = [
            tag_array(table.column(f.name).to_numpy(), self.ranks.values[f.name]) if f.type == CODE_TYPE else table.column(f.name)
            for f in self.arrow
        ]
        return pa.table(columns, names=self.arrow.names)

    def words(self, table: pa.Table, order: Sequence[str]) -> Words:
        """The words of coded rows by ``order``, and last their sequence: no two rows have the same words."""
        codes = {t: table.column(t).to_numpy() for t in self.schema.tags if t in order}
        return [*self.ranks.words(table, order, codes=codes), table.column("_seq").to_numpy()]

    def _encode(self, batch: pa.RecordBatch, known: Known) -> pa.Table:
        held = {fold(n): i for i, n in enumerate(batch.schema.names)}
        columns: list[Any] = []
        for field in self.arrow:
            index = held.get(fold(field.name))
            if field.type == CODE_TYPE:
                codes = np.zeros(batch.num_rows, np.int32) if index is None else self.ranks.codes(batch.column(index), field.name, known)
                columns.append(pa.array(codes))
            elif index is None:
                columns.append(pa.nulls(batch.num_rows, field.type))
            else:
                columns.append(batch.column(index).cast(field.type, safe=False))  # an int beyond 2^53 becomes the nearest float
        return pa.table(columns, schema=self.arrow)


def in_order(facts: FileFacts, schema: Schema, order: Sequence[str]) -> bool:
    """Whether a file's rows lie in ``order``, once it is brought to ``schema``: columns that it lacks are null in all of them."""
    held = facts.schema.by_fold
    here = [c for c in order if c == "ts" or fold(c) in held]
    same_kind = all(c == "ts" or ARROW_OF[held[fold(c)].kind] == ARROW_OF[schema.by_fold[fold(c)].kind] for c in here)
    return same_kind and list(map(fold, here)) == list(map(fold, facts.sorted_by))


def _tag_values(path: Path, facts: FileFacts) -> dict[str, pa.Array]:
    tags = [c.name for c in facts.schema.columns if c.kind is Kind.TAG]
    if not tags:
        return {}
    with pq.ParquetFile(path, read_dictionary=tags) as file:
        groups = (file.read_row_group(i, columns=tags, use_threads=False) for i in range(file.num_row_groups))
        return dict(Ranks.of(groups, tags).values)
