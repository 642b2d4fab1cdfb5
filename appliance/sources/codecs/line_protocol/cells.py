"""Reads many short texts of a block at once: integers, floats, booleans, strings. Arithmetic on eight bytes at a time, no loop over cells.

A block is held in a ``Page`` that can be read as a 64-bit word at any byte. Digits are turned into numbers eight at a time, as in
D. Lemire, "Quickly parsing eight digits" (2018); here over whole columns. Each reader says which cells it could not read
(None: it read all); what stands for those in the values has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.sources.codecs.line_protocol.arrays import numbers_of, views_array
from appliance.sources.codecs.line_protocol.values import AUTO_BELOW, TS_US_MAX, TS_US_MIN, Flags, Ints, Precision

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Bad = Flags | None

PAD = 32
"""Zero bytes before and after the text: words are read from 24 bytes before a cell on."""
_ALL = (1 << 64) - 1
FIRST_BYTES: Words = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)
"""``word & FIRST_BYTES[n]``: its first n bytes (little-endian)."""
_AFTER_LENGTH: Words = FIRST_BYTES << np.uint64(32)
_LAST_BYTES: Words = np.array([_ALL ^ ((1 << (8 * (8 - n))) - 1) for n in range(9)], dtype=np.uint64)
_MINUS, _PLUS = b"-+"
_DIGITS_MAX = 19
_FLOAT = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INLINE_MAX = 12
"""Bytes of a string that Arrow's string views hold in the view itself."""


def word(text: bytes) -> int:
    """Up to eight bytes as they stand in a word of a page, zeros after them."""
    return int.from_bytes(text, "little")


_TRUE = tuple(map(word, (b"t", b"T", b"true", b"True", b"TRUE")))
_FALSE = tuple(map(word, (b"f", b"F", b"false", b"False", b"FALSE")))


@dataclass(frozen=True, slots=True)
class Page:
    """One block of a body. Offsets into ``data`` are the body's plus ``shift``."""

    data: Bytes
    words: Words
    """``words[i]`` is the eight bytes from ``data[i]`` on."""
    shift: int

    @staticmethod
    def of(body: bytes, start: int, stop: int) -> Page:
        """The bytes from ``start`` to ``stop``; ends with a newline even where the body does not."""
        size = stop - start
        closed = body[stop - 1] == 0x0A
        data = np.empty(size + (not closed) + 2 * PAD, dtype=np.uint8)
        data[:PAD] = 0
        data[PAD : PAD + size] = np.frombuffer(body, dtype=np.uint8, count=size, offset=start)
        data[PAD + size :] = 0
        if not closed:
            data[PAD + size] = 0x0A
        words: Words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data.data, strides=(1,))
        return Page(data, words, PAD - start)


def first_bytes(words: Words, count: Ints) -> Words:
    """Each word with all but its first ``count`` bytes zero; changes ``words``."""
    words &= FIRST_BYTES[np.clip(count, 0, 8)]
    return words


def read_ints(page: Page, starts: Ints, ends: Ints) -> tuple[Ints, Bad]:
    """Decimal integers of 1 to 19 digits, with a minus or without; more digits, or beyond 64 bits, count as unread."""
    minus = page.data[starts] == _MINUS
    signed = bool(minus.any())
    length = ends - starts
    if signed:
        length -= minus
    value, stray = _digits(page.words, ends, length)
    longest = int(length.max(initial=0))
    bad: Flags = stray != 0
    if int(length.min(initial=1)) < 1 or longest > _DIGITS_MAX:
        bad |= (length < 1) | (length > _DIGITS_MAX)
    if longest >= _DIGITS_MAX:
        bad |= value > (1 << 63) - 1 + minus.astype(np.uint64)
    number: Ints = value.view(np.int64)
    if signed:
        np.negative(number, out=number, where=minus)
    return number, bad if bad.any() else None


def _digits(words: Words, ends: Ints, length: Ints) -> tuple[Words, Words]:
    """The number in the last ``length`` digits before ``ends``, and non-zero where one of them is no digit."""
    value, stray = _eight_digits(words[ends - 8], np.clip(length, 0, 8))
    longest = int(length.max(initial=0))
    for done in (8, 16):
        if longest > done:
            high, high_stray = _eight_digits(words[ends - (8 + done)], np.clip(length - done, 0, 8))
            high *= np.uint64(10**done)
            value += high
            stray |= high_stray
    return value, stray


