"""Plans of questions that come again at other times: DuckDB makes a plan once, and runs it with other moments after that.

To parse, bind and optimize is two thirds of what DuckDB needs for a question of some thousand rows. Only plain questions over hot rows
alone are run so: a plan with moments left open can't leave out row groups of a file by them. Left open are the moments that ``ts`` is
compared with in the WHERE of one SELECT. A text left open would have DuckDB plan anew each time (2.0 does so for any VARCHAR).
What is run must be what was asked: each piece of text that is taken out is parsed alone and compared with its place in the tree.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from appliance.cold.batch.views.tree import arguments, same
from appliance.serving.duck import Planner, next_rows, read, uses_now
from appliance.serving.plain_select import MIRRORED, PlainSelect, is_ts, moment_us
from appliance.serving.statement import Statement
from appliance.serving.templates import constants
from appliance.serving.work import Work

log = logging.getLogger(__name__)
PLANS_MAX: Final = 128
SEEN_MAX: Final = 256
TEMPLATES_MAX: Final = 128
_NAME: Final = "__plan"


class Slot(NamedTuple):
    """A moment that is left open."""

    low: int
    """Where it begins and ends in the text, with each constant of ``templates`` counted as one character."""
    high: int
    node: Any
    """Its expression, which has the constants of the question at hand."""


@dataclass(frozen=True, slots=True)
class _Template:
    """What all questions of a text have in common."""

    tree: Any
    slots: tuple[Slot, ...]


class Plans:
    """Owned by the engine, as is ``runner``. Of one thread."""

    def __init__(self, runner: duckdb.DuckDBPyConnection, planner: Planner) -> None:
        self._runner = runner
        self._planner = planner
        self._templates: OrderedDict[str, _Template] = OrderedDict()
        self._plans: OrderedDict[tuple[str, str], str] = OrderedDict()
        """(source, text with its moments left open) -> name; empty: there can't be one."""
        self._seen: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._count = 0

    def opened(self, work: Work, *, batch_rows: int) -> tuple[pa.RecordBatchReader, pa.RecordBatch | None] | None:
        """The rows of a question and the first of them. None: it is to be run as it is written, also to say what is wrong with it."""
        plain, is_hot = work.plain, not any(pin.files for pin in work.snapshot.streams.values())
        if plain is None or not (is_hot and work.source and work.text) or work.since_us is not None or work.statement.explain:
            return None
        slots = self._template(work.statement, work.text, plain).slots
        filled = _filled(work.statement.sql, slots, work.now_us)
        name = "" if filled is None else self._plan(work.source, filled[0])
        if filled is None or not name:
            return None
        values = f"({', '.join(filled[1])})" if filled[1] else ""
        try:
            reader = read(self._runner, f"EXECUTE {name}{values}", batch_rows=batch_rows, is_select=True)
        except duckdb.Error:
            return None
        try:
            return reader, next_rows(reader)
        except (duckdb.Error, pa.ArrowException):
            reader.close()
            return None
        except BaseException:
            reader.close()  # an open result would block the connection
            raise

    def _template(self, statement: Statement, text: str, plain: PlainSelect) -> _Template:
        found = self._templates.get(text)
        if found is None or found.tree is not statement.tree:
            slots = slots_of(statement, plain, self._planner)
            found = self._templates[text] = _Template(statement.tree, slots)
            if len(self._templates) > TEMPLATES_MAX:
                self._templates.popitem(last=False)
        self._templates.move_to_end(text)
        return found

    def _plan(self, source: str, opened: str) -> str:
        """Its name; empty where there is none. One is made when the text is there for the second time."""
        key = (source, opened)
        name = self._plans.get(key)
        if name is None and self._seen.pop(key, False):
            name = self._plans[key] = self._made(source, opened)
            while len(self._plans) > PLANS_MAX:
                _, gone = self._plans.popitem(last=False)
                if gone:
                    self._runner.execute(f"DEALLOCATE {gone}")
        elif name is None:
            self._seen[key] = True
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            return ""
        self._plans.move_to_end(key)
        return name or ""

    def _made(self, source: str, opened: str) -> str:
        self._count += 1
        name = f"{_NAME}_{self._count}"
        try:
            self._runner.execute(f"PREPARE {name} AS WITH {source} {opened}")
        except duckdb.Error as e:
            log.debug("a plan with its moments left open could not be made: %s", e)
            return ""
        return name


