"""The fast route: lines of one shape are read as columns, all cells of a type at once.

It takes a line only when it has proved that the exact route would read the same: same separators and keys as the first line of its
group, whose names pass the same checks, and every cell of its column's type; a backslash, where there is one, escapes the character
after it or stands for itself, because lines with two in a row do not come here. All other lines are handed back. Nothing here loops
over lines; the work is in NumPy and Arrow, which release the interpreter lock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.records import ARROW_OF, TS_TYPE, Kind
from appliance.sources.codecs.line_protocol import cells, grammar
from appliance.sources.codecs.line_protocol.arrays import bools_array, numbers_array, texts_array, views_array
from appliance.sources.codecs.line_protocol.cells import Page, Words
from appliance.sources.codecs.line_protocol.plan import KIND_OF, KINDS, Plan, plan_of
from appliance.sources.codecs.line_protocol.tokens import BACKSLASH, QUOTE, SEPARATORS_MAX, Tokens, alike
from appliance.sources.codecs.line_protocol.values import Flags, Ints, Part, Rules, Shape

GROUP_LINES_MIN = 12
"""Fewer lines of a shape cost more as columns than one by one."""

UNSIGNED, MINUS = b"u-"
_PATTERN = re.compile(rb"((?:,=)*+) =((?:,=)*+)( ?)\n")


@dataclass(slots=True)
class _Pile:
    """Cells of one type, put together from all groups of a page so that they are read in one go."""

    starts: list[Ints] = field(default_factory=list)
    ends: list[Ints] = field(default_factory=list)
    cells: int = 0
    values: Any = None
    bad: Flags | None = None

    def add(self, starts: Ints, ends: Ints) -> slice:
        """Puts cells on the pile and says where they lie."""
        self.starts.append(starts.reshape(-1))
        self.ends.append(ends.reshape(-1))
        place = slice(self.cells, self.cells + starts.size)
        self.cells += starts.size
        return place

    def flat(self) -> tuple[Ints, Ints]:
        """All starts and all ends."""
        if len(self.starts) == 1:
            return self.starts[0], self.ends[0]
        return np.concatenate(self.starts), np.concatenate(self.ends)


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines of one shape, and where their cells lie on the piles."""

    shape: Shape
    lines: Ints
    ends: Ints
    """Offset in the page past each line's last byte."""
    times: slice | None
    tags: slice
    fields: list[slice]


class _Columns:
    """What is being read from one page."""

    def __init__(self, page: Page, tokens: Tokens, rules: Rules) -> None:
        self.page, self.tokens, self.rules = page, tokens, rules
        self.escapes = bool((page.data == BACKSLASH).any())
        self.groups: list[_Group] = []
        self.times, self.tags = _Pile(), _Pile()
        self.fields = {kind: _Pile() for kind in KINDS}


def read_lines(page: Page, tokens: Tokens, lines: Ints, first_line: int, rules: Rules) -> tuple[list[Part], Ints]:
    """Parts with those of ``lines`` (indices of lines of the page, rising) that could be taken, and the rest, to be read exactly.

    ``lines`` are neither comments nor unsure ones. ``first_line`` is the body's number of the page's first line.
    """
    columns = _Columns(page, tokens, rules)
    rest: list[Ints] = [lines[:0]]
    if len(lines) != tokens.lines or not tokens.uniform or len(_add(columns, lines, tokens.at.reshape(len(lines), -1).T.copy())):
        columns = _Columns(page, tokens, rules)
        few = tokens.count[lines] <= SEPARATORS_MAX
        rest.append(lines[~few])
        for group in alike(page, tokens, lines[few], KIND_OF):
            rest.extend(_add_group(columns, group))
    _read_piles(columns)
    parts = []
    for each in columns.groups:
        part, unread = _part(columns, each, first_line)
        rest.append(unread)
        if part is not None:
            parts.append(part)
    return parts, np.concatenate(rest)


def _add_group(columns: _Columns, lines: Ints) -> list[Ints]:
    """Adds the lines that really have the first one's separators; gives back the others."""
    if len(lines) < GROUP_LINES_MIN:
        return [lines]
    tokens = columns.tokens
    number = int(tokens.count[lines[0]])
    same = tokens.count[lines] == number
    index = tokens.first[lines[same]] + np.arange(number)[:, None]
    chars = tokens.char[index]
    same[same] = (chars == chars[:, :1]).all(axis=0)
    if not same.all():
        index = tokens.first[lines[same]] + np.arange(number)[:, None]
    return [lines[~same], _add(columns, lines[same], tokens.at[index])]


