"""How things are drawn at this moment: styles, symbols and the time that ages are counted to."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from tui import figures
from tui.safe import ascii_only, cells, fit, safe
from tui.symbols import Symbols
from tui.theme import Paint

Span = tuple[str, Style]
"""A piece of a line: text that is safe to print, and its style."""
Line = tuple[Span, ...]
EMPTY: Line = ()


@dataclass(frozen=True, slots=True)
class Look:
    """Handed to everything that draws; a new one per refresh."""

    paint: Paint
    symbols: Symbols
    now_us: int
    """Wall clock, for ages; that of the freeze while the view is frozen."""
    as_of_us: int
    """When the data was true."""
    stale: bool = False
    """The data is older than it should be: nobody answers."""

    def safe(self, text: str) -> str:
        """Text from outside, made harmless for this terminal."""
        return ascii_only(text) if self.symbols.ascii else safe(text)

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Text of this program in exactly ``width`` cells."""
        return fit(text, width, right=right, ellipsis=self.symbols.ellipsis)

    def foreign(self, text: str, width: int, *, right: bool = False) -> str:
        """Text from outside, made harmless, in exactly ``width`` cells."""
        return fit(self.safe(text), width, right=right, ellipsis=self.symbols.ellipsis)

    @property
    def old(self) -> str | None:
        """How old the data is, in words, once it is older than it should be; None while it is fresh."""
        return f"{figures.age(self.now_us - self.as_of_us)} old" if self.stale else None

    def state(self, word: str) -> Span:
        """Glyph and word of ``OK``, ``WARN`` or ``CRIT``: never colour alone."""
        return f"{self.symbols.state(word)} {word}", self.paint.state(word)

    def gauge(self, part: float, width: int, style: Style) -> tuple[Span, Span]:
        """A bar that is full to ``part`` of one; what is not zero shows at least one cell."""
        filled = max(0, min(width, round(part * width)))
        if part > 0:
            filled = max(1, filled)
        return (self.symbols.full * filled, style), (self.symbols.rest * (width - filled), self.paint.faint)

    def spread(self, left: Line, right: Line, width: int) -> Line:
        """``left`` and ``right`` at the two edges of a line; ``right`` gives way where there is no room."""
        room = width - line_cells(left) - line_cells(right)
        if room < 1:
            return cut(left, width, self.symbols.ellipsis)
        return (*left, (" " * room, self.paint.text), *right)


def line_cells(line: Line) -> int:
    """The cells that a line takes."""
    return sum(cells(text) for text, _ in line)


def cut(line: Line, width: int, ellipsis: str) -> Line:
    """The line, cut to at most ``width`` cells."""
    out: list[Span] = []
    room = width
    for text, style in line:
        taken = cells(text)
        if taken > room:
            if room > 0:
                out.append((fit(text, room, ellipsis=ellipsis), style))
            return tuple(out)
        out.append((text, style))
        room -= taken
    return tuple(out)


def join(parts: list[Line], between: Span) -> Line:
    """Lines in one, with ``between`` between them; empty ones are left out."""
    out: list[Span] = []
    for part in parts:
        if part:
            if out:
                out.append(between)
            out.extend(part)
    return tuple(out)
