"""The text of a report, taken apart: Markdown, and between it blocks that are answered. Pure.

A block is a fence whose first word is ``sql`` (a table), ``chart`` (a picture of one) or ``box`` (what the box says of itself)::

    ```chart line title="Temperature" unit="°C" x=minute y=mean,peak by=device
    SELECT time_bucket(INTERVAL '10 minutes', ts) AS minute, device, avg(temperature) AS mean, max(temperature) AS peak
    FROM readings WHERE ts >= {since} AND ts < {until} GROUP BY ALL ORDER BY ALL
    ```
"""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from typing import Final, Literal

from appliance.errors import UsageRefused

TEXT_CHARS_MAX: Final = 1_000_000
BLOCKS_MAX: Final = 200
ROWS_SHOWN: Final = 1_000
ROWS_MAX: Final = 20_000
ChartKind = Literal["line", "bar", "area"]
CHART_KINDS: Final[tuple[ChartKind, ...]] = ("line", "bar", "area")
BOX_SECTIONS: Final = ("health", "disk", "latency", "sources", "problems")
_OPTIONS: Final = {
    "sql": ("title", "key", "rows"),
    "chart": ("title", "key", "unit", "x", "y", "by", "height"),
    "box": ("title",),
}


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown as it stands."""

    markdown: str


@dataclass(frozen=True, slots=True)
class Query:
    """A table."""

    sql: str
    title: str = ""
    key: tuple[str, ...] = ()
    """Columns that a row is known by when two reports are compared; empty: all that hold no numbers."""
    rows: int = ROWS_SHOWN
    """Shown at most; the JSON and the CSV have all."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of a table."""

    sql: str
    kind: ChartKind = "line"
    title: str = ""
    key: tuple[str, ...] = ()
    unit: str = ""
    x: str | None = None
    """Default: the first column."""
    y: tuple[str, ...] = ()
    """Default: every column of numbers but ``x``."""
    by: tuple[str, ...] = ()
    """A series for each set of their values. Default: every column of text but ``x``."""
    height: int = 260


@dataclass(frozen=True, slots=True)
class Box:
    """A table of what the box says of itself."""

    section: str
    title: str = ""


Block = Text | Query | Chart | Box


def parse(text: str) -> tuple[Block, ...]:
    """The blocks in their order. Raises ``UsageRefused`` with the line for one that can't be understood."""
    from markdown_it import MarkdownIt  # 2 MB that a box without reports does not have to hold

    if len(text) > TEXT_CHARS_MAX:
        raise UsageRefused(f"the text is longer than {TEXT_CHARS_MAX} characters")
    lines = text.splitlines()
    blocks: list[Block] = []
    done = 0
    for token in MarkdownIt("commonmark").parse(text):
        if token.type != "fence" or token.level or token.map is None or token.info.split()[:1] not in (["sql"], ["chart"], ["box"]):
            continue
        first, last = token.map
        _add_text(blocks, lines[done:first])
        blocks.append(_block(token.info, token.content, first + 1))
        done = last
    _add_text(blocks, lines[done:])
    if len(blocks) > BLOCKS_MAX:
        raise UsageRefused(f"the text has more than {BLOCKS_MAX} blocks")
    return tuple(blocks)


def single(sql: str) -> tuple[Block, ...]:
    """A report that is one query."""
    return (Query(sql),)


def _add_text(blocks: list[Block], lines: list[str]) -> None:
    markdown = "\n".join(lines).strip("\n")
    if markdown.strip():
        blocks.append(Text(markdown))


def _block(info: str, content: str, line: int) -> Block:
    try:
        what, *words = shlex.split(info)
    except ValueError as e:
        raise UsageRefused(f"line {line}: {info[:80]!r} can't be read: {str(e).lower()}") from None
    bare = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    for name in options:
        if name not in _OPTIONS[what]:
            near = difflib.get_close_matches(name, _OPTIONS[what], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(_OPTIONS[what])}"
            raise UsageRefused(f"line {line}: {what} has no option {name!r}{hint}")
    title = options.get("title", "")
    if what == "box":
        if len(bare) != 1 or bare[0] not in BOX_SECTIONS:
            raise UsageRefused(f"line {line}: box is followed by one of {', '.join(BOX_SECTIONS)}")
        return Box(bare[0], title)
    if not content.strip():
        raise UsageRefused(f"line {line}: the block holds no SQL")
    key = _names(options.get("key", ""))
    if what == "sql":
        if bare:
            raise UsageRefused(f"line {line}: {bare[0]!r} is no option of sql: write name=value")
        return Query(content.strip(), title, key, _whole(options.get("rows", str(ROWS_SHOWN)), "rows", 1, ROWS_MAX, line))
    kind = next((k for k in CHART_KINDS if bare == [k]), None)
    if kind is None and bare:
        raise UsageRefused(f"line {line}: a chart is one of {', '.join(CHART_KINDS)}, not {' '.join(bare)!r}")
    return Chart(
        sql=content.strip(),
        kind=kind or "line",
        title=title,
        key=key,
        unit=options.get("unit", ""),
        x=options.get("x"),
        y=_names(options.get("y", "")),
        by=_names(options.get("by", "")),
        height=_whole(options.get("height", "260"), "height", 120, 1_000, line),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _whole(text: str, name: str, low: int, high: int, line: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and low <= int(text) <= high):
        raise UsageRefused(f"line {line}: {name}={text[:20]!r} is no whole number from {low} to {high}")
    return int(text)
