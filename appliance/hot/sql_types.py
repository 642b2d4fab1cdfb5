"""The types that DuckDB gives columns of Arrow and Parquet. Pure."""

from __future__ import annotations

from typing import Final

import pyarrow as pa


def sql_type(kind: pa.DataType) -> str:
    """The type of a column of this Arrow type; VARCHAR for one that is not known."""
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz is not None else "TIMESTAMP_NS" if kind.unit == "ns" else "TIMESTAMP"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(_quoted(f.name) + ' ' + sql_type(f.type) for f in kind)})"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    return _SQL_TYPES.get(str(kind), "VARCHAR")


_SQL_TYPES: Final = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date32[day]": "DATE",
    "time64[us]": "TIME",
    "binary": "BLOB",
    "large_binary": "BLOB",
}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
