"""Templates for a file of texts, through the miner that runs live."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from appliance.errors import UsageRefused

CONTENT: Final = "Content"
LINE_ID: Final = "LineId"
_VARIES: Final = re.compile(r"\S*\d\S*")


def write_templates(file: Path, output: Path) -> None:
    """Writes ``LineId, template`` for each line of ``file``: CSV with a column ``Content``, else plain lines counted from 1.

    Raises UsageRefused for what can't be read.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise UsageRefused(f"{file} can't be read: {e.strerror}") from e
    lines = _content(text) if file.suffix == ".csv" else [(str(i), line) for i, line in enumerate(text.splitlines(), 1)]
    with output.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow((LINE_ID, "template"))
        writer.writerows((number, _VARIES.sub("<*>", line)) for number, line in lines)


def _content(text: str) -> list[tuple[str, str]]:
    rows = csv.DictReader(text.splitlines(keepends=True))
    if CONTENT not in (rows.fieldnames or ()):
        raise UsageRefused(f"the CSV has no column {CONTENT}; its columns: {', '.join(rows.fieldnames or ())}")
    return [(row.get(LINE_ID) or str(i), row[CONTENT]) for i, row in enumerate(rows, 1)]
