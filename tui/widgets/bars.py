"""The lines around a screen: the title bar, the screens, the banner for what is out of the ordinary, and the keys."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.observe.status import Status
from tui import figures
from tui.look import Line, Look, Span, cut, join, line_cells
from tui.snapshot import Snapshot
from tui.widgets.lines import LinesWidget

US_PER_S = 1_000_000
_HEALTH_AND_FIRING = 3
"""Parts of the title with the node's name, its health, and how many alerts fire."""
_STATE_WORDS = {"running": "OK", "starting": "WARN", "stopping": "WARN"}


class TitleBar(LinesWidget):
    """Node, health, state; at the right the time, the age of the data and the refresh rate."""

    def show_title(self, snapshot: Snapshot, look: Look, *, rate: str, subject: str = "") -> None:
        """Draws the state of the box; ``subject`` is what the screen is about, when it is not the whole box."""
        paint, dot = look.paint, (f" {look.symbols.dot} ", look.paint.faint)
        status = snapshot.status
        right: Line = (
            (f"{figures.clock_time(look.now_us // US_PER_S)} {figures.zone(look.now_us)}", paint.text),
            dot,
            *_data_age(snapshot, look),
            dot,
            (f"{rate} ", paint.dim),
        )
        left: list[Line] = [_who(status, look)]
        if snapshot.lost is not None:
            left.append(((f"{look.symbols.state('CRIT')} NO ANSWER", paint.crit),))
        elif status is not None:
            left.append((look.state(look.safe(status.health)),))
            if status.alerts_firing:
                left.append(((f"{look.symbols.state('CRIT')} {figures.count(status.alerts_firing)} firing", paint.crit),))
        if subject:
            left.append(((look.safe(subject), paint.accent),))
        if snapshot.lost is None and status is not None:
            left.append(((look.safe(status.state), paint.state(_STATE_WORDS.get(status.state, ""))),))
        room = max(8, self.size.width - line_cells(right) - 1)
        gap = ("  ", paint.dim)
        while len(left) > 1 and line_cells(join(left, gap)) > room:
            left.pop(1 if len(left) == _HEALTH_AND_FIRING else -1)  # what fires outlasts the health
        told = cut(join(left, gap), room, look.symbols.ellipsis)
        self.show_lines([look.spread(told, right, self.size.width)])


class ScreenBar(LinesWidget):
    """The screens and their keys, and what is looked at."""

    def show_screens(self, entries: Sequence[tuple[str, str]], chosen: str, where: str, look: Look) -> None:
        """``entries`` are key and title; ``chosen`` is the title of the present one."""
        paint = look.paint
        parts: list[Line] = []
        for key, title in entries:
            style = paint.title if title == chosen else paint.dim
            mark = look.symbols.cursor if title == chosen else " "
            parts.append(((f"{mark}", paint.accent), (f"{key} ", paint.key), (title, style)))
        right: Line = ((f"{look.safe(where)} ", paint.faint),)
        self.show_lines([look.spread(join(parts, ("  ", paint.dim)), right, self.size.width)])


class Banner(LinesWidget):
    """One loud line while the view is frozen or nobody answers; not there otherwise."""

    def show_banner(self, text: str | None, look: Look) -> None:
        """Shows ``text``, which must be safe, or hides the line."""
        if text is None:
            if self.display:
                self.display = False
            return
        if not self.display:
            self.display = True
        self.show_lines([((look.fit(f" {text}", self.size.width or 200), look.paint.alarm),)])

    def on_resize(self) -> None:
        """A new width comes with the next refresh; until then the line is drawn as it is."""
        self.refresh()


class KeyBar(LinesWidget):
    """The keys of this screen, as many as fit, the most wanted first."""

    def show_keys(self, entries: Sequence[tuple[str, str]], look: Look) -> None:
        """``entries`` are keys and title."""
        room = self.size.width - 1
        out: list[Span] = [(" ", look.paint.dim)]
        for keys, title in entries:
            shown = look.symbols.keys(keys)
            taken = len(shown) + len(title) + 3
            if taken > room:
                break
            room -= taken
            out += [(shown, look.paint.key), (f" {title}  ", look.paint.dim)]
        self.show_lines([tuple(out)])


def view_line(views: Sequence[tuple[str, str]], chosen: str, note: Span | None, look: Look, width: int) -> Line:
    """The views of a screen by name and count, the chosen one marked; ``note`` stands at the right."""
    paint, sides = look.paint, look.symbols.sides
    parts: list[Line] = []
    for name, count in views:
        is_chosen = name == chosen
        words: list[Span] = [(f"{sides[0]} " if is_chosen else "", paint.accent), (name, paint.title if is_chosen else paint.dim)]
        if count:
            words.append((f" {count}", paint.accent if is_chosen else paint.dim))
        parts.append((*words, (f" {sides[1]}" if is_chosen else "", paint.accent)))
    left: Line = ((" ", paint.dim), *join(parts, ("   ", paint.dim)))
    if note is None:
        return left
    room = width - line_cells(left) - 3
    return look.spread(left, ((look.fit(note[0], min(room, len(note[0]))) + " ", note[1]),), width) if room > 8 else left


def _who(status: Status | None, look: Look) -> Line:
    name = look.safe(status.node) if status is not None and status.node else "appliance"
    return ((f" {name}", look.paint.title),)


def _data_age(snapshot: Snapshot, look: Look) -> Line:
    age = snapshot.age_us(look.now_us)
    if age is None:
        return (("no data yet", look.paint.dim),)
    style = look.paint.warn if look.stale else look.paint.dim
    return ((f"data {figures.span(age)} old", style),)
