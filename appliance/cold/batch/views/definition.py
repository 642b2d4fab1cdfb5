"""A view's SQL, understood: a pure function of its parse tree. Whatever could make a bucket depend on another one is refused.

What is allowed: one SELECT over one stream or view whose rows are grouped by a bucket of fixed width in UTC. So the rows of a
bucket follow from the records of that bucket alone, which is what lets buckets be made anew one by one.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

from appliance.cold.batch.views.tree import (
    AGGREGATES,
    Node,
    arguments,
    column,
    constant_text,
    function,
    has_aggregate,
    interval_us,
    nodes,
    same,
    unit_us,
)
from appliance.derived import Aggregate, Definition, Key
from appliance.errors import UsageRefused
from appliance.units import show_duration

BUCKET: Final = "bucket"
CHANGING: Final = frozenset(
    [
        "now",
        "ago",
        "today",
        "current_date",
        "get_current_time",
        "get_current_timestamp",
        "transaction_timestamp",
        "current_localtimestamp",
        "current_localtime",
        "random",
        "setseed",
        "uuid",
        "uuidv4",
        "uuidv7",
        "gen_random_uuid",
        "nextval",
        "currval",
        "current_connection_id",
        "current_query_id",
        "current_transaction_id",
        "txid_current",
        "sleep_ms",
        "error",
        "write_log",
        "stats",
        "getvariable",
        "current_setting",
    ]
)
"""What gives another answer another time."""
_CHANGING_WORDS: Final = frozenset(
    ["current_timestamp", "current_time", "current_date", "localtime", "localtimestamp", "current_user", "session_user", "user"]
)
UNORDERED: Final = frozenset(["first", "last", "arbitrary", "list", "array_agg", "string_agg", "group_concat", "listagg", "lttb"])
"""What depends on the order in which rows are read, unless it says one."""
SAMPLED: Final = frozenset(["approx_quantile", "approx_top_k", "reservoir_quantile"])
"""What depends on that order in any case."""


class ViewRefused(UsageRefused):
    """The SQL can't be a view; the text says why and what to write instead."""


def define(name: str, sql: str, tree: Any, *, bucket_us: int, source_is_view: bool | None = None) -> Definition:
    """The definition that the parse tree of ``sql`` gives. Raises ``ViewRefused`` with the reason.

    ``source_is_view`` says what its source is, which decides the column that a bucket is made of (``ts``, or a view's ``bucket``);
    None: not known yet, either will do.
    """
    node = _select(tree)
    source, alias = _source(node)
    _check_clauses(node)
    _check_functions(node)
    selected: list[Node] = node["select_list"]
    named = [(_output(n), n) for n in selected]
    _check_names(named)
    bucket = next((n for output, n in named if output.lower() == BUCKET), None)
    if bucket is None:
        raise ViewRefused(f"it has no column {BUCKET}: write time_bucket(INTERVAL '…', ts) AS {BUCKET}")
    time_column = {True: (BUCKET,), False: ("ts",), None: ("ts", BUCKET)}[source_is_view]
    _check_bucket(bucket, bucket_us, time_column, alias)
    _check_grouped(node, selected, bucket, ambiguous=source_is_view is not False)
    others = [(output, n) for output, n in named if n is not bucket]
    where = node.get("where_clause")
    return Definition(
        name=name,
        sql=sql,
        bucket_us=bucket_us,
        source=source,
        bucket=_output(bucket),
        keys=tuple(_key(output, n) for output, n in others if not has_aggregate(n)),
        aggregates=tuple(_aggregate(output, n) for output, n in others if has_aggregate(n)),
        columns_read=tuple(sorted({parts[-1].lower() for n in nodes(node) if (parts := column(n)) is not None})),
        condition=None if where is None else json.dumps(json.loads(same(where))),
        having=node.get("having") is not None,
        meaning=sha256(same(node).encode()).hexdigest(),
    )


def _select(tree: Any) -> Node:
    if not isinstance(tree, dict) or tree.get("error") is not False:
        said = tree.get("error_message", "") if isinstance(tree, dict) else ""
        raise ViewRefused(f"the SQL can't be read: {said or 'it is no SELECT'}")
    statements = tree.get("statements", [])
    if len(statements) != 1:
        raise ViewRefused(f"it must be one SELECT; it holds {len(statements)} statements")
    node: Node = statements[0]["node"]
    if node.get("type") != "SELECT_NODE":
        what = {"SET_OPERATION_NODE": "UNION, EXCEPT and INTERSECT"}.get(str(node.get("type")), "WITH")
        raise ViewRefused(f"it must be one plain SELECT, without {what}: a further view can build on this one")
    if (node.get("cte_map") or {}).get("map"):
        raise ViewRefused("it must be one plain SELECT, without WITH: a further view can build on this one")
    return node


def _source(node: Node) -> tuple[str, str]:
    """The table and what it is called in the rest of the SQL."""
    table: Node = node.get("from_table") or {}
    match table.get("type"):
        case "BASE_TABLE":
            path = [str(p) for p in table["qualified_name"]["path"]]
            if len(path) != 1:
                raise ViewRefused(f'there are no schemas here; a name with a dot is written in double quotes: "{".".join(path)}"')
            if table.get("sample") is not None:
                raise ViewRefused("a sample is another one each time: leave TABLESAMPLE out")
            if table.get("at_clause") is not None or table.get("column_name_alias"):
                raise ViewRefused("it reads a stream or view by its plain name")
            return path[0], str(table.get("alias") or path[0])
        case "JOIN":
            raise ViewRefused(
                "it joins, so a row could depend on another bucket: make a view of each stream, and join those where they are asked"
            )
        case "SUBQUERY":
            raise ViewRefused("it reads from a SELECT within: make that a view of its own, or write it as one SELECT")
        case "EMPTY" | None:
            raise ViewRefused("it reads from no stream")
        case _:
            raise ViewRefused("it must read from one stream or view")


