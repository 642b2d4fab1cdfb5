"""What stands in a job's SQL and in the name of its file for something else: ``:day`` and ``{date}``. Pure."""

from __future__ import annotations

import re
from datetime import date

_DAY = re.compile(
    r"""(?P<kept>'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ::) | :day\b""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""Texts, quoted names, comments and casts stay as they are."""


def with_day(sql: str, day: str) -> str:
    """``sql`` with ``:day`` as a date. ``day`` is ``YYYY-MM-DD``; raises ``ValueError`` for what is none."""
    written = f"DATE '{date.fromisoformat(day).isoformat()}'"
    return _DAY.sub(lambda found: found["kept"] or written, sql)


def names_day(sql: str) -> bool:
    """Whether ``:day`` stands in it."""
    return any(found["kept"] is None for found in _DAY.finditer(sql))


def file_name(file: str, day: str) -> str:
    """The name of the file for a day, ``YYYY-MM-DD``."""
    return file.replace("{date}", date.fromisoformat(day).isoformat())
