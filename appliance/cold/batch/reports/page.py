"""A report as one HTML page: style within, charts as SVG, no script, nothing fetched from anywhere. Pure.

Each chart is there twice, drawn for a phone and for a wide screen or paper; the style shows one of them. Tables scroll in their own
box, so the page itself is never wider than the screen. Its own policy forbids whatever could reach out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from html import escape
from typing import TYPE_CHECKING, Final

from appliance.cold.batch.reports.document import Chart, Query, Text
from appliance.cold.batch.reports.series import drawn
from appliance.cold.batch.reports.svg import svg
from appliance.cold.batch.reports.tables import shown_cell
from appliance.cold.batch.reports.values import Difference, Part, Report, Table, titled
from appliance.cold.batch.reports.words import made_line, safe, standing, subtitle, used_rows
from appliance.errors import UsageRefused

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

WIDE: Final = 760
NARROW: Final = 336
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1b1b;--dim:#5c5c5c;--page:#fff;--line:#ddd;--zebra:#f6f6f6;--warn:#8a4b00;--warnbg:#fff4e0}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--dim:#a8a8a8;--page:#161616;--line:#3a3a3a;--zebra:#1f1f1f;--warn:#ffc36b;
--warnbg:#332408}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:800px;margin:0 auto;padding:16px 12px 40px}
h1{font-size:1.5em;margin:0 0 .1em}h2{font-size:1.2em;margin:1.6em 0 .4em}h3{font-size:1em;margin:1.2em 0 .3em}
.sub,.dim,footer{color:var(--dim);font-size:.9em}
.say{margin:.5em 0;padding:.45em .7em;border-left:3px solid var(--line);background:var(--zebra)}
.warn{border-color:var(--warn);background:var(--warnbg);color:var(--warn)}
.box{overflow-x:auto;margin:.4em 0 1em}
table{border-collapse:collapse;font-size:.9em;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:.25em .6em;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;max-width:24em}
th{font-weight:600;white-space:nowrap}td.number,th.number{text-align:right}td.time,td.date,td.number{white-space:nowrap}
td.text{overflow-wrap:anywhere;min-width:5em}
tbody tr:nth-child(even){background:var(--zebra)}
figure{margin:.4em 0 1em}.chart{max-width:100%;height:auto;display:block}.narrow{display:none}
code{font-size:.92em}pre{overflow-x:auto;background:var(--zebra);padding:.6em}
@media (max-width:520px){.chart.wide{display:none}.chart.narrow{display:block}}
@media (prefers-color-scheme:dark){.chart text{fill:#c8c8c8}.chart .grid{stroke:#3a3a3a}.chart .axis{stroke:#8a8a8a}
.chart .s0{--c:#56b4e9}.chart .s1{--c:#ff8c42}.chart .s2{--c:#2ecc9b}.chart .s3{--c:#e29bc5}.chart .s4{--c:#f0c649}.chart .s5{--c:#8fd0ff}
.chart .s6{--c:#b48cff}.chart .s7{--c:#bbb}.chart .s8{--c:#ff7b7b}.chart .s9{--c:#7fd6a0}.chart .s10{--c:#d2a679}.chart .s11{--c:#a79cff}
.chart .line{stroke:var(--c)}.chart .bar,.chart .area,.chart .dot,.chart .key{fill:var(--c)}}
@media print{:root{--ink:#000;--dim:#444;--page:#fff;--line:#bbb;--zebra:#f4f4f4;--warn:#000;--warnbg:#f4f4f4;color-scheme:light}
main{max-width:none;padding:0}.box{overflow:visible}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}
thead{display:table-header-group}.chart.wide{display:block}.chart.narrow{display:none}.chart text{fill:#444}}
"""


