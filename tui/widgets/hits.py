"""The table of hits, and a hit as lines with its words marked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from appliance.observe.search import Hit
from tui import figures
from tui.look import Line, Look, Span
from tui.safe import cells
from tui.widgets.panels import wrapped
from tui.widgets.table import TableColumn

_BEFORE = 16
"""Characters of a snippet that the table shows before the first word that fits."""
_LABEL = 8


@dataclass(frozen=True, slots=True)
class Placed:
    """A hit, and its place in the answer."""

    place: int
    hit: Hit


def _when(found: Placed, _width: int, look: Look) -> Span:
    return ("" if found.hit.ts_us is None else figures.age(look.now_us - found.hit.ts_us)), look.paint.dim


def _stream(found: Placed, _width: int, look: Look) -> Span:
    return (look.safe(found.hit.stream), look.paint.text) if found.hit.kind == "record" else (look.safe(found.hit.kind), look.paint.accent)


def _text(found: Placed, _width: int, look: Look) -> Span:
    """The snippet from shortly before the first word that fits."""
    if found.hit.kind != "record":
        return look.safe(found.hit.name), look.paint.bold
    start = max(0, found.hit.marks[0][0] - _BEFORE) if found.hit.marks else 0
    return look.safe((look.symbols.ellipsis if start else "") + found.hit.snippet[start:]), look.paint.text


def _tags(found: Placed, _width: int, look: Look) -> Span:
    return look.safe(" ".join(f"{name}={'' if value is None else value}" for name, value in found.hit.tags.items())), look.paint.dim


HIT_COLUMNS: tuple[TableColumn[Placed], ...] = (
    TableColumn("found", "", 0, lambda _r, _w, look: ("", look.paint.text), lambda r: r.place),
    TableColumn("when", "when", 6, _when, lambda r: -(r.hit.ts_us or 0)),
    TableColumn("stream", "stream", 12, _stream, lambda r: r.hit.stream.casefold(), right=False, grow=12),
    TableColumn("text", "text", 30, _text, lambda r: r.hit.snippet, right=False, grow=120),
    TableColumn("tags", "tags", 16, _tags, lambda r: tuple(r.hit.tags), right=False, grow=20, drop=1),
)  # fmt: skip
"""Sorted by the first, they stay in the order of the answer."""


def hit_lines(row: Hit | None, look: Look, width: int) -> list[Line]:
    """One hit: where and when it is, its text with the words marked."""
    if row is None:
        return []
    where = row.stream if row.kind == "record" else f"{row.kind} {row.name}"
    when = "" if row.ts_us is None else f"  {figures.moment(row.ts_us, now_us=look.now_us)}"
    seq = "" if row.seq is None else f"  _seq {row.seq}"
    lines: list[Line] = [((look.safe(where), look.paint.bold), (f"{when}{seq}", look.paint.dim))]
    lines += marked(row, look, width)
    tags = "  ".join(f"{name}={'' if value is None else value}" for name, value in row.tags.items())
    return [*lines, *wrapped(look.safe(tags), width, look.paint.dim, lines_max=3)]


def marked(row: Hit, look: Look, width: int) -> list[Line]:
    """The snippet in lines of ``width``, what fits in the colour of the chosen."""
    lines: list[Line] = []
    line: list[Span] = []
    room = width
    edges = sorted({0, len(row.snippet), *(at for pair in row.marks for at in pair if 0 <= at <= len(row.snippet))})
    for low, high in pairwise(edges):
        style = look.paint.key if any(a <= low and high <= b for a, b in row.marks) else look.paint.text
        piece = ""
        for letter in look.safe(row.snippet[low:high]):
            if cells(piece + letter) > room:
                lines.append((*line, (piece, style)))
                line, piece, room = [], "", width
            piece += letter
        line.append((piece, style))
        room -= cells(piece)
    return [*lines, tuple(line)] if line else lines
