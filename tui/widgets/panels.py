"""The panels of the first screen as lines: what the status says, with units, glyphs and words.

Each function takes the status and a width and returns lines; none of them knows a widget.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from appliance.observe.health import health_of
from appliance.observe.status import SourceStatus, Status, StreamStatus
from tui import figures
from tui.look import Line, Look, Span, cut, join
from tui.widgets.lines import LinesWidget

FRAME = 2
"""Lines of a border."""
_LABEL = 8
_FIGURES = 18
"""Cells after a gauge."""
_SOURCE_WORDS = {"ok": "OK", "waiting": "", "paused": "WARN", "failed": "CRIT"}


class Panel(LinesWidget, can_focus=True):
    """A framed part of a screen with a title; when its data is old it says how old."""

    def __init__(self, title: str, *, id: str, lines_min: int, counts: bool = False) -> None:
        super().__init__(id=id, classes="panel")
        self.title = title
        self.lines_min = lines_min
        """What it needs at least when the column is short of room; its lines come in the order of their weight."""
        self._counts = counts
        """Whether it says how many lines find no room."""
        self._height = 0

    def set_height(self, lines: int) -> None:
        """Makes room for that many lines; lays out only on a change."""
        if lines != self._height or not self.styles.inline.has_rule("height"):
            self._height = lines
            self.styles.height = lines + FRAME

    @property
    def inner_width(self) -> int:
        """Cells of a line; one cell is left free at each side by app.tcss."""
        return max(1, self.size.width)

    def show_panel(self, lines: list[Line], look: Look) -> None:
        """Draws the lines, each cut to the width; the last one says how many find no room."""
        room = self.size.height
        if self._counts and 0 < room < len(lines):
            lines = [*lines[: room - 1], ((f"+{len(lines) - room + 1} more: x shows them", look.paint.dim),)]
        width = self.inner_width
        self.set_title(self.title, look.old)
        self.show_lines([cut(line, width, look.symbols.ellipsis) for line in lines])


def allot(wanted: Sequence[int], least: Sequence[int], *, room: int, spare: int) -> list[int]:
    """Lines for each panel of a column with ``room`` lines: what it wants; short of room, the last ones give way first, down to their
    least. What is left over goes to the panel at place ``spare``."""
    out = list(wanted)
    missing = sum(out) - room
    for at in range(len(out) - 1, -1, -1):
        given = max(0, min(missing, out[at] - least[at]))
        out[at] -= given
        missing -= given
    out[spare] += max(0, -missing)
    return out


def latency(status: Status, look: Look, width: int) -> list[Line]:
    """Received to acknowledged, over the last minute."""
    told = status.ingest
    if told.count == 0:
        return [_plain("nothing was sent in the last minute", look)]
    spans = [(name, figures.millis(value)) for name, value in (("p50", told.p50_ms), ("p99", told.p99_ms), ("max", told.max_ms))]
    return [
        _figures_line(spans, look, width),
        _plain(f"{figures.count(told.count)} submissions in the last minute", look),
    ]


def hot(status: Status, look: Look, width: int) -> list[Line]:
    """The ring, the queue before the writer and the store."""
    store, paint = status.store, look.paint
    commits = [figures.count(store.commits), f"p99 {figures.millis(store.commit_ms_p99)}", look.safe(store.durability)]
    return [
        _filled("ring", store.ring_bytes, store.ring_bytes_max, look, width),
        _filled("queue", store.queue_bytes, store.queue_bytes_max, look, width),
        _labelled("store", [(f"{figures.size(store.sqlite_bytes)} + {figures.size(store.wal_bytes)} wal", paint.text)], look),
        _labelled("commit", _dotted(commits, look), look),
        _labelled("rows", [(f"{figures.count(store.ring_rows)} in the ring", paint.text)], look),
    ]


def cold(status: Status, look: Look, width: int, chosen: StreamStatus | None) -> list[Line]:
    """The lake, the mark of the chosen stream, and what the roller and the compaction are at."""
    lake, paint = status.lake, look.paint
    lines: list[Line] = []
    if lake.lost_segments:
        lines.append((look.state("CRIT"), (f" {lake.lost_segments} segments set aside as damaged", paint.text)))
    lines += [
        _disk(status, look, width),
        _labelled("lake", [(f"{figures.size(lake.bytes)} in {figures.count(lake.segments)} segments", paint.text)], look),
    ]
    if chosen is not None:
        told = f"{figures.count(chosen.mark)} of {figures.count(chosen.last_seq)} "
        lines.append(_labelled("mark", [(told, paint.text), (f"in {look.safe(chosen.name)}", paint.dim)], look))
    lines.append(_labelled("roll", _roll(status, look), look))
    if lake.compacting is not None:
        lines.append(_labelled("compact", [(look.safe(lake.compacting), paint.text)], look))
    if lake.bytes_per_day:
        lines.append(_labelled("full", _ahead(status, look), look))
    lines.append(_labelled("rows", [(f"{figures.count(lake.rows)} in the lake", paint.text)], look))
    return lines


def sources(status: Status, look: Look, _width: int) -> list[Line]:
    """One line a source, those in trouble first: state, name, records, and what it refused or lost."""
    if not status.sources:
        return [_plain("no service runs" if status.state == "offline" else "no source is configured", look)]
    name_cells = max(6, min(16, max(len(s.name) for s in status.sources)))
    order = [*reversed(_SOURCE_WORDS)]
    gravest = sorted(status.sources, key=lambda s: order.index(s.state) if s.state in order else 0)
    return [_source(source, look, name_cells) for source in gravest]


def refused(status: Status, look: Look, width: int) -> list[Line]:
    """The dead letters."""
    paint = look.paint
    if status.dead_letters == 0:
        return [(look.state("OK"), (" nothing was refused", paint.dim))]
    new = status.dead_letters_new
    word = look.state("WARN") if new else look.state("OK")
    lately = (f" {look.symbols.dot} {figures.count(new)} new in 1 h", paint.text if new else paint.dim)
    lines: list[Line] = [(word, (f" {figures.count(status.dead_letters)} kept", paint.text), lately)]
    if status.last_dead_letter is not None:
        lines += wrapped(look.safe(status.last_dead_letter), width, paint.dim, lines_max=2)
    return lines


def problems(status: Status, look: Look, width: int) -> list[Line]:
    """What is degraded, the gravest first, each with what to do."""
    paint = look.paint
    if not status.problems:
        return [(look.state("OK"), (" nothing is degraded", paint.dim))]
    lines: list[Line] = []
    for problem in health_of(status).reasons:
        since = figures.span(max(0, look.now_us - problem.since_us))
        state = look.state(look.safe(problem.level))
        told = wrapped(look.safe(problem.what) or "?", width - len(state[0]) - 1, paint.text, lines_max=3)
        lines.append((state, (" ", paint.text), *told[0]))
        lines += [((" " * (len(state[0]) + 1), paint.text), *line) for line in told[1:]]
        hint = f"for {since}: {look.safe(problem.hint)}" if problem.hint else f"for {since}"
        lines += wrapped(hint, width, paint.dim, lines_max=2, indent=" " * (len(state[0]) + 1))
    return lines


def box(status: Status, look: Look, width: int) -> list[Line]:
    """The process itself."""
    paint = look.paint
    uptime = figures.span(max(0, look.now_us - status.started_us))
    running = f"{status.queries_running} {'query' if status.queries_running == 1 else 'queries'}"
    return [
        _gauge("cpu", status.cpu_share, f"{figures.share(status.cpu_share)} of a core", look, width, paint.accent),
        _labelled("memory", _dotted([figures.size(status.memory_bytes), f"up {uptime}", running], look), look),
    ]


def digest(status: Status, look: Look, width: int) -> list[Line]:
    """Everything above in as many columns as fit, for a terminal too small for panels."""
    columns = max(1, width // 39)
    each = (width - 3 * (columns - 1)) // columns
    items = _digest_items(status, look, each)
    lines = []
    for at in range(0, len(items), columns):
        parts = [_padded(cut(item, each, look.symbols.ellipsis), each, look) for item in items[at : at + columns]]
        lines.append(join(parts, ("   ", look.paint.dim)))
    return lines + [cut(line, width, look.symbols.ellipsis) for line in problems(status, look, width)[:1] if status.problems]


def _digest_items(status: Status, look: Look, width: int) -> list[Line]:
    store, lake, told, paint = status.store, status.lake, status.ingest, look.paint
    sound, all_of_them = sum(s.state == "ok" for s in status.sources), len(status.sources)
    spans = [f"p50 {_bare_ms(told.p50_ms)}", f"p99 {_bare_ms(told.p99_ms)}", f"max {figures.millis(told.max_ms)}"]
    refusals = [f"{figures.count(status.dead_letters)} kept", f"{figures.count(status.dead_letters_new)} new"]
    return [
        _filled("ring", store.ring_bytes, store.ring_bytes_max, look, width),
        _disk(status, look, width),
        _labelled("store", [(f"{figures.size(store.sqlite_bytes)} + {figures.size(store.wal_bytes)} wal", paint.text)], look),
        _labelled("lake", [(f"{figures.size(lake.bytes)} in {figures.count(lake.segments)} segments", paint.text)], look),
        _labelled("queue", _dotted([figures.size(store.queue_bytes), look.safe(store.durability)], look), look),
        _labelled("roll", _roll(status, look), look),
        _labelled("ack", _dotted(spans, look), look),
        _labelled("cpu", _dotted([figures.share(status.cpu_share), f"{figures.size(status.memory_bytes)} memory"], look), look),
        _labelled("sources", [(f"{sound} of {all_of_them} ok", paint.text if sound == all_of_them else paint.warn)], look),
        _labelled("refused", _dotted(refusals, look), look),
    ]


def wrapped(text: str, width: int, style: Style, *, lines_max: int, indent: str = "") -> list[Line]:
    """``text``, already safe, on at most ``lines_max`` lines, broken at blanks where there are any."""
    out: list[Line] = []
    rest, room = text.strip(), max(1, width - len(indent))
    while rest and len(out) < lines_max:
        if len(rest) <= room or len(out) == lines_max - 1:
            out.append(((indent + rest, style),))
            break
        at = rest.rfind(" ", 0, room + 1)
        at = room if at <= 0 else at
        out.append(((indent + rest[:at], style),))
        rest = rest[at:].lstrip()
    return out


def _source(source: SourceStatus, look: Look, name_cells: int) -> Line:
    paint = look.paint
    word = _SOURCE_WORDS.get(source.state, "")
    style = paint.state(word)
    parts: list[Span] = [
        (f"{look.symbols.state(word)} ", style),
        (look.foreign(source.name, name_cells) + " ", paint.text),
        (look.foreign(source.state, 7) + " ", style),
        (look.fit(figures.count(source.records), 5, right=True), paint.text),
    ]
    if source.rejected:
        parts.append((f" {figures.count(source.rejected)} refused", paint.warn))
    if source.dropped:
        parts.append((f" {figures.count(source.dropped)} dropped", paint.warn))
    if source.detail:
        parts.append((f"  {look.safe(source.detail)}", paint.dim))
    return tuple(parts)


def _roll(status: Status, look: Look) -> list[Span]:
    lake, paint = status.lake, look.paint
    if lake.rolling:
        return [("under way", paint.accent)]
    last = "none yet" if lake.last_roll_us is None else f"{figures.age(look.now_us - lake.last_roll_us)} ago"
    if lake.next_roll_us is None:
        return [(last, paint.text)]
    return _dotted([last, f"next in {figures.span(max(0, lake.next_roll_us - look.now_us))}"], look)


def _ahead(status: Status, look: Look) -> list[Span]:
    """On which day the disk is full, or the oldest days go; what a day adds, and which stream most of it."""
    lake = status.lake
    at_us = lake.trim_us if lake.full_us is None else lake.full_us
    if at_us is None:
        day = "not in 10 years"
    else:
        day = "today" if at_us <= look.now_us else figures.utc_day(at_us)
        day = day if lake.full_us is not None else f"oldest go {day}"
    eater = "" if lake.eater is None else look.safe(lake.eater)
    return _dotted([day, f"{figures.size(lake.bytes_per_day)}/d", eater], look)


def _gauge(label: str, part: float, told: str, look: Look, width: int, style: Style) -> Line:
    """Label, bar and figures; nearly full is told by a word and a colour."""
    room = max(4, width - _LABEL - _FIGURES)
    if part >= 0.9:
        style = look.paint.crit if part >= 0.97 else look.paint.warn
    bar = look.gauge(part, room, style)
    return ((look.fit(label, _LABEL), look.paint.dim), *bar, (" " + look.fit(told, _FIGURES - 1), look.paint.text))


def _filled(label: str, amount: int, limit: int, look: Look, width: int) -> Line:
    """A gauge of hot memory."""
    return _gauge(label, amount / limit if limit > 0 else 0.0, _of(amount, limit), look, width, look.paint.hot)


def _disk(status: Status, look: Look, width: int) -> Line:
    free, total = status.lake.disk_free_bytes, status.lake.disk_total_bytes
    return _gauge("disk", (total - free) / total if total > 0 else 0.0, f"{figures.size(free)} free", look, width, look.paint.cold)


def _labelled(label: str, spans: list[Span], look: Look) -> Line:
    return ((look.fit(label, _LABEL), look.paint.dim), *spans)


def _dotted(words: list[str], look: Look) -> list[Span]:
    return list(join([((word, look.paint.text),) for word in words if word], (f" {look.symbols.dot} ", look.paint.faint)))


def _figures_line(pairs: list[tuple[str, str]], look: Look, width: int) -> Line:
    each = width // len(pairs)
    out: list[Span] = []
    for name, told in pairs:
        out += [(f"{name} ", look.paint.dim), (look.fit(told, each - len(name) - 1), look.paint.bold)]
    return tuple(out)


def _plain(text: str, look: Look) -> Line:
    return ((text, look.paint.dim),)


def _padded(line: Line, width: int, look: Look) -> Line:
    taken = sum(len(text) for text, _ in line)
    return (*line, (" " * max(0, width - taken), look.paint.text))


def _of(amount: int, limit: int) -> str:
    """``23.1 of 64.0 MiB``: the unit once when both have it."""
    if limit <= 0:
        return figures.size(None)
    told, bound = figures.size(amount), figures.size(limit)
    value, _, unit = told.partition(" ")
    return f"{value} of {bound}" if bound.endswith(f" {unit}") else f"{told} of {bound}".replace(" of ", "/")


def _bare_ms(value: float | None) -> str:
    return figures.millis(value).removesuffix(" ms") if value is not None and value < 9950 else figures.millis(value)