def as_html(report: Report, zone: tzinfo) -> str:
    """The whole page."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    titles = {id(part): title for title, part in titled(report.parts)}
    parts = [_part(part, titles.get(id(part), ""), report, zone, markdown) for part in report.parts]
    name = f"{report.title} · {report.period.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="referrer" content="no-referrer">'
        f"<title>{_text(name)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f'<h1>{_text(report.title)}</h1>\n<p class="sub">{_text(subtitle(report))}</p>\n'
        + "".join(f'<p class="say {level}">{_text(line)}</p>\n' for level, line in standing(report, zone))
        + (_difference(report.difference) if report.difference is not None else "")
        + "\n".join(parts)
        + _footer(report, zone)
        + "</main></body></html>\n"
    )


def _part(part: Part, title: str, report: Report, zone: tzinfo, markdown: MarkdownIt) -> str:
    block = part.block
    if isinstance(block, Text):
        return f"<section>{markdown.render(block.markdown)}</section>\n"
    head = f"<h3>{_text(block.title)}</h3>\n" if block.title else ""
    if part.table is None:
        return (
            f'<section class="failed">{head}<p class="say warn">{_text(title)} could not be answered: {_text(part.error)}</p></section>\n'
        )
    if isinstance(block, Chart):
        return f"<section>{head}{_chart(block, part.table, title, report, zone)}</section>\n"
    shown = block.rows if isinstance(block, Query) else len(part.table.rows)
    return f"<section>{head}{_table(part.table, shown, zone)}</section>\n"


def _chart(chart: Chart, table: Table, title: str, report: Report, zone: tzinfo) -> str:
    try:
        picture = drawn(table, chart)
    except UsageRefused as e:
        return f'<p class="say warn">{_text(title)} can\'t be drawn: {_text(str(e))}</p>{_table(table, 20, zone)}'
    if picture.is_empty:
        return '<p class="dim">no values in this time</p>\n'
    span = (report.period.since_us, report.period.until_us)
    within = [x for s in picture.series for x, _ in s.points if span[0] <= x <= span[1]]
    whole = span if chart.kind != "bar" and len(within) * 2 > sum(len(s.points) for s in picture.series) else None
    label = f"{title}: {', '.join(s.name for s in picture.series) or 'no values'}"
    drawings = "".join(
        svg(picture, width=width, height=chart.height, zone=zone, label=label, span_us=whole, classes=name)
        for name, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return f"<figure>{drawings}</figure>\n"


def _table(table: Table, shown: int, zone: tzinfo) -> str:
    if not table.rows:
        return '<p class="dim">no rows</p>\n'
    head = "".join(f'<th class="{c.kind}">{_text(c.name)}</th>' for c in table.columns)
    kinds = [c.kind for c in table.columns]
    rows = "".join(
        "<tr>" + "".join(f'<td class="{k}">{_text(shown_cell(v, k, zone))}</td>' for v, k in zip(row, kinds, strict=True)) + "</tr>\n"
        for row in table.rows[:shown]
    )
    left = len(table.rows) - min(shown, len(table.rows)) + table.left_out
    more = f'<p class="dim">{left} more rows are not shown</p>\n' if left else ""
    return f'<div class="box"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n{more}'


def _difference(difference: Difference) -> str:
    rows = "".join(_changes(difference))
    if not rows:
        return ""
    head = "<th>part</th><th>row</th><th>what</th><th>was</th><th>is</th>"
    return (
        f"<section><h2>What differs from revision {difference.revision}</h2>\n"
        f'<div class="box"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div></section>\n'
    )


def _changes(difference: Difference) -> Iterator[str]:
    for part in difference.parts:
        for c in part.changes:
            cells = (part.title, _pairs(c.key), c.kind, _pairs(c.was), _pairs(c.now))
            yield "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>\n"
        if part.words or part.more:
            yield f'<tr><td>{_text(part.title)}</td><td colspan="4">{_text(part.words or f"{part.more} more rows")}</td></tr>\n'


def _pairs(values: object) -> str:
    return ", ".join(f"{k}={'–' if v is None else v}" for k, v in dict(values).items())  # type: ignore[call-overload]  # a mapping


def _footer(report: Report, zone: tzinfo) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in used_rows(report, zone))
    head = "<th>stream</th><th>records in this time</th><th>the newest</th><th>all up to _seq</th>"
    complete = (
        f'<h3>Complete up to</h3><div class="box"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>' if rows else ""
    )
    return f"<footer>{complete}<p>{_text(made_line(report, zone))}</p></footer>\n"


def _text(text: str) -> str:
    return escape(safe(text))
