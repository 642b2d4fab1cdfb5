"""The figures of one stream, in as many columns as fit."""

from __future__ import annotations

from appliance.observe.status import StreamStatus
from tui import figures
from tui.look import Line, Look, Span, join
from tui.widgets.lines import LinesWidget

_EACH = 26
_LINES_MAX, _LINES_LOW, _TALL = 6, 2, 34
"""Lines it may take, those in a low terminal, and from how many rows on a terminal is tall."""


class Facts(LinesWidget):
    """Everything that the status tells of a stream; its height follows the width."""

    def show_facts(self, stream: StreamStatus | None, look: Look) -> None:
        """Draws them; None says that there is no such stream."""
        lines = _lines(stream, look, self.size.width)[: _LINES_MAX if self.app.size.height >= _TALL else _LINES_LOW]
        if len(lines) != len(self.lines):
            self.styles.height = len(lines)
        self.show_lines(lines)


def _lines(stream: StreamStatus | None, look: Look, width: int) -> list[Line]:
    if stream is None:
        return [((" there is no such stream any more", look.paint.warn),)]
    paint, now = look.paint, look.now_us
    last = figures.moment(stream.last_ts_us, now_us=now)
    age = figures.age(None if stream.last_ts_us is None else now - stream.last_ts_us)
    arrival = figures.age(None if stream.last_arrival_us is None else now - stream.last_arrival_us)
    facts: list[tuple[str, Span]] = [
        ("records", (figures.count(stream.records), paint.text)),
        ("last", (f"{last} ({age})", paint.text)),
        ("hot", (f"{figures.count(stream.hot_rows)} rows", paint.hot)),
        ("cold", (f"{figures.count(stream.cold_rows)} rows", paint.cold)),
        ("arrived", (f"{arrival}{'' if arrival in ('now', '-') else ' ago'}", paint.text)),
        ("mark", (f"{figures.count(stream.mark)} of {figures.count(stream.last_seq)}", paint.text)),
        ("ring", (figures.size(stream.bytes_ring), paint.hot)),
        ("lake", (f"{figures.size(stream.bytes_cold)} in {figures.count(stream.segments)}", paint.cold)),
        ("series", (figures.count(stream.series), paint.text)),
        ("columns", (figures.count(stream.columns), paint.text)),
        ("dirty", (f"{stream.dirty_days} days", paint.warn if stream.dirty_days else paint.dim)),
    ]
    columns = max(2, min(6, width // _EACH))
    each = (width - 1) // columns
    cells = [((look.fit(name, 8), paint.dim), (look.fit(told, each - 9), style)) for name, (told, style) in facts]
    return [((" ", paint.dim), *join(list(cells[at : at + columns]), (" ", paint.dim))) for at in range(0, len(cells), columns)]
