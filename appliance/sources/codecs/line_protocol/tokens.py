"""Finds the separators of a page, and the lines that look alike, all by column.

What comes out is proved for some lines and only guessed for others: the lines that ``Tokens.unsure`` marks have quotes that this
module can't pair and may go on past their newline; ``alike`` groups by a hash, so who uses a group compares its lines with its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from appliance.sources.codecs.line_protocol.arrays import numbers_array, numbers_of
from appliance.sources.codecs.line_protocol.cells import PAD, Bytes, Page, Words, first_bytes
from appliance.sources.codecs.line_protocol.values import Flags, Ints

NEWLINE, CR, SPACE, TAB, COMMA, EQUALS, QUOTE, BACKSLASH, HASH = b'\n\r \t,="\\#'
SEPARATORS_MAX = 4096
"""Separators of a line that the fast route takes; longer lines are rare and go the exact way."""

_STEP_BYTES = 128 * 1024
"""What is compared at once: stays in the processor's cache from one comparison to the next."""
_MIX = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xFF51AFD7ED558CCD)))
_ODD: Words = (np.arange(1, SEPARATORS_MAX + 1, dtype=np.uint64) * _MIX[0] ^ _MIX[1]) * _MIX[2] | np.uint64(1)
"""Multipliers by place in the line, so that the order of keys counts in the hash; any odd numbers do."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The unescaped, unquoted ``,`` ``=`` space and newline of a page, in order, and the physical lines that they make up."""

    at: Ints
    """Offset in the page; a newline's is that of its carriage return where it has one."""
    char: Bytes
    first: Ints
    """For each line, the index in ``at`` of its first separator."""
    count: Ints
    """For each line, how many it has; the last one is its newline."""
    begin: Ints
    """For each line, the offset of its first byte."""
    unsure: Flags
    """Lines whose quotes may not pair within the line. Others end at their newline, whatever else is wrong with them."""
    doubled: Flags
    """Lines with two backslashes in a row; what they escape is not told here, so their separators are not to be trusted."""

    @property
    def lines(self) -> int:
        return len(self.first)

    @property
    def end(self) -> Ints:
        """For each line, the offset past its last byte, without the line ending."""
        ends: Ints = self.at[self.first + self.count - 1]
        return ends

    @property
    def uniform(self) -> bool:
        """Whether all lines have the same separators in the same order."""
        each = int(self.count[0])
        if self.lines * each != len(self.at) or not (self.count == each).all():
            return False
        chars = self.char.reshape(-1, each)
        return bool((chars == chars[0]).all())


def tokenise(page: Page, *, quotes: bool, returns: bool, backslashes: bool) -> Tokens:
    """Cuts a page; the flags say whether such a character is in it at all."""
    data = page.data
    at = _find(data, (COMMA, EQUALS, SPACE, NEWLINE, *((QUOTE,) if quotes else ())))
    char = data[at]
    if backslashes:
        free = (data[at - 1] != BACKSLASH) | (char == NEWLINE)
        at, char = at[free], char[free]
    breaks = np.flatnonzero(char == NEWLINE)
    begin = np.concatenate(([PAD], at[breaks[:-1]] + 1))
    if returns:
        at[breaks] -= data[at[breaks] - 1] == CR
    first, count = _spans(breaks)
    clean = np.zeros(len(breaks), dtype=np.bool_)
    doubled = clean
    if backslashes:
        doubled = clean.copy()
        pairs = np.flatnonzero((data[:-1] == BACKSLASH) & (data[1:] == BACKSLASH))
        doubled[np.searchsorted(begin, pairs, side="right") - 1] = True
    tokens = Tokens(at, char, first, count, begin, clean, doubled)
    return _without_quoted(page, tokens) if quotes else tokens


def _find(data: Bytes, chars: Sequence[int]) -> Ints:
    """Offsets of any of ``chars``."""
    mask = np.zeros(len(data), dtype=np.bool_)
    same = np.empty(min(len(data), _STEP_BYTES), dtype=np.bool_)
    for start in range(0, len(data), _STEP_BYTES):
        text, found = data[start : start + _STEP_BYTES], mask[start : start + _STEP_BYTES]
        for char in chars:
            found |= np.equal(text, char, out=same[: len(text)])
    return np.flatnonzero(mask)


