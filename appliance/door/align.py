"""Brings a batch into a stream's schema, or the schema to the batch: pure, by column.

New columns are added, integers widen to float in either direction, text goes where the stream has a tag; whatever else
clashes refuses the rows that hold such a value, alone, and leaves the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.config import LimitOptions
from appliance.records import ARROW_OF, Batch, Column, Kind, Reject, Schema, check_name, fold

TS_MIN_US = -62_135_596_800_000_000
"""0001-01-01: below it no tool of the field shows a date."""
TS_MAX_US = 253_402_300_800_000_000
"""10000-01-01, excluded."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A batch in the columns of ``schema``; ``data`` may have no rows when all were refused."""

    schema: Schema
    """The stream's schema from now on; the version is raised when it differs from the one that was known."""
    data: pa.RecordBatch
    kept: npt.NDArray[np.int64] | None
    """Positions of the kept rows within the batch; None: all of them."""
    rejects: tuple[Reject, ...]


def kind_of(field: pa.Field, *, tag: bool) -> Kind | None:
    """What a source's column holds; None for a type that no column of a stream has."""
    if tag:
        return Kind.TAG
    value_type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    for kind, arrow in ARROW_OF.items():
        if kind is not Kind.TAG and value_type == arrow:
            return kind
    return None


def align(batch: Batch, known: Schema | None, limits: LimitOptions, tags_configured: Sequence[str] = ()) -> Aligned:
    """``known`` is None for a stream that is not there yet; ``tags_configured`` are columns that the owner has declared as tags."""
    work = _Work(batch, known or Schema(batch.stream, (), 0), limits)
    tags = {fold(t) for t in (*batch.tags, *tags_configured)}
    for field, column in zip(batch.data.schema, batch.data.columns, strict=True):
        if field.name == "ts":
            work.check_times(column)
        else:
            work.place(field, column, tag=fold(field.name) in tags)
    return work.finish(known)


