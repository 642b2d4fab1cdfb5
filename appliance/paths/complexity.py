"""What makes a query complex, read off its words: what can't be kept up record by record. Pure; it parses nothing.

Comments, texts and quoted names are left out first, so that a column called "group by" makes nothing complex. What is found is a
reason for people as well; a query that hides it (a macro, a comma for a join) is taken to be simple until its owner says otherwise.
"""

from __future__ import annotations

import re
from typing import Final

_SILENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$", re.DOTALL)
"""Comments, texts, quoted names."""
_MARKS: Final = (
    ("groups", re.compile(r"\bGROUP\s+BY\b", re.IGNORECASE)),
    ("joins", re.compile(r"\bJOIN\b", re.IGNORECASE)),
    ("sorts", re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)),
    ("ranks", re.compile(r"\bOVER\b|\bQUALIFY\b", re.IGNORECASE)),
    ("tells apart", re.compile(r"\bDISTINCT\b|\bUNION\b(?!\s+ALL\b)|\bINTERSECT\b|\bEXCEPT\b", re.IGNORECASE)),
    ("takes quantiles", re.compile(r"\b(median|mode|mad|(approx_)?quantile(_cont|_disc)?)\s*\(", re.IGNORECASE)),
)


def complexity(sql: str) -> tuple[str, ...]:
    """What a query does with many records at once, in words (``groups``, ``joins``, …); empty: it is simple."""
    spoken = _SILENT.sub(" ", sql)
    return tuple(word for word, mark in _MARKS if mark.search(spoken))
