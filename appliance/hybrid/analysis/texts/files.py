"""Templates for a file of texts, through the miner that runs live."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.texts.miner import Miner

CONTENT: Final = "Content"
LINE_ID: Final = "LineId"


def write_templates(file: Path, output: Path) -> None:
    """Writes ``LineId, template`` for each line of ``file``: CSV with a column ``Content``, else plain lines counted from 1.

    The template of a line is what it is known to be when the whole file has been read. Raises UsageRefused where that can't be.
    """
    numbers, lines = _read(file)
    miner = Miner()
    ids = miner.heirs_of(miner.learn(pa.array(lines, pa.string())))
    texts = {id_: template.text for id_, template in miner.templates.items()}
    try:
        with output.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow((LINE_ID, "template"))
            writer.writerows((number, texts[id_]) for number, id_ in zip(numbers, ids.tolist(), strict=True))
    except OSError as e:
        raise UsageRefused(f"{output} can't be written: {e.strerror}") from e


def _read(file: Path) -> tuple[list[str], list[str]]:
    """The numbers and texts of a file's lines."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as f:
            return _of_csv(csv.DictReader(f)) if file.suffix.lower() == ".csv" else _of_lines(f.read())
    except OSError as e:
        raise UsageRefused(f"{file} can't be read: {e.strerror}") from e
    except csv.Error as e:
        raise UsageRefused(f"{file} is no CSV that can be read: {e}") from e


def _of_lines(text: str) -> tuple[list[str], list[str]]:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [str(number) for number in range(1, len(lines) + 1)], [line.removesuffix("\r") for line in lines]


def _of_csv(rows: csv.DictReader[str]) -> tuple[list[str], list[str]]:
    csv.field_size_limit(sys.maxsize)
    if CONTENT not in (rows.fieldnames or ()):
        raise UsageRefused(f"the CSV has no column {CONTENT}; it has: {', '.join(rows.fieldnames or ()) or 'none'}")
    numbered = [(row.get(LINE_ID) or str(number), row.get(CONTENT) or "") for number, row in enumerate(rows, 1)]
    return [number for number, _ in numbered], [content for _, content in numbered]
