"""The table of the reports screen, and what there is to tell of the chosen row, as lines for a panel."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.observe.reports import DefinitionRow, IssueRow, ReportsPicture
from tui import figures
from tui.look import Line, Look, Span
from tui.widgets.labelled import Labelled
from tui.widgets.panels import wrapped
from tui.widgets.table import TableColumn

_fact = Labelled(cells=8, lines_max=4).fact


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A revision that was issued, or a report that never was."""

    name: str
    title: str
    definition: DefinitionRow | None
    issue: IssueRow | None

    @property
    def key(self) -> str:
        """What the row is found by; filtered by its letters too."""
        i = self.issue
        return f"{self.name} not issued" if i is None else f"{self.name} {i.day} {parameter_words(self)} r{i.revision}"

    @property
    def text_path(self) -> str | None:
        """The file that a terminal can show; None: there is none."""
        files = () if self.issue is None or self.issue.removed_us is not None else self.issue.files
        return next((f.path for form in ("md", "csv", "json") for f in files if f.format == form), None)


def rows_of(picture: ReportsPicture) -> list[ReportRow]:
    """What was issued, the newest first, then what can be made and never was."""
    known = {d.name: d for d in picture.definitions}
    rows = [ReportRow(i.name, i.title, known.get(i.name), i) for i in picture.issues]
    there = {i.name for i in picture.issues}
    return rows + [ReportRow(d.name, d.title, d, None) for d in picture.definitions if d.name not in there]


def parameter_words(row: ReportRow) -> str:
    """``device=d1``; foreign text."""
    return " ".join(f"{n}={v}" for n, v in row.issue.parameters.items()) if row.issue is not None else ""


def state_of(row: ReportRow, look: Look) -> Span:
    """Glyph and word."""
    i, symbols, paint = row.issue, look.symbols, look.paint
    if i is None:
        return f"{symbols.state('')} never", paint.dim
    if i.removed_us is not None:
        return f"{symbols.state('')} removed", paint.dim
    if not i.is_newest:
        return f"{symbols.state('')} revised", paint.dim
    if i.failed:
        return f"{symbols.state('WARN')} {i.failed} failed", paint.warn
    if i.notes:
        return f"{symbols.state('WARN')} lacks", paint.warn
    if not i.is_over:
        return f"{symbols.state('OK')} not over", paint.accent
    return f"{symbols.state('OK')} ok", paint.ok


def _delivered(row: ReportRow, look: Look) -> Span:
    told = row.issue.delivered if row.issue is not None else ()
    dead = [t for t in told if t.endswith("dead")]
    sent = sum(t.endswith("sent") for t in told)
    if not told:
        return "", look.paint.dim
    return (f"{len(dead)} dead", look.paint.crit) if dead else (f"{sent} of {len(told)}", look.paint.text)


def _age(row: ReportRow, look: Look) -> Span:
    return ("" if row.issue is None else figures.age(look.now_us - row.issue.issued_us)), look.paint.dim


def _day(row: ReportRow) -> str:
    return row.issue.day if row.issue is not None else ""


def _schedule(row: ReportRow) -> str:
    return "" if row.definition is None else row.definition.schedule or "on request"


def _differs(row: ReportRow) -> str:
    return "" if row.issue is None else row.issue.difference


def _revision(row: ReportRow) -> int:
    return 0 if row.issue is None else row.issue.revision


def _report(row: ReportRow, _width: int, look: Look) -> Span:
    return look.safe(row.name), look.paint.text


def _difference(row: ReportRow, _width: int, look: Look) -> Span:
    return look.safe(_differs(row)), look.paint.accent


def _parameters(row: ReportRow, _width: int, look: Look) -> Span:
    return look.safe(parameter_words(row)), look.paint.dim


COLUMNS: tuple[TableColumn[ReportRow], ...] = (
    TableColumn("state", "state", 11, lambda r, _w, look: state_of(r, look), lambda r: 0 if r.issue is None else -r.issue.id, right=False),
    TableColumn("report", "report", 12, _report, lambda r: r.name.casefold(), right=False, grow=14),
    TableColumn("of", "of", 10, lambda r, _w, look: (look.safe(_day(r)), look.paint.text), _day, right=False),
    TableColumn("rev", "rev", 3, lambda r, _w, look: (f"r{_revision(r)}" if r.issue else "", look.paint.text), _revision),
    TableColumn("age", "issued", 7, lambda r, _w, look: _age(r, look), lambda r: None if r.issue is None else -r.issue.issued_us),
    TableColumn("sent", "sent", 7, lambda r, _w, look: _delivered(r, look), lambda r: len(r.issue.delivered) if r.issue else 0, drop=2),
    TableColumn("parameters", "parameters", 10, _parameters, parameter_words, right=False, grow=20, drop=3),
    TableColumn("differs", "differs in", 12, _difference, _differs, right=False, grow=60),
    TableColumn("when", "when", 10, lambda r, _w, look: (look.safe(_schedule(r)), look.paint.dim), _schedule, right=False, grow=6, drop=1),
)


def facts(row: ReportRow | None, look: Look, width: int) -> list[Line]:
    """The lines for one row; the weightiest first."""
    if row is None:
        return []
    paint = look.paint
    lines: list[Line] = [(state_of(row, look), (f" {look.safe(row.title)}", paint.bold))]
    if row.issue is None:
        lines += _fact("when", _schedule(row), look, width)
        return lines + wrapped("never issued: i issues it now", width, paint.dim, lines_max=2)
    i = row.issue
    if i.failed:
        lines += wrapped(
            f"{i.failed} of {i.blocks} parts could not be answered; the report says why in their place", width, paint.warn, lines_max=3
        )
    if not i.is_over:
        lines += wrapped("its time was not over when it was made", width, paint.warn, lines_max=2)
    for note in i.notes:
        lines += _fact("lacks", note, look, width, paint.warn)
    lines += _fact("differs", i.difference, look, width, paint.accent)
    lines += _fact("issued", f"{figures.moment(i.issued_us, now_us=look.now_us)}, {i.reason}", look, width)
    lines += _fact("sent", ", ".join(i.delivered), look, width)
    for used in i.streams:
        newest = "none" if used.newest_us is None else figures.moment(used.newest_us, now_us=look.now_us)
        dirty = f", dirty {' '.join(used.dirty)}" if used.dirty else ""
        counted = "" if used.records is None else f"{figures.count(used.records)} records, the newest {newest}, "
        lines += _fact("complete", f"{used.stream}: {counted}all up to _seq {used.seq}{dirty}", look, width)
    for file in i.files:
        lines += _fact("file", f"{file.path} ({figures.size(file.bytes)})", look, width, paint.dim)
    return lines
