"""Results that don't pass through the service: the worker writes them into its own folder, here they are taken out of it.

Belongs to the event loop; a file changes its name within one file system and is never copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from appliance.errors import RetryLater


@dataclass(frozen=True, slots=True)
class Handed:
    """The result of a query as a file."""

    path: Path
    """On the disk for good; whoever asked for it moves or removes it."""
    rows: int
    bytes: int
    schema: pa.Schema
    read: Mapping[str, int]
    """Folded name of each stream that was read -> its highest sequence at the instant of the snapshot."""
    version: int
    """``State.version`` of that snapshot; 0 where no stream was read."""
    notes: tuple[str, ...]
    """What the answer lacks: segments that are missing or damaged."""
    now_us: int = 0
    """What ``now()`` gave."""


def take_over(
    file: Path, into: Path, *, rows: int, schema: bytes, read: Mapping[str, int], version: int, notes: tuple[str, ...], now_us: int = 0
) -> Handed:
    """Moves ``file``, which is on the disk for good, to ``into``. Raises ``RetryLater`` when that can't be done."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        size = file.stat().st_size
        file.replace(into)
    except OSError as e:
        raise RetryLater(f"{into}: the result can't be put there: {e.strerror}", after_s=60) from e
    return Handed(into, rows, size, pa.ipc.read_schema(pa.py_buffer(schema)), read, version, notes, now_us)
