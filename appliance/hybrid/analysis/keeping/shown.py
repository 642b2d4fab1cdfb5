"""What is told of incidents, and how good the first pass is: values out of what is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.keeping.storing import Write
from appliance.observe.analysis import AnswerRow, IncidentRow, QualityRow


def event_of(write: Write) -> dict[str, Any]:
    """What is told of a step: the incident, and of an answer which one it is and which one it supersedes."""
    data: dict[str, Any] = {"incident": msgspec.to_builtins(write.change.row)}
    if write.change.answer is not None:
        data["answer"] = msgspec.to_builtins(write.change.answer)
        data["superseded"] = None if write.superseded is None else msgspec.to_builtins(write.superseded)
    return data


def missing(incident_id: int) -> UsageRefused:
    """For an id that nothing is known by."""
    return UsageRefused(f"there is no incident {incident_id}; see: appliance analysis list")


def counting_of(row: IncidentRow) -> AnswerRow:
    """The answer of the first pass that counts, as far as its incident says it."""
    return AnswerRow(
        number=row.answers,
        by="first",
        verdict=row.verdict,
        confidence=row.confidence,
        severity=row.severity,
        summary=row.summary,
        basis="",
        difference="",
        models={},
        written_by="",
        at_us=0,
        superseded_us=None,
    )


def quality_rows(
    counts: Mapping[str, tuple[int, int, int, int, int, int]], models: Mapping[str, Mapping[str, str]]
) -> tuple[QualityRow, ...]:
    """One row a workload, from ``incident_tables.counts``."""
    return tuple(
        QualityRow(
            workload=name,
            models=models[name],
            incidents=found[0],
            looked_at=found[1],
            overturned=found[2],
            confirmed_by_people=found[3],
            dismissed_by_people=found[4],
            found_late=found[5],
        )
        for name in sorted(models)
        for found in (counts.get(name, (0, 0, 0, 0, 0, 0)),)
    )
