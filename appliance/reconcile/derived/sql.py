"""Names and times as SQL has them. Text only: DuckDB is held by the processes that are asked."""

from __future__ import annotations

from typing import Final

from appliance.spans import FIRST, LAST

_LOWEST: Final = -(2**63) + 2
"""The integers below are DuckDB's infinities."""


def quoted(name: str) -> str:
    """A name, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A constant text."""
    return "'" + value.replace("'", "''") + "'"


def moment(ts_us: int) -> str:
    """A constant time."""
    return f"make_timestamp({max(ts_us, _LOWEST)}::BIGINT)"


def within(column: str, low: int, high: int) -> str:
    """That a column's time lies in a half-open span; ``FIRST`` and ``LAST`` are no bound."""
    parts = [
        *([] if low == FIRST else [f"{quoted(column)} >= {moment(low)}"]),
        *([] if high == LAST else [f"{quoted(column)} < {moment(high)}"]),
    ]
    return " AND ".join(parts) or "true"
