"""SQL with its constants cut out: what a screen asks again and again, with other times and names each time, is one text then. Pure.

Only plain texts are cut: nothing in double quotes, no comments, no dollar quotes, no parameters. Cut out are texts in single
quotes and whole numbers of 11 to 18 digits, which are microseconds nearly always and of one type in any case. Where the parser has made
one constant of such a place, another value there makes another constant and changes nothing else; ``Parsed`` checks that by place and
value, and keeps the tree of the first such text with its constants exchangeable.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from appliance.serving.statement import Statement

CHARS_MAX: Final = 20_000
"""A longer text is not cut: it is rare, and looking at it costs as much as parsing."""
KNOWN_MAX: Final = 128
CUTS_KEPT: Final = 16
"""A question's text is cut several times on its way."""
_CONSTANT: Final = re.compile(r"(?<![\w&.])'((?:[^']|'')*)'(?!')|(?<![\w.'])(\d{11,18})(?![\w.'])")
_UNUSUAL: Final = re.compile(r"""["'`$;?\\]|--|/\*""")
_CONTROL: Final = re.compile(r"[\0\1]")
_TYPED: Final = re.compile(r"\b(?:TIMESTAMP|DATE|INTERVAL|TIME)\s+\Z", re.IGNORECASE)
"""Before a text whose place the parser does not tell."""
_NO_PLACE: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Cut:
    """A text and the constants that were cut out of it."""

    text: str
    """What is left, the same for all texts that differ in their constants alone."""
    constants: tuple[str, ...]
    """Their values, in the order of the text: as the text in quotes means it, or the digits."""


@lru_cache(maxsize=CUTS_KEPT)
def cut(sql: str) -> Cut | None:
    """A text cut; None for one that is not plain, or too long."""
    if len(sql) > CHARS_MAX or _CONTROL.search(sql):
        return None
    constants: list[str] = []

    def taken(found: re.Match[str]) -> str:
        constants.append(_value(found))
        return "\1" if found[1] is None else "\0"

    left = _CONSTANT.sub(taken, sql)
    return None if _UNUSUAL.search(left) else Cut(left, tuple(constants))


def constants(sql: str) -> list[tuple[int, int]]:
    """Where the constants stand that ``cut`` takes out of a text."""
    return [found.span() for found in _CONSTANT.finditer(sql)]


class Parsed:
    """Statements by their cut text. One thread uses it; a statement it gives is good until the next one of the same text is asked for."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Statement, tuple[dict[str, Any], ...]]] = OrderedDict()

    def get(self, sql: str, parts: Cut) -> Statement | None:
        """The statement of ``sql``, whose cut ``parts`` are, with its own constants in its tree; None: the text is not known."""
        found = self._known.get(parts.text)
        if found is None:
            return None
        self._known.move_to_end(parts.text)
        statement, literals = found
        for literal, value in zip(literals, parts.constants, strict=True):
            literal["text"] = value
        return Statement(sql, statement.explain, statement.tables, statement.shows_tables, statement.tree, statement.sql)

    def put(self, statement: Statement, parts: Cut) -> None:
        """Keeps a statement, if each constant that was cut out of it stands in its tree once, as just that."""
        literals = _literals(statement)
        if statement.explain or literals is None:
            return
        assert len(literals) == len(parts.constants), "a literal for each constant"
        self._known[parts.text] = (statement, literals)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)


def _value(found: re.Match[str]) -> str:
    text: str | None = found[1]
    return str(found[2]) if text is None else text.replace("''", "'")


def _literals(statement: Statement) -> tuple[dict[str, Any], ...] | None:
    """The literals of the tree in the order of the text; None where one is not at its place, or not alone of its value."""
    known: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    stack = [statement.tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            literal = node.get("literal")
            if node.get("class") == "CONSTANT" and isinstance(literal, dict):
                known.setdefault((str(literal.get("kind")), str(literal.get("text"))), []).append((node["query_location"], literal))
            stack.extend(node.values())
    result = []
    for found in _CONSTANT.finditer(statement.sql):
        some = known.pop(("INTEGER" if found[1] is None else "STRING", _value(found)), [])
        if len(some) != 1:
            return None
        place, literal = some[0]
        if place != found.start() and not (place == _NO_PLACE and _TYPED.search(statement.sql, 0, found.start())):
            return None
        result.append(literal)
    return tuple(result)
