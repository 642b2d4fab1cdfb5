"""The exact route: one line at a time, any line. It says what line protocol means; the fast route must agree with it.

Used for the lines that the fast route can't take and for bodies of a few lines. A loop over lines in Python is allowed here only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from appliance.errors import RejectRecord
from appliance.records import ARROW_OF, TS_TYPE, Kind, Reject
from appliance.sources.codecs.line_protocol import bounds, grammar
from appliance.sources.codecs.line_protocol.arrays import bools_array, numbers_array, texts_array
from appliance.sources.codecs.line_protocol.grammar import Malformed, Unclosed, Unfit
from appliance.sources.codecs.line_protocol.values import Part, Rules, Shape

CR, SPACE, COMMA, HASH = b"\r ,#"
_BLANKS = re.compile(rb"[ \t]*+")
_SPACES = re.compile(rb" *+")
_FIELD_KEY = re.compile(rb"(?:[^\\,= \n]++|\\[^\n])*+")
_HEAD = re.compile(rb"(?:[^\\ \n]++|\\[^\n])*+")
_CACHED_BYTES_MAX = 512
_AGAIN_TIMES_MAX = 4
"""How many times its own size of a body may be read again in vain, looking for the end of a string. Lines of ``",k=" y=1",z="`` are
open at their end both when they begin a record and when they go on with one, and would cost the square of their number."""

_cached_head = lru_cache(maxsize=1024)(grammar.read_head)
_cached_key_name = lru_cache(maxsize=4096)(grammar.key_name)


_DTYPE: Mapping[Kind, type[np.generic]] = {Kind.FLOAT: np.float64, Kind.INT: np.int64, Kind.BOOL: np.bool_}


class Row(NamedTuple):
    """One record as it is read."""

    line: int
    start: int
    end: int
    ts: int
    tags: tuple[str, ...]
    fields: tuple[Any, ...]


_Field = tuple[bytes, bytes, bytes | None]
_Key = tuple[str, tuple[str, ...], tuple[str, ...], tuple[Kind, ...]]


class ExactReader:
    """Reads lines of one body and collects what they hold. Owned by one call of ``parse``."""

    def __init__(self, body: bytes, rules: Rules) -> None:
        self.rejects: list[Reject] = []
        self._body = body
        self._rules = rules
        self._rows: dict[_Key, list[Row]] = {}
        self._columns = 0
        self._again_bytes_left = _AGAIN_TIMES_MAX * len(body)

    def take(self, start: int, line: int) -> int:
        """Reads the line that starts at ``start`` (physical line ``line`` of the body, from 0); gives where the next one starts.

        A record is longer than its physical line when a string in it holds raw newlines, is closed, and all of the record is well formed;
        otherwise only the physical line is refused and reading goes on at its end, so that no quote left open swallows good lines.
        """
        end = self._line_end(start)
        next_start = end + 1
        if end > start and self._body[end - 1] == CR:
            end -= 1
        first = _end_of(_BLANKS, self._body, start, end)
        if first == end or self._body[first] == HASH:
            return next_start
        try:
            self._keep(line, start, first, end)
        except Unclosed as error:
            longer = self._end_of_open_line(first, end)
            if longer is not None and self._keep_open(line, start, first, longer):
                return self._line_end(longer) + 1
            self._refuse(error, line, start, end)
        except (Malformed, Unfit) as error:
            self._refuse(error, line, start, end)
        return next_start

    def hand_over(self) -> list[Part]:
        """What was read since the last time, by shape."""
        rows_of, self._rows = self._rows, {}
        return [_part(Shape(*key), sorted(rows)) for key, rows in rows_of.items()]

    def _keep(self, line: int, start: int, first: int, end: int) -> None:
        """Reads the record between ``first`` and ``end``. Raises the reason of its refusal."""
        rules = self._rules
        raw_head, found, token = _split(self._body, first, end)
        head = _read_head(raw_head, rules.value_bytes_max)
        kinds: dict[str, Kind] = {}
        values: dict[str, Any] = {}
        for key, text, bare in found:
            name = (_cached_key_name if len(key) <= _CACHED_BYTES_MAX else grammar.key_name)(key)
            if bare is None:
                kinds[name], values[name] = Kind.TEXT, grammar.string_value(text, name, rules.value_bytes_max)
            else:
                kinds[name], values[name] = grammar.bare_value(bare, name)
        ts = grammar.timestamp_us(token, rules.precision) if token else rules.missing_ts_us
        names = tuple(values)
        reason = grammar.names_refused(head.stream, head.tags, names, rules.name_bytes_max)
        if reason is not None:
            raise Unfit(reason)
        row = Row(line, start, end, ts, head.values, tuple(values.values()))
        shape = (head.stream, head.tags, names, tuple(kinds.values()))
        rows = self._rows.get(shape)
        if rows is None:
            rows = self._rows[shape] = []
            self._columns += len(head.tags) + len(names) + bounds.SHAPE_COSTS_COLUMNS
            bounds.check(self._columns, bounds.SHAPE_COLUMNS_MAX, "columns of different shapes of lines")
        rows.append(row)

    def _keep_open(self, line: int, start: int, first: int, end: int) -> bool:
        """As ``_keep``, for a record of several physical lines. False: it is not well formed as a whole."""
        try:
            self._keep(line, start, first, end)
        except Unclosed:
            self._again_bytes_left -= len(self._body) - first
            return False
        except Malformed:
            self._again_bytes_left -= end - first
            return False
        except Unfit as error:
            if not _is_well_formed(self._body, first, end, self._rules):
                return False
            self._refuse(error, line, start, end)
        return True

    def _end_of_open_line(self, first: int, end: int) -> int | None:
        """Where the record ends that starts at ``first`` and whose string is open at ``end``; None when nothing closes it."""
        body = self._body
        if self._again_bytes_left < 0 or body.find(b'"', end) < 0:
            return None
        match = grammar.FIELDS_TO_LINE_END.match(body, _end_of(_SPACES, body, _end_of(_HEAD, body, first, end), end))
        longer = end if match is None else match.end()
        if body[longer - 1] == CR:
            longer -= 1
        if longer <= end:
            self._again_bytes_left -= len(body) - first
            return None
        return longer

    def _line_end(self, start: int) -> int:
        end = self._body.find(b"\n", start)
        return len(self._body) if end < 0 else end

    def _refuse(self, error: Exception, line: int, start: int, end: int) -> None:
        size_max = self._rules.raw_bytes_max
        cut = f" (the first {size_max} of {end - start} bytes are kept)" if end - start > size_max else ""
        raw = self._body[start : min(end, start + size_max)]
        bounds.check(len(self.rejects) + 1, bounds.REFUSED_LINES_MAX, "lines that can't be taken")
        self.rejects.append(Reject(f"{error}{cut}", raw, line + 1, _stream_of(raw, self._rules)))


def _end_of(pattern: re.Pattern[bytes], body: bytes, start: int, end: int) -> int:
    """Where the match at ``start`` ends; for patterns that match everywhere, if only nothing."""
    match = pattern.match(body, start, end)
    assert match is not None
    return match.end()


def _is_well_formed(body: bytes, first: int, end: int, rules: Rules) -> bool:
    """Whether fields and timestamp between ``first`` and ``end`` have the form of such, limits aside."""
    try:
        _, found, token = _split(body, first, end)
    except Malformed:
        return False
    except Unfit:
        return True
    readers: list[Callable[[], object]] = [partial(grammar.bare_value, bare, "") for _, _, bare in found if bare is not None]
    if token:
        readers.append(partial(grammar.timestamp_us, token, rules.precision))
    for read in readers:
        try:
            read()
        except Malformed:
            return False
        except Unfit:
            continue
    return True


def _stream_of(raw: bytes, rules: Rules) -> str | None:
    """The stream that a refused line was for, if that much can be read."""
    first = _end_of(_BLANKS, raw, 0, len(raw))
    try:
        stream = _read_head(raw[first : _end_of(_HEAD, raw, first, len(raw))], rules.value_bytes_max).stream
    except RejectRecord:
        return None
    return stream if grammar.names_refused(stream, (), (), rules.name_bytes_max) is None else None


def _read_head(raw: bytes, value_bytes_max: int) -> grammar.Head:
    """Heads repeat from line to line; short ones are remembered."""
    return (_cached_head if len(raw) <= _CACHED_BYTES_MAX else grammar.read_head)(raw, value_bytes_max)


def _split(body: bytes, first: int, end: int) -> tuple[bytes, list[_Field], bytes]:
    """Head, fields and timestamp of the record between ``first`` and ``end``. Raises ``Malformed`` or ``Unfit``."""
    head_end = _end_of(_HEAD, body, first, end)
    at = _end_of(_SPACES, body, head_end, end)
    found: list[_Field] = []
    match_field = grammar.FIELD.match
    while (match := match_field(body, at, end)) is not None:
        found.append((match[1], match[2], match[3]))
        at = match.end()
        if at == end or body[at] == SPACE:
            return body[first:head_end], found, body[at:end].strip(b" ")
        if body[at] != COMMA:
            raise Malformed(f"invalid field format: {grammar.excerpt(body[at:end])} after a closing quote")
        if len(found) > grammar.COLUMNS_MAX:
            raise Unfit(f"more than {grammar.COLUMNS_MAX} fields")
        at += 1
    why = _why_no_field(body[at:end], first=not found)
    if not isinstance(why, Unclosed):
        try:
            grammar.read_head(body[first:head_end], end)
        except RejectRecord as error:
            raise Malformed(str(error)) from error  # what is wrong further left is said first
    raise why


def _why_no_field(rest: bytes, *, first: bool) -> Malformed:
    """What is wrong with a text that should start with a field."""
    key = rest[: _end_of(_FIELD_KEY, rest, 0, len(rest))]
    after = rest[len(key) : len(key) + 2]
    if first and not rest:
        return Malformed("missing fields")
    if not key:
        return Malformed("missing field key")
    if after == b'="':
        return Unclosed()
    return Malformed(f"missing field value: {grammar.excerpt(key)}")


def _part(shape: Shape, rows: Sequence[Row]) -> Part:
    """Rows of one shape, by column."""
    lines, starts, ends, ts, tags, fields = zip(*rows, strict=True)
    where = np.array((lines, starts, ends), dtype=np.int64)
    columns = zip(*tags, strict=True)
    arrays: list[Any] = [_one_tag(column[0]) if len(rows) == 1 else texts_array(column).dictionary_encode() for column in columns]
    arrays += [_field_array(kind, column) for kind, column in zip(shape.kinds, zip(*fields, strict=True), strict=True)]
    return Part(shape, where[0], where[1], where[2], numbers_array(np.array(ts, dtype=np.int64), TS_TYPE), tuple(arrays))


@lru_cache(maxsize=1024)
def _one_tag(value: str) -> Any:
    """A column of one tag value; a lone line mostly repeats those of the one before."""
    return texts_array((value,)).dictionary_encode()


def _field_array(kind: Kind, column: Sequence[Any]) -> Any:
    if kind is Kind.TEXT:
        return texts_array(column)
    values = np.array(column, dtype=_DTYPE[kind])
    return bools_array(values) if kind is Kind.BOOL else numbers_array(values, ARROW_OF[kind])
