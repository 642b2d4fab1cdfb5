"""The issued reports, durable: one row a revision, in the table ``report_issue``. Statements within the writer's transaction, and looks.

A row is written in the transaction that puts the messages about it into the outbox, after its files are published whole. What is
delivered is read from the outbox. A file of an older version has no such table: then nothing was issued.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.hot.alerts.reads import Reads

ROWS_MAX: Final = 100_000
_COLUMNS: Final = (
    "id, name, title, day, since_us, until_us, parameters, revision, reason, issued_us, is_over, failed, blocks, files, used, notes,"
    " difference, told, checked, deletion, removed_us"
)


@dataclass(frozen=True, slots=True)
class File:
    """One form of a revision."""

    format: str
    path: str
    """Relative to the data folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UsedStream:
    """What a revision has used of one stream; as ``cold.batch.reports.values.Used``."""

    stream: str
    seq: int
    records: int | None
    newest_us: int | None
    dirty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """One revision of one report."""

    name: str
    title: str
    day: str
    """``2026-11-21``, ``2026-W47`` or ``2026-11``."""
    since_us: int
    until_us: int
    parameters: Mapping[str, str]
    revision: int
    reason: str
    issued_us: int
    is_over: bool
    failed: int
    """Blocks that could not be answered, of ``blocks``."""
    blocks: int
    files: tuple[File, ...]
    used: tuple[UsedStream, ...]
    notes: tuple[str, ...] = ()
    difference: str = ""
    """From the revision before, in one line; "" for the first."""
    told: tuple[int, ...] = ()
    """Ids of the messages about it in the outbox."""
    checked: Mapping[str, int] | None = None
    """Stream -> a later sequence up to which was looked, and nothing had changed."""
    deletion: int = 0
    """The highest id of a deletion that it knows, or that was looked at since and changed nothing."""
    removed_us: int | None = None
    """When its files were removed because of their age."""
    id: int = 0


def has_issues(reads: Reads) -> bool:
    """Whether the file has the table."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'report_issue'")))


def add(connection: sqlite3.Connection, issue: Issue) -> int:
    """Its id. Raises ``sqlite3.IntegrityError`` where this revision is there."""
    i = issue
    row = (
        i.name, i.title, i.day, i.since_us, i.until_us, key_of(i.parameters), i.revision, i.reason, i.issued_us, int(i.is_over), i.failed,
        i.blocks, _json([[f.format, f.path, f.bytes, f.sha256] for f in i.files]),
        _json([[u.stream, u.seq, u.records, u.newest_us, list(u.dirty)] for u in i.used]), _json(list(i.notes)), i.difference,
        _json(list(i.told)), _json(dict(i.checked or {})), i.deletion,
    )  # fmt: skip
    names = _COLUMNS.removeprefix("id, ").removesuffix(", removed_us")
    cursor = connection.execute(f"INSERT INTO report_issue ({names}) VALUES ({', '.join('?' * len(row))})", row)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def set_told(connection: sqlite3.Connection, issue_id: int, told: Sequence[int]) -> None:
    """The messages about it."""
    connection.execute("UPDATE report_issue SET told = ? WHERE id = ?", (_json(list(told)), issue_id))


def set_checked(connection: sqlite3.Connection, issue_id: int, checked: Mapping[str, int], *, deletion: int) -> None:
    """Everything up to these sequences, and each deletion up to that one, was looked at and changes nothing."""
    connection.execute("UPDATE report_issue SET checked = ?, deletion = ? WHERE id = ?", (_json(dict(checked)), deletion, issue_id))


def set_removed(connection: sqlite3.Connection, ids: Sequence[int], *, now_us: int) -> None:
    """Their files are to go: from now on nobody is sent to them."""
    connection.executemany("UPDATE report_issue SET removed_us = ? WHERE id = ?", [(now_us, i) for i in ids])


def newest(reads: Reads, name: str, day: str, parameters: Mapping[str, str]) -> Issue | None:
    """The last revision of a report of a day, removed or not; None: it was never issued."""
    if not has_issues(reads):
        return None
    sql = f"SELECT {_COLUMNS} FROM report_issue WHERE name = ? AND day = ? AND parameters = ? ORDER BY revision DESC LIMIT 1"
    return next((_issue(row) for row in reads.execute(sql, (name, day, key_of(parameters)))), None)


def current(reads: Reads, *, limit: int = ROWS_MAX) -> list[Issue]:
    """Of each report, day and parameters the last revision whose files are there, the newest first."""
    if not has_issues(reads):
        return []
    sql = (
        f"SELECT {_COLUMNS} FROM report_issue i WHERE removed_us IS NULL AND revision = (SELECT max(revision) FROM report_issue o"
        " WHERE o.name = i.name AND o.day = i.day AND o.parameters = i.parameters) ORDER BY id DESC LIMIT ?"
    )
    return [_issue(row) for row in reads.execute(sql, (limit,))]


def all_issues(reads: Reads, *, limit: int = ROWS_MAX, name: str | None = None, is_there: bool = False) -> list[Issue]:
    """The newest first; ``is_there``: only those whose files are."""
    if not has_issues(reads):
        return []
    where = "(? IS NULL OR name = ?)" + (" AND removed_us IS NULL" if is_there else "")
    sql = f"SELECT {_COLUMNS} FROM report_issue WHERE {where} ORDER BY id DESC LIMIT ?"
    return [_issue(row) for row in reads.execute(sql, (name, name, limit))]


def with_path(reads: Reads, path: str) -> tuple[Issue, File] | None:
    """The revision that a file belongs to, and the file; None for one that is not registered, or was removed."""
    if not has_issues(reads):
        return None
    sql = (
        f"SELECT {_COLUMNS} FROM report_issue WHERE removed_us IS NULL"
        " AND EXISTS (SELECT 1 FROM json_each(files) f WHERE json_extract(f.value, '$[1]') = ?) ORDER BY id DESC LIMIT 1"
    )
    for row in reads.execute(sql, (path,)):
        issue = _issue(row)
        return issue, next(f for f in issue.files if f.path == path)
    return None


def delivered(reads: Reads, issues: Sequence[Issue]) -> dict[int, tuple[str, ...]]:
    """Issue -> ``channel: state`` of each of its messages; one that the outbox has forgotten was sent long ago."""
    wanted = {message for i in issues for message in i.told}
    states: dict[int, str] = {}
    for message in wanted:
        for channel, state in reads.execute("SELECT channel, state FROM outbox WHERE id = ?", (message,)):
            states[message] = f"{channel}: {state}"
    return {i.id: tuple(states[m] for m in i.told if m in states) for i in issues}


def key_of(parameters: Mapping[str, str]) -> str:
    """Parameters as one text, the same whatever their order."""
    return json.dumps(dict(sorted(parameters.items())), ensure_ascii=False)


def _issue(row: Sequence[Any]) -> Issue:
    found = dict(zip(_COLUMNS.split(", "), row, strict=True))
    files = tuple(File(*one) for one in json.loads(found["files"]))
    used = tuple(UsedStream(s, seq, n, newest_us, tuple(dirty)) for s, seq, n, newest_us, dirty in json.loads(found["used"]))
    found |= {"files": files, "used": used, "is_over": bool(found["is_over"])}
    found |= {name: json.loads(found[name]) for name in ("parameters", "checked")}
    found |= {name: tuple(json.loads(found[name])) for name in ("notes", "told")}
    return Issue(**found)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
