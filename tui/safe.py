"""Makes text of foreign origin harmless: control characters are shown, not obeyed, and every string takes the cells it seems to.

Whatever was not written in this package (names, values, messages, paths) passes ``safe`` before it reaches a widget. Its result is
still data: hand it over as ``Text``, ``Content`` or a segment, never as markup.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

_MARKS_MAX = 2
"""Combining marks in a row that are kept; more of them climb into the neighbouring lines."""

_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible
    "\u200b-\u200f\u2028-\u202f\u205f-\u206f"  # zero width, line separators, bidi
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, annotations
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # invisible format characters, tags
    "\ud800-\udfff"  # lone surrogates can't be encoded
    "]"
)
_MARKS = re.compile(
    "["
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "]+"
)
"""Characters that are drawn over the one before."""


def safe(text: str) -> str:
    """The same text with control, bidirectional and zero-width characters as visible pictures; plain text is returned unchanged.

    C0 and DEL become the control pictures (``␛``), everything else a code in guillemets (``‹202e›``).
    """
    if text.isascii() and text.isprintable():
        return text
    return _MARKS.sub(_fewer_marks, _DANGEROUS.sub(_picture, text))


def ascii_only(text: str) -> str:
    """Text that is safe for a terminal of plain ASCII: what it can't show appears as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) for c in text)


def _escape(char: str) -> str:
    if " " <= char <= "~":
        return char
    return f"\\x{ord(char):02x}" if char <= "\x7f" else char.encode("ascii", "backslashreplace").decode()


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"‹{code:02x}›"


def _fewer_marks(match: re.Match[str]) -> str:
    marks = match.group()
    if match.start() == 0:
        return f"◌{marks[:1]}"
    return marks if len(marks) <= _MARKS_MAX else f"{marks[:_MARKS_MAX]}…"


def cells(text: str) -> int:
    """How many cells of the terminal ``text`` takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """``text`` in exactly ``width`` cells: padded, or cut with an ellipsis; flush right where asked for."""
    if width <= 0:
        return ""
    taken = cells(text)
    if taken > width:
        return set_cell_size(text, width - 1) + ellipsis if width > 1 else ellipsis
    gap = " " * (width - taken)
    return gap + text if right else text + gap
