"""The state of a key as a JSON object, and back: exact, and refused when it was made for something else."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from appliance.hot.stream.sessions.known import Known
from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import FAR, SessionAggregate
from appliance.hot.stream.values import I64

VERSION = 1
"""Of the form of a body; another one is not loaded."""


def signature_of(gap_us: int, longest_us: int, aggregates: Sequence[SessionAggregate]) -> str:
    """Sixteen hex digits that differ when sessions would be cut or summed up otherwise.

    Which column an argument is, only the caller knows: it gives ``name`` accordingly, or throws bodies away when that changes.
    """
    parts = [(a.name, a.function.value, a.argument, a.parameter) for a in aggregates]
    return blake2b(msgspec.json.encode((VERSION, gap_us, longest_us, parts)), digest_size=8).hexdigest()


def dump(known: Known, pool: Pool, keys: I64, signature: str) -> list[str]:
    """The bodies of keys that have had a record."""
    before = known.before[keys]
    there = np.flatnonzero(before >= 0)
    olds: list[dict[str, Any] | None] = [None] * len(keys)
    for place, old in zip(there.tolist(), pool.dump(before[there]), strict=True):
        olds[place] = old
    edges = zip(*(edge[keys].tolist() for edge in (known.low_us, known.high_us, known.oldest_us, known.newest_us)), strict=True)
    is_open = (known.due_us[keys] != FAR).tolist()
    rows = zip(is_open, pool.dump(known.now[keys]), olds, edges, strict=True)
    encode = msgspec.json.encode
    return [
        encode({"of": signature, "is_open": open_, "now": now, "before": old, "edges": edge}).decode() for open_, now, old, edge in rows
    ]


def load(known: Known, pool: Pool, key: int, body: str, signature: str, *, gap_us: int) -> bool:
    """Fills a key that has had no record. False: the body was made for something else, and nothing is loaded.

    Raises ``ValueError`` for a body that no ``dump`` made.
    """
    found = msgspec.json.decode(body)
    if not isinstance(found, dict) or "of" not in found:
        raise ValueError(f"session state of key {key} is not what was stored: {body[:100]!r}")
    if found["of"] != signature:
        return False
    known.grow(key + 1)
    assert known.now[key] < 0, f"key {key} has a session already"
    known.now[key] = pool.load(found["now"])
    if found["before"] is not None:
        known.before[key] = pool.load(found["before"])
    known.low_us[key], known.high_us[key], known.oldest_us[key], known.newest_us[key] = found["edges"]
    if found["is_open"]:
        at = np.array([key])
        known.expect(at, pool.last[known.now[at]] + gap_us)
    return True