class _Work:
    """The batch under way: its columns so far, the schema so far, and why rows are refused."""

    def __init__(self, batch: Batch, schema: Schema, limits: LimitOptions) -> None:
        self.batch = batch
        self.schema = schema
        self.limits = limits
        self.columns: dict[str, pa.Array] = {}
        self.bad: dict[int, str] = {}

    def refuse(self, rows: pa.Array | Mask, reason: str) -> None:
        """Refuses the rows for which ``rows`` is true, for the first reason that is found."""
        mask = rows if isinstance(rows, np.ndarray) else rows.fill_null(False).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(mask):
            self.bad.setdefault(int(row), reason)

    def check_times(self, column: pa.Array) -> None:
        if column.null_count:
            self.refuse(column.is_null(), "the time is missing")
        numbers = column.cast(pa.int64())
        extremes = pc.min_max(numbers)
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        if low is not None and (low < TS_MIN_US or high >= TS_MAX_US):
            outside = pc.or_(pc.less(numbers, TS_MIN_US), pc.greater_equal(numbers, TS_MAX_US))
            self.refuse(outside, "the time lies outside the years 1 to 9999")

    def place(self, field: pa.Field, column: pa.Array, *, tag: bool) -> None:
        """Finds the column of the stream that takes this one, widening the schema where that is allowed."""
        given = kind_of(field, tag=tag)
        if given is None:
            self.refuse(column.is_valid(), f"column {field.name!r} is {field.type}, which no column of a stream can hold")
            return
        have = self.schema.by_fold.get(fold(field.name))
        if have is None:
            have = self._new_column(field.name, given, column)
            if have is None:
                return
        if have.kind is Kind.INT and given is Kind.FLOAT and column.null_count < len(column):
            have = self._replace(have, Column(have.name, Kind.FLOAT))
        fitted = _cast(column, given, have.kind)
        if fitted is None:
            what = "a tag" if given is Kind.TAG else given.value
            there = "a tag" if have.kind is Kind.TAG else have.kind.value
            self.refuse(column.is_valid(), f"type clash: {field.name!r} is {what} here and {there} in stream {self.schema.stream!r}")
            return
        self._check_values(have, fitted)
        self.columns[have.name] = fitted

    def _new_column(self, name: str, kind: Kind, column: pa.Array) -> Column | None:
        if column.null_count == len(column):
            return None
        reason = check_name(name, what="tag" if kind is Kind.TAG else "field", bytes_max=self.limits.name_bytes_max)
        if reason is None and len(self.schema.columns) >= self.limits.columns_max:
            reason = f"stream {self.schema.stream!r} has {self.limits.columns_max} columns already, the limit [limits] columns_max"
        if reason is not None:
            self.refuse(column.is_valid(), reason)
            return None
        added = Column(name, kind)
        before = [c for c in self.schema.columns if c.kind is Kind.TAG]
        after = [c for c in self.schema.columns if c.kind is not Kind.TAG]
        columns = (*before, added, *after) if kind is Kind.TAG else (*before, *after, added)
        self.schema = replace(self.schema, columns=columns)
        return added

    def _replace(self, old: Column, new: Column) -> Column:
        self.schema = replace(self.schema, columns=tuple(new if c == old else c for c in self.schema.columns))
        if old.name in self.columns:
            self.columns[old.name] = self.columns[old.name].cast(ARROW_OF[new.kind], safe=False)
        return new

    def _check_values(self, column: Column, values: pa.Array) -> None:
        if column.kind is Kind.FLOAT:
            if not pc.all(pc.is_finite(values), min_count=0).as_py():
                self.refuse(pc.invert(pc.is_finite(values)), f"{column.name!r} is not a finite number")
        elif column.kind in (Kind.TEXT, Kind.TAG):
            distinct = values.dictionary if column.kind is Kind.TAG else values
            longest = pc.max(pc.binary_length(distinct)).as_py()
            if longest is not None and longest > self.limits.value_bytes_max:
                lengths = pc.binary_length(values.cast(pa.string()))
                self.refuse(
                    pc.greater(lengths, self.limits.value_bytes_max),
                    f"{column.name!r} is longer than {self.limits.value_bytes_max} bytes, the limit [limits] value_bytes_max",
                )

    def finish(self, known: Schema | None) -> Aligned:
        schema = self.schema
        if not schema.fields and known is None:
            for row in range(self.batch.rows):
                self.bad.setdefault(row, "no field has a value")
        if known is None or schema.columns != known.columns:
            schema = replace(schema, version=(known.version if known else 0) + 1)
        rows = self.batch.rows
        arrays = [self.batch.data.column(self.batch.data.schema.get_field_index("ts"))]
        for column in schema.columns:
            array = self.columns.get(column.name)
            arrays.append(array if array is not None else pa.nulls(rows, ARROW_OF[column.kind]))
        data = pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)
        if not self.bad:
            return Aligned(schema, data, None, ())
        keep = np.ones(rows, dtype=np.bool_)
        keep[list(self.bad)] = False
        kept = np.flatnonzero(keep).astype(np.int64)
        rejects = tuple(reject_row(self.batch, row, reason) for row, reason in sorted(self.bad.items()))
        if not len(kept) and known is not None:
            schema, data = known, pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in known.arrow], schema=known.arrow)
            return Aligned(schema, data, kept, rejects)
        return Aligned(schema, data.take(pa.array(kept)), kept, rejects)


def reject_row(batch: Batch, row: int, reason: str) -> Reject:
    """The dead letter of one row, with its original bytes as far as the source knows them."""
    origin = batch.origin
    raw = origin.raw(row) if origin is not None else str(batch.data.slice(row, 1).to_pylist()[0]).encode()
    return Reject(reason, raw, origin.line(row) if origin is not None else 0, batch.stream)


def _cast(column: pa.Array, given: Kind, wanted: Kind) -> pa.Array | None:
    """The column as ``wanted``, or None when its values can't be that."""
    if column.null_count == len(column):
        return pa.nulls(len(column), ARROW_OF[wanted])
    if wanted is Kind.TAG:
        if pa.types.is_dictionary(column.type):
            return column if column.type == ARROW_OF[Kind.TAG] else column.cast(pa.string()).dictionary_encode()
        return column.cast(pa.string()).dictionary_encode()
    if wanted is Kind.TEXT and given in (Kind.TAG, Kind.TEXT):
        return column.cast(pa.string())
    if given is wanted:
        return column
    if wanted is Kind.FLOAT and given is Kind.INT:
        return column.cast(pa.float64(), safe=False)
    return None
