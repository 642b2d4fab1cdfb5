"""On which line of a TOML text each key stands, which ``tomllib`` does not say. A pure function of a text."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]
"""Keys from the top; an element of an array of tables is its index: ``("source", 0, "kind")``."""


def key_lines(text: str) -> dict[Path, int]:
    """Path -> 1-based line of each table header and each key of ``text``, which must be TOML that ``tomllib`` has accepted.

    It reads the text statement by statement with ``tomllib`` itself: a statement goes on over further lines for as long as it
    is no TOML alone (multi-line strings and arrays), so no grammar is written a second time.
    """
    places: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    statement, begun = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        statement, begun = (f"{statement}\n{line}", begun) if statement else (line, number)
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _table(parsed, counts)
            for length in range(1, len(table) + 1):
                places.setdefault(table[:length], begun)
        else:
            _keys(parsed, table, line=begun, places=places)
        statement = ""
    return places


def _table(header: Mapping[str, Any], counts: dict[Path, int]) -> Path:
    """The table that a header opens; ``counts`` holds for each array of tables how many elements it has so far."""
    path: Path = ()
    here: Any = header
    while here:
        if isinstance(here, list):
            counts[path] = counts.get(path, 0) + 1
            return (*path, counts[path] - 1)
        if path in counts:
            path = (*path, counts[path] - 1)
        name = next(iter(here))
        path, here = (*path, name), here[name]
    return path


def _keys(parsed: Mapping[str, Any], at: Path, *, line: int, places: dict[Path, int]) -> None:
    for name, value in parsed.items():
        places.setdefault((*at, name), line)
        if isinstance(value, dict):
            _keys(value, (*at, name), line=line, places=places)
        elif isinstance(value, list):
            for index, element in enumerate(value):
                if isinstance(element, dict):
                    places.setdefault((*at, name, index), line)
                    _keys(element, (*at, name, index), line=line, places=places)
