"""A label and what it says beside it, as lines for a panel of facts. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from tui.look import Line, Look
from tui.widgets.panels import wrapped


@dataclass(frozen=True, slots=True)
class Labelled:
    """How the facts of one panel stand: a column of labels, what they say beside it."""

    cells: int
    """Of a label; a blank follows it."""
    lines_max: int
    """Of one fact; what does not fit is cut by the panel."""

    def fact(self, label: str, told: str, look: Look, width: int, style: Style | None = None) -> list[Line]:
        """``told``, which may be foreign text, on as many lines as it needs; no line where it is empty.

        Without a label it has the whole width; a blank label keeps the column free.
        """
        words = look.safe(told)
        if not words:
            return []
        lines = wrapped(words, width - (self.cells + 1 if label else 0), style or look.paint.text, lines_max=self.lines_max)
        if not label:
            return lines
        named = look.safe(label.strip())
        return [((look.fit(named if at == 0 else "", self.cells) + " ", look.paint.dim), *line) for at, line in enumerate(lines)]