def _check_clauses(node: Node) -> None:
    words = {"LIMIT_MODIFIER": "LIMIT", "LIMIT_PERCENT_MODIFIER": "LIMIT", "DISTINCT_MODIFIER": "DISTINCT"}
    for modifier in node.get("modifiers") or []:
        word = words.get(str(modifier.get("type")))
        if word is not None:
            raise ViewRefused(f"{word} looks beyond one bucket: leave it out, and write it where the view is asked")
    if node.get("qualify") is not None:
        raise ViewRefused("QUALIFY looks beyond one bucket: leave it out, and write it where the view is asked")
    if node.get("sample") is not None:
        raise ViewRefused("a sample is another one each time: leave it out")
    if len(node.get("group_sets") or []) > 1:
        raise ViewRefused("ROLLUP, CUBE and GROUPING SETS make rows without a bucket: group by plain columns")


def _check_functions(node: Node) -> None:
    for n in nodes(node):
        if n.get("class") == "WINDOW":
            raise ViewRefused("a window function looks beyond one bucket: write it where the view is asked")
        if n.get("class") == "SUBQUERY":
            raise ViewRefused("a SELECT within looks beyond one bucket: write it where the view is asked")
        if n.get("class") == "STAR":
            raise ViewRefused("name its columns one by one: what * stands for changes with the stream")
        parts = column(n)
        if parts is not None and len(parts) == 1 and parts[0].lower() in _CHANGING_WORDS:
            raise ViewRefused(f"{parts[0]} is different each time: a bucket follows from its records alone")
        called = function(n)
        if called is None:
            continue
        if called.rpartition(".")[2] in CHANGING:
            raise ViewRefused(f"{called}() is different each time: a bucket follows from its records alone")
        if called in SAMPLED:
            raise ViewRefused(f"{called}() depends on the order in which records are read: use quantile_cont")
        if called in UNORDERED and not (n.get("order_bys") or {}).get("orders"):
            raise ViewRefused(
                f"{called}() depends on the order in which records are read: write {called}(… ORDER BY ts), or arg_max(…, ts)"
            )


def _check_names(named: list[tuple[str, Node]]) -> None:
    seen: set[str] = set()
    for output, n in named:
        if not output:
            raise ViewRefused(f"each of its columns needs a name: write AS … after {function(n) or 'the expression'}")
        if output.lower() in seen:
            raise ViewRefused(f"two of its columns are called {output}")
        seen.add(output.lower())


def _output(node: Node) -> str:
    """The column's name; an expression without AS has none that would stay the same."""
    if node.get("alias"):
        return str(node["alias"])
    parts = column(node)
    return parts[-1] if parts is not None else ""


def _check_bucket(node: Node, bucket_us: int, time_columns: tuple[str, ...], alias: str) -> None:
    called, given = function(node), arguments(node)
    if called not in ("time_bucket", "date_trunc") or len(given) < 2:
        raise ViewRefused(f"its column {BUCKET} must be time_bucket(INTERVAL '…', {time_columns[0]}) or date_trunc('…', {time_columns[0]})")
    if len(given) > 2:
        raise ViewRefused("time_bucket with an offset or an origin can't be used: buckets are counted in UTC")
    width = interval_us(given[0]) if called == "time_bucket" else unit_us(constant_text(given[0]) or "")
    if width is None:
        raise ViewRefused(
            f"the width in {called} must be plain and fixed, as INTERVAL '1 hour' or 'day' are; months and years have no fixed width"
        )
    if width != bucket_us:
        raise ViewRefused(f"its SQL groups by {show_duration(width / 1e6)}, its option bucket says {show_duration(bucket_us / 1e6)}")
    parts = column(given[1])
    ok = (
        parts is not None
        and parts[-1].lower() in time_columns
        and (len(parts) == 1 or (len(parts) == 2 and parts[0].lower() == alias.lower()))
    )
    if not ok:
        raise ViewRefused(f"its column {BUCKET} must be made of the source's column {' or '.join(time_columns)} itself")


def _check_grouped(node: Node, selected: list[Node], bucket: Node, *, ambiguous: bool) -> None:
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        return
    place = str(selected.index(bucket) + 1)
    groups: list[Node] = node.get("group_expressions") or []
    for group in groups:
        if same(group) == same(bucket) or constant_text(group) == place:
            return
        if column(group) is not None and [p.lower() for p in column(group) or ()] == [BUCKET]:
            if ambiguous:
                raise ViewRefused(f"GROUP BY {BUCKET} may mean the source's own column {BUCKET}: write GROUP BY ALL")
            return
    raise ViewRefused(f"it does not group by its column {BUCKET}: write GROUP BY ALL")


def _key(output: str, node: Node) -> Key:
    parts = column(node)
    return Key(output, None if parts is None else parts[-1].lower())


def _aggregate(output: str, node: Node) -> Aggregate:
    called, given = function(node), arguments(node)
    if called not in AGGREGATES:
        return Aggregate(output, None, None, plain=False)
    bare = [column(a) for a in given]
    argument = bare[0][-1].lower() if len(bare) == 1 and bare[0] is not None else None
    is_plain = not node.get("distinct") and node.get("filter") is None and not (node.get("order_bys") or {}).get("orders")
    return Aggregate(output, called, argument, plain=is_plain and (argument is not None or (called == "count_star" and not given)))
