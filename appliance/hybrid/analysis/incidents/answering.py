"""What an answer makes of an incident: which answer counts, what state it is in, what becomes of its alert. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from appliance.hybrid.analysis.incidents.cases import weight
from appliance.hybrid.analysis.incidents.values import BUILT_IN, OVERTURNING, Answer
from appliance.hybrid.analysis.incidents.wording import SUMMARY_CHARS_MAX, difference_of
from appliance.hybrid.analysis.phrases import NAME_CHARS_MAX, plain
from appliance.observe.analysis import AnswerRow, FeedbackRow, IncidentRow, MemberRow

Act = Literal["nothing", "raise", "reword", "revise", "resolve", "late"]
"""What becomes of the alert: it fires; it says another thing, which is (``revise``) or is not (``reword``) told; it is over; there is
none, but what would have been one is told (``late``)."""
TOLD: Final = OVERTURNING | {"extended"}
"""Verdicts that those who were told of the incident are told as well."""
MEMBERS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What is from now on."""

    row: IncidentRow
    answer: AnswerRow
    members: tuple[MemberRow, ...] | None
    """All of them, where there are others now."""
    act: Act
    superseded: AnswerRow | None
    """The answer that counted until now and doesn't any more."""


def answered(
    row: IncidentRow, before: AnswerRow | None, members: Sequence[MemberRow], answer: Answer, *, now_us: int, severity: float | None = None
) -> Answered:
    """``before``: the answer that counts; None for the very first. ``severity``: of the incident, where the answer has none of its own."""
    given = answer.severity if answer.severity is not None else severity
    graveness = given if given is not None else (before.severity if before is not None else row.severity)
    counts = row.feedback is None or answer.by == "feedback"
    known = {_name(m) for m in members}
    added = [m for m in answer.members if _name(m) not in known]
    made = AnswerRow(
        number=row.answers + 1,
        by=answer.by,
        verdict=answer.verdict,
        confidence=_share(answer.confidence),
        severity=_share(graveness),
        summary=answer.summary,
        basis=answer.basis,
        difference=answer.difference or difference_of(before, verdict=answer.verdict, severity=_share(graveness), added=added),
        models=dict(answer.models),
        written_by=BUILT_IN,
        at_us=now_us,
        superseded_us=None if counts else now_us,
    )
    all_ = _united(members, answer.members) if answer.members else None
    changed = msgspec.structs.replace(row, answers=made.number, deep="done" if answer.by == "deep" else row.deep)
    if all_ is not None:
        changed = msgspec.structs.replace(changed, members=len(all_), streams=tuple(dict.fromkeys(m.stream for m in all_)))
    if answer.since_us is not None:
        changed = msgspec.structs.replace(changed, since_us=min(answer.since_us, row.until_us))
    if not counts:
        return Answered(row=changed, answer=made, members=all_, act="nothing", superseded=None)
    changed = msgspec.structs.replace(
        changed, severity=made.severity, verdict=made.verdict, confidence=made.confidence, summary=made.summary, state=_state(row, answer)
    )
    return Answered(row=changed, answer=made, members=all_, act=_act(before, answer), superseded=before)


def worded_by(row: IncidentRow, before: AnswerRow, verdict: str, *, author: str, comment: str, now_us: int) -> tuple[FeedbackRow, Answered]:
    """A person's word, ``confirm`` or ``dismiss``, as it is kept and as an answer that counts."""
    said = FeedbackRow(verdict=verdict, author=plain(author, NAME_CHARS_MAX), comment=plain(comment, SUMMARY_CHARS_MAX), at_us=now_us)
    is_confirmed = verdict == "confirm"
    words = f"{said.author} {'confirmed' if is_confirmed else 'dismissed'} it" + (f": {said.comment}" if said.comment else "")
    answer = Answer(
        by="feedback",
        verdict="confirmed" if is_confirmed else "dismissed",
        confidence=1.0,
        severity=before.severity if is_confirmed else 0.0,
        summary=before.summary,
        basis=words,
        difference=words,
        models=before.models,
    )
    return said, with_row(answered(row, before, (), answer, now_us=now_us), feedback=verdict)


def with_row(found: Answered, **changes: object) -> Answered:
    """The same with other values in the incident's row."""
    return Answered(
        row=msgspec.structs.replace(found.row, **changes),
        answer=found.answer,
        members=found.members,
        act=found.act,
        superseded=found.superseded,
    )


def _state(row: IncidentRow, answer: Answer) -> str:
    """Dismissed by what counts now; no longer dismissed where a person or a later look says that it was something."""
    if answer.verdict == "dismissed":
        return "dismissed"
    if row.state != "dismissed":
        return row.state
    return "open" if row.closed_us is None else "closed"


def _act(before: AnswerRow | None, answer: Answer) -> Act:
    if before is None:
        return "raise"
    if answer.verdict == "dismissed":
        return "resolve"
    if before.verdict == "dismissed":
        return "raise"
    return "revise" if answer.verdict in TOLD else "reword"


def _name(m: MemberRow) -> tuple[str, str, tuple[tuple[str, str | None], ...], str | None]:
    return m.stream, m.column, tuple(m.key.items()), m.template


def _united(members: Sequence[MemberRow], others: Sequence[MemberRow]) -> tuple[MemberRow, ...]:
    all_ = {**{_name(m): m for m in members}, **{_name(m): m for m in others}}
    return tuple(sorted(all_.values(), key=lambda m: (-weight(m), m.since_us)))[:MEMBERS_MAX]


def _share(value: float) -> float:
    """Within 0 and 1; what is no number is 0."""
    return round(min(1.0, max(0.0, value)), 4) if value == value else 0.0
