"""The values of a report: tables with plain cells, its parts, what it is complete up to. Frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from appliance.cold.batch.reports.document import Block
from appliance.cold.batch.reports.period import Period

CellKind = Literal["number", "time", "date", "bool", "text"]
Cell = int | float | bool | str | None
"""A time is microseconds in UTC, a date ISO text."""
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: CellKind


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a block."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    left_out: int = 0
    """Rows that there were besides."""


@dataclass(frozen=True, slots=True)
class Part:
    """A block and what came of it."""

    block: Block
    table: Table | None = None
    """None for text, and for a block that failed."""
    error: str = ""
    """Why it failed; the rest of the report is right."""

    @property
    def failed(self) -> bool:
        return bool(self.error)


@dataclass(frozen=True, slots=True)
class Used:
    """What a report has used of one stream."""

    stream: str
    seq: int
    """It holds every record up to this sequence (of its period), maybe some more."""
    records: int | None = None
    """Of its period, when it was made; None: not counted."""
    newest_us: int | None = None
    """Event time of the newest of them; None: there was none."""
    dirty: tuple[str, ...] = ()
    """Days of the period in which repeats wait for the compaction; the numbers are right all the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row that differs from the revision before."""

    kind: Literal["added", "removed", "changed"]
    key: Mapping[str, object]
    """What the row is known by."""
    was: Mapping[str, object]
    """The columns that differ; of a row that was added nothing."""
    now: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PartChange:
    """How one part differs."""

    title: str
    changes: tuple[Change, ...] = ()
    more: int = 0
    """Rows that differ and are not listed."""
    words: str = ""
    """Where rows can't be compared: what is another now."""

    @property
    def rows(self) -> int:
        return len(self.changes) + self.more


@dataclass(frozen=True, slots=True)
class Difference:
    """How a revision differs from the one before; empty ``parts``: in nothing."""

    revision: int
    """The one that it is compared with."""
    parts: tuple[PartChange, ...] = ()

    @property
    def words(self) -> str:
        """In one line."""
        told = [p.words or f"{p.rows} row{'s' if p.rows != 1 else ''} of {p.title}" for p in self.parts]
        return "; ".join(told) if told else "nothing"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is rendered."""

    name: str
    title: str
    node: str
    period: Period
    zone: str
    """The name of the time zone."""
    parameters: Mapping[str, str]
    """Its own ones, with their values."""
    made_us: int
    is_over: bool
    """Whether its period was over when it was made."""
    parts: Sequence[Part]
    used: tuple[Used, ...] = ()
    notes: tuple[str, ...] = ()
    """What it lacks: segments that are missing or damaged."""
    revision: int = 1
    difference: Difference | None = None
    """None for the first."""

    @property
    def failed(self) -> int:
        """Blocks that could not be answered."""
        return sum(part.failed for part in self.parts)

    @property
    def blocks(self) -> int:
        """Blocks that ask."""
        return sum(part.table is not None or part.failed for part in self.parts)


def part_title(part: Part, number: int) -> str:
    """What a part is called: as its block says, else by its place."""
    return getattr(part.block, "title", "") or f"table {number}"


def titled(parts: Sequence[Part]) -> list[tuple[str, Part]]:
    """The parts that ask, each with a title of its own."""
    found: list[tuple[str, Part]] = []
    seen: dict[str, int] = {}
    for part in parts:
        if part.table is None and not part.failed:
            continue
        title = part_title(part, len(found) + 1)
        seen[title] = seen.get(title, 0) + 1
        found.append((title if seen[title] == 1 else f"{title} ({seen[title]})", part))
    return found
