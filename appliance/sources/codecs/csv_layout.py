"""What the first line of a CSV file says: delimiter, names, and whether it is a CSV file at all."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from appliance.errors import RejectPayload
from appliance.records import check_name, fold
from appliance.sources.codecs.blocks import RecordEnds, line_ends
from appliance.sources.codecs.content import GZIP_MAGIC

BOM = b"\xef\xbb\xbf"
DELIMITERS = ",;\t|"
HEADER_BYTES_MAX = 1024 * 1024
_SNIFF_BYTES = 64 * 1024
ZERO_BYTES_MAX = 8
"""As many zero bytes within ``_SNIFF_BYTES``, or one in a hundred, are a slip in a text; more are no text."""
_BARE_VALUE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d{4}-\d\d-\d\d([T ].*)?|true|false", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of one CSV file."""

    header: bytes
    """The first record, with its newline: what makes a refused row readable alone."""
    names: tuple[str, ...]
    """One for each column, as sent (trimmed), no two alike in any case; a nameless one is ``column_N``."""
    delimiter: str
    start: int
    """Offset of the first byte after the header."""


def refuse_binary(data: bytes, *, what: str) -> None:
    """Raise ``RejectPayload`` when a file's beginning shows that it is no UTF-8 text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RejectPayload(f"this is UTF-16 text, not UTF-8: save it as UTF-8 {what}")
    if data.startswith(GZIP_MAGIC):
        raise RejectPayload("this is gzip within gzip: only one layer is undone")
    if data.startswith(b"PAR1"):
        raise RejectPayload(f"this is a Parquet file, not {what}")
    head = data[:_SNIFF_BYTES]
    if head.count(b"\0") > max(ZERO_BYTES_MAX, len(head) // 100):
        raise RejectPayload(f"this is binary, not {what}: it holds zero bytes")


def read_layout(beginning: bytes, *, whole: bool) -> Layout:
    """Layout out of a file's first bytes (``whole``: that is all of it). Raises ``RejectPayload`` when it has no usable header."""
    refuse_binary(beginning, what="CSV")
    skipped = len(BOM) if beginning.startswith(BOM) else 0
    text_start = skipped + len(beginning[skipped:]) - len(beginning[skipped:].lstrip(b"\r\n"))
    first_line = beginning[text_start:].split(b"\n", 1)[0]
    delimiter = sniff_delimiter(first_line)
    match = record_pattern(delimiter).match(beginning, text_start)
    if match is None or (match.end() == len(beginning) and not match.group().endswith((b"\n", b"\r")) and not whole):
        raise RejectPayload(f"the header is longer than {HEADER_BYTES_MAX} bytes, or a quote in it is not closed")
    raw = match.group()
    header = raw if raw.endswith(b"\n") else raw.rstrip(b"\r") + b"\n"
    return Layout(header=header, names=_names(raw, delimiter), delimiter=delimiter, start=match.end())


def sniff_delimiter(line: bytes) -> str:
    """The delimiter that occurs most often outside quotes; a comma when none does."""
    bare = re.sub(rb'"[^"]*"', b"", line)
    counts = {d: bare.count(d.encode()) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: counts[d])
    return best if counts[best] else ","


def _names(raw: bytes, delimiter: str) -> tuple[str, ...]:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RejectPayload("the header is not UTF-8 text: this is binary, or another encoding") from error
    try:
        cells = [cell.strip() for cell in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])]
    except csv.Error as error:
        raise RejectPayload(f"the header can't be read: {error}") from error
    if not any(cells):
        raise RejectPayload("the first line names no column")
    if all(_BARE_VALUE.fullmatch(cell) for cell in cells if cell):
        raise RejectPayload(f"the first line holds values ({text[:60]!r}), not names of columns: a header is needed")
    names = tuple(cell or f"column_{number}" for number, cell in enumerate(cells, 1))
    seen: set[str] = set()
    for name in names:
        wrong = None if fold(name) in ("ts", "_seq") else check_name(name, what="column")
        if wrong is None and fold(name) in seen:
            wrong = f"column {name!r} stands twice in the header"
        if wrong:
            raise RejectPayload(wrong)
        seen.add(fold(name))
    return names


def record_pattern(delimiter: str) -> re.Pattern[bytes]:
    """One record with its line end (or without, at the end of the data), read as PyArrow reads it: a quote opens only at a cell's start."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"(?:[^"]++|"")*+"[^' + d + rb"\r\n]*+|[^" + d + rb'"\r\n][^' + d + rb"\r\n]*+|)"
    return re.compile(cell + rb"(?:" + d + cell + rb")*+(?:\r\n|\r|\n|\Z)")


def csv_ends(delimiter: str) -> RecordEnds:
    """Where whole records end: newlines within quotes do not count."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"(?:[^"]++|"")*+"[^' + d + rb"\r\n]*+|[^" + d + rb'"\r\n][^' + d + rb"\r\n]*+|)"
    record = cell + rb"(?:" + d + cell + rb")*+"
    records = re.compile(rb"(?:" + record + rb"(?:\r\n|\r|\n))*+")
    last = re.compile(record)

    def ends(data: bytes, final: bool) -> int:
        if b'"' not in data:
            return line_ends(data, final)
        match = records.match(data)
        end = match.end() if match else 0
        if final and end < len(data) and last.fullmatch(data, end):
            return len(data)
        return end

    return ends
