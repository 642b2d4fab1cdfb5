"""What lies on the disk now, by workload and path: the hot store, the lake, the files of views."""

from __future__ import annotations

from pathlib import Path

from appliance.hot.state import State
from appliance.hot.store import FILE_NAME


def held_bytes(folder: Path, state: State) -> dict[tuple[str, str], int]:
    """The hot store is that of ``_ingest``, segments are that of ``_roll``; without reports, exports and models, which are files of
    the owner's."""
    found = {
        ("_ingest", "hot"): sum(_size(folder / f"{FILE_NAME}{end}") for end in ("", "-wal")),
        ("_roll", "cold"): sum(g.bytes for s in state.streams.values() for g in s.segments),
    }
    for view in state.views.values():
        held = sum(v.bytes for v in (view.active, view.building) if v is not None)
        if held:
            found[(view.name, "hybrid")] = held
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
