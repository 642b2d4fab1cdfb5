"""The newest answer of a panel as JSON values. Pure; for the few rows that an answer has."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from appliance.clock import iso
from appliance.records import TS_TYPE


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """One object a row: times as ISO 8601 with ``Z``, what JSON doesn't know (NaN, infinity) as null, everything else as its text."""
    columns = {name: _values(table.column(place)) for place, name in enumerate(table.column_names)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        whole = column.cast(TS_TYPE, safe=False).cast(pa.int64()).to_pylist()
        return [None if us is None else iso(us) for us in whole]
    return [_value(v) for v in column.to_pylist()]


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list):
        return [_value(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _value(v) for k, v in value.items()}
    number = getattr(value, "as_tuple", None)
    if number is not None:  # a DECIMAL, as sums of whole numbers are
        return int(value) if value == int(value) else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
