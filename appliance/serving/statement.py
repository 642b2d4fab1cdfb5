"""One statement of SQL that was found fit to run: a value, known to modules that know no DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that may run."""

    sql: str
    """The statement alone, without EXPLAIN."""
    explain: str
    """What stands before it: ``""``, or ``EXPLAIN`` with its options."""
    tables: tuple[str, ...]
    """Names of tables as they are written, each once in any one case."""
    shows_tables: bool = False
    """It asks for the list of tables."""
    tree: Any = None
    """As DuckDB's parser sees it (``json_serialize_sql``)."""
    parsed: str = ""
    """The text that the tree was made of, where that differs in its constants; empty: ``sql``."""

    @property
    def text(self) -> str:
        """What the places of ``tree`` are places of."""
        return self.parsed or self.sql

    @property
    def whole(self) -> str:
        return f"{self.explain} {self.sql}" if self.explain else self.sql
