"""What a process that does a part of a pass is told, and what it has seen: plain values, sent as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.reconcile.engine import Result
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Scope
from appliance.tally import from_text


class Order(msgspec.Struct, frozen=True):
    """What is to be looked at."""

    data_dir: str
    scope: Scope
    now_us: int
    since_us: int | None = None
    paths: tuple[str, ...] | None = None
    """Only these segments; None: all."""
    files_only: bool = False
    """Only checks of files: the others are done by another part of the pass."""
    busy_share: float = 1.0
    """Of the time that it works; the rest it waits."""


class Report(msgspec.Struct, frozen=True):
    """What was seen."""

    findings: tuple[Finding, ...]
    whole: tuple[str, ...]
    by_file: tuple[str, ...]
    paths: tuple[str, ...]
    right: tuple[tuple[int, str], ...]
    """Segments (id, hash) that were found right."""
    unknown: tuple[tuple[int, str], ...]
    """Segment id and its tallies, of those whose tallies were not known."""
    records: int
    segments: int
    bytes: int

    @property
    def result(self) -> Result:
        """For the book."""
        return Result(
            findings=self.findings, whole=frozenset(self.whole), by_file=frozenset(self.by_file), paths=frozenset(self.paths)
        )  # fmt: skip

    def tallies(self) -> dict[int, Any]:
        """``unknown`` as values."""
        return {segment: from_text(text) for segment, text in self.unknown}
