"""Whether a view's rows can answer a question over its stream, and the question as it is asked of them. Pure: parse trees in and out.

A view's rows are sums over disjoint parts of its records, each part within one bucket and with one value in each key. So what asks
for nothing but keys, functions of ``ts`` that are the same all through a bucket, and aggregates that can be made of such sums has
the same answer over them. The rows are shown under the stream's name, ``ts`` being the bucket's start and keys being called as
in the stream; so only aggregates and comparisons of ``ts`` with constants are written anew, and every name means what it meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.cold.batch.views.definition import CHANGING
from appliance.cold.batch.views.tree import AGGREGATES, Node, arguments, column, constant_text, function, interval_us, nodes, unit_us
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.parse_trees import called, canonical, cast_to, conjuncts, joined, named, operated, zero
from appliance.serving.plain_select import MIRRORED, PlainSelect, is_ts
from appliance.serving.pruning import compared

HIDDEN: Final = "__view_"
"""Begins the names under which a view's aggregates are shown."""
FROZEN: Final = frozenset(["now", "today", "current_date", "get_current_time", "get_current_timestamp", "transaction_timestamp"]) | {
    "current_localtimestamp",
    "current_localtime",
}
"""Of what changes, that which is one instant all through a query."""
FROZEN_WORDS: Final = frozenset(["current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"])
_HOUR_US: Final = 3_600 * US_PER_S
_UNITS: Final = {
    "hour": _HOUR_US,
    "minute": 60 * US_PER_S,
    **dict.fromkeys(["year", "quarter", "month", "week", "day", "dayofmonth", "dayofweek", "dayofyear", "weekday"], US_PER_DAY),
    **dict.fromkeys(["weekofyear", "isodow", "isoyear", "yearweek", "dow", "doy", "decade", "century"], US_PER_DAY),
}
"""Parts of a date, each with a width: what is the same all through any bucket that such widths are made of."""
_NAMES_OF_DAYS: Final = frozenset(["dayname", "monthname", "last_day"])
_MONTHS: Final = re.compile(r"\s*\d{1,6}\s*(month|quarter|year)s?\s*", re.IGNORECASE)
_BUCKET: Final = "bucket"
_OPAQUE: Final = frozenset(["WINDOW", "SUBQUERY", "STAR", "LAMBDA", "LAMBDA_REF", "POSITIONAL_REFERENCE", "PARAMETER", "DEFAULT"])


class NotFromView(Exception):
    """The view can't answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a view's rows hold, read off its tree. Expressions are keys in their canonical form."""

    bucket: str
    width_us: int
    types: Mapping[str, str]
    """SQL type of each of its columns."""
    keys: Mapping[str, str]
    """Expression -> its column, of what is no aggregate."""
    sources: Mapping[str, str]
    """Column of the stream, folded -> the view's column that is nothing but that."""
    sums: Mapping[tuple[str, str, str], str]
    """Function, its arguments and its filter -> the column, of aggregates over all records of a row."""
    others: Mapping[str, str]
    """Any column with an aggregate in it."""
    conditions: frozenset[str]
    """All of which its records fulfil."""
    groups: frozenset[str]
    """What its rows are told apart by."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A question as it is asked of a view's rows."""

    node: Node
    """Its SELECT_NODE."""
    span: TimeRange
    """The event times of the records that it is about."""
    shown: tuple[tuple[str, str], ...]
    """The view's columns, and the names by which the SELECT knows them; ``ts`` first."""
    changed: frozenset[int]
    """Places of result columns that are other expressions now, and need their names said."""


def is_frozen(node: Node) -> bool:
    """Whether an expression holds no column and nothing that changes during a query."""
    for n in nodes(node):
        names = column(n)
        if n.get("class") in _OPAQUE or (names is not None and ".".join(names).lower() not in FROZEN_WORDS):
            return False
        if (function(n) or "").rpartition(".")[2] in CHANGING - FROZEN:
            return False
    return True


def asks_for_sums(node: Node) -> bool:
    """Whether it could be at all: it groups, or holds an aggregate, or asks for distinct rows."""
    if node["group_expressions"] or node["aggregate_handling"] == "FORCE_AGGREGATES":
        return True
    distinct = any(m["type"] == "DISTINCT_MODIFIER" and not m["distinct_on_targets"] for m in node["modifiers"])
    return distinct or any(function(n) in AGGREGATES for n in nodes([node["select_list"], node["having"]]))


