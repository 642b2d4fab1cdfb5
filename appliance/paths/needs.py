"""What a workload needs of the path it runs on: plain values. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Path = Literal["hot", "cold", "hybrid"]
PATHS: Final[tuple[Path, ...]] = ("hot", "cold", "hybrid")
Nature = Literal["plain", "analysis", "search", "cache"]
"""What a workload is besides its figures: analysis, search indexes and caches have a first answer from hot and a better one from cold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The needs of one workload, each declared, measured, or the default of its kind."""

    waiting: bool = False
    """A person waits for the answer."""
    triggers: bool = False
    """It may raise an alert or send a notification that has to be at once."""
    session_bound: bool = False
    """Its data belongs to a session that is still open."""
    freshness_s: float
    """How old the newest record may be that its answer does not know yet."""
    staleness_s: float
    """How old an answer may be when somebody looks at it and still do; at least ``freshness_s``."""
    records: int | None = None
    """Records that one run looks at; None: not known yet."""
    is_complex: bool = False
    """Whether it groups, joins, sorts or ranks over many records, so that it can't be kept up record by record."""
    nature: Nature = "plain"
