"""Which SQL from outside is run: exactly one statement that reads, and only from tables that the catalog knows.

DuckDB's own parser decides what the text means; nothing here matches text, but for the word EXPLAIN. A ``SELECT`` is no
promise by itself: DuckDB 2 takes ``WITH x AS (COPY … TO 'file')`` as one, so every node of the tree has to be of a kind that reads.
Table functions that open files, settings or the catalog are refused by not being on the list of those that only make rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import duckdb
import msgspec

from appliance.errors import QueryRefused
from appliance.serving.question import SQL_BYTES_MAX
from appliance.serving.statement import Statement

READING_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
ROW_MAKERS: Final = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"})
"""Table functions that read nothing but their arguments."""
_EXPLAIN = re.compile(r"\s*EXPLAIN\b(?P<analyze>\s+ANALYZE\b)?(?P<options>\s*\([^()]*\))?", re.IGNORECASE)


def admit(parser: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    """The one reading statement in ``sql``. Raises ``QueryRefused`` with what is wrong; ``parser`` runs nothing of it."""
    if len(sql.encode("utf-8", "surrogatepass")) > SQL_BYTES_MAX:
        raise QueryRefused(f"the SQL is longer than {SQL_BYTES_MAX >> 10} KiB")
    if "\0" in sql or any("\ud800" <= c <= "\udfff" for c in sql):
        raise QueryRefused("the SQL holds characters that no text can hold")
    tree = _simple(parser, sql)
    return _walk(tree, sql, "") if tree is not None else _admit_any(parser, sql)


def _simple(parser: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The tree of what is one SELECT at first sight, which is what nearly everybody sends; None where a closer look is needed."""
    if ";" in sql or _EXPLAIN.match(sql):
        return None
    row = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    try:
        answer = msgspec.json.decode(row[0] if row is not None else "{}", type=_Answer)
    except (msgspec.DecodeError, RecursionError):
        return None
    found = answer.statements
    return found[0] if not answer.error and len(found) == 1 and found[0].get("named_param_map") == [] else None


class _Answer(msgspec.Struct):
    """What ``json_serialize_sql`` says."""

    error: bool = True
    statements: list[dict[str, Any]] = []


def _admit_any(parser: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    text, kind = _single(parser, sql)
    explain = ""
    if kind == duckdb.StatementType.EXPLAIN:
        head = _EXPLAIN.match(text)
        if head is None:
            raise QueryRefused("this form of EXPLAIN can't be read; write EXPLAIN [ANALYZE] SELECT …")
        explain = f"EXPLAIN{' ANALYZE' if head['analyze'] else ''}{head['options'] or ''}"
        text, kind = _single(parser, text[head.end() :])
    if kind == duckdb.StatementType.MULTI:
        raise QueryRefused("a PIVOT needs its values written out: PIVOT … ON column IN ('a', 'b') USING …")
    if kind != duckdb.StatementType.SELECT:
        raise QueryRefused(f"only statements that read can be run, not {kind.name.replace('_', ' ')}; one SELECT at a time")
    return _walk(_tree(parser, text), text, explain)


def _single(parser: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, Any]:
    """The text and the kind of the only statement."""
    try:
        statements = parser.extract_statements(sql)
    except duckdb.Error as e:
        raise QueryRefused(first_lines(e)) from None
    if len(statements) != 1:
        what = "there is no statement in it" if not statements else f"it holds {len(statements)} statements"
        raise QueryRefused(f"one statement at a time: {what}")
    if statements[0].named_parameters:
        raise QueryRefused("parameters ($1, ?) have no values here; write the values into the SQL")
    return statements[0].query, statements[0].type


def _tree(parser: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    try:
        tree = msgspec.json.decode(row[0])
    except (msgspec.DecodeError, RecursionError):
        raise QueryRefused("the SQL is nested too deeply") from None
    if tree["error"]:
        raise QueryRefused(f"the SQL can't be read: {tree.get('error_message', 'unknown')}")
    if len(tree["statements"]) != 1:
        raise QueryRefused("one statement at a time")
    return tree["statements"][0]


def _walk(tree: Any, sql: str, explain: str) -> Statement:
    """Looks at every node once; names that a WITH of an enclosing query gives are not tables."""
    tables: dict[str, str] = {}
    shows_tables = False
    stack: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, given = stack.pop()
        if isinstance(node, list):
            stack.extend((child, given) for child in node)
        elif isinstance(node, dict):
            kind = node.get("type")
            if kind == "BASE_TABLE":
                name = _table_name(node)
                if len(node["qualified_name"]["path"]) > 1 or name.lower() not in given:
                    tables.setdefault(name.lower(), name)
            elif kind == "TABLE_FUNCTION":
                _check_function(node)
            elif kind == "SHOW_REF":
                shows_tables |= _shown(node, tables)
            elif isinstance(kind, str) and kind.endswith("_NODE") and kind not in READING_NODES:
                raise QueryRefused(f"only statements that read can be run, not {kind.removesuffix('_NODE').split('_')[0]}")
            stack.extend(_children(node, given))
    return Statement(sql, explain, tuple(tables.values()), shows_tables, tree)


def _children(node: dict[str, Any], given: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The parts of a node, each with the names that a WITH gives there: a body sees the bodies before it, and itself if recursive."""
    entries = node["cte_map"]["map"] if isinstance(node.get("cte_map"), dict) else []
    for entry in entries:
        name = str(entry["key"]).lower()
        body = entry["value"]
        recursive = isinstance(body.get("query_node"), dict) and body["query_node"].get("type") == "RECURSIVE_CTE_NODE"
        yield body, given | {name} if recursive else given
        given |= {name}
    for key, value in node.items():
        if key != "cte_map" and isinstance(value, dict | list):
            yield value, given


def _table_name(node: dict[str, Any]) -> str:
    path = [str(p) for p in node["qualified_name"]["path"]]
    if len(path) == 2 and path[0].lower() == "main":
        path = path[1:]
    if len(path) != 1:
        dotted = ".".join(path)
        raise QueryRefused(f'there are no schemas here; a name with a dot is written in double quotes: "{dotted}"')
    return path[0]


def _check_function(node: dict[str, Any]) -> None:
    function = node.get("function") or {}
    name = str(function.get("function_name", "")).lower()
    path = [str(p).lower() for p in (function.get("qualified_name") or {}).get("path", [])]
    if name not in ROW_MAKERS or path != [name]:
        raise QueryRefused(f"the table function {name or '?'}() can't be used here; streams are tables: SELECT … FROM <stream>")


def _shown(node: dict[str, Any], tables: dict[str, str]) -> bool:
    """Whether a SHOW asks for the list of tables; the table that it describes goes to ``tables``."""
    name = str(node.get("table_name", ""))
    if node.get("show_type") == "SHOW_SPECIAL":
        if name.strip('"').lower() != "tables":
            raise QueryRefused("of the SHOW statements only SHOW TABLES and SHOW <stream> can be used here")
        return True
    if name:
        name = _table_name(node)
        tables.setdefault(name.lower(), name)
    return False


def first_lines(error: BaseException, most: int = 12) -> str:
    """An error of DuckDB without its advice on settings, which are locked here."""
    text = str(error).split("\n\nPossible solutions:")[0]
    return "\n".join(text.splitlines()[:most]).strip() or type(error).__name__