def _eight_digits(word: Words, count: Ints) -> tuple[Words, Words]:
    """As ``_digits``, for the last ``count`` of a word's eight bytes; changes ``word``."""
    word ^= np.uint64(0x3030303030303030)
    word &= _LAST_BYTES[count]
    stray = word + np.uint64(0x7676767676767676)
    stray |= word
    stray &= np.uint64(0x8080808080808080)
    pairs = word >> np.uint64(8)
    word *= np.uint64(10)
    word += pairs
    low = word & np.uint64(0x000000FF000000FF)
    low *= np.uint64(100 + (1_000_000 << 32))
    word >>= np.uint64(16)
    word &= np.uint64(0x000000FF000000FF)
    word *= np.uint64(1 + (10_000 << 32))
    low += word
    low >>= np.uint64(32)
    return low, stray


def read_floats(page: Page, starts: Ints, ends: Ints) -> tuple[npt.NDArray[np.float64], Bad]:
    """Finite decimal numbers, rounded correctly; infinities count as unread."""
    cells = views_array(views_of(page, starts, ends), page.data)
    try:
        values: npt.NDArray[np.float64] = numbers_of(cells.cast(pa.float64()), np.float64)
    except pa.ArrowInvalid:
        texts = cells.cast(pa.string())
        like = pc.indices_nonzero(pc.match_substring_regex(texts, _FLOAT))
        values = np.full(len(texts), np.nan)
        values[numbers_of(like, np.uint64)] = numbers_of(texts.take(like).cast(pa.float64()), np.float64)
    bad: Flags = ~np.isfinite(values)
    bad |= page.data[starts] == _PLUS  # Arrow takes it
    return values, bad if bad.any() else None


def read_bools(page: Page, starts: Ints, ends: Ints) -> tuple[Flags, Bad]:
    """The ten words for true and false."""
    length = ends - starts
    words = first_bytes(page.words[starts], length)
    true, false = (np.logical_or.reduce([words == each for each in side]) for side in (_TRUE, _FALSE))
    bad: Flags = ~(true | false) | (length > 8)
    return true, bad if bad.any() else None


def read_times(page: Page, starts: Ints, ends: Ints, precision: Precision) -> tuple[Ints, Bad]:
    """Timestamps in microseconds; outside the years 1 to 9999 counts as unread."""
    number, unread = read_ints(page, starts, ends)
    if precision is Precision.NS:
        return number // 1000, unread
    bad: Flags = np.zeros(len(number), dtype=np.bool_) if unread is None else unread
    factor: Any = np.int64(precision.us)
    if precision is Precision.AUTO:
        number, factor = _auto_factor(number)
    bad |= (number < -(-TS_US_MIN // factor)) | (number > TS_US_MAX // factor)
    return number * factor, bad if bad.any() else None


def _auto_factor(number: Ints) -> tuple[Ints, Ints]:
    """Numbers and the microseconds that one of each stands for, by magnitude; nanoseconds are floored to microseconds."""
    size = np.abs(number)  # -2**63 has no positive: it counts as seconds here, is out of range then, and read exactly
    within = [size < below for below, _ in AUTO_BELOW]
    factor = np.select(within, [unit.us for _, unit in AUTO_BELOW], default=0)
    return np.where(factor == 0, number // 1000, number), np.where(factor == 0, 1, factor)


def views_of(page: Page, starts: Ints, ends: Ints) -> Words:
    """Arrow string views (two words each, along a last axis of 2) of the texts between ``starts`` and ``ends``."""
    length = ends - starts
    records = np.ndarray((len(page.data) - 15,), dtype="V16", buffer=page.data.data, strides=(1,))
    views: Words = records[starts - 4].view("<u8").reshape(*starts.shape, 2)  # a view is: length, four bytes, eight bytes
    head, tail = views[..., 0], views[..., 1]
    head &= _AFTER_LENGTH[np.minimum(length, 4)]
    head |= length.astype(np.uint64)
    tail &= FIRST_BYTES[np.clip(length - 4, 0, 8)]
    long = length > _INLINE_MAX
    if long.any():
        np.copyto(tail, starts.astype(np.uint64) << np.uint64(32), where=long)  # the text's buffer (the first) and its place there
    return views
