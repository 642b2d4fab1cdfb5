"""What a plain question needs, read off its tree: one SELECT from one table, with comparisons of ``ts`` and constants in its WHERE.

Such are nearly all questions of screens and programs, and for them DuckDB need not be asked for a plan. Whatever is not
understood gives None, and ``pruning`` finds out; like there, a range may come out too wide, never too narrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from appliance.cold.batch.views.tree import arguments, column, function, interval_us
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.pruning import Need, compared
from appliance.serving.snapshot import TableInfo

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?")
"""Of the many ways to write a time those that mean the same everywhere."""
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - times of records have no zone
_ONE_US: Final = timedelta(microseconds=1)
MIRRORED: Final = {
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_EQUAL": "COMPARE_EQUAL",
}
"""Comparisons, and what they are with their sides exchanged."""
NOW: Final = frozenset(["now", "get_current_timestamp", "transaction_timestamp", "current_localtimestamp"])
"""Functions that give the time of the question."""
_ALL_COLUMNS: Final = frozenset({"STAR", "POSITIONAL_REFERENCE", "LAMBDA", "LAMBDA_REF"})
"""Expressions behind which any column may stand."""
_ELSEWHERE: Final = frozenset({"SUBQUERY"})


@dataclass(frozen=True, slots=True)
class PlainSelect:
    """One SELECT from one table, without WITH, UNION, joins or subqueries."""

    node: Any
    """Its SELECT_NODE."""
    table: str
    """As it is written."""
    alias: str
    """Under which its columns are known."""
    columns: frozenset[str] | None
    """Folded names that may be columns of the table; None: all."""
    about_ts: tuple[Any, ...]
    """The parts of its WHERE that hold together and say something about ``ts``."""


def plain_select(tree: Any) -> PlainSelect | None:
    """What a tree of the gate is, if it is that plain."""
    node = tree.get("node") if isinstance(tree, dict) else None
    if not isinstance(node, dict) or node.get("type") != "SELECT_NODE" or node["cte_map"]["map"]:
        return None
    source = node["from_table"]
    if source.get("type") != "BASE_TABLE" or source["column_name_alias"] or source.get("sample") or node.get("sample"):
        return None
    if source.get("at_clause") or len(source["qualified_name"]["path"]) != 1:
        return None
    table = str(source["table_name"])
    alias = str(source["alias"] or table)
    columns: set[str] = set()
    everything = False
    for part in _expressions(node):
        kind = part.get("class")
        if kind in _ELSEWHERE or part.get("type") == "BASE_TABLE":
            return None
        everything |= kind in _ALL_COLUMNS
        if kind == "COLUMN_REF":
            names = [str(n).lower() for n in part["column_names"]]
            everything |= names == [alias.lower()]  # the whole row
            columns.update(names)
    return PlainSelect(node, table, alias, None if everything else frozenset(columns), _about_ts(node["where_clause"], alias.lower()))


def plain_need(select: PlainSelect, table: TableInfo, *, now_us: int) -> Need | None:
    """What it can touch of its table, where ``now()`` is ``now_us``; None where DuckDB has to be asked."""
    if not table.side.is_of_stream or renames_ts(select.node) or select.node["having"] is not None:
        return None
    names = [name for name, _ in table.columns]
    columns = frozenset(names) if select.columns is None else frozenset(n for n in names if n.lower() in select.columns)
    if select.alias.lower() in {n.lower() for n in names}:
        return None  # a name that is both
    if "current_timestamp" in {n.lower() for n in names}:
        return None
    alias = select.alias.lower()
    span = EVERYTHING
    for part in select.about_ts:
        found = _span(part, alias, now_us)
        if found == EVERYTHING:
            return None  # not understood: a plan of DuckDB's may find a narrower range
        span = span.intersect(found)
    return Need(span, columns)


def _expressions(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree below the SELECT, but for its table."""
    stack = [value for key, value in node.items() if key != "from_table"]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            yield part
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)


def renames_ts(node: Any) -> bool:
    """Whether ``ts`` may be something else in the WHERE: the name that the SELECT gives to an expression."""
    return any(item.get("alias", "").lower() == "ts" for item in node["select_list"])


def _span(condition: Any, alias: str, now_us: int) -> TimeRange:
    """The range of event time that one part of a WHERE leaves; all of it where the part is not understood."""
    kind = condition["type"]
    if kind == "COMPARE_BETWEEN" and is_ts(condition["input"], alias):
        low = compared("COMPARE_GREATERTHANOREQUALTO", moment_us(condition["lower"], now_us=now_us))
        return low.intersect(compared("COMPARE_LESSTHANOREQUALTO", moment_us(condition["upper"], now_us=now_us)))
    if kind in MIRRORED and "left" in condition:
        if is_ts(condition["left"], alias):
            return compared(kind, moment_us(condition["right"], now_us=now_us))
        if is_ts(condition["right"], alias):
            return compared(MIRRORED[kind], moment_us(condition["left"], now_us=now_us))
    return EVERYTHING


def _about_ts(condition: Any, alias: str) -> tuple[Any, ...]:
    """The parts of a condition that hold together and say something about ``ts``; other constants in their place change nothing of that."""
    if not isinstance(condition, dict):
        return ()
    if condition["type"] == "CONJUNCTION_AND":
        return tuple(part for child in condition["children"] for part in _about_ts(child, alias))
    return (condition,) if any(is_ts(part, alias) for part in _expressions({"condition": condition})) else ()


def is_ts(part: Any, alias: str) -> bool:
    """Whether an expression is the event time of the table known as ``alias`` (folded)."""
    if not isinstance(part, dict) or part.get("class") != "COLUMN_REF":
        return False
    names = [str(n).lower() for n in part["column_names"]]
    return names in (["ts"], [alias, "ts"])


def moment_us(part: Any, *, now_us: int) -> int | None:
    """Microseconds of a plain TIMESTAMP constant, or of ``now()`` with a fixed interval added or taken away; None for anything else."""
    found = constant_us(part)
    if found is not None:
        return found
    name, given = function(part), arguments(part)
    if (name in NOW and not given) or column(part) == ("current_timestamp",):
        return now_us
    if name not in ("+", "-") or len(given) != 2:
        return None
    start, width = moment_us(given[0], now_us=now_us), interval_us(given[1])
    return None if start is None or width is None else start + width * (1 if name == "+" else -1)


def constant_us(part: Any) -> int | None:
    """Microseconds of a plain TIMESTAMP constant; None for anything else."""
    if part.get("class") == "FUNCTION" and part["function_name"] == "make_timestamp" and len(part["arguments"]) == 1:
        literal = literal_of(part["arguments"][0]["expression"], "INTEGER")
        return None if literal is None else int(literal)
    if part.get("class") == "CAST" and part["type_expr"].get("type_name") == "TIMESTAMP" and not part["type_expr"].get("children"):
        return time_us(literal_of(part["child"], "STRING"))
    return time_us(literal_of(part, "STRING"))


def literal_of(part: Any, kind: str) -> str | None:
    """The text of a constant of this kind (``INTEGER``, ``STRING``); None for anything else."""
    literal = part.get("literal") if part.get("class") == "CONSTANT" else None
    return str(literal["text"]) if literal is not None and literal.get("kind") == kind else None


def time_us(text: str | None) -> int | None:
    """Microseconds of a time that is written in one of the ways that mean the same everywhere; None for anything else."""
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _ONE_US
    except ValueError:
        return None
