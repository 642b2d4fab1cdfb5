"""Whether SQL gives another answer over the same records at another time: read off its parse tree. Pure."""

from __future__ import annotations

from typing import Any, Final, Literal

from appliance.cold.batch.views.definition import CHANGING
from appliance.cold.batch.views.tree import column, function

Varies = Literal["never", "daily", "always"]
"""``daily``: it asks for the date (UTC), and for nothing else that changes."""
_DATES: Final = frozenset({"current_date", "today"})
_TIMES: Final = frozenset({"current_timestamp", "current_time", "localtime", "localtimestamp"})
_OTHERS: Final = frozenset(
    {"pg_conf_load_time", "pg_postmaster_start_time", "current_query", "setval", "vector_type", "getvariable", "current_setting"}
)
"""Besides ``CHANGING``: what DuckDB 2.0 lists as not consistent (``duckdb_functions()``), and macros over such."""


def varies(tree: Any) -> Varies:
    """When the statement of a tree gives another answer. A name that may be a column counts as what changes: that costs a kept answer only.

    What depends on the order in which rows are read (``first``, LIMIT without ORDER BY, the last bits of sums of floats) counts as the
    same: any order is right.
    """
    found: Varies = "never"
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if node.get("sample"):
                return "always"
            name = (function(node) or "").rpartition(".")[2]
            words = column(node) or ("",)
            word = words[-1].lower()
            if name in _DATES or word in _DATES:
                found = "daily"
            elif name in CHANGING or name in _OTHERS or word in _TIMES:
                return "always"
            stack.extend(node.values())
    return found
