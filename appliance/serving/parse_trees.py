"""Pieces of a parse tree as DuckDB's ``json_serialize_sql`` writes and ``json_deserialize_sql`` reads it. Pure."""

from __future__ import annotations

import json
from typing import Any

from appliance.cold.batch.views.tree import Node


def canonical(tree: Any, alias: str) -> str:
    """A text by which two expressions are the same, wherever they stand and whatever they are called.

    ``alias`` is what their table is called, folded; it may stand before a column or not.
    """
    return json.dumps(_bare(tree, alias), sort_keys=True)


def conjuncts(condition: Any) -> list[Node]:
    """All that has to hold together."""
    if not isinstance(condition, dict):
        return []
    return [p for c in condition["children"] for p in conjuncts(c)] if condition["type"] == "CONJUNCTION_AND" else [condition]


def joined(parts: list[Node]) -> Node | None:
    """The condition that all of them hold; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "children": parts}


def zero() -> Node:
    """The constant 0."""
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "literal": {"kind": "INTEGER", "text": "0"}}


def named(name: str) -> Node:
    """A column by its name."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": [name]}


def called(name: str, *given: Node, is_operator: bool = False) -> Node:
    """A function over its arguments, an aggregate without more."""
    return {
        "class": "FUNCTION",
        "type": "FUNCTION",
        "alias": "",
        "function_name": name,
        "schema": "",
        "filter": None,
        "order_bys": {"type": "ORDER_MODIFIER", "orders": []},
        "distinct": False,
        "is_operator": is_operator,
        "export_state": False,
        "catalog": "",
        "arguments": [{"name": "", "expression": g} for g in given],
        "qualified_name": {"path": [name]},
    }


def operated(name: str, *given: Node) -> Node:
    """``coalesce``, or an operator that DuckDB holds as a function."""
    if name == "coalesce":
        return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "children": list(given)}
    return called(name, *given, is_operator=True)


def cast_to(kind: str, node: Node) -> Node:
    """A CAST to a type of one word."""
    return {"class": "CAST", "type": "OPERATOR_CAST", "alias": "", "child": node, "try_cast": False, "type_expr": _type(kind)}


def selecting(items: list[Node]) -> Node:
    """A SELECT without a table."""
    return {
        "type": "SELECT_NODE",
        "modifiers": [],
        "cte_map": {"map": []},
        "select_list": items,
        "from_table": {"type": "EMPTY", "alias": "", "sample": None},
        "where_clause": None,
        "group_expressions": [],
        "group_sets": [],
        "aggregate_handling": "STANDARD_HANDLING",
        "having": None,
        "sample": None,
        "qualify": None,
    }


def _type(kind: str) -> Node:
    return {
        "class": "TYPE",
        "type": "TYPE",
        "alias": "",
        "catalog": "",
        "schema": "",
        "type_name": kind,
        "children": [],
        "qualified_name": {"path": [kind]},
    }


def _bare(tree: Any, alias: str) -> Any:
    if isinstance(tree, list):
        return [_bare(t, alias) for t in tree]
    if isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            names = [str(part).lower() for part in tree["column_names"]]
            return names[1:] if len(names) == 2 and names[0] == alias else names
        return {k: _bare(v, alias) for k, v in tree.items() if k not in ("query_location", "query_location_length", "alias")}
    return tree
