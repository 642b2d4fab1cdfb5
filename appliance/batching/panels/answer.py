"""Answers of panels as values: in which form they are kept and when two are the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.errors import QueryRefused
from appliance.hot.panel_table import AS_OF
from appliance.paths.needs import Path
from appliance.records import fold

BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one answer: it is held in memory and stored whole each time that it changes."""
ALIKE: Final = 1e-12
"""Relative difference up to which two floats of an answer are the same: sums of stored parts are rounded elsewhere than sums of records."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path has found."""

    table: pa.Table
    """In the form that ``settled`` gives."""
    as_of_us: int
    """What ``now()`` was; the snapshot was taken at this time or later."""
    seen: Mapping[str, int]
    """Folded name of each stream -> the highest sequence of the snapshot."""
    path: Path
    notes: tuple[str, ...] = ()
    """What it lacks: segments that are missing or damaged."""


def settled(table: pa.Table, *, is_ordered: bool, rows_max: int) -> pa.Table:
    """The same rows in one chunk a column, plain instead of dictionaries, in an order that follows from them unless they have one.

    Raises ``QueryRefused`` for more than ``rows_max`` rows, ``BYTES_MAX`` bytes, and a column ``_as_of``, which panels add.
    """
    if table.num_rows > rows_max:
        raise QueryRefused(
            f"its answer has {table.num_rows:,} rows, more than its rows_max ({rows_max:,}): aggregate more, or make a view of it"
        )
    if table.nbytes > BYTES_MAX:
        raise QueryRefused(f"its answer is larger than {BYTES_MAX >> 20} MiB: aggregate more, or make a view of it")
    if any(fold(name) == AS_OF for name in table.column_names):
        raise QueryRefused(f"a panel has a column {AS_OF} of its own: call that of the SQL otherwise")
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    plain = pa.table(columns, names=table.column_names).combine_chunks()
    return plain if is_ordered or plain.num_rows < 2 else plain.take(_order(plain)).combine_chunks()


def is_same(a: pa.Table, b: pa.Table) -> bool:
    """Whether two answers say the same: names, types and rows in their order, floats up to ``ALIKE``."""
    if a.schema != b.schema or a.num_rows != b.num_rows:
        return False
    return all(_alike(x, y) for x, y in zip(a.columns, b.columns, strict=True))


def written(table: pa.Table) -> bytes:
    """An answer as it is stored: an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _order(table: pa.Table) -> pa.Array:
    """The places of the rows, sorted by each column in turn; nulls last."""
    keys = {f"c{i}": c if _sorts(c.type) else pa.array([repr(v) for v in c.to_pylist()]) for i, c in enumerate(table.columns)}
    if not keys:
        return pa.array(range(table.num_rows))
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])


def _sorts(kind: pa.DataType) -> bool:
    """Whether Arrow sorts values of this type; others, of which an answer has few, are sorted by what they look like."""
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_timestamp, pa.types.is_date, pa.types.is_boolean)
    return any(is_one(kind) for is_one in plain) or bool(pa.types.is_decimal(kind))


def _alike(a: Any, b: Any) -> bool:
    if not pa.types.is_floating(a.type):
        return bool(a.equals(b))
    if not a.is_valid().equals(b.is_valid()):
        return False
    x, y = (c.cast(pa.float64()).fill_null(0.0).to_numpy() for c in (a, b))
    return bool(np.isclose(x, y, rtol=ALIKE, atol=0.0, equal_nan=True).all())
