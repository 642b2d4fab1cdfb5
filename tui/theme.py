"""Colours, in three themes, and the styles that the widgets draw with.

Warm is hot and blue is cold, as in the rest of the product; green, yellow and red are kept for states, which always carry a glyph and
a word as well. Under NO_COLOR the terminal's own colours are used, and bold, dim and reverse carry what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.color import Color
from rich.style import Style
from textual.theme import Theme

RAMP_STEPS = 8


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme, as hex."""

    name: str
    dark: bool
    ground: str
    raised: str
    line: str
    text: str
    dim: str
    faint: str
    accent: str
    deep: str
    """The foot of a chart, where ``accent`` is its top."""
    hot: str
    cold: str
    ok: str
    warn: str
    crit: str
    chosen: str
    """Behind the chosen row."""


PALETTES: dict[str, Palette] = {
    p.name: p
    for p in (
        Palette(
            name="dark", dark=True, ground="#0d1117", raised="#151b24", line="#2b3542", text="#d6dde6", dim="#8b98a9", faint="#4c5868",
            accent="#5ad4c4", deep="#1f6f78", hot="#f7b267", cold="#79b8ff", ok="#7ddc8c", warn="#f2cf66", crit="#ff7b72", chosen="#1d3142",
        ),
        Palette(
            name="light", dark=False, ground="#fbfaf7", raised="#f0eee8", line="#cfcbc1", text="#24292f", dim="#5d6570", faint="#a7a9a8",
            accent="#0b7a75", deep="#7cc4bd", hot="#b35900", cold="#0b5cad", ok="#1a7f37", warn="#8a6100", crit="#c3222d", chosen="#d9ecea",
        ),
        Palette(
            name="contrast", dark=True, ground="#000000", raised="#1a1a1a", line="#9a9a9a", text="#ffffff", dim="#d0d0d0", faint="#9a9a9a",
            accent="#00ffff", deep="#00a0c0", hot="#ffb000", cold="#9ecbff", ok="#5cff5c", warn="#ffff00", crit="#ff8080", chosen="#004060",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Paint:
    """Ready styles for segments; without a background, which the widget brings."""

    text: Style
    bold: Style
    dim: Style
    faint: Style
    accent: Style
    hot: Style
    cold: Style
    ok: Style
    warn: Style
    crit: Style
    chosen: Style
    """For the chosen row: laid over the styles of its cells."""
    key: Style
    title: Style
    alarm: Style
    """A banner."""
    ramp: tuple[Style, ...]
    """From the foot of a chart to its top."""

    def state(self, word: str) -> Style:
        """The style of ``OK``, ``WARN`` or ``CRIT``."""
        return {"OK": self.ok, "WARN": self.warn, "CRIT": self.crit}.get(word, self.dim)


def paint_of(palette: Palette, *, colour: bool) -> Paint:
    """The styles of a palette; without colour only bold, dim and reverse are left."""
    if not colour:
        plain, bold, dim = Style.null(), Style(bold=True), Style(dim=True)
        return Paint(
            text=plain, bold=bold, dim=plain, faint=dim, accent=bold, hot=plain, cold=plain, ok=plain, warn=bold,
            crit=bold + Style(reverse=True),
            chosen=Style(reverse=True), key=bold, title=bold, alarm=Style(reverse=True), ramp=(plain,) * RAMP_STEPS,
        )  # fmt: skip
    ink = {name: Style(color=getattr(palette, name)) for name in ("text", "dim", "faint", "accent", "hot", "cold", "ok", "warn")}
    return Paint(
        **ink,
        bold=Style(color=palette.text, bold=True),
        crit=Style(color=palette.crit, bold=True),
        chosen=Style(bgcolor=palette.chosen),
        key=Style(color=palette.accent, bold=True),
        title=Style(color=palette.text, bold=True),
        alarm=Style(color=palette.ground, bgcolor=palette.warn, bold=True),
        ramp=tuple(Style(color=_blend(palette.deep, palette.accent, step / (RAMP_STEPS - 1))) for step in range(RAMP_STEPS)),
    )


def themes() -> list[Theme]:
    """The palettes as Textual's themes, for app.tcss and Textual's own widgets."""
    return [_theme(palette) for palette in PALETTES.values()]


def variables(palette: Palette) -> dict[str, str]:
    """What app.tcss calls by name."""
    names = ("ground", "raised", "line", "dim", "faint", "hot", "cold", "chosen", "crit", "warn")
    return {f"ui-{name}": getattr(palette, name) for name in names} | {
        "block-cursor-background": palette.chosen,
        "block-cursor-foreground": palette.text,
        "block-cursor-text-style": "none",
        "scrollbar": palette.line,
        "scrollbar-hover": palette.faint,
        "scrollbar-active": palette.accent,
        "scrollbar-background": palette.ground,
        "scrollbar-background-hover": palette.ground,
        "scrollbar-background-active": palette.ground,
        "scrollbar-corner-color": palette.ground,
        "footer-key-foreground": palette.accent,
    }


def _theme(palette: Palette) -> Theme:
    return Theme(
        name=palette.name,
        primary=palette.accent,
        secondary=palette.cold,
        accent=palette.accent,
        warning=palette.warn,
        error=palette.crit,
        success=palette.ok,
        foreground=palette.text,
        background=palette.ground,
        surface=palette.ground,
        panel=palette.raised,
        dark=palette.dark,
        variables=variables(palette),
    )


def _blend(low: str, high: str, part: float) -> str:
    a, b = Color.parse(low).get_truecolor(), Color.parse(high).get_truecolor()
    return "#" + "".join(f"{round(x + (y - x) * part):02x}" for x, y in zip(a, b, strict=True))
