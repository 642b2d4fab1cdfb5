"""Reports as surfaces show them: what can be made, and what was issued. Values only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ReportFile(msgspec.Struct, frozen=True):
    """One form of an issued report."""

    format: str
    path: str
    """Relative to the data folder."""
    bytes: int
    sha256: str


class StreamUsed(msgspec.Struct, frozen=True):
    """What an issued report holds of one stream."""

    stream: str
    seq: int
    """Everything up to this sequence is in it."""
    records: int | None
    newest_us: int | None
    """Event time of the newest record of its time; None: there was none."""
    dirty: tuple[str, ...]


class IssueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of one report."""

    id: int
    name: str
    title: str
    day: str
    since_us: int
    until_us: int
    parameters: Mapping[str, str]
    revision: int
    is_newest: bool
    """Whether there is no later revision."""
    issued_us: int
    reason: str
    is_over: bool
    failed: int
    blocks: int
    difference: str
    notes: tuple[str, ...]
    streams: tuple[StreamUsed, ...]
    files: tuple[ReportFile, ...]
    delivered: tuple[str, ...]
    """``channel: state`` of each message about it."""
    removed_us: int | None


class DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A report that can be made."""

    name: str
    title: str
    covers: str
    schedule: str
    """As cron writes it, ``after NAME``, or "" on request only."""
    parameters: Mapping[str, str]
    formats: tuple[str, ...]
    is_built_in: bool


class ReportsPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about reports at one instant."""

    at_us: int
    definitions: tuple[DefinitionRow, ...] = ()
    """Empty where no config is at hand."""
    issues: tuple[IssueRow, ...] = ()
    """The newest first."""
    truncated: int = 0
    """Issued ones that are not listed."""
