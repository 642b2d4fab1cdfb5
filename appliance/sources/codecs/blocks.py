"""Cuts content into blocks of whole records, so that each block can be parsed alone and a position means the same after a restart.

What a record ends with is the notation's business (``RecordEnds``); here are the bounds: a block has at most ``BLOCK_BYTES``, and a
record that does not end within one block is handed out as a ``cut`` block, its beginning kept, and skipped up to the next newline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.sources.codecs.content import Content, ContentDamaged

BLOCK_BYTES = 4 * 1024 * 1024
"""Content parsed at once, 40,000 to 100,000 short records; also the longest record."""
CUT_BYTES_MAX = 64 * 1024
"""What is kept of a record that is longer than a block."""

RecordEnds = Callable[[bytes, bool], int]
"""``(data, final) -> n``: the first ``n`` bytes are whole records; ``final``: nothing follows, so a last record may lack its newline."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records, or with ``cut`` the beginning of one that can't be read."""

    data: bytes
    line: int
    """1-based number of its first line in the content."""
    end: int
    """Offset in the content of the first byte after it: where to go on."""
    cut: str | None = None
    """Why these bytes are not whole records."""


def line_ends(data: bytes, final: bool) -> int:
    """Records that are lines, whatever they hold."""
    return len(data) if final else data.rfind(b"\n") + 1


class RecordReader:
    """Reads content front to back in blocks of whole records. One reader, one thread."""

    def __init__(self, content: Content, ends: RecordEnds) -> None:
        self.position = 0
        self.line = 1
        self._content = content
        self._ends = ends
        self._block_bytes = BLOCK_BYTES
        self._buffer = b""
        self._ended = False
        self._damage: ContentDamaged | None = None

    @property
    def finished(self) -> bool:
        """Nothing is left, and nothing was wrong with the content."""
        return not self._fill(1) and self._damage is None

    def raise_damage(self) -> None:
        """Raise what was wrong with the content as far as it was read."""
        if self._damage is not None:
            raise self._damage

    def use_ends(self, ends: RecordEnds) -> None:
        """Change what a record ends with, once the header has told it."""
        self._ends = ends

    def peek(self, size: int) -> bytes:
        """Up to ``size`` bytes from here on, not consumed."""
        return self._fill(size)[:size]

    def peek_records(self) -> bytes:
        """The whole records of the next block, not consumed; empty when there is none."""
        data, final = self._next()
        return data[: self._ends(data, final)]

    def skip_to(self, position: int) -> None:
        """Go on at an offset of the content at or after this one; lines on the way are counted. Raises ``ContentDamaged``."""
        while self.position < position:
            data = self._fill(self._block_bytes)[: position - self.position]
            if not data:
                raise self._damage or ContentDamaged(f"the content ends before byte {position}, where it had been taken to")
            self._consume(len(data))

    def take(self) -> Block | None:
        """The next block; None at the end. Raises ``ContentDamaged`` after the last whole record."""
        data, final = self._next()
        whole = self._ends(data, final)
        line = self.line
        if whole:
            return Block(data=self._consume(whole), line=line, end=self.position)
        if self._damage is not None and b"\n" not in data:
            raise self._damage
        return self._cut() if data else None

    def _next(self) -> tuple[bytes, bool]:
        """What the next block is cut from, and whether nothing follows it."""
        data = self._fill(self._block_bytes)
        if len(data) > self._block_bytes:
            return data[: self._block_bytes], False
        return data, self._ended and self._damage is None

    def _cut(self) -> Block:
        """Skip one line that begins no whole record."""
        line, start = self.line, self.position
        newline = self._buffer.find(b"\n", 0, self._block_bytes)
        if newline >= 0:
            data = self._consume(newline + 1)
            return Block(data=data[:CUT_BYTES_MAX], line=line, end=self.position, cut="a quote that is opened here is not closed")
        kept = self._buffer[:CUT_BYTES_MAX]
        while self._buffer and (newline := self._buffer.find(b"\n")) < 0:
            self._consume(len(self._buffer))
            self._fill(self._block_bytes)
        if newline >= 0:
            self._consume(newline + 1)
        size = self.position - start
        reason = "a quote that is opened here is not closed"
        if size > self._block_bytes:
            reason = f"a record of {size} bytes is longer than {self._block_bytes} bytes; its first {len(kept)} bytes are kept"
        return Block(data=kept, line=line, end=self.position, cut=reason)

    def _fill(self, size: int) -> bytes:
        """The buffer, with at least ``size`` bytes where the content has them."""
        if len(self._buffer) < size and not self._ended:
            parts, have = [self._buffer], len(self._buffer)
            while have < size:
                try:
                    part = self._content.read(size - have)
                except ContentDamaged as damage:
                    self._damage, part = damage, b""
                if not part:
                    self._ended = True
                    break
                parts.append(part)
                have += len(part)
            self._buffer = b"".join(parts)
        return self._buffer

    def _consume(self, size: int) -> bytes:
        data = self._buffer[:size]
        self._buffer = self._buffer[size:]
        self.position += size
        self.line += data.count(b"\n")
        return data
