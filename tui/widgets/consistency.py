"""The tables of the consistency screen, and the lines that say how the last passes went."""

from __future__ import annotations

from appliance.clock import US_PER_S
from appliance.observe.consistency import ConsistencyPicture, DayRow, FindingRow, PassRow, StreamRow
from tui import figures
from tui.look import Line, Look, Span
from tui.widgets.table import TableColumn

_STATES = {"open": "CRIT", "unmendable": "CRIT", "repaired": "OK", "gone": "OK"}
_KINDS = {"hot": "hot side", "newest": "newest hour", "all": "asked for", "full": "whole lake"}
DAYS_SHOWN = 30


def finding_state(row: FindingRow, look: Look) -> Span:
    """Glyph and word."""
    grave = _STATES.get(row.state, "WARN")
    return f"{look.symbols.state(grave)} {look.safe(row.state)}", look.paint.state(grave)


def pass_lines(picture: ConsistencyPicture, look: Look, width: int) -> list[Line]:
    """What was looked at last, the dirty buckets, and how much was found on each of the last days."""
    lines = [_pass(p, look) for p in picture.passes] or [(("nothing has been looked at yet", look.paint.dim),)]
    dirty = ", ".join(f"{look.safe(v.name)} {figures.count(v.dirty_buckets)}" for v in picture.dirty_views)
    days = sum(s.dirty_days for s in picture.streams)
    repeats = f"{days} day{'s' * (days != 1)} with repeats in them"
    told = f"buckets of {dirty}; {repeats}" if dirty else repeats if days else "nothing"
    lines.append((("dirty        ", look.paint.dim), (told, look.paint.warn if dirty else look.paint.dim)))
    return [*lines, _history(picture, look, width)]


def _pass(row: PassRow, look: Look) -> Line:
    word = "CRIT" if row.state == "failed" else "WARN" if row.found else "" if row.state == "running" else "OK"
    when = figures.age(look.now_us - row.started_us - round(row.took_s * US_PER_S))
    done = "" if row.progress is None else f", {figures.share(row.progress)}"
    ago = when if when == "now" else f"{when} ago"
    state = {"running": f"running{done}", "failed": row.error}.get(row.state, ago)
    took = figures.millis(row.took_s * 1e3) if row.took_s < 10 else figures.span(round(row.took_s * US_PER_S))
    next_ = "" if row.next_us is None else f", next in {figures.span(max(0, row.next_us - look.now_us))}"
    seen = f"{figures.count(row.records)} records in {took}, {figures.rate(row.rate)}/s, {row.found} found{next_}"
    return (
        (look.fit(_KINDS.get(row.kind, look.safe(row.kind)), 12) + " ", look.paint.dim),
        (f"{look.symbols.state(word)} ", look.paint.state(word) if word else look.paint.accent),
        (look.fit(look.safe(state), 14) + " ", look.paint.text),
        (seen, look.paint.warn if row.found else look.paint.dim),
    )


