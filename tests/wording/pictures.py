"""An incident with figures, names and texts, as surfaces show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.clock import US_PER_S
from appliance.observe.analysis import AnswerRow, EvidenceRow, IncidentPicture, IncidentRow, MemberRow

SINCE_US = 1_795_343_525 * US_PER_S  # 2026-11-22T10:32:05Z
SUMMARY = "load1 of host_load was 4.2 times the usual spread for Sunday 10:00 (3.71 where 0.42 is usual), since 10:32:05."


def member(**more: Any) -> MemberRow:
    found: dict[str, Any] = {
        "stream": "host_load",
        "column": "load1",
        "key": {"host": "press-3"},
        "template": None,
        "kind": "value",
        "since_us": SINCE_US,
        "until_us": SINCE_US + 130 * US_PER_S,
        "peak_us": SINCE_US + 95 * US_PER_S,
        "score": 0.974,
        "value": 3.7142,
        "expected": 0.4211,
        "records": 118,
        "reason": "4.2 times the usual spread for Sunday 10:00; steepest rise in 9 days",
        "seq": 4711,
    }
    return MemberRow(**(found | more))


def answer(**more: Any) -> AnswerRow:
    found: dict[str, Any] = {
        "number": 1,
        "by": "first",
        "verdict": "unusual",
        "confidence": 0.7,
        "severity": 0.9,
        "summary": SUMMARY,
        "basis": "2 days of history",
        "difference": "",
        "models": {"numeric": "built in"},
        "written_by": "built in",
        "at_us": SINCE_US + 2 * US_PER_S,
        "superseded_us": None,
    }
    return AnswerRow(**(found | more))


def evidence(**more: Any) -> EvidenceRow:
    found: dict[str, Any] = {
        "kind": "leads",
        "stream": "host_cpu",
        "column": "user",
        "key": {"cpu": "cpu0"},
        "at_us": SINCE_US - 3 * US_PER_S,
        "value": 0.91,
        "what": "user of host_cpu rose 3 s before, correlation 0.91",
    }
    return EvidenceRow(**(found | more))


def picture(
    *,
    members: Sequence[MemberRow] = (),
    lines: Sequence[str] = (),
    evidence_rows: Sequence[EvidenceRow] = (),
    answers: Sequence[AnswerRow] = (),
    number: int = 7,
) -> IncidentPicture:
    members = members or (member(),)
    answers = answers or (answer(),)
    row = IncidentRow(
        id=number,
        workload="watch",
        state="open",
        opened_us=SINCE_US + 2 * US_PER_S,
        since_us=SINCE_US,
        until_us=SINCE_US + 130 * US_PER_S,
        closed_us=None,
        streams=tuple(dict.fromkeys(one.stream for one in members)),
        members=len(members),
        severity=0.9,
        verdict=answers[-1].verdict,
        confidence=answers[-1].confidence,
        summary=answers[-1].summary,
        answers=len(answers),
        deep="queued",
        feedback=None,
    )
    return IncidentPicture(
        incident=row,
        members=tuple(members),
        answers=tuple(answers),
        evidence=tuple(evidence_rows),
        feedback=(),
        lines=tuple({"ts": "2026-11-22T10:32:07Z", "stream": "syslog", "text": text} for text in lines),
    )