def _add(columns: _Columns, lines: Ints, at: Ints) -> Ints:
    """Puts the cells of ``lines`` on the piles and gives back the lines that are not like the first one.

    ``at`` has a row for each separator and a column for each line; all columns have the same separators. Even rows end a measurement
    or a value, odd ones a key; after the last field's value there may be one more row: the timestamp's end.
    """
    page, tokens = columns.page, columns.tokens
    start = int(tokens.first[lines[0]])
    pattern = _PATTERN.fullmatch(tokens.char[start : start + len(at)].tobytes())
    if pattern is None:
        return lines
    tags, keys = len(pattern[1]) // 2, (len(pattern[1]) + len(pattern[2])) // 2 + 1
    key_starts = np.concatenate((tokens.begin[lines][None, :], at[0 : 2 * keys : 2] + 1))
    key_ends = at[[0, *range(1, 2 * keys, 2)]]
    starts, ends = at[1 : 2 * keys : 2] + 1, at[2 : 2 * keys + 1 : 2]
    kinds = KIND_OF[page.data[ends[tags:] - 1]]
    names = tuple(page.data[start:end].tobytes() for start, end in zip(key_starts[:, 0].tolist(), key_ends[:, 0].tolist(), strict=True))
    plan = plan_of(names, tags, bytes(kinds[:, 0].tolist()), columns.rules.name_bytes_max)
    if plan is None:
        return lines
    bad = plan.unlike(page, key_starts, key_ends)
    bad |= (kinds != plan.kinds).any(axis=0)
    bad |= _unfit(page, plan, starts, ends, columns.rules.value_bytes_max)
    if bad.all():
        return lines
    rest = lines[:0]
    if bad.any():
        lines, rest, at, starts, ends = lines[~bad], lines[bad], at[:, ~bad], starts[:, ~bad], ends[:, ~bad]
    times = columns.times.add(at[2 * keys] + 1, at[2 * keys + 1]) if pattern[3] else None
    places = _add_fields(columns, plan, starts[tags:], ends[tags:])
    columns.groups.append(_Group(plan.shape, lines, at[-1], times, columns.tags.add(starts[:tags], ends[:tags]), places))
    return rest


def _unfit(page: Page, plan: Plan, starts: Ints, ends: Ints, value_bytes_max: int) -> Flags:
    """The lines with an empty tag value, a tag value or a string over the limit, or a minus before an unsigned integer."""
    tags = len(plan.shape.tags)
    bad: Flags = np.zeros(starts.shape[1], dtype=np.bool_)
    if tags:
        length = ends[:tags] - starts[:tags]
        bad |= ((length < 1) | (length > value_bytes_max)).any(axis=0)
    for kind, rows in plan.rows.items():
        first, last = starts[tags + rows], ends[tags + rows]
        if kind is Kind.TEXT:
            length = last - first - 2
            bad |= ((length < 0) | (length > value_bytes_max) | (page.data[first] != QUOTE)).any(axis=0)
        elif kind is Kind.INT:
            unsigned = page.data[last - 1] == UNSIGNED
            if unsigned.any():
                bad |= (unsigned & (page.data[first] == MINUS)).any(axis=0)
    return bad


def _add_fields(columns: _Columns, plan: Plan, starts: Ints, ends: Ints) -> list[slice]:
    """Puts the values of fields on the piles of their types, without suffixes and quotes, and says where each field's lie."""
    places = [slice(0)] * len(starts)
    lines = starts.shape[1]
    for kind, rows in plan.rows.items():
        first = columns.fields[kind].add(starts[rows] + (kind is Kind.TEXT), ends[rows] - (kind in (Kind.TEXT, Kind.INT))).start
        for row in rows.tolist():
            places[row] = slice(first, first + lines)
            first += lines
    return places


def _read_piles(columns: _Columns) -> None:
    page, piles = columns.page, columns.fields
    for pile, read in (
        (columns.times, partial(cells.read_times, precision=columns.rules.precision)),
        (piles[Kind.INT], cells.read_ints),
        (piles[Kind.FLOAT], cells.read_floats),
        (piles[Kind.BOOL], cells.read_bools),
    ):
        if pile.cells:
            pile.values, pile.bad = read(page, *pile.flat())
    for pile in (columns.tags, piles[Kind.TEXT]):
        if pile.cells:
            pile.values = cells.views_of(page, *pile.flat())


def _part(columns: _Columns, group: _Group, first_line: int) -> tuple[Part | None, Ints]:
    """The group's records, and its lines with a cell that could not be read."""
    shape, lines, ends = group.shape, group.lines, group.ends
    places = [(columns.fields[kind], place) for kind, place in zip(shape.kinds, group.fields, strict=True)]
    if group.times is not None:
        places.append((columns.times, group.times))
    flags = [pile.bad[place] for pile, place in places if pile.bad is not None]
    bad: Flags = np.logical_or.reduce(flags) if flags else np.zeros(len(lines), dtype=np.bool_)
    keep: Any = ~bad if bad.any() else slice(None)
    values = [pile.values[place][keep] for pile, place in places]
    kept, shift = lines[keep], columns.page.shift
    if not len(kept):
        return None, lines
    ts = values.pop() if group.times is not None else np.full(len(kept), columns.rules.missing_ts_us)
    size = len(lines)
    tag_views = (columns.tags.values[group.tags.start + i * size : group.tags.start + (i + 1) * size][keep] for i in range(len(shape.tags)))
    arrays = [_tag_array(columns, views) for views in tag_views]
    arrays += [_field_array(columns, kind, column) for kind, column in zip(shape.kinds, values, strict=True)]
    starts = columns.tokens.begin[kept] - shift
    return Part(shape, kept + first_line, starts, ends[keep] - shift, numbers_array(ts, TS_TYPE), tuple(arrays)), lines[bad]


def _tag_array(columns: _Columns, views: Words) -> Any:
    coded = views_array(views, columns.page.data).dictionary_encode()
    values = coded.dictionary.cast(pa.string())
    if columns.escapes and pc.any(pc.match_substring(values, "\\")).as_py():
        values = texts_array([grammar.key_name(value.encode()) for value in values.to_pylist()])
    return pa.DictionaryArray.from_arrays(coded.indices, values)


def _field_array(columns: _Columns, kind: Kind, values: npt.NDArray[Any]) -> Any:
    if kind is Kind.TEXT:
        texts = views_array(values, columns.page.data).cast(pa.string())
        return pc.replace_substring(texts, '\\"', '"') if columns.escapes else texts
    return bools_array(values) if kind is Kind.BOOL else numbers_array(values, ARROW_OF[kind])
