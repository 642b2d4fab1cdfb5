"""A report for programs: one JSON document, which later revisions are compared with, and CSV. Pure.

Times are ISO 8601 in UTC. Version 1 of the document::

    {"version": 1, "name", "title", "node", "day": "2026-11-21", "since", "until", "zone", "parameters": {}, "made", "revision": 1,
     "over": true, "failed": 0, "notes": [], "streams": [{"stream", "seq", "records", "newest", "dirty": []}],
     "parts": [{"text"} | {"title", "kind", "sql", "key": [], "columns": [{"name", "kind"}], "rows": [[]], "left_out": 0}
     | {"title", "kind", "sql", "error"}],
     "difference": null | {"revision", "words", "parts": [{"title", "words", "more", "changes": [{"kind", "key", "was", "now"}]}]}}
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Final

from appliance.clock import iso
from appliance.cold.batch.reports.document import Text
from appliance.cold.batch.reports.tables import plain_cell
from appliance.cold.batch.reports.values import Difference, Part, Report, Table, titled

VERSION: Final = 1


def document(report: Report) -> dict[str, Any]:
    """As this module's docstring has it; nothing in it but what JSON knows."""
    titles = {id(part): title for title, part in titled(report.parts)}
    return {
        "version": VERSION,
        "name": report.name,
        "title": report.title,
        "node": report.node,
        "day": report.period.name,
        "since": iso(report.period.since_us),
        "until": iso(report.period.until_us),
        "zone": report.zone,
        "parameters": dict(report.parameters),
        "made": iso(report.made_us),
        "revision": report.revision,
        "over": report.is_over,
        "failed": report.failed,
        "notes": list(report.notes),
        "streams": [
            {
                "stream": u.stream,
                "seq": u.seq,
                "records": u.records,
                "newest": None if u.newest_us is None else iso(u.newest_us),
                "dirty": list(u.dirty),
            }
            for u in report.used
        ],
        "parts": [_part(part, titles.get(id(part), "")) for part in report.parts],
        "difference": None if report.difference is None else _difference(report.difference),
    }


def as_json(report: Report) -> str:
    """The document, ending with a newline."""
    return json.dumps(document(report), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def as_csv(report: Report) -> str:
    """The table, with a header. Of several tables each begins with a line ``# title`` and ends with an empty one."""
    out = io.StringIO()
    asked = titled(report.parts)
    for title, part in asked:
        if len(asked) > 1:
            out.write(f"# {' '.join(title.split())}\n")
        if part.table is not None:
            _write(out, part.table)
        else:
            out.write(f"# failed: {' '.join(part.error.split())}\n")
        if len(asked) > 1:
            out.write("\n")
    return out.getvalue()


def _write(out: io.StringIO, table: Table) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.name for c in table.columns])
    for row in table.rows:
        cells = [plain_cell(v, c.kind) for v, c in zip(row, table.columns, strict=True)]
        writer.writerow(["true" if v is True else "false" if v is False else "" if v is None else v for v in cells])


def _part(part: Part, title: str) -> dict[str, Any]:
    block = part.block
    if isinstance(block, Text):
        return {"text": block.markdown}
    found: dict[str, Any] = {"title": title, "kind": type(block).__name__.lower(), "sql": getattr(block, "sql", "")}
    if part.table is None:
        return {**found, "error": part.error}
    table = part.table
    return {
        **found,
        "key": list(getattr(block, "key", ())),
        "columns": [{"name": c.name, "kind": c.kind} for c in table.columns],
        "rows": [[plain_cell(v, c.kind) for v, c in zip(row, table.columns, strict=True)] for row in table.rows],
        "left_out": table.left_out,
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "revision": difference.revision,
        "words": difference.words,
        "parts": [
            {
                "title": p.title,
                "words": p.words,
                "more": p.more,
                "changes": [{"kind": c.kind, "key": dict(c.key), "was": dict(c.was), "now": dict(c.now)} for c in p.changes],
            }
            for p in difference.parts
        ],
    }
