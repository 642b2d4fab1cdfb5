"""Questions for the newest rows, "the last hundred", which need not read all that is older: their tree, and where to begin.

``ORDER BY ts DESC LIMIT n``, or grouped and ordered by a ``time_bucket`` of ``ts``. Such a question is asked over a short stretch
up to the newest record first; when that gives all rows that were asked for, nothing older can be among them, because
what is older stands behind them. Else the stretch is made longer, up to the whole. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.serving.plain_select import PlainSelect, is_ts, literal_of, renames_ts

LIMIT_MAX: Final = 10_000
GROWTH: Final = 16
"""How much longer each stretch is than the one before."""
MORE: Final = 4
"""The first stretch is as long as so many times the rows wanted take on average."""
BUCKET_ORIGIN_US: Final = 10_959 * US_PER_DAY
"""2000-01-03, where DuckDB's ``time_bucket`` begins to count for widths below a month."""
_WIDTH: Final = re.compile(r"\s*(\d{1,9})\s*(second|minute|hour|day|week)s?\s*", re.IGNORECASE)
_UNIT_US: Final = {"second": US_PER_S, "minute": 60 * US_PER_S, "hour": 3_600 * US_PER_S, "day": US_PER_DAY, "week": 7 * US_PER_DAY}


@dataclass(frozen=True, slots=True)
class Newest:
    """How much of the newest is asked for."""

    rows: int
    width_us: int
    """Of a bucket; 0 where records themselves are asked for."""


def newest_of(select: PlainSelect, columns: frozenset[str]) -> Newest | None:
    """What a question asks of the newest; None when it asks for something else. ``columns`` are those of its table, folded."""
    node = select.node
    kinds = {m["type"]: m for m in node["modifiers"]}
    if set(kinds) != {"ORDER_MODIFIER", "LIMIT_MODIFIER"} or node.get("qualify") or node.get("sample"):
        return None
    limit, first = kinds["LIMIT_MODIFIER"], kinds["ORDER_MODIFIER"]["orders"][0]
    text = literal_of(limit.get("limit") or {}, "INTEGER")
    if limit.get("limit_type") != "ROW_COUNT" or limit.get("offset") is not None or text is None or not 0 < int(text) <= LIMIT_MAX:
        return None
    if first["type"] != "DESCENDING":
        return None
    if _has_windows(node):
        return None
    alias = select.alias.lower()
    if not node["group_expressions"] and node["aggregate_handling"] == "STANDARD_HANDLING":
        is_raw = all(item["class"] in {"STAR", "COLUMN_REF"} for item in node["select_list"]) and not node.get("having")
        return Newest(int(text), 0) if is_raw and is_ts(first["expression"], alias) and not renames_ts(node) else None
    name = _name(first["expression"])
    item = next((i for i in node["select_list"] if i.get("alias", "").lower() == name), None) if name and name not in columns else None
    width_us = bucket_width_us(item, alias) if item is not None else None
    is_grouped = node["aggregate_handling"] == "FORCE_AGGREGATES" or any(_name(g) == name for g in node["group_expressions"])
    is_one_set = len(node["group_sets"]) <= 1
    return Newest(int(text), width_us) if width_us and is_grouped and is_one_set else None


def stretches(newest: Newest, *, low_us: int, high_us: int, records: int) -> Iterator[int]:
    """Where to begin reading, ever earlier, without the whole: ``records`` lie in [low, high)."""
    if newest.width_us:
        length = newest.width_us * (newest.rows + 1)
    else:
        length = max(MORE * newest.rows * (high_us - low_us) // max(records, 1), US_PER_S)
    since = high_us - length
    while since - low_us > (high_us - low_us) // 4:
        yield aligned(since, newest.width_us) if newest.width_us else since
        length *= GROWTH
        since = high_us - length


def aligned(us: int, width_us: int) -> int:
    """The beginning of the bucket that holds a time."""
    return (us - BUCKET_ORIGIN_US) // width_us * width_us + BUCKET_ORIGIN_US


def bucket_width_us(item: Any, alias: str) -> int | None:
    """The width of ``time_bucket(INTERVAL '…', ts)`` in µs; None for any other expression, and for widths of months."""
    if item.get("class") != "FUNCTION" or item["function_name"] != "time_bucket" or len(item["arguments"]) != 2:
        return None
    width, of = (a["expression"] for a in item["arguments"])
    if not is_ts(of, alias) or width.get("class") != "CAST" or width["type_expr"].get("type_name") != "INTERVAL":
        return None
    found = _WIDTH.fullmatch(literal_of(width["child"], "STRING") or "")
    width_us = int(found[1]) * _UNIT_US[found[2].lower()] if found else 0
    return width_us or None


def _name(expression: Any) -> str:
    names = expression.get("column_names", []) if expression.get("class") == "COLUMN_REF" else []
    return str(names[0]).lower() if len(names) == 1 else ""


def _has_windows(node: Any) -> bool:
    stack = [node["select_list"], node.get("having"), node["modifiers"]]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if part.get("class") == "WINDOW":
                return True
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return False
