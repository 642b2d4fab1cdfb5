"""The closed part of a hybrid panel: a view whose rows its answer can be put together from. Pure: parse trees in and out.

The panel's own SQL is asked as it is; where records are many the view stands in for those of closed buckets (``serving.rewriting``), and
the rest is computed from the records, all in one snapshot. So a view that is made here can cost something, never an answer its truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Final

from appliance.cold.batch.views.tree import AGGREGATES, Node, arguments, column, function, nodes
from appliance.serving.parse_trees import called, canonical, conjuncts, joined, named, zero
from appliance.serving.plain_select import MIRRORED, PlainSelect, is_ts, plain_select
from appliance.serving.rewriting import grain_of, is_frozen

WIDTHS_US: Final = (60_000_000, 300_000_000, 3_600_000_000)
"""Widths of buckets that are tried: a minute, five minutes, an hour; the widest that all times of the SQL are made of."""
SUMMED: Final = frozenset(["count", "count_star", "sum", "min", "max", "avg", "mean"])


class NoParts(Exception):
    """The answer can't be put together from sums over buckets; the text says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The view of a panel's closed part."""

    node: Node
    """Its SELECT_NODE."""
    bucket_s: float


def parts_of(tree: Any, columns: Mapping[str, str], *, widths_us: Sequence[int] = WIDTHS_US) -> Parts:
    """The view for a panel's parse tree; ``columns`` are those of its stream, folded name -> name, ``widths_us`` what is tried, rising.

    Raises ``NoParts``.
    """
    select = plain_select(tree["statements"][0])
    if select is None:
        raise NoParts("it is no plain SELECT from one stream")
    node, alias = select.node, select.alias.lower()
    if len(node["group_sets"]) > 1 or node["qualify"] is not None:
        raise NoParts("it groups in more than one way, or looks beyond its groups")
    if "bucket" in columns or alias in columns:
        raise NoParts("a column of the stream is called bucket, or like the stream")
    kept = [part for part in conjuncts(node["where_clause"]) if not _is_bound(part, alias)]
    asked = [node["select_list"], node["group_expressions"], node["having"], node["modifiers"]]
    if any(is_ts(n, alias) for part in kept for n in nodes(part)):
        raise NoParts("its WHERE asks for the time of each record")
    found = _Found(select, columns)
    for tree_part in asked:
        found.look(tree_part)
    if not found.sums and not any(m["type"] == "DISTINCT_MODIFIER" for m in node["modifiers"]) and not node["group_expressions"]:
        raise NoParts("it shows records one by one")
    width_us = _width(found.grain_us, widths_us)
    bucket = {**called("time_bucket", called("to_seconds", _number(width_us // 1_000_000)), named("ts")), "alias": "bucket"}
    keys = [{**named(columns[key]), "alias": columns[key]} for key in sorted(found.keys)]
    taken = {*columns, "bucket"}
    prefix = next(p for p in ("p", "part_", "stored_part_") if not any(c.startswith(p) and c[len(p) :].isdigit() for c in taken))
    sums = [{**n, "alias": f"{prefix}{place}"} for place, n in enumerate(found.sums.values())]
    made = {
        **node,
        "select_list": [bucket, *keys, *sums],
        "where_clause": joined(kept),
        "group_expressions": [],
        "group_sets": [],
        "aggregate_handling": "FORCE_AGGREGATES",
        "having": None,
        "modifiers": [],
    }
    return Parts(made, width_us / 1e6)


class _Found:
    """What the view has to hold."""

    def __init__(self, select: PlainSelect, columns: Mapping[str, str]) -> None:
        self._alias = select.alias.lower()
        self._columns = columns
        self._aliases = {str(item.get("alias") or "").lower() for item in select.node["select_list"]}
        self.keys: set[str] = set()
        self.sums: dict[str, Node] = {}
        self.grain_us = 0
        """Of which all times are made; 0: there are none."""

    def look(self, tree: Any) -> None:
        """Takes in what a part of the SQL asks for. Raises ``NoParts``."""
        for node in _outermost(tree):
            if node.get("class") in ("WINDOW", "SUBQUERY", "STAR", "LAMBDA"):
                raise NoParts(f"it holds a {str(node['class']).lower()}")
            if function(node) in AGGREGATES:
                self._sum(node)
                continue
            grain = grain_of(node, self._alias) if "class" in node else None
            if grain is not None:
                if not grain:
                    raise NoParts("its times are of no fixed width")
                self.grain_us = gcd(self.grain_us, grain)
                continue
            parts = column(node)
            if parts is not None:
                self._key(parts)
            else:
                self.look(list(node.values()))

    def _key(self, parts: tuple[str, ...]) -> None:
        name = parts[-1].lower()
        if name == "ts":
            raise NoParts("it asks for the time of each record")
        if name in self._columns:
            self.keys.add(name)
        elif name not in self._aliases and not (len(parts) == 1 and parts[0].lower().startswith(("current_", "local"))):
            raise NoParts(f"{name} is no column of the stream")

    def _sum(self, node: Node) -> None:
        name = str(function(node))
        if name not in SUMMED or node["distinct"] or node["order_bys"]["orders"] or len(arguments(node)) > 1:
            raise NoParts(f"{name} of all can't be made of those of parts")
        if any(is_ts(n, self._alias) for n in nodes([node["arguments"], node["filter"]])) and name != "count":
            raise NoParts("it asks for the time of each record")
        if name in ("avg", "mean"):
            given = arguments(node)
            for part in ("sum", "count"):
                self._add({**called(part, *given), "filter": node["filter"]})
        else:
            self._add(node)

    def _add(self, node: Node) -> None:
        self.sums.setdefault(canonical(node, self._alias), node)


def _outermost(tree: Any) -> Iterator[Node]:
    """The expressions next to the top of a part of the tree, and clauses around them taken apart."""
    stack = [tree]
    while stack:
        node = stack.pop(0)
        if isinstance(node, list):
            stack[:0] = node
        elif isinstance(node, dict):
            if "class" in node:
                yield node
            else:
                stack[:0] = list(node.values())


def _is_bound(part: Node, alias: str) -> bool:
    """Whether a condition compares ``ts`` itself with what is the same all through a question."""
    if part["type"] == "COMPARE_BETWEEN":
        return is_ts(part["input"], alias) and is_frozen(part["lower"]) and is_frozen(part["upper"])
    if part["type"] not in MIRRORED or "left" not in part:
        return False
    return any(is_ts(part[a], alias) and is_frozen(part[b]) for a, b in (("left", "right"), ("right", "left")))


def _width(grain_us: int, widths_us: Sequence[int]) -> int:
    found = [w for w in widths_us if not grain_us or grain_us % w == 0]
    if not found:
        raise NoParts("its times are finer than a minute, or lie across minutes")
    return found[-1]


def _number(value: int) -> Node:
    literal = zero()
    return {**literal, "literal": {"kind": "INTEGER", "text": str(value)}}
