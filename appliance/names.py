"""Names of files and folders: the encoded form of a stream's name, and what a result may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Final

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_READABLE_MAX = 40
RESULT_FORMATS: Final[Mapping[str, str]] = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "jsonl"}
"""Ending of a file -> the format of a result in it."""


def folder_name(stream: str) -> str:
    """Any name gives a safe one, and no two share one.

    Plain lower-case names stand for themselves; others are a readable start, ``~`` and a hash of the folded name.
    """
    folded = stream.lower()
    if _PLAIN.fullmatch(stream):
        return stream
    readable = re.sub(r"[^a-z0-9_-]+", "_", folded)[:_READABLE_MAX].strip("_-") or "stream"
    return f"{readable}~{blake2b(folded.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}"


def result_format(file: str) -> str:
    """The format of a job's file. Raises ``ValueError`` where it is no name below a folder, or has no ending that is known."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in file or len(file.encode()) > 200:
        raise ValueError(f"{file[:60]!r} must lie below reports/")
    rest = file.replace("{date}", "")
    if "{" in rest or "}" in rest:
        raise ValueError(f"{file[:60]!r}: only {{date}} can stand in braces")
    if path.suffix.lower() not in RESULT_FORMATS:
        raise ValueError(f"{file[:60]!r} must end in one of {', '.join(RESULT_FORMATS)}")
    return RESULT_FORMATS[path.suffix.lower()]
