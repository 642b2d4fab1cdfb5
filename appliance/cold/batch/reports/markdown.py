"""A report as Markdown that is read as it stands, in a mail or a terminal; charts are lines of blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from appliance.cold.batch.reports.document import Chart, Query, Text
from appliance.cold.batch.reports.series import Drawn, drawn
from appliance.cold.batch.reports.tables import shown_cell, shown_number
from appliance.cold.batch.reports.values import Difference, Part, Report, Table, titled
from appliance.cold.batch.reports.words import made_line, markdown_safe, safe, standing, subtitle, used_rows
from appliance.errors import UsageRefused

ROWS_SHOWN: Final = 200
SPARK_CHARS: Final = 48
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def as_markdown(report: Report, zone: tzinfo) -> str:
    """The whole text; ends with a newline."""
    titles = {id(part): title for title, part in titled(report.parts)}
    pieces = [f"# {markdown_safe(report.title)}", markdown_safe(subtitle(report))]
    pieces += [
        f"> {'**' if level == 'warn' else ''}{markdown_safe(line)}{'**' if level == 'warn' else ''}"
        for level, line in standing(report, zone)
    ]
    if report.difference is not None and report.difference.parts:
        pieces.append(_difference(report.difference))
    pieces += [piece for part in report.parts for piece in _part(part, titles.get(id(part), ""), zone)]
    rows = used_rows(report, zone)
    if rows:
        pieces += ["### Complete up to", _grid(("stream", "records in this time", "the newest", "all up to _seq"), rows)]
    pieces.append(markdown_safe(made_line(report, zone)))
    return "\n\n".join(pieces) + "\n"


def _part(part: Part, title: str, zone: tzinfo) -> Iterator[str]:
    block = part.block
    if isinstance(block, Text):
        yield block.markdown
        return
    if block.title:
        yield f"### {markdown_safe(block.title)}"
    if part.table is None:
        yield f"> **{markdown_safe(title)} could not be answered: {markdown_safe(part.error)}**"
    elif isinstance(block, Chart):
        yield _chart(block, part.table, title)
    else:
        yield _table(part.table, min(ROWS_SHOWN, block.rows) if isinstance(block, Query) else ROWS_SHOWN, zone)


def _table(table: Table, shown: int, zone: tzinfo) -> str:
    if not table.rows:
        return "no rows"
    right = [c.kind == "number" for c in table.columns]
    rows = [tuple(shown_cell(v, c.kind, zone) for v, c in zip(row, table.columns, strict=True)) for row in table.rows[:shown]]
    left = len(table.rows) - len(rows) + table.left_out
    more = f"\n\n{left} more rows are not shown" if left else ""
    return _grid(tuple(c.name for c in table.columns), rows, right=right) + more


def _grid(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: list[bool] | None = None) -> str:
    marks = ["---:" if r else "---" for r in right or [False] * len(head)]
    lines = [head, *rows]
    body = ["| " + " | ".join(markdown_safe(cell) for cell in line) + " |" for line in lines]
    return "\n".join([body[0], "|" + "|".join(marks) + "|", *body[1:]])


def _chart(chart: Chart, table: Table, title: str) -> str:
    try:
        found = drawn(table, chart)
    except UsageRefused as e:
        return f"> **{markdown_safe(title)} can't be drawn: {markdown_safe(str(e))}**"
    if found.is_empty:
        return "no values in this time"
    names = [safe(s.name)[:24] for s in found.series]
    wide = max(map(len, names))
    lines = [f"{name:<{wide}}  {line}" for name, line in zip(names, _sparks(found), strict=True)]
    if found.others:
        lines.append(f"and {found.others} more")
    return "\n".join(["```", *(line.replace("```", "'''") for line in lines), "```"])


def _sparks(found: Drawn) -> Iterator[str]:
    """Lowest, highest and last value of each series, and its course: the mean of each part of the time, on one scale for all."""
    xs = [x for s in found.series for x, _ in s.points]
    values = [y for s in found.series for _, y in s.points if y is not None]
    first, width, low, high = min(xs), max(xs) - min(xs), min(values), max(values)
    for series in found.series:
        cells: dict[int, list[float]] = {}
        own = [(x, y) for x, y in series.points if y is not None]
        for x, y in own:
            cells.setdefault(min(SPARK_CHARS - 1, int((x - first) / width * SPARK_CHARS)) if width else 0, []).append(y)
        if not own:
            yield "no values"
            continue
        drawn_line = "".join(_block(cells.get(at), low, high) for at in range(SPARK_CHARS if width else 1)).rstrip()
        ys = [y for _, y in own]
        yield f"{drawn_line}  {shown_number(min(ys))} to {shown_number(max(ys))}, last {shown_number(ys[-1])}"


def _block(values: list[float] | None, low: float, high: float) -> str:
    if not values:
        return " "
    part = (sum(values) / len(values) - low) / (high - low) if high > low else 0.5
    return _BLOCKS[min(7, max(0, int(part * 8)))]


def _difference(difference: Difference) -> str:
    rows: list[tuple[str, ...]] = [
        (p.title, _pairs(c.key), c.kind, _pairs(c.was), _pairs(c.now)) for p in difference.parts for c in p.changes
    ]
    rows += [(p.title, "", p.words or f"{p.more} more rows", "", "") for p in difference.parts if p.words or p.more]
    return f"## What differs from revision {difference.revision}\n\n" + _grid(("part", "row", "what", "was", "is"), rows)


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{k}={'–' if v is None else v}" for k, v in values.items())
