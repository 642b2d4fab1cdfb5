"""Looking into a parse tree as DuckDB's ``json_serialize_sql`` writes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from appliance.clock import US_PER_DAY, US_PER_S

Node = dict[str, Any]
AGGREGATES: Final = frozenset(
    [
        "any_value",
        "approx_count_distinct",
        "approx_quantile",
        "approx_top_k",
        "arbitrary",
        "arg_max",
        "arg_max_null",
        "arg_max_nulls_last",
        "arg_min",
        "arg_min_null",
        "arg_min_nulls_last",
        "argmax",
        "argmin",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bitstring_agg",
        "bool_and",
        "bool_or",
        "combine_aggr",
        "corr",
        "count",
        "count_if",
        "count_star",
        "countif",
        "covar_pop",
        "covar_samp",
        "decimal_average",
        "entropy",
        "favg",
        "first",
        "fsum",
        "group_concat",
        "histogram",
        "histogram_exact",
        "kahan_sum",
        "kurtosis",
        "kurtosis_pop",
        "last",
        "list",
        "listagg",
        "lttb",
        "mad",
        "max",
        "max_by",
        "mean",
        "median",
        "min",
        "min_by",
        "mode",
        "product",
        "quantile",
        "quantile_cont",
        "quantile_disc",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "reservoir_quantile",
        "sem",
        "skewness",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "sum_no_overflow",
        "sumkahan",
        "var_pop",
        "var_samp",
        "variance",
        "variant_group_object",
    ]
)
"""DuckDB 2.0's aggregate functions, as ``duckdb_functions()`` lists them."""
_UNIT_US: Final = {
    "microsecond": 1,
    "us": 1,
    "millisecond": 1_000,
    "ms": 1_000,
    "second": US_PER_S,
    "sec": US_PER_S,
    "s": US_PER_S,
    "minute": 60 * US_PER_S,
    "min": 60 * US_PER_S,
    "m": 60 * US_PER_S,
    "hour": 3_600 * US_PER_S,
    "h": 3_600 * US_PER_S,
    "hr": 3_600 * US_PER_S,
    "day": US_PER_DAY,
    "d": US_PER_DAY,
    "week": 7 * US_PER_DAY,
    "w": 7 * US_PER_DAY,
}


def nodes(tree: Any) -> Iterator[Node]:
    """Every node with a class or a type, outer ones first."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(reversed(node))
        elif isinstance(node, dict):
            if "class" in node or "type" in node:
                yield node
            stack.extend(v for v in node.values() if isinstance(v, dict | list))


def function(node: Node) -> str | None:
    """The folded name of a function that is called by its bare name; of a qualified one the dotted name."""
    if node.get("class") not in ("FUNCTION", "WINDOW"):
        return None
    return ".".join(str(p).lower() for p in (node.get("qualified_name") or {}).get("path", [node.get("function_name", "")]))


def arguments(node: Node) -> list[Node]:
    """What a function is called with."""
    return [a.get("expression", a) for a in node.get("arguments") or []]


def column(node: Node) -> tuple[str, ...] | None:
    """The parts of a column's name as written; None for anything else."""
    if node.get("class") != "COLUMN_REF":
        return None
    return tuple(str(part) for part in node["column_names"])


def has_aggregate(tree: Any) -> bool:
    """Whether any aggregate is called in it."""
    return any(function(n) in AGGREGATES for n in nodes(tree))


def same(tree: Any) -> str:
    """A text by which two expressions are the same, wherever they stand and whatever they are called; names in any case."""
    return json.dumps(_bare(tree), sort_keys=True)


def constant_text(node: Node) -> str | None:
    """The text of a constant; None for anything else."""
    if node.get("class") != "CONSTANT":
        return None
    literal = node.get("literal")
    if isinstance(literal, dict):
        return str(literal.get("text"))
    value = node.get("value")
    return str(value.get("value")) if isinstance(value, dict) else None


def interval_us(node: Node) -> int | None:
    """The width that an expression like ``INTERVAL '1 hour'`` or ``INTERVAL 90 MINUTES`` says; None where it isn't a plain, fixed one."""
    if node.get("class") == "CAST" and (node.get("type_expr") or {}).get("type_name") == "INTERVAL":
        return _interval_text(constant_text(node["child"]) or "")
    called = function(node)
    if called is not None and called.startswith("to_") and len(arguments(node)) == 1:
        number = _number(arguments(node)[0])
        unit = _UNIT_US.get(called.removeprefix("to_").removesuffix("s"))
        return None if number is None or unit is None else number * unit
    return None


def unit_us(word: str) -> int | None:
    """The width of a unit as ``date_trunc`` names it; None for one without a fixed width."""
    word = word.strip().lower()
    return _UNIT_US.get(word) or _UNIT_US.get(word.removesuffix("s"))


def _interval_text(text: str) -> int | None:
    parts = _split(text)
    if not parts or len(parts) % 2:
        return None
    total = 0
    for number, unit in zip(parts[::2], parts[1::2], strict=True):
        width = unit_us(unit)
        if not number.isdigit() or width is None:
            return None
        total += int(number) * width
    return total or None


def _split(text: str) -> list[str]:
    """Numbers and words apart: ``1h30m`` as ``1 h 30 m``."""
    found: list[str] = []
    kind = ""
    for c in text:
        now = "d" if c.isdigit() else "a" if c.isalpha() else "" if c.isspace() else "?"
        if now and now == kind:
            found[-1] += c
        elif now:
            found.append(c)
        kind = now
    return found


def _number(node: Node) -> int | None:
    """A whole constant, through the casts that DuckDB writes around it."""
    while node.get("class") == "CAST" or function(node) == "trunc":
        node = node["child"] if node.get("class") == "CAST" else arguments(node)[0]
    text = constant_text(node)
    return int(text) if text is not None and text.isdigit() else None


def _bare(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_bare(t) for t in tree]
    if isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            return [str(part).lower() for part in tree["column_names"]]
        return {k: _bare(v) for k, v in tree.items() if k not in ("query_location", "query_location_length", "alias")}
    return tree
