"""What there is to tell of an incident, as lines for a panel: the answer that counts, what it took the place of, what stands behind."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.observe.analysis import AnswerRow, EvidenceRow, IncidentPicture, IncidentRow, LearningRow, MemberRow, QualityRow
from tui import figures
from tui.client import Series
from tui.look import Line, Look
from tui.widgets.analysis import verdict_span
from tui.widgets.labelled import Labelled
from tui.widgets.panels import wrapped
from tui.widgets.plot import sparkline

_LABEL = 9
_MEMBERS = 8
_LOG_LINES = 12
_fact = Labelled(cells=_LABEL, lines_max=4).fact
Row = IncidentRow | LearningRow | QualityRow


def facts(row: Row | None, picture: IncidentPicture | None, chart: Series | None, look: Look, width: int) -> list[Line]:
    """The lines for the chosen row; ``picture`` and ``chart`` are of an incident, once they are read."""
    match row:
        case IncidentRow():
            return _incident(row, picture, chart, look, width)
        case LearningRow():
            return _learning(row, look, width)
        case QualityRow():
            told = f"batch looked again at {row.looked_at} of {row.incidents} incidents and overturned the first answer of {row.overturned}"
            late = f"{figures.count(row.found_late)} that the first pass had missed" if row.found_late else ""
            return [((look.safe(row.workload), look.paint.bold),), *_fact("", told, look, width), *_fact("late", late, look, width)]
        case None:
            return []


def _learning(row: LearningRow, look: Look, width: int) -> list[Line]:
    told = "what is unusual is told, but little is known yet of how the week goes" if row.learned < 1 else "a whole week is known"
    lines: list[Line] = [((look.safe(row.stream), look.paint.bold), (f"  {look.safe(row.state)}", look.paint.dim))]
    lines += _fact("", told, look, width)
    left = f"{figures.count(row.left_out)} series above series_max are not looked at" if row.left_out else ""
    passed = f"{figures.count(row.passed_over)} records were not scored: too many waited" if row.passed_over else ""
    lines += _fact("left out", left, look, width, look.paint.warn)
    return lines + _fact("passed", passed, look, width, look.paint.warn)


def _incident(row: IncidentRow, picture: IncidentPicture | None, chart: Series | None, look: Look, width: int) -> list[Line]:
    over = "" if row.closed_us is None else f", over since {_moment(row.closed_us, look)}"
    head = f"  incident {row.id} of {look.safe(row.workload)}, {look.safe(row.state)}{over}"
    lines: list[Line] = [(verdict_span(row, look), (head, look.paint.dim))]
    lines += wrapped(look.safe(row.summary), width, look.paint.bold, lines_max=6)
    if picture is None or picture.incident.id != row.id:
        return [*lines, (("reading it", look.paint.dim),)]
    for answer in reversed(picture.answers):
        lines += _answer(answer, look, width)
    lines += _deep(row, look, width)
    lines += _chart(chart, picture, look, width)
    for member in picture.members[:_MEMBERS]:
        lines += _member(member, look, width)
    if len(picture.members) > _MEMBERS:
        lines.append(((f"{'':{_LABEL + 1}}and {len(picture.members) - _MEMBERS} more", look.paint.dim),))
    for found in picture.evidence:
        lines += _evidence(found, look, width)
    for said in picture.feedback:
        why = f": {said.comment}" if said.comment else ""
        lines += _fact("said", f"{said.author}, {_moment(said.at_us, look)}: {said.verdict}{why}", look, width, look.paint.accent)
    for place, line in enumerate(picture.lines[:_LOG_LINES]):
        told = f"{line.get('ts', '')[11:19]} {line.get('text', '')}"
        lines += _fact("log" if place == 0 else " ", told, look, width, look.paint.dim)
    return lines


def _answer(answer: AnswerRow, look: Look, width: int) -> list[Line]:
    """One answer; one that has been superseded is told as such, with what it said."""
    by = {"first": "first", "deep": "refined", "feedback": "person"}.get(answer.by, look.safe(answer.by))
    if answer.superseded_us is not None:
        when = f"superseded at {_moment(answer.superseded_us, look)}"
        told = f"{answer.verdict}, {figures.share(answer.confidence)} sure, {when}: {answer.summary}"
        return _fact(by, told, look, width, look.paint.faint)
    words = f"{answer.verdict}, {figures.share(answer.confidence)} sure"
    lines = _fact(by, words + (f"; {answer.basis}" if answer.basis else ""), look, width)
    if answer.written_by not in ("", "built in"):
        lines += _fact("worded by", answer.written_by, look, width, look.paint.dim)
    difference = "" if answer.difference == answer.basis else answer.difference  # a person's word is both
    return lines + _fact("differs", difference, look, width, look.paint.accent)


def _deep(row: IncidentRow, look: Look, width: int) -> list[Line]:
    told = {"queued": "will look at it again", "running": "is looking at it again", "failed": "could not look at it again"}.get(row.deep)
    style = look.paint.warn if row.deep == "failed" else look.paint.accent
    return _fact("batch", told or "", look, width, style)


def _chart(chart: Series | None, picture: IncidentPicture, look: Look, width: int) -> list[Line]:
    """The field that was most unusual over time, as far as it is at hand: scaled between its least and its most."""
    values = [] if chart is None else [v for v in chart.mean if v is not None]
    if chart is None or len(values) < 2 or not picture.members or chart.stream != picture.members[0].stream:
        return []
    low, high = min(values), max(values)
    scaled = tuple(0 if v is None else 1 + round((v - low) / ((high - low) or 1.0) * 999) for v in chart.mean)
    drawn = sparkline(scaled, max(8, width - _LABEL - 1), end_s=0, symbols=look.symbols)
    span = figures.span(len(chart.mean) * chart.step_us)
    told = f"{look.safe(chart.column)} from {figures.number(low)} to {figures.number(high)}, last {span}"
    line: Line = ((look.fit("over time", _LABEL) + " ", look.paint.dim), (drawn, look.paint.ramp[4]))
    return [line, *_fact(" ", told, look, width, look.paint.dim)]


def _member(row: MemberRow, look: Look, width: int) -> list[Line]:
    what = f"{row.template}{_key(row.key)}" if row.template is not None else _series(row)
    return _fact(_short(row.kind), f"{what}: {row.reason}", look, width)


def _evidence(row: EvidenceRow, look: Look, width: int) -> list[Line]:
    told = f"{_series(row)}: {row.what}" if row.column else row.what
    return _fact(_short(row.kind), told, look, width, look.paint.cold)


def _series(row: MemberRow | EvidenceRow) -> str:
    return f"{row.stream}.{row.column}{_key(row.key)}"


def _key(key: Mapping[str, str | None]) -> str:
    return f" [{', '.join(f'{name}={value}' for name, value in key.items())}]" if key else ""


def _short(kind: str) -> str:
    """As much of a kind as a label holds."""
    return kind if len(kind) <= _LABEL else kind.split()[0][:_LABEL]


def _moment(us: int, look: Look) -> str:
    return figures.moment(us, now_us=look.now_us)
