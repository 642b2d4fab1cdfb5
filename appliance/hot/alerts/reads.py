"""Reading the tables of alerts: what runs a SELECT, and whether there is anything to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Reads(Protocol):
    """What runs a SELECT: a connection of SQLite, or a ``HotReader``."""

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> Iterable[Any]:
        """The rows."""


def has_tables(reads: Reads) -> bool:
    """Whether the file has tables of alerts: one that only an older version has written has none, and may be looked at as it is."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alert'")))
