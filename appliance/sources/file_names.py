"""What a file's name and first bytes say: the stream, the notation, whether it is compressed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.records import Format

SUFFIXES = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".lp": Format.LP,
    ".line": Format.LP,
    ".influx": Format.LP,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".txt": None,
    ".log": None,
}
"""Ending -> notation; None: the content tells. Endings are not part of the stream's name."""
_LP_LINE = re.compile(rb"(?:[^\s,\"\\]|\\.)+(?:,(?:[^\s=,]|\\.)+=(?:[^\s,]|\\.)+)* (?:[^\s=,\"]|\\.)+=(?:\"|[^\s,]+)")


@dataclass(frozen=True, slots=True)
class FileName:
    """A file's name taken apart."""

    stem: str
    """Without ``.gz`` and the ending of a notation: the stream of a file that lies in no stream's folder."""
    format: Format | None
    """None: the content tells."""


def read_name(name: str) -> FileName:
    """``readings.csv.gz`` -> ``readings``, CSV. An unknown ending stays part of the stem."""
    stem = name[:-3] if name.lower().endswith(".gz") and len(name) > 3 else name
    for suffix, notation in SUFFIXES.items():
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            return FileName(stem[: -len(suffix)], notation)
    return FileName(stem, None)


def sniff_format(beginning: bytes) -> Format:
    """The notation of content that no name tells: by its first characters; CSV when nothing else fits."""
    if beginning.startswith(b"PAR1"):
        return Format.PARQUET
    lines = [line for line in beginning.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip() and not line.startswith(b"#")]
    first = lines[0].strip() if lines else b""
    if first[:1] in (b"{", b"["):
        return Format.JSONL
    return Format.LP if _LP_LINE.match(first) else Format.CSV


def printable(name: str) -> str:
    """A file's name for people: bytes that are no text and control characters as escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
