"""Incidents in ``hot.sqlite``: the newest state of each, its members, every answer that was given about it, what people said.

Statements inside the writer's transactions, and looks. What a ``Change`` says is written whole, so that writing it again changes nothing.
A file of an older version has no such tables: then there are no incidents.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.hot.alerts.reads import Reads
from appliance.observe.analysis import AnswerRow, EvidenceRow, FeedbackRow, IncidentPicture, IncidentRow, MemberRow

MEMBERS_SHOWN: Final = 100
LINES_MAX: Final = 50
EVIDENCE_MAX: Final = 200
ANSWERS_MAX: Final = 100
"""Of one incident that are shown; the newest."""
FEEDBACK_MAX: Final = 10_000
_INCIDENT: Final = (
    "id, workload, state, opened_us, since_us, until_us, closed_us, streams, members, severity, verdict, confidence, summary, answers,"
    " deep, feedback"
)
_MEMBER: Final = "stream, column_name, key, template, kind, since_us, until_us, peak_us, score, value, expected, records, reason, seq"
_ANSWER: Final = "number, by, verdict, confidence, severity, summary, basis, difference, models, written_by, at_us, superseded_us"
_EVIDENCE: Final = "kind, stream, column_name, key, at_us, value, what"
_CHILDREN: Final = ("incident_member", "incident_answer", "incident_evidence", "incident_line", "incident_feedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be stored of one incident. None: as it is."""

    row: IncidentRow
    members: tuple[MemberRow, ...] | None = None
    """All of them."""
    answer: AnswerRow | None = None
    """A new one, or one that was worded anew. One that counts supersedes all before it."""
    evidence: tuple[EvidenceRow, ...] = ()
    """Of that answer."""
    lines: tuple[Mapping[str, str], ...] | None = None
    feedback: FeedbackRow | None = None
    """A new one."""


def write(connection: sqlite3.Connection, change: Change) -> None:
    """Within the caller's transaction."""
    row = change.row
    _put(connection, "incident", _INCIDENT, [_incident_values(row)], replace=True)
    if change.members is not None:
        connection.execute("DELETE FROM incident_member WHERE incident_id = ?", (row.id,))
        _put(connection, "incident_member", f"incident_id, place, {_MEMBER}", _numbered(row.id, map(_member_values, change.members)))
    if change.answer is not None:
        _write_answer(connection, row.id, change.answer, change.evidence)
    if change.lines is not None:
        connection.execute("DELETE FROM incident_line WHERE incident_id = ?", (row.id,))
        lines = [(_text(line.get("ts", "")), _text(line.get("stream", "")), _text(line.get("text", ""))) for line in change.lines]
        _put(connection, "incident_line", "incident_id, place, ts, stream, text", _numbered(row.id, lines[:LINES_MAX]))
    if change.feedback is not None:
        said = change.feedback
        values = (row.id, said.verdict, _text(said.author), _text(said.comment), said.at_us)
        _put(connection, "incident_feedback", "incident_id, verdict, author, comment, at_us", [values])


def write_groups(connection: sqlite3.Connection, bodies: Mapping[str, str]) -> None:
    """Workload -> what its grouping has to know besides the incidents, as text."""
    connection.executemany("INSERT OR REPLACE INTO incident_group (workload, body) VALUES (?, ?)", list(bodies.items()))


def trim(connection: sqlite3.Connection, *, incidents_max: int) -> None:
    """Keeps so many incidents; the oldest that are not open go first."""
    (count,) = connection.execute("SELECT count(*) FROM incident").fetchone()
    if count <= incidents_max:
        return
    found = connection.execute("SELECT id FROM incident WHERE state <> 'open' ORDER BY id LIMIT ?", (count - incidents_max,)).fetchall()
    for table in _CHILDREN:
        connection.executemany(f"DELETE FROM {table} WHERE incident_id = ?", found)
    connection.executemany("DELETE FROM incident WHERE id = ?", found)


