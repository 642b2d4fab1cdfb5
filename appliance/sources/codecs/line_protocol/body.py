"""From a body to batches: blocks of lines go the fast way, what is left of them the exact way, and all is put together in order."""

from __future__ import annotations

import numpy as np

from appliance.sources.codecs.line_protocol import bounds
from appliance.sources.codecs.line_protocol.cells import Page
from appliance.sources.codecs.line_protocol.exact import ExactReader
from appliance.sources.codecs.line_protocol.fast import read_lines
from appliance.sources.codecs.line_protocol.merge import to_batches
from appliance.sources.codecs.line_protocol.tokens import HASH, NEWLINE, Tokens, tokenise
from appliance.sources.codecs.line_protocol.values import MIB, Flags, Ints, Parsed, Part, Precision, Rules

BLOCK_BYTES = 2 * MIB
"""What is read at once: large enough that a call into NumPy costs little by line, small enough for a small box. Working memory is
6 times this for lines of 350 bytes, 11 times for an agent's mixed ones, 26 times for lines of 14 bytes."""
LINES_MIN = 32
"""Fewer lines than this are read exactly: the fast route's fixed cost, some 0.4 ms, is that of so many lines."""
_BOM = b"\xef\xbb\xbf"


def parse(
    body: bytes | memoryview,
    *,
    precision: Precision,
    now_us: int,
    value_bytes_max: int = MIB,
    name_bytes_max: int = 1024,
    raw_bytes_max: int = 64 * 1024,
) -> Parsed:
    """All records and all refusals of ``body``; raises ``PayloadTooLarge`` for one that goes beyond ``bounds``, and else never.

    ``now_us`` dates the lines without a timestamp, truncated to ``precision``. The limits are in bytes, as they stand in the body;
    a refused line's ``raw`` is cut at ``raw_bytes_max``, and its reason says so.
    """
    rules = Rules(precision, now_us, value_bytes_max, name_bytes_max, raw_bytes_max)
    return _parse(bytes(body), rules, fast=True)


def parse_exact(
    body: bytes | memoryview,
    *,
    precision: Precision,
    now_us: int,
    value_bytes_max: int = MIB,
    name_bytes_max: int = 1024,
    raw_bytes_max: int = 64 * 1024,
) -> Parsed:
    """As ``parse``, each line by the exact route: slow, and what ``parse`` is compared with."""
    rules = Rules(precision, now_us, value_bytes_max, name_bytes_max, raw_bytes_max)
    return _parse(bytes(body), rules, fast=False)


def _parse(body: bytes, rules: Rules, *, fast: bool) -> Parsed:
    exact = ExactReader(body, rules)
    parts: list[Part] = []
    at, line = len(_BOM) if body.startswith(_BOM) else 0, 0
    while at < len(body):
        block_end = _block_end(body, at)
        if fast and _has_lines(body, at, block_end, LINES_MIN):
            taken, at, line = _read_block(body, at, block_end, line, exact, rules)
            parts += taken
        else:
            at, line = _read_exactly(body, at, block_end, line, exact)
        parts += exact.hand_over()
        columns = sum(len(part.arrays) + bounds.SHAPE_COSTS_COLUMNS for part in parts)
        bounds.check(columns, bounds.SHAPE_COLUMNS_MAX, "columns of different shapes of lines")
    return Parsed(to_batches(parts, body), tuple(sorted(exact.rejects, key=lambda reject: reject.line)), line)


def _block_end(body: bytes, start: int) -> int:
    """Where the block that starts at ``start`` ends: past the last newline within ``BLOCK_BYTES``; a longer line is a block by itself."""
    if len(body) - start <= BLOCK_BYTES:
        return len(body)
    end = body.rfind(b"\n", start, start + BLOCK_BYTES) + 1
    if end:
        return end
    end = body.find(b"\n", start + BLOCK_BYTES) + 1
    return end or len(body)


def _has_lines(body: bytes, start: int, stop: int, number: int) -> bool:
    """Whether there are as many newlines; counting them all would take a while, and hold the interpreter lock."""
    at = start
    for _ in range(number):
        at = body.find(b"\n", at, stop) + 1
        if not at:
            return False
    return True


def _read_exactly(body: bytes, start: int, stop: int, line: int, exact: ExactReader) -> tuple[int, int]:
    """Reads all lines from ``start`` on until ``stop`` is reached or passed; gives offset and number of the next line."""
    at = start
    while at < stop:
        next_at = min(exact.take(at, line), len(body))
        line += _newlines(body, at, next_at)
        at = next_at
    return at, line


def _newlines(body: bytes, start: int, stop: int) -> int:
    """Physical lines in a range that ends with one."""
    return body.count(b"\n", start, stop) + (body[stop - 1] != NEWLINE)


def _read_block(body: bytes, start: int, stop: int, line: int, exact: ExactReader, rules: Rules) -> tuple[list[Part], int, int]:
    """Reads a block's lines; gives the parts that the fast route took, and offset and number of the next line.

    The next line starts past ``stop`` when the block's last record went on.
    """
    page = Page.of(body, start, stop)
    held = {char: body.find(char, start, stop) >= 0 for char in (b'"', b"\r", b"\\")}
    tokens = tokenise(page, quotes=held[b'"'], returns=held[b"\r"], backslashes=held[b"\\"])
    taken = np.zeros(tokens.lines, dtype=np.bool_)
    done = start
    for index in np.flatnonzero(tokens.unsure).tolist():
        at = int(tokens.begin[index]) - page.shift
        if at >= done:
            done = min(exact.take(at, line + index), len(body))
            taken[index : int(np.searchsorted(tokens.begin, done + page.shift))] = True
    blank = (tokens.end <= tokens.begin) | (page.data[tokens.begin] == HASH)
    hard = tokens.doubled | _undecodable(body, start, stop, page, tokens)
    parts, rest = read_lines(page, tokens, np.flatnonzero(~(taken | blank | hard)), line, rules)
    for index in np.sort(np.concatenate((rest, np.flatnonzero(hard & ~taken)))).tolist():
        exact.take(int(tokens.begin[index]) - page.shift, line + index)
    after = line + tokens.lines
    return (parts, stop, after) if done <= stop else (parts, done, after + _newlines(body, stop, done))


def _undecodable(body: bytes, start: int, stop: int, page: Page, tokens: Tokens) -> Flags:
    """The lines with bytes beyond ASCII, if any of the block is not UTF-8; else none."""
    found: Flags = np.zeros(tokens.lines, dtype=np.bool_)
    text = memoryview(body)[start:stop]
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        high: Ints = np.flatnonzero(page.data & 0x80)
        found[np.searchsorted(tokens.begin, high, side="right") - 1] = True
    return found
