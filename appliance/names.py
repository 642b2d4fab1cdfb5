"""The encoded form of a stream's name, for files, folders and tables: any name gives a safe one, and no two share one."""

from __future__ import annotations

import re
from hashlib import blake2b

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_READABLE_MAX = 40


def folder_name(stream: str) -> str:
    """Plain lower-case names stand for themselves; others are a readable start, ``~`` and a hash of the folded name."""
    folded = stream.lower()
    if _PLAIN.fullmatch(stream):
        return stream
    readable = re.sub(r"[^a-z0-9_-]+", "_", folded)[:_READABLE_MAX].strip("_-") or "stream"
    return f"{readable}~{blake2b(folded.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}"
