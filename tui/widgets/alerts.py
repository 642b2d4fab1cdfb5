"""The tables of the alerts screen: what fires, the rules, the history, the silences, the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rich.style import Style

from appliance.observe.alerts import AlertRow, OutboxRow, RuleRow, SilenceRow, TransitionRow
from tui import figures
from tui.look import Look, Span
from tui.widgets.table import TableColumn

T = TypeVar("T")
PHASES: dict[str, str] = {"firing": "FIRING", "pending": "pending", "nodata": "no data", "error": "error", "ok": "ok"}
"""Phase -> how it is written, the gravest first."""
SEVERITIES = ("critical", "warning", "info")
_GLYPHS = {"critical": "CRIT", "warning": "WARN"}
_OUTBOX = {"waiting": "WARN", "sent": "OK", "dead": "CRIT"}
_RULES = {"ok": "OK", "waiting": "", "error": "CRIT"}
US_PER_S = 1_000_000


def key_words(key: Mapping[str, str | None]) -> str:
    """``device=d1 line=A``; foreign text. Null is an empty value."""
    return " ".join(f"{column}={'' if value is None else value}" for column, value in key.items())


def alert_name(row: AlertRow) -> str:
    """What a row of alerts is found by: unique."""
    return f"{row.rule} {key_words(row.key)}"


def value_words(value: Any, look: Look) -> str:
    """One value, short and safe."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return figures.number(value) if isinstance(value, (int, float)) else look.safe(str(value)[:200])


def values_words(values: Mapping[str, Any], look: Look) -> str:
    """``avg(temperature)=83.5``, all of them."""
    return " ".join(f"{look.safe(name)}={value_words(value, look)}" for name, value in values.items())


def state_of(phase: str, severity: str, look: Look) -> Span:
    """Glyph and word of an alert's phase; the glyph and the colour of a firing one are those of its severity."""
    word, paint, symbols = PHASES.get(phase, look.safe(phase)), look.paint, look.symbols
    if phase == "firing":
        grave = _GLYPHS.get(severity)
        return f"{symbols.state(grave or 'OK')} {word}", paint.cold if grave is None else paint.state(grave)
    glyph, style = {
        "ok": (symbols.state("OK"), paint.ok),
        "pending": (symbols.ellipsis, paint.warn),
        "error": (symbols.state("WARN"), paint.warn),
    }.get(phase, (symbols.state(""), paint.dim))
    return f"{glyph} {word}", style


def told_words(row: AlertRow) -> str:
    """Why nobody is told, or why it is quiet, in one word each."""
    words = [
        "acked" if row.acked_by is not None else "",
        "silenced" if row.silenced_by is not None else "",
        "inhibited" if row.inhibited_by is not None else "",
        "flapping" if row.flapping else "",
    ]
    return " ".join(w for w in words if w)


def _weight(row: AlertRow) -> tuple[int, int, int]:
    """The gravest and newest first."""
    phases = list(PHASES)
    phase = phases.index(row.phase) if row.phase in phases else len(phases)
    severity = SEVERITIES.index(row.severity) if row.severity in SEVERITIES else len(SEVERITIES)
    return phase, severity, -row.since_us


def _severity(row: AlertRow, _width: int, look: Look) -> Span:
    grave = _GLYPHS.get(row.severity, "")
    return look.safe(row.severity), look.paint.state(grave) if grave else look.paint.dim


def _for(row: AlertRow, _width: int, look: Look) -> Span:
    return figures.span(max(0, look.now_us - row.since_us)), look.paint.text


def _value(row: AlertRow, _width: int, look: Look) -> Span:
    first = next(iter(row.values.values()), None)
    return ("" if not row.values else value_words(first, look)), look.paint.bold if row.phase == "firing" else look.paint.text


def _told(row: AlertRow, _width: int, look: Look) -> Span:
    return told_words(row), look.paint.accent


def _words(
    name: str, title: str, width: int, get: Callable[[T], str], ink: Callable[[Look], Style], *, grow: int = 0, drop: int = 0
) -> TableColumn[T]:
    """A column of foreign text."""

    def cell(row: T, _width: int, look: Look) -> Span:
        return look.safe(get(row)), ink(look)

    return TableColumn(name, title, width, cell, lambda row: get(row).casefold(), right=False, grow=grow, drop=drop)


def _text(look: Look) -> Style:
    return look.paint.text


def _dim(look: Look) -> Style:
    return look.paint.dim


ALERT_COLUMNS: tuple[TableColumn[AlertRow], ...] = (
    TableColumn("state", "state", 9, lambda r, _w, look: state_of(r.phase, r.severity, look), _weight, right=False),
    TableColumn("severity", "severity", 8, _severity, lambda r: _weight(r)[1], right=False, drop=2),
    _words("rule", "rule", 14, lambda r: r.rule, _text, grow=4),
    _words("key", "key", 13, lambda r: key_words(r.key), _text, grow=8),
    TableColumn("for", "for", 7, _for, lambda r: -r.since_us),
    TableColumn("value", "value", 6, _value, lambda r: next((v for v in r.values.values() if isinstance(v, (int, float))), None)),
    TableColumn("note", "note", 9, _told, told_words, right=False, drop=1),
    _words("summary", "summary", 16, lambda r: r.summary, _dim, grow=60, drop=3),
)


def _rule_state(row: RuleRow, _width: int, look: Look) -> Span:
    grave = _RULES.get(row.state, "")
    return f"{look.symbols.state(grave)} {look.safe(row.state)}", look.paint.state(grave)


def _cost(row: RuleRow, _width: int, look: Look) -> Span:
    return figures.share(row.cost_us_per_s / US_PER_S), look.paint.dim


