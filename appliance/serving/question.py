"""A query as it was asked, with every choice made: what the command line, HTTP and the worker processes hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from appliance.records import TimeRange

PATHS: Final = ("merged", "hot", "cold")
FORMATS: Final = ("json", "jsonl", "csv", "parquet", "arrow", "table")
SQL_BYTES_MAX: Final = 1024 * 1024
"""Longer SQL is refused before it is parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One statement of SQL and how it is to be answered."""

    sql: str
    id: str
    """Names the query in progress and cancel; chosen by the asker."""
    since_us: int | None = None
    """Restricts the event time of every stream, included; None: unbounded."""
    until_us: int | None = None
    """As ``since_us``, excluded."""
    path: str = "merged"
    """The side on which streams are read: ``merged``, ``hot`` or ``cold``; a table named with its side stays there."""
    views: bool = True
    """Whether views may stand in for the records of a stream, where the answer is the same."""
    waiting: bool = True
    """Whether somebody waits for the answer. If nobody does, a heavy question (``routing.is_heavy``) is not run: ``QueryHeavy``."""
    cache: bool = True
    """Whether what is kept of earlier answers may be used, where the answer is the same."""
    format: str = "json"
    """One of ``FORMATS``."""
    now_us: int | None = None
    """What ``now()`` gives; None: the time at which it is answered."""
    explain: bool = False
    """The query runs, and the answer is how it was answered instead of its rows."""
    workload: str = ""
    """Whose it is, for what it costs; empty: of somebody who waits."""

    @property
    def span(self) -> TimeRange:
        from appliance.records import TimeRange  # here, because the command line asks without PyArrow

        return TimeRange(self.since_us, self.until_us)
