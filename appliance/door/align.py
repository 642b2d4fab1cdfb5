"""Brings a batch into a stream's schema, or the schema to the batch: pure, by column.

New columns are added, integers widen to float in either direction, any value goes as text where the stream has a tag, a tag
where the stream has text; whatever else clashes refuses the rows that hold such a value, alone, and leaves the others. What is
refused leaves nothing behind in the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.config import LimitOptions
from appliance.door.laying import raw_of
from appliance.records import ARROW_OF, TAG_TYPE, Batch, Column, Kind, Reject, Schema, check_name, fold

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
    value_type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    for kind, arrow in ARROW_OF.items():
        if kind is not Kind.TAG and value_type == arrow:
            return Kind.TAG if tag else kind
    return None


def align(batch: Batch, known: Schema | None, limits: LimitOptions, tags_configured: Sequence[str] = ()) -> Aligned:
    """``known`` is None for a stream that is not there yet; ``tags_configured`` are columns that the owner has declared as tags.

    Rows are refused first, and what is left is aligned anew: so a refused row adds no column and widens none.
    """
    left = np.arange(batch.rows)
    bad: dict[int, str] = {}
    data = batch.data
    while True:
        work = _Work(data, batch.tags, known or Schema(batch.stream, (), 0), limits, tags_configured)
        work.check()
        if not work.bad:
            break
        bad.update((int(left[row]), reason) for row, reason in work.bad.items())
        left = np.delete(left, list(work.bad))
        data = data.take(pa.array(np.delete(np.arange(data.num_rows), list(work.bad))))
    schema = work.schema
    if known is None or schema.columns != known.columns:
        schema = replace(schema, version=(known.version if known else 0) + 1)
    rejects = tuple(reject_row(batch, row, reason) for row, reason in sorted(bad.items()))
    return Aligned(schema, work.finish(schema), left if bad else None, rejects)


class _Work:
    """The batch under way: its columns so far, the schema so far, and why rows are refused."""

    def __init__(self, data: pa.RecordBatch, tags: Sequence[str], schema: Schema, limits: LimitOptions, configured: Sequence[str]) -> None:
        self.data = data
        self.tags = {fold(t) for t in tags}
        self.configured = {fold(t) for t in configured}
        self.known = schema
        self.schema = schema
        self.limits = limits
        self.columns: dict[str, pa.Array] = {}
        self.bad: dict[int, str] = {}

    def check(self) -> None:
        """Finds the place of each column and the rows that can't be taken."""
        self._check_times(self.data.column(self.data.schema.get_field_index("ts")))
        if self._has_known_columns():
            for column, values in zip(self.known.columns, self.data.columns[1:], strict=True):
                self.columns[column.name] = self._checked(column, values)
            return
        for field, values in zip(self.data.schema, self.data.columns, strict=True):
            if field.name != "ts":
                self._place(field, values)
        if not self.schema.fields and not self.known.columns:
            self._refuse(np.ones(self.data.num_rows, dtype=np.bool_), "no field has a value")

    def finish(self, schema: Schema) -> pa.RecordBatch:
        """The rows in the columns of ``schema``; without any, those of a stream that stays as it was."""
        rows = self.data.num_rows
        arrays = [self.data.column(self.data.schema.get_field_index("ts"))]
        for column in schema.columns:
            array = self.columns.get(column.name)
            arrays.append(array if array is not None else pa.nulls(rows, ARROW_OF[column.kind]))
        return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)

    def _has_known_columns(self) -> bool:
        """Whether the batch has exactly the stream's columns, as nearly all have: then nothing has to be looked for."""
        return bool(self.known.columns) and bool(self.data.schema.equals(self.known.arrow))

    def _refuse(self, rows: pa.Array | Mask, reason: str) -> None:
        """Refuses the rows for which ``rows`` is true, for the first reason that is found."""
        mask = rows if isinstance(rows, np.ndarray) else rows.fill_null(False).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(mask).tolist():
            self.bad.setdefault(row, reason)

    def _check_times(self, column: pa.Array) -> None:
        if column.null_count:
            self._refuse(column.is_null(), "the time is missing")
            column = column.fill_null(0)
        numbers = column.view(pa.int64()).to_numpy(zero_copy_only=False)
        outside = (numbers < TS_MIN_US) | (numbers >= TS_MAX_US)
        if outside.any():
            self._refuse(outside, "the time lies outside the years 1 to 9999")

    def _place(self, field: pa.Field, values: pa.Array) -> None:
        """Finds the column of the stream that takes this one, widening the schema where that is allowed."""
        if values.null_count == len(values):
            return
        name = fold(field.name)
        have = self.schema.by_fold.get(name)
        declared = name in self.configured and (have is None or have.kind is Kind.TAG)
        given = kind_of(field, tag=declared or name in self.tags)
        if given is None:
            self._refuse(values.is_valid(), f"column {field.name[:100]!r} is {field.type}, which no column of a stream can hold")
            return
        if have is None:
            have = self._new_column(field.name, given, values)
            if have is None:
                return
        if have.kind is Kind.INT and given is Kind.FLOAT:
            have = self._widen(have)
        fitted = _cast(values, given, have.kind)
        if fitted is None:
            what = "a tag" if given is Kind.TAG else given.value
            there = "a tag" if have.kind is Kind.TAG else have.kind.value
            self._refuse(values.is_valid(), f"type clash: {field.name!r} is {what} here and {there} in stream {self.schema.stream!r}")
            return
        fitted = self._checked(have, fitted)
        earlier = self.columns.get(have.name)
        self.columns[have.name] = fitted if earlier is None else self._both(have, earlier, fitted)

    def _new_column(self, name: str, kind: Kind, values: pa.Array) -> Column | None:
        reason = check_name(name, what="tag" if kind is Kind.TAG else "field", bytes_max=self.limits.name_bytes_max)
        if reason is None and len(self.schema.columns) >= self.limits.columns_max:
            reason = f"stream {self.schema.stream!r} has {self.limits.columns_max} columns already, the limit [limits] columns_max"
        if reason is not None:
            self._refuse(values.is_valid(), reason)
            return None
        added = Column(name, kind)
        before = [c for c in self.schema.columns if c.kind is Kind.TAG]
        after = [c for c in self.schema.columns if c.kind is not Kind.TAG]
        columns = (*before, added, *after) if kind is Kind.TAG else (*before, *after, added)
        self.schema = replace(self.schema, columns=columns)
        return added

    def _widen(self, old: Column) -> Column:
        new = Column(old.name, Kind.FLOAT)
        self.schema = replace(self.schema, columns=tuple(new if c == old else c for c in self.schema.columns))
        if old.name in self.columns:
            self.columns[old.name] = self.columns[old.name].cast(ARROW_OF[Kind.FLOAT], safe=False)
        return new

    def _both(self, column: Column, one: pa.Array, other: pa.Array) -> pa.Array:
        """Two columns of the batch are the same one but for the case of their names: a row may have a value in one of them."""
        self._refuse(pc.and_(one.is_valid(), other.is_valid()), f"{column.name!r} is given twice, in upper and lower case")
        if column.kind is not Kind.TAG:
            return pc.coalesce(one, other)
        return pc.coalesce(one.dictionary_decode(), other.dictionary_decode()).dictionary_encode()

    def _checked(self, column: Column, values: pa.Array) -> pa.Array:
        """The values, after rows with one that can't be kept were refused; a dictionary without null."""
        if column.kind is Kind.FLOAT:
            if not _all_finite(values):
                self._refuse(pc.invert(pc.is_finite(values)), f"{column.name!r} is not a finite number")
        elif column.kind is Kind.TAG:
            if values.dictionary.null_count:
                values = values.dictionary_decode().dictionary_encode()
            self._check_lengths(column, values, values.dictionary)
        elif column.kind is Kind.TEXT:
            self._check_lengths(column, values, values)
        return values

    def _check_lengths(self, column: Column, values: pa.Array, distinct: pa.Array) -> None:
        """``distinct`` holds each value at least once; all of them together are seldom longer than one may be."""
        limit = self.limits.value_bytes_max
        if distinct.nbytes > limit and (pc.max(pc.binary_length(distinct)).as_py() or 0) > limit:
            too_long = pc.greater(pc.binary_length(values.cast(pa.string())), limit)
            self._refuse(too_long, f"{column.name!r} is longer than {limit} bytes, the limit [limits] value_bytes_max")


def reject_row(batch: Batch, row: int, reason: str) -> Reject:
    """The dead letter of one row, with its original bytes as far as the source knows them."""
    return Reject(reason, raw_of(batch, row), batch.origin.line(row) if batch.origin is not None else 0, batch.stream)


def _all_finite(values: pa.Array) -> bool:
    if values.null_count:
        return bool(pc.all(pc.is_finite(values), min_count=0).as_py())
    return bool(np.isfinite(values.to_numpy()).all())


def _cast(values: pa.Array, given: Kind, wanted: Kind) -> pa.Array | None:
    """The column as ``wanted``, or None when its values can't be that."""
    if wanted is Kind.TAG:
        return values if values.type == TAG_TYPE else _decoded(values).cast(pa.string()).dictionary_encode()
    if wanted is Kind.TEXT and given is Kind.TAG:
        return _decoded(values).cast(pa.string())
    if given is wanted:
        return _decoded(values)
    if wanted is Kind.FLOAT and given is Kind.INT:
        return _decoded(values).cast(pa.float64(), safe=False)
    return None


def _decoded(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
