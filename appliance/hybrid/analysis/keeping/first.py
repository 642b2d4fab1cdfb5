"""Incidents as rows, from the cases of the first pass. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

import msgspec

from appliance.hot.incident_tables import Change
from appliance.hybrid.analysis.incidents.answering import answered
from appliance.hybrid.analysis.incidents.cases import Case
from appliance.hybrid.analysis.incidents.opening import SURPRISE_MAX, needed, surprise_of
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.incidents.wording import first_basis, summary_of
from appliance.observe.analysis import IncidentRow

DAY: Final = 1 / 7
"""Of a week: what was seen for less is not trusted fully."""
UNKNOWN: Final = 0.6
"""Trust in a series of which nothing has been seen before."""


def new_row(case: Case, *, now_us: int, deep: str) -> IncidentRow:
    """An incident that has just been opened; its first answer is not there yet."""
    return IncidentRow(
        id=case.id,
        workload=case.workload,
        state="open",
        opened_us=now_us,
        since_us=case.since_us,
        until_us=case.until_us,
        closed_us=None,
        streams=case.streams,
        members=len(case.members),
        severity=case.severity,
        verdict="unusual",
        confidence=0.0,
        summary="",
        answers=0,
        deep=deep,
        feedback=None,
    )


def late_change(incident_id: int, workload: str, answer: Answer, *, since_us: int, until_us: int, now_us: int) -> Change:
    """An incident that was over before anybody knew of it, with its first answer, which is not one of the first pass."""
    row = IncidentRow(
        id=incident_id,
        workload=workload,
        state="closed",
        opened_us=now_us,
        since_us=since_us,
        until_us=until_us,
        closed_us=now_us,
        streams=(),
        members=0,
        severity=0.0,
        verdict="unusual",
        confidence=0.0,
        summary="",
        answers=0,
        deep="done",
        feedback=None,
    )
    found = answered(row, None, (), answer, now_us=now_us)
    return Change(row=found.row, members=found.members, answer=found.answer, evidence=answer.evidence)


def grown_row(row: IncidentRow, case: Case) -> IncidentRow:
    """The same incident with what has come since."""
    return msgspec.structs.replace(
        row, since_us=case.since_us, until_us=max(row.until_us, case.until_us), streams=case.streams, members=len(case.members)
    )


def closed_row(row: IncidentRow, case: Case, *, now_us: int) -> IncidentRow:
    """Nothing unusual any more."""
    return msgspec.structs.replace(grown_row(row, case), state="closed", closed_us=now_us)


def first_answer(case: Case, *, zone: tzinfo, models: Mapping[str, str], sensitivity: float) -> Answer:
    """What the first pass says of it as it is now."""
    members = case.gravest()
    return Answer(
        by="first",
        verdict="unusual",
        confidence=confidence_of(case, sensitivity),
        severity=case.severity,
        summary=summary_of(members, since_us=case.since_us, zone=zone, others=case.others),
        basis=first_basis(members, learned=case.learned),
        models=dict(models),
    )


def confidence_of(case: Case, sensitivity: float) -> float:
    """0 to 1: how far its surprise stands above what opens an incident, and how well its series are known."""
    found = sum(min(SURPRISE_MAX, surprise_of(m.score)) * min(m.records, 3) for m in case.members.values())
    over = 1 - 0.5 * min(1.0, needed(sensitivity) / max(found, 1e-9))
    return round(over * (UNKNOWN + (1 - UNKNOWN) * min(1.0, case.learned / DAY)), 2)
