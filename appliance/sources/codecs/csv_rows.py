"""The records of a CSV block as bytes: what a refused row is kept as. Found only when somebody asks, then once for the block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from appliance.sources.codecs.blocks import Block

Span = tuple[int, int]


@dataclass(slots=True)
class BlockRecords:
    """Where each record of a block lies, and its line."""

    header: bytes
    block: Block
    pattern: re.Pattern[bytes]
    _spans: list[Span] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        if not self._spans:
            self._spans = record_spans(self.block.data, self.pattern)
        return self._spans

    def raw(self, record: int) -> bytes:
        """Header and record: a CSV file of its own."""
        begin, end = self.spans[record]
        return self.header + self.block.data[begin:end]

    def line(self, record: int) -> int:
        if not self._lines:
            line, at = self.block.line, 0
            for begin, _end in self.spans:
                line += self.block.data.count(b"\n", at, begin)
                at = begin
                self._lines.append(line)
        return self._lines[record]

    def not_text(self) -> dict[int, str]:
        """Records that hold zero bytes or are not UTF-8, with the reason."""
        data = self.block.data
        if b"\0" not in data and is_utf8(data):
            return {}
        found: dict[int, str] = {}
        for record, (begin, end) in enumerate(self.spans):
            cell = data[begin:end]
            if b"\0" in cell:
                found[record] = "holds a zero byte"
            elif not is_utf8(cell):
                found[record] = "is not UTF-8 text"
        return found

    def join(self, records: Sequence[int]) -> bytes:
        """Those records, each with a line end."""
        data = self.block.data
        parts = (data[slice(*self.spans[record])] for record in records)
        return b"".join(part if part.endswith((b"\n", b"\r")) else part + b"\n" for part in parts)


@dataclass(frozen=True, slots=True)
class CsvOrigin:
    """Original bytes of the rows of a batch."""

    records: BlockRecords
    rows: Sequence[int] | None
    """Record of the block for each row; None: row n is record n."""

    def raw(self, row: int) -> bytes:
        return self.records.raw(self.record(row))

    def line(self, row: int) -> int:
        return self.records.line(self.record(row))

    def record(self, row: int) -> int:
        """The record of the block that a row was."""
        return row if self.rows is None else self.rows[row]


def record_spans(data: bytes, pattern: re.Pattern[bytes]) -> list[Span]:
    """Begin and end of each record; empty lines are none."""
    if b'"' not in data and data.count(b"\r") == data.count(b"\r\n"):
        lines = data.split(b"\n")
        ends = accumulate(len(line) + 1 for line in lines)
        return [(end - len(line) - 1, min(end, len(data))) for line, end in zip(lines, ends, strict=True) if line and line != b"\r"]
    return [match.span() for match in pattern.finditer(data) if match.group().strip(b"\r\n")]


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8 text."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
