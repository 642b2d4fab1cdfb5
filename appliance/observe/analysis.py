"""Analysis as surfaces show it: incidents with every answer that was given about them, what stands behind, how good it is. Values only.

``GET /api/analysis`` gives an ``AnalysisPicture``, ``GET /api/analysis/ID`` an ``IncidentPicture``. Times in µs since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """One series or template that was unusual within an incident."""

    stream: str
    column: str
    """The field."""
    key: Mapping[str, str | None]
    """The tags of its series; empty for templates."""
    template: str | None
    """For texts: the template with ``<*>`` for what varies."""
    kind: str
    """``value`` (unusual number), ``silence`` (of a series; without a key of several, or of the stream), ``new template``, ``rate`` (of a
    template, or a second of a series that counts up), ``parameter`` (a new value in a
    template)."""
    since_us: int
    """Event time of the first record that was unusual."""
    until_us: int
    """Event time of the newest that was."""
    peak_us: int
    score: float
    """The highest, 0 to 1."""
    value: float | None
    """At the peak; None for texts."""
    expected: float | None
    """What would have been usual there; None: not known."""
    records: int
    """How many of its records were unusual."""
    reason: str
    """For a person: "4.2 times the usual spread for Sunday 07:00"."""
    seq: int
    """Sequence of the record at the peak."""


class AnswerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answer about an incident; the highest number that is not superseded counts."""

    number: int
    """1: the first answer; rises."""
    by: str
    """``first`` (pass), ``deep`` (pass; number 1 is what the first pass missed, found late), ``feedback`` (a person)."""
    verdict: str
    """``unusual`` (first pass), ``confirmed``, ``corrected``, ``extended``, ``dismissed``."""
    confidence: float
    """0 to 1."""
    severity: float
    """0 to 1: how unusual, what it is sorted by."""
    summary: str
    """What, where, since when, how unusual, what else moved; one to three sentences."""
    basis: str
    """What it stands on: "4,112 late records and 30 days of history"."""
    difference: str
    """What differs from the answer before; "" for the first."""
    models: Mapping[str, str]
    """Model -> version that was used; built-in ones say ``built in``."""
    written_by: str
    """``built in`` or the language model's name: who worded the summary."""
    at_us: int
    superseded_us: int | None
    """When a later answer took its place; None: it counts."""


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer of the deep pass has found besides: shown as it is."""

    kind: str
    """``change point``, ``season`` or ``history`` (what was to be expected), ``leads`` (started first), ``follows``, ``correlation``,
    ``similar`` (past incident or stretch), ``late records``, ``log lines``."""
    stream: str
    column: str
    key: Mapping[str, str | None]
    at_us: int | None
    value: float | None
    """Its strength, in what ``what`` says."""
    what: str
    """One line."""


class FeedbackRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of an incident."""

    verdict: str
    """``confirm`` or ``dismiss``."""
    author: str
    comment: str
    at_us: int


class IncidentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One incident with the answer that counts."""

    id: int
    workload: str
    state: str
    """``open``, ``closed`` (nothing unusual any more), ``dismissed``."""
    opened_us: int
    """When it was opened, by the wall clock."""
    since_us: int
    """Event time of the first unusual record."""
    until_us: int
    """Event time of the newest one."""
    closed_us: int | None
    streams: tuple[str, ...]
    members: int
    """How many series and templates."""
    severity: float
    verdict: str
    confidence: float
    summary: str
    answers: int
    deep: str
    """The deep pass: ``none`` (not wanted), ``queued``, ``running``, ``done``, ``failed``."""
    feedback: str | None
    """The newest: ``confirm`` or ``dismiss``; None: none."""


class IncidentPicture(msgspec.Struct, frozen=True, kw_only=True):
    """One incident, whole."""

    incident: IncidentRow
    members: tuple[MemberRow, ...]
    """The gravest first; at most 100."""
    answers: tuple[AnswerRow, ...]
    """In their order, superseded ones among them."""
    evidence: tuple[EvidenceRow, ...]
    """Of the newest answer of the deep pass."""
    feedback: tuple[FeedbackRow, ...]
    lines: tuple[Mapping[str, str], ...]
    """Log lines of its time: ``ts`` (ISO 8601), ``stream``, ``text``; at most 50."""


class LearningRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is followed of one stream, and how far it has been learned."""

    workload: str
    stream: str
    series: int
    """Numeric series (field by key)."""
    left_out: int
    """Series above ``series_max``, which are not looked at."""
    templates: int
    learned: float
    """0 to 1 of a week: the least of its series."""
    state: str
    """``learning, 40 % of a week`` or ``learned``."""
    score: float
    """The highest of the newest records."""
    behind_s: float
    """How long the oldest record that is not scored has waited."""
    passed_over: int
    """Records that were not scored because too many waited."""


class QualityRow(msgspec.Struct, frozen=True, kw_only=True):
    """How often the deep pass and people overturned the first pass."""

    workload: str
    models: Mapping[str, str]
    """Model -> version in use."""
    incidents: int
    looked_at: int
    """By the deep pass."""
    overturned: int
    """Dismissed or corrected by it."""
    confirmed_by_people: int
    dismissed_by_people: int
    found_late: int = 0
    """That the first pass missed and the nightly look found."""


class AnalysisPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Analysis of this box: the newest incidents, what is being learned, how good it is."""

    incidents: tuple[IncidentRow, ...]
    """Open ones first, then the newest; as many as were asked for."""
    learning: tuple[LearningRow, ...]
    quality: tuple[QualityRow, ...]
    memory: int
    """Bytes of all state."""
