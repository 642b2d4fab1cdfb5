"""A panel's SQL, understood: a pure function of its parse tree. What could give two answers over the same records is refused.

So an answer follows from the records and the time alone, and it doesn't matter which path has made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from appliance.cold.batch.views.definition import CHANGING, SAMPLED, UNORDERED
from appliance.cold.batch.views.tree import Node, column, function, nodes
from appliance.errors import UsageRefused
from appliance.records import fold

NOW: Final = frozenset(["now", "today", "current_date", "get_current_time", "get_current_timestamp", "transaction_timestamp"]) | {
    "current_localtimestamp",
    "current_localtime",
}
"""Functions that give the time of the question, the same one all through it."""
_NOW_WORDS: Final = frozenset(["current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"])
_BY_ORDER: Final = frozenset(["row_number", "lag", "lead", "first_value", "last_value", "nth_value", "ntile", "first", "last"])
_SUFFIXES: Final = ("_hot", "_cold")


class PanelRefused(UsageRefused):
    """The SQL can't be a panel; the text says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What there is to know of a panel before it is asked."""

    tables: frozenset[str]
    """Folded names of what it reads."""
    is_timed: bool
    """Its answer changes with time alone."""
    is_ordered: bool
    """Its rows come in an order of their own; else they are put into one, so that answers can be compared."""
    tree: Any
    """The parse tree."""


def understand(name: str, sql: str, tree: Any) -> Meaning:
    """The meaning of a panel's parse tree, as ``json_serialize_sql`` gives it. Raises ``PanelRefused`` with the reason."""
    node = _statement(sql, tree)
    given: set[str] = set()
    tables: set[str] = set()
    is_timed = False
    for n in nodes(node):
        given |= {str(entry["key"]).lower() for entry in (n.get("cte_map") or {}).get("map") or []}
        if n.get("type") == "BASE_TABLE":
            tables.add(_table(n))
        _check_choice(n)
        is_timed |= _check_called(n)
    tables -= given
    for table in tables:
        if table in (fold(name), f"{fold(name)}_history"):
            raise PanelRefused("it reads itself")
        if table.endswith(_SUFFIXES):
            raise PanelRefused(f"it reads {table}, one side of a stream: its path decides that; read the whole stream")
    ordered = any(m.get("type") == "ORDER_MODIFIER" for m in node.get("modifiers") or [])
    return Meaning(frozenset(tables), is_timed, ordered, tree)


def _statement(sql: str, tree: Any) -> Node:
    if not isinstance(tree, dict) or tree.get("error") is not False:
        said, at = (str(tree.get(key, "")) for key in ("error_message", "position")) if isinstance(tree, dict) else ("", "")
        place = _place(sql[: int(at)]) if at.isdigit() else ""
        raise PanelRefused(f"the SQL can't be read{place}: {said or 'it is no SELECT'}")
    statements = tree.get("statements", [])
    if len(statements) != 1:
        raise PanelRefused(f"it must be one SELECT; it holds {len(statements)} statements")
    node: Node = statements[0]["node"]
    return node


def _place(before: str) -> str:
    """Where SQL goes on, in words."""
    return f" in its line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _table(node: Node) -> str:
    path = [str(p) for p in node["qualified_name"]["path"]]
    if len(path) != 1:
        raise PanelRefused(f'there are no schemas here; a name with a dot is written in double quotes: "{".".join(path)}"')
    return fold(path[0])


def _check_choice(node: Node) -> None:
    """Rows that are chosen are chosen by an order."""
    kinds = {str(m.get("type")) for m in node.get("modifiers") or [] if isinstance(m, dict)}
    if "ORDER_MODIFIER" not in kinds:
        if kinds & {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}:
            raise PanelRefused("LIMIT without ORDER BY takes any rows: say which by an ORDER BY")
        if any(m.get("type") == "DISTINCT_MODIFIER" and m.get("distinct_on_targets") for m in node.get("modifiers") or []):
            raise PanelRefused("DISTINCT ON without ORDER BY takes any rows: say which by an ORDER BY")
    if node.get("sample") is not None:
        raise PanelRefused("a sample is another one each time: leave it out")


def _check_called(node: Node) -> bool:
    """Whether it asks for the time. Raises ``PanelRefused`` for what gives another answer another time."""
    parts = column(node)
    if parts is not None and len(parts) == 1 and parts[0].lower() in _NOW_WORDS:
        return True
    called = function(node)
    if called is None:
        return False
    bare = called.rpartition(".")[2]
    if bare in NOW:
        return True
    if bare in CHANGING:
        raise PanelRefused(f"{called}() is different each time: an answer follows from its records and the time alone")
    if called in SAMPLED:
        raise PanelRefused(f"{called}() depends on the order in which records are read: use quantile_cont")
    if node.get("class") == "WINDOW":
        if called in _BY_ORDER and not node.get("orders"):
            raise PanelRefused(f"{called}() OVER a window without ORDER BY depends on the order in which records are read: say one")
    elif called in UNORDERED and not (node.get("order_bys") or {}).get("orders"):
        hint = f"write {called}(… ORDER BY ts), or arg_max(…, ts)"
        raise PanelRefused(f"{called}() depends on the order in which records are read: {hint}")
    return False