def known_of(select: PlainSelect, types: Mapping[str, str], columns: Mapping[str, str], *, bucket: str, width_us: int) -> Known:
    """What the view of a tree holds; ``types`` are its columns' in order, ``columns`` those of its stream."""
    node, alias = select.node, select.alias.lower()
    items = list(zip(types, node["select_list"], strict=True))
    keys = {canonical(item, alias): name for name, item in items if not _has_aggregate(item) and name != bucket}
    sums = {_parts(item, alias): name for name, item in items if function(item) in AGGREGATES and _is_plain(item)}
    return Known(
        bucket=bucket,
        width_us=width_us,
        types=types,
        keys=keys,
        sources={parts[-1].lower(): name for name, item in items if (parts := column(item)) is not None and name != bucket},
        sums=sums,
        others={canonical(item, alias): name for name, item in items if _has_aggregate(item)},
        conditions=frozenset(canonical(part, alias) for part in conjuncts(node["where_clause"])),
        groups=frozenset(_group(g, alias, width_us) for g in groups_of(node, columns)),
    )


def spanned(select: PlainSelect, evaluate: Callable[[Node], int | None]) -> tuple[TimeRange, frozenset[int]]:
    """The event times that the WHERE leaves, and the places of those of its parts that say nothing else.

    ``evaluate`` gives the microseconds of a constant of type TIMESTAMP or DATE; None: it is something else.
    """
    span, found = EVERYTHING, set()
    for place, part in enumerate(conjuncts(select.node["where_clause"])):
        bounds = _bounds(part, select.alias.lower(), evaluate)
        if bounds is not None:
            span = span.intersect(bounds)
            found.add(place)
    return span, frozenset(found)


def rewritten(select: PlainSelect, known: Known, columns: Mapping[str, str], *, span: TimeRange, spans: frozenset[int]) -> Rewritten:
    """The question over the view's rows. ``columns`` are the stream's by folded name; ``span`` and ``spans`` as ``spanned`` gives them.

    Raises ``NotFromView``.
    """
    node = select.node
    if len(node["group_sets"]) > 1 or node["qualify"] is not None or node["sample"] is not None:
        raise NotFromView("it groups in more than one way, or looks beyond its groups")
    if select.alias.lower() in columns:
        raise NotFromView("the stream's name is also that of a column")
    rewriter = _Rewriter(select, known, columns)
    where = conjuncts(node["where_clause"])
    texts = [canonical(part, select.alias.lower()) for part in where]
    missing = known.conditions.difference(texts)
    if missing:
        raise NotFromView("the view's own WHERE is not a part of it")
    kept = [rewriter.expression(w) for i, w in enumerate(where) if i not in spans and texts[i] not in known.conditions]
    selected = [rewriter.expression(item) for item in node["select_list"]]
    changed = frozenset(i for i, (a, b) in enumerate(zip(selected, node["select_list"], strict=True)) if a is not b)
    new = {
        **node,
        "select_list": selected,
        "where_clause": joined(kept),
        "group_expressions": [rewriter.expression(g) for g in node["group_expressions"]],
        "having": None if node["having"] is None else rewriter.expression(node["having"]),
        "modifiers": [rewriter.modifier(m) for m in node["modifiers"]],
    }
    plain = tuple((name, columns[source]) for source, name in known.sources.items() if source in columns)
    return Rewritten(new, span, ((known.bucket, "ts"), *plain, *rewriter.hidden.items()), changed)


