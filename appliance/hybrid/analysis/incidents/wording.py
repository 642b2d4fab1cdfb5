"""Incidents in plain words: what, where, since when, how unusual, what else moved. Pure; the built-in summary that always stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.phrases import count, moment, number, plain, series, span
from appliance.observe.analysis import AnswerRow, EvidenceRow, IncidentPicture, MemberRow, QualityRow

SUMMARY_CHARS_MAX: Final = 600
TEMPLATE_CHARS_MAX: Final = 160
OTHERS_NAMED: Final = 3
FIRST_BY_US: Final = 2 * US_PER_S
"""What began so long before the gravest is worth a word."""


def summary_of(members: Sequence[MemberRow], *, since_us: int, zone: tzinfo, others: int = 0) -> str:
    """One to three sentences. ``members``: at least one, the gravest first; ``others``: further unusual records beyond them."""
    gravest, *rest = members
    parts = [f"{_what(gravest)} since {moment(since_us, zone)}: {plain(gravest.reason, TEMPLATE_CHARS_MAX) or 'unusual'}."]
    if rest or others:
        parts.append(f"At the same time: {_also(gravest, rest, others)}.")
    first = min(members, key=lambda m: m.since_us)
    if gravest.since_us - first.since_us >= FIRST_BY_US:
        parts.append(f"It began with {name_of(first)}, {span(gravest.since_us - first.since_us)} before.")
    return plain(" ".join(parts), SUMMARY_CHARS_MAX)


def name_of(member: MemberRow) -> str:
    """``cpu usage_user (host=web1)``."""
    return series(member.stream, member.column, member.key)


def first_basis(members: Sequence[MemberRow], *, learned: float) -> str:
    """What a first answer stands on."""
    records = sum(m.records for m in members)
    streams = len({m.stream for m in members})
    known = "a week or more" if learned >= 1 else f"{learned:.0%} of a week".replace("%", " %")
    return f"{count(records, 'unusual record')} of {len(members)} series in {count(streams, 'stream')}, as they came; {known} had been seen"


def difference_of(before: AnswerRow | None, *, verdict: str, severity: float, added: Sequence[MemberRow] = ()) -> str:
    """What differs from the answer before; "" without one."""
    if before is None:
        return ""
    words = {
        "dismissed": "nothing unusual after all",
        "corrected": "corrected",
        "extended": "it is larger",
        "confirmed": "confirmed",
        "unusual": "it has grown",
    }
    parts = [words.get(verdict, verdict)]
    if abs(severity - before.severity) >= 0.01:
        parts.append(f"severity {before.severity:.2f} → {severity:.2f}")
    if added:
        names = ", ".join(name_of(m) for m in added[:OTHERS_NAMED])
        more = len(added) - OTHERS_NAMED
        parts.append(f"also {names}" + (f" and {more} more" if more > 0 else ""))
    return plain("; ".join(parts), SUMMARY_CHARS_MAX)


def explained(picture: IncidentPicture, *, zone: tzinfo) -> str:
    """Why, line by line, out of what the incident holds."""
    row = picture.incident
    lines = [plain(row.summary, SUMMARY_CHARS_MAX), ""]
    if row.state == "dismissed":
        lines += ["It was dismissed: it counts as nothing unusual.", ""]
    lines += ["What was unusual, the gravest first:", *(f"  {_line(m, zone)}" for m in picture.members[:20]), ""]
    lines += ["What was said of it:", *(f"  {line}" for a in picture.answers for line in answer_lines(a, zone))]
    if picture.evidence:
        lines += ["", "What a deeper look has found:", *(f"  {evidence_line(e, zone)}" for e in picture.evidence[:20])]
    if picture.feedback:
        said = [
            f"{f.author} {'confirmed' if f.verdict == 'confirm' else 'dismissed'} it on {moment(f.at_us, zone)}" for f in picture.feedback
        ]
        lines += ["", *(plain(line, SUMMARY_CHARS_MAX) for line in said)]
    return "\n".join(line.rstrip() for line in lines)


def _what(m: MemberRow) -> str:
    name = name_of(m)
    if m.kind == "silence":
        return f"{name} is silent"
    if m.template is not None:
        template = plain(m.template, TEMPLATE_CHARS_MAX)
        said = {"new template": "a text never seen before", "rate": "an unusual number of", "parameter": "an unusual value in"}
        return f"{name}: {said.get(m.kind, 'unusual')} “{template}”"
    if m.value is None:
        return f"{name} is unusual"
    usual = f" where {number(m.expected)} is usual," if m.expected is not None else ""
    return f"{name} at {number(m.value)}{' a second' if m.kind == 'rate' else ''}{usual}"


def _also(gravest: MemberRow, rest: Sequence[MemberRow], others: int) -> str:
    """Some of the rest by name, of other streams first, since they say more; then how many more there are."""
    elsewhere = [m for m in rest if m.stream != gravest.stream]
    order = [*_one_each(elsewhere), *(m for m in rest if m.stream == gravest.stream)]
    named = order[:OTHERS_NAMED]
    more = len(rest) - len(named)
    words = [name_of(m) for m in named]
    if more > 0:
        words.append(count(more, "more series", "more series"))
    elif others:
        words.append(count(others, "further unusual record"))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _one_each(rows: Sequence[MemberRow]) -> list[MemberRow]:
    """The first of each stream before the second of any."""
    seen: Mapping[str, list[MemberRow]] = {name: [m for m in rows if m.stream == name] for name in dict.fromkeys(m.stream for m in rows)}
    return sorted(rows, key=lambda m: seen[m.stream].index(m))


def _line(m: MemberRow, zone: tzinfo) -> str:
    when = moment(m.since_us, zone)
    return plain(f"{_what(m)} since {when}, score {m.score:.3f}, {count(m.records, 'record')}: {m.reason}", SUMMARY_CHARS_MAX)


def answer_lines(a: AnswerRow, zone: tzinfo) -> list[str]:
    """One answer: who gave it, what it said, and whether it still holds."""
    models = ", ".join(f"{name} {version}" for name, version in a.models.items())
    holds = "" if a.superseded_us is None else f"; superseded on {moment(a.superseded_us, zone)}"
    head = (
        f"{a.number}. {a.by} answer, {moment(a.at_us, zone)}: {a.verdict}, confidence {a.confidence:.0%}, severity {a.severity:.2f}{holds}"
    )
    rest = [a.summary, a.difference and f"difference: {a.difference}", a.basis and f"based on {a.basis}", models and f"models: {models}"]
    return [head, *(f"   {plain(line, SUMMARY_CHARS_MAX)}" for line in rest if line)]


def evidence_line(e: EvidenceRow, zone: tzinfo) -> str:
    """What a deeper look has found, of which series, and when."""
    of = f" of {series(e.stream, e.column, e.key)}" if e.stream else ""
    when = "" if e.at_us is None else f" at {moment(e.at_us, zone)}"
    return plain(f"{e.kind}{of}{when}: {e.what}", SUMMARY_CHARS_MAX)


def quality_line(row: QualityRow) -> str:
    """How often the first answer held, and what it missed."""
    parts = [f"{count(row.incidents, 'incident')}, batch looked again at {row.looked_at:,} and overturned {row.overturned:,}"]
    parts += [f"found {row.found_late:,} that the first pass had missed"] if row.found_late else []
    if row.confirmed_by_people or row.dismissed_by_people:
        parts.append(f"people confirmed {row.confirmed_by_people:,} and dismissed {row.dismissed_by_people:,}")
    return "; ".join(parts)