def _condition(row: RuleRow, _width: int, look: Look) -> Span:
    return look.safe(row.reason or row.condition), look.paint.warn if row.reason else look.paint.dim


def _counted(count: int, look: Look, style: Style) -> Span:
    return (figures.count(count), style) if count else ("0", look.paint.faint)


RULE_COLUMNS: tuple[TableColumn[RuleRow], ...] = (
    TableColumn("state", "state", 9, _rule_state, lambda r: list(_RULES)[::-1].index(r.state) if r.state in _RULES else -1, right=False),
    _words("rule", "rule", 14, lambda r: r.name, _text, grow=10),
    TableColumn("firing", "firing", 6, lambda r, _w, look: _counted(r.firing, look, look.paint.crit), lambda r: -r.firing),
    TableColumn("pending", "pending", 7, lambda r, _w, look: _counted(r.pending, look, look.paint.warn), lambda r: -r.pending),
    TableColumn("keys", "keys", 5, lambda r, _w, look: (figures.count(r.keys), look.paint.text), lambda r: -r.keys, drop=3),
    TableColumn("cost", "of a core", 9, _cost, lambda r: -r.cost_us_per_s),
    TableColumn("late", "late", 5, lambda r, _w, look: _counted(r.late, look, look.paint.warn), lambda r: -r.late, drop=4),
    _words("stream", "stream", 10, lambda r: r.stream or "SQL", _dim, drop=5),
    TableColumn("condition", "condition", 16, _condition, lambda r: r.condition, right=False, grow=80, drop=1),
)


def step_words(row: TransitionRow, look: Look) -> Span:
    """``ok > firing``, or what kind of step it is."""
    paint = look.paint
    if row.kind != "change":
        return look.safe(row.kind), paint.warn if row.kind in ("late", "flapping") else paint.accent
    old, new = (look.safe(PHASES.get(p, p)) for p in (row.old, row.new))
    style = paint.crit if row.new == "firing" else paint.ok if row.new == "ok" else paint.text
    return f"{old} {look.symbols.sides[1]} {new}", style


def _age(us: int, look: Look) -> Span:
    return figures.age(look.now_us - us), look.paint.dim


def _why(row: TransitionRow, _width: int, look: Look) -> Span:
    return f"{values_words(row.values, look)} {look.safe(row.reason)}".strip(), look.paint.dim


HISTORY_COLUMNS: tuple[TableColumn[TransitionRow], ...] = (
    TableColumn("age", "age", 7, lambda r, _w, look: _age(r.at_us, look), lambda r: -r.id),
    TableColumn("at", "at", 8, lambda r, _w, look: (figures.moment(r.at_us, now_us=look.now_us), look.paint.text), lambda r: r.at_us),
    TableColumn("step", "step", 17, lambda r, _w, look: step_words(r, look), lambda r: (r.kind, r.new), right=False),
    _words("rule", "rule", 14, lambda r: r.rule, _text, grow=8),
    _words("key", "key", 13, lambda r: key_words(r.key), _text, grow=14),
    TableColumn("why", "values, reason", 14, _why, lambda r: r.reason, right=False, grow=60, drop=1),
)


def _silence_state(row: SilenceRow, _width: int, look: Look) -> Span:
    if row.is_active:
        return f"{look.symbols.state('OK')} active", look.paint.accent
    if row.since_us > look.now_us:
        return f"{look.symbols.state('')} later", look.paint.text
    return f"{look.symbols.state('')} over", look.paint.dim


def _left(row: SilenceRow, _width: int, look: Look) -> Span:
    return (figures.span(row.until_us - look.now_us), look.paint.text) if row.is_active else ("", look.paint.dim)


SILENCE_COLUMNS: tuple[TableColumn[SilenceRow], ...] = (
    TableColumn("state", "state", 8, _silence_state, lambda r: (not r.is_active, -r.id), right=False),
    TableColumn("id", "id", 4, lambda r, _w, look: (str(r.id), look.paint.dim), lambda r: r.id),
    _words("matchers", "matchers", 20, lambda r: " ".join(r.matchers), _text, grow=20),
    TableColumn("left", "left", 6, _left, lambda r: r.until_us),
    _words("author", "author", 12, lambda r: r.author, _dim, grow=8),
    _words("comment", "comment", 14, lambda r: r.comment, _dim, grow=60),
)


def _sent(row: OutboxRow, _width: int, look: Look) -> Span:
    if row.state == "waiting":
        wait = row.due_us - look.now_us
        return (f"in {figures.span(wait)}" if wait > 0 else "now"), look.paint.text
    return figures.age(look.now_us - (row.sent_us or row.due_us)), look.paint.dim


def _outbox_state(row: OutboxRow, _width: int, look: Look) -> Span:
    grave = _OUTBOX.get(row.state, "")
    return f"{look.symbols.state(grave)} {look.safe(row.state)}", look.paint.state(grave)


OUTBOX_COLUMNS: tuple[TableColumn[OutboxRow], ...] = (
    TableColumn("state", "state", 9, _outbox_state, lambda r: ({"dead": 0, "waiting": 1}.get(r.state, 2), -r.id), right=False),
    _words("channel", "channel", 10, lambda r: r.channel, _text),
    TableColumn("age", "made", 7, lambda r, _w, look: _age(r.created_us, look), lambda r: -r.created_us),
    TableColumn("sent", "due, sent", 9, _sent, lambda r: r.sent_us or r.due_us),
    TableColumn("attempts", "tries", 5, lambda r, _w, look: (figures.count(r.attempts), look.paint.text), lambda r: -r.attempts),
    _words("title", "title", 20, lambda r: r.title, _text, grow=24),
    _words("error", "error", 10, lambda r: r.error, lambda look: look.paint.warn, grow=60, drop=1),
)
