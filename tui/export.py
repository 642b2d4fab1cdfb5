"""Writes a table of values to a file: CSV for people, JSON, or Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import ApplianceError, UsageRefused

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a cell that starts so for a formula."""
_NAME_CHARS_MAX = 60


def export_name(text: str) -> str:
    """A file name out of any name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:_NAME_CHARS_MAX].strip("-") or "view"


def write_view(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes a new file in the format of its ending; raises UsageRefused for another ending and for a file that is there."""
    writer = {".csv": _csv, ".json": _json, ".parquet": _parquet}.get(path.suffix.lower())
    if writer is None:
        raise UsageRefused(f"{path.name!r} must end in .csv, .json or .parquet")
    body = writer(columns, rows)
    try:
        with path.open("xb") as file:
            file.write(body)
    except FileExistsError as error:
        raise UsageRefused(f"{path} is there already; choose another name") from error
    except OSError as error:
        raise ApplianceError(f"{path} can't be written: {error.strerror}") from error


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run gets an apostrophe before it; null is empty."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    return msgspec.json.format(msgspec.json.encode(objects, enc_hook=str), indent=1) + b"\n"


def _parquet(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    import pyarrow as pa  # heavy, and only this format needs it
    import pyarrow.parquet as pq  # as above

    arrays = []
    for place in range(len(columns)):
        values = [row[place] for row in rows]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            arrays.append(pa.array([None if v is None else str(v) for v in values]))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), sink)
    return bytes(sink.getvalue())
