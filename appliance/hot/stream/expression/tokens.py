"""From the text of an expression to its tokens, each with its column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.hot.stream.expression.refused import ExpressionRefused, clipped
from appliance.records import fold

BYTES_MAX: Final = 4096
"""Of the text of one expression, in UTF-8."""


class Shape(StrEnum):
    """What a token looks like."""

    NUMBER = "number"
    TEXT = "text"
    """In single quotes."""
    NAME = "name"
    """In double quotes."""
    WORD = "word"
    """Without quotes: a name, a function or a word of the language."""
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text."""

    shape: Shape
    written: str
    """As it stands in the text."""
    value: str
    """Words folded, texts and names without their quotes, signs in one spelling (``==`` is ``=``, ``<>`` is ``!=``)."""
    at: int
    """1-based column of its first character."""

    @property
    def shown(self) -> str:
        """For a message."""
        return "the end" if self.shape is Shape.END else clipped(self.written)


_SPELLINGS: Final[Mapping[str, str]] = {"==": "=", "<>": "!="}
_MEANT: Final[Mapping[str, str]] = {
    "&": "and", "|": "or", "!": "not", "≥": ">=", "≤": "<=", "≠": "!=", "“": "'…'", "”": "'…'", "‘": "'…'", "’": "'…'", "`": '"…"',
}  # fmt: skip
"""What people write in its place."""
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*")
    |(?P<word>[^\W\d]\w*)
    |(?P<sign><=|>=|<>|!=|==|[-+*/%=<>().,])""",
    re.VERBOSE,
)
_WORD_GOES_ON = re.compile(r"\w+")


def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens of ``text``, the last one of shape END. Raises ``ExpressionRefused`` for what is none, and for a text that is too long."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > BYTES_MAX:
        raise ExpressionRefused(f"the expression has {size} bytes; at most {BYTES_MAX} are taken", column=1)
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _refused(text, place)
        place = match.end()
        if match.lastgroup != "space":
            found.append(_token(Shape(str(match.lastgroup)), match.group(), match.start() + 1, text))
    return (*found, Token(Shape.END, "", "", len(text) + 1))


def _token(shape: Shape, written: str, at: int, text: str) -> Token:
    match shape:
        case Shape.TEXT:
            return Token(shape, written, written[1:-1].replace("''", "'"), at)
        case Shape.NAME:
            if len(written) == 2:
                raise ExpressionRefused("found \"\", which is no name; a text without characters is written ''", column=at)
            return Token(shape, written, fold(written[1:-1].replace('""', '"')), at)
        case Shape.NUMBER:
            goes_on = _WORD_GOES_ON.match(text, at - 1 + len(written))
            if goes_on:
                both = clipped(written + goes_on.group())
                raise ExpressionRefused(f'found {both}, expected a number; a name that begins with a digit is written "{both}"', column=at)
            return Token(shape, written, written, at)
        case Shape.WORD:
            return Token(shape, written, fold(written), at)
        case _:
            return Token(shape, written, _SPELLINGS.get(written, written), at)


def _refused(text: str, place: int) -> ExpressionRefused:
    char = text[place]
    if char in "'\"":
        what = "text" if char == "'" else "name"
        return ExpressionRefused(f"the {what} that begins here has no closing {char}", column=place + 1)
    meant = f"; write {_MEANT[char]}" if char in _MEANT else ""
    return ExpressionRefused(f"found {clipped(char)}, which has no meaning here{meant}", column=place + 1)