class _Rewriter:
    """One question over one view."""

    def __init__(self, select: PlainSelect, known: Known, columns: Mapping[str, str]) -> None:
        self._known = known
        self._columns = columns
        self._alias = select.alias.lower()
        self._aliases = frozenset(str(item.get("alias") or "").lower() for item in select.node["select_list"]) - {""}
        groups = frozenset(_group(g, self._alias, known.width_us) for g in groups_of(select.node, columns))
        self._is_same = groups == known.groups
        """Each of its groups is one of the view's rows."""
        self.hidden: dict[str, str] = {}
        """The view's columns that are shown under a name of their own."""

    def expression(self, node: Node) -> Node:
        """The same over the view's rows; the very same object where nothing is other."""
        if node["class"] in _OPAQUE:
            raise NotFromView(f"it holds a {node['class'].lower().replace('_', ' ')}")
        if node["class"] == "COLUMN_REF":
            return self._column(node)
        if node["class"] in ("CONSTANT", "TYPE"):
            return node
        name = function(node) or ""
        if name in AGGREGATES:
            return self._aggregate(node)
        if name.rpartition(".")[2] in CHANGING - FROZEN:
            raise NotFromView(f"{name}() is another one for each record")
        grain = grain_of(node, self._alias)
        if grain is not None:
            if not grain or grain % self._known.width_us:
                raise NotFromView("its times are finer than the view's buckets, or lie across them")
            return node
        text = canonical(node, self._alias)
        if self._is_same and text in self._known.others:
            return {**called("any_value", self._shown(self._known.others[text])), "alias": node.get("alias", "")}
        key = self._known.keys.get(text)
        return self._mapped(node) if key is None else {**self._shown(key), "alias": node.get("alias", "")}

    def modifier(self, node: Node) -> Node:
        """An ORDER BY, DISTINCT or LIMIT; a bare name in the first is that of a result column before anything else."""
        if node["type"] != "ORDER_MODIFIER":
            found: Node = self._walked(node)
            return found
        orders = []
        for order in node["orders"]:
            by = order["expression"]
            names = column(by) or ()
            is_as_is = by["class"] == "STAR" or (len(names) == 1 and names[0].lower() in self._aliases)
            orders.append(order if is_as_is else {**order, "expression": self.expression(by)})
        return {**node, "orders": orders}

    def _mapped(self, node: Node) -> Node:
        new = {k: self._walked(v) for k, v in node.items()}
        return new if any(new[k] is not v for k, v in node.items()) else node

    def _walked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.expression(value) if "class" in value else self._mapped(value)
        if isinstance(value, list):
            found = [self._walked(v) for v in value]
            return found if any(a is not b for a, b in zip(found, value, strict=True)) else value
        return value

    def _column(self, node: Node) -> Node:
        names = [n.lower() for n in column(node) or ()]
        name = names[-1]
        if names not in ([name], [self._alias, name]):
            raise NotFromView(f"{'.'.join(names)} is no plain column")
        if name in self._columns:
            if name in self._known.sources:
                return node
            raise NotFromView("it asks for the time of each record" if name == "ts" else f"{name} is no column that the view groups by")
        if len(names) == 1 and name != self._alias and (name in self._aliases or name in FROZEN_WORDS):
            return node
        raise NotFromView(f"{name} is no column of the stream")

    def _aggregate(self, node: Node) -> Node:
        own = self._known.others.get(canonical(node, self._alias)) if self._is_same else None
        made = self._summed(node) if _is_plain(node) else None
        if made is None and own is not None:
            made = called("any_value", self._shown(own))
        if made is None and _sees_no_repeats(node):
            return self._mapped(node)
        if made is None:
            name = function(node)
            hint = ", which takes the sum and the count of the very same" if name in ("avg", "mean") else ""
            raise NotFromView(f"the view has no column from which {name} could be made{hint}")
        return {**made, "alias": node.get("alias", "")}

    def _summed(self, node: Node) -> Node | None:
        """An aggregate of aggregates; None where the view doesn't hold what it takes."""
        name, given, about = _parts(node, self._alias)
        if (name, given, about) in self._known.sums or (name == "avg" and ("sum", given, about) in self._known.sums):
            rest = None
        else:
            about, rest = "", node["filter"]
        if name == "avg":
            total, count = (self._known.sums.get((part, given, about)) for part in ("sum", "count"))
            if total is None or count is None or self._known.types[total] not in ("DOUBLE", "HUGEINT"):
                return None
            rest = None if rest is None else self.expression(rest)
            return operated("/", cast_to("DOUBLE", self._again("sum", total, rest)), self._again("sum", count, rest))
        found = self._known.sums.get((name, given, about))
        if found is None or name not in ("count", "sum", "min", "max"):
            return None
        again = self._again("sum" if name == "count" else name, found, None if rest is None else self.expression(rest))
        return cast_to("BIGINT", operated("coalesce", again, zero())) if name == "count" else again

    def _again(self, name: str, column_name: str, condition: Node | None) -> Node:
        return {**called(name, self._shown(column_name)), "filter": condition}

    def _shown(self, column_name: str) -> Node:
        name = self.hidden.setdefault(column_name, f"{HIDDEN}{len(self.hidden)}")
        if name in self._columns or name in self._aliases:
            raise NotFromView(f"{name} is the name of a column")
        return named(name)