def _spans(breaks: Ints) -> tuple[Ints, Ints]:
    """First separator and number of separators of each line, from the indices of the newlines."""
    first = np.concatenate(([0], breaks[:-1] + 1))
    return first, breaks - first + 1


def _without_quoted(page: Page, tokens: Tokens) -> Tokens:
    """The same without quotes and without what stands between them; marks the lines where that can't be told by counting.

    Quotes here are those without a backslash before them. A line is sure when they are even in number, each odd one right after a
    ``=``, each even one right before a separator, and all of them after the first space, which then ends the tags (a quote in a tag
    opens nothing). For such a line the exact route sees the same strings, or refuses the line before it opens one.
    """
    at, char, first = tokens.at, tokens.char, tokens.first
    line_of = np.repeat(np.arange(tokens.lines), tokens.count)
    quotes = np.flatnonzero(char == QUOTE)
    quote_line = line_of[quotes]
    number = np.bincount(quote_line, minlength=tokens.lines)
    rank = np.arange(len(quotes)) - (np.cumsum(number) - number)[quote_line]
    opens = (rank & 1) == 0
    after = at[quotes] + 1
    follower = page.data[after]
    well = np.where(opens, page.data[after - 2] == EQUALS, (follower == COMMA) | (follower == SPACE) | (after == tokens.end[quote_line]))
    has = number > 0
    unsure = (number & 1) == 1
    unsure[quote_line[~well]] = True
    unsure |= has & (tokens.doubled | np.isin(page.data[tokens.begin], (SPACE, TAB)))
    unsure[quote_line[rank == 0]] |= (first_spaces(tokens, line_of)[quote_line] > quotes)[rank == 0]
    level = np.cumsum(char == QUOTE)
    inside = ((level - (level[first] - (char[first] == QUOTE))[line_of]) & 1) == 1
    keep = ~(inside | (char == QUOTE)) | (char == NEWLINE)
    kept = char[keep]
    first, count = _spans(np.flatnonzero(kept == NEWLINE))
    return Tokens(at[keep], kept, first, count, tokens.begin, unsure, tokens.doubled)


def first_spaces(tokens: Tokens, line_of: Ints) -> Ints:
    """For each line, the index of its first space; beyond all indices where it has none."""
    spaces = np.flatnonzero(tokens.char == SPACE)[::-1]
    found = np.full(tokens.lines, len(tokens.at), dtype=np.int64)
    found[line_of[spaces]] = spaces  # of several for one line the last assigned stays: the first space
    return found


def alike(page: Page, tokens: Tokens, lines: Ints, kind_of: Words) -> list[Ints]:
    """``lines`` in groups of the same separators, measurement, keys and types of values, as far as a hash can tell.

    ``kind_of`` maps the last byte of a field's value to a number for its type.
    """
    line_of = np.repeat(np.arange(tokens.lines), tokens.count)
    place = np.arange(len(tokens.at)) - tokens.first[line_of]
    start = np.empty_like(tokens.at)
    start[1:] = tokens.at[:-1] + 1
    start[tokens.first] = tokens.begin
    length = tokens.at - start
    key = (tokens.char == EQUALS) | (place == 0)
    head = first_bytes(page.words[start], length)
    head *= _MIX[0]
    tail = page.words[tokens.at - 8]
    tail *= _MIX[1]
    tail *= length > 8
    head ^= tail
    head += length.astype(np.uint64) * _MIX[2]
    value = kind_of[page.data[tokens.at - 1]] * (np.arange(len(tokens.at)) > first_spaces(tokens, line_of)[line_of])
    mixed = np.where(key, head, value)
    mixed ^= mixed >> np.uint64(32)
    mixed += tokens.char
    mixed *= _MIX[3]
    mixed ^= mixed >> np.uint64(29)
    mixed *= _ODD[np.minimum(place, SEPARATORS_MAX - 1)]
    hashes = numbers_array(np.add.reduceat(mixed, tokens.first)[lines], pa.uint64())
    codes = numbers_of(hashes.dictionary_encode().indices, np.int32)
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    return np.split(lines[order], bounds)
