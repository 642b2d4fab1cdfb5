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
    ground = PALETTES[app.theme].ground
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * WIDTH + 24}" height="{rows * HEIGHT + 24}" '
        f"font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"{SIZE}\">",
        f'<rect width="100%" height="100%" rx="8" fill="{ground}"/>',
    ]
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            taken = cell_len(text)
            out += _segment(text, style or Style.null(), x, y, taken, ground)
            x += taken
    return "\n".join([*out, "</svg>"])


def _segment(text: str, style: Style, x: int, y: int, taken: int, page: str) -> list[str]:
    left, top = 12 + x * WIDTH, 12 + y * HEIGHT
    ink = style.color.get_truecolor().hex if style.color is not None and not style.color.is_default else "#d6dde6"
    ground = style.bgcolor.get_truecolor().hex if style.bgcolor is not None and not style.bgcolor.is_default else None
    if style.reverse:
        ink, ground = ground or "#0d1117", ink
    out = []
    if ground is not None and ground != page:
        out.append(f'<rect x="{left:g}" y="{top:g}" width="{taken * WIDTH + 0.3:g}" height="{HEIGHT + 0.3}" fill="{ground}"/>')
    words: list[tuple[float, str]] = []
    dots: list[str] = []
    boxes: list[str] = []
    in_word = False
    for char in text:
        box = _box(char, left, top)
        letter = False
        if 0x2800 < ord(char) < 0x2900:
            dots += _dots(ord(char), left, top)
        elif box is not None:
            boxes.append(box)
        elif char != " ":
            letter = True
            if in_word:
                words[-1] = (words[-1][0], words[-1][1] + char)
            else:
                words.append((left, char))
        in_word = letter
        left += WIDTH * cell_len(char)
    if dots:
        out.append(f'<path d="{"".join(dots)}" stroke="{ink}" stroke-width="2.7" stroke-linecap="round"/>')
    if boxes:
        out.append(f'<path d="{"".join(boxes)}" fill="{ink}"/>')
    weight = ' font-weight="bold"' if style.bold else ""
    for place, word in words:
        length = f'textLength="{cell_len(word) * WIDTH:g}"'
        out.append(f'<text x="{place:g}" y="{top + 13:g}" {length} fill="{ink}"{weight}>{escape(word)}</text>')
    return out


def _dots(code: int, x: float, y: float) -> list[str]:
    """A braille character as points of a path."""
    spots = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    return [f"M{x + 2 + dx * 4:g} {y + 2.1 + dy * 4.25:g}h0" for bit, (dx, dy) in enumerate(spots) if code >> bit & 1]


def _box(char: str, x: float, y: float) -> str | None:
    """A block or a line of a frame as an area of a path; None is neither."""
    middle, centre = y + HEIGHT / 2, x + WIDTH / 2
    if char in _EIGHTHS:
        high = HEIGHT * (_EIGHTHS.index(char) + 1) / 8
        return f"M{x:g} {y + HEIGHT - high:g}h{WIDTH}v{high:g}h-{WIDTH}z"
    if char == "─":
        return f"M{x:g} {middle - 0.5:g}h{WIDTH}v1h-{WIDTH}z"
    if char == "━":
        return f"M{x:g} {middle - 1.5:g}h{WIDTH}v3h-{WIDTH}z"
    if char in "│┤╵":
        high = HEIGHT / 2 if char == "╵" else HEIGHT
        arm = f"M{x:g} {middle - 0.5:g}h{WIDTH / 2:g}v1h-{WIDTH / 2:g}z" if char == "┤" else ""
        return f"M{centre - 0.5:g} {y:g}h1v{high:g}h-1z{arm}"
    if char in _CORNERS:
        sx, sy = _CORNERS[char]
        outer = (
            f"M{x + (WIDTH if sx > 0 else 0):g} {middle - 0.5:g}v1Q{centre:g} {middle + 0.5:g} {centre + 0.5:g} {middle + sy * WIDTH / 2:g}"
        )
        inner = f"V{middle + sy * WIDTH / 2:g}Q{centre:g} {middle - 0.5:g} {x + (WIDTH if sx > 0 else 0):g} {middle - 0.5:g}z"
        return f"{outer}V{y + (HEIGHT if sy > 0 else 0):g}h-1{inner}"
    return None


async def draw(*, size: tuple[int, int], keys: Sequence[str], trouble: bool) -> str:
    """Runs the UI without a terminal, presses ``keys`` and draws; ``lost`` among them takes the service away."""
    clock = FakeClock(NOON_US + 47 * S)
    box = FakeClient(clock, problems=TROUBLES if trouble else ())
    app = ApplianceApp(box, clock=clock)
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
