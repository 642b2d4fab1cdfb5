"""What varies in any text whoever wrote it: times, numbers, addresses, paths, identifiers. By column, without a pattern for any system.

Pure. The patterns are RE2's (no looking ahead or behind), tried in their order at each place; a word is masked from its first digit on, so
that ``blk_17`` and ``blk_18`` become ``blk_<*>`` and keep what they are called.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

VARIES: Final = "<*>"
"""Stands for what varies."""
CHARACTERS_MAX: Final = 4_096
"""What is looked at of a text; the rest of a longer one has no part in its template."""
_MARK: Final = "\x1f"
_MARKED: Final = r"\x1f[^\x1f]*\x1f"
_LETTER: Final = r"\w\x{80}-\x{10ffff}"
_WORD: Final = rf"[{_LETTER}.\-@%+~#$/]"
_DIGIT: Final = r"[0-9\x{660}-\x{669}\x{6f0}-\x{6f9}\x{966}-\x{96f}\x{ff10}-\x{ff19}]"
"""Of ASCII, Arabic, Persian, Devanagari, and in full width."""
_HEX: Final = r"[0-9a-fA-F]"
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_UNIT: Final = (
    r"(?:[kKMGT]i?[bB]|B|bytes?|ms|msecs?|us|ns|secs?|seconds?|s|mins?|minutes?|h|hours?|days?|MHz|GHz|%)"  # after a number: a quantity
)
PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    (
        "date in words",
        rf"\b(?:{_DAY},? )?{_MONTH} +\d\d?(?:,? \d{{4}})?(?: \d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?: [A-Z]{{3,4}})?(?: \d{{4}})?\b",
    ),
    ("URL", r"\b\w+://[^\s\"'<>,)\]]+"),
    ("path of Windows", r"\b[A-Za-z]:\\[^\s\"']*"),
    ("address of mail, object with its hash", r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*"),
    ("UUID", rf"\b{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b"),
    ("MAC", rf"\b(?:{_HEX}{{2}}[:-]){{5}}{_HEX}{{2}}\b"),
    ("IPv6, time of day", rf"(?:\b|::)(?:{_HEX}{{1,4}}::?){{2,7}}{_HEX}{{1,4}}\b(?:[.,%/]\w+)*"),
    ("host and port", r"\b[\w-]+(?:\.[\w-]+)+:\d+\b"),
    ("path", rf"\B/[{_LETTER}.\-+~@$%#*]+(?:[/:][{_LETTER}.\-+~@$%#*]*)*"),
    ("relative path", r"\b[\w.-]+(?:/[\w.-]+){2,}"),
    ("quantity", rf"<?[-+]?\b\d[\d.,]* ?{_UNIT}\b"),
    ("hexadecimal that begins with a letter", rf"\b[a-fA-F]+\d(?:{_WORD}|:\d)*"),
    ("hexadecimal without a digit", r"\b[a-f]{8,}\b"),
    ("number, or a word from its first digit on", rf"[-+]?{_DIGIT}(?:{_WORD}|:{_DIGIT})*"),
    ("stars in place of a number", r"\*{3,}"),
)
"""What it is -> how it looks."""
_ANY: Final = "|".join(pattern for _, pattern in PATTERNS)
_LIST: Final = r"<\*>(?:(?:, ?| ?)<\*>)+"


def marked(texts: pa.StringArray) -> pa.StringArray:
    """Each text with a mark on both sides of what varies. Null stays null."""
    return pc.replace_substring_regex(pc.replace_substring(texts, _MARK, " "), _ANY, rf"{_MARK}\0{_MARK}")


def shapes(of_marked: pa.StringArray) -> pa.StringArray:
    """Marked texts with ``<*>`` for what varies; lists of such are one ``<*>``, and empty parentheses hold one. Null stays null."""
    masked = pc.replace_substring_regex(of_marked, _MARKED, VARIES)
    return pc.replace_substring_regex(pc.replace_substring(masked, " () ", f" ({VARIES}) "), _LIST, VARIES)


def parts(of_marked: pa.StringArray) -> pa.ListArray:
    """Marked texts cut into what stands and what varies, by turns: the second, fourth, … element are the values, in their order."""
    return pc.split_pattern(of_marked, _MARK)


def clipped(texts: pa.Array) -> pa.StringArray:
    """Texts as they are looked at: of type ``string``, none longer than ``CHARACTERS_MAX`` characters."""
    plain = texts if pa.types.is_string(texts.type) else texts.cast(pa.string())
    longest = pc.max(pc.binary_length(plain)).as_py() or 0
    return pc.utf8_slice_codeunits(plain, 0, CHARACTERS_MAX) if longest > CHARACTERS_MAX else plain
