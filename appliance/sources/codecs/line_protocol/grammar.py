"""The grammar for one line: its parts, escapes, numbers and names; plain functions that raise the reason of a refusal.

Escapes are read from left to right: a backslash before a character that can be escaped in that place (itself included)
stands for the character, any other backslash for itself. Reasons use the words of InfluxDB ("missing fields", "bad timestamp").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from appliance.errors import RejectRecord
from appliance.records import Kind, check_name, fold
from appliance.sources.codecs.line_protocol.values import AUTO_BELOW, TS_US_MAX, TS_US_MIN, Precision

COLUMNS_MAX = 10_000
"""Tags and fields of one line; a line with more is refused before it costs memory."""
INT64_MAX = (1 << 63) - 1

_KEY = rb"(?:[^\\,= \n]++|\\[^\n])++"
_STRING = rb'(?:[^"\\]++|\\.)*+'
_BARE = rb'[^", \n][^, \n]*+'
_ANY_FIELD = b'%b=(?:"%b"|%b)' % (_KEY, _STRING, _BARE)
FIELD = re.compile(b'(%b)=(?:"(%b)"|(%b))' % (_KEY, _STRING, _BARE), re.DOTALL)
"""Groups: key; string without its quotes, escapes still in, raw newlines allowed; any other value."""
FIELDS_TO_LINE_END = re.compile(rb"%b(?:,%b)*+[^\n]*+" % (_ANY_FIELD, _ANY_FIELD), re.DOTALL)
"""From the first field to the end of the line, past newlines inside closed strings."""

_TO_COMMA = re.compile(rb"(?:[^\\,]++|\\.?)*+", re.DOTALL)
_TO_EQUALS = re.compile(rb"(?:[^\\=]++|\\.?)*+", re.DOTALL)
_MEASUREMENT_ESCAPE = re.compile(rb"\\([, \\])")
_KEY_ESCAPE = re.compile(rb"\\([,= \\])")
_STRING_ESCAPE = re.compile(rb'\\(["\\])')
_INTEGER = re.compile(rb"-?[0-9]++")
_FLOAT = re.compile(rb"-?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_BOOLS = dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True) | dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), False)
_DIGITS_MAX = 19
"""Digits of the largest 64-bit integer."""

type_of_value = bool | int | float | str


class Malformed(RejectRecord):
    """These bytes are not line protocol."""


class Unclosed(Malformed):
    """A string is not closed on this line; it may be closed on a later one."""

    def __init__(self) -> None:
        super().__init__("unbalanced quotes")


class Unfit(RejectRecord):
    """Line protocol, but not a record that can be kept: over a limit, out of range, a name twice."""


@dataclass(frozen=True, slots=True)
class Head:
    """Measurement and tags of a line."""

    stream: str
    tags: tuple[str, ...]
    values: tuple[str, ...]


def read_head(head: bytes, value_bytes_max: int) -> Head:
    """All before the first unescaped space. Raises ``Malformed`` or ``Unfit``."""
    if head.count(b",") > COLUMNS_MAX:
        raise Unfit(f"more than {COLUMNS_MAX} tags")
    name, *pairs = _pieces(head, b",")
    if not name:
        raise Malformed("missing measurement")
    tags, values = [], []
    for pair in pairs:
        key, *rest = _pieces(pair, b"=")
        if not key:
            raise Malformed("missing tag key")
        if not rest or not (value := rest[0]):
            raise Malformed(f"missing tag value: {excerpt(pair)}")
        if len(rest) > 1:
            raise Malformed(f"invalid tag format: {excerpt(pair)}")
        if len(value) > value_bytes_max:
            raise Unfit(f"value of tag {excerpt(key)} is longer than {value_bytes_max} bytes")
        tags.append(key_name(key))
        values.append(key_name(value))
    return Head(measurement_name(name), tuple(tags), tuple(values))


def measurement_name(raw: bytes) -> str:
    """A measurement, decoded."""
    return utf8(_unescape(raw, _MEASUREMENT_ESCAPE))


def key_name(raw: bytes) -> str:
    """A tag's key or value or a field's key, decoded."""
    return utf8(_unescape(raw, _KEY_ESCAPE))


def string_value(text: bytes, name: str, value_bytes_max: int) -> str:
    """What stands between the quotes, decoded; the limit counts the bytes as they came."""
    if len(text) > value_bytes_max:
        raise Unfit(f"value of field {excerpt(name)} is longer than {value_bytes_max} bytes")
    return utf8(_unescape(text, _STRING_ESCAPE))


def bare_value(token: bytes, name: str) -> tuple[Kind, type_of_value]:
    """A value without quotes: the last character tells the type. Never NaN, an infinity or an integer beyond 64 bits."""
    last = token[-1:]
    if last in b"0123456789.":
        if not _FLOAT.fullmatch(token):
            raise Malformed(f"invalid number {excerpt(token)} in field {excerpt(name)}")
        number = float(token)
        if not math.isfinite(number):
            raise Unfit(f"invalid number {excerpt(token)} in field {excerpt(name)}: not finite")
        return Kind.FLOAT, number
    if last in b"iu" and (whole := integer(token[:-1])) is not None and not (last == b"u" and token[:1] == b"-"):
        if not -INT64_MAX - 1 <= whole <= INT64_MAX:
            raise Unfit(f"invalid number {excerpt(token)} in field {excerpt(name)}: beyond 64-bit integers")
        return Kind.INT, whole
    if token in _BOOLS:
        return Kind.BOOL, _BOOLS[token]
    what = "number" if token[:1] in b"+-.0123456789nNiI" else "boolean"
    raise Malformed(f"invalid {what} {excerpt(token)} in field {excerpt(name)}")


def integer(digits: bytes) -> int | None:
    """A decimal integer of any length; None when it is none. One of more than 19 digits comes back as beyond 64 bits, whatever it is."""
    if not _INTEGER.fullmatch(digits):
        return None
    if len(digits) <= _DIGITS_MAX:
        return int(digits)
    minus = digits.startswith(b"-")
    size = digits.lstrip(b"-").lstrip(b"0") or b"0"
    number = int(size) if len(size) <= _DIGITS_MAX else INT64_MAX + 2
    return -number if minus else number


def timestamp_us(token: bytes, precision: Precision) -> int:
    """Microseconds since 1970; nanoseconds are floored. Raises when it is no 64-bit integer or outside the years 1 to 9999."""
    ts = integer(token)
    if ts is None:
        raise Malformed(f"bad timestamp {excerpt(token)}")
    if not -INT64_MAX - 1 <= ts <= INT64_MAX:
        raise Unfit(f"bad timestamp {excerpt(token)}: beyond 64-bit integers")
    if precision is Precision.AUTO:
        precision = next((unit for below, unit in AUTO_BELOW if abs(ts) < below), Precision.NS)
    us = ts // 1000 if precision is Precision.NS else ts * precision.us
    if not TS_US_MIN <= us <= TS_US_MAX:
        raise Unfit(f"bad timestamp {excerpt(token)}: outside the years 1 to 9999 when read in {precision}")
    return us


@lru_cache(maxsize=1024)
def names_refused(stream: str, tags: Sequence[str], fields: Sequence[str], name_bytes_max: int) -> str | None:
    """None when the names can be a stream's and its columns', else the reason. Names that differ only in case are the same name."""
    reason = check_name(stream, what="stream", bytes_max=name_bytes_max)
    seen: set[str] = set()
    for names, what in ((tags, "tag"), (fields, "field")):
        for name in names:
            reason = reason or check_name(name, what=what, bytes_max=name_bytes_max)
            if reason is None and fold(name) in seen:
                reason = f"duplicate {what}: {excerpt(name)} (names that differ only in case are one)"
            seen.add(fold(name))
    return reason


def utf8(raw: bytes) -> str:
    """``raw`` decoded; the bytes of a name or a value are UTF-8 or the record is refused."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unfit(f"invalid UTF-8: {excerpt(raw)}") from error


def excerpt(value: bytes | str, chars_max: int = 40) -> str:
    """The beginning of a value for a person, quoted, on one line, harmless on a terminal."""
    text = value[: chars_max * 4].decode(errors="replace") if isinstance(value, bytes) else value
    return repr(text[:chars_max]) + ("…" if len(text) > chars_max else "")


def _pieces(text: bytes, separator: bytes) -> list[bytes]:
    """``text`` cut at each unescaped separator, escapes still in."""
    if b"\\" not in text:
        return text.split(separator)
    pattern = _TO_COMMA if separator == b"," else _TO_EQUALS
    pieces, at = [], 0
    while (piece := pattern.match(text, at)) is not None:
        pieces.append(piece.group())
        at = piece.end() + 1
        if at > len(text):
            break
    return pieces


def _unescape(text: bytes, escape: re.Pattern[bytes]) -> bytes:
    return escape.sub(rb"\1", text) if b"\\" in text else text
