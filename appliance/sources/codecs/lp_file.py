"""A file of line protocol into pieces: cut into blocks of whole lines here, read by ``line_protocol``.

Each line names its stream itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from appliance.clock import Clock
from appliance.records import Origin, Reject
from appliance.sources.codecs.blocks import RecordReader
from appliance.sources.codecs.content import Content
from appliance.sources.codecs.csv_layout import BOM, refuse_binary
from appliance.sources.codecs.line_protocol import Precision, parse
from appliance.sources.codecs.pieces import Piece, Pieces

_SNIFF_BYTES = 64 * 1024
STRING_BYTES_MAX = 1024 * 1024 + _SNIFF_BYTES
"""A string that is not closed within this many bytes will not be: its line is malformed."""
_KEY = rb"(?:[^\\,= \n]++|\\[^\n])++"
_FIELD = rb"%b=(?:\"(?:[^\"\\]++|\\.)*+\"|[^\", \n][^, \n]*+)" % _KEY
_LINE = rb"(?:[ \t]*+\#[^\n]*+|(?:[^\\ \n]++|\\[^\n])++[ ]++%b(?:,%b)*+(?:[ \t\r][^\n]*+)?|[ \t\r]*+)\n" % (_FIELD, _FIELD)
_LINES = re.compile(rb"(?:%b)*+" % _LINE, re.DOTALL)


def read_lp(content: Content, clock: Clock, *, start: int = 0, precision: Precision) -> Pieces:
    """Pieces of a line-protocol file from offset ``start`` to its end.

    Raises ``RejectPayload`` when it is something else, ``ContentDamaged`` after the last whole line of a damaged one.
    """
    reader = RecordReader(content, lp_ends)
    beginning = reader.peek(_SNIFF_BYTES)
    refuse_binary(beginning, what="line protocol")
    reader.skip_to(len(BOM) if beginning.startswith(BOM) else 0)
    reader.skip_to(start)
    while (block := reader.take()) is not None:
        if block.cut is not None:
            refused = Reject(reason=block.cut, raw=block.data, line=block.line)
            yield Piece(batches=(), rejects=(refused,), position_next=block.end, last=reader.finished)
            continue
        parsed = parse(block.data, precision=precision, now_us=clock.now_us())
        batches = tuple(replace(batch, origin=batch.origin and _Shifted(batch.origin, block.line - 1)) for batch in parsed.batches)
        rejects = tuple(replace(reject, line=reject.line + block.line - 1) for reject in parsed.rejects)
        yield Piece(batches=batches, rejects=rejects, position_next=block.end, last=reader.finished)


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Origin of rows whose block begins further down in the file."""

    origin: Origin
    lines: int
    """Lines before the block."""

    def raw(self, row: int) -> bytes:
        return self.origin.raw(row)

    def line(self, row: int) -> int:
        return self.origin.line(row) + self.lines


def lp_ends(data: bytes, final: bool) -> int:
    """Where whole lines end; a newline within a quoted string ends none."""
    if final or b'"' not in data:
        return len(data) if final else data.rfind(b"\n") + 1
    end = 0
    while True:
        match = _LINES.match(data, end)
        assert match is not None, "the pattern takes nothing, too"
        end = match.end()
        newline = data.find(b"\n", end)
        if newline < 0 or len(data) - end < STRING_BYTES_MAX:
            return end
        end = newline + 1
