"""Which event times and which columns of each stream a query can touch, out of DuckDB's own optimized plan.

The plan is made over empty tables and read as JSON (``json_serialize_plan``): DuckDB has folded constants and moved conditions
down to the scans, so ``ts >= now() - INTERVAL 1 hour``, ``date_trunc('day', ts) = …`` and a condition around a view or a WITH
all end as comparisons of ``ts`` with typed constants there. A row that fails the condition of each scan of its stream can't
change the answer; so the hull of these ranges is all that has to be read. Whatever is not understood is unbounded: this
module may cost time, never rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.clock import US_PER_DAY
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.snapshot import NOTHING, hull

OPTIMIZERS: Final = frozenset(
    {
        "expression_rewriter",
        "filter_pullup",
        "filter_pushdown",
        "empty_result_pullup",
        "cte_filter_pusher",
        "in_clause",
        "unused_columns",
        "cte_inlining",
        "deliminator",
        "outer_join_simplification",
        "unnest_rewriter",
    }
)
"""The steps of DuckDB's optimizer that the plan needs. The others stay off: some would use that the tables are empty, some scan
a table twice."""
ATTEMPTS: Final = (OPTIMIZERS, OPTIMIZERS | {"build_side_probe_side"}, OPTIMIZERS - {"unused_columns"})
"""Tried in this order: DuckDB 2.0 can't write each plan as JSON (a materialized WITH needs the second, a cross join with rows of
a function must do without it). The last one finds the times, but wants every column."""
TS_INDEX: Final = 0
"""``ts`` is the first column of each stream's table."""
_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)


@dataclass(frozen=True, slots=True)
class Need:
    """What a query can touch of one table."""

    span: TimeRange
    columns: frozenset[str]


class NotWritten(ValueError):
    """DuckDB could not write its plan as JSON; with other steps of the optimizer it may."""


def needs(plan: Any, times: Mapping[str, int] | None = None) -> Mapping[str, Need]:
    """Table -> what is needed of it, from the decoded answer of ``json_serialize_plan``; a table that is not there is not read.

    ``times`` names the place of the column of times where it isn't the first.

    Raises ``ValueError`` for a plan that can't be understood, ``NotWritten`` where another attempt may give one.
    """
    if not isinstance(plan, dict) or "error" not in plan:
        raise ValueError("there is no plan")
    if plan["error"] is not False:
        text = str(plan.get("error_message", "no plan"))
        raise NotWritten(text) if plan.get("error_type") == "internal" else ValueError(text)
    found: dict[str, Need] = {}
    try:
        for scan in _scans(plan["plans"]):
            table = scan["function_data"]["table"]
            need = Need(_span_of_scan(scan, (times or {}).get(table, TS_INDEX)), _columns_of_scan(scan))
            have = found.get(table, Need(NOTHING, frozenset()))
            found[table] = Need(hull(have.span, need.span), have.columns | need.columns)
    except (KeyError, TypeError, IndexError) as e:
        raise ValueError(f"the plan has another form than known: {e!r}") from e
    return found


def _scans(plan: Any) -> Iterator[dict[str, Any]]:
    """Every scan of a table, wherever it stands in the plan."""
    stack = [plan]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict) and node.get("type") == "LOGICAL_GET":
            if node["qname"]["path"][-1] == "seq_scan":
                yield node
            stack.append(node["children"])
        elif isinstance(node, dict):
            stack.extend(v for v in node.values() if isinstance(v, dict | list))


def _columns_of_scan(scan: dict[str, Any]) -> frozenset[str]:
    names = scan["names"]
    return frozenset(names[c["index"]] for c in scan["column_indexes"] if c["index"] < len(names))


def _span_of_scan(scan: dict[str, Any], ts_index: int) -> TimeRange:
    """The range that the conditions on ``ts`` at the scan leave; all of them hold together."""
    if scan["table_filters_by_projection"] is not True:
        return EVERYTHING
    places = [c["index"] for c in scan["column_indexes"]]
    span = EVERYTHING
    for entry in scan["table_filters"]["filters"]:
        if places[entry["key"]] == ts_index and not scan["column_indexes"][entry["key"]]["child_indexes"]:
            span = span.intersect(_span_of_filter(entry["value"]))
    return span


def _span_of_filter(node: dict[str, Any]) -> TimeRange:
    match node["filter_type"]:
        case "LEGACY_CONSTANT_COMPARISON":
            return compared(node["comparison_type"], _ts(node["constant"]))
        case "LEGACY_CONJUNCTION_AND":
            span = EVERYTHING
            for child in node["child_filters"]:
                span = span.intersect(_span_of_filter(child))
            return span
        case "LEGACY_CONJUNCTION_OR":
            return _hull_of([_span_of_filter(child) for child in node["child_filters"]])
        case "LEGACY_OPTIONAL_FILTER":  # implied by a condition above the scan
            return _span_of_filter(node["child_filter"])
        case "LEGACY_IN_FILTER":
            return _hull_of([compared("COMPARE_EQUAL", _ts(value)) for value in node["values"]])
        case "EXPRESSION_FILTER":
            return _span_of_expression(node["expr"])
        case _:
            return EVERYTHING


