"""What there is to tell of the chosen row of the consistency screen, as lines for a panel. None of these functions knows a widget."""

from __future__ import annotations

from appliance.clock import iso
from appliance.observe.consistency import DayRow, FindingRow, StreamRow
from tui import figures
from tui.look import Line, Look
from tui.widgets.consistency import finding_state
from tui.widgets.labelled import Labelled

_fact = Labelled(cells=11, lines_max=4).fact


def facts(row: FindingRow | StreamRow | DayRow | None, look: Look, width: int) -> list[Line]:
    """The lines for one row of any of the tables; the weightiest first."""
    match row:
        case FindingRow():
            return _finding(row, look, width)
        case StreamRow():
            return _stream(row, look, width)
        case DayRow():
            told = f"{row.found} found: {row.repaired} repaired, {row.gone} gone by themselves, {row.unmendable} that can't be mended"
            return [((look.safe(row.day), look.paint.bold),), *_fact("", told, look, width)]
        case None:
            return []


def _finding(row: FindingRow, look: Look, width: int) -> list[Line]:
    lines: list[Line] = [
        (finding_state(row, look), (f"  {look.safe(row.kind)}", look.paint.bold), (f"  {look.safe(row.where)}", look.paint.dim))
    ]
    lines += _fact("", row.what, look, width)
    lines += _fact("did", row.did, look, width)
    mending = row.repair if row.repair is not None else "nothing that is left proves what it should be"
    lines += _fact("repair", mending if row.state in ("open", "unmendable") else "", look, width, look.paint.warn)
    if row.state == "open" and row.repair is not None:
        lines += _fact("to mend", "appliance reconcile --repair", look, width)
    lines += _fact("stream", row.stream or "", look, width)
    lines += _fact(
        "records", "" if row.first is None else f"{row.first:,} to {row.last if row.last is not None else row.first:,}", look, width
    )
    lines += _fact("time", _times(row), look, width)
    return lines + _fact(
        "found", f"{_moment(row.found_us, look)}, {row.state} since {_moment(row.changed_us, look)}", look, width, look.paint.dim
    )


def _times(row: FindingRow) -> str:
    if row.since_us is None and row.until_us is None:
        return ""
    return f"{'' if row.since_us is None else iso(row.since_us)} to {'' if row.until_us is None else iso(row.until_us)}"


def _stream(row: StreamRow, look: Look, width: int) -> list[Line]:
    lines: list[Line] = [((look.safe(row.name), look.paint.bold),)]
    books = {
        "agree": "what was counted at the door is what lies in hot and cold",
        "differ": "what was counted at the door is not what lies in hot and cold",
    }.get(row.books, "records from before counts were kept: the next full pass takes them up")
    lines += _fact("books", books, look, width, look.paint.crit if row.books == "differ" else None)
    lines += _fact("looked at", f"{row.segments - row.segments_due} of {row.segments} segments within a week", look, width)
    lines += _fact("dirty days", str(row.dirty_days) if row.dirty_days else "", look, width)
    return lines + _fact("open", str(row.open) if row.open else "", look, width, look.paint.crit)


def _moment(us: int, look: Look) -> str:
    return figures.moment(us, now_us=look.now_us)
