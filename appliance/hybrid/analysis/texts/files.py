"""Templates for a file of texts, through the miner that runs live."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.texts.miner import Miner

CONTENT: Final = "Content"
LINE_ID: Final = "LineId"
_BLOCK: Final = 16_384
Line = tuple[str, str]
"""Its number and its text."""


def write_templates(file: Path, output: Path) -> None:
    """Writes ``LineId, template`` for each line of ``file``: CSV with a column ``Content``, else plain lines counted from 1.

    The template of a line is what it is known to be when the whole file has been read, which is read twice and never held;
    lines that were added to it in between are left out. Raises UsageRefused where that can't be.
    """
    csv.field_size_limit(sys.maxsize)
    miner = Miner()
    try:
        ids = [miner.learn(pa.array([text for _, text in block], pa.string())) for block in _blocks(file)]
        texts = {id_: template.text for id_, template in miner.templates.items()}
        with output.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow((LINE_ID, "template"))
            for block, found in zip(_blocks(file), ids, strict=False):
                heirs = miner.heirs_of(found).tolist()
                writer.writerows((number, texts[id_]) for (number, _), id_ in zip(block, heirs, strict=False))
    except OSError as e:
        raise UsageRefused(f"{e.filename} can't be read or written: {e.strerror}") from e
    except csv.Error as e:
        raise UsageRefused(f"{file} is no CSV that can be read: {e}") from e


def _blocks(file: Path) -> Iterator[list[Line]]:
    """The lines; of plain ones only ``\\n`` is an end, so that each is what other tools take for a line."""
    is_csv = file.suffix.lower() == ".csv"
    with file.open(encoding="utf-8-sig", errors="replace", newline="" if is_csv else "\n") as f:
        lines = _of_csv(csv.DictReader(f)) if is_csv else _of_text(f)
        while block := list(itertools.islice(lines, _BLOCK)):
            yield block


def _of_text(lines: Iterable[str]) -> Iterator[Line]:
    return ((str(number), line.removesuffix("\n").removesuffix("\r")) for number, line in enumerate(lines, 1))


def _of_csv(rows: csv.DictReader[str]) -> Iterator[Line]:
    if CONTENT not in (rows.fieldnames or ()):
        raise UsageRefused(f"the CSV has no column {CONTENT}; it has: {', '.join(rows.fieldnames or ()) or 'none'}")
    for number, row in enumerate(rows, 1):
        yield row.get(LINE_ID) or str(number), row.get(CONTENT) or ""