def _filled(sql: str, slots: Sequence[Slot], now_us: int) -> tuple[str, list[str]] | None:
    """The text with its moments left open, and the values; None where one of them is not plain, or ``now()`` is left in it."""
    at = _places(sql)
    pieces, values, end = [], [], 0
    for number, slot in enumerate(slots, start=1):
        us = moment_us(slot.node, now_us=now_us)
        if us is None:
            return None
        pieces += [sql[end : at(slot.low)], f"make_timestamp(${number}::BIGINT)"]
        values.append(str(us))
        end = at(slot.high)
    opened = "".join([*pieces, sql[end:]])
    return None if uses_now(opened) else (opened, values)


def slots_of(statement: Statement, plain: PlainSelect, planner: Planner) -> tuple[Slot, ...]:
    """What can be left open, in the order of the text."""
    counted, at = _counted(statement.text), _places(statement.sql)
    found = []
    for node in sorted(_open(plain), key=lambda one: _span(one) or (0, 0)):
        low, high = (counted.get(place) for place in _span(node) or (-1, -1))
        if low is not None and high is not None and _is_whole(planner, statement.sql[at(low) : at(high)], node):
            found.append(Slot(low, high, node))
    return tuple(found) if all(a.high <= b.low for a, b in pairwise(found)) else ()


def _open(plain: PlainSelect) -> Iterator[Any]:
    """Expressions of the WHERE that may be moments."""
    alias = plain.alias.lower()
    stack = [plain.node["where_clause"]]
    while stack:
        part = stack.pop()
        if not isinstance(part, dict):
            continue
        if part["type"] == "CONJUNCTION_AND":
            stack.extend(part["children"])
        elif part["type"] == "COMPARE_BETWEEN" and is_ts(part["input"], alias):
            yield from (part["lower"], part["upper"])
        elif part["type"] in MIRRORED and "left" in part:
            sides = (part["left"], part["right"])
            if any(is_ts(one, alias) for one in sides):
                yield from (one for one in sides if not is_ts(one, alias))


def _span(node: Any) -> tuple[int, int] | None:
    """Where an expression stands in the text; of an operator from its first part to its last one. None: it is not told."""
    if node.get("class") == "FUNCTION" and node.get("is_operator"):
        parts = [_span(part) for part in arguments(node)]
        return None if len(parts) != 2 or parts[0] is None or parts[1] is None else (parts[0][0], parts[1][1])
    low, length = node.get("query_location", 0), node.get("query_location_length", 0)
    return (low, low + length) if length else None


def _is_whole(planner: Planner, text: str, node: Any) -> bool:
    """Whether the text alone is just that expression, and a moment."""
    try:
        (item,) = planner.tree(f"SELECT {text}")["node"]["select_list"]
    except (ValueError, duckdb.Error):
        return False
    return moment_us(node, now_us=0) is not None and same(item) == same(node)


def _counted(sql: str) -> Mapping[int, int]:
    """Places of a text -> places where each constant counts as one character; without those within constants."""
    found: dict[int, int] = {}
    at = counted = 0
    for low, high in [*constants(sql), (len(sql) + 1, len(sql) + 1)]:
        found |= {place: counted + place - at for place in range(at, low)}
        counted += low - at
        if low <= len(sql):
            found[low] = counted
        at, counted = high, counted + 1
    return found


class _places:  # noqa: N801 - a function that remembers
    """The other way round."""

    def __init__(self, sql: str) -> None:
        self._steps: list[tuple[int, int]] = []
        shift = 0
        for low, high in constants(sql):
            self._steps.append((low - shift, high - low - 1))
            shift += high - low - 1

    def __call__(self, counted: int) -> int:
        return counted + sum(more for place, more in self._steps if place < counted)
