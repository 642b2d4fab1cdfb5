"""The tables of the analysis screen: incidents with the answer that counts, what is being learned, how good the first pass is."""

from __future__ import annotations

from appliance.observe.analysis import IncidentRow, LearningRow, QualityRow
from tui import figures
from tui.look import Look, Span
from tui.widgets.table import TableColumn

_VERDICTS = {"unusual": "WARN", "confirmed": "CRIT", "extended": "CRIT", "corrected": "WARN", "dismissed": "OK"}


def verdict_state(row: IncidentRow) -> str:
    """``OK``, ``WARN`` or ``CRIT``: an incident that is over or was none alarms nobody."""
    return "OK" if row.state != "open" else _VERDICTS.get(row.verdict, "WARN")


def verdict_span(row: IncidentRow, look: Look) -> Span:
    """Glyph and word of the answer that counts."""
    state = verdict_state(row)
    return f"{look.symbols.state(state)} {look.safe(row.verdict)}", look.paint.state(state)


def _since(row: IncidentRow, _width: int, look: Look) -> Span:
    return figures.age(look.now_us - row.since_us), look.paint.dim


def _severity(row: IncidentRow, width: int, look: Look) -> Span:
    (bar, _), (rest, _) = look.gauge(row.severity, width, look.paint.warn)
    return bar + rest, look.paint.crit if row.severity >= 0.9 and row.state == "open" else look.paint.warn


def _sure(row: IncidentRow, _width: int, look: Look) -> Span:
    return figures.share(row.confidence), look.paint.dim


def _summary(row: IncidentRow, _width: int, look: Look) -> Span:
    return look.safe(row.summary), look.paint.text


def _where(row: IncidentRow, _width: int, look: Look) -> Span:
    return look.safe(", ".join(row.streams)), look.paint.dim


def _open(row: IncidentRow, _width: int, look: Look) -> Span:
    return look.safe(row.state), look.paint.accent if row.state == "open" else look.paint.dim


INCIDENT_COLUMNS: tuple[TableColumn[IncidentRow], ...] = (
    TableColumn("since", "since", 6, _since, lambda r: (r.state != "open", -r.since_us)),
    TableColumn("state", "state", 9, _open, lambda r: r.state, right=False, drop=3),
    TableColumn("severity", "how much", 8, _severity, lambda r: -r.severity, right=False, drop=2),
    TableColumn("verdict", "answer", 12, lambda r, _w, look: verdict_span(r, look), lambda r: r.verdict, right=False),
    TableColumn("sure", "sure", 5, _sure, lambda r: -r.confidence, drop=4),
    TableColumn("where", "where", 12, _where, lambda r: r.streams, right=False, grow=12, drop=1),
    TableColumn("summary", "what", 24, _summary, lambda r: r.summary, right=False, grow=120),
)  # fmt: skip


def _stream(row: LearningRow, _width: int, look: Look) -> Span:
    return look.safe(row.stream), look.paint.text


def _learned(row: LearningRow, width: int, look: Look) -> Span:
    (bar, _), (rest, _) = look.gauge(row.learned, width, look.paint.ok)
    return bar + rest, look.paint.ok if row.learned >= 1 else look.paint.accent


def _state(row: LearningRow, _width: int, look: Look) -> Span:
    return look.safe(row.state), look.paint.dim


def _score(row: LearningRow, _width: int, look: Look) -> Span:
    return f"{row.score:.3f}", look.paint.warn if row.score >= 0.99 else look.paint.dim


def _behind(row: LearningRow, _width: int, look: Look) -> Span:
    late = row.behind_s >= 1 or row.passed_over > 0
    passed = f", {figures.count(row.passed_over)} passed over" if row.passed_over else ""
    return f"{figures.millis(row.behind_s * 1e3)}{passed}", look.paint.warn if late else look.paint.dim


def _series(row: LearningRow, _width: int, look: Look) -> Span:
    told = figures.count(row.series)
    return (f"{told} +{figures.count(row.left_out)}", look.paint.warn) if row.left_out else (told, look.paint.text)


def _templates(row: LearningRow, _width: int, look: Look) -> Span:
    return figures.count(row.templates), look.paint.text


LEARNING_COLUMNS: tuple[TableColumn[LearningRow], ...] = (
    TableColumn("stream", "stream", 14, _stream, lambda r: r.stream.casefold(), right=False, grow=16),
    TableColumn("series", "series", 9, _series, lambda r: -r.series),
    TableColumn("templates", "templates", 9, _templates, lambda r: -r.templates, drop=2),
    TableColumn("learned", "learned", 10, _learned, lambda r: r.learned, right=False, drop=1),
    TableColumn("state", "state", 24, _state, lambda r: r.state, right=False, grow=20),
    TableColumn("score", "score", 6, _score, lambda r: -r.score),
    TableColumn("behind", "behind", 10, _behind, lambda r: -r.behind_s, grow=16, drop=3),
    TableColumn("workload", "workload", 10, lambda r, _w, look: (look.safe(r.workload), look.paint.dim), lambda r: r.workload, right=False,
        drop=4),
)  # fmt: skip


def _overturned(row: QualityRow, _width: int, look: Look) -> Span:
    share = f" {figures.share(row.overturned / row.looked_at)}" if row.looked_at else ""
    return f"{figures.count(row.overturned)}{share}", look.paint.warn if row.overturned else look.paint.text


def _models(row: QualityRow, _width: int, look: Look) -> Span:
    return look.safe(", ".join(f"{name} {version}" for name, version in row.models.items()) or "built in"), look.paint.dim


def _counted(name: str, title: str, *, drop: int = 0) -> TableColumn[QualityRow]:
    def cell(row: QualityRow, _width: int, look: Look) -> Span:
        return figures.count(getattr(row, name)), look.paint.text

    return TableColumn(name, title, max(9, len(title)), cell, lambda row: -getattr(row, name), drop=drop)


QUALITY_COLUMNS: tuple[TableColumn[QualityRow], ...] = (
    TableColumn("workload", "workload", 12, lambda r, _w, look: (look.safe(r.workload), look.paint.text), lambda r: r.workload, right=False,
        grow=10),
    _counted("incidents", "incidents"),
    _counted("looked_at", "looked at again", drop=1),
    TableColumn("overturned", "overturned", 11, _overturned, lambda r: -r.overturned),
    _counted("found_late", "found late", drop=2),
    _counted("confirmed_by_people", "confirmed", drop=2),
    _counted("dismissed_by_people", "dismissed", drop=2),
    TableColumn("models", "models", 16, _models, lambda r: tuple(r.models), right=False, grow=40, drop=3),
)  # fmt: skip
