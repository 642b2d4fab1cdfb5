"""Draws the UI as an SVG: ``python -m tests.tui.picture OUT.svg [--size 120x40] [KEY…]``.

Textual's own screenshot leaves braille and block characters to the viewer's fonts, where they don't meet; here each cell has its place
and these characters are drawn as what they are. The box is simulated and its clock stands still, so the same call gives the same file.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from html import escape
from pathlib import Path

from rich.cells import cell_len
from rich.style import Style

from appliance.observe.status import Problem
from tests.tui.fake import NOON_US, FakeClient, FakeClock, S
from tui.app import ApplianceApp
from tui.theme import PALETTES

WIDTH, HEIGHT, SIZE = 8.0, 17.0, 13.3
_EIGHTHS = "▁▂▃▄▅▆▇█"
_CORNERS = {"╭": (1, 1), "╮": (-1, 1), "╰": (1, -1), "╯": (-1, -1)}
TROUBLES = (
    Problem("WARN", "mqtt: the broker at mqtt://localhost:1883 is not reached", NOON_US - 190 * S, "check that it runs"),
    Problem("CRIT", "the disk is full in 3 h at this rate", NOON_US - 1200 * S, "lower [retention] disk_max, or free some space"),
)


def svg_of(app: ApplianceApp) -> str:
    """The screen in front of ``app`` as it is drawn now."""
    columns, rows = app.size
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * WIDTH + 24}" height="{rows * HEIGHT + 24}" '
        f"font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"{SIZE}\">",
        f'<rect width="100%" height="100%" rx="8" fill="{PALETTES[app.theme].ground}"/>',
    ]
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            taken = cell_len(text)
            out += _segment(text, style or Style.null(), x, y, taken)
            x += taken
    return "\n".join([*out, "</svg>"])


def _segment(text: str, style: Style, x: int, y: int, taken: int) -> list[str]:
    left, top = 12 + x * WIDTH, 12 + y * HEIGHT
    ink = style.color.get_truecolor().hex if style.color is not None and not style.color.is_default else "#d6dde6"
    ground = style.bgcolor.get_truecolor().hex if style.bgcolor is not None and not style.bgcolor.is_default else None
    if style.reverse:
        ink, ground = ground or "#0d1117", ink
    out = []
    if ground is not None:
        out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{taken * WIDTH + 0.3:.1f}" height="{HEIGHT + 0.3}" fill="{ground}"/>')
    weight = ' font-weight="bold"' if style.bold else ""
    for char in text:
        drawn = _drawn(char, left, top, ink)
        if drawn is None:
            drawn = f'<text x="{left:.1f}" y="{top + 13:.1f}" fill="{ink}"{weight}>{escape(char)}</text>'
        if drawn:
            out.append(drawn)
        left += WIDTH * cell_len(char)
    return out


def _drawn(char: str, x: float, y: float, ink: str) -> str | None:
    """A shape for what fonts draw badly; empty for a blank, None for a letter."""
    code = ord(char)
    if char == " ":
        return ""
    if 0x2800 < code < 0x2900:
        spots = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
        dots = [spots[bit] for bit in range(8) if code >> bit & 1]
        return "".join(f'<circle cx="{x + 2 + dx * 4:.1f}" cy="{y + 2.1 + dy * 4.25:.1f}" r="1.35" fill="{ink}"/>' for dx, dy in dots)
    if char in _EIGHTHS:
        high = HEIGHT * (_EIGHTHS.index(char) + 1) / 8
        return f'<rect x="{x:.1f}" y="{y + HEIGHT - high:.1f}" width="{WIDTH + 0.2}" height="{high:.1f}" fill="{ink}"/>'
    lines = {"─": (0, HEIGHT / 2 - 0.5, WIDTH, 1), "━": (0, HEIGHT / 2 - 1.5, WIDTH, 3), "│": (WIDTH / 2 - 0.5, 0, 1, HEIGHT)}
    if char in lines:
        dx, dy, w, h = lines[char]
        return f'<rect x="{x + dx:.1f}" y="{y + dy:.1f}" width="{w + 0.2}" height="{h + 0.2}" fill="{ink}"/>'
    if char in _CORNERS:
        sx, sy = _CORNERS[char]
        cx, cy = x + WIDTH / 2, y + HEIGHT / 2
        path = f"M{cx + sx * WIDTH / 2} {cy} Q{cx} {cy} {cx} {cy + sy * WIDTH / 2} L{cx} {cy + sy * HEIGHT / 2}"
        return f'<path d="{path}" fill="none" stroke="{ink}"/>'
    return None


async def draw(*, size: tuple[int, int], keys: Sequence[str], trouble: bool) -> str:
    """Runs the UI without a terminal, presses ``keys`` and draws; ``lost`` among them takes the service away."""
    clock = FakeClock()
    box = FakeClient(clock, problems=TROUBLES if trouble else ())
    app = ApplianceApp(box, clock=clock, period_s=None)
    async with app.run_test(size=size) as pilot:
        for key in ("", "", *keys, ""):
            if key == "lost":
                box.lost = True
            elif key == "wait":
                clock.go_on(5)
            elif key:
                await pilot.press(key)
            await pilot.pause()
            app.refresh_now()
            await app.workers.wait_for_complete()
            await pilot.pause()
        return svg_of(app)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("keys", nargs="*")
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--trouble", action="store_true")
    chosen = parser.parse_intermixed_args()
    columns, _, rows = chosen.size.partition("x")
    drawn = asyncio.run(draw(size=(int(columns), int(rows)), keys=chosen.keys, trouble=chosen.trouble))
    chosen.out.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