def _hull_of(spans: list[TimeRange]) -> TimeRange:
    result = NOTHING
    for span in spans:
        result = hull(result, span)
    return result if spans else EVERYTHING


def _ts(constant: dict[str, Any]) -> int | None:
    """The value of a TIMESTAMP constant; None for anything else."""
    usable = constant["type"]["id"] == "TIMESTAMP" and constant["is_null"] is False
    value = constant["value"] if usable else None
    return value if isinstance(value, int) else None


def compared(comparison: str, value: int | None) -> TimeRange:
    """The times for which ``ts`` compares so with a constant; None for the value: not known, so all of them."""
    if value is None:
        return EVERYTHING
    after = min(value + 1, _INT64_MAX)
    match comparison:
        case "COMPARE_EQUAL":
            return TimeRange(value, after) if value < _INT64_MAX else TimeRange(value)
        case "COMPARE_GREATERTHAN":
            return TimeRange(since=after)
        case "COMPARE_GREATERTHANOREQUALTO":
            return TimeRange(since=value)
        case "COMPARE_LESSTHAN":
            return TimeRange(until=value) if value < _INT64_MAX else EVERYTHING
        case "COMPARE_LESSTHANOREQUALTO":
            return TimeRange(until=after) if value < _INT64_MAX else EVERYTHING
        case _:
            return EVERYTHING


_MIRRORED: Final = {
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
    "COMPARE_EQUAL": "COMPARE_EQUAL",
}
_EPOCH_US: Final = {"epoch_us": 1, "epoch_ms": 1_000}
"""Functions that count from 1970, and microseconds in their unit."""


def _span_of_expression(expression: dict[str, Any]) -> TimeRange:
    """``f(ts)`` compared with a constant, for the rising functions of ``ts`` that DuckDB doesn't turn around itself."""
    children = expression.get("children", [])
    comparison = expression["type"]
    if comparison == "COMPARE_BETWEEN" and len(children) == 3:
        low = {"type": "COMPARE_GREATERTHANOREQUALTO", "children": children[:2]}
        high = {"type": "COMPARE_LESSTHANOREQUALTO", "children": [children[0], children[2]]}
        return _span_of_expression(low).intersect(_span_of_expression(high))
    if len(children) != 2 or comparison not in _MIRRORED:
        return EVERYTHING
    left, right = children
    if left["expression_class"] == "BOUND_CONSTANT":
        left, right, comparison = right, left, _MIRRORED[comparison]
    if left["expression_class"] != "BOUND_FUNCTION" or right["expression_class"] != "BOUND_CONSTANT":
        return EVERYTHING
    name = left["qname"]["path"][-1]
    if name in _EPOCH_US and len(left["children"]) == 1 and _is_ts(left["children"][0]):
        return _of_epoch(comparison, right["value"], _EPOCH_US[name])
    if name == "time_bucket" and len(left["children"]) == 2 and _is_ts(left["children"][1]):
        return _of_bucket(comparison, right["value"], left["children"][0])
    return EVERYTHING


def _is_ts(node: dict[str, Any]) -> bool:
    """In the condition of a scan on one column, the only reference is to that column."""
    return bool(node["expression_class"] == "BOUND_REF" and node["return_type"]["id"] == "TIMESTAMP")


def _of_epoch(comparison: str, constant: dict[str, Any], unit_us: int) -> TimeRange:
    """One unit wider on either side, so that it doesn't matter how the function rounds."""
    value = constant["value"]
    if constant["type"]["id"] != "BIGINT" or constant["is_null"] is not False or not isinstance(value, int):
        return EVERYTHING
    span = compared(comparison, value)
    return _scaled(span, unit_us, before=unit_us, after=unit_us)


def _of_bucket(comparison: str, constant: dict[str, Any], width: dict[str, Any]) -> TimeRange:
    """A bucket starts at most its width before each of its records, and never after one."""
    value = _ts(constant)
    if value is None or width["expression_class"] != "BOUND_CONSTANT" or width["value"]["type"]["id"] != "INTERVAL":
        return EVERYTHING
    parts = width["value"]["value"]
    width_us = parts["days"] * US_PER_DAY + parts["micros"]
    if parts["months"] or width_us <= 0:
        return EVERYTHING
    return _scaled(compared(comparison, value), 1, before=0, after=width_us)


def _scaled(span: TimeRange, unit: int, *, before: int, after: int) -> TimeRange:
    return TimeRange(
        None if span.since is None else max(span.since * unit - before, _INT64_MIN),
        None if span.until is None else min(span.until * unit + after, _INT64_MAX),
    )