def grain_of(node: Node, alias: str) -> int | None:
    """The width of time all through which a function of ``ts`` is the same; 0 for one of no width; None for anything else."""
    if node["class"] == "CAST":
        is_date = str(node["type_expr"].get("type_name", "")).upper() == "DATE"
        return US_PER_DAY if is_date and is_ts(node["child"], alias) else None
    name, given = function(node), arguments(node)
    if name is None or not given or not is_ts(given[-1], alias):
        return None
    if len(given) == 1:
        return US_PER_DAY if name in _NAMES_OF_DAYS else _UNITS.get(name)
    if len(given) != 2:
        return None
    if name == "time_bucket":
        months = _MONTHS.fullmatch(constant_text(given[0].get("child", given[0])) or "")
        return US_PER_DAY if months else interval_us(given[0]) or 0
    unit = (constant_text(given[0]) or "").strip().lower()
    if name == "date_trunc":
        return unit_us(unit) or _UNITS.get(unit, 0)
    return _UNITS.get(unit, 0) if name in ("date_part", "datepart") else None


def _bounds(part: Node, alias: str, evaluate: Callable[[Node], int | None]) -> TimeRange | None:
    """The exact range that a comparison of ``ts`` with constants leaves; None where it is something else."""
    kind = part["type"]
    if kind == "COMPARE_BETWEEN" and is_ts(part["input"], alias):
        low, high = evaluate(part["lower"]), evaluate(part["upper"])
        if low is None or high is None:
            return None
        return compared("COMPARE_GREATERTHANOREQUALTO", low).intersect(compared("COMPARE_LESSTHANOREQUALTO", high))
    if kind not in MIRRORED or "left" not in part:
        return None
    for side, other, how in (("left", "right", kind), ("right", "left", MIRRORED[kind])):
        if is_ts(part[side], alias):
            value = evaluate(part[other])
            return None if value is None else compared(how, value)
    return None


def groups_of(node: Node, columns: Mapping[str, str]) -> Iterator[Node]:
    """What it groups by; places and names of result columns stand for those."""
    selected: list[Node] = node["select_list"]
    if node["aggregate_handling"] == "FORCE_AGGREGATES":
        yield from (item for item in selected if not _has_aggregate(item) and any(column(n) is not None for n in nodes(item)))
    by_name = {str(item.get("alias") or "").lower(): item for item in reversed(selected)}
    for group in node["group_expressions"]:
        place = constant_text(group) or ""
        names = column(group) or ()
        name = names[0].lower() if len(names) == 1 else ""
        if place.isdigit() and 0 < int(place) <= len(selected):
            yield selected[int(place) - 1]
        else:
            yield group if not name or name in columns else by_name.get(name, group)


def _group(node: Node, alias: str, width_us: int) -> str:
    is_bucket = function(node) in ("time_bucket", "date_trunc") and grain_of(node, alias) == width_us
    return _BUCKET if is_bucket else canonical(node, alias)


def _parts(node: Node, alias: str) -> tuple[str, str, str]:
    """Function, arguments and filter of an aggregate; counting what is never null is counting records."""
    name, given = str(function(node)), arguments(node)
    if name == "count_star" or (name == "count" and len(given) == 1 and is_ts(given[0], alias)):
        name, given = "count", []
    name = "avg" if name == "mean" else name
    return name, canonical(given, alias), "" if node["filter"] is None else canonical(node["filter"], alias)


def _is_plain(node: Node) -> bool:
    return not node["distinct"] and not node["order_bys"]["orders"] and len(arguments(node)) <= 1


def _sees_no_repeats(node: Node) -> bool:
    """Whether it is the same however often a row of its arguments comes."""
    return (
        not node["order_bys"]["orders"]
        and len(arguments(node)) == 1
        and (function(node) in ("min", "max", "bool_and", "bool_or") or (function(node) == "count" and node["distinct"]))
    )


def _has_aggregate(tree: Any) -> bool:
    return any(function(n) in AGGREGATES for n in nodes(tree))
