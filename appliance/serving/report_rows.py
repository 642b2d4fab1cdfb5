"""Issued reports as they are stored, as the rows that surfaces show: of a running box or of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from appliance.hot import issued
from appliance.hot.alerts.reads import Reads
from appliance.hot.issued import Issue
from appliance.observe.reports import DefinitionRow, IssueRow, ReportFile, ReportsPicture, StreamUsed

ISSUES_MAX: Final = 1_000
"""Of one picture."""
COLUMNS: Final = (
    ("name", "VARCHAR"),
    ("day", "VARCHAR"),
    ("parameters", "VARCHAR"),
    ("revision", "BIGINT"),
    ("issued", "TIMESTAMP"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("reason", "VARCHAR"),
    ("failed_parts", "BIGINT"),
    ("parts", "BIGINT"),
    ("difference", "VARCHAR"),
    ("notes", "VARCHAR"),
    ("complete", "VARCHAR"),
    ("dirty", "VARCHAR"),
    ("files", "VARCHAR"),
    ("delivered", "VARCHAR"),
    ("removed", "TIMESTAMP"),
)
"""``_reports``: one row a revision, the newest first."""


def stored_reports(reads: Reads, *, now_us: int, definitions: Sequence[DefinitionRow] = (), limit: int = ISSUES_MAX) -> ReportsPicture:
    """Everything that was issued, at one instant. Empty for a file without reports."""
    found = issued.all_issues(reads, limit=limit + 1)
    shown = found[:limit]
    told = issued.delivered(reads, shown)
    newest: dict[tuple[str, str, str], int] = {}
    for issue in shown:
        key = (issue.name, issue.day, issued.key_of(issue.parameters))
        newest[key] = max(issue.revision, newest.get(key, 0))
    rows = tuple(_row(i, told[i.id], newest[i.name, i.day, issued.key_of(i.parameters)] == i.revision) for i in shown)
    return ReportsPicture(at_us=now_us, definitions=tuple(definitions), issues=rows, truncated=len(found) - len(shown))


def report_lines(reads: Reads) -> list[tuple[Any, ...]]:
    """``COLUMNS``."""
    found = issued.all_issues(reads)
    told = issued.delivered(reads, found)
    return [
        (
            i.name,
            i.day,
            issued.key_of(i.parameters),
            i.revision,
            i.issued_us,
            i.since_us,
            i.until_us,
            i.reason,
            i.failed,
            i.blocks,
            i.difference,
            "; ".join(i.notes),
            ", ".join(f"{u.stream}: {u.seq}" for u in i.used),
            ", ".join(f"{u.stream} {' '.join(u.dirty)}" for u in i.used if u.dirty),
            ", ".join(f.path for f in i.files),
            ", ".join(told[i.id]),
            i.removed_us,
        )
        for i in found
    ]


def _row(i: Issue, told: tuple[str, ...], is_newest: bool) -> IssueRow:
    return IssueRow(
        id=i.id,
        name=i.name,
        title=i.title,
        day=i.day,
        since_us=i.since_us,
        until_us=i.until_us,
        parameters=dict(i.parameters),
        revision=i.revision,
        is_newest=is_newest,
        issued_us=i.issued_us,
        reason=i.reason,
        is_over=i.is_over,
        failed=i.failed,
        blocks=i.blocks,
        difference=i.difference,
        notes=i.notes,
        streams=tuple(StreamUsed(u.stream, u.seq, u.records, u.newest_us, u.dirty) for u in i.used),
        files=tuple(ReportFile(f.format, f.path, f.bytes, f.sha256) for f in i.files),
        delivered=told,
        removed_us=i.removed_us,
    )
