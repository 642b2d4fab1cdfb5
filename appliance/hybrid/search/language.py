"""What stands in the search box, as a tree: words, "phrases", prefix*, AND OR NOT, parentheses. Pure.

Nothing a person types is an error of syntax: a quote or a parenthesis without its other half ends at the end, an operator without
something to work on is left out, and what is no letter or digit separates words. Refused is only what can't mean anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from appliance.errors import UsageRefused
from appliance.hybrid.search.words import WORD_BYTES_MAX, words_of

CHARS_MAX: Final = 2_000
LEAVES_MAX: Final = 64
DEPTH_MAX: Final = 50
_TOKEN: Final = re.compile(r'"[^"]*"?\*?|[()]|[^\s()"]+')
_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})


@dataclass(frozen=True, slots=True)
class Leaf:
    """Words that must follow each other within one field; of the last one, with ``is_prefix``, only the beginning is said."""

    words: tuple[bytes, ...]
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    of: Node


@dataclass(frozen=True, slots=True)
class All:
    """All of these hold."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of these holds."""

    of: tuple[Node, ...]


Node = Leaf | Not | All | Any


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    root: Node
    leaves: tuple[Leaf, ...]
    """Each once, in order; those that must not be there too."""
    wanted: tuple[Leaf, ...]
    """Those that count for a hit: not under a ``Not``."""


def parse(text: str) -> Query:
    """The query that ``text`` stands for. Raises ``UsageRefused`` where there is nothing to look for, or far too much."""
    if len(text) > CHARS_MAX:
        raise UsageRefused(f"the search has {len(text):,} characters, more than {CHARS_MAX:,}; look for fewer words")
    root = _Reader(_TOKEN.findall(text)).all()
    if root is None:
        raise UsageRefused(f"there is no word to search for in {text[:80]!r}: words are made of letters and digits")
    leaves = tuple(dict.fromkeys(_leaves(root)))
    if len(leaves) > LEAVES_MAX:
        raise UsageRefused(f"the search has {len(leaves)} words and phrases, more than {LEAVES_MAX}; look for fewer")
    if holds(root, frozenset()):
        raise UsageRefused("the search says only what must not be there; add a word that must")
    return Query(root, leaves, tuple(dict.fromkeys(_leaves(root, wanted=True))))


def holds(node: Node, found: frozenset[Leaf]) -> bool:
    """Whether the query holds where exactly these leaves are found."""
    match node:
        case Leaf():
            return node in found
        case Not():
            return not holds(node.of, found)
        case All():
            return all(holds(n, found) for n in node.of)
        case Any():
            return any(holds(n, found) for n in node.of)


def _leaves(node: Node, *, wanted: bool = False) -> list[Leaf]:
    match node:
        case Leaf():
            return [node]
        case Not():
            return [] if wanted else _leaves(node.of)
        case All() | Any():
            return [leaf for n in node.of for leaf in _leaves(n, wanted=wanted)]


class _Reader:
    """Reads tokens from left to right: OR binds least, then AND (also unwritten), then NOT."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def all(self) -> Node | None:
        """Everything; a closing parenthesis that closes nothing is passed over."""
        parts: list[Node] = []
        while self._at < len(self._tokens):
            part = self._either(0)
            parts += [part] if part is not None else []
            self._at += self._next() == ")"
        return _joined(parts, All)

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _either(self, depth: int) -> Node | None:
        if depth > DEPTH_MAX:
            raise UsageRefused(f"the search has more than {DEPTH_MAX} parentheses within each other")
        parts: list[Node] = []
        while True:
            part = self._both(depth)
            parts += [part] if part is not None else []
            if self._next() != "OR":
                return _joined(parts, Any)
            self._at += 1

    def _both(self, depth: int) -> Node | None:
        parts: list[Node] = []
        while (piece := self._next()) and piece not in (")", "OR"):
            if piece == "AND":
                self._at += 1
                continue
            part = self._one(depth)
            parts += [part] if part is not None else []
        return _joined(parts, All)

    def _one(self, depth: int) -> Node | None:
        """A word, a phrase, something in parentheses, or the negation of that; None: there is nothing in it."""
        is_not = False
        while self._next() == "NOT":
            is_not, self._at = not is_not, self._at + 1
        piece = self._next()
        if not piece or piece == ")" or piece in _OPERATORS:
            return None
        self._at += 1
        part: Node | None
        if self._tokens[self._at - 1] == "(":
            part = self._either(depth + 1)
            self._at += self._next() == ")"
        else:
            part = _leaf(piece)
        return Not(part) if part is not None and is_not else part


def _leaf(piece: str) -> Leaf | None:
    words = words_of(piece)
    if not words:
        return None
    before = piece[:-1].rstrip('"')[-1:]
    return Leaf(words, piece.endswith("*") and words_of(before) != () and len(words[-1]) < WORD_BYTES_MAX)


def _joined(parts: list[Node], kind: type[All] | type[Any]) -> Node | None:
    return None if not parts else parts[0] if len(parts) == 1 else kind(tuple(parts))