def has_tables(reads: Reads) -> bool:
    """Whether the file has them."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'incident'")))


def newest_id(reads: Reads) -> int:
    """The highest id that an incident was ever given; 0: none."""
    if not has_tables(reads):
        return 0
    return max((int(row[0]) for row in reads.execute("SELECT seq FROM sqlite_sequence WHERE name = 'incident'")), default=0)


def load(reads: Reads, incident_id: int) -> IncidentRow | None:
    """One incident; None where there is none."""
    if not has_tables(reads):
        return None
    return next((_incident(row) for row in reads.execute(f"SELECT {_INCIDENT} FROM incident WHERE id = ?", (incident_id,))), None)


def load_many(reads: Reads, *, state: str | None = None, limit: int) -> list[IncidentRow]:
    """Open ones first, the gravest of them at the top; then the newest."""
    if not has_tables(reads):
        return []
    where = "" if state is None else "WHERE state = ?"
    found = reads.execute(
        f"SELECT {_INCIDENT} FROM incident {where} ORDER BY state <> 'open', CASE WHEN state = 'open' THEN -severity ELSE 0 END, id DESC"
        " LIMIT ?",
        (*(() if state is None else (state,)), limit),
    )
    return [_incident(row) for row in found]


def load_ids(reads: Reads, ids: Iterable[int]) -> list[IncidentRow]:
    """Those of them that there are, in this order."""
    return [row for i in ids if (row := load(reads, i)) is not None]


def load_members(reads: Reads, incident_id: int, *, limit: int) -> list[MemberRow]:
    """As they were stored: the gravest first."""
    found = reads.execute(f"SELECT {_MEMBER} FROM incident_member WHERE incident_id = ? ORDER BY place LIMIT ?", (incident_id, limit))
    return [_member(row) for row in found]


def load_groups(reads: Reads) -> dict[str, str]:
    """As ``write_groups``."""
    return dict(reads.execute("SELECT workload, body FROM incident_group")) if has_tables(reads) else {}


def load_answer(reads: Reads, incident_id: int, number: int) -> AnswerRow | None:
    """One answer; None where there is none."""
    found = reads.execute(f"SELECT {_ANSWER} FROM incident_answer WHERE incident_id = ? AND number = ?", (incident_id, number))
    return next((_answer(row) for row in found), None)


def load_counting(reads: Reads, incident_id: int) -> AnswerRow | None:
    """The answer that counts: the highest number that is not superseded."""
    found = reads.execute(
        f"SELECT {_ANSWER} FROM incident_answer WHERE incident_id = ? AND superseded_us IS NULL ORDER BY number DESC LIMIT 1",
        (incident_id,),
    )
    return next((_answer(row) for row in found), None)


def load_picture(reads: Reads, incident_id: int) -> IncidentPicture | None:
    """One incident, whole; None where there is none."""
    row = load(reads, incident_id)
    if row is None:
        return None
    answers = reads.execute(
        f"SELECT {_ANSWER} FROM incident_answer WHERE incident_id = ? ORDER BY number DESC LIMIT ?", (incident_id, ANSWERS_MAX)
    )
    evidence = reads.execute(
        f"SELECT {_EVIDENCE} FROM incident_evidence WHERE incident_id = ? AND number = (SELECT max(number) FROM incident_evidence"
        " WHERE incident_id = ?) ORDER BY place",
        (incident_id, incident_id),
    )
    said = reads.execute("SELECT verdict, author, comment, at_us FROM incident_feedback WHERE incident_id = ? ORDER BY id", (incident_id,))
    lines = reads.execute("SELECT ts, stream, text FROM incident_line WHERE incident_id = ? ORDER BY place", (incident_id,))
    return IncidentPicture(
        incident=row,
        members=tuple(load_members(reads, incident_id, limit=MEMBERS_SHOWN)),
        answers=tuple(reversed([_answer(found) for found in answers])),
        evidence=tuple(_evidence(found) for found in evidence),
        feedback=tuple(FeedbackRow(verdict=v, author=a, comment=c, at_us=at) for v, a, c, at in said),
        lines=tuple({"ts": ts, "stream": stream, "text": text} for ts, stream, text in lines),
    )


def load_feedback(reads: Reads, workload: str, *, since_us: int) -> list[tuple[int, FeedbackRow]]:
    """(incident, what was said of it) of a workload, the oldest first."""
    if not has_tables(reads):
        return []
    found = reads.execute(
        "SELECT f.incident_id, f.verdict, f.author, f.comment, f.at_us FROM incident_feedback f JOIN incident i ON i.id = f.incident_id"
        " WHERE i.workload = ? AND f.at_us >= ? ORDER BY f.id LIMIT ?",
        (workload, since_us, FEEDBACK_MAX),
    )
    return [(i, FeedbackRow(verdict=v, author=a, comment=c, at_us=at)) for i, v, a, c, at in found]


def counts(reads: Reads) -> dict[str, tuple[int, int, int, int, int, int]]:
    """Workload -> incidents, those whose first answer the deep pass has looked at, those that it overturned, confirmed and dismissed by
    people, those that the deep pass alone has found."""
    if not has_tables(reads):
        return {}
    found = reads.execute(
        "WITH d AS (SELECT incident_id, max(verdict IN ('dismissed', 'corrected')) AS overturned FROM incident_answer WHERE by = 'deep'"
        " AND number > 1 GROUP BY incident_id), l AS (SELECT incident_id FROM incident_answer WHERE by = 'deep' AND number = 1)"
        " SELECT i.workload, count(*), count(d.incident_id), coalesce(sum(d.overturned), 0), sum(i.feedback IS 'confirm'),"
        " sum(i.feedback IS 'dismiss'), count(l.incident_id) FROM incident i LEFT JOIN d ON d.incident_id = i.id"
        " LEFT JOIN l ON l.incident_id = i.id GROUP BY i.workload ORDER BY i.workload"
    )
    return {row[0]: (row[1], row[2], row[3], row[4], row[5], row[6]) for row in found}


def _write_answer(connection: sqlite3.Connection, incident_id: int, answer: AnswerRow, evidence: Sequence[EvidenceRow]) -> None:
    if answer.superseded_us is None:
        connection.execute(
            "UPDATE incident_answer SET superseded_us = ? WHERE incident_id = ? AND number < ? AND superseded_us IS NULL",
            (answer.at_us, incident_id, answer.number),
        )
    _put(connection, "incident_answer", f"incident_id, {_ANSWER}", [(incident_id, *_answer_values(answer))], replace=True)
    if evidence:
        connection.execute("DELETE FROM incident_evidence WHERE incident_id = ? AND number = ?", (incident_id, answer.number))
        rows = [(incident_id, answer.number, place, *_evidence_values(e)) for place, e in enumerate(evidence[:EVIDENCE_MAX])]
        _put(connection, "incident_evidence", f"incident_id, number, place, {_EVIDENCE}", rows)


def _put(connection: sqlite3.Connection, table: str, columns: str, rows: Sequence[Sequence[Any]], *, replace: bool = False) -> None:
    marks = ", ".join("?" * len(columns.split(", ")))
    if not replace:
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        return
    key = "id" if table == "incident" else "incident_id, number"
    names = [c for c in columns.split(", ") if c not in key.split(", ")]
    sets = ", ".join(f"{n} = excluded.{n}" for n in names)
    connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {sets}", rows)


def _numbered(incident_id: int, rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [(incident_id, place, *row) for place, row in enumerate(rows)]


def _incident_values(r: IncidentRow) -> tuple[Any, ...]:
    return (
        r.id, r.workload, r.state, r.opened_us, r.since_us, r.until_us, r.closed_us, _json(list(r.streams)), r.members, r.severity,
        r.verdict, r.confidence, _text(r.summary), r.answers, r.deep, r.feedback,
    )  # fmt: skip


def _incident(row: Sequence[Any]) -> IncidentRow:
    found = dict(zip(_INCIDENT.split(", "), row, strict=True))
    return IncidentRow(**{**found, "streams": tuple(json.loads(found["streams"]))})


def _member_values(m: MemberRow) -> tuple[Any, ...]:
    return (
        _text(m.stream), _text(m.column), _json(dict(m.key)), None if m.template is None else _text(m.template), m.kind, m.since_us,
        m.until_us, m.peak_us, m.score, m.value, m.expected, m.records, _text(m.reason), m.seq,
    )  # fmt: skip


def _member(row: Sequence[Any]) -> MemberRow:
    return MemberRow(**_named(_MEMBER, row))


def _answer_values(a: AnswerRow) -> tuple[Any, ...]:
    return (
        a.number, a.by, a.verdict, a.confidence, a.severity, _text(a.summary), _text(a.basis), _text(a.difference), _json(dict(a.models)),
        _text(a.written_by), a.at_us, a.superseded_us,
    )  # fmt: skip


def _answer(row: Sequence[Any]) -> AnswerRow:
    found = dict(zip(_ANSWER.split(", "), row, strict=True))
    return AnswerRow(**{**found, "models": json.loads(found["models"])})


def _evidence_values(e: EvidenceRow) -> tuple[Any, ...]:
    return (e.kind, _text(e.stream), _text(e.column), _json(dict(e.key)), e.at_us, e.value, _text(e.what))


def _evidence(row: Sequence[Any]) -> EvidenceRow:
    return EvidenceRow(**_named(_EVIDENCE, row))


def _named(columns: str, row: Sequence[Any]) -> dict[str, Any]:
    names = ["column" if name == "column_name" else name for name in columns.split(", ")]
    found = dict(zip(names, row, strict=True))
    return {**found, "key": json.loads(found["key"])}


def _json(value: object) -> str:
    """Without what is no text; SQLite takes none, nor does JSON."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _text(given: str) -> str:
    """Texts of records and names from outside may hold what is no text, which SQLite does not take."""
    return given.encode("utf-8", "backslashreplace").decode("utf-8")
