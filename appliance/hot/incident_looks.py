"""Incidents as rows in SQL: ``_incidents``, ``_incident_answers``, ``_incident_members``. Plain SELECTs, in the order of the columns."""

from __future__ import annotations

from typing import Any, Final

from appliance.hot.alerts.reads import Reads
from appliance.hot.incident_tables import has_tables

ROWS_MAX: Final = 100_000
"""No look shows more at once; the newest."""
INCIDENTS: Final = (
    ("id", "BIGINT"),
    ("workload", "VARCHAR"),
    ("state", "VARCHAR"),
    ("opened", "TIMESTAMP"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("closed", "TIMESTAMP"),
    ("streams", "VARCHAR"),
    ("members", "BIGINT"),
    ("severity", "DOUBLE"),
    ("verdict", "VARCHAR"),
    ("confidence", "DOUBLE"),
    ("summary", "VARCHAR"),
    ("answers", "BIGINT"),
    ("deep", "VARCHAR"),
    ("feedback", "VARCHAR"),
)
ANSWERS: Final = (
    ("incident", "BIGINT"),
    ("number", "BIGINT"),
    ("given_by", "VARCHAR"),
    ("verdict", "VARCHAR"),
    ("confidence", "DOUBLE"),
    ("severity", "DOUBLE"),
    ("summary", "VARCHAR"),
    ("basis", "VARCHAR"),
    ("difference", "VARCHAR"),
    ("models", "VARCHAR"),
    ("written_by", "VARCHAR"),
    ("at", "TIMESTAMP"),
    ("superseded", "TIMESTAMP"),
)
MEMBERS: Final = (
    ("incident", "BIGINT"),
    ("stream", "VARCHAR"),
    ("field", "VARCHAR"),
    ("key", "VARCHAR"),
    ("template", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("peak", "TIMESTAMP"),
    ("score", "DOUBLE"),
    ("value", "DOUBLE"),
    ("expected", "DOUBLE"),
    ("records", "BIGINT"),
    ("reason", "VARCHAR"),
    ("record_seq", "BIGINT"),
)


def incidents(reads: Reads) -> list[tuple[Any, ...]]:
    """``INCIDENTS``: the newest first, with the answer that counts. ``streams`` as JSON."""
    return _rows(
        reads,
        "SELECT id, workload, state, opened_us, since_us, until_us, closed_us, streams, members, severity, verdict, confidence, summary,"
        " answers, deep, feedback FROM incident ORDER BY id DESC LIMIT ?",
    )


def answers(reads: Reads) -> list[tuple[Any, ...]]:
    """``ANSWERS``: every answer, also those that were superseded. ``models`` as JSON."""
    return _rows(
        reads,
        "SELECT incident_id, number, by, verdict, confidence, severity, summary, basis, difference, models, written_by, at_us,"
        " superseded_us FROM incident_answer ORDER BY incident_id DESC, number LIMIT ?",
    )


def members(reads: Reads) -> list[tuple[Any, ...]]:
    """``MEMBERS``: the series and templates of each incident, the gravest first. ``key`` as JSON."""
    return _rows(
        reads,
        "SELECT incident_id, stream, column_name, key, template, kind, since_us, until_us, peak_us, score, value, expected, records,"
        " reason, seq FROM incident_member ORDER BY incident_id DESC, place LIMIT ?",
    )


def _rows(reads: Reads, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in reads.execute(sql, (ROWS_MAX,))] if has_tables(reads) else []