def _history(picture: ConsistencyPicture, look: Look, width: int) -> Line:
    """A bar a day: what was found, the newest at the right."""
    found = {row.day: row.found for row in picture.history}
    newest = picture.at_us // US_PER_S // 86_400
    days = [figures.utc_day((newest - back) * 86_400 * US_PER_S) for back in range(min(DAYS_SHOWN, max(1, width - 40)))][::-1]
    most = max((found.get(day, 0) for day in days), default=0)
    levels = look.symbols.levels
    bars = "".join(
        look.symbols.dot if not found.get(day) else levels[min(len(levels) - 1, found[day] * len(levels) // (most + 1))] for day in days
    )
    told = f"  {sum(found.values())} in {len(days)} days, {most} on the worst" if most else f"  nothing in {len(days)} days"
    return (("divergence   ", look.paint.dim), (bars, look.paint.warn if most else look.paint.faint), (told, look.paint.dim))


def _what(row: FindingRow, _width: int, look: Look) -> Span:
    return look.safe(f"{row.what}: {row.did}" if row.did else row.what), look.paint.text


def _found(row: FindingRow, _width: int, look: Look) -> Span:
    return figures.age(look.now_us - row.found_us), look.paint.dim


def _of(row: FindingRow, _width: int, look: Look) -> Span:
    return look.safe(row.stream or ""), look.paint.dim


FINDING_COLUMNS: tuple[TableColumn[FindingRow], ...] = (
    TableColumn("found", "found", 6, _found, lambda r: -r.found_us),
    TableColumn("state", "state", 12, lambda r, _w, look: finding_state(r, look), lambda r: r.state, right=False),
    TableColumn("kind", "kind", 14, lambda r, _w, look: (look.safe(r.kind), look.paint.text), lambda r: r.kind, right=False, grow=10),
    TableColumn("stream", "stream", 10, _of, lambda r: r.stream or "", right=False, grow=10, drop=2),
    TableColumn("what", "what", 20, _what, lambda r: r.what, right=False, grow=100, drop=1),
)  # fmt: skip


def _agrees(value: bool | None, look: Look) -> Span:
    word = "" if value is None else "OK" if value else "CRIT"
    return f"{look.symbols.state(word)} {'not yet' if value is None else 'yes' if value else 'no'}", (
        look.paint.state(word) if word else look.paint.dim
    )


def _books(row: StreamRow, _width: int, look: Look) -> Span:
    word = {"agree": "OK", "differ": "CRIT"}.get(row.books, "")
    return f"{look.symbols.state(word)} {look.safe(row.books)}", look.paint.state(word) if word else look.paint.dim


def _looked(row: StreamRow, _width: int, look: Look) -> Span:
    told = "-" if row.oldest_look_us is None else figures.age(look.now_us - row.oldest_look_us)
    return told, look.paint.warn if row.segments_due else look.paint.dim


def _due(row: StreamRow, _width: int, look: Look) -> Span:
    return f"{row.segments - row.segments_due} of {row.segments}", look.paint.warn if row.segments_due else look.paint.dim


def _stream(row: StreamRow, _width: int, look: Look) -> Span:
    return look.safe(row.name), look.paint.text


def _hot_rows(row: StreamRow, _width: int, look: Look) -> Span:
    return figures.count(row.hot_rows), look.paint.hot


def _cold_rows(row: StreamRow, _width: int, look: Look) -> Span:
    return figures.count(row.cold_rows), look.paint.cold


STREAM_COLUMNS: tuple[TableColumn[StreamRow], ...] = (
    TableColumn("name", "stream", 14, _stream, lambda r: r.name.casefold(), right=False, grow=14),
    TableColumn("hot", "hot", 9, lambda r, _w, look: _agrees(r.hot_ok, look), lambda r: r.hot_ok is not False, right=False),
    TableColumn("cold", "cold", 9, lambda r, _w, look: _agrees(r.cold_ok, look), lambda r: r.cold_ok is not False, right=False),
    TableColumn("books", "books", 9, _books, lambda r: r.books != "differ", right=False),
    TableColumn("hot_rows", "hot rows", 8, _hot_rows, lambda r: r.hot_rows, drop=3),
    TableColumn("cold_rows", "cold rows", 9, _cold_rows, lambda r: r.cold_rows, drop=4),
    TableColumn("due", "in a week", 10, _due, lambda r: -r.segments_due, drop=2),
    TableColumn("looked", "oldest look", 11, _looked, lambda r: r.oldest_look_us or 0, drop=1),
    TableColumn("open", "open", 5, lambda r, _w, look: (str(r.open), look.paint.crit if r.open else look.paint.faint), lambda r: -r.open),
)  # fmt: skip


def _counted(get: str, *, is_bad: bool = False) -> TableColumn[DayRow]:
    def cell(row: DayRow, _width: int, look: Look) -> Span:
        count = getattr(row, get)
        return figures.count(count), look.paint.faint if not count else look.paint.crit if is_bad else look.paint.text

    return TableColumn(get, get, 10, cell, lambda row: -getattr(row, get))


def _day(row: DayRow, _width: int, look: Look) -> Span:
    return look.safe(row.day), look.paint.text


DAY_COLUMNS: tuple[TableColumn[DayRow], ...] = (
    TableColumn("day", "day", 10, _day, lambda r: tuple(-ord(c) for c in r.day), right=False),
    _counted("found"),
    _counted("repaired"),
    _counted("gone"),
    _counted("unmendable", is_bad=True),
)  # fmt: skip
